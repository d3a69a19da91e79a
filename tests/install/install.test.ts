/**
 * install(): by the way that the server has, by many at once, again without a write, and as whom it may not. pg_tle
 * is a stand-in with its functions: what they are given is what is looked at, as CREATE EXTENSION is not theirs here.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import pg from 'pg';
import { tleScript } from '../../generator/emit/tle.ts';
import { install, isCondition } from '../../package/index.ts';
import { makeDirectory, root, startCluster } from '../support/cluster.ts';

const { version } = JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const home = join(makeDirectory(), 'server');
const cluster = await startCluster({ directory: home });
after(() => cluster.stop());
const admin = await cluster.connect();
await admin.query("CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'x'; CREATE ROLE other LOGIN PASSWORD 'x'");

async function database(): Promise<string> {
  const name = await cluster.createDatabase(undefined, 'template1');
  await admin.query(`ALTER DATABASE ${name} OWNER TO owner`);
  return name;
}

/** Runs something while the server has no files of rolecall. */
async function withoutFiles(work: () => Promise<void>): Promise<void> {
  const template = fs.readdirSync(home).find((name) => name.startsWith('template-')) ?? '';
  const control = join(home, template, 'native/share/postgresql/extension/rolecall.control');
  fs.renameSync(control, `${control}.away`);
  await work().finally(() => fs.renameSync(`${control}.away`, control));
}

const asOwner = (name: string) => cluster.connect({ database: name, user: 'owner', password: 'x' });

test('many processes at once, through connections and a pool: an extension, by one of them', async () => {
  const name = await database();
  const pool = new pg.Pool({
    host: cluster.host,
    port: cluster.port,
    user: 'owner',
    password: 'x',
    database: name,
    max: 4,
  });
  const clients = await Promise.all(Array.from({ length: 12 }, () => asOwner(name)));
  const results = await Promise.all([...clients, pool, pool].map((each) => install(each)));
  for (const result of results) assert.deepEqual([result.via, result.version], ['extension', version]);
  await pool.query('BEGIN READ ONLY');
  assert.deepEqual(await install(pool), { via: 'extension', version, changed: false });
  await Promise.all([...clients, pool].map((each) => each.end()));
});

test('48 callers on a fresh database: install(), and the recipe for start-up scripts', async () => {
  const page = fs.readFileSync(join(root, 'docs/installation.md'), 'utf8');
  const recipe = /```sql\n(DO \$\$[^`]*CREATE EXTENSION[^`]*)```/.exec(page)?.[1];
  assert.ok(recipe);
  for (const start of [install, (client: pg.Client) => client.query(recipe)]) {
    const name = await database();
    const clients = await Promise.all(Array.from({ length: 48 }, () => asOwner(name)));
    await Promise.all(clients.map((client) => start(client)));
    assert.equal((await clients[0]?.query('SELECT rolecall.version()'))?.rowCount, 1);
    await Promise.all(clients.map((client) => client.end()));
  }
});

test('bare CREATE EXTENSION beside it does no harm to it', async () => {
  for (let round = 0; round < 5; round++) {
    const name = await database();
    const clients = await Promise.all(Array.from({ length: 8 }, () => asOwner(name)));
    const calls = clients.map((client, index) =>
      index % 2 ? client.query('CREATE EXTENSION IF NOT EXISTS rolecall').catch(() => undefined) : install(client),
    );
    await Promise.all(calls);
    await Promise.all(clients.map((client) => client.end()));
  }
});

test('where the server has no files: the plain script, by many at once, and then nothing', async () => {
  await withoutFiles(async () => {
    const name = await database();
    const clients = await Promise.all(Array.from({ length: 8 }, () => asOwner(name)));
    const results = await Promise.all(clients.map((client) => install(client)));
    for (const result of results) assert.deepEqual([result.via, result.version], ['plain', version]);
    const [client] = clients;
    assert.ok(client);
    await client.query('BEGIN READ ONLY');
    assert.deepEqual(await install(client), { via: 'plain', version, changed: false });
    await client.query('COMMIT');
    assert.equal((await client.query('SELECT rolecall.version() AS version')).rows[0].version, version);
    await Promise.all(clients.map((each) => each.end()));
  });
});

test('what is there stays what it is', async () => {
  const client = await asOwner(await database());
  assert.deepEqual(await install(client, { via: 'plain' }), { via: 'plain', version, changed: true });
  assert.deepEqual(await install(client), { via: 'plain', version, changed: false });
  await client.end();
});

test('in a transaction that is rolled back nothing is left', async () => {
  const client = await asOwner(await database());
  await client.query('BEGIN');
  assert.equal((await install(client)).changed, true);
  await client.query('ROLLBACK');
  assert.equal((await client.query("SELECT FROM pg_extension WHERE extname = 'rolecall'")).rowCount, 0);
  await client.end();
});

test('a way that there is not is refused before anything is done', async () => {
  const client = await asOwner(await database());
  for (const via of ['tle', null, {}] as unknown as 'plain'[]) {
    await assert.rejects(
      install(client, { via }),
      (error) => error instanceof TypeError && /via must be/.test(error.message),
    );
  }
  assert.equal((await client.query("SELECT FROM pg_namespace WHERE nspname ~ '^rolecall'")).rowCount, 0);
  await client.end();
});

test('who may not is told so', async () => {
  const name = await database();
  const other = await cluster.connect({ database: name, user: 'other', password: 'x' });
  for (const via of ['extension', 'plain'] as const) {
    const refused = await install(other, { via }).catch((error: unknown) => error);
    assert.ok(isCondition(refused, 'insufficient_privilege'), String(refused));
  }
  await other.end();
});

const standIn = `
  CREATE SCHEMA pgtle;
  CREATE TABLE pgtle.made (name text, version text, fromvers text, description text, ext text, UNIQUE (name, version, fromvers));
  CREATE TABLE pgtle.control (name text PRIMARY KEY, default_version text);
  CREATE FUNCTION pgtle.install_extension(name text, version text, description text, ext text, requires text[] DEFAULT NULL)
    RETURNS boolean LANGUAGE sql AS 'INSERT INTO pgtle.made VALUES ($1, $2, NULL, $3, $4); INSERT INTO pgtle.control VALUES ($1, $2); SELECT true';
  CREATE FUNCTION pgtle.install_extension_version_sql(name text, version text, ext text) RETURNS boolean LANGUAGE sql
    AS 'INSERT INTO pgtle.made VALUES ($1, $2, NULL, NULL, $3); SELECT true';
  CREATE FUNCTION pgtle.install_update_path(name text, fromvers text, tovers text, ext text) RETURNS boolean LANGUAGE sql
    AS 'INSERT INTO pgtle.made VALUES ($1, $3, $2, NULL, $4); SELECT true';
  CREATE FUNCTION pgtle.set_default_version(name text, version text) RETURNS boolean LANGUAGE sql
    AS 'UPDATE pgtle.control AS c SET default_version = $2 WHERE c.name = $1; SELECT true';
  CREATE FUNCTION pgtle.available_extensions() RETURNS TABLE(name name, default_version text, description text) LANGUAGE sql
    AS 'SELECT c.name::name, c.default_version, NULL FROM pgtle.control AS c';
  CREATE FUNCTION pgtle.available_extension_versions() RETURNS TABLE(name name, version text) LANGUAGE sql
    AS 'SELECT m.name::name, m.version FROM pgtle.made AS m WHERE m.fromvers IS NULL';
  CREATE FUNCTION pgtle.extension_update_paths(name text) RETURNS TABLE(source text, target text, path text) LANGUAGE sql
    AS 'SELECT m.fromvers, m.version, m.fromvers || ''--'' || m.version FROM pgtle.made AS m WHERE m.name = $1 AND m.fromvers IS NOT NULL';
`;

test('pg_tle gets the script as it is, once, and later versions with the way to them', async () => {
  const client = await cluster.connect({ database: await database() });
  const script = fs.readFileSync(join(root, `extension/rolecall--${version}.sql`), 'utf8').trimEnd();
  const text = fs.readFileSync(join(root, 'extension/rolecall-tle.sql'), 'utf8');
  const made = async () =>
    (
      await client.query(
        "SELECT fromvers, version, trim(ext, E'\\n') AS ext FROM pgtle.made ORDER BY fromvers NULLS FIRST, version",
      )
    ).rows as unknown[];

  const missing: unknown = await client.query(text).catch((error: unknown) => error);
  assert.ok(isCondition(missing, 'object_not_in_prerequisite_state'));
  await client.query(standIn);
  await client.query(text);
  await client.query(text);
  const upgrades = fs.readdirSync(join(root, 'extension')).filter((name) => /--.*--/.test(name)).length;
  assert.equal((await made()).length, 1 + upgrades);
  assert.deepEqual((await made())[0], { fromvers: null, version, ext: script });

  await client.query(
    "TRUNCATE pgtle.made, pgtle.control; SELECT pgtle.install_extension('rolecall', '0.0.9', 'older', 'SELECT 1')",
  );
  await client.query(tleScript(script, [{ from: '0.0.9', to: version, text: 'SELECT 2' }]));
  assert.deepEqual(await made(), [
    { fromvers: null, version: '0.0.9', ext: 'SELECT 1' },
    { fromvers: null, version, ext: script },
    { fromvers: '0.0.9', version, ext: 'SELECT 2' },
  ]);
  assert.deepEqual((await client.query('SELECT * FROM pgtle.control')).rows, [
    { name: 'rolecall', default_version: version },
  ]);
  await client.end();
});

test('install() gives pg_tle the script where there are no files, and who may not use it gets the plain script', async () => {
  await withoutFiles(async () => {
    const name = await database();
    const client = await cluster.connect({ database: name });
    await client.query(standIn);
    // The stand-in does not change what CREATE EXTENSION finds.
    const refused: unknown = await install(client).catch((error: unknown) => error);
    assert.ok(refused instanceof Error && refused.message.includes('rolecall'));
    const made = "SELECT FROM pgtle.made WHERE name = 'rolecall' AND fromvers IS NULL";
    assert.equal((await client.query(made)).rowCount, 1);
    // Who may not use pg_tle gets the plain script.
    const owner = await asOwner(name);
    assert.equal((await install(owner)).via, 'plain');
    await owner.end();
    await client.end();
  });
});
