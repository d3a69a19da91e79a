/**
 * A tool that grants a role takes the ADMIN OPTION away again that it was given otherwise.
 * cloudnative-pg/cloudnative-pg#11448
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('ADMIN OPTION stays where a later call does not mention it', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE ROLE g; SELECT rolecall.create_user_with_grants('u', NULL, '{g}');
    SELECT rolecall.grant_role('g', 'u', admin_option => true)`);
  await admin.query('BEGIN READ ONLY');
  assert.deepEqual(await rows(`SELECT * FROM rolecall.create_user_with_grants('u', NULL, '{g}')`), []);
  await admin.query('COMMIT; DROP ROLE u; SELECT rolecall.converge()');
  assert.deepEqual(await rows(`SELECT admin_option AS it FROM pg_auth_members WHERE member = 'u'::regrole`), [
    { it: true },
  ]);
});
