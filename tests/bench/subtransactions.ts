/**
 * What a block with an EXCEPTION clause around every step costs: it is a subtransaction, and other sessions' snapshots
 * hold no more than 64 of one transaction.
 */
import type { Client } from 'pg';
import { type Bench, compare, inTurns, type Way } from './measure.ts';
import { createUser, verifier } from './statements.ts';

export async function subtransactions({ cluster, pick, report }: Bench): Promise<void> {
  const database = await cluster.createDatabase(undefined, 'template1');
  const connect = () => cluster.connect({ database, host: cluster.socketDir });
  const [writer, reader] = [await connect(), await connect()];
  const steps = pick(10_000, 200);
  const news = pick(100_000, 1000);
  const reads = 10;
  await writer.query('CREATE TABLE step (id integer); CREATE TABLE news (id integer)');

  /** A cheap step, many times, with a subtransaction around each batch of them; null: around none. */
  const loop = (batch: number | null) => {
    const body = `FOR i IN 1 .. ${batch ?? steps} LOOP EXECUTE 'INSERT INTO step VALUES (1)'; END LOOP;`;
    return batch === null
      ? `DO $$ BEGIN ${body} END $$`
      : `DO $$ BEGIN
           FOR v_batch IN 1 .. ${steps / batch} LOOP
             BEGIN ${body} EXCEPTION WHEN undefined_table THEN NULL; END;
           END LOOP;
         END $$`;
  };
  const batches = [1, 10, 100, 200, null];
  const measure = async (
    what: string,
    unit: string,
    scale: number,
    way: (batch: number | null) => Omit<Way, 'name'>,
  ) => {
    const ways = batches.map((batch) => ({ name: batch === null ? 'none' : `one per ${batch}`, ...way(batch) }));
    const series = (await inTurns(pick(15, 2), ways, 1)).map(({ name, samples }) => ({
      name,
      samples: samples.map((milliseconds) => milliseconds * scale),
    }));
    const none = series.pop();
    for (const some of series) report(...compare(`${what}, subtransactions: ${some.name}`, unit, [some, none ?? some]));
  };
  const undo = async () => {
    await writer.query('ROLLBACK');
    await writer.query('TRUNCATE step');
  };

  await measure(`each of ${steps.toLocaleString('en')} steps`, 'µs', 1000 / steps, (batch) => ({
    client: () => writer,
    before: () => writer.query('BEGIN'),
    run: () => writer.query(loop(batch)),
    after: undo,
  }));
  // While that transaction is open, every row that is newer has to be looked up in it.
  await measure(`another session reads ${news.toLocaleString('en')} new rows`, 'ms', 1 / reads, (batch) => ({
    client: () => reader,
    before: async () => {
      await writer.query('BEGIN');
      await writer.query(loop(batch));
      await reader.query(`TRUNCATE news; INSERT INTO news SELECT generate_series(1, ${news})`);
      await reader.query('SELECT count(*) FROM news');
    },
    run: async () => {
      for (let read = 0; read < reads; read++) await reader.query('SELECT count(*) FROM news');
    },
    after: undo,
  }));
  await reader.end();

  // What decides how many tables one statement names: `batch` in generator/engine/grantable.ts.
  const tables = pick(10_000, 100);
  await writer.query('CREATE SCHEMA granted; CREATE ROLE grantee');
  await writer.query(`DO $$ BEGIN
    FOR i IN 1 .. ${tables} LOOP
      EXECUTE format('CREATE TABLE granted.table_%s ()', i);
      IF i % 500 = 0 THEN COMMIT; END IF;
    END LOOP;
  END $$`);
  const grant = (named: number): Way => ({
    name: `${named} in each`,
    client: () => writer,
    before: async () => {
      await writer.query('VACUUM pg_class, pg_shdepend');
      await writer.query('BEGIN');
    },
    run: () =>
      writer.query(`DO $$ BEGIN
        FOR v_first IN 0 .. ${tables} - 1 BY ${named} LOOP
          BEGIN
            EXECUTE (
              SELECT format('GRANT SELECT ON %s TO grantee', string_agg('granted.table_' || v_first + i, ', '))
              FROM generate_series(1, ${named}) AS i
            );
          EXCEPTION WHEN undefined_table THEN NULL;
          END;
        END LOOP;
      END $$`),
    after: () => writer.query('ROLLBACK'),
  });
  const granting = await inTurns(
    pick(7, 2),
    [500, 1, 10, 50, 5000].map((named) => grant(Math.min(named, tables))),
    1,
  );
  report(...compare(`GRANT on ${tables.toLocaleString('en')} named tables, 500 in each statement`, 'ms', granting));
  await writer.end();

  const client = await cluster.connect({ database: await cluster.createDatabase(), host: cluster.socketDir });
  for (const [what, call] of [
    ['a pair of reporting roles', 'SELECT * FROM rolecall.provision_reporting_roles()'],
    ['the base roles', 'SELECT * FROM rolecall.create_base_roles()'],
    ['a user', createUser('somebody', verifier)],
  ] as const) {
    report(...compare(what, 'subtrans.', [{ name: 'rolecall', samples: [await count(client, call)] }]));
  }
  await client.end();
}

/** How many subtransactions of a call have written: each takes a transaction id. */
async function count(client: Client, call: string): Promise<number> {
  const next = async () => {
    const { rows } = await client.query<{ next: string }>('SELECT pg_snapshot_xmax(pg_current_snapshot()) AS next');
    return Number(rows[0]?.next);
  };
  const before = await next();
  await client.query(call);
  return (await next()) - before - 1;
}
