/**
 * A mistyped role is asked for again and again.
 * cyrilgdn/terraform-provider-postgresql#197
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a role that never existed does not come back as drift', async (place) => {
  const { admin, rows } = place;
  await admin.query(
    `SELECT rolecall.create_base_roles(); SELECT rolecall.create_user_with_grants('u', NULL, '{mistyped}')`,
  );
  assert.deepEqual(await rows('SELECT * FROM rolecall.drift()'), []);
});
