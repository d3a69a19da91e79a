/**
 * Backends are killed, and the whole server is, in the middle of calls. A call that was answered has happened; of one
 * that was not, either everything or nothing has.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { startCluster, until, type Cluster } from '../support/cluster.ts';
import { verifier } from '../support/race.ts';

const workers = 6;
const otherVerifier = verifier.replace('W22ZaJ0S', 'W22ZaJ0T');

/** A kind of call: its text for a name, and a query that tells of the name whether it is complete (null: absent). */
interface Kind {
  readonly call: (name: string) => string;
  readonly complete: string;
}

const kinds: readonly Kind[] = [
  {
    call: (name) => `SELECT * FROM rolecall.create_user('${name}', 'plain')`,
    complete: `r.rolcanlogin AND coalesce(r.rolpassword LIKE 'SCRAM-SHA-256$%', false)
      AND 'killed_anonymous' = ANY (m.groups) AND 'killed_authenticated' = ANY (m.groups)`,
  },
  {
    call: (name) => `SELECT * FROM rolecall.create_client_role('${name}')`,
    complete: `NOT r.rolcanlogin AND m.groups = '{killed_authenticated}' AND r.settings = '{statement_timeout=15s}'`,
  },
  {
    call: (name) => `SELECT * FROM rolecall.provision_reporting_role('${name}', '{public}')`,
    complete: `r.rolcanlogin AND r.settings @> '{default_transaction_read_only=on,search_path=public}'
      AND rolecall_internal.password_matches(rolecall.reporting_role_password(r.rolname), r.rolpassword)
      AND has_table_privilege(r.oid, 'public.killed_table', 'SELECT')`,
  },
  {
    call: (name) =>
      `SELECT * FROM rolecall.create_base_roles('${name}_1', '${name}', '${name}_2', default_role => '${name}')`,
    complete: `NOT r.rolcanlogin
      AND (SELECT n.rolbypassrls FROM pg_roles AS n WHERE n.rolname = r.rolname || '_2')
      AND EXISTS (SELECT FROM pg_roles AS n WHERE n.rolname = r.rolname || '_1')`,
  },
];

let cluster: Cluster;
let databases: [calls: string, baseRoles: string];
before(async () => {
  cluster = await startCluster();
  databases = [await cluster.createDatabase(), await cluster.createDatabase()];
  const admin = await cluster.connect({ database: databases[0] });
  await admin.query('CREATE TABLE public.killed_table ()');
  await admin.query(
    `SELECT rolecall.create_base_roles('killed_anonymous', 'killed_authenticated', 'killed_administrator')`,
  );
  await admin.query(`SELECT rolecall.provision_reporting_role('killed_report', '{public}')`);
  await admin.query(`CREATE ROLE killed_user PASSWORD '${verifier}' VALID UNTIL '2100-01-01 UTC'`);
  await admin.end();
});
after(() => cluster.stop());

interface Call {
  readonly kind: Kind;
  readonly name: string;
  answered: boolean;
}

// Calls of create_base_roles() change what later calls in their database mean, so they have one of their own.
const databaseOf = (kind: Kind) => databases[kind === kinds[3] ? 1 : 0];
let names = 0;

/** Calls over and over, each time with a new name, until told to stop. After a lost connection it connects again. */
async function work(kind: Kind, calls: Call[], isRunning: () => boolean): Promise<void> {
  let client: Client | undefined;
  while (isRunning()) {
    const call = { kind, name: `killed_${++names}`, answered: false };
    try {
      client ??= await cluster.connect({ database: databaseOf(kind) });
      calls.push(call);
      await client.query(kind.call(call.name));
      call.answered = true;
    } catch {
      // The connection is lost, or could not be opened: the server is down.
      await client?.end().catch(() => undefined);
      client = undefined;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  await client?.end().catch(() => undefined);
}

/** Sets one of two passwords, each with its own date, over and over. */
async function flip(isRunning: () => boolean): Promise<void> {
  let client: Client | undefined;
  for (let i = 0; isRunning(); i++) {
    try {
      client ??= await cluster.connect({ database: databases[0] });
      const [password, until] = i % 2 ? [verifier, '2100-01-01 UTC'] : [otherVerifier, '2200-01-01 UTC'];
      await client.query(`SELECT * FROM rolecall.set_password('killed_user', '${password}', '${until}')`);
    } catch {
      await client?.end().catch(() => undefined);
      client = undefined;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  await client?.end().catch(() => undefined);
}

async function isComplete(client: Client, { kind, name }: Call): Promise<boolean | null> {
  const { rows } = await client.query<{ complete: boolean }>(
    `SELECT (${kind.complete}) AS complete
     FROM (
       SELECT a.*, (SELECT s.setconfig FROM pg_db_role_setting AS s WHERE s.setrole = a.oid AND s.setdatabase = 0) AS settings
       FROM pg_authid AS a WHERE a.rolname = $1
     ) AS r
     CROSS JOIN LATERAL (
       SELECT ARRAY(SELECT m.roleid::regrole::text FROM pg_auth_members AS m WHERE m.member = r.oid)
     ) AS m(groups)`,
    [name],
  );
  return rows[0]?.complete ?? null;
}

async function withKills(kill: (count: number) => Promise<void>, kills: number): Promise<void> {
  let running = true;
  const isRunning = () => running;
  const calls: Call[] = [];
  const tasks = [
    flip(isRunning),
    ...Array.from({ length: workers }, (_, i) => work(kinds[i % kinds.length] ?? kinds[0]!, calls, isRunning)),
  ];
  for (let count = 0; count < kills; count++) {
    const answered = calls.filter((call) => call.answered).length;
    await until('calls to be answered', () => calls.filter((call) => call.answered).length >= answered + 2 * workers);
    await kill(count);
  }
  running = false;
  await Promise.all(tasks);

  const lost = calls.filter((call) => !call.answered).length;
  assert.ok(lost > 0, 'no call was interrupted');
  for (const database of databases) {
    const admin = await cluster.connect({ database });
    for (const call of calls.filter(({ kind }) => databaseOf(kind) === database)) {
      const complete = await isComplete(admin, call);
      assert.ok(complete ?? !call.answered, `${call.name} is ${complete === null ? 'missing' : 'incomplete'}`);
      // Nothing is left that would be in the way of the next call.
      await admin.query(call.kind.call(call.name));
      assert.equal(await isComplete(admin, call), true);
    }
    const { rows } = await admin.query<{ state: string }>(
      `SELECT rolpassword || ' ' || (rolvaliduntil AT TIME ZONE 'UTC')::date AS state FROM pg_authid WHERE rolname = 'killed_user'`,
    );
    assert.ok([`${verifier} 2100-01-01`, `${otherVerifier} 2200-01-01`].includes(rows[0]?.state ?? ''));
    await admin.end();
  }
}

test('backends are terminated in the middle of calls', async () => {
  const admin = await cluster.connect();
  await withKills(async () => {
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE state = 'active' AND datname = ANY ($1) AND query LIKE '%rolecall.%' AND pid <> pg_backend_pid()`,
      [databases],
    );
  }, 8);
  await admin.end();
});

test('the server is killed in the middle of calls', async () => {
  await withKills(async () => {
    await cluster.kill();
    await cluster.restart();
  }, 2);
});
