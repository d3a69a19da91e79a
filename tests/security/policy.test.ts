/**
 * Policies and their kin, among roles that wish the superuser who calls them ill: nobody gets more by such a call
 * than was asked for, and nobody can keep it from ending.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from 'pg';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';

const { cluster, database, admin, login } = await placeOfFile();
await admin.query(`CREATE ROLE mallory LOGIN CREATEROLE PASSWORD 'mallory'; CREATE ROLE accomplice;
  SELECT rolecall.add_operator('mallory')`);
const mallory = await login('mallory');

const rows = async (query: string, client = admin): Promise<unknown[]> =>
  (await client.query<unknown[]>({ text: query, rowMode: 'array' })).rows;
const record = async (section: string, key: unknown, resource: unknown): Promise<void> => {
  await mallory.query('INSERT INTO rolecall_internal.resource (section, key, resource) VALUES ($1, $2, $3)', [
    section,
    JSON.stringify(key),
    JSON.stringify(resource),
  ]);
};

test('a policy gives no attribute that somebody else could take', async () => {
  await mallory.query('CREATE ROLE dba');
  if (cluster.version < 16) await mallory.query('GRANT dba TO mallory');
  const policy = `'{"roles": {"dba": {"createdb": true, "createrole": true, "replication": true, "bypassrls": true,
    "connection_limit": 7}}}'`;
  assert.deepEqual(
    await rows(`SELECT operation, status, sqlstate, note FROM rolecall.apply(${policy}) ORDER BY note NULLS FIRST`),
    [
      ['alter_role', 'applied', null, null],
      // Mallory has CREATEROLE itself.
      ...(['BYPASSRLS', 'CREATEDB', 'REPLICATION'] as const).map((attribute) => [
        'alter_role',
        'skipped',
        '42501',
        `${attribute} could be taken by "mallory", by membership or ADMIN OPTION`,
      ]),
    ],
  );
  const present = `SELECT rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = 'dba'`;
  await admin.query('SELECT rolecall.converge()');
  assert.deepEqual(await rows(present), [[false, true, false, false]]);
  // The statement of the step ends that first.
  const steps = await rows(`SELECT statement FROM rolecall.drift() WHERE target = 'dba'`);
  for (const [statement] of steps as [string][]) await admin.query(statement.replace(/^REVOKE [^;]*;/, ''));
  assert.deepEqual(await rows(present), [[true, true, true, true]]);
  await admin.query(`DROP ROLE dba; SELECT rolecall.forget('dba')`);
});

test('one call ends a membership given by hand and gives the powers that its member could have taken', async () => {
  const policy = `'{"roles": {"boss": {"createdb": true, "member_of": ["pg_monitor"]}}, "privileges":
    [{"to": "boss", "on": {"function": "pg_catalog.pg_ls_dir(text)"}, "grant": ["EXECUTE"]}]}'`;
  const both = `'{"roles": {"boss": {"createdb": true, "member_of": ["pg_monitor"]}, "clerk": {}}, "privileges":
    [{"to": "boss", "on": {"function": "pg_catalog.pg_ls_dir(text)"}, "grant": ["EXECUTE"]}]}'`;
  const has = async () =>
    (
      await rows(`SELECT rolcreatedb, pg_has_role('boss', 'pg_monitor', 'MEMBER'),
        has_function_privilege('boss', 'pg_ls_dir(text)', 'EXECUTE') FROM pg_roles WHERE rolname = 'boss'`)
    )[0];
  const apply = (document: string, dryRun = false) =>
    rows(`SELECT operation, status, sqlstate FROM rolecall.apply(${document}, dry_run => ${dryRun}) ORDER BY 1, 2, 3`);
  const by = cluster.version < 16 ? '' : ' GRANTED BY postgres';
  const done = (status: string) =>
    ['alter_role', 'grant_privilege', 'grant_role', 'revoke_role'].map((operation) => [operation, status, null]);
  const powers = ['alter_role', 'grant_privilege', 'grant_role'].map((operation) => [operation, 'skipped', '42501']);

  await admin.query('CREATE ROLE boss; CREATE ROLE clerk; GRANT boss TO clerk');
  // A policy that does not end the membership gives no power.
  assert.deepEqual(await apply(policy, true), powers);
  assert.deepEqual(await apply(policy), powers);
  assert.deepEqual(await has(), [false, false, false]);
  // One that does gives all of them, and says so before.
  assert.deepEqual(await apply(both, true), done('planned'));
  assert.deepEqual(
    await rows(`SELECT statement FROM rolecall.apply(${both}, dry_run => true) WHERE operation IN ('alter_role', 'revoke_role')
      ORDER BY 1`),
    [['ALTER ROLE boss CREATEDB'], [`REVOKE boss FROM clerk${by}`]],
  );
  await admin.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  assert.deepEqual(await apply(both), done('applied'));
  await admin.query('ROLLBACK');
  assert.deepEqual(await apply(both), done('applied'));
  assert.deepEqual(await has(), [true, true, true]);
  assert.deepEqual(await apply(both), []);

  // Where somebody else could take it too, or has granted the membership besides, nothing is given.
  const reset = `ALTER ROLE boss NOCREATEDB; REVOKE pg_monitor FROM boss; REVOKE EXECUTE ON FUNCTION pg_ls_dir(text) FROM boss`;
  await admin.query(`${reset}; GRANT boss TO clerk, accomplice`);
  assert.deepEqual(await apply(both, true), [...powers, ['revoke_role', 'planned', null]]);
  assert.deepEqual(await apply(both), [...powers, ['revoke_role', 'applied', null]]);
  assert.deepEqual(await has(), [false, false, false]);
  await admin.query('REVOKE boss FROM accomplice');

  // A member that the policy asks for as well is to have them, once it cannot grant the role on.
  const asks = (options: string) => `'{"roles": {"boss": {"createdb": true, "member_of": ["pg_monitor"]}, "clerk":
    {"member_of": [{"role": "boss"${options}}]}}, "privileges":
    [{"to": "boss", "on": {"function": "pg_catalog.pg_ls_dir(text)"}, "grant": ["EXECUTE"]}]}'`;
  const given = powers.map(([operation]) => [operation, 'applied', null]);
  const forget = `SELECT rolecall.forget('boss'); SELECT rolecall.forget('clerk'); ${reset}`;
  for (const [option, steps] of [
    ['', given],
    [' WITH ADMIN OPTION', done('applied')],
  ] as const) {
    await admin.query(`${forget}; GRANT boss TO clerk${option}`);
    assert.deepEqual(await apply(asks('')), steps);
    assert.deepEqual(await has(), [true, true, true]);
    assert.deepEqual(await apply(asks('')), []);
  }
  // Restoring that, after both have changed, takes one call too.
  await admin.query(`${reset}; GRANT boss TO clerk WITH ADMIN OPTION; SELECT rolecall.converge()`);
  assert.deepEqual(await has(), [true, true, true]);
  // One that can grant the role on, and one of whom it could be taken, are given nothing; nor does an additive policy.
  await admin.query(`${forget}; GRANT boss TO clerk WITH ADMIN OPTION`);
  assert.deepEqual(await apply(asks(', "admin": true')), powers);
  await admin.query(`${forget}`);
  assert.deepEqual(
    await rows(`SELECT operation, status, sqlstate FROM rolecall.apply(${asks('')}, 'additive') ORDER BY 1`),
    powers,
  );
  await admin.query(`${forget}; REVOKE ADMIN OPTION FOR boss FROM clerk; CREATE ROLE trainee; GRANT clerk TO trainee`);
  assert.deepEqual(await apply(asks('')), powers);
  assert.deepEqual(await has(), [false, false, false]);
  await admin.query(`DROP ROLE trainee; REVOKE boss FROM clerk; ${forget}`);

  // Nor where the one who calls may not end it: on 16, whoever granted it keeps it.
  if (cluster.version >= 16) {
    await admin.query(`CREATE ROLE chief LOGIN CREATEROLE CREATEDB PASSWORD 'chief'; SELECT rolecall.add_operator('chief');
      GRANT boss, clerk TO chief WITH ADMIN OPTION, INHERIT FALSE, SET FALSE; GRANT boss TO clerk;
      CREATE ROLE other; GRANT boss TO other WITH ADMIN OPTION; GRANT boss TO clerk GRANTED BY other`);
    const chief = await cluster.connect({ database, user: 'chief', password: 'chief' });
    const { rows: steps } = await chief.query<{ operation: string; status: string }>(
      `SELECT operation, status FROM rolecall.apply('{"roles": {"boss": {"createdb": true}, "clerk": {}}}')
       WHERE operation = 'alter_role'`,
    );
    assert.deepEqual(steps, [{ operation: 'alter_role', status: 'skipped' }]);
    assert.deepEqual(await has(), [false, false, false]);
    await chief.end();
    await admin.query(`REVOKE boss FROM clerk GRANTED BY other; REVOKE boss FROM other, chief, clerk; REVOKE clerk FROM chief;
      DROP ROLE other; SELECT rolecall.remove_operator('chief'); DROP OWNED BY chief; DROP ROLE chief`);

    // Nor where another session has granted it again in the meantime: the call waits for that one, and looks again.
    await admin.query('GRANT boss TO clerk');
    const other = await cluster.connect({ database });
    await other.query('BEGIN; GRANT boss TO accomplice');
    const call = apply(both);
    await until('the call waits', async () => {
      const { rows: waiting } = await other.query('SELECT FROM pg_locks WHERE NOT granted');
      return waiting.length > 0;
    });
    await other.query('COMMIT');
    assert.deepEqual(await call, [...powers, ['revoke_role', 'applied', null]]);
    assert.deepEqual(await has(), [false, false, false]);
    await other.query('REVOKE boss FROM accomplice');
    await other.end();
  }

  await admin.query(`DROP OWNED BY boss, clerk; DROP ROLE boss, clerk;
    SELECT rolecall.forget('boss'); SELECT rolecall.forget('clerk')`);
});

test('who owns all that is in a schema of another by now is given nothing that is made there later', async () => {
  await admin.query(
    `CREATE SCHEMA shared; CREATE ROLE lou LOGIN PASSWORD 'lou'; GRANT CREATE, USAGE ON SCHEMA shared TO lou`,
  );
  const lou = await cluster.connect({ database, user: 'lou', password: 'lou' });
  await lou.query(`CREATE TABLE shared.bait (id integer); CREATE FUNCTION shared.bait() RETURNS integer LANGUAGE sql AS 'SELECT 1';
    GRANT ALL ON shared.bait TO accomplice; GRANT EXECUTE ON FUNCTION shared.bait() TO accomplice;
    ALTER DEFAULT PRIVILEGES IN SCHEMA shared GRANT ALL ON TABLES TO accomplice;
    ALTER DEFAULT PRIVILEGES IN SCHEMA shared GRANT ALL ON FUNCTIONS TO accomplice`);
  await lou.end();
  await admin.query(`CREATE TABLE pg_temp.document AS SELECT rolecall.inspect('{lou,accomplice}', true) AS policy`);
  assert.deepEqual(await rows('SELECT FROM pg_temp.document, rolecall.apply(policy)'), []);
  await admin.query(`CREATE TABLE shared.salary (amount integer);
    CREATE FUNCTION shared.pay() RETURNS integer LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION shared.pay() FROM PUBLIC`);
  await admin.query('SELECT FROM pg_temp.document, rolecall.apply(policy)');
  await admin.query('SELECT rolecall.converge()');
  assert.deepEqual(
    await rows(`SELECT has_table_privilege('accomplice', 'shared.salary', 'SELECT'),
      has_function_privilege('accomplice', 'shared.pay()', 'EXECUTE')`),
    [[false, false]],
  );
  await admin.query(`SELECT rolecall.forget('lou'); SELECT rolecall.forget('accomplice'); DROP TABLE pg_temp.document`);
});

test('renaming a role gives what is recorded about an earlier role of a name to nobody', async () => {
  await admin.query(`CREATE ROLE vault; SELECT rolecall.create_user('bob'); SELECT rolecall.grant_role('vault', 'bob');
    DROP ROLE bob`);
  await mallory.query('CREATE ROLE bob');
  await admin.query(`SELECT rolecall.rename_user('vault', 'safe'); SELECT rolecall.converge()`);
  assert.deepEqual(
    await rows(`SELECT FROM pg_auth_members WHERE roleid = 'safe'::regrole AND member = 'bob'::regrole`),
    [],
  );
  await admin.query(`DROP ROLE bob, safe; SELECT rolecall.forget('bob'); SELECT rolecall.forget('safe');
    SELECT rolecall.forget('vault')`);

  // Nor where the name was free at that time.
  await admin.query(`CREATE ROLE vault; SELECT rolecall.create_user('bob'); SELECT rolecall.grant_role('vault', 'bob');
    DROP ROLE bob; SELECT rolecall.rename_user('vault', 'safe')`);
  await mallory.query('CREATE ROLE bob');
  await admin.query('SELECT rolecall.converge()');
  assert.deepEqual(
    await rows(`SELECT FROM pg_auth_members WHERE roleid = 'safe'::regrole AND member = 'bob'::regrole`),
    [],
  );
  await admin.query(`DROP ROLE bob, safe; SELECT rolecall.forget('bob'); SELECT rolecall.forget('safe')`);
});

test('names that no policy has, in the record of an operator, keep nobody from applying one', async () => {
  await record('privileges', [null, 'SELECT', {}], {});
  const target = {
    kind: 'table',
    means: 'all',
    object: 'public',
    scope: { except: ['a..b', '"', 'pg_catalog.pg_class.x.y'] },
  };
  await record('privileges', [null, 'SELECT', target], { privilege: 'SELECT', target });
  await record('privileges', ['accomplice', 'SELECT', target], { role: 'accomplice', privilege: 'SELECT', target });
  await admin.query(`SELECT FROM rolecall.apply('{"privileges": [
    {"to": "accomplice", "on": {"tables_in": "public", "except": "public.none"}, "grant": ["SELECT"]}]}')`);
  await admin.query(
    'SELECT rolecall.policy(); SELECT rolecall.drift(); SELECT rolecall.converge(); SELECT * FROM rolecall.undeclared()',
  );
  await admin.query(`SELECT rolecall.forget('accomplice');
    DELETE FROM rolecall_internal.resource WHERE section = 'privileges' AND resource #>> '{target,object}' ~ '^told'`);
});

test('what is asked for about a role that does not exist goes to nobody who takes the name later', async () => {
  await admin.query('CREATE SCHEMA taken; CREATE TABLE taken.salary (id integer)');
  const policy = `'{"schemas": {"taken": {"owner": "phantom"}}, "privileges": [
    {"to": "phantom", "on": {"table": "taken.salary"}, "grant": ["SELECT"]},
    {"to": "phantom", "on": {"columns": "id", "of": "taken.salary"}, "grant": ["UPDATE"]},
    {"to": "phantom", "on": {"tables_in": "taken"}, "grant": ["INSERT"]}]}'`;
  assert.deepEqual(await rows(`SELECT DISTINCT status, sqlstate FROM rolecall.apply(${policy})`), [
    ['skipped', '42704'],
  ]);
  await mallory.query('CREATE ROLE phantom');
  await admin.query('SELECT rolecall.converge()');
  assert.deepEqual(
    await rows(`SELECT n.nspowner = 'phantom'::regrole, has_any_column_privilege('phantom', c.oid, 'SELECT, INSERT, UPDATE')
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = 'taken.salary'::regclass`),
    [[false, false]],
  );
  // Whoever applies the policy again means the role that there is by then.
  await admin.query(`SELECT rolecall.apply(${policy})`);
  assert.deepEqual(await rows(`SELECT has_table_privilege('phantom', 'taken.salary', 'SELECT')`), [[true]]);
  await admin.query(`DELETE FROM rolecall_internal.resource WHERE section IN ('schemas', 'privileges') AND resource::text ~ 'phantom';
    DROP SCHEMA taken CASCADE; DROP ROLE phantom`);
});

test('what a policy gives of a superuser, no record gives again or takes', async () => {
  await admin.query(`CREATE ROLE boss SUPERUSER; CREATE ROLE heir;
    SELECT rolecall.apply('{"roles": {"heir": {"member_of": ["boss"]}, "stranger": {}}}'); GRANT boss TO stranger`);
  await record('memberships', ['stranger', 'boss'], { member: 'stranger', role: 'boss' });
  await admin.query('SELECT rolecall.converge()');
  const members = `SELECT pg_get_userbyid(member) FROM pg_auth_members WHERE roleid = 'boss'::regrole`;
  assert.deepEqual(await rows(members), [['heir']]);
  await admin.query('REVOKE boss FROM heir; SELECT rolecall.converge()');
  assert.deepEqual(await rows(members), []);
  await admin.query(`GRANT boss TO heir; SELECT rolecall.apply('{"roles": {"heir": {}}}')`);
  assert.deepEqual(await rows(members), []);
  await admin.query(`SELECT rolecall.forget('heir'), rolecall.forget('stranger');
    DELETE FROM rolecall_internal.resource WHERE key @> '["boss"]'; DROP ROLE boss, heir, stranger`);
});

test('forget() forgets of PUBLIC what a policy has said, whatever else calls itself so', async () => {
  await admin.query(`SELECT rolecall.forget('public');
    SELECT rolecall.apply('{"privileges": [{"to": "PUBLIC", "on": {"schema": "public"}, "grant": ["USAGE"]},
    {"to": "accomplice", "on": {"schema": "public"}, "grant": ["USAGE"]}]}')`);
  const [[key, resource]] = (await rows(`SELECT key, resource FROM rolecall_internal.resource
    WHERE section = 'privileges' AND key ->> 0 = 'accomplice' AND resource IS NOT NULL`)) as [[unknown, object]];
  await record('privileges', [null, 'x'], resource);
  await record('privileges', [null, 'y'], [1]);
  await record('roles', [null], { name: null });
  assert.deepEqual(await rows(`SELECT statement FROM rolecall.forget('public') WHERE statement ~ '"[xy]"|roles'`), []);
  assert.deepEqual(
    await rows(`SELECT DISTINCT ON (key) key, recorder, resource IS NULL FROM rolecall_internal.resource
      WHERE key IN ($$${JSON.stringify(key)}$$, '[null, "x"]', '[null, "y"]') ORDER BY key, recorded_at DESC`),
    [
      [[null, 'x'], 'mallory', false],
      [[null, 'y'], 'mallory', false],
      [key, 'postgres', false],
    ],
  );
  assert.deepEqual(await rows(`SELECT FROM rolecall.drift() WHERE note ~ 'postgres'`), []);
  await admin.query(`SELECT rolecall.forget('accomplice');
    DELETE FROM rolecall_internal.resource WHERE recorder = 'mallory' AND key ->> 0 IS NULL`);
});

test('what a superuser alone can set for a role is not set again for an operator', async () => {
  await mallory.query(`CREATE ROLE helper LOGIN PASSWORD 'helper'`);
  await admin.query(`ALTER ROLE helper SET lo_compat_privileges = on; ALTER ROLE helper SET work_mem = '7MB'`);
  await record('settings', ['helper', 'lo_compat_privileges'], {
    role: 'helper',
    name: 'lo_compat_privileges',
    value: 'on',
  });
  await record('settings', ['helper', 'work_mem'], { role: 'helper', name: 'work_mem', value: '7MB' });
  await admin.query('ALTER ROLE helper RESET ALL; SELECT rolecall.converge()');
  assert.deepEqual(await rows(`SELECT rolconfig FROM pg_roles WHERE rolname = 'helper'`), [[['work_mem=7MB']]]);
  await admin.query(`SELECT rolecall.forget('helper'); DROP ROLE helper`);
});

/** An open transaction of somebody who may change the same: the call gives up. */
async function holding(client: Client, statements: string, call: string): Promise<void> {
  await client.query(`BEGIN; ${statements}`);
  await admin.query(`SET lock_timeout = '100ms'`);
  await assert.rejects(admin.query(`SELECT FROM rolecall.${call}`), {
    code: '55P03',
    hint: 'End the session that holds the lock, by pg_terminate_backend(), or set lock_timeout to more than 30 s.',
  });
  await client.query('ROLLBACK');
  await admin.query('RESET lock_timeout');
}

test('a role that is called PUBLIC is taken for nobody but itself', async () => {
  await admin.query(`CREATE SCHEMA told; CREATE TABLE told.shown (); CREATE FUNCTION told.f() RETURNS integer LANGUAGE sql
    AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION told.f() FROM PUBLIC; GRANT SELECT ON told.shown TO PUBLIC`);
  await mallory.query('CREATE ROLE "PUBLIC"; CREATE TABLE pg_temp.bait (); GRANT INSERT ON bait TO "PUBLIC"');
  assert.deepEqual(await rows('SELECT s.statement FROM rolecall.apply(rolecall.inspect()) AS s'), []);
  assert.deepEqual(await rows('SELECT s.statement FROM rolecall.apply(rolecall.policy()) AS s'), []);
  const entries = `SELECT e -> 'to', e -> 'revoke' FROM jsonb_array_elements(rolecall.inspect() -> 'privileges') AS e
    WHERE e #> '{on,function}' ? 'told.f()' ORDER BY 1`;
  assert.deepEqual(await rows(entries), [['public', ['EXECUTE']]]);
  assert.deepEqual(
    await rows(`SELECT DISTINCT a -> 'everybody', a -> 'reads' FROM jsonb_array_elements(
      rolecall.role_graph('json', '{PUBLIC}')::jsonb -> 'access') AS a WHERE a ->> 'schema' = 'told'`),
    [[true, true]],
  );
  await admin.query(`GRANT INSERT ON told.shown TO "PUBLIC"`);
  const [[graph]] = (await rows(`SELECT rolecall.role_graph('mermaid', '{PUBLIC}')`)) as [[string]];
  assert.match(graph, /r1 -. "writes" .-> s/);
  await mallory.query('DROP TABLE bait');
  await admin.query(
    `DROP SCHEMA told CASCADE; DROP OWNED BY "PUBLIC"; DROP ROLE "PUBLIC"; SELECT rolecall.forget('PUBLIC');
    DELETE FROM rolecall_internal.resource WHERE section = 'privileges' AND resource #>> '{target,object}' ~ '^told'`,
  );
  assert.deepEqual(await rows(entries), []);
});

test('what undeclared() would have ended is what nobody asked for, whatever owners are called', async () => {
  await mallory.query('CREATE ROLE "x REVOKE y"');
  await admin.query(`CREATE SCHEMA later; CREATE ROLE reads; SELECT rolecall.apply('{"roles": {"reads": {}}, "privileges": [
    {"to": "reads", "on": {"future_tables": "later", "owners": "x REVOKE y"}, "grant": ["SELECT"]}]}');
    ALTER DEFAULT PRIVILEGES FOR ROLE "x REVOKE y" IN SCHEMA later REVOKE SELECT ON TABLES FROM reads;
    ALTER DEFAULT PRIVILEGES FOR ROLE "x REVOKE y" IN SCHEMA later GRANT INSERT ON TABLES TO reads`);
  assert.deepEqual(await rows(`SELECT remedy FROM rolecall.undeclared() WHERE kind = 'default privilege'`), [
    ['ALTER DEFAULT PRIVILEGES FOR ROLE "x REVOKE y" IN SCHEMA later REVOKE INSERT ON TABLES FROM reads'],
  ]);
  await admin.query(`DROP OWNED BY "x REVOKE y"; DROP ROLE "x REVOKE y"; DROP SCHEMA later; DROP OWNED BY reads; DROP ROLE reads;
    SELECT rolecall.forget('reads')`);
});

test('a user that is kept locked keeps no other user from being locked when it has expired', async () => {
  await mallory.query(`CREATE ROLE friend LOGIN; CREATE ROLE alone LOGIN`);
  await admin.query(`SELECT rolecall.create_user('friend'); SELECT rolecall.create_user('alone'); SELECT rolecall.create_user('zoe');
    ALTER ROLE friend VALID UNTIL '2020-01-01'; ALTER ROLE zoe VALID UNTIL '2020-01-01'; SET lock_timeout = '200ms'`);
  await mallory.query(`BEGIN; ALTER ROLE friend CONNECTION LIMIT 5`);
  const expire = 'SELECT target, status, sqlstate FROM rolecall.expire_users()';
  assert.deepEqual(await rows(expire), [
    ['friend', 'skipped', '55P03'],
    ['zoe', 'applied', null],
  ]);
  assert.deepEqual(await rows(`SELECT rolname FROM pg_roles WHERE rolname IN ('friend', 'zoe') AND rolcanlogin`), [
    ['friend'],
  ]);
  await assert.rejects(rows(expire), { code: '55P03' }, 'where there is no other, it is an error');
  await mallory.query('ROLLBACK');
  assert.deepEqual(await rows(expire), [['friend', 'applied', null]]);
  await admin.query(
    `SET lock_timeout = 0; SELECT rolecall.remove_user(u) FROM unnest('{friend,alone,zoe}'::text[]) AS u`,
  );
});

test('a role that is kept locked keeps converge() from no other', async () => {
  await mallory.query('CREATE ROLE friend LOGIN; CREATE ROLE gang');
  await admin.query(`SELECT rolecall.create_user('zoe');
    SELECT rolecall.grant_role('gang', u) FROM unnest('{friend,zoe}'::text[]) AS u;
    SELECT rolecall.apply('{"roles": {"tim": {"login": true, "comment": "said"}, "friend": {"login": true, "member_of": ["gang"]}}}');
    SELECT rolecall.provision_reporting_role('ken', '{public}'); SELECT rolecall.provision_reporting_role('sam', '{public}');
    REVOKE gang FROM friend, zoe; COMMENT ON ROLE tim IS 'other'; ALTER ROLE ken PASSWORD 'x' CREATEDB; ALTER ROLE sam PASSWORD 'x';
    SET lock_timeout = '200ms'; ALTER ROLE friend CREATEDB`);
  const sam = await cluster.connect({ database, user: 'sam', password: 'x' });
  await sam.query('SET default_transaction_read_only = off');
  await mallory.query(`BEGIN; COMMENT ON ROLE friend IS 'mine'`);
  await sam.query(`BEGIN; ALTER ROLE sam PASSWORD 'y'`);
  const converge = `SELECT operation, target, status, sqlstate FROM rolecall.converge()
    WHERE target = ANY ('{friend,ken,sam,tim,zoe}')`;
  const others = [
    ['alter_role', 'ken', 'applied', null],
    ['set_password', 'ken', 'applied', null],
    ['set_comment', 'tim', 'applied', null],
    ['grant_role', 'zoe', 'applied', null],
  ];
  const held = [
    ['alter_role', 'friend', 'skipped', '55P03'],
    ['grant_role', 'friend', 'skipped', '55P03'],
    ['set_password', 'sam', 'skipped', '55P03'],
  ];
  const sorted = (steps: unknown[]) => steps.map((step) => JSON.stringify(step)).sort();
  assert.deepEqual(sorted(await rows(converge)), sorted([...others, ...held]));
  assert.deepEqual(sorted(await rows(converge)), sorted(held));
  // A call about the role itself ends.
  await assert.rejects(rows(`SELECT rolecall.set_password('friend', 'x')`), { code: '55P03' });
  await mallory.query('ROLLBACK');
  await sam.query('ROLLBACK');
  await sam.end();
  assert.deepEqual(
    sorted(await rows(converge)),
    sorted(held.map(([operation, target]) => [operation, target, 'applied', null])),
  );
  const { rows: passwords } = await admin.query(`SELECT rolecall.reporting_role_password('sam') AS sam`);
  await (await cluster.connect({ database, user: 'sam', password: (passwords[0] as { sam: string }).sam })).end();
  await admin.query(`SET lock_timeout = 0;
    SELECT rolecall.remove_user(u, drop_owned => true) FROM unnest('{friend,gang,ken,sam,tim,zoe}'::text[]) AS u`);
});

test('what a reporting role left that was dropped by hand keeps no other one from its name', async () => {
  await admin.query(`SELECT rolecall.provision_reporting_role('first_reader', '{public}', '{gone}');
    SELECT rolecall.provision_reporting_role('second_reader', '{public}', '{gone}');
    DROP OWNED BY second_reader; DROP ROLE second_reader`);
  await admin.query(`SELECT rolecall.rename_user('first_reader', 'second_reader')`);
  assert.deepEqual(await rows(`SELECT * FROM rolecall.drift() WHERE target ~ '_reader$'`), []);
  await admin.query(`SELECT rolecall.remove_user('second_reader', drop_owned => true)`);
});

test('an open transaction of the owner of a schema, or of a role, holds a call up for a bounded time', async () => {
  await admin.query(`CREATE ROLE lea LOGIN PASSWORD 'lea'; CREATE SCHEMA leas AUTHORIZATION lea;
    DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO lea', current_database()); END $$`);
  const lea = await cluster.connect({ database, user: 'lea', password: 'lea' });
  await holding(
    lea,
    'GRANT USAGE ON SCHEMA leas TO accomplice',
    `apply('{"schemas": {"leas": {"owner": "accomplice"}}}')`,
  );
  await holding(lea, 'CREATE SCHEMA soon', `apply('{"schemas": {"soon": {}}}')`);
  await holding(lea, `ALTER ROLE lea PASSWORD 'other'`, `rename_user('lea', 'lena')`);
  await lea.end();
  // Where no lock_timeout says otherwise.
  assert.deepEqual(
    await rows(
      `SELECT DISTINCT rolecall_internal.patience(o) FROM unnest('{set_owner,create_schema,rename_role}'::text[]) AS o`,
    ),
    [['30s']],
  );
});

test('what the server keeps from PUBLIC, and parameters, are given to no role that somebody else could take', async () => {
  await mallory.query('CREATE ROLE reader_of_files');
  if (cluster.version < 16) await mallory.query('GRANT reader_of_files TO mallory WITH ADMIN OPTION');
  const kept = ['pg_catalog.pg_read_file(text)', 'pg_catalog.lo_export(oid, text)', 'pg_catalog.pg_ls_dir(text)'];
  const entry = (on: unknown, ...grant: string[]) => ({ to: 'reader_of_files', on, grant });
  const policy = JSON.stringify({
    privileges: [
      entry({ function: [...kept, 'pg_catalog.pg_sleep(double precision)'] }, 'EXECUTE'),
      entry({ table: 'pg_catalog.pg_authid' }, 'SELECT'),
      ...(cluster.version < 15 ? [] : [entry({ parameter: 'archive_command' }, 'SET', 'ALTER SYSTEM')]),
    ],
  });
  const apply = (order: string) =>
    rows(`SELECT ${order} FROM rolecall.apply($$${policy}$$) ORDER BY target COLLATE "C"`);
  const note = 'it could be taken by "mallory", by membership or ADMIN OPTION';
  const skipped = (target: string) => [target, 'skipped', '42501', note];
  const warnings: string[] = [];
  const listen = ({ message }: { message?: string | undefined }) => warnings.push(message ?? '');
  admin.on('notice', listen);
  assert.deepEqual(await apply('target, status, sqlstate, note'), [
    ...(cluster.version < 15 ? [] : [skipped('archive_command')]),
    skipped('pg_catalog.lo_export(oid,text)'),
    skipped('pg_catalog.pg_authid'),
    ['pg_catalog.pg_sleep(double precision)', 'applied', null, null],
  ]);
  admin.off('notice', listen);
  assert.ok(
    warnings.includes('role "reader_of_files" is there already, and others administer it or can become it: "mallory"'),
    warnings.join(),
  );
  await mallory.query(cluster.version < 16 ? 'SET ROLE reader_of_files' : 'GRANT reader_of_files TO mallory');
  await assert.rejects(mallory.query(`SELECT pg_read_file('PG_VERSION')`), { code: '42501' });
  await mallory.query('RESET ROLE');
  // The statements of the steps end that first; what is granted then is nobody else's.
  for (const [statement] of (await apply('statement')) as [string][]) await admin.query(statement);
  assert.deepEqual(await apply('target'), []);
  assert.deepEqual(
    await rows(`SELECT has_function_privilege('reader_of_files', 'pg_read_file(text)', 'EXECUTE'),
      pg_has_role('mallory', 'reader_of_files', 'MEMBER')`),
    [[true, false]],
  );
  await admin.query(
    `DROP OWNED BY reader_of_files; DROP ROLE reader_of_files; SELECT rolecall.forget('reader_of_files')`,
  );
});

test('what an extension keeps from PUBLIC, and columns of catalogs, are given to no role that somebody else could take', async () => {
  await mallory.query('CREATE ROLE dialer');
  if (cluster.version < 16) await mallory.query('GRANT dialer TO mallory');
  await admin.query(`CREATE SCHEMA ext; CREATE EXTENSION dblink SCHEMA ext; CREATE ROLE plain`);
  const policy = `'{"privileges": [{"to": ["dialer", "plain"], "on": {"functions_in": "ext"}, "grant": ["EXECUTE"]},
    {"to": ["dialer", "plain"], "on": {"columns": ["rolname", "rolpassword"], "of": "pg_catalog.pg_authid"}, "grant": ["SELECT"]},
    {"to": ["dialer", "plain"], "on": {"columns": ["subname"], "of": "pg_catalog.pg_subscription"}, "grant": ["SELECT"]}]}'`;
  const taken = [
    'GRANT EXECUTE ON ROUTINE ext.dblink_connect_u(text), ext.dblink_connect_u(text,text) TO dialer',
    'GRANT SELECT (rolname, rolpassword) ON pg_catalog.pg_authid TO dialer',
  ];
  const skipped =
    await rows(`SELECT regexp_replace(statement, '^REVOKE [^;]*; ', ''), status, sqlstate FROM rolecall.apply(${policy})
    WHERE operation = 'grant_privilege' AND status = 'skipped' ORDER BY 1`);
  assert.deepEqual(
    skipped,
    taken.map((statement) => [statement, 'skipped', '42501']),
  );
  assert.deepEqual(
    await rows(`SELECT r, has_function_privilege(r, 'ext.dblink_connect_u(text)', 'EXECUTE'), has_function_privilege(r, 'ext.dblink(text)', 'EXECUTE'),
      has_column_privilege(r, 'pg_authid', 'rolpassword', 'SELECT'), has_column_privilege(r, 'pg_subscription', 'subname', 'SELECT')
      FROM unnest('{dialer,plain}'::text[]) AS r`),
    [
      ['dialer', false, true, false, true],
      ['plain', true, true, true, true],
    ],
  );
  await admin.query(`DROP OWNED BY dialer, plain; DROP ROLE dialer, plain; DROP SCHEMA ext CASCADE;
    SELECT rolecall.forget('dialer'); SELECT rolecall.forget('plain')`);
});

test('who has a privilege or a membership does not get the right to pass it on through another role', async () => {
  await admin.query(`CREATE ROLE nora LOGIN PASSWORD 'nora'; CREATE ROLE chief; GRANT chief TO nora; GRANT pg_monitor TO nora;
    GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO nora; GRANT SELECT (rolpassword) ON pg_authid TO nora`);
  const hasParameters = cluster.version >= 15;
  if (hasParameters) await admin.query('GRANT SET ON PARAMETER log_statement TO nora');
  const entry = (on: unknown, grant: string) => ({ to: 'chief', on, grant: [grant], with_grant_option: true });
  const policy = JSON.stringify({
    roles: { chief: { member_of: [{ role: 'pg_monitor', admin: true }] } },
    privileges: [
      entry({ function: 'pg_catalog.pg_ls_dir(text)' }, 'EXECUTE'),
      entry({ columns: ['rolpassword'], of: 'pg_catalog.pg_authid' }, 'SELECT'),
      ...(hasParameters ? [entry({ parameter: 'log_statement' }, 'SET')] : []),
    ],
  });
  const apply = (what: string) => rows(`SELECT ${what} FROM rolecall.apply($$${policy}$$) ORDER BY statement`);
  assert.deepEqual(
    await apply('operation, status, sqlstate'),
    [...Array<string>(hasParameters ? 3 : 2).fill('grant_privilege'), 'grant_role']
      .map((operation) => [operation, 'skipped', '42501'])
      .sort(),
  );
  const nora = await login('nora');
  for (const statement of [
    'GRANT pg_monitor TO accomplice',
    'GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO accomplice',
    'GRANT SELECT (rolpassword) ON pg_authid TO accomplice',
    ...(hasParameters ? ['GRANT SET ON PARAMETER log_statement TO accomplice'] : []),
  ]) {
    await nora.query('SET ROLE chief');
    await assert.rejects(nora.query(statement), { code: '42501' }, statement);
  }
  await nora.end();
  // What it has itself, it can take.
  const plain = policy.replaceAll('true', 'false');
  assert.deepEqual(await rows(`SELECT status, count(*)::integer FROM rolecall.apply($$${plain}$$) GROUP BY status`), [
    ['applied', hasParameters ? 4 : 3],
  ]);
  await admin.query(`DROP OWNED BY nora, chief; DROP ROLE nora, chief; SELECT rolecall.forget('chief')`);
});

test('whoever administers a role that is given a membership, a schema or a privilege is named', async () => {
  await admin.query('CREATE ROLE team; CREATE SCHEMA given; CREATE TABLE given.data ()');
  for (const call of [
    `grant_role('team', 'adopted')`,
    `apply('{"schemas": {"given": {"owner": "adopted"}}}')`,
    `apply('{"privileges": [{"to": "adopted", "on": {"tables_in": "given"}, "grant": ["INSERT"]}]}')`,
  ]) {
    await mallory.query('CREATE ROLE adopted');
    if (cluster.version < 16) await mallory.query('GRANT adopted TO mallory WITH ADMIN OPTION');
    const said: string[] = [];
    const listen = ({ message }: { message?: string | undefined }) => said.push(message ?? '');
    admin.on('notice', listen);
    await admin.query(`SELECT FROM rolecall.${call}`);
    assert.deepEqual(
      said,
      ['role "adopted" is there already, and others administer it or can become it: "mallory"'],
      call,
    );
    await admin.query(`SELECT FROM rolecall.${call}`);
    assert.equal(said.length, 1, call);
    admin.off('notice', listen);
    await admin.query(`SELECT FROM rolecall.remove_user('adopted', 'postgres', true)`);
  }
});

test('a database owner with CREATEROLE applies a policy as far as its rights go, and nothing is left half done', async () => {
  const since16 = cluster.version >= 16;
  await admin.query(
    `CREATE ROLE keeper LOGIN CREATEROLE PASSWORD 'keeper'; CREATE ROLE foreigner NOLOGIN; CREATE ROLE outsiders`,
  );
  const name = await cluster.createDatabase();
  await admin.query(`ALTER DATABASE ${name} OWNER TO keeper`);
  const above = await cluster.connect({ database: name });
  await above.query(
    `CREATE TABLE not_hers (id integer); CREATE SCHEMA not_hers; SELECT rolecall.add_operator('keeper')`,
  );
  const keeper = await cluster.connect({ database: name, user: 'keeper', password: 'keeper' });
  const apply = (policy: object, mode = 'adopt', dryRun = false) =>
    keeper
      .query<{ statement: string; status: string; sqlstate: string | null; note: string | null }>(
        'SELECT statement, status, sqlstate, note FROM rolecall.apply($1, $2, dry_run => $3)',
        [JSON.stringify(policy), mode, dryRun],
      )
      .then(({ rows: steps }) => steps);
  const roles = async () =>
    (await above.query(`SELECT array_agg(r ORDER BY r.oid) AS r FROM pg_authid AS r`)).rows[0].r as string;
  /** Everything that a role could gain, in text. */
  const state = async (client = above) =>
    (
      await client.query(`SELECT array_agg(s.entry ORDER BY s.entry) AS state FROM (
        SELECT a::text FROM pg_authid AS a UNION ALL SELECT m::text FROM pg_auth_members AS m
        UNION ALL SELECT c::text FROM pg_class AS c WHERE c.relpersistence <> 't'
        UNION ALL SELECT n::text FROM pg_namespace AS n UNION ALL SELECT s::text FROM pg_db_role_setting AS s
        UNION ALL SELECT p::text FROM rolecall_internal.resource AS p UNION ALL SELECT d::text FROM pg_default_acl AS d
      ) AS s(entry)`)
    ).rows[0].state as string[];
  await keeper.query(`CREATE SCHEMA shop; CREATE TABLE shop.item (id integer, secret text)`);

  // What it can do: roles of its own, memberships among them, settings, privileges on what it owns.
  const own = {
    roles: {
      k_group: {},
      k_app: {
        login: true,
        connection_limit: 3,
        comment: 'of keeper',
        valid_until: '2030-01-01T00:00:00Z',
        member_of: [{ role: 'k_group', admin: true, ...(since16 ? { inherit: false, set: true } : {}) }],
        settings: { statement_timeout: '5s' },
        database_settings: { work_mem: '1MB' },
      },
    },
    schemas: { shop: { profiles: { reader: 'k_group' } } },
    profiles: { reader: { schema: ['USAGE'], tables: ['SELECT'] } },
    privileges: [{ to: 'k_app', on: { tables_in: 'shop', except: ['shop.item.secret'] }, grant: ['SELECT', 'INSERT'] }],
  };
  const before = await state();
  assert.ok((await apply(own, 'adopt', true)).every(({ status }) => status === 'planned'));
  assert.deepEqual(await state(), before);
  assert.ok((await apply(own)).every(({ status }) => status === 'applied'));
  const done = await state();
  for (const mode of ['adopt', 'authoritative']) assert.deepEqual(await apply(own, mode), []);
  assert.deepEqual(await state(), done);
  await keeper.query('BEGIN READ ONLY');
  assert.deepEqual(await apply(own), []);
  await keeper.query('COMMIT');
  assert.deepEqual((await keeper.query('SELECT * FROM rolecall.drift()')).rows, []);
  assert.deepEqual(
    await rows(
      `SELECT has_table_privilege('k_group', 'shop.item', 'SELECT'), has_column_privilege('k_app', 'shop.item', 'id', 'INSERT'),
         has_column_privilege('k_app', 'shop.item', 'secret', 'INSERT'), pg_has_role('k_app', 'k_group', 'MEMBER')`,
      above,
    ),
    [[true, true, false, true]],
  );
  // What others do to its roles it restores; what it no longer says ends, and authoritative removes what it has
  // created.
  await above.query(`ALTER ROLE k_app CONNECTION LIMIT 9`);
  await above.query('ALTER ROLE k_app RESET statement_timeout; REVOKE SELECT ON shop.item FROM k_group');
  assert.equal((await keeper.query('SELECT FROM rolecall.converge()')).rows.length, 3);
  assert.deepEqual((await keeper.query('SELECT * FROM rolecall.drift()')).rows, []);

  // What it cannot do to objects is a skipped row, and the rest is done.
  const mixed = {
    ...own,
    privileges: [
      ...own.privileges,
      { to: 'k_app', on: { table: 'public.not_hers' }, grant: ['SELECT'] },
      { to: 'k_app', on: { schema: 'not_hers' }, grant: ['USAGE'] },
      { to: 'k_app', on: { language: 'plpgsql' }, grant: ['USAGE'] },
      { to: 'k_app', on: { tablespace: 'pg_default' }, grant: ['CREATE'] },
      { to: 'k_app', on: { database: name }, grant: ['CONNECT'] },
    ],
  };
  const steps = await apply(mixed);
  assert.deepEqual(
    steps.filter(({ status }) => status === 'applied').map(({ statement }) => statement),
    [`GRANT CONNECT ON DATABASE ${name} TO k_app`],
  );
  assert.deepEqual(
    steps.filter(({ status }) => status !== 'applied').map(({ status, sqlstate }) => `${status} ${sqlstate}`),
    ['skipped 42501', 'skipped 42501', 'skipped 42501', 'skipped 42501'],
  );
  const skipped = await apply(mixed);
  assert.equal(skipped.length, 4);
  const again = await state();
  assert.deepEqual(await apply(mixed), skipped);
  assert.deepEqual(await state(), again);

  // What it cannot do to roles is an error that undoes all of it, or for a power a skipped row.
  const present = await roles();
  for (const refused of [
    { foreigner: { login: true } },
    { k_app: { member_of: ['k_group', 'outsiders'] } },
    { postgres: {} },
    { keeper: {} },
    { foreigner: { state: 'absent' } },
    { foreigner: { settings: { work_mem: '1MB' } } },
    { k_app: { settings: { log_statement: 'none' } } },
  ]) {
    const [first = ''] = Object.keys(refused);
    // Before 16 CREATEROLE is enough for all roles but superusers.
    const may =
      !since16 && !['postgres', 'keeper'].includes(first) && !JSON.stringify(refused).includes('log_statement');
    await keeper.query('BEGIN');
    const outcome = await apply({ roles: { k_new: {}, ...refused } }).then(
      (result) => result.filter(({ status }) => status === 'skipped').map(({ sqlstate }) => sqlstate),
      ({ code }: { code: string }) => code,
    );
    await keeper.query('ROLLBACK');
    assert.deepEqual(
      outcome,
      may ? [] : ['postgres', 'keeper'].includes(first) ? '22023' : '42501',
      JSON.stringify(refused),
    );
    assert.equal(await roles(), present);
  }
  // An attribute that it may not give: BYPASSRLS is a skipped row, and the others are refused with all the rest.
  assert.deepEqual(
    (await apply({ roles: { k_power: { bypassrls: true } } }, 'additive')).map(({ sqlstate }) => sqlstate),
    [null, '42501'],
  );
  for (const attribute of ['replication', ...(since16 ? ['createdb'] : [])])
    await assert.rejects(apply({ roles: { k_other: {}, k_power: { [attribute]: true } } }), { code: '42501' });
  assert.deepEqual(
    await rows(
      `SELECT rolname FROM pg_roles WHERE (rolbypassrls OR rolreplication OR rolcreatedb) AND NOT rolsuper OR rolname = 'k_other'`,
    ),
    [],
  );

  // Nobody has gained a right: keeper has ADMIN on what it has created, and no more.
  assert.deepEqual(
    (
      await above.query(`SELECT rolsuper, rolcreatedb, rolreplication, rolbypassrls, pg_has_role('keeper', 'outsiders', 'MEMBER') AS member,
        has_table_privilege('keeper', 'not_hers', 'SELECT') AS reads FROM pg_roles WHERE rolname = 'keeper'`)
    ).rows,
    [{ rolsuper: false, rolcreatedb: false, rolreplication: false, rolbypassrls: false, member: false, reads: false }],
  );
  // It removes what it has created.
  assert.deepEqual(
    (await apply({ roles: { k_group: {} } }, 'authoritative'))
      .map(({ statement }) => statement)
      .filter((statement) => statement.startsWith('DROP ROLE')),
    ['DROP ROLE k_app', 'DROP ROLE k_power'],
  );
  assert.deepEqual(await rows(`SELECT FROM pg_roles WHERE rolname IN ('k_app', 'k_power')`), []);
  await Promise.all([keeper.end(), above.end()]);
});
