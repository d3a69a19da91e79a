/**
 * The plain script: by a database owner that is not a superuser, again, over an older version, by many at once, in the
 * transaction of somebody else, and the ways in which it refuses; and that it creates what CREATE EXTENSION creates.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { root, startCluster } from '../support/cluster.ts';
import { objects } from '../support/objects.ts';

const script = readFileSync(join(root, 'extension/rolecall.sql'), 'utf8');
const uninstall = readFileSync(join(root, 'extension/rolecall-uninstall.sql'), 'utf8');
const cluster = await startCluster();
after(() => cluster.stop());
const admin = await cluster.connect();
await admin.query(`CREATE ROLE "The Owner" LOGIN CREATEROLE PASSWORD 'x'; CREATE ROLE other LOGIN PASSWORD 'x'`);

async function database(owner = 'The Owner'): Promise<string> {
  const name = await cluster.createDatabase(undefined, 'template1');
  await admin.query(`ALTER DATABASE ${name} OWNER TO "${owner}"`);
  return name;
}
const connect = (name: string, user = 'The Owner') =>
  cluster.connect(user === 'postgres' ? { database: name } : { database: name, user, password: 'x' });

const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'none',
    (error: unknown) => (error as { code: string }).code,
  );

test('a database owner that is not a superuser installs what CREATE EXTENSION makes, and uses it', async () => {
  const owner = await connect(await database());
  await owner.query(script);
  assert.deepEqual((await owner.query('SHOW search_path')).rows, [{ search_path: '"$user", public' }]);
  const extension = await cluster.connect({ database: await cluster.createDatabase() });
  assert.deepEqual(await objects(owner), await objects(extension));
  assert.deepEqual(
    (await owner.query('SELECT rolecall.version()')).rows,
    (await extension.query('SELECT extversion AS version FROM pg_extension WHERE extname = $1', ['rolecall'])).rows,
  );
  await owner.query("SELECT rolecall.create_user_with_grants('plain_user', 'x', NULL)");
  assert.equal((await owner.query('SELECT FROM rolecall.drift()')).rowCount, 0);
  await owner.query("SELECT rolecall.remove_user('plain_user')");

  await owner.query(uninstall);
  assert.deepEqual(await objects(owner), []);
  assert.equal((await owner.query("SELECT FROM pg_namespace WHERE nspname LIKE 'rolecall%'")).rowCount, 0);
  await owner.query(uninstall);
  await owner.query(script);
  await owner.end();
  await extension.end();
});

test('again it writes nothing, not even in a READ ONLY transaction', async () => {
  const owner = await connect(await database());
  await owner.query(script);
  await owner.query('BEGIN READ ONLY');
  await owner.query(script);
  assert.deepEqual((await owner.query('SELECT pg_current_xact_id_if_assigned() AS id')).rows, [{ id: null }]);
  await owner.query('COMMIT');
  await owner.end();
});

test('over another version it keeps what is remembered, what was granted, and what users made of it', async () => {
  const name = await database('postgres');
  const owner = await connect(name, 'postgres');
  await owner.query(script);
  const fresh = await objects(owner);
  await owner.query("SELECT rolecall.create_user_with_grants('kept', NULL, NULL), rolecall.set_secret('k', 'v')");
  await owner.query("SELECT rolecall.add_operator('other'); SELECT rolecall.watch_new_tables()");
  await owner.query('CREATE VIEW what_drifts AS SELECT * FROM rolecall.drift()');
  const grants = async () =>
    (
      await owner.query(`SELECT p.proname, p.proacl::text FROM pg_proc AS p WHERE p.pronamespace = 'rolecall'::regnamespace
      UNION ALL SELECT c.relname, c.relacl::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname LIKE 'rolecall%' ORDER BY 1`)
    ).rows as unknown[];
  const granted = await grants();

  // An older version: a function less, one more, one with another argument, another body, another type and view.
  await owner.query(`
    DROP FUNCTION rolecall.generate_password();
    CREATE FUNCTION rolecall.gone() RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
      AS 'BEGIN RETURN rolecall.version(); END';
    CREATE FUNCTION rolecall_internal.gone(s rolecall_internal.change) RETURNS rolecall_internal.change[] LANGUAGE plpgsql
      SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN ARRAY[s]; END';
    CREATE FUNCTION rolecall.not_ours() RETURNS text LANGUAGE sql AS 'SELECT ''mine''';
    CREATE TYPE rolecall_internal.gone AS (a integer);
    DROP FUNCTION rolecall.role_name(text);
    CREATE FUNCTION rolecall.role_name(name_of text) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
      AS 'BEGIN RETURN name_of; END';
    REVOKE ALL ON FUNCTION rolecall.role_name(text) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION rolecall.role_name(text) TO other;
    CREATE OR REPLACE FUNCTION rolecall.version() RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
      AS 'BEGIN RETURN ''0.0.1''; END';
    ALTER TYPE rolecall_internal.finding ADD ATTRIBUTE more text;
    ALTER TABLE rolecall_internal.secret DROP COLUMN made_at;
    COMMENT ON SCHEMA rolecall_internal IS 'older'
  `);
  await owner.query(script);
  await owner.query('DROP FUNCTION rolecall.not_ours()');
  const isSecret = (row: unknown) => (row as { object: string }).object === 'rolecall_internal.secret';
  assert.deepEqual(
    (await objects(owner)).filter((row) => !isSecret(row)),
    fresh.filter((row) => !isSecret(row)),
  );
  const without = (rows: unknown[]) =>
    rows.filter((row) => (row as { proname: string }).proname !== 'generate_password');
  assert.deepEqual(without(await grants()), without(granted));
  assert.deepEqual((await owner.query("SELECT rolecall.get_secret('k') AS value")).rows, [{ value: 'v' }]);
  assert.deepEqual(
    (await owner.query('SELECT target, operation FROM what_drifts WHERE target = $1', ['kept'])).rows,
    [],
  );
  await owner.query('DROP ROLE kept');
  const drift = await owner.query("SELECT operation FROM rolecall.drift() WHERE target = 'kept'");
  assert.deepEqual(drift.rows, [{ operation: 'create_role' }]);
  assert.equal(await code(owner.query(uninstall)), '2BP01');
  await owner.query('DROP VIEW what_drifts; SELECT rolecall.watch_new_tables(false)');
  await owner.query(uninstall);
  await owner.end();
});

test('a secret that dumps will have is warned of, until they will not; a table that is missing is made again', async () => {
  const name = await database('postgres');
  const owner = await connect(name, 'postgres');
  await owner.query(script);
  const warned: string[] = [];
  owner.on('notice', ({ severity, message }) => void (severity === 'WARNING' && warned.push(message ?? '')));
  await owner.query("SELECT rolecall.set_secret('one', '1')");
  assert.deepEqual(warned, ['a dump of this database will have the secret "one" in clear text']);
  await owner.query("SELECT rolecall.set_secret('one', '1')");
  await owner.query('CREATE EXTENSION tcn; ALTER EXTENSION tcn ADD TABLE rolecall_internal.secret');
  await owner.query("SELECT rolecall.set_secret('two', '2')");
  assert.equal(warned.length, 1);
  // As in a database that was restored from such a dump.
  await owner.query('DROP EXTENSION tcn CASCADE');
  await owner.query(script);
  assert.deepEqual((await owner.query("SELECT rolecall.get_secret('two') AS value")).rows, [{ value: null }]);
  await owner.end();
  const extension = await cluster.connect({ database: await cluster.createDatabase() });
  extension.on('notice', ({ message }) => warned.push(message ?? ''));
  await extension.query("SELECT rolecall.set_secret('one', '1')");
  assert.equal(warned.length, 1);
  await extension.end();
});

test('many install at once', async () => {
  const name = await database();
  const clients = await Promise.all(Array.from({ length: 12 }, () => connect(name)));
  await Promise.all(clients.map((client) => client.query(script)));
  assert.equal((await clients[0]?.query('SELECT rolecall.version()'))?.rowCount, 1);
  await Promise.all(clients.map((client) => client.end()));
});

test('in a transaction that is rolled back nothing is left, also where it fails', async () => {
  const owner = await connect(await database());
  await owner.query('BEGIN');
  await owner.query(script);
  await owner.query('ROLLBACK');
  assert.deepEqual(await objects(owner), []);
  await owner.end();
});

test('where it may not, or should not, it says so', async () => {
  const name = await database();
  const other = await connect(name, 'other');
  assert.equal(await code(other.query(script)), '42501');
  const superuser = await connect(name, 'postgres');
  await superuser.query('CREATE SCHEMA rolecall');
  assert.equal(await code(superuser.query(script)), '42P06');
  const owner = await connect(name);
  assert.equal(await code(owner.query(script)), '42501');
  await superuser.query('DROP SCHEMA rolecall');
  await owner.query(script);
  assert.equal(await code(superuser.query(script)), '42501');
  assert.equal(await code(superuser.query(uninstall)), '42501');
  await superuser.query('SET ROLE "The Owner"');
  await superuser.query(script);
  for (const client of [other, superuser, owner]) await client.end();
  const extended = await cluster.connect({ database: await cluster.createDatabase() });
  assert.equal(await code(extended.query(script)), '55000');
  assert.equal(await code(extended.query(uninstall)), '55000');
  await extended.end();
});
