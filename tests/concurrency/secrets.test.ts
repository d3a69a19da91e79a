/**
 * Secrets among several connections: the first one wins, and whatever is rotated and provisioned at the same time, each
 * reporting role ends with the password that reporting_role_password() returns.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from 'pg';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';

const connections = 12;
const rounds = 4;

const { cluster, database, admin } = await placeOfFile();
const clients = await Promise.all(Array.from({ length: connections }, () => cluster.connect({ database })));

/** Two of the connections. */
function pair(): [Client, Client] {
  const [one, other] = clients;
  assert.ok(one && other);
  return [one, other];
}

/** A call in a transaction of its own: the values of its rows' first column, or what it failed with. */
async function attempt(client: Client, isolation: string, call: string): Promise<{ values: unknown[]; code?: string }> {
  await client.query(`BEGIN ISOLATION LEVEL ${isolation}`);
  try {
    const { rows } = await client.query<unknown[]>({ text: call, rowMode: 'array' });
    await client.query('COMMIT');
    return { values: rows.map(([value]) => value) };
  } catch (error) {
    await client.query('ROLLBACK');
    const { code, message } = error as Error & { code?: string };
    return { values: [message], code: code ?? 'none' };
  }
}

/** Starts a call and waits until it waits for a lock. */
async function started<T>(client: Client, call: string, text: Promise<T>): Promise<void> {
  const pid = (client as unknown as { processID: number }).processID;
  let settled = false;
  void text.then(
    () => (settled = true),
    () => (settled = true),
  );
  await until(`${call} to wait`, async () => {
    const { rows } = await admin.query("SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'", [
      pid,
    ]);
    return settled || rows.length > 0;
  });
  assert.equal(settled, false, `${call} waits`);
}

/** Every reporting role logs in with the password that it should have. */
async function assertLogins(...roles: string[]): Promise<void> {
  for (const role of roles) {
    const { rows } = await admin.query('SELECT rolecall.reporting_role_password($1) AS password', [role]);
    const login = await cluster.connect({ database, user: role, password: rows[0].password });
    await login.end();
  }
}

const provision = (role: string, options = '') =>
  `SELECT operation FROM rolecall.provision_reporting_role('${role}', ARRAY['public']${options})`;
const rotate = 'SELECT operation FROM rolecall.rotate_reporting_secret()';

test('set_secret_if_absent: of several callers at once one wins', async () => {
  for (let round = 0; round < rounds; round++) {
    const results = await Promise.all(
      clients.map((client, i) =>
        attempt(client, 'READ COMMITTED', `SELECT rolecall.set_secret_if_absent('key ${round}', 'value ${i}')`),
      ),
    );
    assert.deepEqual([...new Set(results.map(({ code }) => code))], [undefined], JSON.stringify(results));
    const { rows } = await admin.query('SELECT rolecall.get_secret($1) AS value', [`key ${round}`]);
    assert.deepEqual([...new Set(results.flatMap(({ values }) => values))], [rows[0].value]);
  }
});

test('under REPEATABLE READ as well, where only a secret that the snapshot does not show is 40001', async () => {
  for (let round = 0; round < rounds; round++) {
    const results = await Promise.all(
      clients.map((client, i) =>
        attempt(client, 'REPEATABLE READ', `SELECT rolecall.set_secret_if_absent('rr ${round}', 'value ${i}')`),
      ),
    );
    const { rows } = await admin.query('SELECT rolecall.get_secret($1) AS value', [`rr ${round}`]);
    assert.deepEqual(
      [...new Set(results.map(({ code, values }) => code ?? values[0]))].filter((one) => one !== '40001'),
      [rows[0].value],
    );
  }
});

for (const end of ['COMMIT', 'ROLLBACK']) {
  test(`set_secret_if_absent waits for the transaction that was first: ${end}`, async () => {
    const [one, other] = pair();
    const call = `SELECT rolecall.set_secret_if_absent('${end}', $1) AS value`;
    await one.query('BEGIN');
    await one.query(call, ['first']);
    const second = other.query(call, ['second']);
    await started(other, 'the second call', second);
    await one.query(end);
    assert.equal((await second).rows[0].value, end === 'COMMIT' ? 'first' : 'second');
  });
}

test('set_secret: of several callers at once none fails, and one of the values is stored', async () => {
  const results = await Promise.all(
    clients.map((client, i) =>
      attempt(client, 'READ COMMITTED', `SELECT operation FROM rolecall.set_secret('one', '${i}')`),
    ),
  );
  assert.deepEqual(
    results.map(({ code }) => code),
    clients.map(() => undefined),
  );
  const { rows } = await admin.query("SELECT rolecall.get_secret('one')::integer AS value");
  assert.ok(rows[0].value >= 0 && rows[0].value < connections);
});

test('under REPEATABLE READ a secret that was stored, or rotated, since the snapshot is 40001', async () => {
  const [one, other] = pair();
  await other.query(provision('steady'));
  for (const call of ["SELECT * FROM rolecall.set_secret('since', gen_random_uuid()::text)", rotate]) {
    await one.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await one.query('SELECT 1');
    await other.query(call);
    await assert.rejects(one.query(call), { code: '40001' });
    await one.query('ROLLBACK');
  }
});

test('a plain secret is encrypted by one of its readers, and none of them fails', async () => {
  await admin.query('CREATE EXTENSION pgcrypto');
  const key = "SELECT set_config('rolecall.encryption_key', 'the key', false)";
  try {
    await Promise.all(clients.map((client) => client.query(key)));
    for (const isolation of ['READ COMMITTED', 'REPEATABLE READ']) {
      await admin.query("SELECT * FROM rolecall.set_secret($1, 'plain')", [isolation]);
      const results = await Promise.all(
        clients.map((client) => attempt(client, isolation, `SELECT rolecall.get_secret('${isolation}')`)),
      );
      assert.deepEqual([...new Set(results.flatMap(({ values }) => values))], ['plain']);
      const { rows } = await admin.query('SELECT encrypted FROM rolecall_internal.secret WHERE key = $1', [isolation]);
      assert.deepEqual(rows, [{ encrypted: true }]);
    }

    // A snapshot that shows the plain value, which another transaction has encrypted since.
    const [one, other] = pair();
    await admin.query("SELECT * FROM rolecall.set_secret('older', 'plain')");
    await one.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await one.query('SELECT 1');
    await other.query("SELECT rolecall.get_secret('older')");
    assert.equal((await one.query("SELECT rolecall.get_secret('older') AS value")).rows[0].value, 'plain');
    await one.query('COMMIT');
    assert.equal((await one.query("SELECT rolecall.get_secret('older') AS value")).rows[0].value, 'plain');

    // Somebody who is encrypting it keeps no reader waiting.
    await admin.query("SELECT * FROM rolecall.set_secret('busy', 'plain')");
    await one.query('BEGIN');
    await one.query("SELECT rolecall.get_secret('busy')");
    await other.query("SET statement_timeout = '60s'");
    assert.equal((await other.query("SELECT rolecall.get_secret('busy') AS value")).rows[0].value, 'plain');
    await one.query('COMMIT');
  } finally {
    await Promise.all(clients.map((client) => client.query('RESET ALL')));
    await admin.query('DROP EXTENSION pgcrypto');
  }
});

test('rotations and provisioning runs at once: each role logs in with what reporting_role_password() returns', async () => {
  for (let round = 0; round < rounds; round++) {
    const fresh = [`fresh_${round}_a`, `fresh_${round}_b`] as const;
    const calls = [
      rotate,
      provision('steady'),
      provision(fresh[0]),
      provision(fresh[1]),
      provision('steady', ", rotate_after => '0'"),
      rotate,
    ];
    const results = await Promise.all(
      clients.map((client, i) => attempt(client, 'READ COMMITTED', calls[i % calls.length] ?? '')),
    );
    assert.deepEqual(
      results.filter(({ code }) => code !== undefined),
      [],
    );
    await assertLogins('steady', ...fresh);
  }
});

test('a rotation waits for a run that is making a role, and sets its password too', async () => {
  const [one, other] = pair();
  await one.query('BEGIN');
  await one.query(provision('made'));
  const rotation = other.query<{ operation: string }>(rotate);
  await started(other, 'the rotation', rotation);
  await one.query('COMMIT');
  assert.ok((await rotation).rows.length > 1);
  await assertLogins('made', 'steady');
});

test('a run waits for a rotation, and derives the password from the new secret', async () => {
  const [one, other] = pair();
  await one.query('BEGIN');
  await one.query(rotate);
  const run = other.query(provision('later'));
  await started(other, 'the run', run);
  await one.query('COMMIT');
  await run;
  await assertLogins('later', 'made', 'steady');
});

test('under REPEATABLE READ a run whose snapshot shows an older secret sets no password from it', async () => {
  const [one, other] = pair();
  await one.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await one.query('SELECT 1');
  await other.query(rotate);
  await assert.rejects(one.query(provision('too_late')), { code: '40001' });
  await one.query('ROLLBACK');
  await one.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await one.query(provision('in_time'));
  await one.query('COMMIT');
  await assertLogins('in_time', 'later', 'made', 'steady');
});

test('under REPEATABLE READ a role is made by several at once without 40001', async () => {
  for (let round = 0; round < rounds; round++) {
    const results = await Promise.all(
      clients.map((client) => attempt(client, 'REPEATABLE READ', provision(`rr_${round}`))),
    );
    assert.deepEqual(
      results.filter(({ code }) => code !== undefined),
      [],
    );
    await assertLogins(`rr_${round}`);
  }
});
