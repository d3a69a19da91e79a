/** A user that is locked: its sessions end, and it cannot log in until it is unlocked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';

const { cluster, database, admin } = await placeOfFile();
await admin.query("SELECT rolecall.create_base_roles(); SELECT rolecall.create_user('alice', 'secret')");
await admin.query("CREATE ROLE operator LOGIN PASSWORD 'secret' CREATEROLE");
await admin.query("SELECT rolecall.add_operator('operator')");

const login = (user = 'alice') => cluster.connect({ database, user, password: 'secret' });
/** A session of alice; resolves once the server has ended it. */
async function session(): Promise<{ ended: Promise<void>; end: () => Promise<void> }> {
  const client = await login();
  const ended = new Promise<void>((resolve) => {
    client.on('error', () => {
      resolve();
    });
  });
  return { ended, end: () => client.end() };
}
const operations = async (call: string, client = admin): Promise<string[]> =>
  (await client.query<{ step: string }>(`SELECT operation || ' ' || status AS step FROM rolecall.${call}`)).rows.map(
    ({ step }) => step,
  );

const locked = ['terminate_sessions applied', 'alter_role applied', 'terminate_sessions applied'];

test('the sessions of a locked user end, and it logs in again once it is unlocked', async () => {
  const { ended } = await session();
  assert.deepEqual(await operations("lock_user('alice', dry_run => true)"), [
    'terminate_sessions planned',
    'alter_role planned',
    'terminate_sessions planned',
  ]);
  assert.deepEqual(await operations("lock_user('alice')"), locked);
  await ended;
  await assert.rejects(login(), { code: '28000' });
  assert.deepEqual(await operations("lock_user('alice')"), []);
  assert.deepEqual(await operations("unlock_user('alice')"), ['alter_role applied']);
  await (await login()).end();
});

test('sessions go on where that is asked for; a later call ends them', async () => {
  const { ended } = await session();
  assert.deepEqual(await operations("lock_user('alice', terminate_sessions => false)"), ['alter_role applied']);
  assert.deepEqual(await operations("lock_user('alice', terminate_sessions => false)"), []);
  assert.deepEqual(await operations("lock_user('alice')"), ['terminate_sessions applied']);
  await ended;
  assert.deepEqual(await operations("unlock_user('alice')"), ['alter_role applied']);
});

test('a caller that may not end the sessions locks nobody, unless they are to go on', async () => {
  const operator = await login('operator');
  await operator.query("CREATE ROLE bob LOGIN PASSWORD 'secret'");
  const bob = await login('bob');
  await assert.rejects(operator.query("SELECT rolecall.lock_user('bob')"), { code: '42501' });
  const { rows } = await admin.query<{ login: boolean }>(
    "SELECT rolcanlogin AS login FROM pg_roles WHERE rolname = 'bob'",
  );
  assert.equal(rows[0]?.login, true);
  assert.deepEqual(await operations("lock_user('bob', terminate_sessions => false)", operator), ['alter_role applied']);
  await bob.query('SELECT 1');
  await bob.end();
  await until('the session is gone', async () => (await operations("lock_user('bob')", operator)).length === 0);
  await operator.end();
});

test('a user that has changed itself in open transactions is locked all the same', async () => {
  const sessions = await Promise.all([login(), login(), login()]);
  const changes = sessions.map((client) => {
    client.on('error', () => undefined);
    return client.query("BEGIN; ALTER ROLE alice PASSWORD 'secret'").catch(() => undefined);
  });
  await until('all but one to wait for that one', async () => {
    const { rows } = await admin.query(
      "SELECT FROM pg_stat_activity WHERE usename = 'alice' AND wait_event_type = 'Lock'",
    );
    return rows.length === 2;
  });
  await admin.query("SET lock_timeout = '20s'");
  assert.deepEqual(await operations("lock_user('alice')"), locked);
  await Promise.all(changes);
  await assert.rejects(login(), { code: '28000' });
  await admin.query("RESET lock_timeout; SELECT rolecall.unlock_user('alice')");
});

test('a user that is removed ends its sessions before anything is altered', async () => {
  await admin.query(
    "SELECT rolecall.create_client_role('jobs', '5min'); SELECT rolecall.create_user('worker', 'secret')",
  );
  await admin.query("SELECT rolecall.grant_role('jobs', 'worker'); ALTER ROLE jobs LOGIN PASSWORD 'secret'");
  const jobs = await login('jobs');
  jobs.on('error', () => undefined);
  await jobs.query("BEGIN; ALTER ROLE jobs PASSWORD 'secret'");
  assert.deepEqual(await operations("remove_user('jobs', terminate_sessions => true)"), [
    'terminate_sessions applied',
    'set_config applied',
    'drop_role applied',
  ]);
});

test('a user that connects again all the time is locked, and then removed', async () => {
  await admin.query(`SELECT rolecall.create_user('hydra', 'secret')`);
  let heads = 0;
  let hunted = false;
  /** Connects again as soon as it is ended, and keeps the role from being dropped, until it is refused. */
  const head = async (): Promise<void> => {
    for (;;) {
      try {
        const client = await login('hydra');
        const ended = new Promise<void>((resolve) => {
          client.on('error', () => undefined);
          client.on('end', () => {
            resolve();
          });
        });
        await client
          .query(`BEGIN; SELECT pg_get_object_address('role', '{hydra}', '{}'); CREATE TEMPORARY TABLE t ()`)
          .catch(() => undefined);
        heads++;
        await ended;
      } catch {
        if (hunted) return;
      }
    }
  };
  const all = Promise.all([head(), head(), head(), head()]);
  await until('all heads are there', async () => Promise.resolve(heads >= 4));
  // A removal ends, either way.
  await admin.query(`SET lock_timeout = '500ms'`);
  const removed = await operations(`remove_user('hydra', drop_owned => true, terminate_sessions => true)`).then(
    () => true,
    (error: unknown) => {
      assert.equal((error as { code: string }).code, '55P03');
      return false;
    },
  );
  hunted = true;
  if (!removed) {
    await operations(`lock_user('hydra')`);
    // Who was about to log in by then is in.
    await operations(`lock_user('hydra')`);
    await operations(`remove_user('hydra', drop_owned => true, terminate_sessions => true)`);
  }
  await all;
  await admin.query('RESET lock_timeout');
  assert.equal((await admin.query(`SELECT FROM pg_roles WHERE rolname = 'hydra'`)).rowCount, 0);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
});

test('no session ends for a caller that may not alter the role', async () => {
  await admin.query("CREATE ROLE watchman LOGIN PASSWORD 'secret'; GRANT pg_signal_backend TO watchman");
  await admin.query("SELECT rolecall.add_operator('watchman')");
  const watchman = await login('watchman');
  const alice = await login();
  await assert.rejects(watchman.query("SELECT rolecall.lock_user('alice')"), {
    code: '42501',
    message: 'permission denied to alter role',
  });
  await alice.query('SELECT 1');
  await alice.end();
  await watchman.end();
});

test('a user that has the settings of a reporting role of another database is locked all the same', async () => {
  const other = await cluster.createDatabase('other');
  const client = await cluster.connect({ database: other });
  await client.query('CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO alice');
  await client.end();
  const alice = await login();
  await alice.query('ALTER ROLE alice IN DATABASE other SET default_transaction_read_only = on');
  await alice.end();
  assert.deepEqual(await operations("lock_user('alice', terminate_sessions => false)"), ['alter_role applied']);
  await operations("unlock_user('alice')");
});
