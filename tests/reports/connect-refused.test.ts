/**
 * CONNECT is revoked from PUBLIC, and a provisioned role cannot log in.
 * supabase/supabase#4833
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a reporting role logs in where PUBLIC may not connect', async (place) => {
  const { admin, rows } = place;
  await admin.query(`REVOKE CONNECT ON DATABASE app FROM PUBLIC; CREATE SCHEMA s;
    SELECT rolecall.provision_reporting_role('app_reports', '{s}')`);
  const [secret] = await rows<{ it: string }>(`SELECT rolecall.reporting_role_password('app_reports') AS it`);
  const client = await place.cluster.connect({ database: 'app', user: 'app_reports', password: secret?.it ?? '' });
  assert.equal((await client.query('SELECT session_user AS it')).rows[0].it, 'app_reports');
  await client.end();
});
