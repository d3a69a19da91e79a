/**
 * A mistyped name in a list of exclusions is ignored without a word.
 * yugabyte/yb-voyager#976
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a withheld name that matches nothing is a NOTICE, watched or not', async (place) => {
  const { admin } = place;
  await admin.query('CREATE SCHEMA s; CREATE TABLE s.patients (id integer)');
  const notices: string[] = [];
  admin.on('notice', ({ message }) => notices.push(message ?? ''));
  for (const statement of ['SELECT 1', 'SELECT rolecall.watch_new_tables()']) {
    notices.length = 0;
    await admin.query(statement);
    await admin.query(`SELECT rolecall.provision_reporting_role('app_reports', '{s}', '{patient}')`);
    assert.ok(
      notices.some((message) => /withheld .*patient\b/.test(message)),
      statement,
    );
  }
});
