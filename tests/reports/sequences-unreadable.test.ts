/**
 * A role that only reads cannot dump, because it may not read sequences.
 * supabase/supabase#3517, citusdata/pg_cron#165
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a reporting role reads sequences, but for those of what is withheld', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE SCHEMA s; CREATE TABLE s.orders (id serial); CREATE TABLE s.tokens (id serial);
    SELECT rolecall.provision_reporting_role('app_reports', '{s}', '{tokens}')`);
  const may = (sequence: string) => rows(`SELECT has_sequence_privilege('app_reports', '${sequence}', 'SELECT') AS it`);
  assert.deepEqual(await may('s.orders_id_seq'), [{ it: true }]);
  assert.deepEqual(await may('s.tokens_id_seq'), [{ it: false }]);
});
