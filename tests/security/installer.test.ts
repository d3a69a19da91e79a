/**
 * Who installs the extension without being a superuser: the owner of a database. It installs, calls and drops it, and
 * adds operators, but owns none of its functions: what it could put in their place would run as every caller.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from 'pg';
import { placeOfFile } from '../support/place.ts';

const attacker = `the 'owner' $1 \\ "x"`;
const quoted = `"${attacker.replaceAll('"', '""')}"`;
const schemas = `'{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]`;

const { cluster, database, admin: superuser } = await placeOfFile({ template: 'template1' });
await superuser.query(`CREATE ROLE ${quoted} LOGIN CREATEROLE PASSWORD 'secret'`);
await superuser.query(`ALTER DATABASE ${database} OWNER TO ${quoted}`);
const owner = await cluster.connect({ database, user: attacker, password: 'secret' });
await owner.query('CREATE EXTENSION rolecall');

const refused = (statement: string) => assert.rejects(owner.query(statement), { code: '42501' }, statement);
const rows = async (client: Client, query: string) => (await client.query<Record<string, unknown>>(query)).rows;

test('the bootstrap superuser owns every object, whoever installs it', async () => {
  const owners = await rows(
    superuser,
    `SELECT DISTINCT o.owner::regrole::text FROM (
       SELECT nspowner FROM pg_namespace WHERE oid = ANY (${schemas})
       UNION ALL SELECT proowner FROM pg_proc WHERE pronamespace = ANY (${schemas})
       UNION ALL SELECT relowner FROM pg_class WHERE relnamespace = ANY (${schemas})
       UNION ALL SELECT typowner FROM pg_type WHERE typnamespace = ANY (${schemas})
     ) AS o(owner)`,
  );
  assert.deepEqual(owners, [{ owner: 'postgres' }]);
});

test('the installer replaces nothing that a superuser would run', async () => {
  const functions = await rows(
    superuser,
    `SELECT pg_get_functiondef(oid) AS definition, oid::regprocedure AS signature, prorettype = 'event_trigger'::regtype AS fires
     FROM pg_proc WHERE pronamespace = ANY (${schemas})`,
  );
  for (const { definition, signature } of functions) {
    await refused(String(definition));
    await refused(`ALTER FUNCTION ${String(signature)} OWNER TO ${quoted}`);
    await refused(`ALTER FUNCTION ${String(signature)} SET search_path = public`);
  }
  for (const schema of ['rolecall', 'rolecall_internal', 'rolecall_watch']) {
    await refused(`CREATE FUNCTION ${schema}.lower(text) RETURNS text LANGUAGE sql AS 'SELECT 1'`);
    await refused(`ALTER SCHEMA ${schema} OWNER TO ${quoted}`);
    await refused(`ALTER SCHEMA ${schema} RENAME TO gone`);
  }
  await refused('CREATE RULE r AS ON INSERT TO rolecall_internal.resource DO ALSO SELECT 1');
  await refused('ALTER TABLE rolecall_internal.resource ALTER COLUMN section TYPE varchar');
  await refused(
    `CREATE OR REPLACE VIEW rolecall_watch.reporting_role AS SELECT ''::text AS role, '{}'::text[] AS schemas, '{}'::text[] AS withheld`,
  );
});

test('the installer calls everything, reads and writes what is remembered, and has no drift', async () => {
  assert.deepEqual(
    await rows(
      owner,
      `SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = ANY (${schemas}) AND NOT has_function_privilege(oid, 'EXECUTE')`,
    ),
    [],
  );
  const done = await rows(owner, `SELECT DISTINCT status FROM rolecall.create_user_with_grants('ann', 'secret', '{}')`);
  assert.deepEqual(done, [{ status: 'applied' }]);
  await owner.query('CREATE SCHEMA mart');
  await owner.query('CREATE TABLE mart.t ()');
  await owner.query(`SELECT * FROM rolecall.provision_reporting_role('mart_reader', '{mart}')`);
  assert.deepEqual(await rows(owner, 'SELECT * FROM rolecall.drift()'), []);
  await owner.query(`SELECT rolecall.set_secret('k', 'v')`);
  assert.deepEqual(await rows(owner, `SELECT rolecall.get_secret('k') AS v`), [{ v: 'v' }]);
});

test('the installer adds operators and removes them; a superuser removes them too', async () => {
  await superuser.query('CREATE ROLE op CREATEROLE');
  for (const client of [owner, superuser]) {
    const added = await rows(owner, `SELECT status, sqlstate FROM rolecall.add_operator('op')`);
    assert.deepEqual(added, Array(3).fill({ status: 'applied', sqlstate: null }));
    assert.deepEqual(await rows(owner, 'SELECT * FROM rolecall.drift()'), []);
    const removed = await rows(client, `SELECT status FROM rolecall.remove_operator('op')`);
    assert.deepEqual(removed, Array(3).fill({ status: 'applied' }));
    const left = `SELECT FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = 'op'::regrole`;
    assert.deepEqual(await rows(superuser, left), []);
  }
  await superuser.query(`SELECT rolecall.add_operator('op')`);
  const skipped = await rows(owner, `SELECT DISTINCT status, sqlstate, note FROM rolecall.remove_operator('op', true)`);
  assert.deepEqual(skipped, [{ status: 'skipped', sqlstate: '42501', note: 'granted by postgres' }]);
  await superuser.query(`SELECT rolecall.remove_operator('op')`);
});

test('a superuser has new tables watched where the owner has installed', async () => {
  await superuser.query('SELECT rolecall.watch_new_tables()');
  await owner.query('CREATE TABLE mart.later ()');
  const { rows: found } = await owner.query(
    `SELECT has_table_privilege('mart_reader', 'mart.later', 'SELECT') AS reads`,
  );
  assert.deepEqual(found, [{ reads: true }]);
  await superuser.query('SELECT rolecall.watch_new_tables(false)');
});

test('a superuser that installs owns all of it, and nothing is granted', async () => {
  await superuser.query('CREATE ROLE installing SUPERUSER');
  await superuser.query('CREATE DATABASE installed');
  const client = await cluster.connect({ database: 'installed' });
  await client.query('SET ROLE installing; CREATE EXTENSION rolecall');
  const granted = await rows(
    client,
    `SELECT x.grantee::regrole FROM pg_proc AS p CROSS JOIN aclexplode(p.proacl) AS x
     WHERE p.pronamespace = ANY (${schemas}) AND x.grantee <> p.proowner`,
  );
  assert.deepEqual(granted, []);
  await client.end();
});

test('the installer drops the extension', async () => {
  await owner.query('DROP EXTENSION rolecall');
  assert.deepEqual(await rows(superuser, `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rolecall%'`), []);
});
