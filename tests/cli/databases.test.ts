/**
 * Which databases a command is for and how they are reached, what happens where one of many fails, and Ctrl-C.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { password, startCluster, until } from '../support/cluster.ts';
import { type Databases, environment, expectStatus, jsonRows, program, rolecall } from './support.ts';

// A connection that is left open where the password is missing would keep the command for this long.
const cluster = await startCluster({ settings: { authentication_timeout: '10min' } });
after(() => cluster.stop());
const env = environment(cluster, 'one');
for (const name of ['one', 'two', 'od"d']) await cluster.createDatabase(name);
await cluster.createDatabase('bare', 'template1');
const admin = await cluster.connect({ database: 'one' });
after(() => admin.end());
const url = (database: string) =>
  `postgresql://postgres:${password}@${cluster.host}:${cluster.port}/${encodeURIComponent(database)}`;
const run = (status: number, ...parameters: string[]) => expectStatus(status, parameters, { env });
const folder = mkdtempSync(join(tmpdir(), 'rolecall-cli-'));
after(() => rmSync(folder, { recursive: true }));
const { PATH } = process.env;

test('by the PG variables, DATABASE_URL and --url', async () => {
  const name = async (parameters: string[], given: NodeJS.ProcessEnv): Promise<unknown> => {
    const { stdout } = await expectStatus(0, ['drift', '--json', ...parameters], { env: given });
    return (JSON.parse(stdout) as Databases).databases.map(({ database }) => database);
  };
  assert.deepEqual(await name([], env), ['one']);
  assert.deepEqual(await name([], { ...env, DATABASE_URL: url('two') }), ['two']);
  assert.deepEqual(await name(['--url', url('one')], { PATH, DATABASE_URL: url('two') }), ['one']);
  assert.deepEqual(await name(['-d', 'two', '-d', 'od"d'], { PATH, DATABASE_URL: url('one') }), ['two', 'od"d']);
});

test('a connection that fails says why, and never with a password', async () => {
  const cases: [number, string[], NodeJS.ProcessEnv, RegExp][] = [
    [1, [], { ...env, PGPASSWORD: 'hunter2' }, /^error: password authentication failed .*\(SQLSTATE 28P01\)/],
    [1, [], { ...env, PGPASSWORD: undefined }, /^error: the server asks for a password/],
    [1, ['-d', 'no_such'], env, /^error: database "no_such" does not exist \(SQLSTATE 3D000\)/],
    [1, ['-d', 'bare'], env, /^error: rolecall is not installed .*\n.*HINT: {2}Install it with "rolecall install"/],
    [1, [], { ...env, PGPORT: '1' }, /^error: .*ECONNREFUSED/],
    [2, ['--url', 'mysql://root:hunter2@localhost/x'], { PATH }, /^error: a connection URL has the form postgresql:/],
    [2, ['--url', 'postgresql://u:hunter2@[oops/x'], { PATH }, /^error: a connection URL/],
    [2, ['--url', 'postgresql://u:hunter2@h/x?sslrootcert=/none'], { PATH }, /^error: could not read \/none, /],
    [2, [], { ...env, PGSERVICE: 'other' }, /^error: PGSERVICE is not supported/],
  ];
  for (const [status, parameters, given, message] of cases) {
    const begun = performance.now();
    const { stdout, stderr } = await expectStatus(status, ['drift', ...parameters], { env: given });
    assert.ok(performance.now() - begun < 300_000, parameters.join(' '));
    assert.match(stderr, message);
    assert.ok(!`${stdout}${stderr}`.includes('hunter2'));
  }
});

test('a password file is read, and nothing is said of libraries', async () => {
  const PGPASSFILE = join(folder, 'passwords');
  writeFileSync(PGPASSFILE, `*:*:*:postgres:${password}\n`, { mode: 0o600 });
  const { stderr } = await expectStatus(0, ['drift'], { env: { ...env, PGPASSWORD: undefined, PGPASSFILE } });
  assert.equal(stderr, '');
});

test('one database that fails does not stop the others, and is told at the end', async () => {
  await admin.query("SELECT rolecall.create_base_roles(); SELECT rolecall.create_user('member', 'x')");
  const two = await cluster.connect({ database: 'two' });
  await two.query("SELECT rolecall.create_base_roles(); SELECT rolecall.create_user('member', 'x')");
  await two.end();
  await admin.query('REVOKE anonymous FROM member');
  const file = join(folder, 'urls');
  const unreachable = 'postgresql://u:hunter2@127.0.0.1:1/gone';
  writeFileSync(file, `# ours\n${url('one')}\n\n${url('bare')}\r\n${unreachable}\n${url('od"d')}\n${url('two')}\n`);

  const outcome = await run(1, 'drift', '--urls', file, '--json', '--concurrency', '2');
  const { databases } = JSON.parse(outcome.stdout) as Databases;
  const at = `127.0.0.1:${cluster.port}`;
  assert.deepEqual(
    databases.map(({ database, status, rows }) => [database, status, rows.length]),
    [
      [`${at}/one`, 'different', 1],
      [`${at}/bare`, 'failed', 0],
      ['127.0.0.1:1/gone', 'failed', 0],
      [`${at}/od"d`, 'done', 0],
      [`${at}/two`, 'different', 1],
    ],
  );
  assert.equal(databases[1]?.error?.message, 'rolecall is not installed in this database');
  const plain = await run(1, 'converge', '--urls', file);
  assert.match(plain.stdout, new RegExp(`^${at}/(one|two)\tapplied\tgrant_role\t`));
  assert.match(plain.stderr, /^error: 127\.0\.0\.1:1\/gone: .*ECONNREFUSED/m);
  assert.ok(!`${plain.stdout}${plain.stderr}${outcome.stdout}${outcome.stderr}`.includes('hunter2'));
  await run(0, 'drift', '-d', 'one', '-d', 'two');
});

test('--installed-only skips databases without rolecall, and says so; --exclude-database leaves one out', async () => {
  const result = async (status: number, ...parameters: string[]): Promise<unknown> => {
    const { databases } = JSON.parse((await run(status, 'drift', '--json', ...parameters)).stdout) as Databases;
    return databases.map((each) => [each.database, each.status]);
  };
  const found = [
    ['bare', 'skipped'],
    ['od"d', 'done'],
    ['one', 'done'],
    ['postgres', 'skipped'],
    ['two', 'done'],
  ];
  assert.deepEqual(await result(0, '--all-databases', '--installed-only'), found);
  await admin.query('REVOKE anonymous FROM member');
  found[2] = ['one', 'different'];
  found[4] = ['two', 'different'];
  assert.deepEqual(await result(3, '--all-databases', '--installed-only'), found);
  const others = ['bare', 'postgres'].flatMap((name) => ['--exclude-database', name]);
  assert.deepEqual(
    await result(3, '--all-databases', ...others),
    found.filter(([, status]) => status !== 'skipped'),
  );
  const { stderr } = await run(0, 'converge', '-d', 'bare', '-d', 'one', '--installed-only');
  assert.equal(stderr, 'skipped: bare: rolecall is not installed\n');
  assert.equal((await run(0, 'drift', '-d', 'bare', '-d', 'one', '--installed-only', '--quiet')).stderr, '');
  await run(1, 'drift', '--all-databases');
  const none = await run(1, 'drift', '-d', 'bare', '-d', 'postgres', '--installed-only');
  assert.match(none.stderr, /^error: rolecall is not installed in any of the databases$/m);
  await run(1, 'drift', '-d', 'bare', '--installed-only');
  await run(2, 'drift', '--exclude-database', 'one');
});

test('install in every database, status, and uninstall', async () => {
  const dry = JSON.parse((await run(0, 'install', '--all-databases', '--dry-run', '--json')).stdout) as Databases;
  const changed = (found: Databases) =>
    found.databases.filter(({ rows }) => rows[0]?.['changed']).map((d) => d.database);
  assert.deepEqual(changed(dry), ['bare', 'postgres']);
  await run(3, 'status', '-d', 'bare');
  assert.deepEqual(changed(JSON.parse((await run(0, 'install', '--all-databases', '--json')).stdout) as Databases), [
    'bare',
    'postgres',
  ]);
  await run(0, 'status', '-d', 'bare');
  await run(2, 'uninstall', '-d', 'bare');
  assert.equal((await jsonRows(0, ['uninstall', '-d', 'bare', '--dry-run'], { env })).length, 1);
  assert.equal((await jsonRows(0, ['uninstall', '-d', 'bare', '--yes'], { env }))[0]?.['via'], 'extension');
  assert.deepEqual(await jsonRows(0, ['uninstall', '-d', 'bare', '--yes'], { env }), []);
  const [plain] = await jsonRows(0, ['install', '-d', 'bare', '--via', 'plain'], { env });
  assert.deepEqual([plain?.['via'], plain?.['changed']], ['plain', true]);
  const [status] = await jsonRows(0, ['status', '-d', 'bare'], { env });
  assert.deepEqual([status?.['via'], status?.['current']], ['plain', true]);
  assert.equal((await jsonRows(0, ['uninstall', '-d', 'bare', '-y'], { env }))[0]?.['via'], 'plain');
});

test('options that contradict each other are a mistake of usage', async () => {
  await run(2, 'drift', '--all-databases', '-d', 'one');
  await run(2, 'drift', '--urls', join(folder, 'missing'));
  await run(2, 'drift', '--concurrency', 'many');
  await run(2, 'drift', '--json', '--sql');
  await run(2, 'audit', '--sql');
});

test('Ctrl-C cancels what is waiting, rolls back and says so', async () => {
  const holder = await cluster.connect();
  await holder.query("BEGIN; COMMENT ON ROLE member IS 'held'");
  const given = { env: { ...env, PGAPPNAME: 'to be interrupted' } };
  const waiting = async (): Promise<boolean> => {
    const { rowCount } = await admin.query(
      "SELECT FROM pg_stat_activity WHERE application_name = 'to be interrupted' AND wait_event_type = 'Lock'",
    );
    return rowCount === 1;
  };
  const outcome = await rolecall(['user', 'lock', 'member'], {
    ...given,
    meanwhile: (child) => void until('the command to wait', waiting).then(() => child.kill('SIGINT')),
  });
  await holder.end();
  assert.equal(outcome.status, 1, outcome.stderr);
  assert.match(outcome.stderr, /^error: interrupted: .*rolled back\n$/);
  const { rows } = await admin.query("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'member'");
  assert.deepEqual(rows, [{ rolcanlogin: true }]);
});

const isLinux = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0;
/** Runs a command line on a terminal, with what is typed there. */
const onTerminal = (line: string, typed: string, given: NodeJS.ProcessEnv = env) =>
  spawnSync('script', ['-qec', `stty cols 120; ${process.execPath} ${program} ${line}`, '/dev/null'], {
    env: { ...given, TERM: 'xterm' },
    input: typed,
    encoding: 'utf8',
    timeout: 600_000,
  });

test('on a terminal there are tables, and colours unless NO_COLOR is set', { skip: !isLinux }, async () => {
  await admin.query('CREATE ROLE "\u001b[31mred" LOGIN; GRANT pg_write_all_data TO "\u001b[31mred"');
  const { stdout, status } = onTerminal('audit --severity critical', '');
  assert.equal(status, 0, stdout);
  assert.match(stdout, /│/);
  assert.ok(stdout.includes('\\u001b[31mred'));

  assert.match(stdout, /\u001b\[1m/);
  const plain = onTerminal('audit --severity critical', '', { ...env, NO_COLOR: '1' });
  assert.ok(!plain.stdout.includes('\u001b['), JSON.stringify(plain.stdout.slice(0, 500)));
  const piped = await run(0, 'audit', '--severity', 'critical');
  assert.ok(!piped.stdout.includes('\u001b') && piped.stdout.includes('\t'));
  const several = onTerminal('drift -d one -d bare', '');
  assert.match(several.stdout, /bare[^\n]*failed/);
  const skipped = onTerminal('drift -d one -d bare --installed-only', '', { ...env, NO_COLOR: '1' });
  assert.match(skipped.stdout, /│ bare +│ skipped +│ 0 +│ rolecall is not installed +│/);
});

test(
  '200 databases, of which some fail: progress, a table at the end, and the others are done',
  { skip: !isLinux },
  async (t) => {
    const begun = performance.now();
    const names = Array.from({ length: 197 }, (_, at) => `many_${at}`);
    await cluster.createDatabases(names);
    await cluster.createDatabase('many_bare', 'template1');
    const broken = await cluster.connect({ database: 'many_7' });
    await broken.query(`CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''not here''; END';
    CREATE TRIGGER refuse BEFORE INSERT ON rolecall_internal.resource EXECUTE FUNCTION public.refuse()`);
    await broken.end();
    t.diagnostic(`made in ${(performance.now() - begun).toFixed(0)} ms`);
    const file = join(folder, 'many');
    const unreachable = ['postgresql://u:hunter2@127.0.0.1:1/gone', 'postgresql://u:hunter2@127.0.0.1:1/lost'];
    writeFileSync(file, [...names.map(url), url('many_bare'), ...unreachable].join('\n'));

    const started = performance.now();
    const { stdout, status } = onTerminal(`user add nearly --urls ${file} --concurrency 6`, '', {
      ...env,
      NO_COLOR: '1',
    });
    t.diagnostic(`run in ${(performance.now() - started).toFixed(0)} ms`);
    assert.equal(status, 1, stdout.slice(-3000));
    const lines = stdout.split(/\r?\n/);
    const at = (name: string) => `127.0.0.1:${cluster.port}/${name}`;
    // Each database is told once it is done, and has its line in the table at the end.
    const table = lines.findIndex((line) => /│ database +│ result +│ rows +│/.test(line));
    const inTable = new Map(
      lines.slice(table).flatMap((line) => {
        const [, name = '', result = ''] = /^│ (\S+) +│ (\w+) +│ \d+ +│$/.exec(line) ?? [];
        return name === '' ? [] : [[name, result] as const];
      }),
    );
    const failed = [at('many_7'), at('many_bare'), '127.0.0.1:1/gone', '127.0.0.1:1/lost'];
    assert.equal(inTable.size, 200, stdout.slice(-3000));
    for (const [name, result] of inTable) assert.equal(result, failed.includes(name) ? 'failed' : 'done', name);
    const progress = lines.slice(0, table).filter((line) => /^\S+ 127\.0\.0\.1:\d+\/\S+$/.test(line));
    assert.ok(new Set(progress.map((line) => line.split(' ')[1])).size >= 200, lines.slice(0, 20).join('\n'));
    assert.match(stdout, /error: 127\.0\.0\.1:1\/gone: .*ECONNREFUSED/);
    assert.match(stdout, /many_bare: rolecall is not installed in this database \(SQLSTATE 3F000\)/);
    assert.match(stdout, /many_7: not here/);
    assert.ok(!stdout.includes('hunter2'));
    for (const [name, count] of [
      ['many_0', 1],
      ['many_196', 1],
      ['many_7', 0],
    ] as const) {
      const client = await cluster.connect({ database: name });
      const { rowCount } = await client.query(
        "SELECT FROM rolecall_internal.resource AS r WHERE r.section = 'roles' AND r.resource ->> 'name' = 'nearly'",
      );
      await client.end();
      assert.equal(Number((rowCount ?? 0) > 0), count, name);
    }
  },
);
