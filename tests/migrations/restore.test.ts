/**
 * A dump carries what rolecall has recorded and nothing else of it: neither the roles, which are the cluster's, nor
 * the secret. What pg_dump would carry is copied here by hand, as not every server here has that program.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { type Cluster, type Login, startCluster } from '../support/cluster.ts';

let source: Cluster;
let target: Cluster;
/** Where the roles have come from, and which database has what. */
let original: string;

before(async () => {
  [source, target] = await Promise.all([startCluster(), startCluster()]);
  original = await source.createDatabase('app');
  const client = await source.connect({ database: original });
  await application(client);
  await client.query(`SELECT * FROM rolecall.create_base_roles();
    SELECT * FROM rolecall.create_client_role();
    SELECT * FROM rolecall.create_user('alice', 'alice-password');
    SELECT * FROM rolecall.grant_role('administrator', 'alice', true)`);
  await provision(client);
  await client.end();
});

after(() => Promise.all([source.stop(), target.stop()]));

/** What is the application's own, and comes with a dump anyway. */
async function application(client: Client): Promise<void> {
  await client.query(`CREATE SCHEMA clinic;
    CREATE TABLE clinic.patient (id integer); INSERT INTO clinic.patient VALUES (1);
    CREATE TABLE clinic.token (id integer)`);
}

const provisioning = `SELECT * FROM rolecall.provision_reporting_role('reports', ARRAY['clinic'], ARRAY['token'])`;
const provision = (client: Client) => client.query(provisioning);

/** The rows that a dump of one database carries, in another. */
async function copyRecord(from: Client, to: Client): Promise<void> {
  const { rows } = await from.query<{ rows: string }>(
    `SELECT coalesce(jsonb_agg(r ORDER BY r.recorded_at), '[]')::text AS rows FROM rolecall_internal.resource AS r`,
  );
  const text = rows[0]?.rows;
  await to.query(
    'INSERT INTO rolecall_internal.resource SELECT * FROM jsonb_populate_recordset(NULL::rolecall_internal.resource, $1)',
    [text],
  );
}

async function restored(cluster: Cluster, name: string): Promise<Client> {
  const from = await source.connect({ database: original });
  const to = await cluster.connect({ database: await cluster.createDatabase(name) });
  await application(to);
  await copyRecord(from, to);
  await from.end();
  return to;
}

const operations = async (client: Client, call: string): Promise<string[]> =>
  (
    await client.query<{ step: string }>(`SELECT concat_ws(' ', operation, target, status) AS step FROM ${call}`)
  ).rows.map(({ step }) => step);

async function value(client: Client, query: string): Promise<unknown> {
  const { rows } = await client.query({ text: query, rowMode: 'array' });
  return (rows[0] as unknown[])[0];
}

async function reads(cluster: Cluster, login: Login): Promise<void> {
  const client = await cluster.connect(login);
  assert.equal(await value(client, 'SELECT count(*)::integer FROM clinic.patient'), 1);
  await assert.rejects(client.query('SELECT * FROM clinic.token'), { code: '42501' });
  await client.query('SET default_transaction_read_only = off');
  await assert.rejects(client.query('INSERT INTO clinic.patient VALUES (2)'), { code: '42501' });
  await client.end();
}

test('in a fresh cluster converge() makes the roles again', async () => {
  const client = await restored(target, 'app');
  const planned = await operations(client, 'rolecall.drift()');
  assert.equal(planned[0], 'rotate_secret app planned');
  for (const role of ['anonymous', 'authenticated', 'administrator', 'authenticated_client', 'alice', 'reports']) {
    assert.ok(planned.includes(`create_role ${role} planned`), `${role} is planned`);
  }
  const { rows } = await client.query<{ step: string; note: string | null }>(
    `SELECT concat_ws(' ', operation, target, status) AS step, note FROM rolecall.converge()`,
  );
  assert.deepEqual(
    rows.map(({ step }) => step),
    planned.map((step) => step.replace('planned', 'applied')),
  );
  assert.match(rows.find(({ step }) => step.startsWith('create_role alice'))?.note ?? '', /without a password/);
  assert.deepEqual(
    rows.filter(({ note }) => note !== null).map(({ step }) => step),
    ['create_role alice applied'],
  );
  assert.deepEqual(await operations(client, 'rolecall.drift()'), []);
  assert.deepEqual((await provision(client)).rows, [], 'the next provisioning run has nothing to do');
  const password = (await value(client, `SELECT rolecall.reporting_role_password('reports')`)) as string;
  await reads(target, { database: 'app', user: 'reports', password });
  await assert.rejects(target.connect({ database: 'app', user: 'alice', password: 'alice-password' }), {
    code: '28P01',
  });
  await client.query(`SELECT * FROM rolecall.set_password('alice', 'another')`);
  await (await target.connect({ database: 'app', user: 'alice', password: 'another' })).end();
  await client.end();
});

test('a database owner with CREATEROLE restores, where provisioning comes first too', async () => {
  for (const first of ['SELECT * FROM rolecall.converge()', provisioning]) {
    const cluster = await startCluster();
    const superuser = await cluster.connect();
    await superuser.query(`CREATE ROLE keeper LOGIN CREATEROLE PASSWORD 'keeper'`);
    await superuser.query('CREATE DATABASE kept OWNER keeper');
    await superuser.end();
    const from = await source.connect({ database: original });
    const client = await cluster.connect({ database: 'kept', user: 'keeper', password: 'keeper' });
    await client.query('CREATE EXTENSION rolecall');
    await application(client);
    await copyRecord(from, client);
    // The administrator of the source has BYPASSRLS, which such an owner may not give on every version.
    await client.query(`DELETE FROM rolecall_internal.resource WHERE key ?| ARRAY['administrator']`);
    const done = await operations(client, first.replace('SELECT * FROM ', ''));
    assert.ok(done.includes('create_role reports applied'));
    // It was a superuser that provisioned the source, and whose future tables the role was to read.
    assert.deepEqual(
      done.filter((step) => step.endsWith('skipped')),
      // Of tables, and of sequences.
      first === provisioning ? [] : ['default_privilege reports skipped', 'default_privilege reports skipped'],
    );
    await provision(client);
    await client.query('SELECT * FROM rolecall.converge()');
    assert.deepEqual(await operations(client, 'rolecall.drift()'), []);
    assert.deepEqual(await operations(client, 'rolecall.converge()'), []);
    const password = (await value(client, `SELECT rolecall.reporting_role_password('reports')`)) as string;
    await reads(cluster, { database: 'kept', user: 'reports', password });
    await Promise.all([from.end(), client.end()]);
    await cluster.stop();
  }
});

test('watched tables stay watched', async () => {
  const from = await source.connect({ database: await source.createDatabase('watched') });
  await application(from);
  await from.query(`SELECT * FROM rolecall.provision_reporting_role('watched_reports', '{clinic}', '{token}');
    SELECT * FROM rolecall.watch_new_tables()`);
  // What pg_dump puts last: the privileges on members that CREATE EXTENSION did not give, and the event trigger.
  const { rows } = await from.query<{ privileges: string; trigger: string }>(`
    SELECT (
      SELECT string_agg(format('GRANT %s ON %s TO PUBLIC', x.privilege_type, o.name), '; ')
      FROM (
        SELECT 'SCHEMA ' || n.nspname, n.nspacl FROM pg_namespace AS n WHERE n.nspname ~ '^rolecall'
        UNION ALL
        SELECT c.oid::regclass::text, c.relacl FROM pg_class AS c WHERE c.relnamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[])
      ) AS o(name, acl)
      CROSS JOIN aclexplode(o.acl) AS x WHERE x.grantee = 0
    ) AS privileges,
    (
      SELECT format('CREATE EVENT TRIGGER %I ON %s WHEN TAG IN (%s) EXECUTE FUNCTION %s()', e.evtname, e.evtevent,
               (SELECT string_agg(quote_literal(t), ', ') FROM unnest(e.evttags) AS t), e.evtfoid::regproc)
      FROM pg_event_trigger AS e
      -- Members of an extension come with it.
      WHERE NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')
    ) AS trigger`);
  const { privileges, trigger } = rows[0] as { privileges: string; trigger: string };
  for (const [database, statements, expected] of [
    ['watched', `${privileges}; ${trigger}`, []],
    [
      'watched_unprivileged',
      trigger,
      ['grant_privilege rolecall_watch', 'grant_privilege rolecall_watch.reporting_role'],
    ],
    ['watched_untriggered', privileges, ['create_event_trigger rolecall_watch_new_tables']],
  ] as const) {
    const cluster = await startCluster();
    const to = await cluster.connect({ database: await cluster.createDatabase(database) });
    await application(to);
    await copyRecord(from, to);
    await to.query(statements);
    const warnings: (string | undefined)[] = [];
    to.on('notice', ({ severity, code }) => severity === 'WARNING' && warnings.push(code));
    await to.query(`CREATE ROLE maker; CREATE TABLE clinic.early (id integer); GRANT CREATE, USAGE ON SCHEMA clinic TO maker;
      SET ROLE maker; CREATE TABLE clinic.by_maker (id integer); RESET ROLE`);
    assert.deepEqual(warnings, database === 'watched_unprivileged' ? ['42501'] : [], database);
    const done = await operations(to, 'rolecall.converge()');
    assert.deepEqual(
      done
        .filter((step) => step.includes(' rolecall'))
        .map((step) => step.replace(' applied', ''))
        .sort(),
      expected,
    );
    assert.deepEqual(await operations(to, 'rolecall.drift()'), []);
    await to.query('DROP TABLE clinic.token; CREATE TABLE clinic.token (id integer)');
    const password = (await value(to, `SELECT rolecall.reporting_role_password('watched_reports')`)) as string;
    await reads(cluster, { database, user: 'watched_reports', password });
    await to.end();
    await cluster.stop();
  }
  await from.end();
});

test('a role that came along is taken over, unless it has rights in the database that it is marked with', async () => {
  const cluster = await startCluster();
  const superuser = await cluster.connect();
  const other = await cluster.connect({ database: await cluster.createDatabase('other') });
  await superuser.query(`CREATE ROLE reports LOGIN PASSWORD 'old';
    ALTER ROLE reports IN DATABASE other SET default_transaction_read_only = on`);
  const client = await restored(cluster, 'app');
  await other.query('GRANT USAGE ON SCHEMA public TO reports');
  assert.ok((await operations(client, 'rolecall.drift()')).includes('set_password reports skipped'));
  await other.query('REVOKE USAGE ON SCHEMA public FROM reports');
  const done = await operations(client, 'rolecall.converge()');
  assert.ok(done.includes('set_config reports applied') && done.includes('set_password reports applied'));
  assert.deepEqual(await operations(client, 'rolecall.drift()'), []);
  const password = (await value(client, `SELECT rolecall.reporting_role_password('reports')`)) as string;
  await reads(cluster, { database: 'app', user: 'reports', password });
  // Now that it is this database's, it cannot talk its way out.
  const login = await cluster.connect({ database: 'app', user: 'reports', password });
  await login.query('SET default_transaction_read_only = off');
  await login.query('ALTER ROLE reports IN DATABASE other SET default_transaction_read_only = on');
  await login.query('ALTER ROLE reports IN DATABASE app RESET ALL');
  await other.query('GRANT USAGE ON SCHEMA public TO reports');
  await login.end();
  assert.deepEqual(await operations(client, 'rolecall.drift()'), ['set_config reports planned']);
  await Promise.all([client.end(), other.end(), superuser.end()]);
  await cluster.stop();
});

const belongs = (database: string) => `left out: it belongs to database "${database}"`;

test('in the same cluster, under another name, the database that the role belongs to comes first', async () => {
  const client = await restored(source, 'copy');
  await assert.rejects(client.query(provisioning), (error: { code: string; message: string; hint: string }) => {
    assert.equal(error.code, '22023');
    assert.match(error.message, /"reports" belongs to database "app"/);
    assert.notEqual(error.hint, '');
    return true;
  });
  const leftOut = [{ target: 'reports', status: 'skipped', sqlstate: '22023', note: belongs('app') }];
  const rows = async (on: Client, call: string) =>
    (await on.query(`SELECT target, status, sqlstate, note FROM rolecall.${call}`)).rows;
  for (const call of ['drift()', 'converge(true)', 'converge()', 'drift()']) {
    assert.deepEqual(await rows(client, call), leftOut, call);
  }
  await assert.rejects(client.query(`SELECT rolecall.reporting_role_password('reports')`), { code: '42704' });
  assert.deepEqual(await rows(client, 'rotate_reporting_secret()'), leftOut, 'its password is left alone');
  const superuser = await source.connect();
  await superuser.query('CREATE DATABASE cloned TEMPLATE app');
  const clone = await source.connect({ database: 'cloned' });
  assert.deepEqual(await rows(clone, 'drift()'), leftOut);
  assert.deepEqual(await operations(clone, 'rolecall.rotate_reporting_secret()'), [
    'rotate_secret cloned applied',
    'set_password reports skipped',
  ]);
  assert.deepEqual(await rows(clone, 'converge()'), leftOut);
  await assert.rejects(clone.query(`SELECT rolecall.reporting_role_password('reports')`), { code: '42704' });
  await clone.end();
  await superuser.query('DROP DATABASE cloned');
  await superuser.query('ALTER DATABASE app RENAME TO old');
  assert.deepEqual(await rows(client, 'drift()'), [{ ...leftOut[0], note: belongs('old') }]);
  await superuser.query('ALTER DATABASE old RENAME TO app');
  // Without the original the role is nobody's.
  await superuser.query('CREATE DATABASE kept TEMPLATE app');
  await superuser.query('DROP DATABASE app');
  assert.ok((await operations(client, 'rolecall.converge()')).includes('set_config reports applied'));
  assert.deepEqual(await operations(client, 'rolecall.drift()'), []);
  await superuser.query('ALTER DATABASE kept RENAME TO app');
  await Promise.all([client.end(), superuser.end()]);
});

test('drift() writes nothing, and works on a standby', async () => {
  const client = await source.connect({ database: 'copy' });
  await client.query(`ALTER ROLE reports SET search_path = elsewhere; REVOKE anonymous FROM alice`);
  const expected = ['grant_role alice planned', 'set_config reports planned'];
  assert.deepEqual((await operations(client, 'rolecall.drift()')).sort(), expected);
  // The server writes WAL of its own now and then: of several rounds not all meet it.
  const position = () => value(client, 'SELECT pg_current_wal_insert_lsn()::text');
  let isQuiet = false;
  for (let round = 0; round < 20 && !isQuiet; round++) {
    const before = await position();
    await client.query('BEGIN READ ONLY');
    assert.deepEqual((await operations(client, 'rolecall.drift()')).sort(), expected);
    assert.deepEqual((await operations(client, 'rolecall.converge(true)')).sort(), expected);
    await client.query('COMMIT');
    isQuiet = (await position()) === before;
  }
  assert.ok(isQuiet, 'each round wrote WAL');
  await client.query(`SELECT * FROM rolecall.converge()`);
  await client.query('BEGIN READ ONLY');
  assert.deepEqual(await operations(client, 'rolecall.converge()'), [], 'nor does converge() where nothing is to do');
  await client.query('COMMIT');
  await client.query(`ALTER ROLE reports SET search_path = elsewhere; REVOKE anonymous FROM alice`);
  await client.end();

  await source.shutDown();
  const signal = join(source.dataDir, 'standby.signal');
  fs.writeFileSync(signal, '', { mode: 0o644 });
  await source.launch();
  const reader = await source.connect({ database: 'copy' });
  assert.equal(await value(reader, 'SELECT pg_is_in_recovery()'), true);
  assert.deepEqual((await operations(reader, 'rolecall.drift()')).sort(), expected);
  await reader.end();
  await source.shutDown();
  fs.rmSync(signal);
  await source.launch();
});
