/**
 * `make test-citus`: rolecall on a Citus cluster. CITUS_URL is a superuser's connection to a fresh database on its
 * coordinator, with the extension citus and with workers. It creates and drops roles with names like citus_test_….
 */
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import pg from 'pg';
import { install } from '../../package/index.ts';

const url = process.env.CITUS_URL;
if (!url) throw new Error('CITUS_URL must name a database on the coordinator of a Citus cluster');
const admin = new pg.Client(url);
const roles = ['citus_test_ann', 'citus_test_reports'];

/** What a query gives on each worker. */
async function onWorkers(query: string): Promise<unknown[]> {
  const { rows } = await admin.query<{ success: boolean; result: string }>(
    'SELECT success, result FROM run_command_on_workers($1)',
    [query],
  );
  assert.ok(rows.length > 0 && rows.every(({ success }) => success), JSON.stringify(rows));
  return [...new Set(rows.map(({ result }) => result))];
}

before(async () => {
  await admin.connect();
  await install(admin);
  await admin.query(`CREATE TABLE citus_test (id int PRIMARY KEY); CREATE TABLE citus_test_token (id int PRIMARY KEY)`);
  for (const table of ['citus_test', 'citus_test_token'])
    await admin.query('SELECT create_distributed_table($1, $2)', [table, 'id']);
});

after(async () => {
  await admin.query('DROP TABLE citus_test, citus_test_token');
  for (const role of roles) await admin.query('SELECT rolecall.remove_user($1, drop_owned => true)', [role]);
  await admin.end();
});

test('a user is the same on all nodes, made by many at once', async () => {
  const clients = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const client = new pg.Client(url);
      await client.connect();
      return client;
    }),
  );
  const call = "SELECT rolecall.create_user_with_grants('citus_test_ann', 'secret', NULL)";
  await Promise.all(clients.map((client) => client.query(call)));
  await Promise.all(clients.map((client) => client.end()));
  const verifier = "SELECT rolpassword FROM pg_authid WHERE rolname = 'citus_test_ann'";
  const { rows } = await admin.query<{ rolpassword: string }>(verifier);
  assert.deepEqual(await onWorkers(verifier), [rows[0]?.rolpassword]);
  assert.equal((await admin.query(call)).rowCount, 0);
});

test('a withheld table is withheld, its shards on the workers too', async () => {
  await admin.query(
    "SELECT rolecall.provision_reporting_role('citus_test_reports', ARRAY['public'], ARRAY['citus_test_token'])",
  );
  const readable = (table: string) => `SELECT has_table_privilege('citus_test_reports', '${table}', 'SELECT')`;
  assert.deepEqual(await onWorkers(readable('citus_test')), ['t']);
  assert.deepEqual(await onWorkers(readable('citus_test_token')), ['f']);
  const { rows } = await admin.query<{ result: string }>(
    `SELECT DISTINCT result FROM run_command_on_shards('citus_test_token', $$${readable('%s')}$$)`,
  );
  assert.deepEqual(rows, [{ result: 'f' }]);
  assert.equal((await admin.query('SELECT FROM rolecall.drift()')).rowCount, 0);
});

test('a shard of a withheld table on the coordinator is found and closed, and on a worker nothing is provisioned', async () => {
  await admin.query('CREATE TABLE citus_test_reference (id int PRIMARY KEY)');
  const provision = `SELECT rolecall.provision_reporting_role('citus_test_reports', ARRAY['public'],
    ARRAY['citus_test_token', 'citus_test_reference'])`;
  await admin.query(provision);
  await admin.query("SELECT create_reference_table('citus_test_reference')");
  const shards = async () =>
    (
      await admin.query(`SELECT has_table_privilege('citus_test_reports', s.shard, 'SELECT') AS reads
        FROM rolecall_internal.shards() AS s WHERE s.table_oid = 'citus_test_reference'::regclass`)
    ).rows as unknown[];
  assert.deepEqual(await shards(), [{ reads: true }]);
  await admin.query('SELECT rolecall.converge()');
  assert.deepEqual(await shards(), [{ reads: false }]);
  for (const visible of ['off', 'on']) {
    await admin.query(`SET citus.override_table_visibility = ${visible}`);
    assert.equal((await admin.query('SELECT FROM rolecall.drift()')).rowCount, 0);
  }
  await admin.query('DROP TABLE citus_test_reference');

  const { rows } = await admin.query<{ nodename: string; nodeport: number }>(
    'SELECT nodename, nodeport FROM pg_dist_node WHERE groupid <> 0 LIMIT 1',
  );
  const address = new URL(url);
  address.hostname = rows[0]?.nodename ?? '';
  address.port = String(rows[0]?.nodeport);
  const worker = new pg.Client(address.href);
  await worker.connect();
  await assert.rejects(worker.query(provision), { code: '55000' });
  await worker.end();
});
