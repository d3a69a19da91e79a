/**
 * psql installs the plain script, and what pg_dump takes along of that, as docs/secrets.md has it. The program is the system's: of a version
 * that it cannot dump, nothing is tested.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { password, root, startCluster } from '../support/cluster.ts';

const program = spawnSync('pg_dump', ['--version'], { encoding: 'utf8' }).stdout as string | null;
const version = Number(/\d+/.exec(program ?? '')?.[0] ?? 0);
const skip = version < Number(process.env.PG) && `there is no pg_dump ${process.env.PG} here`;

test('a dump has the secrets of a plain installation, unless they are excluded or encrypted', { skip }, async () => {
  const cluster = await startCluster();
  after(() => cluster.stop());
  const database = await cluster.createDatabase(undefined, 'template1');
  const owner = await cluster.connect({ database });
  const where = ['-h', cluster.host, '-p', String(cluster.port), '-U', 'postgres'];
  const env = { PATH: process.env.PATH, PGPASSWORD: password };
  const script = ['-X', '-v', 'ON_ERROR_STOP=1', '--file', join(root, 'extension/rolecall.sql'), '-d', database];
  for (let time = 0; time < 2; time++) {
    const { status, stderr } = spawnSync('psql', [...where, ...script], { env, encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
  }
  await owner.query("SELECT rolecall.set_secret('k', 'plain-secret-value')");
  const dump = (...options: string[]): string => {
    const { stdout, stderr, status } = spawnSync('pg_dump', [...options, ...where, database], {
      env,
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const value = Buffer.from('plain-secret-value').toString('hex');
  const leaks = (text: string) => text.includes('plain-secret-value') || text.includes(value);
  assert.ok(leaks(dump()));
  const safe = dump('--exclude-table-data=rolecall_internal.secret');
  assert.ok(!leaks(safe));
  assert.ok(safe.includes('CREATE TABLE rolecall_internal.secret'));
  await owner.query("CREATE EXTENSION pgcrypto; SET rolecall.encryption_key = 'key'; SELECT rolecall.get_secret('k')");
  assert.ok(!leaks(dump()));
  await owner.end();
});
