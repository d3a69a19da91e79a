/**
 * A timeout without a unit is milliseconds to one and seconds to another.
 * risingwavelabs/risingwave#24633
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a timeout without a unit is refused', async (place) => {
  const { admin, error } = place;
  await admin.query('SELECT rolecall.create_base_roles()');
  const failure = await error(`SELECT rolecall.create_client_role('c', '15')`);
  assert.equal(failure.code, '22023');
});
