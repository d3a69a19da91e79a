/** A streaming standby: what only reads works there, and a call that would change something says so. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { asServant, password, startCluster, until } from '../support/cluster.ts';

const cluster = await startCluster();
const standby = await startCluster();
after(() => Promise.all([cluster.stop(), standby.stop()]));

test('on a standby', async () => {
  const database = await cluster.createDatabase('app');
  await cluster.shutDown();
  await standby.shutDown();
  fs.rmSync(standby.dataDir, { recursive: true });
  assert.equal(spawnSync('cp', ['-R', cluster.dataDir, standby.dataDir], asServant).status, 0);
  await cluster.launch();
  const primary = `host=${cluster.host} port=${cluster.port} user=postgres password=${password}`;
  standby.configure({ primary_conninfo: primary, hot_standby: true, wal_retrieve_retry_interval: '100ms' });
  fs.writeFileSync(join(standby.dataDir, 'standby.signal'), '');
  await standby.launch();

  const admin = await cluster.connect({ database });
  await admin.query("SELECT rolecall.create_base_roles(); SELECT rolecall.create_user('ann', 'secret')");
  await admin.query(
    "CREATE TABLE tokens (t text); SELECT rolecall.provision_reporting_roles(withheld_tables => '{tokens}')",
  );
  await admin.query('REVOKE authenticated FROM ann');
  const { rows: at } = await admin.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn');
  const reader = await standby.connect({ database });
  const replayed = 'SELECT pg_last_wal_replay_lsn() >= $1 AS done';
  await until('the standby to have it all', async () => (await reader.query(replayed, [at[0]?.lsn])).rows[0]?.done);

  const both = async (query: string) => {
    const [here, there] = await Promise.all([reader.query(query), admin.query(query)]);
    assert.deepEqual(here.rows, there.rows, query);
    return here.rows as Record<string, unknown>[];
  };
  assert.deepEqual(await both('SELECT statement, status FROM rolecall.drift()'), [
    { statement: 'GRANT authenticated TO ann', status: 'planned' },
  ]);
  for (const query of [
    "SELECT statement FROM rolecall.create_user('ben', dry_run => true)",
    'SELECT statement FROM rolecall.converge(dry_run => true)',
    "SELECT statement FROM rolecall.remove_user('ann', dry_run => true)",
    "SELECT path, detail FROM rolecall.audit_role('app_raw')",
    "SELECT rolecall.reporting_role_password('app_raw') AS password",
  ])
    assert.ok((await both(query)).length > 0, query);
  for (const query of [
    'SELECT * FROM rolecall.create_base_roles()',
    "SELECT * FROM rolecall.user_dependencies('ann')",
    'SELECT * FROM rolecall.orphans()',
  ])
    assert.deepEqual(await both(query), []);

  for (const call of ["create_user('ben')", "set_password('ann', 'other')", "set_secret('k', 'v')", 'converge()'])
    await assert.rejects(reader.query(`SELECT rolecall.${call}`), {
      code: '25006',
      message: 'this call would change something, and the server is a standby',
    });
  await Promise.all([admin.end(), reader.end()]);
});
