/**
 * A role of a name that is to be expected, made by somebody else first: from PostgreSQL 16 who made it has ADMIN OPTION on it,
 * so whatever the role is given, that one can take.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { type Cluster, startCluster } from '../support/cluster.ts';

const major = Number(process.env.PG || 18);
let cluster: Cluster;
let admin: Client;
let mallory: Client;
let warnings: string[];

before(async () => {
  cluster = await startCluster();
  const database = await cluster.createDatabase();
  admin = await cluster.connect({ database });
  admin.on('notice', (notice) => warnings.push([notice.message, notice.hint].join(' ')));
  await admin.query(`CREATE ROLE mallory LOGIN CREATEROLE PASSWORD 'mallory'`);
  mallory = await cluster.connect({ database, user: 'mallory', password: 'mallory' });
  warnings = [];
});

after(async () => {
  await mallory.end();
  await admin.end();
  await cluster.stop();
});

/** From 16 the ADMIN OPTION of the creator; before, CREATEROLE can make itself a member, and here has. */
const take = async (role: string) => {
  await mallory.query(`CREATE ROLE ${role}`);
  if (major < 16) await mallory.query(`GRANT ${role} TO mallory`);
};
const by = major < 16 ? '' : ' GRANTED BY postgres';
const bypasses = async () =>
  (await admin.query(`SELECT rolbypassrls FROM pg_roles WHERE rolname = 'administrator'`)).rows[0].rolbypassrls;

test('the administrator of another gets no BYPASSRLS', async () => {
  const bootstrap = (await admin.query('SELECT pg_get_userbyid(10) AS name')).rows[0].name;
  await take('administrator');
  for (const call of ['create_base_roles()', 'create_base_roles()', 'drift()', 'converge()']) {
    warnings = [];
    const { rows } = await admin.query(`SELECT * FROM rolecall.${call} WHERE target = 'administrator'`);
    assert.deepEqual(
      rows.map(({ status, sqlstate, statement }) => [status, sqlstate, statement]),
      [
        [
          'skipped',
          '42501',
          `REVOKE administrator FROM mallory${by.replace('postgres', bootstrap)}; ALTER ROLE administrator BYPASSRLS`,
        ],
      ],
      call,
    );
    assert.match(rows[0].note, /"mallory"/);
    if (call !== 'drift()') assert.match(warnings.join(), /"mallory".*REVOKE administrator FROM mallory/);
    assert.equal(await bypasses(), false);
  }
  await admin.query((await admin.query('SELECT statement FROM rolecall.drift()')).rows[0].statement.split(';')[0]);
  await admin.query('SELECT rolecall.create_base_roles()');
  assert.equal(await bypasses(), true);
  await assert.rejects(mallory.query('SET ROLE administrator'), { code: '42501' });
});

test('who has BYPASSRLS already may keep its ADMIN OPTION', async () => {
  await admin.query('ALTER ROLE administrator NOBYPASSRLS');
  await admin.query('CREATE ROLE trusted BYPASSRLS; GRANT administrator TO trusted WITH ADMIN OPTION');
  await admin.query('SELECT rolecall.create_base_roles()');
  assert.equal(await bypasses(), true);
});

test('the role of another becomes no operator', async () => {
  await take('worker');
  await assert.rejects(
    admin.query(`SELECT rolecall.add_operator('worker')`),
    (error: Error & { code: string; hint: string }) => {
      assert.equal(error.code, '42501');
      assert.equal(error.message, 'the rights of operator "worker" could be taken by "mallory"');
      assert.match(error.hint, /REVOKE worker FROM mallory/);
      return true;
    },
  );
  await mallory.query(major < 16 ? 'SET ROLE worker' : 'GRANT worker TO mallory');
  await assert.rejects(mallory.query('SELECT FROM rolecall_internal.secret'), { code: '42501' });
  await mallory.query('RESET ROLE');
  await admin.query('REVOKE worker FROM mallory CASCADE');
  await admin.query(`SELECT rolecall.add_operator('worker')`);
  assert.deepEqual((await admin.query(`SELECT * FROM rolecall.add_operator('worker')`)).rows, []);
});

test('who could read what a reporting role of another reads is named, once, and again where it was made again', async () => {
  const provision = async () => {
    warnings = [];
    await admin.query(`SELECT rolecall.provision_reporting_role('reports', ARRAY['public'])`);
    return warnings.filter((text) => text.includes('"mallory"'));
  };
  await take('reports');
  assert.match((await provision()).join(), /REVOKE reports FROM mallory/);
  assert.deepEqual(await provision(), []);
  await admin.query('DROP OWNED BY reports');
  await admin.query('DROP ROLE reports');
  await take('reports');
  assert.match((await provision()).join(), /REVOKE reports FROM mallory/);
});
