/**
 * A login that has nothing takes every advisory lock whose key it can compute, and holds what it can of a role: no call
 * waits for it without end.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DatabaseError } from 'pg';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';

const { cluster, database, admin, login } = await placeOfFile();
await admin.query(`
  CREATE ROLE attacker LOGIN PASSWORD 'attacker';
  SELECT rolecall.create_base_roles(); SELECT rolecall.create_user('victim'); CREATE ROLE departing;
  SELECT rolecall.provision_reporting_role('reader', '{public}');
`);
const attacker = await login('attacker');

/** Keys of an earlier state, those of today, and what else pg_locks has ever shown of a call. */
const keys = `
  SELECT pg_advisory_lock(1919904099, 0);
  SELECT pg_advisory_lock((1919904099::bigint << 32) | r.oid::bigint) FROM pg_roles AS r;
  SELECT pg_advisory_lock((1919904099::bigint << 32) | p.oid::bigint) FROM pg_proc AS p WHERE p.pronamespace > 11
    AND p.prorettype = 'event_trigger'::regtype;
  SELECT pg_advisory_lock(hashtextextended(n.name, 1919904099))
  FROM (SELECT r.rolname FROM pg_roles AS r UNION SELECT r.oid::text FROM pg_roles AS r UNION VALUES ('newcomer')) AS n(name);`;

for (const call of [
  `SELECT * FROM rolecall.create_user('newcomer', 'secret')`,
  `SELECT * FROM rolecall.set_password('victim', 'secret')`,
  `SELECT * FROM rolecall.watch_new_tables()`,
  `SELECT * FROM rolecall.provision_reporting_role('reader', '{public}', '{tokens}', rotate_after => '0 s')`,
  `SELECT * FROM rolecall.rotate_reporting_secret()`,
  `SELECT * FROM rolecall.grant_role('departing', 'victim')`,
]) {
  test(`${call} is not held up by advisory locks`, async () => {
    await attacker.query(keys);
    await admin.query(`SET statement_timeout = '30s'`);
    const { rows } = await admin.query<{ status: string }>(call);
    assert.ok(rows.length > 0);
    assert.deepEqual(
      rows.filter(({ status }) => status !== 'applied'),
      [],
    );
    assert.equal((await admin.query(`SHOW lock_timeout`)).rows[0].lock_timeout, '0');
    await attacker.query('SELECT pg_advisory_unlock_all()');
  });
}

test('a login cannot take the locks that calls rely on', async () => {
  for (const mode of ['ACCESS SHARE', 'ROW SHARE', 'EXCLUSIVE']) {
    await assert.rejects(attacker.query(`BEGIN; LOCK TABLE rolecall_internal.turn IN ${mode} MODE`), { code: '42501' });
    await attacker.query('ROLLBACK');
  }
  await admin.query(`GRANT USAGE ON SCHEMA rolecall_internal TO attacker`);
  await assert.rejects(attacker.query(`BEGIN; LOCK TABLE rolecall_internal.turn IN ROW SHARE MODE`), { code: '42501' });
  await attacker.query('ROLLBACK');
  await admin.query(`REVOKE USAGE ON SCHEMA rolecall_internal FROM attacker`);
});

test('what an operator locks is waited for no longer than lock_timeout, and a login that is none locks nothing', async () => {
  await admin.query(`CREATE ROLE op LOGIN PASSWORD 'op'; SELECT rolecall.add_operator('op')`);
  const operator = await cluster.connect({ database, user: 'op', password: 'op' });
  await admin.query(`SET lock_timeout = '100ms'`);
  for (const [table, calls] of [
    [
      'turn',
      ['rotate_reporting_secret()', 'watch_new_tables(false)', `provision_reporting_role('reader', '{public}')`],
    ],
    [
      'resource',
      ['drift()', 'converge()', `create_user('victim')`, `apply('{"roles": {"victim": {}}}')`, 'expire_users()'],
    ],
    ['secret', [`get_secret('any')`, `reporting_role_password('reader')`]],
  ] as const) {
    const lock = `LOCK TABLE rolecall_internal.${table}`;
    await assert.rejects(attacker.query(`BEGIN; ${lock} IN ACCESS SHARE MODE`), { code: '42501' });
    await attacker.query('ROLLBACK');
    await operator.query(`BEGIN; ${lock}`);
    for (const call of calls)
      await assert.rejects(admin.query(`SELECT * FROM rolecall.${call}`), { code: '55P03' }, call);
    await operator.query('ROLLBACK');
  }
  await admin.query(`RESET lock_timeout; SELECT rolecall.remove_operator('op')`);
  await operator.end();
});

test('remove_user says who it waits for', async () => {
  await attacker.query(`BEGIN; SELECT pg_get_object_address('role', '{departing}', '{}')`);
  const { pid } = (await attacker.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0] ?? { pid: 0 };
  const notices: (string | undefined)[] = [];
  admin.on('notice', ({ message }) => notices.push(message));
  const removed = admin.query<{ operation: string }>(`SELECT * FROM rolecall.remove_user('departing')`);
  await until('the notice', () => notices.length > 0);
  assert.deepEqual(notices, [
    `waiting to drop role "departing", which other transactions use: process ${pid} (role "attacker", database "${database}")`,
  ]);
  await attacker.query('ROLLBACK');
  assert.deepEqual(
    (await removed).rows.map(({ operation }) => operation),
    ['drop_role'],
  );
});

test('no call waits without end for what a role can lock that may not change it', async () => {
  const impatient = await cluster.createDatabase();
  const client = await cluster.connect({ database: impatient });
  await client.query(`SELECT rolecall.create_base_roles(); SELECT rolecall.create_user('mallory', 'mallory');
    CREATE ROLE leaving; CREATE ROLE team; CREATE ROLE member; GRANT team TO member;
    GRANT team TO mallory WITH ADMIN OPTION; CREATE ROLE recruiter LOGIN CREATEROLE PASSWORD 'recruiter'; CREATE SCHEMA ours; GRANT USAGE, CREATE ON SCHEMA ours TO mallory;
    SELECT rolecall.provision_reporting_role('slow_reader', '{ours}');
    SELECT rolecall.watch_new_tables()`);
  // The same, but that it waits for a shorter time.
  await client.query(`DO $do$ BEGIN
      EXECUTE replace(pg_get_functiondef('rolecall_internal.patience(text)'::regprocedure), '30s', '100ms');
    END $do$`);
  await client.query(`SET statement_timeout = '60s'`);
  const mallory = await cluster.connect({ database: impatient, user: 'mallory', password: 'mallory' });
  const password = `SELECT rolecall.reporting_role_password('slow_reader') AS password`;
  const reader = await cluster.connect({
    database: impatient,
    user: 'slow_reader',
    password: (await client.query<{ password: string }>(password)).rows[0]?.password ?? '',
    options: '-c default_transaction_read_only=off',
  });
  const recruiter = await cluster.connect({ database: impatient, user: 'recruiter', password: 'recruiter' });
  await mallory.query('CREATE TABLE ours.owned ()');
  await client.query('GRANT SELECT ON ours.owned TO leaving');

  const address = (type: string, name: string) => `SELECT pg_get_object_address('${type}', '{${name}}', '{}')`;
  const fails = [
    [mallory, address('role', 'leaving'), `remove_user('leaving', drop_owned => true)`],
    [mallory, 'GRANT SELECT ON ours.owned TO PUBLIC', `remove_user('leaving', drop_owned => true)`],
    [mallory, address('event trigger', 'rolecall_watch_new_tables'), 'watch_new_tables(false)'],
    [mallory, `ALTER ROLE mallory PASSWORD 'mallory'`, `set_password('mallory', 'another')`],
    [reader, `ALTER ROLE slow_reader PASSWORD 'mine'`, 'rotate_reporting_secret()'],
    [mallory, 'GRANT team TO leaving', `grant_role('team', 'leaving')`],
    [mallory, 'GRANT team TO leaving', `apply('{"roles": {"leaving": {"member_of": ["team"]}}}')`],
    [mallory, 'REVOKE team FROM member', `revoke_role('team', 'member')`],
    [recruiter, 'CREATE ROLE wanted', `create_user('wanted')`],
  ] as const;
  for (const [login, held, call] of fails) {
    await login.query(`BEGIN; ${held}`);
    await assert.rejects(
      client.query(`SELECT * FROM rolecall.${call}`),
      ({ code, hint }: DatabaseError) =>
        code === '55P03' && /pg_terminate_backend\(\), or set lock_timeout/.test(hint ?? ''),
      call,
    );
    await login.query('ROLLBACK');
  }
  // One table is skipped, and the others are not.
  await client.query('CREATE TABLE ours.other ()');
  await client.query('REVOKE SELECT ON ours.owned, ours.other FROM slow_reader');
  await mallory.query('BEGIN; GRANT SELECT ON ours.owned TO PUBLIC');
  const { rows } = await client.query(
    `SELECT target, status, sqlstate FROM rolecall.provision_reporting_role('slow_reader', '{ours}')
     WHERE operation = 'grant_privilege' ORDER BY 1`,
  );
  assert.deepEqual(rows, [
    { target: 'ours.other', status: 'applied', sqlstate: null },
    { target: 'ours.owned', status: 'skipped', sqlstate: '55P03' },
  ]);
  await mallory.query('ROLLBACK');

  // One role that keeps itself locked is skipped by rotations, and has its password set by the next run.
  await client.query(`SELECT rolecall.provision_reporting_role('quick_reader', '{ours}')`);
  const keeps = `SELECT rolname FROM pg_authid WHERE rolname ~ '_reader$'
    AND NOT rolecall_internal.password_matches(rolecall.reporting_role_password(rolname), rolpassword)`;
  for (const call of [
    'rotate_reporting_secret()',
    `provision_reporting_role('quick_reader', '{ours}', rotate_after => '0 s')`,
    `apply('{"reporting": {"quick_reader": {"schemas": ["ours"], "rotate_after": "0 s"}}}')`,
  ]) {
    await reader.query(`BEGIN; ALTER ROLE slow_reader PASSWORD 'mine'`);
    const { rows: rotated } = await client.query(
      `SELECT operation, target, status, sqlstate FROM rolecall.${call} WHERE status = 'skipped' OR target = 'quick_reader'`,
    );
    assert.deepEqual(
      rotated.sort((a, b) => a.target.localeCompare(b.target)),
      [
        { operation: 'set_password', target: 'quick_reader', status: 'applied', sqlstate: null },
        { operation: 'set_password', target: 'slow_reader', status: 'skipped', sqlstate: '55P03' },
      ],
      call,
    );
    await reader.query('ROLLBACK');
    assert.deepEqual((await client.query(keeps)).rows, [{ rolname: 'slow_reader' }]);
    await client.query('SELECT rolecall.converge()');
    assert.deepEqual((await client.query(keeps)).rows, []);
    assert.deepEqual((await client.query('SELECT * FROM rolecall.drift()')).rows, []);
  }
  assert.equal((await client.query('SHOW lock_timeout')).rows[0].lock_timeout, '0');
  await Promise.all([client.end(), mallory.end(), reader.end(), recruiter.end()]);
});
