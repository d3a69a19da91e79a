/**
 * Options of a membership change back and forth at every run.
 * ansible-collections/community.postgresql#944
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('two calls that ask for different options of a membership settle', async (place) => {
  const { admin, rows } = place;
  if (place.cluster.version < 16) return;
  await admin.query(`SELECT rolecall.create_base_roles()`);
  const calls = [
    `SELECT * FROM rolecall.create_user('a')`,
    `SELECT * FROM rolecall.grant_role('anonymous', 'a', inherit_option => false)`,
  ];
  for (const call of calls) await admin.query(call);
  for (const call of calls) assert.deepEqual(await rows(call), []);
});

report('a membership that gives nothing, as a call asked for, stays so', async (place) => {
  const { admin, rows } = place;
  if (place.cluster.version < 16) return;
  await admin.query('CREATE ROLE g; CREATE ROLE u');
  const plain = `SELECT statement FROM rolecall.create_user_with_grants('u', NULL, '{g}')`;
  const nothing = `SELECT statement FROM rolecall.grant_role('g', 'u', inherit_option => false, set_option => false)`;
  await admin.query(nothing);
  for (const call of [plain, nothing, plain]) assert.deepEqual(await rows(call), [], call);

  // ADMIN OPTION is all that is added, and all of it comes back where somebody else revokes it.
  const asked = { statement: 'GRANT g TO u WITH ADMIN OPTION, INHERIT FALSE, SET FALSE' };
  assert.deepEqual(await rows(`SELECT statement FROM rolecall.grant_role('g', 'u', true)`), [asked]);
  await admin.query('REVOKE g FROM u');
  assert.deepEqual(await rows(plain), [asked]);
  assert.deepEqual(await rows('SELECT statement FROM rolecall.drift()'), []);
});
