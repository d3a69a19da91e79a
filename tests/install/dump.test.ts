/**
 * psql installs the plain script, and what pg_dump takes along of that, as docs/secrets.md has it. The program is the
 * system's: of a version that it cannot dump, nothing is tested.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { released } from '../../generator/model/released.ts';
import { password, root, startCluster, versions } from '../support/cluster.ts';

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

const newest = versions().at(-1) ?? 0;
const skipUpwards = skip || (Number(process.env.PG) === newest && 'there is no newer version to restore into');

test(
  'a dump restored by a newer server, also of the last released version: all but the secrets is there, and converge() makes the roles',
  { skip: skipUpwards },
  async (t) => {
    const [source, target] = [await startCluster(), await startCluster({ version: newest })];
    t.after(() => Promise.all([source.stop(), target.stop()]));
    const script = readFileSync(join(root, 'extension/rolecall.sql'), 'utf8');
    const create: Readonly<Record<string, string>> = {
      extended: 'CREATE EXTENSION rolecall',
      released: `CREATE EXTENSION rolecall VERSION '${Object.keys(released).at(-1)}'`,
    };
    const calls = (name: string) => `
    SELECT * FROM rolecall.create_base_roles();
    SELECT * FROM rolecall.create_user('${name}_ann');
    SELECT * FROM rolecall.provision_reporting_role('${name}_reports', '{clinic}', '{token,patient.ssn}');
    SELECT * FROM rolecall.watch_new_tables()`;
    for (const name of ['extended', 'released', 'plain']) {
      await source.createDatabase(name, 'template1');
      const before = await source.connect({ database: name });
      await before.query(create[name] ?? script);
      await before.query(
        `CREATE SCHEMA clinic; CREATE TABLE clinic.patient (id int, ssn text); CREATE TABLE clinic.token (id int)`,
      );
      await before.query(calls(name));
      await before.query("SELECT rolecall.set_secret('k', 'v'); ALTER TABLE clinic.token RENAME TO renamed");
      await before.end();

      const env = { PATH: process.env.PATH, PGPASSWORD: password };
      const where = (port: number) => ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres'];
      const options = name === 'plain' ? ['--exclude-table-data=rolecall_internal.secret'] : [];
      const dump = spawnSync('pg_dump', [...options, ...where(source.port), name], {
        env,
        encoding: 'utf8',
        maxBuffer: 1 << 26,
      });
      assert.equal(dump.status, 0, dump.stderr);
      await target.createDatabase(name, 'template1');
      const restore = spawnSync('psql', ['-X', '-q', ...where(target.port), name], {
        env,
        encoding: 'utf8',
        input: dump.stdout,
      });
      // What was granted to roles that are not there yet.
      const errors = restore.stderr
        .split('\n')
        .filter((line) => line.includes('ERROR:') && !/role "\w+" does not exist/.test(line));
      assert.deepEqual(errors, [], name);

      const after = await target.connect({ database: name });
      const rows = async (text: string) => (await after.query(text)).rows as Record<string, unknown>[];
      assert.deepEqual(await rows("SELECT rolecall.get_secret('k') AS value"), [{ value: null }]);
      await after.query('SELECT * FROM rolecall.converge()');
      assert.deepEqual(await rows('SELECT target, sqlstate FROM rolecall.drift()'), [
        { target: 'clinic.renamed', sqlstate: '55000' },
      ]);
      const secret = await rows(`SELECT rolecall.reporting_role_password('${name}_reports') AS value`);
      const reader = await target.connect({
        database: name,
        user: `${name}_reports`,
        password: String(secret[0]?.value),
      });
      await reader.query('SELECT id FROM clinic.patient');
      for (const hidden of ['SELECT ssn FROM clinic.patient', 'TABLE clinic.renamed'])
        await assert.rejects(reader.query(hidden), { code: '42501' });
      await reader.end();
      await after.query('CREATE TABLE clinic.token (id int); CREATE TABLE clinic.later (id int)');
      const reads = await rows(`SELECT has_table_privilege('${name}_reports', 'clinic.later', 'SELECT') AS later,
      has_table_privilege('${name}_reports', 'clinic.token', 'SELECT') AS token`);
      assert.deepEqual(reads, [{ later: true, token: false }]);
      if (name === 'plain') await after.query(script);
      await after.end();
    }
  },
);
