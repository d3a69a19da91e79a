/**
 * What an operator writes into the record is acted on by a superuser's calls: it must not become a superuser by that.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Client } from 'pg';
import { placeOfFile } from '../support/place.ts';

const { cluster, database, admin, login } = await placeOfFile({ name: 'app' });
await admin.query(`CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'boss';
  CREATE ROLE mallory LOGIN CREATEROLE PASSWORD 'mallory';
  CREATE SCHEMA clinic; CREATE TABLE clinic.patient (id integer);
  SELECT rolecall.create_base_roles();
  SELECT rolecall.provision_reporting_role('reports', '{clinic}');
  SELECT rolecall.add_operator('mallory')`);
const mallory = await login('mallory');

async function record(client: Client, section: string, key: unknown, resource: unknown): Promise<void> {
  await client.query('INSERT INTO rolecall_internal.resource (section, key, resource) VALUES ($1, $2, $3)', [
    section,
    JSON.stringify(key),
    JSON.stringify(resource),
  ]);
}

async function forgotten(): Promise<void> {
  await admin.query(`DELETE FROM rolecall_internal.resource AS r WHERE r.resource::text ~ 'boss|mallory|spy'`);
}

const skipped = async (): Promise<unknown[]> =>
  (await admin.query(`SELECT target, sqlstate FROM rolecall.drift() WHERE status = 'skipped' AND operation = 'forget'`))
    .rows;

test('a superuser among the base roles is granted to nobody', async () => {
  await record(mallory, 'base_roles', ['authenticated'], { key: 'authenticated', name: 'boss' });
  assert.deepEqual(await skipped(), [{ target: 'boss', sqlstate: '22023' }]);
  await admin.query(`SELECT rolecall.create_user('ann')`);
  // Nor is another role created in its place, where no name is given.
  await assert.rejects(admin.query('SELECT rolecall.create_base_roles()'), {
    code: '22023',
    message: 'the name recorded for the authenticated role is not used: boss',
  });
  const { rows } = await admin.query(`SELECT FROM pg_auth_members WHERE roleid = 'boss'::regrole`);
  assert.deepEqual(rows, []);
  await forgotten();
});

test('a superuser that is recorded as a reporting role keeps its password', async () => {
  await record(mallory, 'read_access', ['boss'], { role: 'boss', schemas: ['clinic'], withheld: [], caller: 'boss' });
  const before = (await admin.query(`SELECT rolpassword FROM pg_authid WHERE rolname = 'boss'`)).rows;
  assert.deepEqual(await skipped(), [{ target: 'boss', sqlstate: '22023' }]);
  await admin.query('SELECT rolecall.rotate_reporting_secret()');
  await admin.query(`SELECT rolecall.provision_reporting_role('reports', '{clinic}', rotate_after => '0')`);
  await admin.query('SELECT rolecall.converge()');
  assert.deepEqual((await admin.query(`SELECT rolpassword FROM pg_authid WHERE rolname = 'boss'`)).rows, before);
  await assert.rejects(mallory.query(`SELECT rolecall.reporting_role_password('boss')`), { code: '42704' });
  await forgotten();
});

test('no record gives an attribute that is as much as everything, nor membership in a superuser', async () => {
  await record(mallory, 'roles', ['mallory'], { name: 'mallory', attributes: { superuser: true } });
  await record(mallory, 'roles', ['spy'], { name: 'spy', initial: { login: true, replication: true } });
  await record(mallory, 'roles', ['boss'], { name: 'boss', attributes: { login: false } });
  await record(mallory, 'memberships', ['mallory', 'boss'], { role: 'boss', member: 'mallory' });
  await record(mallory, 'settings', ['boss', 'search_path'], { role: 'boss', name: 'search_path', value: 'evil' });
  await record(mallory, 'memberships', ['mallory', 'pg_execute_server_program'], {
    role: 'pg_execute_server_program',
    member: 'mallory',
  });
  await record(mallory, 'memberships', ['mallory', 'pg_monitor'], { role: 'pg_monitor', member: 'mallory' });
  // From 16 on it takes ADMIN on a predefined role to grant it.
  assert.deepEqual((await skipped()).length, cluster.version < 16 ? 6 : 7);
  await admin.query('SELECT rolecall.converge()');
  const { rows } = await admin.query(`
    SELECT rolname FROM pg_roles WHERE (rolsuper OR rolreplication OR pg_has_role(oid, 'boss', 'MEMBER'))
      AND rolname IN ('mallory', 'spy')
    UNION ALL SELECT r.rolname FROM pg_roles AS r
    WHERE pg_has_role('mallory', r.oid, 'MEMBER') AND r.rolname = 'pg_execute_server_program'
    UNION ALL SELECT rolname FROM pg_roles WHERE rolname = 'boss' AND (NOT rolcanlogin OR rolconfig IS NOT NULL)`);
  assert.deepEqual(rows, []);
  await forgotten();
});

test('a row is signed by the server with the name of who writes it', async () => {
  await mallory.query(`INSERT INTO rolecall_internal.resource (section, key, resource, recorder, sqlstate, note, roles, made_in)
    VALUES ('memberships', '["mallory", "app_owner"]', '{"role": "app_owner", "member": "mallory"}', 'boss', NULL, NULL, NULL, NULL)`);
  await mallory.query(
    `UPDATE rolecall_internal.resource SET recorder = 'boss', sqlstate = NULL WHERE key ->> 1 = 'app_owner'`,
  );
  const { rows } = await admin.query(
    `SELECT recorder, sqlstate FROM rolecall_internal.resource WHERE key ->> 1 = 'app_owner'`,
  );
  assert.deepEqual(rows, [{ recorder: 'mallory', sqlstate: '42501' }]);
  assert.deepEqual(await skipped(), [{ target: 'mallory', sqlstate: '42501' }]);
  await admin.query('CREATE ROLE app_owner CREATEDB; SELECT rolecall.converge()');
  assert.deepEqual((await admin.query(`SELECT FROM pg_auth_members WHERE roleid = 'app_owner'::regrole`)).rows, []);
  await forgotten();
});

test('a record does not do for an operator what it could not do itself', async () => {
  await admin.query(`CREATE ROLE treasurer LOGIN CREATEDB; CREATE SCHEMA vault; CREATE TABLE vault.gold (id integer)`);
  await record(mallory, 'roles', ['mallory'], { name: 'mallory', attributes: { bypassrls: true, createdb: true } });
  await record(mallory, 'operators', ['mallory_too'], { role: 'mallory_too' });
  await record(mallory, 'read_access', ['treasurer'], { role: 'treasurer', schemas: ['vault'], withheld: [] });
  await mallory.query('CREATE ROLE mallory_reports');
  await record(mallory, 'read_access', ['mallory_reports'], {
    role: 'mallory_reports',
    schemas: ['vault'],
    withheld: [],
  });
  await record(mallory, 'watch', ['new_tables'], { key: 'new_tables', state: 'present' });
  // It may grant these two, but not change what only a role that has it, or a superuser, can.
  await admin.query(`CREATE ROLE copier LOGIN REPLICATION; CREATE ROLE seer BYPASSRLS;
    GRANT copier, seer TO mallory WITH ADMIN OPTION; CREATE SCHEMA mine AUTHORIZATION mallory`);
  await record(mallory, 'read_access', ['copier'], { role: 'copier', schemas: ['mine'], withheld: [] });
  await record(mallory, 'roles', ['seer'], { name: 'seer', attributes: { bypassrls: false } });
  await record(mallory, 'base_roles', ['anonymous'], { key: 'anonymous', name: 'mallory_too' });
  // Below 16 who has CREATEROLE may change and grant every role that is not a superuser.
  if (cluster.version >= 16) {
    await record(mallory, 'memberships', ['mallory', 'treasurer'], { role: 'treasurer', member: 'mallory' });
    await record(mallory, 'settings', ['treasurer', 'statement_timeout'], {
      role: 'treasurer',
      name: 'statement_timeout',
      value: '1ms',
    });
    await record(mallory, 'base_roles', ['authenticated'], { key: 'authenticated', name: 'treasurer' });
  }
  assert.deepEqual(
    (await skipped()).map((row) => (row as { sqlstate: string }).sqlstate),
    Array<string>(cluster.version < 16 ? 8 : 11).fill('42501'),
  );
  await admin.query(
    `SELECT rolecall.converge(); SELECT rolecall.watch_new_tables(); CREATE TABLE vault.silver (id integer)`,
  );
  await admin.query(`SELECT rolecall.watch_new_tables(false)`);
  const notices: string[] = [];
  admin.on('notice', ({ message }) => notices.push(String(message)));
  await admin.query(`SELECT rolecall.create_user('zoe')`);
  assert.ok(notices.includes('the name recorded for the anonymous role is not used: mallory_too'), notices.join('\n'));
  const { rows } = await admin.query(`
    SELECT rolname FROM pg_roles WHERE rolname = 'mallory' AND (rolbypassrls OR rolcreatedb OR pg_has_role(oid, 'treasurer', 'USAGE'))
      OR rolname = 'copier' AND (NOT rolreplication OR rolconfig IS NOT NULL) OR rolname = 'seer' AND NOT rolbypassrls
      OR rolname = 'zoe' AND (NOT pg_has_role(oid, 'anonymous', 'USAGE') OR pg_has_role(oid, 'treasurer', 'USAGE'))
      OR rolname IN ('treasurer', 'mallory_reports')
         AND (rolconfig IS NOT NULL OR has_table_privilege(oid, 'vault.gold', 'SELECT') OR has_table_privilege(oid, 'vault.silver', 'SELECT'))`);
  assert.deepEqual(rows, []);
  await admin.query(`DROP ROLE mallory_reports, copier, seer; DROP SCHEMA mine;
    DELETE FROM rolecall_internal.resource WHERE recorder = 'mallory';
    SELECT rolecall.remove_user('zoe')`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
});

test('what an operator may do is acted on, also when it is gone, and what others have recorded is not added to', async () => {
  await mallory.query(
    `SELECT rolecall.create_user_with_grants('eve', NULL, '{}'); CREATE ROLE team; SELECT rolecall.grant_role('team', 'eve')`,
  );
  await admin.query('DROP ROLE eve');
  await admin.query('SELECT rolecall.converge()');
  assert.ok((await admin.query(`SELECT pg_has_role('eve', 'team', 'MEMBER') AS has`)).rows[0].has);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
  const { rows } = await admin.query(
    `SELECT DISTINCT recorder, sqlstate FROM rolecall_internal.resource WHERE key ->> 0 = 'eve' AND resource IS NOT NULL`,
  );
  assert.deepEqual(rows, [{ recorder: 'mallory', sqlstate: null }]);
  await record(mallory, 'roles', ['eve'], { name: 'eve', attributes: { bypassrls: true }, initial: { login: true } });
  await admin.query(`SELECT rolecall.create_user('eve')`);
  const { rows: kept } = await admin.query(
    `SELECT resource, recorder FROM rolecall_internal.resource WHERE section = 'roles' AND key ->> 0 = 'eve'`,
  );
  assert.deepEqual(kept, [{ resource: { name: 'eve', initial: { login: true } }, recorder: 'postgres' }]);
  assert.deepEqual((await admin.query(`SELECT * FROM rolecall.create_user('eve')`)).rows, []);
  await admin.query(`SELECT rolecall.remove_user('eve'); SELECT rolecall.remove_user('team')`);
});

test('a row of no shape that calls write ends no call', async () => {
  const rows: [string, unknown, unknown][] = [
    ['roles', ['r1'], { name: 'r1', attributes: [] }],
    ['roles', ['r2'], { name: 'r2', attributes: { login: 'maybe' } }],
    ['roles', ['r3'], { name: 'r3', initial: { sudo: true } }],
    ['roles', ['r4'], { name: 'r4', state: 'absent' }],
    ['roles', ['r5'], { name: 'r5', state: 'existing', attributes: { login: true } }],
    ['roles', ['r6'], []],
    ['roles', ['r7'], 7],
    ['roles', 'r8', { name: 'r8' }],
    ['roles', ['r9'], { name: 'mallory' }],
    ['roles', ['public'], { name: 'public' }],
    ['roles', ['x'.repeat(64)], { name: 'x'.repeat(64) }],
    ['roles', [''], { name: '' }],
    ['roles', [7], { name: 7 }],
    ['memberships', ['a', 'b'], { member: 'a', role: 'b', admin: 'yes please' }],
    ['memberships', ['pg_monitor', 'b'], { member: 'pg_monitor', role: 'b' }],
    ['memberships', ['a', 'b', 'c'], { member: 'a', role: 'b' }],
    ['settings', ['mallory', 'statement_timeout'], { role: 'mallory', name: 'statement_timeout', value: 'soon' }],
    ['settings', ['mallory', 'no_such'], { role: 'mallory', name: 'no_such', value: 'x' }],
    ['settings', ['mallory', 'search_path'], { role: 'mallory', name: 'search_path', value: { a: 1 } }],
    ['read_access', ['s1'], { role: 's1', schemas: 'clinic', withheld: [] }],
    ['read_access', ['s2'], { role: 's2', schemas: ['clinic'], withheld: ['"open'] }],
    ['read_access', ['s3'], { role: 's3', schemas: ['clinic', ['x']], withheld: [] }],
    ['read_access', ['s4'], { role: 's4', schemas: ['pg_catalog'], withheld: [] }],
    ['read_access', ['s5'], { role: 's5', schemas: [], withheld: [] }],
    ['base_roles', ['anonymous'], { key: 'anonymous', name: ['a'] }],
    ['watch', ['new_tables'], { key: 'new_tables', state: 1 }],
    ['operators', ['mallory'], { role: 'mallory', note: 'x' }],
    ['nothing', ['x'], { name: 'x' }],
  ];
  for (const row of rows) await record(mallory, ...row);
  for (const client of [admin, mallory]) {
    const { rows: steps } = await client.query(`SELECT operation, status, sqlstate FROM rolecall.drift()`);
    assert.deepEqual(steps.length, rows.length);
    assert.ok(
      steps.every((step) => step.operation === 'forget' && step.status === 'skipped' && step.sqlstate === '22023'),
    );
  }
  await admin.query(`SELECT rolecall.converge(); SELECT rolecall.create_user('yves');
    SELECT rolecall.rotate_reporting_secret(); SELECT rolecall.watch_new_tables(); CREATE TABLE clinic.visit (id integer);
    SELECT rolecall.watch_new_tables(false); SELECT rolecall.remove_user('yves'); SELECT FROM rolecall.audit_role('reports')`);
  const { rows: read } = await admin.query(`SELECT has_table_privilege('reports', 'clinic.visit', 'SELECT') AS may`);
  assert.deepEqual(read, [{ may: true }]);
  await admin.query(`DELETE FROM rolecall_internal.resource WHERE recorder = 'mallory'`);
});

test('a record belongs to the role, not to the next one of its name', async () => {
  await admin.query(`CREATE ROLE club; SELECT rolecall.create_user_with_grants('sam', NULL, '{club}')`);
  // Dropped: created again, with all of it.
  await admin.query(`DROP ROLE sam; SELECT rolecall.converge()`);
  assert.ok((await admin.query(`SELECT pg_has_role('sam', 'club', 'MEMBER') AS has`)).rows[0].has);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
  // Another role of that name.
  await admin.query(`DROP ROLE sam; CREATE ROLE sam`);
  assert.deepEqual(
    (await admin.query('SELECT target, status, sqlstate FROM rolecall.drift()')).rows,
    Array(2).fill({ target: 'sam', status: 'skipped', sqlstate: '42710' }),
  );
  await admin.query('SELECT rolecall.converge()');
  assert.ok(!(await admin.query(`SELECT pg_has_role('sam', 'club', 'MEMBER') AS has`)).rows[0].has);
  // A call about it asks for what it says, and what was asked for about the other one is gone with that.
  await admin.query(`SELECT rolecall.create_user_with_grants('sam', NULL, '{}')`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
  // Under another name.
  await admin.query(`ALTER ROLE sam RENAME TO samuel`);
  assert.deepEqual(
    (await admin.query('SELECT target, statement, status, sqlstate FROM rolecall.converge()')).rows,
    [{ target: 'sam', statement: 'ALTER ROLE sam RENAME TO samuel', status: 'skipped', sqlstate: '42704' }].map(
      (row) => ({ ...row, statement: 'ALTER ROLE samuel RENAME TO sam' }),
    ),
  );
  await admin.query(`ALTER ROLE samuel RENAME TO sam; SELECT rolecall.remove_user('sam'); DROP ROLE club`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
});

test('a reporting role that was renamed is named by every run, and by the one that creates it anew', async () => {
  const notices: string[] = [];
  admin.on('notice', ({ message }) => notices.push(String(message)));
  await admin.query(
    `SELECT rolecall.provision_reporting_role('ledger', '{clinic}'); ALTER ROLE ledger RENAME TO old_ledger`,
  );
  const listed = [{ operation: 'forget', target: 'ledger', statement: 'ALTER ROLE old_ledger RENAME TO ledger' }];
  const steps = async (call: string) =>
    (await admin.query(`SELECT operation, target, statement FROM rolecall.${call} WHERE status = 'skipped'`)).rows;
  for (const call of ['drift()', 'converge()', 'rotate_reporting_secret()'])
    assert.deepEqual(await steps(call), listed, call);
  await assert.rejects(admin.query(`SELECT rolecall.reporting_role_password('ledger')`), { code: '42704' });
  await admin.query(`SELECT rolecall.provision_reporting_role('ledger', '{clinic}')`);
  assert.ok(
    notices.includes(
      'the earlier role "ledger" is now called "old_ledger", and what was recorded about it is forgotten',
    ),
    notices.join('\n'),
  );
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
  await admin.query(
    `SELECT rolecall.remove_user('ledger', drop_owned => true), rolecall.remove_user('old_ledger', drop_owned => true)`,
  );
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
});

test('a removal under an older snapshot does not leave a grant for the next role of the name', async () => {
  await admin.query(`CREATE ROLE club; SELECT rolecall.create_user_with_grants('tom', NULL, '{}')`);
  const other = await cluster.connect({ database });
  await other.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
  await admin.query(`SELECT rolecall.grant_role('club', 'tom')`);
  await other.query(`SELECT rolecall.remove_user('tom'); COMMIT`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
  await admin.query(`SELECT rolecall.create_user_with_grants('tom', NULL, '{}')`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
  await admin.query(`SELECT rolecall.remove_user('tom'); DROP ROLE club`);
  await other.end();
});

test('a role that is created under an older snapshot gets nothing, and no row, of an earlier one of its name', async () => {
  await admin.query(`SELECT rolecall.create_client_role('club'); SELECT rolecall.create_user('tom')`);
  const other = await cluster.connect({ database });
  await other.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
  await admin.query(`SELECT rolecall.grant_role('club', 'tom', true); DROP ROLE club`);
  await other.query(`SELECT rolecall.create_client_role('club'); COMMIT`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
  await admin.query(`SELECT rolecall.remove_user('tom'); SELECT rolecall.remove_user('club')`);
  await other.end();
});

test('under an older snapshot too, an earlier role is named as it is called by now', async () => {
  await admin.query(`SELECT rolecall.create_user('tom')`);
  const other = await cluster.connect({ database });
  const warned: string[] = [];
  other.on('notice', ({ message, hint }) => warned.push(`${message}: ${String((hint as unknown) ?? '')}`));
  await other.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_roles');
  await admin.query('ALTER ROLE tom RENAME TO old_tom');
  await other.query(`SELECT rolecall.create_user('tom'); COMMIT`);
  assert.deepEqual(warned, [
    'the earlier role "tom" is now called "old_tom", and what was recorded about it is forgotten: ' +
      `If it is not wanted: SELECT * FROM rolecall.remove_user('old_tom', drop_owned => true)`,
  ]);
  await admin.query(`SELECT rolecall.remove_user('tom'), rolecall.remove_user('old_tom')`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
  await other.end();
});

test('the statement that ends a refused record is about that row alone', async () => {
  await admin.query(`CREATE ROLE team; SELECT rolecall.create_user('una'); SELECT rolecall.grant_role('team', 'una')`);
  const key = ['una', 'team'];
  await record(mallory, 'memberships', key, { role: 'team', member: 'una', admin: true });
  const { rows } = await admin.query<{ statement: string }>(`SELECT statement FROM rolecall.drift()`);
  assert.equal(rows.length, 1);
  await admin.query(rows[0]?.statement ?? '');
  // What was asked for before counts again.
  await admin.query('REVOKE team FROM una');
  assert.deepEqual((await admin.query(`SELECT operation, target FROM rolecall.converge()`)).rows, [
    { operation: 'grant_role', target: 'una' },
  ]);
  await admin.query(`SELECT rolecall.remove_user('una'); DROP ROLE team`);
});

test('what an operator may do by now is acted on for others once it makes the call again', async () => {
  const call = `SELECT * FROM rolecall.create_user_with_grants('zed', NULL, '{}')`;
  const ids = async () =>
    (await admin.query(`SELECT id FROM rolecall_internal.resource WHERE key ->> 0 = 'zed' ORDER BY 1`)).rows;
  await mallory.query(call);
  // As where somebody drops the role before the call has recorded it.
  await mallory.query(`DROP ROLE zed; INSERT INTO rolecall_internal.resource (section, key, resource)
    SELECT r.section, r.key, r.resource FROM rolecall_internal.resource AS r WHERE r.key ->> 0 = 'zed'; CREATE ROLE zed LOGIN`);
  assert.deepEqual(await skipped(), [{ target: 'zed', sqlstate: '42501' }]);
  assert.deepEqual((await mallory.query(call)).rows, []);
  assert.deepEqual(await skipped(), []);
  const before = await ids();
  assert.deepEqual((await mallory.query(call)).rows, []);
  assert.deepEqual(await ids(), before);
  await mallory.query(`SELECT rolecall.remove_user('zed')`);
});

test('what is recorded and cannot be done is a row of its own, and the rest is done', async () => {
  const codes = async (client: Client, call: string) =>
    (await client.query(`SELECT target, sqlstate FROM rolecall.${call} WHERE status = 'skipped' ORDER BY 1, 2`)).rows;
  await admin.query(`CREATE ROLE choir; CREATE ROLE band; CREATE ROLE duo; SELECT rolecall.create_user('kim');
    SELECT rolecall.grant_role('choir', 'band'); SELECT rolecall.grant_role('band', 'duo');
    REVOKE choir FROM band; GRANT duo TO choir;
    SELECT rolecall.grant_role('band', 'kim')`);
  await mallory.query(`CREATE ROLE gone`);
  await record(mallory, 'settings', ['gone', 'statement_timeout'], {
    role: 'gone',
    name: 'statement_timeout',
    value: '1s',
  });
  const odd = [
    { name: 'r1', connection_limit: 1e99 },
    { name: 'r2', connection_limit: 1.5 },
    { name: 'r3', valid_until: 'soon' },
  ];
  for (const role of odd) {
    await mallory.query(`CREATE ROLE ${role.name}`);
    await record(mallory, 'roles', [role.name], role);
    await mallory.query(`DROP ROLE ${role.name}`);
  }
  await mallory.query('DROP ROLE gone');
  await record(mallory, 'settings', ['mallory', 'search_path'], {
    role: 'mallory',
    name: 'search_path',
    value: ['a', ''],
  });
  await record(admin, 'memberships', ['kim', 'kim'], { role: 'kim', member: 'kim' });
  await record(admin, 'memberships', ['kim', 'choir'], { role: 'choir', member: 'kim', inherit: true });
  if (cluster.version < 16) await record(mallory, 'roles', ['boss'], { name: 'boss', protected: true });
  await admin.query('REVOKE band FROM kim');
  const expected = [
    ...(cluster.version < 16 ? [{ target: 'boss', sqlstate: '22023' }] : []),
    { target: 'band', sqlstate: '0LP01' },
    { target: 'gone', sqlstate: '42704' },
    ...(cluster.version < 16 ? [{ target: 'kim', sqlstate: '0A000' }] : []),
    ...['kim', 'mallory', 'r1', 'r2', 'r3'].map((target) => ({ target, sqlstate: '22023' })),
  ].sort((a, b) => (a.target < b.target ? -1 : a.target > b.target ? 1 : 0));
  assert.deepEqual(await codes(admin, 'drift()'), expected);
  assert.deepEqual(await codes(admin, 'converge()'), expected);
  const { rows } = await admin.query(`SELECT pg_has_role('kim', 'band', 'MEMBER') AS band,
    pg_has_role('kim', 'choir', 'MEMBER') AS choir`);
  assert.deepEqual(rows, [{ band: true, choir: cluster.version >= 16 }]);
  // A call that asks for what can be had takes its place.
  await admin.query(`SELECT rolecall.grant_role('choir', 'kim')`);
  assert.ok(!(await codes(admin, 'drift()')).some(({ sqlstate }) => sqlstate === '0A000'));
  // Who asks for such a thing gets the error.
  await assert.rejects(admin.query(`SELECT rolecall.grant_role('choir', 'band')`), { code: '0LP01' });
  await assert.rejects(admin.query(`SELECT rolecall.grant_role('kim', 'kim')`), { code: '0LP01' });
  // Two that are recorded and missing make a circle as well.
  await admin.query(`REVOKE duo FROM choir; REVOKE band FROM duo; SELECT rolecall.grant_role('duo', 'choir');
    REVOKE duo FROM choir`);
  const circle = await admin.query(
    `SELECT target, status, sqlstate FROM rolecall.drift() WHERE operation = 'grant_role' AND target IN ('band', 'duo', 'choir')`,
  );
  assert.equal(circle.rows.filter(({ status }) => status === 'planned').length, 2);
  assert.equal(circle.rows.filter(({ sqlstate }) => sqlstate === '0LP01').length, 1);
  await admin.query('SELECT rolecall.converge()');
  await admin.query(`SELECT rolecall.remove_user(r) FROM unnest('{kim,choir,band,duo}'::text[]) AS r;
    DELETE FROM rolecall_internal.resource WHERE key ->> 0 IN ('gone', 'kim', 'boss', 'mallory', 'r1', 'r2', 'r3')`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
});

test('no more is granted from a record than who recorded it may grant', async () => {
  await admin.query(`CREATE ROLE owner; CREATE SCHEMA theirs AUTHORIZATION mallory; GRANT ALL ON SCHEMA theirs TO owner;
    SET ROLE owner; CREATE TABLE theirs.private (id integer, name text); CREATE SEQUENCE theirs.counter; RESET ROLE;
    SET ROLE mallory; CREATE TABLE theirs.own (id integer); RESET ROLE`);
  const reads = async () =>
    (
      await admin.query(`SELECT has_any_column_privilege('theirs_read', 'theirs.private', 'SELECT') AS private,
        has_sequence_privilege('theirs_read', 'theirs.counter', 'SELECT') AS counter,
        has_table_privilege('theirs_read', 'theirs.own', 'SELECT') AS own,
        EXISTS (SELECT FROM pg_default_acl AS d WHERE d.defaclrole = 'owner'::regrole) AS later`)
    ).rows[0];
  const notes = async (call: string) =>
    (await admin.query(`SELECT note FROM rolecall.${call} WHERE sqlstate = '42501' ORDER BY 1`)).rows.map(
      ({ note }) => note,
    );
  for (const withheld of [`'{}'`, `'{theirs.private.name}'`]) {
    await mallory.query(`SELECT rolecall.provision_reporting_role('theirs_read', '{theirs}', ${withheld})`);
    await admin.query('REVOKE SELECT ON theirs.own FROM theirs_read');
    const refused = [
      ...Array<string>(2).fill('owned by owner, and recorded by mallory, which may not grant it'),
      ...Array<string>(2).fill('requires membership in owner, which creates the tables; recorded by mallory'),
    ];
    assert.deepEqual(await notes('drift()'), refused, withheld);
    assert.deepEqual(await notes('converge()'), refused, withheld);
    assert.deepEqual(await reads(), { private: false, counter: false, own: true, later: false }, withheld);
  }
  // Nor from that of a role that is gone.
  await admin.query(`UPDATE rolecall_internal.resource SET recorder = 'nobody', recorder_oid = NULL WHERE key ->> 0 = 'theirs_read';
    REVOKE CONNECT ON DATABASE app FROM PUBLIC; REVOKE CONNECT ON DATABASE app FROM theirs_read;
    REVOKE USAGE ON SCHEMA theirs FROM theirs_read; SELECT rolecall.converge()`);
  assert.deepEqual(await reads(), { private: false, counter: false, own: true, later: false });
  assert.deepEqual(
    (
      await admin.query(`SELECT has_database_privilege('theirs_read', 'app', 'CONNECT') AS database,
        has_schema_privilege('theirs_read', 'theirs', 'USAGE') AS schema`)
    ).rows,
    [{ database: false, schema: false }],
  );
  await admin.query(`GRANT CONNECT ON DATABASE app TO PUBLIC;
    UPDATE rolecall_internal.resource SET recorder = 'mallory' WHERE key ->> 0 = 'theirs_read'`);
  // Who may grant it all asks for the same, or owns the database.
  await admin.query('ALTER DATABASE app OWNER TO mallory');
  await admin.query('SELECT rolecall.converge()');
  assert.deepEqual(await reads(), { private: true, counter: true, own: true, later: true });
  await admin.query(`ALTER DATABASE app OWNER TO postgres; REVOKE SELECT ON theirs.counter FROM theirs_read;
    SELECT rolecall.provision_reporting_role('theirs_read', '{theirs}')`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
  await admin.query(`DROP SCHEMA theirs CASCADE; DROP OWNED BY owner; DROP ROLE owner;
    SELECT rolecall.remove_user('theirs_read', drop_owned => true)`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
});

test('drift() and converge() of one transaction see one record', async () => {
  await admin.query(`SELECT rolecall.create_user_with_grants('uma', NULL, '{}'); DROP ROLE uma`);
  await admin.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  const shown = (await admin.query('SELECT operation, target, statement FROM rolecall.drift()')).rows;
  const { rows: before } = await admin.query('SELECT id, recorder FROM rolecall_internal.resource ORDER BY 1');
  await mallory.query(`SELECT rolecall.create_user_with_grants('vic', NULL, '{}'); DROP ROLE vic`);
  assert.deepEqual((await admin.query('SELECT operation, target, statement FROM rolecall.converge()')).rows, shown);
  await admin.query('COMMIT');
  // What converge() was asked for is no news: who has recorded the rest stays.
  const { rows: after } = await admin.query('SELECT id, recorder FROM rolecall_internal.resource ORDER BY 1');
  assert.deepEqual(
    before.filter((row) => !after.some(({ id }) => id === row.id)),
    [],
  );
  await admin.query(`SELECT rolecall.remove_user('uma'); SELECT rolecall.remove_user('vic')`);
});

test('logical replication of all tables breaks no call', async () => {
  await admin.query('CREATE PUBLICATION everything FOR ALL TABLES');
  await admin.query('CREATE PUBLICATION "one of them" FOR TABLE rolecall_internal.secret');
  const warnings: string[] = [];
  admin.on('notice', ({ message }) => void (message?.startsWith('secrets go') && warnings.push(message)));
  const said = 'secrets go to the subscribers of publication everything, "one of them" in clear text';
  await admin.query("SELECT rolecall.set_secret('key', 'value')");
  assert.deepEqual(warnings, [said]);
  await admin.query("SELECT rolecall.provision_reporting_role('published', ARRAY['public'])");
  assert.deepEqual(warnings, [said, said]);
  const found = "SELECT object, remedy FROM rolecall.audit_role('published') WHERE path = 'published -> publication'";
  assert.deepEqual((await admin.query(found)).rows, [
    { object: '"one of them"', remedy: 'ALTER PUBLICATION "one of them" DROP TABLE rolecall_internal.secret' },
    { object: 'everything', remedy: 'DROP PUBLICATION everything' },
  ]);
  await admin.query('DROP PUBLICATION "one of them"');
  await admin.query('BEGIN; UPDATE rolecall_internal.secret SET encrypted = true');
  assert.deepEqual((await admin.query(found)).rows, []);
  await admin.query('ROLLBACK');
  if (cluster.version >= 15) {
    await admin.query('CREATE PUBLICATION schemas FOR TABLES IN SCHEMA rolecall_internal');
    const [, remedy] = (await admin.query<{ remedy: string }>(found)).rows.map((row) => row.remedy);
    await admin.query(remedy ?? '');
    assert.equal((await admin.query(found)).rows.length, 1);
    await admin.query('DROP PUBLICATION schemas');
  }
  await admin.query(`SELECT rolecall.grant_role('anonymous', 'ann'); SELECT rolecall.revoke_role('anonymous', 'ann')`);
  await admin.query('DROP PUBLICATION everything');
});

test('a membership that an operator has asked for gives nobody a power that a role was given since', async () => {
  const takes = (role: string, member: string) =>
    admin
      .query(`SELECT pg_has_role('${member}', '${role}', 'MEMBER') AS has`)
      .then(({ rows }) => (rows[0] as { has: boolean }).has);
  const given = async (role: string) =>
    (
      await admin.query(
        `SELECT status, sqlstate FROM rolecall.create_base_roles(administrator => '${role}') WHERE target = '${role}'`,
      )
    ).rows;
  await admin.query(`CREATE ROLE spy LOGIN; CREATE ROLE helper LOGIN CREATEROLE PASSWORD 'helper';
    SELECT rolecall.add_operator('helper')`);
  const helper = await cluster.connect({ database, user: 'helper', password: 'helper' });
  for (const role of ['chief', 'master']) {
    await helper.query(`CREATE ROLE ${role}; SELECT rolecall.grant_role('${role}', 'spy')`);
    if (cluster.version < 16) await helper.query(`GRANT ${role} TO helper`);
  }
  await helper.end();
  // What is revoked before the role gets the power does not come back with the record.
  assert.deepEqual(await given('chief'), [{ status: 'skipped', sqlstate: '42501' }]);
  await admin.query(`REVOKE chief FROM helper${cluster.version < 16 ? '; REVOKE chief FROM spy' : ' CASCADE'}`);
  assert.deepEqual(await given('chief'), [{ status: 'applied', sqlstate: null }]);
  const hints: string[] = [];
  admin.on('notice', ({ hint }) => hints.push(String(hint)));
  for (const call of ['drift()', 'converge()']) {
    const { rows } = await admin.query(`SELECT target, statement, status, sqlstate, note FROM rolecall.${call}`);
    assert.deepEqual(rows, [
      {
        target: 'spy',
        statement: 'GRANT chief TO spy',
        status: 'skipped',
        sqlstate: '42501',
        note: 'recorded by helper, which does not have the powers of role "chief"',
      },
    ]);
  }
  assert.deepEqual(hints, [
    `If that is wanted, have a superuser call rolecall.grant_role('chief', 'spy'); else forget it: SELECT * FROM rolecall.revoke_role('chief', 'spy')`,
  ]);
  admin.removeAllListeners('notice');
  assert.ok(!(await takes('chief', 'spy')));
  await admin.query(`SELECT rolecall.revoke_role('chief', 'spy')`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
  // Nor is the power given to a role while such a membership is there, although who asked for it is gone.
  await admin.query(`SELECT rolecall.remove_user('helper', reassign_to => 'mallory')`);
  assert.ok(await takes('master', 'spy'));
  assert.deepEqual(await given('master'), [{ status: 'skipped', sqlstate: '42501' }]);
  // A superuser's word is enough.
  await admin.query(`SELECT rolecall.grant_role('master', 'spy')`);
  assert.deepEqual(await given('master'), [{ status: 'applied', sqlstate: null }]);
  await admin.query('REVOKE master FROM spy');
  await admin.query('SELECT rolecall.converge()');
  assert.ok(await takes('master', 'spy'));
  await admin.query(`SELECT rolecall.create_base_roles(administrator => 'administrator');
    SELECT rolecall.remove_user(r) FROM unnest('{chief,master,spy}'::text[]) AS r`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
});

test('no row is so late that none can follow it', async () => {
  await mallory.query('CREATE ROLE late_group; CREATE ROLE late');
  const newest = async () =>
    (await admin.query(`SELECT bool_and(recorded_at <= clock_timestamp()) AS past FROM rolecall_internal.resource`))
      .rows;
  for (const moment of ['infinity', '294276-12-31 23:59:59.999999', '2999-01-01']) {
    await mallory.query(
      `INSERT INTO rolecall_internal.resource (section, key, resource, recorded_at)
       VALUES ('memberships', '["late", "late_group"]', '{"member": "late", "role": "late_group"}', $1)`,
      [moment],
    );
    await mallory.query(`UPDATE rolecall_internal.resource SET recorded_at = $1 WHERE recorder = 'mallory'`, [moment]);
    assert.deepEqual(await newest(), [{ past: true }], moment);
    await admin.query('SELECT rolecall.converge()');
    await admin.query(`SELECT rolecall.revoke_role('late_group', 'late')`);
    assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, [], moment);
    assert.deepEqual((await admin.query(`SELECT * FROM rolecall.revoke_role('late_group', 'late')`)).rows, [], moment);
  }
  await admin.query('DROP ROLE late, late_group');
});

test('what somebody recorded beyond its rights is not done for a later role of the same name', async () => {
  await admin.query(`CREATE ROLE eve LOGIN CREATEROLE PASSWORD 'eve'; SELECT rolecall.add_operator('eve')`);
  const eve = await cluster.connect({ database, user: 'eve', password: 'eve' });
  await record(eve, 'memberships', ['mallory', 'lair'], { role: 'lair', member: 'mallory' });
  await eve.end();
  const refused = `SELECT count(*)::integer AS rows FROM rolecall.drift() WHERE sqlstate = '42501'`;
  const asEve = async (query: string) => {
    await admin.query('SET ROLE eve');
    const { rows } = await admin.query<{ rows: number }>(query);
    await admin.query('RESET ROLE');
    return rows;
  };
  assert.deepEqual(await asEve(refused), [{ rows: 0 }], 'its own calls act on it');
  await admin.query('DROP OWNED BY eve; DROP ROLE eve');
  await admin.query(`CREATE ROLE eve LOGIN CREATEROLE; CREATE ROLE lair; SELECT rolecall.add_operator('eve')`);
  if (cluster.version >= 16) await admin.query('GRANT lair, mallory TO eve WITH ADMIN OPTION');
  assert.deepEqual(await asEve(refused), [{ rows: 1 }]);
  await asEve('SELECT rolecall.converge()');
  assert.deepEqual(
    (await admin.query(`SELECT FROM pg_auth_members WHERE member = 'mallory'::regrole AND roleid = 'lair'::regrole`))
      .rows,
    [],
  );
  await admin.query(`SELECT rolecall.remove_operator('eve'); DROP OWNED BY eve; DROP ROLE eve, lair;
    DELETE FROM rolecall_internal.resource WHERE recorder = 'eve'`);
  await Promise.all([mallory.end(), admin.end()]);
});
