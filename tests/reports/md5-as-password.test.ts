/**
 * A hash of another kind is taken for the password itself.
 * bundlewrap/bundlewrap#880
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('an md5 hash is refused as a password', async (place) => {
  const { admin, rows, error } = place;
  await admin.query('SELECT rolecall.create_base_roles()');
  const failure = await error(`SELECT rolecall.create_user('u', 'md5' || md5('secret' || 'u'))`);
  assert.equal(failure.code, '22023');
  assert.deepEqual(await rows(`SELECT FROM pg_roles WHERE rolname = 'u'`), []);
});
