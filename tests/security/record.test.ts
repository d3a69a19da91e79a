/**
 * What an operator writes into the record is acted on by a superuser's calls: it must not become a superuser by that.
 */
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import type { Client } from 'pg';
import { startCluster } from '../support/cluster.ts';

const cluster = await startCluster();
after(() => cluster.stop());

const database = await cluster.createDatabase('app');
const admin = await cluster.connect({ database });
await admin.query(`CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'boss';
  CREATE ROLE mallory LOGIN CREATEROLE PASSWORD 'mallory';
  CREATE SCHEMA clinic; CREATE TABLE clinic.patient (id integer);
  SELECT rolecall.create_base_roles();
  SELECT rolecall.provision_reporting_role('reports', '{clinic}');
  SELECT rolecall.add_operator('mallory')`);
const mallory = await cluster.connect({ database, user: 'mallory', password: 'mallory' });

async function record(client: Client, section: string, key: unknown, resource: unknown): Promise<void> {
  await client.query('INSERT INTO rolecall_internal.resource (section, key, resource) VALUES ($1, $2, $3)', [
    section,
    JSON.stringify(key),
    JSON.stringify(resource),
  ]);
}

async function forgotten(): Promise<void> {
  await admin.query(`DELETE FROM rolecall_internal.resource AS r WHERE r.resource::text ~ 'boss|mallory|spy'`);
}

const skipped = async (): Promise<unknown[]> =>
  (await admin.query(`SELECT target, sqlstate FROM rolecall.drift() WHERE status = 'skipped' AND operation = 'forget'`))
    .rows;

test('a superuser among the base roles is granted to nobody', async () => {
  await record(mallory, 'base_roles', ['authenticated'], { key: 'authenticated', name: 'boss' });
  assert.deepEqual(await skipped(), [{ target: 'boss', sqlstate: '22023' }]);
  await admin.query(`SELECT rolecall.create_user('ann')`);
  const { rows } = await admin.query(`SELECT FROM pg_auth_members WHERE roleid = 'boss'::regrole`);
  assert.deepEqual(rows, []);
  await forgotten();
});

test('a superuser that is recorded as a reporting role keeps its password', async () => {
  await record(mallory, 'read_access', ['boss'], { role: 'boss', schemas: ['clinic'], withheld: [], caller: 'boss' });
  const before = (await admin.query(`SELECT rolpassword FROM pg_authid WHERE rolname = 'boss'`)).rows;
  assert.deepEqual(await skipped(), [{ target: 'boss', sqlstate: '22023' }]);
  await admin.query('SELECT rolecall.rotate_reporting_secret()');
  await admin.query(`SELECT rolecall.provision_reporting_role('reports', '{clinic}', rotate_after => '0')`);
  await admin.query('SELECT rolecall.converge()');
  assert.deepEqual((await admin.query(`SELECT rolpassword FROM pg_authid WHERE rolname = 'boss'`)).rows, before);
  await assert.rejects(mallory.query(`SELECT rolecall.reporting_role_password('boss')`), { code: '42704' });
  await forgotten();
});

test('no record gives an attribute that is as much as everything, nor membership in a superuser', async () => {
  await record(mallory, 'roles', ['mallory'], { name: 'mallory', attributes: { superuser: true } });
  await record(mallory, 'roles', ['spy'], { name: 'spy', initial: { login: true, replication: true } });
  await record(mallory, 'roles', ['boss'], { name: 'boss', attributes: { login: false } });
  await record(mallory, 'memberships', ['mallory', 'boss'], { role: 'boss', member: 'mallory' });
  await record(mallory, 'settings', ['boss', 'search_path'], { role: 'boss', name: 'search_path', value: 'evil' });
  await record(mallory, 'memberships', ['mallory', 'pg_execute_server_program'], {
    role: 'pg_execute_server_program',
    member: 'mallory',
  });
  await record(mallory, 'memberships', ['mallory', 'pg_monitor'], { role: 'pg_monitor', member: 'mallory' });
  assert.deepEqual((await skipped()).length, 6);
  await admin.query('SELECT rolecall.converge()');
  const { rows } = await admin.query(`
    SELECT rolname FROM pg_roles WHERE (rolsuper OR rolreplication OR pg_has_role(oid, 'boss', 'MEMBER'))
      AND rolname IN ('mallory', 'spy')
    UNION ALL SELECT r.rolname FROM pg_roles AS r
    WHERE pg_has_role('mallory', r.oid, 'MEMBER') AND r.rolname = 'pg_execute_server_program'
    UNION ALL SELECT rolname FROM pg_roles WHERE rolname = 'boss' AND (NOT rolcanlogin OR rolconfig IS NOT NULL)`);
  assert.deepEqual(rows, []);
  await forgotten();
});

test('logical replication of all tables breaks no call', async () => {
  await admin.query('CREATE PUBLICATION everything FOR ALL TABLES');
  await admin.query(`SELECT rolecall.grant_role('anonymous', 'ann'); SELECT rolecall.revoke_role('anonymous', 'ann')`);
  await admin.query('DROP PUBLICATION everything');
  await Promise.all([mallory.end(), admin.end()]);
});
