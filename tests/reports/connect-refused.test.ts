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

report('a user that cannot connect is a NOTICE with the GRANT, where something changes', async (place) => {
  const { admin } = place;
  const heard: string[] = [];
  admin.on('notice', ({ message, hint }) => heard.push(`${message} ${hint}`));
  await admin.query(`SELECT rolecall.create_base_roles(); SELECT rolecall.create_user('before');
    REVOKE CONNECT ON DATABASE app FROM PUBLIC; CREATE ROLE g; CREATE ROLE taken LOGIN; SELECT rolecall.lock_user('before')`);
  const notice = (user: string) =>
    `role "${user}" cannot connect to database "app" Ask the owner, or a superuser, to run: GRANT CONNECT ON DATABASE app TO ${user}`;
  const calls: readonly (readonly [string, readonly string[]])[] = [
    [`create_user('u', 'u')`, ['u']],
    [`create_user('u', 'u')`, []],
    [`create_user('taken')`, ['taken']],
    [`create_user_with_grants('g_user', NULL, '{g}')`, ['g_user']],
    [`grant_role('g', 'u')`, ['u']],
    [`unlock_user('before')`, ['before']],
    [`create_client_role('c')`, []],
    [`provision_reporting_role('reader', '{public}')`, []],
  ];
  for (const [call, users] of calls) {
    heard.length = 0;
    await admin.query(`SELECT rolecall.${call}`);
    assert.deepEqual(
      heard.filter((text) => /cannot connect/.test(text)),
      users.map(notice),
      call,
    );
  }
  heard.length = 0;
  await admin.query(`GRANT CONNECT ON DATABASE app TO authenticated; SELECT rolecall.create_user('v')`);
  assert.deepEqual(heard, []);
});
