/**
 * What a block with an EXCEPTION clause around every step costs: it is a subtransaction, and other sessions' snapshots
 * hold no more than 64 of one transaction.
 */
import type { Client } from 'pg';
import { type Bench, compare, inTurns, type Way } from './measure.ts';

export async function subtransactions({ cluster, pick, report }: Bench): Promise<void> {
  const database = await cluster.createDatabase(undefined, 'template1');
  const client: Client = await cluster.connect({ database, host: cluster.socketDir });
  const reader: Client = await cluster.connect({ database, host: cluster.socketDir });
  const steps = pick(10_000, 200);
  await client.query(`CREATE ROLE grantee; DO $$ BEGIN
    FOR i IN 1 .. ${steps} LOOP
      EXECUTE format('CREATE TABLE t%s ()', i);
      IF i % 500 = 0 THEN COMMIT; END IF;
    END LOOP; END $$`);

  /** Grants on every table, with a subtransaction around each batch; 0: around none. */
  const grants = (batch: number) => `DO $$ BEGIN
    FOR v_batch IN 0 .. ${batch === 0 ? 0 : Math.ceil(steps / batch) - 1} LOOP
      ${batch === 0 ? '' : 'BEGIN'}
        FOR i IN v_batch * ${batch} + 1 .. ${batch === 0 ? steps : `least(v_batch * ${batch} + ${batch}, ${steps})`} LOOP
          EXECUTE format('GRANT SELECT ON t%s TO grantee', i);
        END LOOP;
      ${batch === 0 ? '' : 'EXCEPTION WHEN undefined_table THEN NULL; END;'}
    END LOOP; END $$`;
  const name = (batch: number) => (batch === 0 ? 'none' : `one per ${batch}`);
  const cleanUp = async () => {
    await client.query('ROLLBACK');
    await client.query('VACUUM pg_class');
  };

  const batches = pick([1, 10, 100, 500, 0], [1, 10, 0]);
  const ways = batches.map((batch): Way => {
    return {
      name: name(batch),
      before: () => client.query('BEGIN'),
      run: () => client.query(grants(batch)),
      after: cleanUp,
    };
  });
  const each = await inTurns(pick(7, 2), ways, 1);
  const none = each.at(-1) as (typeof each)[number];
  for (const series of each.slice(0, -1)) {
    report(...compare(`${steps.toLocaleString('en')} grants, subtransactions: ${series.name}`, 'ms', [series, none]));
  }

  // Another session reads rows that are newer than the transaction with the subtransactions.
  await client.query('CREATE TABLE news (id integer)');
  const reading = batches.map((batch): Way => {
    return {
      name: name(batch),
      before: async () => {
        await client.query('BEGIN');
        await client.query(grants(batch));
        await reader.query(`TRUNCATE news; INSERT INTO news SELECT generate_series(1, ${pick(100_000, 1000)})`);
        await reader.query('SELECT count(*) FROM news');
      },
      run: () => reader.query('SELECT count(*) FROM news'),
      after: cleanUp,
    };
  });
  const reads = await inTurns(pick(7, 2), reading, 1);
  const undisturbed = reads.at(-1) as (typeof reads)[number];
  for (const series of reads.slice(0, -1)) {
    const what = `another session's scan of 100,000 new rows meanwhile: ${series.name}`;
    report(...compare(what, 'ms', [series, undisturbed]));
  }
  await reader.end();
  await client.end();
}
