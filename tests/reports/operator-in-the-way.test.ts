/**
 * What an extension granted keeps a role from being dropped, and nothing says how to end it.
 * Autodesk/pgbelt#83
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('an operator is one dependency, with the call that ends it', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE ROLE op; SELECT rolecall.add_operator('op')`);
  const found = await rows<{ remedy: string }>(`SELECT remedy FROM rolecall.user_dependencies('op')`);
  assert.deepEqual(found, [{ remedy: `SELECT rolecall.remove_operator('op')` }]);
  await admin.query(found[0]?.remedy ?? '');
  await admin.query(`SELECT rolecall.remove_user('op')`);
});
