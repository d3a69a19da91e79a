/**
 * Provisioning among 10,000 tables: what is run, written and locked, which no clock is needed for.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { verifier } from '../bench/statements.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';

const schemas = Array.from({ length: 20 }, (_, i) => `s${i + 1}`);

let cluster: Cluster;
let large: Client;
let small: Client;

/** Each schema with that many tables. */
async function makeDatabase(tables: number): Promise<Client> {
  const client = await cluster.connect({ database: await cluster.createDatabase() });
  await client.query(`DO $$
    DECLARE v_schema text;
    BEGIN
      FOREACH v_schema IN ARRAY '{${schemas.join(',')}}'::text[] LOOP
        EXECUTE format('CREATE SCHEMA %I', v_schema);
        FOR i IN 1 .. ${tables} LOOP EXECUTE format('CREATE TABLE %I.t%s (id integer)', v_schema, i); END LOOP;
        COMMIT;
      END LOOP;
    END $$`);
  return client;
}

before(async () => {
  // The settings are the server's own, max_locks_per_transaction among them.
  cluster = await startCluster();
  [large, small] = [await makeDatabase(500), await makeDatabase(5)];
});

after(async () => {
  await Promise.all([large.end(), small.end()]);
  await cluster.stop();
});

/** Provisions the role; the statements, without those that are about the role itself. */
async function provision(client: Client, role: string, withheld: readonly string[] = []): Promise<string[]> {
  const { rows } = await client.query<{ operation: string; statement: string }>(
    'SELECT operation, statement FROM rolecall.provision_reporting_role($1, $2, $3)',
    [role, schemas, withheld],
  );
  return rows
    .filter(({ operation }) => /privilege/.test(operation))
    .map(({ statement }) => statement.replaceAll(role, '{role}'));
}

/** The least that one of several runs writes, as the server writes WAL of its own now and then. */
async function wal(client: Client, run: () => Promise<unknown>, runs = 1): Promise<number> {
  const position = async () =>
    (await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn')).rows[0]?.lsn;
  let least = Infinity;
  for (let i = 0; i < runs && least > 0; i++) {
    const start = await position();
    await run();
    const { rows } = await client.query<{ bytes: string }>('SELECT $1::pg_lsn - $2 AS bytes', [
      await position(),
      start,
    ]);
    least = Math.min(least, Number(rows[0]?.bytes));
  }
  return least;
}

/** The tables that the statements name. */
const named = (statements: readonly string[]) =>
  statements.flatMap((statement) => statement.match(/\bs\d+\.\w+/g) ?? []);

const bareGrants = (role: string) =>
  schemas
    .map(
      (
        schema,
      ) => `GRANT USAGE ON SCHEMA ${schema} TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${role};
        ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT ON TABLES TO ${role};`,
    )
    .join('\n');

test('the first run is as many statements among 10,000 tables as among 100, and writes little more than they do', async () => {
  // The first call in a database generates its secret, and catalog changes cost more the first time.
  for (const client of [large, small]) await provision(client, `warm_${client === large ? 'l' : 's'}`);
  const among100 = await provision(small, 'few');
  let among10000: string[] = [];
  const written = await wal(large, async () => (among10000 = await provision(large, 'many')));
  assert.deepEqual(among10000, among100);
  assert.equal(among10000.length, schemas.length + 3);
  assert.deepEqual(named(among10000), []);

  await large.query('CREATE ROLE bare');
  const bare = await wal(large, () => large.query(`BEGIN; ${bareGrants('bare')}; COMMIT`));
  assert.ok(written < 1.3 * bare, `${written} bytes of WAL, the statements alone ${bare}`);
});

test('a run with nothing to do writes nothing, and locks no table of the schemas', async () => {
  assert.deepEqual(await provision(large, 'many'), []);
  assert.equal(await wal(large, () => provision(large, 'many'), 20), 0);
  await large.query('BEGIN');
  await provision(large, 'many');
  const { rows } = await large.query(
    `SELECT l.relation::regclass, l.mode FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
     WHERE l.pid = pg_backend_pid() AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND (c.relnamespace::regnamespace::text = ANY ($1) OR l.mode NOT IN ('AccessShareLock', 'RowShareLock'))`,
    [schemas],
  );
  await large.query('ROLLBACK');
  assert.deepEqual(rows, []);
});

test('100 tables that somebody else has made are granted by name, and cost as much as they do alone', async () => {
  await large.query(`CREATE ROLE maker; GRANT ALL ON SCHEMA s3, s7 TO maker`);
  await large.query(`SET ROLE maker; DO $$ BEGIN
    FOR i IN 1 .. 50 LOOP
      EXECUTE format('CREATE TABLE s3.new%1$s (id integer); CREATE TABLE s7.new%1$s (id integer)', i);
    END LOOP; END $$; RESET ROLE`);
  let statements: string[] = [];
  const written = await wal(large, async () => (statements = await provision(large, 'many')));
  const tables = [3, 7].flatMap((schema) => Array.from({ length: 50 }, (_, i) => `s${schema}.new${i + 1}`));
  assert.deepEqual(named(statements).sort(), tables.sort());
  // And their creator counts as one more owner of tables, and of their sequences.
  assert.equal(statements.length, 4);
  const bare = await wal(large, () =>
    large.query(`BEGIN; GRANT SELECT ON ${tables.join(', ')} TO bare;
      ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA ${schemas.join(', ')} GRANT SELECT ON TABLES TO bare; COMMIT`),
  );
  assert.ok(written < 2 * bare, `${written} bytes of WAL, the statements alone ${bare}`);
});

test('withholding and giving back one table of each schema costs as much as these tables', async () => {
  const revoked = await provision(large, 'many', ['t1']);
  assert.deepEqual(named(revoked).sort(), schemas.map((schema) => `${schema}.t1`).sort());
  const granted = await provision(large, 'many');
  assert.deepEqual(named(granted).sort(), schemas.map((schema) => `${schema}.t1`).sort());
  assert.ok(granted.every((statement) => !statement.includes('ALL TABLES')));
});

test('the locks of a default server do for 10,000 tables, whatever of them is there', async () => {
  // Some of each schema: which does not go by whole schemas alone.
  await large.query(
    `CREATE ROLE partly; ${schemas.map((schema) => `GRANT SELECT ON ${schema}.t1 TO partly`).join('; ')}`,
  );
  const statements = await provision(large, 'partly');
  assert.ok(named(statements).length <= 1000, `${named(statements).length} tables by name`);
  // A privilege that stays, as it is in another database: without one, PostgreSQL 14 goes over all that it has
  // revoked in the transaction again for each table.
  await small.query('CREATE ROLE writer; GRANT USAGE ON SCHEMA public TO writer');
  // What was granted on each is taken away in batches, not one by one.
  await large.query(
    `${schemas.map((schema) => `GRANT INSERT ON ALL TABLES IN SCHEMA ${schema} TO writer`).join('; ')}`,
  );
  const revoked = (await provision(large, 'writer')).filter((statement) => statement.startsWith('REVOKE'));
  assert.equal(named(revoked).length, 10_100);
  assert.ok(revoked.length <= 22, `${revoked.length} statements`);
  assert.deepEqual(await provision(large, 'writer'), []);
});

test('many privileges of a policy are granted in few subtransactions, each of which has a number of its own', async () => {
  const roles = schemas.flatMap((schema) => [`${schema}_reader`, `${schema}_writer`]);
  await small.query(roles.map((role) => `CREATE ROLE ${role}`).join('; '));
  const document = {
    schemas: Object.fromEntries(
      schemas.map((schema) => [schema, { profiles: { reader: `${schema}_reader`, writer: `${schema}_writer` } }]),
    ),
    profiles: { reader: { tables: ['SELECT'] }, writer: { tables: ['INSERT'] } },
  };
  const next = async () => {
    const { rows } = await small.query<{ id: string }>('SELECT pg_snapshot_xmax(pg_current_snapshot()) AS id');
    return Number(rows[0]?.id);
  };
  const start = await next();
  const { rowCount } = await small.query('SELECT FROM rolecall.apply($1)', [JSON.stringify(document)]);
  assert.equal(rowCount, 4 * schemas.length);
  const numbers = (await next()) - start;
  assert.ok(numbers < 10, `${numbers} numbers of transactions`);
});

interface Node {
  [name: string]: unknown;
  Plans?: Node[];
}

/** The nodes of the plans of all queries of a call. */
async function nodesOf(client: Client, call: string): Promise<Node[]> {
  const nodes: Node[] = [];
  const add = (node: Node) => {
    nodes.push(node);
    node.Plans?.forEach(add);
  };
  const listen = ({ message = '' }: { message?: string | undefined }) => {
    const [, plan] = message.split(/^duration: .* plan:\n/);
    if (plan !== undefined) add((JSON.parse(plan) as { Plan: Node }).Plan);
  };
  client.on('notice', listen);
  await client.query(`LOAD 'auto_explain'; SET auto_explain.log_level = notice; SET auto_explain.log_format = json;
    SET auto_explain.log_analyze = on; SET auto_explain.log_timing = off; SET auto_explain.log_nested_statements = on;
    SET auto_explain.log_min_duration = 0`);
  await client.query(call);
  await client.query('SET auto_explain.log_min_duration = -1');
  client.off('notice', listen);
  return nodes;
}

/** The rows that the nodes of all plans of a call go over, those that a filter removes with them. */
async function rowsOf(client: Client, call: string): Promise<number> {
  const names = ['Actual Rows', 'Rows Removed by Filter', 'Rows Removed by Join Filter'];
  let rows = 0;
  for (const node of await nodesOf(client, call))
    for (const name of names) rows += Number(node[name] ?? 0) * Number(node['Actual Loops']);
  return rows;
}

test('tables that are missing in many schemas are found once, in one pass over all tables', async () => {
  await large.query(`REVOKE SELECT ON ${schemas.map((schema) => `${schema}.t2`).join()} FROM many`);
  await large.query("BEGIN; SET LOCAL track_functions = 'all'");
  const nodes = await nodesOf(large, `SELECT FROM rolecall.provision_reporting_role('many', '{${schemas.join()}}')`);
  const { rows } = await large.query(
    "SELECT funcname, calls::integer FROM pg_stat_xact_user_functions WHERE funcname = 'tables_of'",
  );
  await large.query('COMMIT');
  // The look whether anything has to be done does not name the tables, and its settings hold for no plan of theirs.
  assert.deepEqual(rows, [{ funcname: 'tables_of', calls: 1 }]);
  const bySchema = nodes.filter(
    (node) => node['Index Name'] === 'pg_class_relname_nsp_index' && Number(node['Actual Rows']) > 1,
  );
  assert.deepEqual(bySchema, []);
});

test('settings that a policy does not name are found in one look at each, also where the planner takes the catalog for empty', async () => {
  const elsewhere = await cluster.createDatabase();
  const counts: number[] = [];
  // What it takes then is a loop in a loop.
  await small.query('SET enable_hashjoin = off; SET enable_mergejoin = off');
  for (const size of [50, 200]) {
    const names = Array.from({ length: size }, (_, i) => `of${size}_${i}`);
    const state = JSON.stringify({
      declared: names.map((role) => ({ role, exact: true })),
      settings: names.map((role) => ({ role, name: 'work_mem', value: '8MB' })),
    });
    for (const name of names)
      await small.query(`CREATE ROLE ${name}; ALTER ROLE ${name} SET work_mem = '8MB';
        ALTER ROLE ${name} IN DATABASE ${elsewhere} SET work_mem = '9MB'`);
    counts.push(await rowsOf(small, `SELECT FROM rolecall_internal.plan_other_settings('${state}')`));
    await small.query(`DROP ROLE ${names.join()}`);
  }
  await small.query('RESET enable_hashjoin; RESET enable_mergejoin');
  const [few = 0, many = 0] = counts;
  assert.ok(many / few < 6, `${few} and ${many} rows`);
});

test('a session that has planned while little was recorded looks up what is recorded by index', async () => {
  const client = await cluster.connect({ database: await cluster.createDatabase() });
  await client.query("SELECT rolecall.create_base_roles(), rolecall.create_user('one of few')");
  await client.query('VACUUM ANALYZE');
  await client.query('BEGIN');
  for (const call of [
    `create_user('grows', '${verifier}')`,
    "grant_role('administrator', 'grows')",
    "revoke_role('administrator', 'grows')",
    `set_password('grows', '${verifier}', now())`,
    "lock_user('grows')",
    "unlock_user('grows')",
    "rename_user('grows', 'has grown')",
    "remove_user('has grown')",
  ]) {
    await client.query(`SELECT rolecall.${call}`);
    const { rows } = await client.query<{ scans: string }>(
      "SELECT seq_scan AS scans FROM pg_stat_xact_user_tables WHERE relid = 'rolecall_internal.resource'::regclass",
    );
    assert.deepEqual(rows, [{ scans: '0' }], call);
  }
  await client.query('ROLLBACK');
  await client.end();
});

test('a first call with nothing to do, or for one user, enters few functions, each of which has to be compiled', async () => {
  const database = await cluster.createDatabase();
  const admin = await cluster.connect({ database });
  for (const name of ['create_base_roles()', "create_user('somebody')", "provision_reporting_roles('some', 'others')"])
    await admin.query(`SELECT rolecall.${name}`);
  await admin.end();
  const entered = async (call: string): Promise<string[]> => {
    const client = await cluster.connect({ database });
    await client.query("BEGIN; SET track_functions = 'all'");
    await client.query(`SELECT rolecall.${call}`);
    const { rows } = await client.query<{ name: string }>(
      'SELECT funcname AS name FROM pg_stat_xact_user_functions ORDER BY 1',
    );
    await client.end();
    return rows.map(({ name }) => name);
  };
  const calls = {
    'drift()': 28,
    "provision_reporting_roles('some', 'others')": 38, // Before 15, when PUBLIC may create tables in public; else 37.
    "create_user('somebody')": 4,
    'create_base_roles()': 3,
    [`create_user('new one', '${verifier}')`]: 33,
  };
  for (const [call, most] of Object.entries(calls)) {
    const functions = await entered(call);
    assert.ok(
      functions.length > 1 && functions.length <= most,
      `${call}: ${functions.length}: ${functions.join(', ')}`,
    );
  }
});
