/**
 * What a Citus node does to a call, imitated on a plain server: the catalogs and the functions that rolecall looks
 * for, a shard with the default privileges of its schema, the name of an internal session, and errors that only a
 * worker has. tests/citus is for a real cluster.
 */
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import type { Client, DatabaseError } from 'pg';
import { startCluster } from '../support/cluster.ts';

const cluster = await startCluster();
after(() => cluster.stop());

/** As citus--8.0-1.sql and later versions create them. */
const catalogs = `
  SET allow_system_table_mods = on;
  CREATE TABLE pg_catalog.pg_dist_shard (
    logicalrelid regclass NOT NULL, shardid int8 NOT NULL, shardstorage "char" NOT NULL, shardminvalue text, shardmaxvalue text
  );
  CREATE TABLE pg_catalog.pg_dist_local_group (groupid int NOT NULL PRIMARY KEY);
  INSERT INTO pg_catalog.pg_dist_local_group VALUES (0);
  GRANT SELECT ON pg_catalog.pg_dist_shard, pg_catalog.pg_dist_local_group TO public;
  CREATE FUNCTION pg_catalog.shard_name(object_name regclass, shard_id bigint, skip_qualify_public boolean DEFAULT true)
    RETURNS text LANGUAGE sql STABLE STRICT AS $$
      SELECT CASE WHEN n.nspname = 'public' AND $3 THEN '' ELSE quote_ident(n.nspname) || '.' END
        || quote_ident(c.relname || '_' || $2)
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = $1 $$;
  RESET allow_system_table_mods`;

async function node(): Promise<{ admin: Client; database: string }> {
  const database = await cluster.createDatabase();
  const admin = await cluster.connect({ database });
  await admin.query(catalogs);
  return { admin, database };
}

/** What create_reference_table() does on the coordinator: in a session of its own, then with the ACL of the table. */
async function shard(database: string, table: string, id: number): Promise<string> {
  const internal = await cluster.connect({ database });
  await internal.query("SET application_name = 'citus_internal gpid=10000000001'");
  const name = table.replace(/"?$/, (quote) => `_${id}${quote}`);
  await internal.query(`CREATE TABLE ${name} (LIKE ${table})`);
  const { rows } = await internal.query<{ statement: string }>(
    `SELECT format('GRANT SELECT ON ${name} TO %I', x.grantee::regrole) AS statement
     FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS x
     WHERE c.oid = '${table}'::regclass AND x.privilege_type = 'SELECT' AND x.grantee <> c.relowner`,
  );
  for (const { statement } of rows) await internal.query(statement);
  await internal.query("INSERT INTO pg_dist_shard VALUES ($1::regclass, $2, 't')", [table, id]);
  await internal.end();
  return name;
}

const statements = async (client: Client, call: string): Promise<string[]> =>
  (await client.query<{ statement: string }>(`SELECT statement FROM ${call}`)).rows.map(({ statement }) => statement);

const reads = async (client: Client, role: string, table: string): Promise<boolean> =>
  (await client.query<{ reads: boolean }>('SELECT has_table_privilege($1, $2, $3) AS reads', [role, table, 'SELECT']))
    .rows[0]?.reads ?? false;

const tables = `CREATE SCHEMA "Data"; CREATE TABLE "Data".orders (id int); CREATE TABLE "Data"."Tokens" (id int);
  CREATE TABLE "Data".people (id int, ssn text)`;
const provisioning = (role: string, extra = '') =>
  `rolecall.provision_reporting_role('${role}', '{Data}', '{"\\"Tokens\\"",people.ssn}'${extra})`;

test('shards of withheld tables are revoked where the default privileges of the schema opened them, and never granted', async () => {
  const { admin, database } = await node();
  await admin.query(tables);
  await statements(admin, provisioning('shards_reader'));
  const open = [
    await shard(database, '"Data"."Tokens"', 102041),
    await shard(database, '"Data"."Tokens"', 102042),
    await shard(database, '"Data".people', 102043),
  ];
  const readable = await shard(database, '"Data".orders', 102044);
  for (const one of [...open, readable]) assert.ok(await reads(admin, 'shards_reader', one), one);

  const findings = await admin.query(
    "SELECT object, detail, remedy FROM rolecall.audit_role('shards_reader') WHERE detail LIKE '%shard%' ORDER BY object",
  );
  assert.deepEqual(findings.rows, [
    {
      object: '"Data"."Tokens_102041"',
      detail: 'reads what is withheld: shards of "Data"."Tokens"',
      remedy: 'REVOKE SELECT ON "Data"."Tokens" FROM shards_reader',
    },
    {
      object: '"Data".people_102043',
      detail: 'reads what is withheld: a shard of "Data".people',
      remedy: 'REVOKE SELECT ON "Data".people FROM shards_reader',
    },
  ]);
  // A shard is no table of its own, for whoever sees it, and one statement goes to all of them.
  const expected = [
    'REVOKE SELECT ON "Data"."Tokens", "Data".people FROM shards_reader CASCADE',
    'GRANT SELECT (id) ON "Data".people TO shards_reader',
  ];
  assert.deepEqual(await statements(admin, 'rolecall.drift()'), expected);
  assert.deepEqual(await statements(admin, provisioning('shards_reader', ', dry_run => true')), expected);
  assert.deepEqual(await statements(admin, 'rolecall.converge()'), expected);
  assert.ok(
    (await admin.query("SELECT has_column_privilege('shards_reader', '\"Data\".people', 'id', 'SELECT') AS reads"))
      .rows[0].reads,
  );
  // As Citus sends it on.
  for (const one of open) await admin.query(`REVOKE SELECT ON ${one} FROM shards_reader`);
  assert.deepEqual(await statements(admin, 'rolecall.drift()'), []);
  assert.deepEqual(await statements(admin, provisioning('shards_reader')), []);
  assert.equal(
    (await admin.query("SELECT FROM rolecall.audit_role('shards_reader') WHERE detail LIKE '%shard%'")).rowCount,
    0,
  );
  assert.deepEqual(
    await statements(admin, provisioning('shards_second')),
    await statements(admin, provisioning('shards_third')).then((rows) =>
      rows.map((row) => row.replaceAll('shards_third', 'shards_second')),
    ),
  );
  for (const one of open) assert.equal(await reads(admin, 'shards_second', one), false, one);
  await admin.end();
});

test('where tables are watched, a shard has from its first moment what its table has', async () => {
  const { admin, database } = await node();
  await admin.query(tables);
  await statements(admin, provisioning('watched_reader'));
  await admin.query('SELECT rolecall.watch_new_tables()');
  for (const [table, id] of [
    ['"Data"."Tokens"', 102041],
    ['"Data".people', 102042],
    ['"Data".orders', 102043],
  ] as const) {
    const name = await shard(database, table, id);
    assert.equal(await reads(admin, 'watched_reader', name), table === '"Data".orders', name);
  }
  // The same name of a session means nothing without Citus, and no more than that there.
  await admin.query('SET application_name = \'citus_internal gpid=1\'; CREATE TABLE "Data".hidden (id int)');
  assert.equal(await reads(admin, 'watched_reader', '"Data".hidden'), false);
  assert.deepEqual(await statements(admin, 'rolecall.drift()'), ['GRANT SELECT ON "Data".hidden TO watched_reader']);
  await admin.query('SET allow_system_table_mods = on; DROP TABLE pg_dist_shard; RESET allow_system_table_mods');
  await admin.query('CREATE TABLE "Data".seen (id int)');
  assert.equal(await reads(admin, 'watched_reader', '"Data".seen'), true);
  await admin.end();
});

test('on a worker node, calls about reporting roles are refused, and others are not', async () => {
  const { admin } = await node();
  await admin.query(`${tables}; UPDATE pg_dist_local_group SET groupid = 3`);
  for (const call of [
    provisioning('worker_reader'),
    provisioning('worker_reader', ', dry_run => true'),
    "rolecall.provision_reporting_roles('worker_reporting', 'worker_raw')",
    'rolecall.rotate_reporting_secret()',
    'rolecall.watch_new_tables()',
  ]) {
    const error: unknown = await admin.query(`SELECT * FROM ${call}`).catch((caught: unknown) => caught);
    const { code, message, hint } = error as DatabaseError;
    assert.deepEqual(
      [code, message, hint],
      [
        '55000',
        'this is a worker node of Citus, and reporting roles are provisioned on the coordinator',
        'Connect to the coordinator, and make the call there.',
      ],
    );
  }
  assert.equal((await admin.query('SELECT FROM rolecall_internal.secret')).rowCount, 0);
  await admin.query(
    "SELECT rolecall.create_user_with_grants('worker_user', 'x', NULL); SELECT rolecall.remove_user('worker_user')",
  );
  assert.deepEqual(await statements(admin, 'rolecall.drift()'), []);
  await admin.end();
});

/** Every change fails as it does where a worker is the one that fails. */
const failing = (code: string, message: string) => `
  CREATE OR REPLACE FUNCTION rolecall_internal.statement_of(change rolecall_internal.change) RETURNS text
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    RETURN format('DO %L', format('BEGIN RAISE EXCEPTION USING ERRCODE = %L, MESSAGE = %L; END', '${code}', '${message}'));
  END $$`;

test('an error that says that a role is gone, or there, is surfaced where it comes again and this node knows better', async () => {
  const { admin } = await node();
  await admin.query(
    `${tables}; CREATE ROLE gone_group; CREATE ROLE gone LOGIN; GRANT gone_group TO gone; CREATE ROLE other`,
  );
  for (const [call, code] of [
    ["rolecall.revoke_role('gone_group', 'gone')", '42704'],
    ["rolecall.remove_user('gone')", '42704'],
    ["rolecall.grant_role('gone_group', 'other')", '42704'],
    ["rolecall.grant_role('gone_group', 'other')", '23505'],
    ["rolecall.create_user_with_grants('unseen', NULL, NULL)", '42710'],
    [provisioning('gone'), '42704'],
  ] as const) {
    await admin.query('BEGIN');
    await admin.query(failing(code, 'a worker says so'));
    const error: unknown = await admin.query(`SELECT * FROM ${call}`).catch((caught: unknown) => caught);
    await admin.query('ROLLBACK');
    assert.equal((error as DatabaseError).code, code, `${call}: ${String(error)}`);
    assert.equal((error as DatabaseError).message, 'a worker says so', call);
    assert.match((error as DatabaseError).detail ?? '', /^The statement was: /, call);
  }
  await admin.end();
});

test('a connection between the nodes that is lost is surfaced like other errors, without the verifier', async () => {
  const { admin } = await node();
  await admin.query('CREATE ROLE lost LOGIN');
  await admin.query(failing('08006', 'connection to the remote node failed'));
  for (const call of [
    "rolecall.set_password('lost', 'plain')",
    "rolecall.create_user_with_grants('lost_new', 'plain', NULL)",
    "rolecall.remove_user('lost')",
  ]) {
    const error: unknown = await admin.query(`SELECT * FROM ${call}`).catch((caught: unknown) => caught);
    const { code, message, detail, hint, where } = error as DatabaseError;
    assert.deepEqual(
      [code, message, hint],
      ['08006', 'connection to the remote node failed', 'Nothing was changed: the call is undone as a whole.'],
    );
    assert.match(detail ?? '', /^The statement was: /);
    assert.doesNotMatch(`${detail} ${where}`, /SCRAM|plain/);
    assert.doesNotMatch(where ?? '', /EXECUTE|SQL statement/);
  }
  await admin.end();
});

test('the lock on a role is not sent to the other nodes, and the setting is what it was, also after an error', async () => {
  const { admin } = await node();
  await admin.query("CREATE ROLE locked; COMMENT ON ROLE locked IS 'mine'; LOAD 'auto_explain'");
  for (const value of ['on', 'off']) {
    await admin.query(`SET citus.enable_ddl_propagation = ${value}`);
    const setting = async () => (await admin.query('SHOW citus.enable_ddl_propagation')).rows as unknown[];
    const before = cluster.log().length;
    await admin.query('SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on');
    await admin.query('SELECT rolecall_internal.comment_lock($1, $1::text::regrole)', ['locked']);
    await admin.query('RESET auto_explain.log_min_duration');
    assert.deepEqual(await setting(), [{ 'citus.enable_ddl_propagation': value }]);
    const set = [
      ...cluster
        .log()
        .slice(before)
        .matchAll(/Query Text: SELECT set_config\('citus.enable_ddl_propagation', ([^,]*),/g),
    ];
    assert.deepEqual(
      set.map(([, to]) => to),
      ["'off'", 'v_propagates'],
    );
    // A role that is gone by then.
    await admin.query('SELECT rolecall_internal.comment_lock($1, 1::oid)', ['nobody_here']);
    assert.deepEqual(await setting(), [{ 'citus.enable_ddl_propagation': value }]);
  }
  assert.equal(
    (await admin.query("SELECT shobj_description('locked'::regrole, 'pg_authid') AS comment")).rows[0].comment,
    'mine',
  );
  await admin.end();
});
