/**
 * A predefined role cannot be granted.
 * hashicorp/terraform-provider-postgresql#168
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a predefined role is granted and revoked', async (place) => {
  const { admin, rows, error } = place;
  await admin.query(`CREATE ROLE bob; SELECT rolecall.grant_role('pg_monitor', 'bob')`);
  const has = `SELECT pg_has_role('bob', 'pg_monitor', 'MEMBER') AS it`;
  assert.deepEqual(await rows(has), [{ it: true }]);
  await admin.query(`SELECT rolecall.revoke_role('pg_monitor', 'bob')`);
  assert.deepEqual(await rows(has), [{ it: false }]);
  assert.equal((await error(`SELECT rolecall.create_user('pg_bob')`)).code, '42939');
});
