/**
 * The commands that call one function each: what they do, their exit status, their JSON, their dry run, and names and
 * passwords that are meant badly.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import { placeOfFile } from '../support/place.ts';
import { environment, expectStatus, jsonRows } from './support.ts';

const { cluster, database, admin } = await placeOfFile({ name: 'commands', settings: { log_statement: 'all' } });
const env = environment(cluster, database);

const roles = async (pattern: string): Promise<string[]> => {
  const { rows } = await admin.query<{ name: string }>(
    'SELECT rolname AS name FROM pg_roles WHERE rolname ~ $1 ORDER BY 1',
    [pattern],
  );
  return rows.map(({ name }) => name);
};
const run = (status: number, ...parameters: string[]) => expectStatus(status, parameters, { env });
const rows = (status: number, ...parameters: string[]) => jsonRows(status, parameters, { env });
const statuses = (steps: Record<string, unknown>[]) => [...new Set(steps.map(({ status }) => status))];
const canLogIn = async (user: string, password: string): Promise<boolean> => {
  const login = cluster.connect({ database, user, password });
  return login.then(
    async (client) => (await client.end(), true),
    () => false,
  );
};

test('base-roles: a dry run changes nothing, the second run has nothing to do', async () => {
  const names = ['--anonymous', 'c_anon', '--authenticated', 'c_user', '--administrator', 'c_admin'];
  assert.deepEqual(statuses(await rows(0, 'base-roles', ...names, '--dry-run')), ['planned']);
  assert.deepEqual(await roles('^c_'), []);
  const { stdout } = await run(0, 'base-roles', ...names);
  assert.match(stdout, /^applied\tcreate_role\tc_anon\tCREATE ROLE c_anon [^\t\n]*NOLOGIN[^\t\n]*\t\t\n/m);
  assert.deepEqual(await roles('^c_'), ['c_admin', 'c_anon', 'c_user']);
  assert.equal((await run(0, 'base-roles', ...names)).stdout, '');
  assert.deepEqual(await rows(0, 'base-roles'), []);
});

const password = 'pass"word\' of $ alice';

test('user add, password, lock, unlock, remove: by standard input and by the environment', async () => {
  const input = { env, input: `${password}\n` };
  const { stdout } = await expectStatus(0, ['user', 'add', 'alice', '--password-stdin'], input);
  assert.match(stdout, /^applied\tcreate_role\talice\t.*PASSWORD '\*{8}'/m);
  assert.ok(await canLogIn('alice', password));
  assert.deepEqual(await rows(0, 'user', 'add', 'alice'), []);

  const inEnvironment = { env: { ...env, NEXT: 'another' } };
  await expectStatus(0, ['user', 'password', 'alice', '--password-env', 'NEXT', '--dry-run'], inEnvironment);
  assert.ok(await canLogIn('alice', password));
  await expectStatus(0, ['user', 'password', 'alice', '--password-env', 'NEXT'], inEnvironment);
  assert.ok(await canLogIn('alice', 'another'));

  assert.equal((await rows(0, 'user', 'lock', 'alice', '-n')).length, 1);
  assert.ok(await canLogIn('alice', 'another'));
  await run(0, 'user', 'lock', 'alice');
  assert.ok(!(await canLogIn('alice', 'another')));
  await run(0, 'user', 'unlock', 'alice');
  assert.ok(await canLogIn('alice', 'another'));

  assert.deepEqual(statuses(await rows(0, 'user', 'remove', 'alice', '--dry-run')), ['planned']);
  await run(0, 'user', 'remove', 'alice');
  assert.deepEqual(await roles('^alice$'), []);
  assert.deepEqual(await rows(0, 'user', 'remove', 'alice'), []);
  assert.ok(!cluster.log().includes('of $ alice') && !cluster.log().includes("'another'"), 'a password is in the log');
});

test('user add --grant gives those roles in place of the base roles', async () => {
  await run(0, 'user', 'add', 'bob', '--grant', 'pg_monitor', '--grant', 'c_user');
  const { rows: found } = await admin.query(
    `SELECT m.roleid::regrole::text AS role FROM pg_auth_members AS m WHERE m.member = 'bob'::regrole ORDER BY 1`,
  );
  assert.deepEqual(found, [{ role: 'c_user' }, { role: 'pg_monitor' }]);
});

test('user rename and expire', async () => {
  await expectStatus(0, ['user', 'add', 'zoe', '--password-stdin'], { env, input: 'of zoe' });
  assert.deepEqual(statuses(await rows(0, 'user', 'rename', 'zoe', 'zoe b', '--dry-run')), ['planned']);
  await run(0, 'user', 'rename', 'zoe', 'zoe b');
  assert.ok(await canLogIn('zoe b', 'of zoe'));
  assert.deepEqual(await rows(0, 'user', 'rename', 'zoe', 'zoe b'), []);
  assert.deepEqual(await rows(0, 'user', 'expire'), []);
  await admin.query(`ALTER ROLE "zoe b" VALID UNTIL '2020-01-01'`);
  assert.deepEqual(statuses(await rows(0, 'user', 'expire', '-n')), ['planned']);
  const { stdout } = await run(0, 'user', 'expire');
  assert.match(stdout, /^applied\talter_role\tzoe b\t.*NOLOGIN/m);
  await run(0, 'user', 'remove', 'zoe b');
});

test('a password that is none is a mistake of usage, and never repeated', async () => {
  const cases: [string[], string, NodeJS.ProcessEnv, RegExp][] = [
    [['user', 'password', 'bob'], '', {}, /--ask-password requires a terminal/],
    [['user', 'password', 'bob', '--password-stdin'], '\n', {}, /password must not be empty/],
    [['user', 'password', 'bob', '--password-env', 'NO_SUCH'], '', {}, /NO_SUCH is not set/],
    [['user', 'password', 'bob', '--password-env', 'P'], '', { P: 'SCRAM-SHA-256$hunter2' }, /incomplete SCRAM/],
    [['user', 'add', 'bob', '--password-env', 'P', '--password-stdin'], 'hunter2', { P: 'hunter2' }, /together/],
  ];
  for (const [parameters, input, extra, message] of cases) {
    const { stdout, stderr } = await expectStatus(2, parameters, { env: { ...env, ...extra }, input });
    assert.match(stderr, message);
    assert.ok(!`${stdout}${stderr}`.includes('hunter2'));
  }
});

test('test-users', async () => {
  const given = { env: { ...env, APP: 'for the app' } };
  const options = ['--user', 't_user', '--user-password-env', 'APP', '--admin', 't_admin'];
  assert.deepEqual(statuses(await jsonRows(0, ['test-users', ...options, '--dry-run'], given)), ['planned']);
  const { stderr } = await expectStatus(0, ['test-users', ...options], given);
  assert.match(stderr, /^warning: /m);
  assert.ok(await canLogIn('t_user', 'for the app'));
  assert.ok(await canLogIn('t_admin', 'admin_password'));
});

test('reporting provision, password and rotate', async () => {
  await admin.query('CREATE SCHEMA reports; CREATE TABLE reports.sums (n int); CREATE TABLE reports.tokens (t text)');
  await run(2, 'reporting', 'provision', 'r_reader');
  await run(2, 'reporting', 'provision', '--schema', 'reports');
  const provision = ['reporting', 'provision', 'r_reader', '--schema', 'reports', '--withhold', 'reports.tokens'];
  assert.deepEqual(statuses(await rows(0, ...provision, '--dry-run')), ['planned']);
  await run(0, ...provision);
  assert.deepEqual(await rows(0, ...provision), []);
  // What was withheld stays withheld until that is said.
  const without = provision.slice(0, -2);
  assert.deepEqual(await rows(0, ...without), []);
  await run(2, ...provision, '--withhold-nothing');
  const opened = await run(0, ...without, '--withhold-nothing', '--dry-run');
  assert.match(opened.stderr, /^warning: no longer withheld from reporting role "r_reader": reports\.tokens\nHINT:/m);
  const { stdout: first } = await run(0, 'reporting', 'password', 'r_reader');
  assert.ok(await canLogIn('r_reader', first.trim()));
  await run(0, 'reporting', 'rotate', '--dry-run');
  assert.ok(await canLogIn('r_reader', first.trim()));
  const { stdout } = await run(0, 'reporting', 'rotate');
  assert.ok(!(await canLogIn('r_reader', first.trim())));
  assert.ok(!stdout.includes(first.trim()));
  assert.equal(
    (await rows(0, 'reporting', 'password', 'r_reader'))[0]?.['password'],
    (await run(0, 'reporting', 'password', 'r_reader')).stdout.trim(),
  );
  const { stderr } = await run(1, 'reporting', 'password', 'nobody');
  assert.match(stderr, /^error: .*nobody.*\(SQLSTATE 42704\)\n/);
});

test('drift tells by its exit status what converge restores', async () => {
  assert.deepEqual(await rows(0, 'drift'), []);
  await admin.query('REVOKE c_anon FROM t_user; GRANT INSERT ON reports.sums TO r_reader');
  assert.deepEqual(statuses(await rows(3, 'drift')), ['planned']);
  assert.equal((await run(3, 'drift', '--quiet')).stdout, '');
  const { stdout: sql } = await run(3, 'drift', '--sql');
  assert.match(sql, /^GRANT c_anon TO t_user\b.*;$/m);
  assert.equal((await run(0, 'converge', '--dry-run', '--sql')).stdout, sql);
  const [status] = await rows(3, 'status');
  assert.equal(status?.['drift'], 2);
  await run(0, 'converge');
  await run(0, 'drift');
  const [clean] = await rows(0, 'status');
  assert.deepEqual([clean?.['via'], clean?.['current'], clean?.['drift']], ['extension', true, 0]);
  await run(0, 'status');
});

test('the statements of --sql do what they say', async () => {
  await admin.query('REVOKE c_anon FROM t_user; REVOKE c_user FROM t_user');
  const { stdout } = await run(3, 'drift', '--sql');
  await admin.query(stdout);
  await run(0, 'drift');
});

test('audit, who-can and undeclared', async () => {
  await admin.query('CREATE ROLE a_writer LOGIN; GRANT SELECT, INSERT ON reports.sums TO a_writer');
  const found = await rows(0, 'audit', '--role', 'a_writer', '--severity', 'warning');
  assert.ok(found.some(({ role, object }) => role === 'a_writer' && String(object).includes('reports.sums')));
  assert.deepEqual(Object.keys(found[0] ?? {}), ['role', 'severity', 'path', 'object', 'detail', 'remedy']);
  await run(3, 'audit', '--role', 'a_writer', '--fail-on', 'warning');
  await run(2, 'audit', '--fail-on', 'enormous');
  assert.ok((await rows(0, 'audit')).some(({ role }) => role === 't_admin'));

  const can = await rows(0, 'who-can', 'INSERT', 'reports.sums');
  assert.ok(can.some(({ role, path, login }) => role === 'a_writer' && path === 'itself' && login === true));
  // Each role that has it through PUBLIC is a row in JSON; people get one line.
  const everybody = (await rows(0, 'who-can', 'CONNECT', database)).filter(({ path }) => path === 'PUBLIC');
  assert.ok(everybody.length > 10);
  assert.equal(
    (await run(0, 'who-can', 'CONNECT', database)).stdout,
    '(every role)\t\tPUBLIC\tpostgres\npostgres\ttrue\tsuperuser\t\n',
  );
  const { stderr } = await run(1, 'who-can', 'INSERT', 'reports.no_such');
  assert.match(stderr, /^error: .*SQLSTATE 42704/);

  assert.ok((await rows(3, 'undeclared')).some(({ role }) => role === 'a_writer'));
});

test('graph and orphans', async () => {
  const { stdout } = await run(0, 'graph', '--role', 'a_writer');
  assert.match(stdout, /a_writer/);
  assert.ok(!stdout.includes('t_admin'));
  const { stdout: json } = await run(0, 'graph', '--format', 'json');
  assert.equal((await run(0, 'graph', '--json')).stdout, json);
  assert.ok((JSON.parse(json) as { roles: { name: string }[] }).roles.some(({ name }) => name === 't_admin'));
  await run(2, 'graph', '--format', 'svg');
  assert.deepEqual(await rows(0, 'orphans'), []);
  await admin.query(
    "CREATE ROLE gone_raw LOGIN; ALTER ROLE gone_raw SET default_transaction_read_only = on; ALTER ROLE gone_raw SET search_path = 'x'",
  );
  assert.deepEqual(await rows(3, 'orphans'), [{ role: 'gone_raw', database: 'gone', remedy: 'DROP ROLE gone_raw' }]);
  await admin.query('DROP ROLE gone_raw');
});

const hostile = [
  '"; DROP ROLE postgres; --',
  "o'neil\\",
  '$do$',
  '%I %s',
  '-n',
  '\u001b[2J\u001b]0;x\u0007',
  'a\nb\tc',
  '\u202egnp',
  '🐘',
];

test('names are values: in the calls, in the statements, and on a terminal', async () => {
  for (const name of hostile) {
    const [step] = (await rows(0, 'user', 'add', '--', name)).filter(({ operation }) => operation === 'create_role');
    assert.equal(step?.['target'], name);
    const { stdout } = await run(0, 'user', 'lock', '--', name);

    assert.ok(!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/.test(stdout), JSON.stringify(stdout));
    assert.equal(
      stdout.trimEnd().split('\n').length,
      stdout
        .trimEnd()
        .split('\n')
        .filter((line) => line.startsWith('applied\t')).length,
    );
    assert.ok((await roles('.')).includes(name));
  }
});

test('errors have their SQLSTATE, DETAIL and HINT, and undo the call', async () => {
  await admin.query('GRANT CREATE ON SCHEMA reports TO bob; SET ROLE bob; CREATE TABLE reports.owned (); RESET ROLE');
  const { stdout, stderr } = await run(1, 'user', 'remove', 'bob');
  assert.equal(stdout, '');
  assert.match(stderr, /^error: .*bob.*\(SQLSTATE 2BP01\)\nDETAIL: {2}.+\n(.*\n)*HINT: {2}.+/);
  const outcome = await run(1, 'user', 'remove', 'bob', '--json');
  const { databases } = JSON.parse(outcome.stdout) as { databases: { status: string; error: { sqlstate: string } }[] };
  assert.deepEqual([databases[0]?.status, databases[0]?.error.sqlstate], ['failed', '2BP01']);
  assert.deepEqual(await roles('^bob$'), ['bob']);
});
