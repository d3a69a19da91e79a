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
