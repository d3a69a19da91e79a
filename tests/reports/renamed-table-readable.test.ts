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

report('what is renamed stays withheld where its entry is written otherwise', async ({ admin, rows }) => {
  await admin.query(`CREATE SCHEMA s; CREATE TABLE s.patients (id integer); CREATE TABLE s.people (id integer, ssn text);
    SELECT rolecall.provision_reporting_role('app_reports', '{s}', '{patients, s.people.ssn}');
    ALTER TABLE s.patients RENAME TO persons; ALTER TABLE s.people RENAME ssn TO number`);
  for (const list of [
    '{s.patients, people.ssn}',
    '{Patients, S.people.SSN}',
    '{"\\"s\\".patients", "people.\\"ssn\\""}',
  ]) {
    await admin.query(`SELECT rolecall.provision_reporting_role('app_reports', '{s}', '${list}')`);
    assert.deepEqual(
      await rows(`SELECT has_table_privilege('app_reports', 's.persons', 'SELECT') AS persons,
        has_column_privilege('app_reports', 's.people', 'number', 'SELECT') AS number`),
      [{ persons: false, number: false }],
      list,
    );
  }
  await admin.query(`SELECT rolecall.provision_reporting_role('app_reports', '{s}', '{people.ssn}')`);
  assert.deepEqual(await rows(`SELECT has_table_privilege('app_reports', 's.persons', 'SELECT') AS it`), [
    { it: true },
  ]);
});
