/**
 * A hook that sets roles up fails on a standby in words about an inner statement.
 * autobase-tech/autobase#533
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('where nothing can be written, a call that would change something says so', async (place) => {
  const { admin, rows, error } = place;
  await admin.query('SET default_transaction_read_only = on');
  const failure = await error(`SELECT rolecall.create_base_roles()`);
  assert.equal(failure.code, '25006');
  assert.doesNotMatch(failure.message, /COMMENT|CREATE ROLE/);
  assert.match(failure.detail ?? '', /The first change would be: CREATE ROLE/);
  const planned = await rows<{ status: string }>(`SELECT status FROM rolecall.create_base_roles(dry_run => true)`);
  assert.ok(planned.length >= 3 && planned.every(({ status }) => status === 'planned'));
});
