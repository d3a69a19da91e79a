/**
 * What the server lets any login do to itself, see "What a reporting role can still do" in docs/security.md: what ends
 * with the session, what the next provisioning run undoes, and what it does not, with what does.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { difference, kinds, provisionedSandboxes, type Sandbox, snapshot } from '../support/sandbox.ts';

const major = Number(process.env.PG || 18);

let cluster: Cluster;
let sandboxes: ReadonlyMap<string, Sandbox> = new Map();
const sandboxOf = (kind: string): Sandbox => sandboxes.get(kind) as Sandbox;

before(async () => {
  cluster = await startCluster({ settings: { max_prepared_transactions: 2 } });
  sandboxes = await provisionedSandboxes(cluster);
});

after(async () => {
  for (const sandbox of sandboxes.values()) await sandbox.end();
  await cluster.stop();
});

/** The statements as the raw role, which has turned read-only transactions off; `{me}` stands for its name. */
async function does(sandbox: Sandbox, ...statements: string[]): Promise<void> {
  const client = await sandbox.login('raw');
  try {
    await client.query('SET default_transaction_read_only = off');
    for (const statement of statements) await client.query(statement.replaceAll('{me}', sandbox.role('raw')));
  } finally {
    await client.end();
  }
}

async function value(client: Client, query: string): Promise<unknown> {
  const { rows } = await client.query<unknown[]>({ text: query, rowMode: 'array' });
  return rows[0]?.[0];
}

/** The catalogs, without the schema that the server keeps for the next session with temporary objects. */
async function state(sandbox: Sandbox): Promise<Set<string>> {
  const rows = await snapshot(sandbox.admin);
  return new Set([...rows].filter((row) => !/^pg_namespace: .*,pg_(toast_)?temp_/.test(row)));
}

/** The next provisioning run: what it did, without the passwords that its caller cannot compare. */
async function rerun(sandbox: Sandbox): Promise<string[]> {
  const { steps } = await sandbox.provision();
  return steps
    .filter(({ operation, status }) => status === 'applied' && operation !== 'set_password')
    .map(({ statement }) => statement);
}

/** After one more run, which nothing holds up. */
async function isProvisioned(sandbox: Sandbox): Promise<void> {
  await sandbox.provision();
  await isWhole(sandbox);
}

/** With everything that it may have as it is to be. */
async function isWhole(sandbox: Sandbox): Promise<void> {
  const client = await sandbox.login('raw');
  assert.equal(await value(client, 'SHOW default_transaction_read_only'), 'on');
  assert.equal(await value(client, 'SHOW search_path'), 'public');
  assert.equal(await value(client, 'SELECT count(*)::integer FROM early_table'), 2);
  await sandbox.owners.public.query('CREATE TABLE public.newest AS SELECT 1 AS one');
  assert.equal(await value(client, 'SELECT one FROM newest'), 1);
  await sandbox.owners.public.query('DROP TABLE public.newest');
  await client.end();
}

for (const kind of kinds) {
  const critical = async (sandbox: Sandbox) => {
    const { rows } = await sandbox.provisioner.query<{ finding: string }>(
      `SELECT concat_ws(' ', severity, path, object) AS finding FROM rolecall.audit_role($1)
       WHERE severity = 'critical' OR path ~ '(default privileges|setting)$' ORDER BY 1`,
      [sandbox.role('raw')],
    );
    return rows.map(({ finding }) => finding.replaceAll(sandbox.role('raw'), '{me}'));
  };

  test(`${kind}: its password is the derived one again after the next run`, async () => {
    const sandbox = sandboxOf(kind);
    const login = (password: string) =>
      cluster.connect({ database: sandbox.database, user: sandbox.role('raw'), password });
    for (const mine of ["'mine'", 'NULL']) {
      const open = await sandbox.login('raw');
      await does(sandbox, `ALTER ROLE {me} PASSWORD ${mine}`);
      await assert.rejects(sandbox.login('raw'), { code: '28P01' });
      if (mine !== 'NULL') await (await login('mine')).end();
      const { steps } = await sandbox.provision();
      assert.ok(steps.some(({ operation, target }) => operation === 'set_password' && target === sandbox.role('raw')));
      await assert.rejects(login('mine'), { code: '28P01' });
      await isWhole(sandbox);
      assert.equal(await value(open, 'SELECT 1'), 1, 'a session that is open stays');
      await open.end();
    }
  });

  test(`${kind}: its settings are put back by the next run, and others that it has are in the audit`, async () => {
    const sandbox = sandboxOf(kind);
    const earlier = await state(sandbox);
    const here = `IN DATABASE ${sandbox.database}`;
    for (const [statements, restored] of [
      [['ALTER ROLE {me} SET default_transaction_read_only = off'], 1],
      [[`ALTER ROLE {me} ${here} SET default_transaction_read_only = off`], 2],
      [['ALTER ROLE {me} SET search_path = elsewhere', `ALTER ROLE {me} ${here} SET search_path = pg_catalog`], 2],
      [['ALTER ROLE {me} RESET ALL', `ALTER ROLE {me} ${here} RESET ALL`], 3],
      [['ALTER ROLE {me} IN DATABASE postgres SET search_path = pg_catalog'], 1],
    ] as const) {
      await does(sandbox, ...statements);
      assert.notDeepEqual(difference(earlier, await state(sandbox)), []);
      assert.equal((await rerun(sandbox)).length, restored, String(statements));
      await isWhole(sandbox);
    }
    await does(sandbox, `ALTER ROLE {me} SET work_mem = '1GB'`);
    assert.deepEqual(await rerun(sandbox), []);
    assert.deepEqual(await critical(sandbox), ['info {me} -> setting work_mem']);
    await sandbox.provisioner.query(`ALTER ROLE ${sandbox.role('raw')} RESET work_mem`);
    assert.deepEqual(await critical(sandbox), []);
  });

  test(`${kind}: what ends with the session`, async () => {
    const sandbox = sandboxOf(kind);
    const earlier = await state(sandbox);
    const client = await sandbox.login('raw');
    for (const statement of [
      'SET default_transaction_read_only = off',
      'SET search_path = pg_catalog',
      `SET statement_timeout = '1h'`,
      'CREATE TEMPORARY TABLE early_table AS SELECT * FROM public.early_table',
      `INSERT INTO pg_temp.early_table VALUES (3, 'three')`,
      `CREATE FUNCTION pg_temp.one() RETURNS integer LANGUAGE sql AS 'SELECT 1'`,
      'PREPARE reading AS SELECT count(*) FROM public.early_table',
      'DECLARE reading CURSOR WITH HOLD FOR SELECT * FROM public.early_table',
      'SELECT pg_advisory_lock(1)',
      'LISTEN channel',
      `NOTIFY channel, 'text'`,
    ]) {
      await client.query(statement);
    }
    // Nobody else sees the temporary table, or is kept from anything by the lock on what was read.
    const other = await sandbox.login('raw');
    assert.equal(await value(other, 'SELECT count(*)::integer FROM early_table'), 2);
    assert.equal(await value(other, 'SELECT pg_try_advisory_lock(1)'), false);
    assert.equal(await value(sandbox.owners.public, 'SELECT count(*)::integer FROM early_table'), 2);
    await client.end();
    await sandbox.admin.query('SELECT pg_advisory_lock(1), pg_advisory_unlock(1)');
    await other.end();
    assert.deepEqual(difference(earlier, await state(sandbox)), []);
    await isWhole(sandbox);
  });

  test(`${kind}: a run waits for what it holds no longer than lock_timeout, and then has changed nothing`, async () => {
    const sandbox = sandboxOf(kind);
    const { admin, provisioner } = sandbox;
    await provisioner.query(`SET lock_timeout = '100ms'`);
    for (const statements of [
      `BEGIN; ALTER ROLE {me} SET search_path = elsewhere; COMMIT; BEGIN; ALTER ROLE {me} SET search_path = pg_catalog`,
    ]) {
      const holder = await sandbox.login('raw');
      await holder.query('SET default_transaction_read_only = off');
      await holder.query(statements.replaceAll('{me}', sandbox.role('raw')));
      const pid = await value(holder, 'SELECT pg_backend_pid()');
      const earlier = await state(sandbox);
      await assert.rejects(sandbox.provision(), { code: '55P03' }, statements);
      assert.deepEqual(difference(earlier, await state(sandbox)), []);
      holder.on('error', () => undefined);
      await admin.query(`SELECT pg_terminate_backend(${String(pid)}, 60000)`);
      await isProvisioned(sandbox);
    }
    await provisioner.query('RESET lock_timeout');
  });

  test(`${kind}: what DROP OWNED takes from it comes back with the next run`, async () => {
    const sandbox = sandboxOf(kind);
    const earlier = await state(sandbox);
    await does(sandbox, 'DROP OWNED BY CURRENT_USER');
    await sandbox.owners.public.query('CREATE TABLE public.unseen AS SELECT 1 AS one');
    const client = await sandbox.login('raw');
    await assert.rejects(client.query('SELECT * FROM unseen'), { code: '42501' });
    // CONNECT comes through PUBLIC; USAGE, tables, sequences and the default privileges of both are its own.
    assert.equal((await rerun(sandbox)).length, 5);
    assert.equal(await value(client, 'SELECT one FROM unseen'), 1);
    await client.end();
    await sandbox.owners.public.query('DROP TABLE public.unseen');
    await isWhole(sandbox);
    // The rows for the default privileges, and its password where the caller cannot compare it, are new ones.
    const renewed = /^. (pg_default_acl|pg_shdepend|pg_depend|pg_authid): /;
    const rest = difference(earlier, await state(sandbox)).filter((row) => !renewed.test(row));
    assert.deepEqual(rest, []);
  });

  test(`${kind}: what it makes stays until somebody drops it, and the audit names it`, async () => {
    const sandbox = sandboxOf(kind);
    const earlier = await state(sandbox);
    const objects = [
      'SELECT lo_create(5000)',
      'GRANT SELECT ON LARGE OBJECT 5000 TO PUBLIC',
      'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC',
      'ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM {me}',
    ];
    const found = ['critical {me} -> ownership 5000'];
    if (major < 15) {
      objects.push(
        'CREATE TABLE public.mine (id integer)',
        'INSERT INTO public.mine VALUES (1)',
        `CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'`,
      );
      found.push('critical {me} -> ownership public.mine', 'critical {me} -> ownership public.mine()');
    }
    await does(sandbox, ...objects);
    await sandbox.provision();
    assert.deepEqual(await rerun(sandbox), [], 'what it makes keeps no run from coming to its end');
    assert.deepEqual(await critical(sandbox), found);
    await isWhole(sandbox);

    // Who is a member of the role drops what is the role's, and the next run grants what that took with it.
    const me = sandbox.role('raw');
    if (kind === 'owner') await sandbox.provisioner.query(`GRANT ${me} TO CURRENT_USER`);
    await sandbox.provisioner.query(`DROP OWNED BY ${me}`);
    if (kind === 'owner') await sandbox.provisioner.query(`REVOKE ${me} FROM CURRENT_USER`);
    await rerun(sandbox);
    assert.deepEqual(await critical(sandbox), []);
    await isWhole(sandbox);
    const left = difference(earlier, await state(sandbox)).filter((row) => /^\+ .*(mine|5000)/.test(row));
    assert.deepEqual(left, []);
  });

  test(`${kind}: a prepared transaction outlives its session, where the server allows any`, async () => {
    const sandbox = sandboxOf(kind);
    await does(sandbox, `BEGIN; SELECT count(*) FROM early_table; PREPARE TRANSACTION 'mine'`);
    const prepared = `SELECT count(*)::integer FROM pg_prepared_xacts WHERE owner = '${sandbox.role('raw')}'`;
    assert.equal(await value(sandbox.admin, prepared), 1);
    await sandbox.provision();
    assert.equal(await value(sandbox.admin, prepared), 1);
    await sandbox.admin.query(`ROLLBACK PREPARED 'mine'`);
  });

  test(`${kind}: on 14 it lets others become it, who gain nothing but what it reads`, async () => {
    const sandbox = sandboxOf(kind);
    const me = sandbox.role('raw');
    await sandbox.admin.query(`CREATE ROLE ${kind}_friend LOGIN PASSWORD 'friend'`);
    const grant = does(sandbox, `GRANT {me} TO ${kind}_friend WITH ADMIN OPTION`);
    if (major >= 15) {
      await assert.rejects(grant, { code: '42501' });
      return;
    }
    await grant;
    const friend = await cluster.connect({ database: sandbox.database, user: `${kind}_friend`, password: 'friend' });
    assert.equal(await value(friend, 'SELECT count(*)::integer FROM early_table'), 2);
    await assert.rejects(friend.query('SELECT * FROM token'), { code: '42501' });
    await assert.rejects(friend.query(`INSERT INTO early_table VALUES (9, 'x')`), { code: '42501' });
    await sandbox.provision();
    assert.equal(await value(friend, 'SELECT count(*)::integer FROM early_table'), 2, 'the next run leaves that alone');
    await sandbox.provisioner.query('SELECT * FROM rolecall.revoke_role($1, $2)', [me, `${kind}_friend`]);
    await assert.rejects(friend.query('SELECT * FROM early_table'), { code: '42501' });
    await friend.end();
  });

  test(`${kind}: it logs in to other databases, and does there what everybody may`, async () => {
    const sandbox = sandboxOf(kind);
    const user = sandbox.role('raw');
    const password = (await value(sandbox.provisioner, `SELECT rolecall.reporting_role_password('${user}')`)) as string;
    const elsewhere = `elsewhere_${kind}`;
    const admin = await cluster.connect({ database: await cluster.createDatabase(elsewhere) });
    await admin.query('CREATE TABLE public.closed (id integer)');
    const client = await cluster.connect({ database: elsewhere, user, password });
    assert.equal(await value(client, 'SHOW default_transaction_read_only'), 'on');
    await assert.rejects(client.query('SELECT * FROM public.closed'), { code: '42501' });
    await assert.rejects(client.query(`SELECT rolecall.get_secret('rolecall.reporting')`), { code: '42501' });
    await client.end();
    await admin.query(`REVOKE CONNECT ON DATABASE ${elsewhere} FROM PUBLIC`);
    await assert.rejects(cluster.connect({ database: elsewhere, user, password }), { code: '42501' });
    await admin.end();
  });

  test(`${kind}: what closes the rest, for everybody in the database`, async () => {
    const sandbox = sandboxOf(kind);
    const ways: Readonly<Record<string, string>> = {
      'CREATE TEMPORARY TABLE made ()': `REVOKE TEMPORARY ON DATABASE ${sandbox.database} FROM PUBLIC`,
      'SELECT lo_create(0)': 'REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM PUBLIC',
      'SELECT lo_creat(0)': 'REVOKE EXECUTE ON FUNCTION lo_creat(integer) FROM PUBLIC',
      [`SELECT lo_from_bytea(0, 'x')`]: 'REVOKE EXECUTE ON FUNCTION lo_from_bytea(oid, bytea) FROM PUBLIC',
      'CREATE TABLE public.made ()': 'REVOKE CREATE ON SCHEMA public FROM PUBLIC',
    };
    for (const [way, statement] of Object.entries(ways)) {
      const open = does(sandbox, 'BEGIN', way, 'ROLLBACK');
      if (way.startsWith('CREATE TABLE') && major >= 15) await assert.rejects(open, { code: '42501' });
      else await open;
      await sandbox.admin.query(statement);
      await assert.rejects(does(sandbox, way), { code: '42501' }, way);
    }
    assert.deepEqual(await rerun(sandbox), []);
    await isWhole(sandbox);
  });
}
