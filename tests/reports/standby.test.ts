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

report('nothing to do is no error there, whatever a later call will remember', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE SCHEMA s; CREATE TABLE s.t (id int) PARTITION BY LIST (id);
    SELECT rolecall.provision_reporting_role('r', '{s}', '{t, later}');
    CREATE TABLE s.p PARTITION OF s.t DEFAULT; CREATE TABLE s.later (id int); REVOKE SELECT ON s.p, s.later FROM r`);
  const provision = `SELECT * FROM rolecall.provision_reporting_role('r', '{s}', '{t, later}')`;
  await admin.query('BEGIN READ ONLY');
  assert.deepEqual(await rows(provision), []);
  assert.deepEqual(await rows('SELECT * FROM rolecall.converge()'), []);
  await admin.query('COMMIT');
  await admin.query(provision);
  assert.deepEqual(await rows(`SELECT relation::text FROM rolecall_internal.withheld ORDER BY relation::text`), [
    { relation: 's.later' },
    { relation: 's.p' },
    { relation: 's.t' },
  ]);
});
