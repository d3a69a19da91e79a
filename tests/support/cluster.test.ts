import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { makeDirectory, processes, root, startCluster, stopCluster, until } from './cluster.ts';

const family = (postmaster: number) => processes().filter(({ pid, parent }) => [pid, parent].includes(postmaster));

test('a cluster starts, has the extensions, and is gone when it is stopped', async () => {
  const cluster = await startCluster({ settings: { log_statement: 'all', application_name: "it's" } });
  const client = await cluster.connect({ database: await cluster.createDatabase('a \'b\' "c"', 'pgtap') });
  const { rows } = await client.query('SELECT extname FROM pg_extension WHERE extname <> $1 ORDER BY 1', ['plpgsql']);
  assert.deepEqual(rows, [{ extname: 'pgtap' }, { extname: 'rolecall' }]);
  assert.equal(
    (await client.query('SHOW server_version_num')).rows[0].server_version_num.slice(0, 2),
    `${cluster.version}`,
  );
  assert.match(cluster.log(), /SELECT extname FROM pg_extension/);
  await assert.rejects(cluster.connect({ password: 'wrong' }), { code: '28P01' });

  const { pid } = cluster;
  assert.ok(family(pid).length > 1);
  await cluster.stop();
  assert.deepEqual(family(pid), []);
  assert.equal(fs.existsSync(cluster.directory), false);
});

test('databases do not share what is done in them', async () => {
  const cluster = await startCluster();
  const first = await cluster.connect({ database: await cluster.createDatabase() });
  await first.query('CREATE TABLE only_here ()');
  const second = await cluster.connect({ database: await cluster.createDatabase() });
  await assert.rejects(second.query('TABLE only_here'), { code: '42P01' });
  await cluster.stop();
});

test('a killed server loses every process and nothing that was committed; a taken port is replaced', async () => {
  const cluster = await startCluster({ settings: { fsync: true } });
  const client = await cluster.connect();
  await client.query('CREATE TABLE kept AS SELECT 1 AS one');
  const busy = assert.rejects(client.query('SELECT count(*) FROM generate_series(1, 1e12::bigint)'));
  const { pid, port } = cluster;
  await cluster.kill();
  await busy;
  assert.deepEqual(family(pid), []);

  const squatter = createServer().listen(port, cluster.host);
  await new Promise((resolve) => squatter.once('listening', resolve));
  await cluster.restart();
  squatter.close();
  assert.notEqual(cluster.port, port);
  assert.equal((await (await cluster.connect()).query('TABLE kept')).rowCount, 1);
  await cluster.stop();
});

test('a server that cannot start says why', async () => {
  await assert.rejects(startCluster({ settings: { no_such_setting: 1 } }), /unrecognized configuration parameter/);
});

/** Starts a cluster in another process, waits until it is up, and returns that process and the cluster's place. */
async function startElsewhere(options: string, then: string) {
  const code = `import { startCluster } from './tests/support/cluster.ts';
    const { pid, directory } = await startCluster(${options});
    console.log(JSON.stringify({ pid, directory }));
    ${then}`;
  const environment = { ...process.env, ROLECALL_RUN_DIRECTORY: undefined };
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', code], {
    cwd: root,
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const exited = new Promise((resolve) => child.once('exit', resolve));
  await until('the other process', () => output.includes('\n') || child.exitCode !== null);
  return { child, exited, ...(JSON.parse(output) as { pid: number; directory: string }) };
}

for (const [how, then] of Object.entries({
  'runs to its end': '',
  throws: 'throw undefined;',
  'is interrupted': "process.kill(process.pid, 'SIGINT'); setInterval(() => {}, 1000);",
  'is terminated': "process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000);",
  'is killed': "process.kill(process.pid, 'SIGKILL');",
})) {
  test(`nothing is left of a process that ${how}`, async () => {
    const { exited, pid, directory } = await startElsewhere('', then);
    await exited;
    await until('the server to be gone', () => family(pid).length === 0);
    await until('the files to be gone', () => !fs.existsSync(join(directory, '..')));
  });
}

test('a detached cluster outlives its process, until it is stopped', async () => {
  const directory = join(makeDirectory(), 'detached');
  const { exited, pid } = await startElsewhere(JSON.stringify({ directory, detach: true }), '');
  await exited;
  assert.ok(family(pid).length > 1);
  await stopCluster(directory);
  assert.deepEqual(family(pid), []);
  assert.equal(fs.existsSync(directory), false);
  await stopCluster(directory);
});

test('a number left in a lock file that is another process by now is left alone', async () => {
  const directory = makeDirectory();
  const other = spawn('sleep', ['600']);
  fs.mkdirSync(join(directory, 'data'));
  fs.writeFileSync(join(directory, 'data/postmaster.pid'), `${other.pid}\n`);
  await stopCluster(directory);
  assert.equal(fs.existsSync(directory), false);
  assert.ok(other.kill('SIGKILL'), 'it was still there');
  assert.equal(await new Promise((done) => other.once('exit', (_code, signal) => done(signal))), 'SIGKILL');
});
