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

const refusal = { code: '25006', message: 'this call would change something, and the server is a standby' };

/** Calls that would change something, one of each function that can. */
const changing: Readonly<Record<string, string>> = {
  add_operator: "'ann'",
  apply: `'{"roles": {"ben": {"login": true}}}'`,
  converge: '',
  create_base_roles: "'others'",
  create_client_role: '',
  create_test_users: '',
  create_user: "'ben'",
  create_user_with_grants: "'ben', 'secret', '{anonymous}'",
  expire_users: '',
  forget: "'ann'",
  grant_role: "'administrator', 'ann'",
  lock_user: "'ann'",
  provision_reporting_role: "'app_more', '{public}'",
  provision_reporting_roles: "'app_third', 'app_fourth'",
  remove_operator: "'op'",
  remove_user: "'ann'",
  rename_user: "'ann', 'ben'",
  revoke_role: "'anonymous', 'ann'",
  rotate_reporting_secret: '',
  set_password: "'ann', 'other'",
  set_secret: "'key', 'value'",
  set_secret_if_absent: "'key', 'value'",
  unlock_user: "'locked'",
  watch_new_tables: '',
};
const reading: Readonly<Record<string, string>> = {
  audit: '',
  audit_role: "'app_raw'",
  check_policy: `'{"x": 1}'`,
  drift: '',
  get_secret: "'kept'",
  inspect: '',
  policy: '',
  reporting_role_password: "'app_raw'",
  role_graph: '',
  role_name: "'default'",
  undeclared: '',
  user_dependencies: "'op'",
  version: '',
  who_can: "'SELECT', 'public.tokens'",
};
/** Calls that have nothing to do, of functions that could change something or list something. */
const nothingToDo: Readonly<Record<string, string>> = {
  create_base_roles: '',
  create_user: "'late'",
  lock_user: "'locked'",
  orphans: '',
  provision_reporting_roles: "withheld_tables => '{tokens}'",
  set_secret: "'kept', 'value'",
  watch_new_tables: 'false',
};
const random: Readonly<Record<string, string>> = { generate_password: '', scram_sha_256: "'secret'" };

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
  await admin.query(`REVOKE authenticated FROM ann; CREATE ROLE op; SELECT rolecall.add_operator('op');
    SELECT rolecall.create_user('locked'); SELECT rolecall.lock_user('locked'); CREATE TABLE public.other ();
    SELECT rolecall.set_secret('kept', 'value'); SELECT rolecall.create_user('late');
    SELECT rolecall.create_user('over'); SELECT rolecall.set_password('over', 'x', '2020-01-01')`);
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
  const unchanged = Object.keys(nothingToDo).map((name) => `${name}(${nothingToDo[name]})`);
  for (const call of unchanged) assert.deepEqual(await both(`SELECT * FROM rolecall.${call}`), [], call);
  for (const [name, given] of Object.entries(reading)) {
    assert.notDeepEqual(await both(`SELECT * FROM rolecall.${name}(${given})`), [], name);
  }
  for (const [name, given] of Object.entries(random)) await reader.query(`SELECT rolecall.${name}(${given})`);
  const { rows: functions } = await reader.query<{ name: string; dry: boolean }>(
    `SELECT proname AS name, coalesce('dry_run' = ANY (proargnames), false) AS dry FROM pg_proc WHERE pronamespace = 'rolecall'::regnamespace`,
  );
  for (const { name, dry } of functions) {
    assert.equal(dry, name in changing && !name.startsWith('set_secret'), `${name}: is it listed, and where?`);
    if (!(name in changing)) {
      assert.ok(name in reading || name in nothingToDo || name in random, `${name} is not tried`);
      continue;
    }
    const given = changing[name];
    await assert.rejects(reader.query(`SELECT * FROM rolecall.${name}(${given})`), refusal, name);
    if (!dry) continue;
    const planned = `SELECT operation, target, statement, status, sqlstate, note
      FROM rolecall.${name}(${given ? `${given}, ` : ''}dry_run => true)`;
    assert.notDeepEqual(await both(planned), [], name);
  }
  await Promise.all([admin.end(), reader.end()]);
});
