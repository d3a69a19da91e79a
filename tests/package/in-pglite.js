// What a project does that has nothing but rolecall and PGlite: a reporting login, proven in-process. package.test.ts
// runs it in a fresh project.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { install, isCondition, Rolecall } from 'rolecall';
import { rolecall as extension } from 'rolecall/pglite';

// A prepared data directory, which saves the time to initialize one.
const loadDataDir = new Blob([readFileSync(process.env.PGLITE_DATA)]);
const pglite = await PGlite.create({ loadDataDir, extensions: { rolecall: extension } });
assert.equal((await install(pglite)).via, 'extension');
await pglite.exec('CREATE TABLE tokens (token text); CREATE SCHEMA reporting');
await pglite.exec('CREATE TABLE reporting.counts AS SELECT 42 AS patients');
const rolecall = new Rolecall(pglite);
await rolecall.create_base_roles();
await rolecall.create_user({ username: 'ann', password: 'secret' });
await rolecall.provision_reporting_role({ role_name: 'reports', schemas: ['reporting'] });
assert.match(await rolecall.reporting_role_password({ role_name: 'reports' }), /^[0-9a-f]{64}$/);
assert.deepEqual(await rolecall.drift(), []);

await pglite.exec('SET SESSION AUTHORIZATION reports');
const { rows } = await pglite.query('SELECT patients FROM reporting.counts');
assert.deepEqual(rows, [{ patients: 42 }]);
for (const statement of ['SELECT * FROM tokens', 'INSERT INTO reporting.counts VALUES (1)']) {
  await assert.rejects(pglite.query(statement), (error) => isCondition(error, 'insufficient_privilege'), statement);
}
await pglite.close();

// Without the archive: the plain script.
if (process.argv[2] === 'plain') {
  const plain = await PGlite.create({ loadDataDir });
  assert.deepEqual({ ...(await install(plain)), version: '' }, { via: 'plain', version: '', changed: true });
  assert.equal((await install(plain)).changed, false);
  assert.equal((await new Rolecall(plain).create_base_roles({ dry_run: true })).length, 3);
  await plain.close();
}
console.log(`${process.version} reads reporting.counts, and nothing else`);
