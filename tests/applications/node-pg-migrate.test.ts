/**
 * An application whose tables node-pg-migrate creates: in the schema public, by the application's own login; and
 * migrations that call the functions of rolecall, in the transaction that all migrations run in.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runner } from 'node-pg-migrate';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Application, makeApplication, provisioners } from './application.ts';

let cluster: Cluster;

before(async () => {
  cluster = await startCluster();
});

after(() => cluster.stop());

/** Runs the migrations of some folders that have not run yet, or takes some back; returns their names. */
async function migrate(
  databaseUrl: string | Application['login'],
  folders: readonly string[],
  count = Infinity,
  direction: 'up' | 'down' = 'up',
): Promise<string[]> {
  const dir = folders.map((folder) => join(import.meta.dirname, folder, '*.sql'));
  const options = {
    dir,
    useGlob: true,
    direction,
    count,
    migrationsTable: 'migrations',
    singleTransaction: true,
    log: () => undefined,
  };
  return (await runner({ databaseUrl, ...options })).map(({ name }) => name);
}

/** What the application itself does. */
async function works({ login }: Application): Promise<void> {
  const client = await cluster.connect(login);
  await client.query(`INSERT INTO patient VALUES (3, 'three')`);
  await client.query('DELETE FROM patient WHERE id = 3');
  await client.end();
}

for (const by of provisioners) {
  test(`${by}: provisioned before the first migration`, async () => {
    const application = await makeApplication(cluster, by, 'clinic', 'public');
    const databaseUrl = application.url;
    await application.provision();
    assert.deepEqual(await migrate(databaseUrl, ['tables'], 1), ['1_patients']);
    assert.deepEqual(await application.reads(), ['migrations', 'patient', 'token']);
    assert.deepEqual(await migrate(databaseUrl, ['tables'], 1), ['2_visits']);
    const all = ['migrations', 'patient', 'patients', 'token', 'visit', 'visit_2020', 'visits_by_patient'];
    assert.deepEqual(await application.reads(), all);
    await works(application);
    // Tables are dropped, and created again with the same names.
    assert.deepEqual(await migrate(databaseUrl, ['tables']), ['3_other_patients']);
    assert.deepEqual(await application.reads(), all);
    await works(application);
    assert.deepEqual(await migrate(databaseUrl, ['tables'], 3, 'down'), ['3_other_patients', '2_visits', '1_patients']);
    assert.deepEqual(await application.reads(), ['migrations']);
    await migrate(databaseUrl, ['tables']);
    assert.deepEqual(await application.reads(), all);
    await application.end();
  });

  test(`${by}: provisioned between migrations, with a table withheld that comes and goes`, async () => {
    const application = await makeApplication(cluster, by, 'later_clinic', 'public');
    const databaseUrl = application.url;
    await migrate(databaseUrl, ['tables'], 2);
    await application.provision(['token'], null);
    assert.equal((await application.reads(['token'])).length, 7);
    await migrate(databaseUrl, ['tables'], 1);
    await application.provision(['token'], null);
    assert.equal((await application.reads(['token'])).length, 7);
    await works(application);
    await migrate(databaseUrl, ['tables'], 3, 'down');
    await application.provision(['token'], null);
    await migrate(databaseUrl, ['tables']);
    await application.provision(['token'], null);
    assert.equal((await application.reads(['token'])).length, 7);
    await works(application);
    await application.end();
  });

  test(`${by}: migrations that call rolecall are done wholly or not at all`, async () => {
    const cluster = await startCluster();
    const application = await makeApplication(cluster, by, 'clinic', 'public');
    const { provisioner, provisionerLogin: databaseUrl } = application;
    const { database } = application.login;
    const made = async () =>
      (await provisioner.query(`SELECT rolname FROM pg_roles WHERE rolname ~ '^m_' ORDER BY 1`)).rows.map(
        ({ rolname }: { rolname: string }) => rolname,
      );
    await assert.rejects(migrate(databaseUrl, ['roles', 'fails']), { code: '22012' });
    assert.deepEqual(await made(), []);
    assert.deepEqual((await provisioner.query('SELECT FROM rolecall_internal.resource')).rows, []);

    assert.deepEqual(await migrate(databaseUrl, ['roles']), ['1_roles', '2_reports']);
    assert.deepEqual(await made(), ['m_alice', 'm_reports', 'm_staff']);
    const alice = await cluster.connect({ database, user: 'm_alice', password: 'alice' });
    assert.equal((await alice.query('SELECT * FROM patient')).rowCount, 1);
    await alice.end();
    const { rows } = await provisioner.query(`SELECT rolecall.reporting_role_password('m_reports') AS password`);
    const reports = await cluster.connect({ database, user: 'm_reports', password: rows[0].password });
    assert.equal((await reports.query('SELECT * FROM patient')).rowCount, 1);
    assert.equal((await reports.query('SELECT * FROM visit')).rowCount, 0);
    await assert.rejects(reports.query('SELECT * FROM token'), { code: '42501' });
    await reports.end();

    await assert.rejects(migrate(databaseUrl, ['roles', 'fails']), { code: '22012' });
    assert.deepEqual(await made(), ['m_alice', 'm_reports', 'm_staff']);
    assert.deepEqual(await migrate(databaseUrl, ['roles'], 2, 'down'), ['2_reports', '1_roles']);
    assert.deepEqual(await made(), ['m_alice', 'm_reports']);
    assert.deepEqual(await migrate(databaseUrl, ['roles']), ['1_roles', '2_reports']);
    await (await cluster.connect({ database, user: 'm_alice', password: 'alice' })).end();
    await application.end();
    await cluster.stop();
  });
}
