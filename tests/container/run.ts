/**
 * `make test-container`: the extension on Debian's PostgreSQL in containers, see tests/README.md. Installing it through
 * PGXS, the pgTAP files by pg_prove, plpgsql_check, the release tarball, and the image for users.
 * Environment: PG (major versions).
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { inspect } from 'node:util';
import { until } from '../support/cluster.ts';
import { type Failure, inShort } from '../support/failures.ts';
import { someFiles } from '../support/ways.ts';
import { attempt, Container, docker, type Output, password, prefix, root, run, withVolume } from './docker.ts';
import { testUpgrade } from './upgrade.ts';

/** The Debian release that carries each version. */
const bases: Readonly<Record<string, string>> = { 15: 'debian:bookworm', 17: 'debian:trixie', 18: 'debian:forky' };

const dockerfile = join(root, 'tests/container/Dockerfile');
const volumePath = '/var/lib/postgresql';

// What is counted.

const sum = { passed: 0, failed: 0, skipped: 0 };
const failures: Failure[] = [];

function report(where: string, what: string, counts: Partial<typeof sum>, started: number, details = ''): void {
  const { passed = 0, failed = 0, skipped = 0 } = counts;
  sum.passed += passed;
  sum.failed += failed;
  sum.skipped += skipped;
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(
    `${where.padEnd(14)} ${what.padEnd(62)} ${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}  ${seconds} s`,
  );
  if (details) console.log(details.trimEnd().replace(/^/gm, '    '));
  if (failed) failures.push({ where, text: `${what}\n${details}` });
}

/** The ends of the logs of whatever containers there are: a test that passes removes its own. */
async function containerLogs(): Promise<string> {
  const { text } = await attempt('docker', ['ps', '--all', '--quiet', '--filter', `label=${prefix}`]);
  const logs = text
    .split('\n')
    .filter(Boolean)
    .map((id) => attempt('docker', ['logs', '--tail', '30', id]));
  return (await Promise.all(logs)).map(({ text }) => text).join('\n');
}

/** One test; false where it failed. */
async function check(where: string, what: string, test: () => Promise<unknown>): Promise<boolean> {
  const started = Date.now();
  try {
    await test();
    report(where, what, { passed: 1 }, started);
    return true;
  } catch (error) {
    const logs = await containerLogs();
    report(where, what, { failed: 1 }, started, `${error instanceof Error ? error.stack : inspect(error)}\n${logs}`);
    return false;
  }
}

/** The tests that pg_prove ran, from its verbose output. */
async function prove(where: string, what: string, command: () => Promise<Output>): Promise<void> {
  const started = Date.now();
  const { status, text } = await command();
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const line of text.split('\n')) {
    const [, not, directive] = /^(not )?ok \d+(?:.*(?<!\\)#\s*(skip|todo)\b)?/i.exec(line) ?? [];
    if (!/^(not )?ok \d/.test(line)) continue;
    if (directive?.toLowerCase() === 'skip' || (directive && not)) counts.skipped++;
    else if (not) counts.failed++;
    else counts.passed++;
  }
  const wrong = status !== 0 || counts.passed === 0;
  if (wrong && counts.failed === 0) counts.failed = 1; // A file that ended early, or nothing at all.
  report(where, what, counts, started, wrong ? text.replace(/^ok .*\n/gm, '') : '');
}

/** Whatever a test that failed, or an interrupt, left behind. */
function cleanUp(): void {
  for (const label of [prefix, `com.docker.compose.project=${prefix}`]) {
    const filter = ['--quiet', '--filter', `label=${label}`];
    for (const [list, remove] of [
      [
        ['ps', '--all'],
        ['rm', '--force', '--volumes'],
      ],
      [
        ['volume', 'ls'],
        ['volume', 'rm', '--force'],
      ],
      [
        ['network', 'ls'],
        ['network', 'rm'],
      ],
    ] as const) {
      const found = spawnSync('docker', [...list, ...filter], { encoding: 'utf8' }).stdout ?? '';
      if (found !== '') spawnSync('docker', [...remove, ...found.trim().split('\n')]);
    }
  }
  fs.rmSync(scratch, { recursive: true, force: true });
}

// The tests.

const scratch = fs.mkdtempSync(join(tmpdir(), `${prefix}-`));

/** Makes the release twice, in two clones under different circumstances. Returns the tarball. */
async function release(): Promise<string> {
  const made: string[] = [];
  for (const [clone, umask, zone] of [
    ['one', '022', 'UTC'],
    ['another', '077', 'Asia/Tokyo'],
  ] as const) {
    const directory = join(scratch, clone);
    await run('git', ['clone', '--quiet', root, directory]);
    await run('sh', ['-c', `umask ${umask} && make dist`], { cwd: directory, env: { ...process.env, TZ: zone } });
    const [name = '', ...more] = fs.readdirSync(join(directory, 'dist'));
    assert(name.endsWith('.tar.gz') && more.length === 0, `in dist: ${name} ${more.join(' ')}`);
    made.push(join(directory, 'dist', name));
  }
  const [first = '', second = ''] = made;
  assert(fs.readFileSync(first).equals(fs.readFileSync(second)), 'the two tarballs differ');
  const { name, version } = JSON.parse(fs.readFileSync(join(scratch, 'one/META.json'), 'utf8')) as Record<
    string,
    string
  >;
  assert.equal(basename(first), `${name}-${version}.tar.gz`, 'META.json and the control file agree');
  return first;
}

/** What is known of a database and of the roles that it has provisioned for itself. */
const application = `
  CREATE EXTENSION rolecall;
  CREATE ROLE app_owner;
  GRANT CREATE ON SCHEMA public TO app_owner;
  CREATE SCHEMA reporting;
  SET ROLE app_owner;
  CREATE TABLE patient (id integer);
  INSERT INTO patient VALUES (1);
  CREATE TABLE token (id integer);
  RESET ROLE;
  CREATE VIEW reporting.patients AS SELECT count(*) FROM patient;
  SELECT FROM rolecall.create_base_roles();
  SELECT FROM rolecall.create_user('alice', 'alice''s password');
  SELECT FROM rolecall.provision_reporting_roles(withheld_tables => ARRAY['token']);
  SELECT FROM rolecall.set_secret('mail', 'a secret of the application');
  SELECT FROM rolecall.watch_new_tables();
`;

/** pg_dump, and pg_restore in the same cluster and in one that has none of the roles. */
async function testDump(container: Container, version: string): Promise<void> {
  await container.run('root', 'pg_createcluster', version, 'other', '--port', '5433', '--start');
  const run = (...command: string[]) => container.run('postgres', ...command);
  const psql = async (port: string, database: string, statements: string, ...options: string[]) => {
    const how = ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-p', port, '-d', database, ...options];
    return (await run('psql', ...how, '-c', statements)).trim();
  };
  const count = (port: string, database: string, rows: string) =>
    psql(port, database, `SELECT count(*) FROM ${rows}`, '-c', 'SET client_min_messages = warning').then(Number);
  const login = (port: string, database: string, statements: string, secret: string) =>
    container.attempt(
      'postgres',
      ...['env', `PGPASSWORD=${secret}`, 'psql', '-X', '-At', '-h', '127.0.0.1'],
      ...['-p', port, '-d', database, '-U', 'app_raw', '-c', statements],
    );
  const passwordOf = (port: string, database: string, role: string) =>
    psql(port, database, `SELECT rolecall.reporting_role_password('${role}')`);

  await run('createdb', 'app');
  await psql('5432', 'app', application);
  const before = await passwordOf('5432', 'app', 'app_raw');

  await run('pg_dump', '--format=custom', '--file=/tmp/app.dump', 'app');
  const dump = await run('pg_restore', '--file=-', '/tmp/app.dump');
  assert.match(dump, /COPY rolecall_internal\.resource /, 'what was recorded is in the dump');
  assert.doesNotMatch(dump, /COPY rolecall_internal\.secret /, 'no secret is');
  const secrets = await psql('5432', 'app', `SELECT encode(value, 'hex') FROM rolecall_internal.secret`);
  assert.notEqual(secrets, '');
  for (const secret of secrets.split('\n')) assert(!dump.includes(secret));

  // A copy in the same cluster leaves the roles of the original alone, and has a pair of its own.
  await run('createdb', 'copy');
  await run('pg_restore', '--exit-on-error', '--dbname=copy', '/tmp/app.dump');
  assert.match(
    (await container.attempt('postgres', 'psql', '-d', 'copy', '-c', 'SELECT * FROM rolecall.converge()')).text,
    /skipped for "app_\w+": left out: it belongs to database "app"/,
  );
  assert.equal(await count('5432', 'app', 'rolecall.drift()'), 0);
  assert.notEqual(await count('5432', 'copy', 'rolecall.provision_reporting_roles()'), 0);
  assert.equal(await passwordOf('5432', 'app', 'app_raw'), before);

  // In another cluster the owner of the tables is the only role that has to be there before.
  await psql('5433', 'postgres', 'CREATE ROLE app_owner');
  await run('createdb', '--port=5433', 'app');
  await run('pg_restore', '--port=5433', '--exit-on-error', '--no-privileges', '--dbname=app', '/tmp/app.dump');
  assert.notEqual(await count('5433', 'app', 'rolecall.converge()'), 0);
  assert.equal(await count('5433', 'app', 'rolecall.drift()'), 0);
  // While tables are watched, an owner that comes new is no drift; a call of its own sets its default privileges.
  const provisioning = `rolecall.provision_reporting_roles(withheld_tables => ARRAY['token'])`;
  assert.equal(await count('5433', 'app', `${provisioning} AS s WHERE s.operation <> 'default_privilege'`), 0);
  assert.equal(await count('5433', 'app', provisioning), 0);
  const after = await passwordOf('5433', 'app', 'app_raw');
  assert.notEqual(after, before, 'the secret is a new one');
  assert.equal((await login('5433', 'app', 'SELECT id FROM patient', after)).text.trim(), '1');
  assert.match((await login('5433', 'app', 'SELECT id FROM token', after)).text, /permission denied/);
  // The event trigger has come along.
  await psql(
    '5433',
    'app',
    `GRANT CREATE ON SCHEMA public TO app_owner; SET ROLE app_owner;
      DROP TABLE token; CREATE TABLE token (id integer); CREATE TABLE late ()`,
  );
  assert.match((await login('5433', 'app', 'SELECT id FROM token', after)).text, /permission denied/);
  assert.equal((await login('5433', 'app', 'SELECT count(*) FROM late', after)).text.trim(), '0');
  assert.match((await login('5433', 'app', 'SELECT', before)).text, /password authentication failed/);
}

async function testExtension(
  where: string,
  version: string,
  image: string,
  withAll: boolean,
  tarball?: string,
): Promise<void> {
  const config = `PG_CONFIG=/usr/lib/postgresql/${version}/bin/pg_config`;
  let container = new Container('');
  const isRunning = await check(where, 'a server starts', async () => {
    container = await Container.start(image);
    // Autovacuum can be in the way of a test that changes tables and then drops them in one transaction.
    const options = ['--pgoption', 'autovacuum=off', '--start'];
    await container.run('root', 'pg_createcluster', version, 'main', ...options);
  });
  if (!isRunning) return;

  // All on one version: on the others Debian's build can break no more than the way to install.
  const files = withAll ? [] : [`TESTS=${someFiles.map((file) => `tests/pgtap/${file}`).join(' ')}`];
  await prove(where, 'pgTAP: make installcheck', () =>
    container.attempt('postgres', 'make', 'installcheck', 'TAP_FLAGS=--verbose', config, ...files),
  );
  await prove(where, 'plpgsql_check', () =>
    container.attempt(
      ...(['postgres', 'make', 'installcheck', 'TAP_FLAGS=--verbose', config] as const),
      ...['TESTS=tests/container/plpgsql-check.sql', 'TEST_DATABASE=plpgsql_check'],
    ),
  );

  await check(where, 'pg_dump and pg_restore', () => testDump(container, version));

  const folder = `/usr/share/postgresql/${version}/extension`;
  const installed = async () =>
    (await container.run('root', 'sh', '-c', `cd ${folder} && ls | grep ^rolecall || :`)).trim();
  await check(where, 'make uninstall leaves nothing', async () => {
    assert.notEqual(await installed(), '');
    await container.run('root', 'make', 'uninstall', config);
    assert.equal(await installed(), '');
  });
  if (tarball !== undefined) {
    await check(where, 'the release installs, without Node', async () => {
      await docker('cp', tarball, `${container.id}:/tmp/release.tar.gz`);
      await container.run('root', 'tar', '-C', '/tmp', '--no-same-owner', '-xzf', '/tmp/release.tar.gz');
      const source = `/tmp/${basename(tarball, '.tar.gz')}`;
      assert.notEqual((await container.attempt('root', 'sh', '-c', 'command -v node npm')).status, 0);
      await container.run('root', 'make', '-C', source, 'install', config);
      // The client and the scripts beside them are for applications, not for the server.
      const files = fs
        .readdirSync(join(scratch, 'one/extension'))
        .filter((name) => /^rolecall(--.*\.sql|\.control)$/.test(name));
      assert.deepEqual((await installed()).split('\n'), files.sort());
      const tests = 'TESTS=tests/pgtap/extension.sql';
      await container.run('postgres', 'make', '-C', source, 'installcheck', config, tests);
    });
  }
  await container.remove();
}

const serverOptions = (volume: string) => [
  ...['--volume', `${volume}:${volumePath}`, '--env', `POSTGRES_PASSWORD=${password}`],
  ...['--publish', '127.0.0.1::5432', '--health-interval', '1s'],
];

/** That the database is what the image promises: the extension, and the base roles as it wants them. */
async function expectRolecall(container: Container): Promise<void> {
  const client = await container.login();
  const { rows } = await client.query(
    `SELECT (SELECT extversion FROM pg_extension WHERE extname = 'rolecall') AS version,
            (SELECT default_version FROM pg_available_extensions WHERE name = 'rolecall') AS expected,
            (SELECT count(*)::integer FROM rolecall.create_base_roles(dry_run => true)) AS missing`,
  );
  await client.end();
  assert.notEqual(rows[0].version, null);
  assert.equal(rows[0].version, rows[0].expected);
  assert.equal(rows[0].missing, 0);
}

async function testServer(where: string, image: string): Promise<void> {
  await check(where, 'the server image starts, with rolecall and the base roles', () =>
    withVolume(async (volume) => {
      const container = await Container.start(image, ...serverOptions(volume));
      await until('the health check', () => container.isHealthy());
      await expectRolecall(container);
      await assert.rejects(container.login('wrong'), { code: '28P01' });
      const first = await container.run('root', 'sh', '-c', 'cat /proc/1/comm; stat -c %U /proc/1');
      assert.deepEqual(first.trim().split('\n'), ['postgres', 'postgres']);

      const second = await attempt('docker', ['run', '--rm', '--label', prefix, ...serverOptions(volume), image]);
      assert.notEqual(second.status, 0);
      assert.match(second.text, /another container runs on this volume/);

      const client = await container.login();
      await client.query('CREATE TABLE kept ()');
      await docker('stop', container.id); // With the client connected.
      assert.equal(await container.inspect('.State.ExitCode'), '0');
      await docker('start', container.id);
      await until('the health check', () => container.isHealthy());
      const again = await container.login();
      await again.query('TABLE kept');
      await again.end();
      await container.remove();
    }),
  );
  await check(where, 'the server image asks for a password', async () => {
    const { status, text } = await attempt('docker', ['run', '--rm', '--label', prefix, image]);
    assert.notEqual(status, 0);
    assert.match(text, /POSTGRES_PASSWORD: must be set/);
  });
}

/** Stops the first start before its first command, its second, ...; kills the container there and starts it again. */
async function testInterruptedStart(where: string, image: string): Promise<void> {
  const folder = join(scratch, 'stall');
  fs.mkdirSync(folder);
  // Stands before the real commands in PATH, counts them, and waits for ever in place of the one that STALL says.
  const stall = `#!/bin/sh
n=$(($(cat /tmp/commands 2> /dev/null || echo 0) + 1))
echo $n > /tmp/commands
if [ $n = "$STALL" ]; then
  echo "waiting before \${0##*/}"
  exec sleep infinity
fi
PATH=\${PATH#/stall:}
exec "\${0##*/}" "$@"
`;
  const commands = ['rm', 'initdb', 'pg_ctl', 'createdb', 'psql', 'mv', 'sync'];
  for (const command of commands) fs.writeFileSync(join(folder, command), stall, { mode: 0o755 });
  fs.chmodSync(scratch, 0o755);
  const path = JSON.parse(await docker('inspect', '--format', '{{json .Config.Env}}', image)) as string[];
  const inImage = path.find((entry) => entry.startsWith('PATH='))?.slice('PATH='.length);

  const met: string[] = [];
  const database = ['--env', 'POSTGRES_DB=app'];
  for (let at = 1; at < 20; at++) {
    const before = met.length;
    const passed = await check(where, `the first start is killed before its command ${at}`, () =>
      withVolume(async (volume) => {
        const trap = ['--volume', `${folder}:/stall:ro`, '--env', `PATH=/stall:${inImage}`, '--env', `STALL=${at}`];
        const victim = await Container.start(image, ...serverOptions(volume), ...database, ...trap);
        let command: string | undefined;
        await until('the command or the server', async () => {
          command = /waiting before (\S+)/.exec(await victim.logs())?.[1];
          return command !== undefined || (await victim.isHealthy());
        });
        await docker('kill', victim.id);
        await victim.remove();
        if (command === undefined) return;
        met.push(command);
        const heir = await Container.start(image, ...serverOptions(volume), ...database);
        await until('the health check', () => heir.isHealthy());
        const extensions = await heir.run(
          'postgres',
          'psql',
          '-At',
          '-d',
          'app',
          '-c',
          'SELECT extname FROM pg_extension',
        );
        assert.match(extensions, /^rolecall$/m);
        await heir.remove();
      }),
    );
    if (!passed || met.length === before) break;
  }
  await check(where, 'those were all the commands of the first start', () => {
    assert.deepEqual([...new Set(met)].sort(), [...commands].sort());
    return Promise.resolve();
  });
}

/** `docker compose`, or the program of its own that it used to be. */
const compose = (): string[] | undefined =>
  [['docker', 'compose'], ['docker-compose']].find(
    ([command = '', ...rest]) => spawnSync(command, [...rest, 'version']).status === 0,
  );

async function testCompose(where: string, version: string, [command = '', ...rest]: string[]): Promise<void> {
  const env = { ...process.env, PG: version, BASE: bases[version], POSTGRES_PASSWORD: password, PORT: '0' };
  const call = (...args: string[]) => run(command, [...rest, '--project-name', prefix, ...args], { env });
  const started = async () => {
    const ids = (await call('ps', '--quiet', 'db')).trim().split('\n');
    const container = new Container(ids.at(-1) ?? '');
    await until('the health check', () => container.isHealthy());
    return container;
  };
  try {
    await check(where, 'compose up, down and up again', async () => {
      await call('up', '--detach', '--build');
      const container = await started();
      await expectRolecall(container);
      const client = await container.login();
      await client.query('CREATE TABLE kept ()');
      await client.end();
      await call('down');
      await call('up', '--detach');
      const again = await (await started()).login();
      await again.query('TABLE kept');
      await again.end();
    });
  } finally {
    await call('down', '--volumes');
  }
}

function chooseVersions(): string[] {
  const asked = (process.env.PG ?? '').split(/[\s,]+/).filter(Boolean);
  const unknown = asked.find((version) => bases[version] === undefined);
  if (unknown !== undefined) throw new Error(`PG=${unknown}: the versions are ${Object.keys(bases).join(' ')}`);
  return asked.length > 0 ? asked : Object.keys(bases);
}

async function main(): Promise<void> {
  const versions = chooseVersions();
  const engine = await attempt('docker', ['version', '--format', '{{.Server.Version}}']).catch((error: Error) => ({
    status: 1,
    text: error.message,
  }));
  if (engine.status !== 0) throw new Error(`no Docker engine answers: ${engine.text.trim()}`);

  let tarball: string | undefined;
  if (fs.existsSync(join(root, '.git'))) {
    await check('release', 'make dist gives the same bytes in two clones', async () => (tarball = await release()));
  } else {
    report('release', 'make dist: this is not a git clone', { skipped: 1 }, Date.now());
  }

  for (const version of versions) {
    const where = `PostgreSQL ${version}`;
    const base = bases[version] ?? '';
    const image = (target: string) => `rolecall-${target}:${version}`;
    const isBuilt = await check(where, `the images build on ${base}, with make install through PGXS`, async () => {
      await run(join(root, 'tests/container/base-image.sh'), [base]);
      for (const target of ['test', 'server']) {
        const options = ['--build-arg', `BASE=${base}`, '--build-arg', `PG=${version}`, '--target', target];
        await docker('build', '--file', dockerfile, '--tag', image(target), ...options, root);
      }
    });
    if (!isBuilt) continue;
    await testExtension(where, version, image('test'), version === versions.at(-1), tarball);
    // From the oldest: 17.12 gives columns an option that 18.6 does not know, so that no table can go from the one to
    // the other.
    const [oldest = version] = versions;
    if (version !== oldest)
      await check(where, `pg_upgrade from ${oldest} keeps what is remembered, and the secrets`, () =>
        testUpgrade(oldest, version),
      );
    await testServer(where, image('server'));
    if (version !== versions.at(-1)) continue;
    await testInterruptedStart(where, image('server'));
    const composer = compose();
    if (composer === undefined) report(where, 'compose: there is none here', { skipped: 1 }, Date.now());
    else await testCompose(where, version, composer);
  }
}

for (const [signal, status] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.on(signal, () => process.exit(status));
}
process.on('exit', cleanUp);

try {
  await main();
  for (const line of ['', ...inShort(failures)]) console.log(line);
  console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ''}`);
  process.exitCode = sum.failed === 0 && sum.passed > 0 ? 0 : 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
