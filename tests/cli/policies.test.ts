/**
 * Policies as files: mistakes with their places, what would be done, what is done, and what is printed back.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { placeOfFile } from '../support/place.ts';
import { environment, expectStatus, jsonRows } from './support.ts';

const { cluster, database, admin } = await placeOfFile({ name: 'policies', settings: { log_statement: 'all' } });
const env = environment(cluster, database);
await admin.query('CREATE SCHEMA shop; CREATE TABLE shop.item (id int, name text); CREATE TABLE shop.card (id int)');

const folder = mkdtempSync(join(tmpdir(), 'rolecall-cli-'));
after(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const run = (status: number, ...parameters: string[]) => expectStatus(status, parameters, { env });
const rows = (status: number, ...parameters: string[]) => jsonRows(status, parameters, { env });

const policy = file(
  'policy.yaml',
  `# Who may do what in the shop.
roles:
  shop_owner: {}
  shop_app: # the application
    login: true
    connection_limit: 20
privileges:
  # Read all but the cards.
  - { to: shop_app, on: { tables_in: shop, except: [shop.card] }, grant: [SELECT] }
  - { to: shop_app, on: { schema: shop }, grant: [USAGE] }
`,
);

test('check needs no database, and says where each mistake is', async () => {
  await expectStatus(0, ['check', policy]);
  const bad = file(
    'bad.yaml',
    'roles:\n  "a b":\n    loggin: true\n  b: 3\nprivileges:\n  - { to: a, on: { table: s.t }, grant: [SELECT] }\n  - { on: {}, grant: [SELECT], too: a }\n',
  );
  const { stdout, stderr } = await expectStatus(1, ['check', bad]);
  assert.equal(
    stdout,
    [
      `${bad}:3:5: $.roles."a b".loggin: unknown key "loggin"; did you mean "login"?`,
      `${bad}:4:3: $.roles.b: object, not number`,
      `${bad}:7:32: $.privileges[1].too: unknown key "too"; did you mean "to"?`,
      '',
    ].join('\n'),
  );
  assert.equal(stderr, '');
  const json = JSON.parse((await expectStatus(1, ['check', bad, '--json'])).stdout) as Record<string, unknown>[];
  assert.deepEqual(json[1], { file: bad, line: 4, column: 3, path: '$.roles.b', problem: 'object, not number' });
  assert.equal((await expectStatus(1, ['check', bad, '--quiet'])).stdout, '');
});

test('what YAML makes of a file is told as mistakes of the policy', async () => {
  const mistakes = async (text: string) => {
    const odd = file('odd.yaml', text);
    return (await expectStatus(1, ['check', odd])).stdout.trimEnd().replaceAll(`${odd}:`, '').split('\n');
  };
  assert.deepEqual(
    await mistakes(`roles:
  app:
  a: { exact: true, login: yes, comment: 2027 }
  a-b: { login: ~ }
privileges: { to: a }
schemas: []
reporting: { r: { schemas: s, rotate_after: 90 } }
`),
    [
      '2:3: $.roles.app: object, not null; one without keys is {}',
      '3:8: $.roles.a.exact: true is not one of false',
      '3:21: $.roles.a.login: boolean, not string',
      '3:33: $.roles.a.comment: string, not number',
      '4:10: $.roles."a-b".login: boolean, not null',
      '5:1: $.privileges: list, not object',
      '6:1: $.schemas: object, not list',
      '7:19: $.reporting.r.schemas: list, not string',
      '7:31: $.reporting.r.rotate_after: string, not number',
    ],
  );
  assert.deepEqual(await mistakes('privileges: [{ to: 5, on: { table: 2027 }, grant: [SELECT] }]'), [
    '1:16: $.privileges[0].to: string or list, not number',
    '1:29: $.privileges[0].on.table: string or list, not number',
  ]);
  assert.deepEqual(await mistakes('roles: { a: {}, a: { login: true } }'), ['1:17: $: Map keys must be unique']);
  assert.deepEqual(await mistakes('roles: {}\n---\nroles: {}\n'), ['2:1: $: the file has several documents']);
  assert.deepEqual(await mistakes(''), ['1:1: $: object, not null; one without keys is {}']);
});

test('what is no YAML, no file or no policy at all', async () => {
  const cases: [number, string, RegExp][] = [
    [1, file('twice.yaml', 'roles:\n  a: {}\n  a: {}\n'), /twice\.yaml:3:3: .*unique/],
    [1, file('open.yaml', 'roles: {\n'), /open\.yaml:\d:\d: /],
    [1, file('list.yaml', '[]'), /list\.yaml:1:1: \$: object, not list/],
    [1, file('empty.yaml', ''), /empty\.yaml:1:1: \$: object, not null/],
    [1, file('alias.yaml', 'roles: *missing\n'), /alias\.yaml:1:\d+: .*[Aa]lias/],
    [2, join(folder, 'missing.yaml'), /could not read/],
  ];
  for (const [status, name, message] of cases) {
    const { stdout, stderr } = await expectStatus(status, ['check', name]);
    assert.match(`${stdout}${stderr}`, message);
    await run(status === 2 ? 2 : 1, 'diff', name);
  }
  const piped = await expectStatus(1, ['check', '-'], { input: 'rolls: {}\n' });
  assert.match(piped.stdout, /^standard input:1:1: \$\.rolls: unknown key "rolls"; did you mean "roles"\?/);
});

test('diff shows by role what apply does, and apply leaves nothing to show', async () => {
  const { stdout } = await run(3, 'diff', policy);
  assert.match(stdout, /^shop_app\n( {2}\+ .*\n)* {2}\+ CREATE ROLE shop_app/m);
  const planned = await rows(3, 'diff', policy);
  assert.ok(planned.every(({ status }) => status === 'planned'));
  const { stdout: sql } = await run(3, 'diff', policy, '--sql');
  assert.equal(sql.trimEnd(), planned.map(({ statement }) => `${String(statement)};`).join('\n'));
  assert.deepEqual((await admin.query("SELECT FROM pg_roles WHERE rolname = 'shop_app'")).rowCount, 0);
  await run(0, 'apply', policy, '--dry-run');
  assert.equal((await rows(0, 'apply', policy)).length, planned.length);
  assert.equal((await run(0, 'diff', policy)).stdout, '');
  assert.deepEqual(await rows(0, 'apply', policy), []);
});

test('apply takes nothing away unasked', async () => {
  await admin.query('GRANT INSERT ON shop.item TO shop_app');
  const { stdout, stderr } = await run(2, 'apply', policy);
  assert.equal(stdout, '');
  assert.match(stderr, /^error: .*--dry-run.*--yes/);
  assert.match((await run(3, 'diff', policy)).stdout, /^ {2}- REVOKE INSERT ON TABLE shop\.item FROM shop_app/m);
  await run(0, 'apply', policy, '--mode', 'additive');
  await run(0, 'apply', policy, '--yes');
  await run(0, 'diff', policy);
});

test('what only the server knows to be a mistake has its place in the file too', async () => {
  const twice = file('twice.yaml', 'roles:\n  zoe:\n    member_of: [pg_monitor, pg_monitor]\n');
  const { stderr } = await run(1, 'diff', twice);
  assert.match(stderr, /twice\.yaml:3:17: \$\.roles\.zoe\.member_of\[0\]: role "pg_monitor" is named twice/);
});

test('passwords come beside the policy, and are hashed before they are sent', async () => {
  const login = file('login.yaml', 'roles:\n  keyed: { login: true }\n');
  const passwords = file('passwords.yaml', 'keyed: open sesame\n');
  const { stdout, stderr } = await run(0, 'apply', login, '--passwords', passwords, '--mode', 'additive');
  assert.ok(!`${stdout}${stderr}${cluster.log()}`.includes('sesame'));
  await (await cluster.connect({ database, user: 'keyed', password: 'open sesame' })).end();
  const broken = await run(2, 'apply', login, '--passwords', file('broken.yaml', 'keyed: [open sesame\n'));
  assert.ok(!broken.stderr.includes('sesame'));
});

test('inspect and export print policies that have nothing left to do', async () => {
  const { stdout } = await run(0, 'inspect', '--role', 'shop_app');
  assert.match(stdout, /^roles:\n {2}shop_app:\n/);
  const inspected = file('inspected.yaml', stdout);
  await expectStatus(0, ['check', inspected]);
  await run(0, 'diff', inspected);
  const { stdout: exported } = await run(0, 'export', '--json');
  assert.ok('shop_app' in (JSON.parse(exported) as { roles: object }).roles);
  await run(0, 'diff', file('exported.json', exported));
  await run(2, 'inspect', '--all-databases');
  const suggested = await run(0, 'inspect', '--suggest-profiles');
  await run(0, 'diff', file('suggested.yaml', suggested.stdout));
});

test('--update keeps the comments of a file', async () => {
  await admin.query('ALTER ROLE shop_app CONNECTION LIMIT 7');
  const { rows: found } = await admin.query('SELECT FROM rolecall.drift()');
  assert.equal(found.length, 1);
  await run(0, 'inspect', '--role', 'shop_app', '--role', 'shop_owner', '--update', policy);
  const text = readFileSync(policy, 'utf8');
  assert.match(text, /^# Who may do what in the shop\.$/m);
  assert.match(text, /^ {4}# the application\n {4}login: true\n {4}connection_limit: 7$/m);
  await run(0, 'diff', policy);
});

test('hostile names in a policy are values', async () => {
  const name = '"; DROP ROLE shop_app; --\n\u001b[31m';
  const hostile = file('hostile.yaml', JSON.stringify({ roles: { [name]: { login: true } } }));
  const { stdout } = await run(3, 'diff', hostile);
  assert.ok(!stdout.includes('\u001b'));
  const { stdout: sql } = await run(3, 'diff', hostile, '--sql');
  await admin.query(sql);
  await run(0, 'apply', hostile);
  const { rowCount } = await admin.query('SELECT FROM pg_roles WHERE rolname = ANY ($1)', [[name, 'shop_app']]);
  assert.equal(rowCount, 2);
  assert.ok(name in (JSON.parse((await run(0, 'inspect', '--json')).stdout) as { roles: object }).roles);
});
