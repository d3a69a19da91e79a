/**
 * Removing a user beside what one session cannot bring about: other databases, the user's own sessions, callers without
 * enough rights, backends that are killed. The races between calls are in same-names.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client, DatabaseError } from 'pg';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';

const names = ['here', `the "other" 'one'`] as const;
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

const { cluster, admin } = await placeOfFile({ name: names[0] });
await admin.query('CREATE ROLE "a plain owner"');
await admin.query(`CREATE DATABASE ${quoted(names[1])}`);
/** A superuser's connection to the other database. */
const elsewhere = await cluster.connect({ database: names[1] });

async function failure(client: Client, call: string): Promise<DatabaseError> {
  try {
    await client.query(call);
  } catch (error) {
    return error as DatabaseError;
  }
  throw new Error(`${call} did not fail`);
}

async function operations(client: Client, call: string): Promise<string[]> {
  const { rows } = await client.query<{ operation: string; status: string }>(call);
  return rows.map(({ operation, status }) => `${operation} ${status}`);
}

async function exists(role: string): Promise<boolean> {
  return (await admin.query('SELECT FROM pg_roles WHERE rolname = $1', [role])).rows.length === 1;
}

/** Tells of sessions whether the server has ended them. */
function ended(sessions: readonly Client[]): () => boolean {
  const gone = new Set<Client>();
  // One that is ended says so more than once.
  for (const session of sessions) session.on('error', () => gone.add(session));
  return () => gone.size === sessions.length;
}

/** Waits until a call waits for a lock. */
const isWaiting = () =>
  until('the call to wait', async () => {
    const { rows } = await admin.query(
      `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%remove_user%'`,
    );
    return rows.length === 1;
  });

test('objects in another database are in the way, and the statement given clears them there', async () => {
  const name = `o'wner "1" %s $$`;
  await admin.query(`CREATE ROLE ${quoted(name)}; CREATE TABLE kept (); ALTER TABLE kept OWNER TO ${quoted(name)}`);
  await elsewhere.query(`
    CREATE SCHEMA s; CREATE TABLE s.t (); ALTER TABLE s.t OWNER TO ${quoted(name)};
    CREATE TABLE s.u (); GRANT SELECT ON s.u TO ${quoted(name)};
    CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION s.f() OWNER TO ${quoted(name)};
    GRANT USAGE ON SCHEMA s TO ${quoted(name)};
  `);
  const { rows } = await admin.query<Record<'database' | 'kind' | 'object' | 'remedy', string>>(
    'SELECT * FROM rolecall.user_dependencies($1)',
    [name],
  );
  assert.deepEqual(
    rows.map(({ database, kind }) => `${database}: ${kind}`),
    [
      'here: table',
      ...['function', 'privileges on relation', 'privileges on schema', 'relation'].map(
        (kind) => `${names[1]}: ${kind}`,
      ),
    ],
  );
  const { rows: oids } = await elsewhere.query<{ object: string }>(`SELECT 'oid ' || 's.t'::regclass::oid AS object`);
  assert.equal(rows.find(({ kind }) => kind === 'relation')?.object, oids[0]?.object);

  for (const options of ['', ', drop_owned => true', `, reassign_to => 'postgres'`, ', dry_run => true']) {
    const error = await failure(admin, `SELECT * FROM rolecall.remove_user($user$${name}$user$${options})`);
    assert.equal(error.code, '2BP01');
    assert.match(error.hint ?? '', /user_dependencies/);
    const lines = (error.detail ?? '').split('\n').filter((line) => line.startsWith('In database '));
    assert.equal(lines.length, /drop_owned|reassign_to/.test(options) ? 1 : 2, options);
    assert.match(
      lines.at(-1) ?? '',
      /^In database "the ""other"" 'one'": function \(oid \d+\), .*relation \(oid \d+\)\. To run there: REASSIGN OWNED BY .* TO "a plain owner"; DROP OWNED BY /,
    );
    assert.ok(
      (await admin.query(`SELECT FROM pg_tables WHERE tablename = 'kept' AND tableowner = $1`, [name])).rows.length,
    );
  }

  for (const { remedy } of rows.filter(({ database }) => database === names[1])) await elsewhere.query(remedy);
  assert.deepEqual((await elsewhere.query('TABLE s.t')).rows, []);
  assert.deepEqual(
    await operations(admin, `SELECT * FROM rolecall.remove_user($user$${name}$user$, drop_owned => true)`),
    ['drop_owned applied', 'drop_role applied'],
  );
  assert.equal(await exists(name), false);
});

test('an operator of another database, whose objects have no names here, is a few rows', async () => {
  const other = await cluster.createDatabase();
  const there = await cluster.connect({ database: other });
  await admin.query('CREATE ROLE far_operator CREATEROLE');
  await there.query("SELECT rolecall.add_operator('far_operator')");
  const { rows } = await admin.query<Record<'kind' | 'object' | 'remedy', string>>(
    "SELECT kind, object, remedy FROM rolecall.user_dependencies('far_operator')",
  );
  assert.deepEqual(
    rows.map(({ kind }) => kind),
    ['privileges on function', 'privileges on relation', 'privileges on schema'],
  );
  assert.match(rows[0]?.object ?? '', /^(oid \d+, ){9}oid \d+ and \d+ more$/);
  // There it is one.
  const seen = await there.query<{ remedy: string }>("SELECT remedy FROM rolecall.user_dependencies('far_operator')");
  assert.deepEqual(seen.rows, [{ remedy: "SELECT rolecall.remove_operator('far_operator')" }]);
  await there.query(seen.rows[0]?.remedy ?? '');
  await there.end();
  assert.deepEqual(await operations(admin, "SELECT * FROM rolecall.remove_user('far_operator')"), [
    'drop_role applied',
  ]);
});

test('the sessions of the user end, and what they had locked is dropped', async () => {
  await admin.query(`
    CREATE ROLE lively LOGIN PASSWORD 'lively'; CREATE SCHEMA AUTHORIZATION lively; CREATE ROLE bystander LOGIN PASSWORD 'bystander';
  `);
  const login = { user: 'lively', password: 'lively' };
  const sessions = await Promise.all(names.map((database) => cluster.connect({ database, ...login })));
  const bystander = await cluster.connect({ database: names[0], user: 'bystander', password: 'bystander' });
  const areLost = ended(sessions);
  await sessions[0]?.query('CREATE TABLE lively.t (); BEGIN; LOCK TABLE lively.t');
  assert.deepEqual(
    await operations(
      admin,
      `SELECT * FROM rolecall.remove_user('lively', drop_owned => true, terminate_sessions => true)`,
    ),
    ['terminate_sessions applied', 'drop_owned applied', 'drop_role applied'],
  );
  await until('the sessions to end', areLost, 20);
  await bystander.query('SELECT 1');
  await bystander.end();
  assert.equal(await exists('lively'), false);
});

test('without being asked to, no session ends', async () => {
  await admin.query(`CREATE ROLE lively LOGIN PASSWORD 'lively'`);
  const session = await cluster.connect({ database: names[0], user: 'lively', password: 'lively' });
  assert.deepEqual(await operations(admin, `SELECT * FROM rolecall.remove_user('lively')`), ['drop_role applied']);
  assert.equal((await session.query('SELECT 1 AS one')).rows.length, 1);
  await session.end();
});

test('a session that began after the plan ends too', async () => {
  await admin.query(`CREATE ROLE lively LOGIN PASSWORD 'lively'`);
  const login = { database: names[0], user: 'lively', password: 'lively' };
  const blocker = await cluster.connect({ database: names[0] });
  const sessions = [await cluster.connect(login)];
  await blocker.query(`BEGIN; COMMENT ON ROLE lively IS 'being worked on'`);
  const call = operations(admin, `SELECT * FROM rolecall.remove_user('lively', terminate_sessions => true)`);
  await until('the call to wait', async () => {
    const { rows } = await blocker.query(`SELECT FROM pg_locks WHERE NOT granted`);
    return rows.length === 1;
  });
  sessions.push(await cluster.connect(login));
  const areLost = ended(sessions);
  await blocker.query('COMMIT');
  assert.deepEqual(await call, ['terminate_sessions applied', 'drop_role applied']);
  await until('the sessions to end', areLost, 20);
  await blocker.end();
});

test('a caller with CREATEROLE may remove what it may drop, and is told what is missing', async () => {
  await admin.query(`CREATE ROLE caller CREATEROLE LOGIN PASSWORD 'caller'; SELECT rolecall.add_operator('caller')`);
  const caller = await cluster.connect({ database: names[0], user: 'caller', password: 'caller' });
  // What it has created, with a membership that it could not revoke.
  await caller.query(`SELECT rolecall.create_user_with_grants('made', 'made', '{}')`);
  await admin.query(
    `CREATE ROLE company; GRANT company TO made; CREATE TABLE made_table (); ALTER TABLE made_table OWNER TO made`,
  );
  const session = await cluster.connect({ database: names[0], user: 'made', password: 'made' });
  const isLost = ended([session]);

  const remove = `SELECT * FROM rolecall.remove_user('made', drop_owned => true, terminate_sessions => true)`;
  const rights = await failure(caller, remove);
  assert.equal(rights.code, '42501');
  assert.match(
    rights.hint ?? '',
    cluster.version >= 16 ? /GRANT made TO caller WITH INHERIT TRUE/ : /GRANT made TO caller\.$/,
  );
  assert.match(rights.detail ?? '', /DROP OWNED BY made/);
  assert.equal((await session.query('SELECT 1 AS one')).rows.length, 1, 'the session was not ended in vain');
  await caller.query(`GRANT made TO caller ${cluster.version >= 16 ? 'WITH INHERIT TRUE' : ''}`);
  assert.deepEqual(await operations(caller, remove), [
    'terminate_sessions applied',
    'drop_owned applied',
    'drop_role applied',
  ]);
  await until('the session to end', isLost, 20);
  assert.equal(await exists('made'), false);

  // What others have created.
  await admin.query(`CREATE ROLE foreigner LOGIN PASSWORD 'foreigner'; CREATE ROLE chief SUPERUSER`);
  const foreigner = await cluster.connect({ database: names[0], user: 'foreigner', password: 'foreigner' });
  if (cluster.version >= 16) {
    for (const options of ['', ', terminate_sessions => true']) {
      const error = await failure(caller, `SELECT * FROM rolecall.remove_user('foreigner'${options})`);
      assert.equal(error.code, '42501');
      assert.match(error.hint ?? '', /GRANT foreigner TO caller WITH ADMIN OPTION/);
    }
    await foreigner.query('SELECT 1');
    await admin.query('GRANT foreigner TO caller WITH ADMIN OPTION');
  }
  assert.deepEqual(await operations(caller, `SELECT * FROM rolecall.remove_user('foreigner')`), ['drop_role applied']);
  assert.equal(
    (await failure(caller, `SELECT * FROM rolecall.remove_user('chief')`)).hint,
    cluster.version >= 16
      ? 'Have a superuser make the call.'
      : 'This requires CREATEROLE. Only a superuser can drop a superuser.',
  );
  await foreigner.end();
  await caller.end();
});

test('a membership is not granted to a role that is being dropped', async () => {
  await admin.query(`
    CREATE ROLE grp; CREATE ROLE leaving; CREATE ROLE granter LOGIN CREATEROLE PASSWORD 'granter';
    GRANT grp TO granter WITH ADMIN OPTION; SELECT rolecall.add_operator('granter');
  `);
  // From 16 it may not comment on the member, and so has no lock from that.
  const granter = await cluster.connect({ database: names[0], user: 'granter', password: 'granter' });
  await granter.query(`BEGIN; SELECT rolecall.grant_role('grp', 'leaving')`);
  const dropped = elsewhere.query('DROP ROLE leaving');
  await until(
    'DROP ROLE to wait',
    async () => {
      const { rows } = await admin.query(
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query = 'DROP ROLE leaving'`,
      );
      return rows.length === 1;
    },
    20,
  );
  await granter.query('COMMIT');
  await dropped;
  await granter.end();
  const { rows } = await admin.query(
    'SELECT FROM pg_auth_members AS m WHERE NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = m.member)',
  );
  assert.equal(rows.length, 0);
});

test('two calls that give to the role that the other removes do not deadlock', async () => {
  await admin.query(`
    CREATE ROLE one; CREATE ROLE two;
    CREATE TABLE one_table (); ALTER TABLE one_table OWNER TO one;
    CREATE TABLE two_table (); ALTER TABLE two_table OWNER TO two;
    CREATE TABLE granted_to_both (); GRANT SELECT ON granted_to_both TO one, two;
  `);
  // Whoever has reassigned by then is held up before it drops.
  const blocker = await cluster.connect({ database: names[0] });
  await blocker.query('BEGIN; GRANT INSERT ON granted_to_both TO postgres');
  const callers = await Promise.all([1, 2].map(() => cluster.connect({ database: names[0] })));
  const calls = [`'one', 'two'`, `'two', 'one'`].map((roles, index) =>
    callers[index]?.query(`SELECT * FROM rolecall.remove_user(${roles})`),
  );
  const outcomes = Promise.allSettled(calls);
  await until('both to wait', async () => {
    const { rows } = await admin.query(
      `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%remove_user%'`,
    );
    return rows.length === 2;
  });
  await blocker.query('COMMIT');
  const failed = (await outcomes).flatMap((outcome) =>
    outcome.status === 'rejected' ? [(outcome.reason as DatabaseError).code] : [],
  );
  assert.deepEqual(failed, ['42704'], 'one of them finds the new owner gone');
  assert.notEqual(await exists('one'), await exists('two'));
  await Promise.all([blocker, ...callers].map((client) => client.end()));
});

test('what was recorded after the snapshot of a removal is forgotten all the same', async () => {
  const database = await cluster.createDatabase();
  const [early, late] = [await cluster.connect({ database }), await cluster.connect({ database })];
  const drift = async () =>
    (await late.query<{ statement: string }>('SELECT statement FROM rolecall.drift()')).rows.map(
      ({ statement }) => statement,
    );
  await late.query(`SELECT rolecall.create_base_roles()`);
  await early.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_roles');
  await late.query(`SELECT rolecall.create_user('unseen')`);
  await late.query(`SELECT rolecall.create_user_with_grants('member', NULL, '{unseen}')`);
  assert.deepEqual(await operations(early, `SELECT * FROM rolecall.remove_user('unseen')`), ['drop_role applied']);
  await early.query('COMMIT');
  assert.deepEqual(await drift(), []);

  // And the other way round.
  await early.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_roles');
  await late.query(`SELECT rolecall.remove_user('member')`);
  await early.query(`SELECT rolecall.create_user('member')`);
  await early.query('COMMIT');
  await late.query('DROP ROLE member');
  assert.deepEqual(await drift(), [
    'CREATE ROLE member LOGIN',
    'GRANT anonymous TO member',
    'GRANT authenticated TO member',
  ]);
  await Promise.all([early.end(), late.end()]);
});

test('a client role is removed under a snapshot with a member that is gone', async () => {
  const database = await cluster.createDatabase();
  const [early, late] = [await cluster.connect({ database }), await cluster.connect({ database })];
  await late.query(`SELECT rolecall.create_base_roles(), rolecall.create_client_role('client of snapshot')`);
  for (const name of ['stays', 'goes'])
    await late.query(`SELECT rolecall.create_user_with_grants('${name}', NULL, '{client of snapshot}')`);
  await early.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_roles');
  await late.query(`SELECT rolecall.remove_user('goes')`);
  assert.deepEqual(await operations(early, `SELECT * FROM rolecall.remove_user('client of snapshot')`), [
    'set_config applied',
    'drop_role applied',
  ]);
  await early.query('COMMIT');
  assert.deepEqual((await late.query('SELECT * FROM rolecall.drift()')).rows, []);
  await late.query(`SELECT rolecall.remove_user('stays')`);
  await Promise.all([early.end(), late.end()]);
});

test('a backend killed in the middle leaves the role as it was', async () => {
  await admin.query(`
    SELECT rolecall.create_base_roles();
    SELECT rolecall.create_user('doomed');
    CREATE TABLE doomed_table (); ALTER TABLE doomed_table OWNER TO doomed;
    CREATE TABLE not_owned (); GRANT SELECT ON not_owned TO doomed; CREATE ROLE heir;
  `);
  const blocker = await cluster.connect({ database: names[0] });
  const caller = await cluster.connect({ database: names[0] });
  caller.on('error', () => undefined);
  // By then the table has a new owner, and the privilege is to be revoked.
  await blocker.query('BEGIN; GRANT INSERT ON not_owned TO heir');
  const call = failure(caller, `SELECT * FROM rolecall.remove_user('doomed', reassign_to => 'heir')`);
  await isWaiting();
  await admin.query(
    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%remove_user%'`,
  );
  assert.equal((await call).code, '57P01');
  await blocker.query('ROLLBACK');
  await blocker.end();

  const { rows } = await admin.query<{ owner: string; privilege: boolean; memberships: string[] }>(`
    SELECT relowner::regrole::text AS owner, has_table_privilege('doomed', 'not_owned', 'SELECT') AS privilege,
           ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = 'doomed'::regrole ORDER BY 1) AS memberships
    FROM pg_class WHERE oid = 'doomed_table'::regclass`);
  assert.deepEqual(rows, [{ owner: 'doomed', privilege: true, memberships: ['anonymous', 'authenticated'] }]);
  assert.deepEqual((await admin.query('SELECT FROM rolecall.drift() WHERE target = $1', ['doomed'])).rows, []);
  assert.deepEqual(await operations(admin, `SELECT * FROM rolecall.remove_user('doomed', reassign_to => 'heir')`), [
    'reassign_owned applied',
    'drop_owned applied',
    'drop_role applied',
  ]);
});
