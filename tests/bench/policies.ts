/**
 * A policy over many tables, schemas and roles by profiles; reading the access control of such a database; many users
 * in one policy.
 */
import type { Client } from 'pg';
import { type Bench, compare, growth, inTurns, type Series, spread } from './measure.ts';
import { plain, walBytes } from './statements.ts';

const schemaCount = 100;
export const schemas = Array.from({ length: schemaCount }, (_, index) => `area_${index + 1}`);
/** Of each schema, what its roles have. */
const reader = (schema: string) => `${schema}_reader`;
const writer = (schema: string) => `${schema}_writer`;

export const policy = (prefix: string, among = schemas) => ({
  roles: Object.fromEntries(among.flatMap((schema) => [reader, writer].map((of) => [prefix + of(schema), {}]))),
  schemas: Object.fromEntries(
    among.map((schema) => [schema, { profiles: { reader: prefix + reader(schema), writer: prefix + writer(schema) } }]),
  ),
  profiles: {
    reader: { schema: ['USAGE'], tables: ['SELECT'] },
    writer: { schema: ['USAGE'], tables: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] },
  },
});

/** The same by hand. */
const bareStatements = (prefix: string, create = true) => `BEGIN;
  ${schemas
    .map(
      (schema) => `
        ${create ? `CREATE ROLE ${prefix}${reader(schema)}; CREATE ROLE ${prefix}${writer(schema)};` : ''}
        GRANT USAGE ON SCHEMA ${schema} TO ${prefix}${reader(schema)}, ${prefix}${writer(schema)};
        GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${prefix}${reader(schema)};
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${prefix}${writer(schema)};
        ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT ON TABLES TO ${prefix}${reader(schema)};
        ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${prefix}${writer(schema)};`,
    )
    .join('')}
  COMMIT`;

export async function policies({ cluster, pick, report }: Bench): Promise<void> {
  const medians: { tables: number; [name: string]: number }[] = [];
  for (const tables of pick([10_000, 50_000], [200])) {
    const among = `${tables.toLocaleString('en')} tables in ${schemaCount} schemas`;
    const many = tables > 10_000;
    const model = await cluster.createDatabase();
    const maker = await cluster.connect({ database: model, host: cluster.socketDir });
    await makeTables(maker, tables);
    await maker.end();
    const way = async (name: string, statements: (prefix: string) => string) => {
      const database = `${model}_${name}`;
      const admin = await cluster.connect();
      await admin.query(`CREATE DATABASE ${database} TEMPLATE ${model}`);
      await admin.end();
      const client = await cluster.connect({ database, host: cluster.socketDir });
      const prefix = `p${tables}_${name}_`;
      return { name, prefix, client, run: () => client.query(statements(prefix)) };
    };
    const apply = (prefix: string) => `SELECT * FROM rolecall.apply('${JSON.stringify(policy(prefix))}')`;
    const ours = await way('rolecall', apply);
    const bare = await way('statements', bareStatements);
    const ways = [ours, bare];

    const first = await inTurns(
      pick(many ? 3 : 5, 1),
      ways.map(({ client, prefix, run }) => ({
        name: 'bare statements',
        client: () => client,
        run,
        after: async () => {
          const roles = schemas.flatMap((schema) => [prefix + reader(schema), prefix + writer(schema)]);
          await client.query(`DROP OWNED BY ${roles.join()}; DROP ROLE ${roles.join()}`);
          // So that the next one is a first one again.
          await client.query('TRUNCATE rolecall_internal.resource');
          await client.query('VACUUM FULL pg_class, pg_shdepend, pg_default_acl');
        },
      })),
      1,
    );
    report(...compare(`first apply(), ${among}`, 'ms', first, [{ most: 1.3 }]));

    for (const { client, run } of ways) {
      await run();
      await client.query('VACUUM pg_class, pg_shdepend');
    }
    const repeat = () => bare.client.query(bareStatements(bare.prefix, false));
    const again = await inTurns(pick(many ? 5 : 11, 2), [
      { name: ours.name, client: () => ours.client, before: () => ours.run(), run: () => ours.run() },
      {
        name: 'bare statements',
        client: () => bare.client,
        before: () => bare.client.query('VACUUM pg_class'),
        run: repeat,
      },
    ]);
    report(...compare(`apply(), nothing to do, ${among}`, 'ms', again, [{ most: 0.1 }]));
    const [own, written]: [number[], number[]] = [[], []];
    for (let i = 0; i < 3; i++) {
      own.push(await walBytes(ours.client, ours.run));
      written.push(await walBytes(bare.client, repeat));
    }
    const wal: Series[] = [
      { name: ours.name, samples: own },
      { name: 'bare statements', samples: written },
    ];
    report(...compare(`apply(), nothing to do, ${among}`, 'WAL bytes', wal, [{ most: 0 }]));

    const reading: Record<string, number> = {};
    for (const call of ['inspect()', 'audit()', 'drift()', 'policy()', 'undeclared()', 'role_graph()']) {
      const series = await inTurns(pick(many ? 3 : 5, 1), [
        { name: call, client: () => ours.client, run: () => ours.client.query(`SELECT * FROM rolecall.${call}`) },
      ]);
      const second = { name: 'a second', samples: series[0]?.samples.map(() => 1000) ?? [] };
      const aims = ['inspect()', 'audit()'].includes(call) && !many ? [second] : [];
      report(...compare(`${call}, ${among}`, 'ms', [...series, ...aims], [{ most: 1 }]));
      reading[call] = spread(series[0]?.samples ?? []).median;
    }
    medians.push({
      tables,
      'first apply()': spread(first[0]?.samples ?? []).median,
      'apply(), nothing to do': spread(again[0]?.samples ?? []).median,
      ...reading,
    });
    for (const { client, prefix } of ways) {
      const roles = schemas.flatMap((schema) => [prefix + reader(schema), prefix + writer(schema)]);
      await client.query(`DROP OWNED BY ${roles.join()}; DROP ROLE ${roles.join()}`);
      await client.end();
    }
  }
  // From 10,000 tables to 50,000, against the growth of the tables.
  const reached = medians.slice(-2);
  for (const name of Object.keys(reached[0] ?? {}).filter((name) => name !== 'tables'))
    report(
      ...growth(
        name,
        'the tables',
        reached.map((one) => ({ size: one.tables, figure: one[name] ?? NaN })),
      ),
    );
  await users({ cluster, pick, report });
}

export async function makeTables(client: Client, tables: number): Promise<void> {
  for (const schema of schemas)
    await client.query(`CREATE SCHEMA ${schema};
      DO $$ BEGIN FOR i IN 1 .. ${tables / schemaCount} LOOP
        EXECUTE format('CREATE TABLE ${schema}.t%s (id integer)', i); END LOOP; END $$`);
  await client.query('VACUUM ANALYZE');
}

/** Users with verifiers and a membership each. */
async function users({ cluster, pick, report }: Bench): Promise<void> {
  const counts = pick([1000, 10_000], [20]);
  const medians: number[] = [];
  for (const count of counts) {
    const database = await cluster.createDatabase();
    const [ours, bare] = [
      await cluster.connect({ database, host: cluster.socketDir }),
      await cluster.connect({ database, host: cluster.socketDir }),
    ];
    const { rows } = await ours.query<{ verifier: string }>(`SELECT rolecall.scram_sha_256('${plain}') AS verifier`);
    const verifier = rows[0]?.verifier ?? '';
    const names = (prefix: string) => Array.from({ length: count }, (_, index) => `${prefix}_${index + 1}`);
    await ours.query('CREATE ROLE bench_group');
    const document = JSON.stringify({
      roles: Object.fromEntries(
        names('ours').map((name) => [name, { login: true, password: verifier, member_of: ['bench_group'] }]),
      ),
    });
    const statements = `BEGIN; ${names('bare')
      .map((name) => `CREATE ROLE ${name} LOGIN PASSWORD '${verifier}'; GRANT bench_group TO ${name};`)
      .join('')} COMMIT`;
    const remove = async (client: Client, prefix: string) => {
      const all = names(prefix);
      for (let at = 0; at < count; at += 100) await client.query(`DROP ROLE ${all.slice(at, at + 100).join()}`);
      await client.query('VACUUM pg_authid, pg_auth_members, pg_shdepend');
    };
    const series = await inTurns(
      pick(count > 1000 ? 3 : 5, 1),
      [
        { client: ours, prefix: 'ours', run: () => ours.query('SELECT FROM rolecall.apply($1)', [document]) },
        { client: bare, prefix: 'bare', run: () => bare.query(statements) },
      ].map(({ client, prefix, run }) => ({
        name: 'bare statements',
        client: () => client,
        run,
        after: () => remove(client, prefix),
      })),
      count > 1000 ? 0 : 1,
    );
    const what = `a policy of ${count.toLocaleString('en')} users`;
    report(...compare(`${what}, all new`, 'ms', series, [{ most: 2 }]));
    medians.push(spread(series[0]?.samples ?? []).median);
    await ours.query('SELECT FROM rolecall.apply($1)', [document]);
    const again = await inTurns(pick(3, 1), [
      { name: 'rolecall', client: () => ours, run: () => ours.query('SELECT FROM rolecall.apply($1)', [document]) },
    ]);
    report(...compare(`${what}, nothing to do`, 'ms', again));
    await remove(ours, 'ours');
    await ours.query('DROP ROLE bench_group');
    await ours.end();
    await bare.end();
  }
  report(
    ...growth(
      'a policy of users',
      'the users',
      medians.map((figure, index) => ({ size: counts[index] ?? NaN, figure })),
    ),
  );
}
