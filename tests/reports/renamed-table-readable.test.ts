/**
 * Maintenance renames or detaches a table, and what hung on its name is lost.
 * pgpartman/pg_partman#590
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a withheld table stays withheld under another name, and it is said', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE SCHEMA s; CREATE TABLE s.patients (id integer);
    SELECT rolecall.provision_reporting_role('app_reports', '{s}', '{patients}'); SELECT rolecall.watch_new_tables();
    ALTER TABLE s.patients RENAME TO persons`);
  const [said] = await rows<{ status: string }>(
    `SELECT status FROM rolecall.converge() WHERE target ~ 'persons' OR statement ~ 'persons'`,
  );
  assert.equal(said?.status, 'skipped');
  assert.deepEqual(await rows(`SELECT has_table_privilege('app_reports', 's.persons', 'SELECT') AS it`), [
    { it: false },
  ]);
});
