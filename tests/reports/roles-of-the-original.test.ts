/**
 * A copy of a database in the same cluster meets the roles of the original.
 * yugabyte/yugabyte-db#4315
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('in a copy, drift and converge leave out what is the original’s', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE SCHEMA s; SELECT rolecall.provision_reporting_role('app_reports', '{s}')`);
  await admin.end();
  const other = await place.cluster.connect({ database: 'postgres' });
  await other.query('CREATE DATABASE copy TEMPLATE app');
  await other.end();
  const copy = await place.cluster.connect({ database: 'copy' });
  for (const call of ['drift()', 'converge()']) {
    const steps = await rows<{ status: string; note: string }>(`SELECT status, note FROM rolecall.${call}`, copy);
    assert.ok(
      steps.some(({ status, note }) => status === 'skipped' && /belongs to database "app"/.test(note)),
      call,
    );
  }
  await copy.end();
});
