/**
 * What two calls ask for changes back and forth at every run: options of a membership, roles of a reporting role.
 * ansible-collections/community.postgresql#944
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('two calls that ask for different options of a membership settle', async (place) => {
  const { admin, rows } = place;
  if (place.cluster.version < 16) return;
  await admin.query(`SELECT rolecall.create_base_roles()`);
  const calls = [
    `SELECT * FROM rolecall.create_user('a')`,
    `SELECT * FROM rolecall.grant_role('anonymous', 'a', inherit_option => false)`,
  ];
  for (const call of calls) await admin.query(call);
  for (const call of calls) assert.deepEqual(await rows(call), []);
});

report('a membership that gives nothing, as a call asked for, stays so', async (place) => {
  const { admin, rows } = place;
  if (place.cluster.version < 16) return;
  await admin.query('CREATE ROLE g; CREATE ROLE u');
  const plain = `SELECT statement FROM rolecall.create_user_with_grants('u', NULL, '{g}')`;
  const nothing = `SELECT statement FROM rolecall.grant_role('g', 'u', inherit_option => false, set_option => false)`;
  await admin.query(nothing);
  for (const call of [plain, nothing, plain]) assert.deepEqual(await rows(call), [], call);

  // ADMIN OPTION is all that is added, and all of it comes back where somebody else revokes it.
  const asked = { statement: 'GRANT g TO u WITH ADMIN OPTION, INHERIT FALSE, SET FALSE' };
  assert.deepEqual(await rows(`SELECT statement FROM rolecall.grant_role('g', 'u', true)`), [asked]);
  await admin.query('REVOKE g FROM u');
  assert.deepEqual(await rows(plain), [asked]);
  assert.deepEqual(await rows('SELECT statement FROM rolecall.drift()'), []);
});

report('a reporting role is given nothing that provisioning takes away again', async ({ admin, rows }) => {
  await admin.query(`SELECT rolecall.create_base_roles(); CREATE ROLE g; CREATE SCHEMA s;
    SELECT rolecall.provision_reporting_role('app_reports', '{s}')`);
  for (const call of [
    `create_user('app_reports')`,
    `create_user_with_grants('app_reports', NULL, '{g}')`,
    `create_test_users(app_admin => 'app_reports')`,
    `create_client_role('app_reports')`,
    `create_base_roles('app_reports')`,
    `grant_role('g', 'app_reports')`,
  ]) {
    await assert.rejects(admin.query(`SELECT rolecall.${call}`), {
      code: '22023',
      message: 'role "app_reports" is a reporting role',
    });
  }
  // It can be granted to others, and what it has beside is revoked.
  assert.equal((await rows(`SELECT FROM rolecall.create_user_with_grants('ann', NULL, '{app_reports}')`)).length, 2);
  assert.deepEqual(await rows(`SELECT * FROM rolecall.revoke_role('g', 'app_reports')`), []);
  assert.deepEqual(await rows('SELECT * FROM rolecall.drift()'), []);
});
