/**
 * What another transaction brings about in the middle of a call, and what passes with it: the call goes on, or undoes
 * what it did and starts over. Each interleaving is held in place by locks.
 */
import assert from 'node:assert/strict';
import { afterEach, before, test } from 'node:test';
import type { Client, DatabaseError } from 'pg';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';

const { cluster, database, admin: observer } = await placeOfFile();
const connect = () => cluster.connect({ database });
const [caller, other, third] = [await connect(), await connect(), await connect()];

before(async () => {
  await other.query('CREATE ROLE client_group');
  // What it asks for later must need no catalog that a test locks.
  await isWaiting(caller);
});
afterEach(async () => {
  for (const client of [other, third, caller]) await client.query('ROLLBACK; RESET ALL');
});

const pid = (client: Client) => (client as unknown as { processID: number }).processID;

const isWaiting = async (client: Client) =>
  (await observer.query('SELECT FROM pg_locks WHERE NOT granted AND pid = $1', [pid(client)])).rowCount === 1;

const waits = (client: Client, what: string) => until(`${what} to wait`, () => isWaiting(client));

async function steps(
  call: Promise<{ rows: { operation: string; target: string; status: string }[] }>,
): Promise<string[]> {
  return (await call).rows.map(({ operation, target, status }) => `${operation} ${target} ${status}`);
}

/** Keeps a rejection for later: it may come before anybody looks. */
function outcome<T>(call: Promise<T>): Promise<T> {
  call.catch(() => undefined);
  return call;
}

/**
 * Runs a call that looks a role up in two states of the cluster, one after the other. At first the other one has
 * pg_authid, and leaves the first state when it commits. Then the third one has pg_proc, where the call finds the
 * function that decides whether an error passes: nothing else that it needs is new to the session.
 */
async function betweenLooks(first: string, call: string, then: string): Promise<string[]> {
  const client = await cluster.connect({ database });
  await client.query(`SELECT * FROM rolecall.create_base_roles('warm_a', 'warm_b', 'warm_c');
    SELECT * FROM rolecall.set_password('warm_a', 'secret')`);
  await assert.rejects(client.query(`SELECT rolecall_internal.check_protected('postgres')`), { code: '22023' });
  await other.query('BEGIN; LOCK TABLE pg_authid');
  const called = outcome(client.query(call));
  await waits(client, 'the call');
  await third.query('BEGIN; LOCK TABLE pg_proc');
  await other.query(`${first}; COMMIT`);
  await Promise.race([waits(client, 'the call that has failed'), called]);
  await third.query(`${then}; COMMIT`);
  const done = await steps(called);
  await client.end();
  return done;
}

test('42704: a role that was missing for a moment', async () => {
  const done = await betweenLooks(
    'CREATE ROLE noise', // or there would be nothing to start over for
    `SELECT * FROM rolecall.set_password('momentary', 'secret')`,
    'CREATE ROLE momentary',
  );
  assert.deepEqual(done, ['set_password momentary applied']);
  await other.query('DROP ROLE momentary, noise');
});

test('22023: a role that was a superuser for a moment', async () => {
  const done = await betweenLooks(
    'CREATE ROLE momentary SUPERUSER',
    `SELECT * FROM rolecall.create_base_roles('momentary', 'momentary_b', 'momentary_c')`,
    'DROP ROLE momentary',
  );
  assert.deepEqual(done, [
    'create_role momentary applied',
    'create_role momentary_b applied',
    'create_role momentary_c applied',
  ]);
  await other.query('DROP ROLE momentary, momentary_b, momentary_c');
});

test('an error that lasts is raised', async () => {
  await other.query('CREATE ROLE lasting SUPERUSER');
  await assert.rejects(caller.query(`SELECT rolecall.create_base_roles('lasting')`), { code: '22023' });
  await assert.rejects(caller.query(`SELECT rolecall.set_password('never', 'secret')`), { code: '42704' });
  await other.query('DROP ROLE lasting');
});

for (const isolation of ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']) {
  test(`a locked role that is dropped and made again is changed as it is then, ${isolation}`, async () => {
    await other.query('CREATE ROLE client LOGIN');
    await caller.query(`BEGIN ISOLATION LEVEL ${isolation}; SELECT FROM pg_roles`);
    await other.query('BEGIN; DROP ROLE client');
    const call = outcome(
      caller.query(`SELECT * FROM rolecall.create_user_with_grants('client', NULL, '{client_group}')`),
    );
    await waits(caller, 'the call');
    await other.query('COMMIT');
    assert.deepEqual(await steps(call), ['create_role client applied', 'grant_role client applied']);
    await caller.query('COMMIT');
    await other.query('DROP ROLE client');
  });

  test(`40P01: a deadlock with DROP ROLE is undone and started over, ${isolation}`, async () => {
    await deadlock(`BEGIN ISOLATION LEVEL ${isolation}; SELECT FROM pg_roles`);
    await other.query('COMMIT');
    assert.deepEqual(await steps(calling), [
      'create_role dead_a applied',
      'create_role dead_c applied',
      'alter_role dead_b applied',
    ]);
    await caller.query('COMMIT');
    await other.query('DROP ROLE dead_a, dead_b, dead_c');
  });
}

let calling: Promise<{ rows: { operation: string; target: string; status: string }[] }>;

/**
 * The call locks dead_a and waits for dead_b, which the third one has; the other one has dropped dead_c and is to drop
 * dead_a, for which it waits. Then the call goes on to dead_c and finds the deadlock: it alone looks for one soon.
 */
async function deadlock(before: string): Promise<void> {
  await other.query('CREATE ROLE dead_a LOGIN; CREATE ROLE dead_b LOGIN; CREATE ROLE dead_c LOGIN');
  await other.query(`SET deadlock_timeout = '1h'; BEGIN; DROP ROLE dead_c`);
  await third.query(`BEGIN; COMMENT ON ROLE dead_b IS 'busy'`);
  await caller.query(`SET deadlock_timeout = '10ms'`);
  await caller.query(before);
  calling = outcome(caller.query(`SELECT * FROM rolecall.create_base_roles('dead_a', 'dead_b', 'dead_c')`));
  await waits(caller, 'the call');
  const dropped = outcome(other.query('DROP ROLE dead_a'));
  await waits(other, 'the other one');
  await third.query('ROLLBACK');
  await dropped;
}

test('40P01: where something is held from before the call, it is raised', async () => {
  for (const before of [
    'BEGIN; CREATE TABLE held ()',
    'BEGIN; SELECT pg_advisory_xact_lock(1)',
    `BEGIN; COMMENT ON ROLE held IS 'held'`,
  ]) {
    await other.query('CREATE ROLE held');
    await deadlock(before);
    await assert.rejects(calling, { code: '40P01' }, before);
    await other.query('COMMIT; DROP ROLE dead_b, held');
    await caller.query('ROLLBACK');
  }
});

test('40P01: what a call has granted is not undone because a role was dropped after it had been looked at', async () => {
  const fresh = await cluster.createDatabase();
  const connect = () => cluster.connect({ database: fresh });
  const [converging, granting, altering] = [await connect(), await connect(), await connect()];
  await granting.query(`CREATE SCHEMA granted; CREATE TABLE granted.one (); CREATE SCHEMA waited; CREATE TABLE waited.two ();
    CREATE TABLE waited.hidden ();
    SELECT rolecall.create_user_with_grants('passer', NULL, '{}');
    SELECT rolecall.provision_reporting_role('waited_reports', '{granted, waited}', '{hidden}');
    REVOKE SELECT ON granted.one, waited.two FROM waited_reports; CREATE ROLE third_party`);
  await granting.query(`SET deadlock_timeout = '1h'`);
  await converging.query(`SET deadlock_timeout = '10ms'`);
  await altering.query('BEGIN; ALTER TABLE waited.two SET (fillfactor = 50)');
  const call = outcome(converging.query('SELECT * FROM rolecall.converge()'));
  await waits(converging, 'the call');
  // Who waits for what a subtransaction has written waits to the end of the transaction, and keeps others from the row.
  const granted = outcome(granting.query('GRANT SELECT ON granted.one TO third_party'));
  await waits(granting, 'the other one');
  await observer.query('DROP ROLE passer');
  await altering.query('COMMIT');
  assert.deepEqual(await steps(call), ['grant_privilege granted applied', 'grant_privilege waited applied']);
  await Promise.allSettled([granted]); // It is no call of ours, and ends in XX000.
  await granting.query(`DROP SCHEMA granted, waited CASCADE; DROP ROLE third_party;
    SELECT rolecall.remove_user('waited_reports', drop_owned => true)`);
  for (const client of [converging, granting, altering]) await client.end();
});

test('what is given to a role between the plan and DROP ROLE is cleared too', async () => {
  for (const [option, operation] of [
    [`reassign_to => 'heir'`, 'reassign_owned'],
    ['drop_owned => true', 'drop_owned'],
  ]) {
    await other.query(`CREATE ROLE heir; CREATE ROLE departing; CREATE TABLE one (); ALTER TABLE one OWNER TO departing;
      CREATE TABLE two ()`);
    // It has the role already, and is held up at the table.
    await third.query('BEGIN; LOCK TABLE one IN ACCESS SHARE MODE');
    const call = outcome(caller.query(`SELECT * FROM rolecall.remove_user('departing', ${option})`));
    await waits(caller, 'the call');
    await other.query('ALTER TABLE two OWNER TO departing');
    await third.query('COMMIT');
    const done = await steps(call);
    assert.equal(done[0], `${operation} departing applied`);
    assert.equal(done.at(-1), 'drop_role departing applied');
    await other.query('DROP TABLE IF EXISTS one, two; DROP ROLE heir');
  }
});

test('what an older snapshot does not show of a role is 40001', async () => {
  await other.query('CREATE ROLE departing; CREATE TABLE given ()');
  await caller.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_roles');
  await other.query('ALTER TABLE given OWNER TO departing');
  await assert.rejects(
    caller.query(`SELECT * FROM rolecall.remove_user('departing', drop_owned => true)`),
    (error: DatabaseError) => error.code === '40001' && error.message.includes('some objects depend on it'),
  );
  await caller.query('ROLLBACK');
  await other.query('DROP TABLE given; DROP ROLE departing');
});

for (const [what, withheld, expected] of [
  ['all tables', '', ['grant_privilege s applied', 'grant_privilege s.gone skipped']],
  ['tables by name', 'hidden', ['grant_privilege s.gone skipped', 'grant_privilege s.kept applied']],
] as const) {
  test(`${what}: one that was dropped since the snapshot keeps no other from being granted`, async () => {
    await other.query('CREATE SCHEMA s; CREATE TABLE s.gone (); CREATE TABLE s.kept (); CREATE TABLE s.hidden ()');
    await other.query(`SELECT rolecall.provision_reporting_role('snapshot_reports', '{s}', '{${withheld}}')`);
    await other.query('REVOKE SELECT ON s.gone, s.kept FROM snapshot_reports');
    if (withheld === '') await other.query('REVOKE SELECT ON s.hidden FROM snapshot_reports');
    await caller.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_roles');
    await other.query('DROP TABLE s.gone');
    const call = caller.query(
      `SELECT * FROM rolecall.provision_reporting_role('snapshot_reports', '{s}', '{${withheld}}')`,
    );
    assert.deepEqual(await steps(call), expected);
    await caller.query('COMMIT');
    await other.query('DROP SCHEMA s CASCADE');
  });
}

test('a setting for a database that was dropped since the snapshot', async () => {
  await other.query('CREATE DATABASE passing');
  await other.query(`SELECT rolecall.provision_reporting_role('set_reports', '{public}')`);
  await other.query('ALTER ROLE set_reports IN DATABASE passing SET search_path = elsewhere');
  await caller.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_roles');
  await other.query('DROP DATABASE passing');
  const call = caller.query(`SELECT * FROM rolecall.provision_reporting_role('set_reports', '{public}')`);
  assert.deepEqual(await steps(call), ['set_config set_reports skipped']);
  await caller.query('COMMIT');
});

test('a membership is not granted in a role that is being dropped', async () => {
  await other.query('CREATE ROLE ending; CREATE ROLE member');
  await caller.query(`BEGIN; SELECT rolecall.grant_role('ending', 'member')`);
  const dropped = outcome(other.query('DROP ROLE ending'));
  await Promise.race([waits(other, 'DROP ROLE'), dropped]);
  await caller.query('COMMIT');
  await dropped;
  const { rows } = await observer.query(
    'SELECT FROM pg_auth_members AS m WHERE NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = m.roleid)',
  );
  assert.deepEqual(rows, []);
  await other.query('DROP ROLE member');
});

/**
 * From 16 on a caller without SUPERUSER drops only roles of which the server knows that it has ADMIN OPTION on them.
 */
const hasMembershipCache = Number(process.env.PG || 18) >= 16;
test(
  '42501: a role that the membership cache does not know yet',
  { skip: !hasMembershipCache && 'from PostgreSQL 16' },
  async () => {
    await other.query(`CREATE ROLE maker CREATEROLE LOGIN PASSWORD 'maker'`);
    await caller.query(`SELECT rolecall.add_operator('maker')`);
    const maker = { database, user: 'maker', password: 'maker' };
    const [stale, rival] = [await cluster.connect(maker), await cluster.connect(maker)];
    const drop = (name: string) => `
    SELECT status FROM rolecall_internal.execute_change(
      ROW('drop_role', '${name}', 'DROP ROLE ${name}', NULL, '{${name}}', NULL, NULL)::rolecall_internal.change, false, false
    )`;
    // Whoever needs nothing but catalogs that it has locked already is told of no change to its caches.
    const settle = async () => {
      await stale.query('BEGIN; CREATE ROLE known; SELECT FROM pg_roles; SELECT FROM pg_auth_members');
      await stale.query(drop('known'));
      await stale.query(
        `CREATE ROLE known; DROP ROLE known; SELECT pg_has_role('pg_monitor', 'MEMBER WITH ADMIN OPTION')`,
      );
    };
    await settle();
    await stale.query('COMMIT');
    await settle();
    await rival.query('CREATE ROLE brief');
    await assert.rejects(stale.query('DROP ROLE brief'), { code: '42501' });
    await stale.query('ROLLBACK');
    await rival.query('DROP ROLE brief');
    await settle();
    await rival.query('CREATE ROLE brief');
    assert.deepEqual((await stale.query(drop('brief'))).rows, [{ status: 'applied' }]);
    await stale.query('COMMIT');
    await Promise.all([stale.end(), rival.end()]);
    await caller.query(`SELECT rolecall.remove_operator('maker')`);
    await other.query('DROP ROLE maker');
  },
);
