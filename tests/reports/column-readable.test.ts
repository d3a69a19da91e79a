/**
 * A table has one column that must not be read, and only whole tables can be granted or left out.
 * ansible-collections/community.postgresql#15, saltstack/salt#60187
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a withheld column is not read, the others are, and those that come later too', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE SCHEMA clinic; CREATE TABLE clinic.patients (id int, ssn text);
    INSERT INTO clinic.patients VALUES (1, 'x');
    SELECT rolecall.provision_reporting_role('clinic_reports', '{clinic}', '{patients.ssn}');
    SELECT rolecall.watch_new_tables();
    ALTER TABLE clinic.patients ADD COLUMN town text;
    SELECT rolecall.set_password('clinic_reports', 'clinic_reports')`);
  const reader = await place.login('clinic_reports');
  assert.deepEqual(await rows('SELECT id, town FROM clinic.patients', reader), [{ id: 1, town: null }]);
  for (const columns of ['ssn', '*', 'patients']) {
    assert.equal((await place.error(`SELECT ${columns} FROM clinic.patients`, reader)).code, '42501', columns);
  }
});
