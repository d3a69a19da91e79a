/** What a call holds, and what it does when it loses a role to another transaction. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import type { Client } from 'pg';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';

const { cluster, admin: caller } = await placeOfFile();
const other = await cluster.connect({ database: await cluster.createDatabase() });
await caller.query('SELECT rolecall.create_base_roles()');
const { rows: pids } = await caller.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
const callerPid = pids[0]?.pid ?? 0;
afterEach(async () => {
  for (const client of [other, caller]) await client.query('ROLLBACK');
});

/** Steps of a call that has to wait for the other transaction, which then ends. */
async function waiting(call: string): Promise<string[]> {
  const result = caller.query<{ operation: string; target: string; status: string }>(call);
  await until('the call to wait', async () => {
    const { rows } = await other.query(
      `SELECT FROM pg_locks WHERE NOT granted AND waitstart < clock_timestamp() - interval '20 ms'`,
    );
    return rows.length > 0;
  });
  await other.query('COMMIT');
  return (await result).rows.map(({ operation, target, status }) => `${operation} ${target} ${status}`);
}

/** The roles that the caller holds the lock on. */
async function locked(): Promise<string[]> {
  const { rows } = await other.query<{ name: string }>(
    `SELECT DISTINCT pg_get_userbyid(objid)::text AS name FROM pg_locks
     WHERE locktype = 'object' AND classid = 'pg_authid'::regclass AND mode = 'ShareUpdateExclusiveLock' AND granted AND pid = $1 ORDER BY 1`,
    [callerPid],
  );
  return rows.map(({ name }) => name);
}

const grants = (name: string) => [`grant_role ${name} applied`, `grant_role ${name} applied`];

for (const isolation of ['READ COMMITTED', 'REPEATABLE READ']) {
  const start = async () => {
    await caller.query(`BEGIN ISOLATION LEVEL ${isolation}; SELECT FROM pg_roles`);
  };

  test(`a role that another transaction has made first is locked, ${isolation}`, async () => {
    await start();
    await other.query('BEGIN; CREATE ROLE lost');
    assert.deepEqual(await waiting(`SELECT * FROM rolecall.create_user('lost')`), [
      'create_role lost skipped',
      ...grants('lost'),
    ]);
    assert.ok((await locked()).includes('lost'));
    await caller.query('COMMIT');
    await other.query('DROP ROLE lost');
  });

  test(`the calls of one database queue for the name of a role that is being made, ${isolation}`, async () => {
    await start();
    const first = await cluster.connect({ database: caller.database ?? '' });
    await first.query(`BEGIN; SELECT rolecall.create_user('queued', 'first')`);
    const result = caller.query<{ status: string; sqlstate: string }>(
      `SELECT * FROM rolecall.create_user('queued', 'second')`,
    );
    await until('the call to queue', async () => {
      const { rows } = await other.query(
        `SELECT FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND pid = $1`,
        [callerPid],
      );
      return rows.length > 0;
    });
    await first.query('COMMIT');
    await first.end();
    const steps = (await result).rows.map(({ status, sqlstate }) => `${status} ${sqlstate}`);
    assert.equal(steps[0], 'skipped 42710');
    await caller.query('COMMIT');
    await other.query('DROP ROLE queued');
  });

  test(`a role that another transaction has dropped is made, ${isolation}`, async () => {
    await other.query('CREATE ROLE zz_dropped');
    await start();
    await other.query('BEGIN; DROP ROLE zz_dropped');
    assert.deepEqual(await waiting(`SELECT * FROM rolecall.create_user('zz_dropped')`), [
      'create_role zz_dropped applied',
      ...grants('zz_dropped'),
    ]);
    await caller.query('COMMIT');
    const { rows } = await caller.query(
      `SELECT r.rolcanlogin, count(*)::integer AS groups
       FROM pg_roles AS r JOIN pg_auth_members AS m ON m.member = r.oid WHERE r.rolname = 'zz_dropped' GROUP BY 1`,
    );
    assert.deepEqual(rows, [{ rolcanlogin: true, groups: 2 }]);
    await other.query('DROP ROLE zz_dropped');
  });

  test(`a call waits for the making of a role with nothing else locked, ${isolation}`, async () => {
    await other.query('CREATE ROLE aa_group');
    await start();
    await other.query('BEGIN; CREATE ROLE zz_made');
    const call = `SELECT * FROM rolecall.create_user_with_grants('zz_made', NULL, ARRAY['aa_group'])`;
    const result = caller.query(call);
    await until('the call to wait', async () => {
      const { rows } = await other.query(
        `SELECT FROM pg_locks WHERE NOT granted AND waitstart < clock_timestamp() - interval '20 ms'`,
      );
      return rows.length > 0;
    });
    assert.deepEqual(await locked(), []);
    await other.query('COMMIT');
    await result;
    await caller.query('COMMIT');
    await other.query('DROP ROLE aa_group, zz_made');
  });
}

test('a role that goes missing while later ones are made is made before them', async () => {
  const database = await cluster.createDatabase();
  const [restoring, third] = [await cluster.connect({ database }), await cluster.connect()];
  const blocks = (client: Client) =>
    until('the call to wait', async () => {
      const { rows } = await third.query(
        'SELECT FROM pg_stat_activity WHERE ARRAY[$1::integer] = pg_blocking_pids(pid)',
        [(client as unknown as { processID: number }).processID],
      );
      return rows.length === 1;
    });
  await restoring.query(`SELECT rolecall.create_user('order_' || n) FROM unnest('{a,b,c}'::text[]) AS n`);
  await restoring.query('DROP ROLE order_b, order_c');
  await other.query('BEGIN; CREATE ROLE order_c');
  const restored = restoring.query<{ target: string }>(
    `SELECT target FROM rolecall.converge() WHERE operation = 'create_role'`,
  );
  await blocks(other); // It has created order_b, and waits for order_c.
  await third.query('DROP ROLE order_a');
  await third.query('BEGIN; CREATE ROLE order_a');
  await other.query('COMMIT');
  await blocks(third); // For order_a: it must not hold order_b.
  await third.query('CREATE ROLE order_b');
  await third.query('ROLLBACK');
  assert.deepEqual(
    (await restored).rows.map(({ target }) => target),
    ['order_a', 'order_b'],
  );
  await Promise.all([restoring, third].map((client) => client.end()));
});
