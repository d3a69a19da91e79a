/**
 * A restricted role reads no rows of a table, and that is taken for an empty table.
 * supabase/agent-skills#138
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('row-level security without a policy for the role is a NOTICE', async (place) => {
  const { admin } = place;
  await admin.query('CREATE SCHEMA s; CREATE TABLE s.t (id integer); ALTER TABLE s.t ENABLE ROW LEVEL SECURITY');
  const notices: string[] = [];
  admin.on('notice', ({ message }) => notices.push(message ?? ''));
  await admin.query(`SELECT rolecall.provision_reporting_role('app_reports', '{s}')`);
  assert.ok(
    notices.some((message) => /no rows/.test(message)),
    notices.join(),
  );
});
