/**
 * A pair of reporting roles in a database with many tables, provisioned for the first time, and again and again, as an
 * application does when it starts.
 */
import type { Client } from 'pg';
import { type Bench, compare, inTurns, type Series } from './measure.ts';
import { plain, walBytes } from './statements.ts';

/** The statements that an application runs at every start where it manages its two reporting roles itself. */
function bareStatements(reporting: string, raw: string): string {
  const access = (role: string, schema: string) => `
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${role}') THEN CREATE ROLE ${role} LOGIN; END IF;
    END $$;
    ALTER ROLE ${role} PASSWORD '${plain}';
    CREATE SCHEMA IF NOT EXISTS ${schema};
    GRANT USAGE ON SCHEMA ${schema} TO ${role};
    GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${role};
    ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT ON TABLES TO ${role};`;
  return `BEGIN;
    SELECT pg_advisory_xact_lock(1);
    ${access(reporting, 'reporting')}
    ${access(raw, 'public')}
    REVOKE SELECT ON secrets FROM ${raw};
    COMMIT`;
}

/** No more than the grants, for roles that exist: what a first run cannot do without. */
const bareGrants = (reporting: string, raw: string) => `BEGIN;
    GRANT USAGE ON SCHEMA reporting TO ${reporting};
    GRANT USAGE ON SCHEMA public TO ${raw};
    GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO ${reporting};
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${raw};
    ALTER DEFAULT PRIVILEGES IN SCHEMA reporting GRANT SELECT ON TABLES TO ${reporting};
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO ${raw};
    COMMIT`;

const provision = (reporting: string, raw: string) =>
  `SELECT * FROM rolecall.provision_reporting_roles('${reporting}', '${raw}', withheld_tables => '{secrets}')`;

export async function provisioning({ cluster, pick, report }: Bench): Promise<void> {
  for (const tables of pick([1000, 10_000, 50_000], [20])) {
    const among = `${tables.toLocaleString('en')} tables`;
    const model = await cluster.createDatabase();
    await makeTables(await cluster.connect({ database: model, host: cluster.socketDir }), tables);
    // Each way has a database of its own: what one writes must not slow the other.
    const way = async (name: string, statements: (reporting: string, raw: string) => string) => {
      const database = `${model}_${name}`;
      const admin = await cluster.connect();
      await admin.query(`CREATE DATABASE ${database} TEMPLATE ${model}`);
      await admin.end();
      const client = await cluster.connect({ database, host: cluster.socketDir });
      return {
        name,
        database,
        client,
        statements: (round: number | string) =>
          statements(`${name}_a${tables}_${round}`, `${name}_b${tables}_${round}`),
      };
    };
    const ours = await way('rolecall', provision);
    const seed = await way('statements', bareStatements);
    const grants = await way('grants', bareGrants);

    const first = await inTurns(
      pick(tables > 10_000 ? 5 : 11, 2),
      [ours, seed, grants].map(({ name, client, statements }) => ({
        name: name === 'grants' ? 'bare grants' : 'bare statements',
        client: () => client,
        before: async (round: number) => {
          if (name === 'grants')
            await client.query(`CREATE ROLE grants_a${tables}_${round}; CREATE ROLE grants_b${tables}_${round}`);
        },
        run: (round: number) => client.query(statements(round)),
        after: async (round: number) => {
          for (const role of [`${name}_a${tables}_${round}`, `${name}_b${tables}_${round}`])
            await client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
          await client.query('VACUUM FULL pg_class');
        },
      })),
      1,
    );
    report(...compare(`first provisioning, ${among}`, 'ms', first, [{}, { most: 1.3 }]));

    // A server that has had the time to clean up what the run before left.
    await ours.client.query('VACUUM pg_class, pg_shdepend');
    const tidy = async (way: typeof ours) => {
      if (way === seed) await way.client.query('VACUUM pg_class');
    };
    // The bare statements change so much that every other session of the cluster forgets its plans; what it costs to
    // make them is in the rows about the first call of a session.
    const ready = async (way: typeof ours) => {
      await tidy(way);
      if (way === ours) await way.client.query(way.statements('again'));
    };
    const again = await inTurns(
      pick(tables > 10_000 ? 10 : 30, 3),
      [ours, seed].map((way) => ({
        name: 'bare statements',
        client: () => way.client,
        before: () => ready(way),
        run: () => way.client.query(way.statements('again')),
      })),
    );
    const what = `provisioning, nothing to do, ${among}`;
    report(...compare(what, 'ms', again, [{ most: tables === 10_000 ? 0.1 : 1 }]));
    // As at the start of an application.
    const inNewSession = [ours, seed].map((way) => {
      let session: Client;
      return {
        name: 'bare statements',
        client: () => session,
        before: async () => {
          await tidy(way);
          session = await cluster.connect({ database: way.database, host: cluster.socketDir });
          await session.query('SELECT');
        },
        run: () => session.query(way.statements('again')),
        after: () => session.end(),
      };
    });
    const starting = await inTurns(pick(tables > 10_000 ? 5 : 11, 2), inNewSession);
    report(...compare(`${what}, first call of a session`, 'ms', starting));
    const wal: Series[] = [];
    const size: Series[] = [];
    // And one that never does.
    const runs = pick(100, 3);
    for (const { client, statements } of [ours, seed]) {
      const bytes = [];
      for (let i = 0; i < 3; i++) bytes.push(await walBytes(client, () => client.query(statements('again'))));
      wal.push({ name: 'bare statements', samples: bytes });
      if (tables > 10_000) continue;
      await client.query('VACUUM FULL pg_class');
      for (let run = 0; run < runs; run++) await client.query(statements('again'));
      const { rows } = await client.query<{ size: string }>("SELECT pg_total_relation_size('pg_class') AS size");
      size.push({ name: 'bare statements', samples: [Number(rows[0]?.size)] });
    }
    report(...compare(what, 'WAL bytes', wal, [{ most: 0 }]));
    if (size.length > 0)
      report(...compare(`pg_class after ${runs} such runs without a vacuum, ${among}`, 'bytes', size, [{ most: 1 }]));
    for (const { client } of [ours, seed, grants]) await client.end();
  }
}

async function makeTables(client: Client, tables: number): Promise<void> {
  await client.query('CREATE SCHEMA reporting');
  await client.query(`DO $$ BEGIN
    CREATE TABLE public.secrets (id integer);
    FOR i IN 1 .. ${tables} - 1 LOOP
      -- One table in ten is in the reporting schema.
      EXECUTE format('CREATE TABLE %s.t%s (id integer)', CASE WHEN i % 10 = 0 THEN 'reporting' ELSE 'public' END, i);
      IF i % 500 = 0 THEN COMMIT; END IF;
    END LOOP;
  END $$`);
  await client.query('VACUUM ANALYZE');
  await client.end();
}
