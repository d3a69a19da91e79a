/**
 * Reporting roles of several databases of one cluster: roles are the cluster's, so that two databases must not take
 * the same one for theirs; with the default names they do not.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg, { type Client } from 'pg';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { difference, snapshot } from '../support/sandbox.ts';

let cluster: Cluster;

before(async () => {
  cluster = await startCluster();
});

after(() => cluster.stop());

/** A database with a table of its own to read. Without an owner everything there is a superuser's doing. */
async function makeDatabase(database: string, owner?: string): Promise<Client> {
  const superuser = await cluster.connect();
  if (owner !== undefined) await superuser.query(`CREATE ROLE ${owner} LOGIN CREATEROLE PASSWORD 'password'`);
  await superuser.query(`CREATE DATABASE ${pg.escapeIdentifier(database)} OWNER ${owner ?? 'postgres'}`);
  await superuser.end();
  const client = await cluster.connect(
    owner === undefined ? { database } : { database, user: owner, password: 'password' },
  );
  await client.query(
    `CREATE EXTENSION rolecall; CREATE SCHEMA app; CREATE TABLE app.place AS SELECT current_database() AS name`,
  );
  return client;
}

const provision = (client: Client, role: string) =>
  client.query(`SELECT * FROM rolecall.provision_reporting_role($1, ARRAY['app'])`, [role]);

/** Logs in with the password that is derived in the database of this client; returns what it reads there. */
async function reads(client: Client, role: string): Promise<string> {
  const { rows } = await client.query<{ database: string; password: string }>(
    'SELECT current_database() AS database, rolecall.reporting_role_password($1) AS password',
    [role],
  );
  const reports = await cluster.connect({
    database: rows[0]?.database ?? '',
    user: role,
    password: rows[0]?.password ?? '',
  });
  const { rows: places } = await reports.query<{ name: string }>('SELECT name FROM place');
  await reports.end();
  return places[0]?.name ?? '';
}

const belongs = (role: string, database: string) => (error: { code: string; message: string; hint: string }) => {
  assert.equal(error.code, '22023');
  assert.match(error.message, new RegExp(`"${role}" belongs to database "${database}"`));
  assert.match(error.hint, /name of its own/);
  return true;
};

for (const [who, owners] of Object.entries({
  'a superuser': [undefined, undefined],
  'two owners': ['one_keeper', 'two_keeper'],
  'an owner, then a superuser': ['three_keeper', undefined],
  'a superuser, then an owner': [undefined, 'four_keeper'],
})) {
  test(`${who}: a role of another database is refused, and nothing changes`, async () => {
    const base = who.replaceAll(/\W/g, '_');
    const role = `${base}_reports`;
    const first = await makeDatabase(`${base}_1`, owners[0]);
    const second = await makeDatabase(`${base}_2`, owners[1]);
    await provision(first, role);
    assert.equal(await reads(first, role), `${base}_1`);

    const admin = await cluster.connect({ database: `${base}_2` });
    const earlier = await snapshot(admin);
    for (const call of [
      `rolecall.provision_reporting_role('${role}', ARRAY['app'])`,
      `rolecall.provision_reporting_role('${role}', ARRAY['app'], dry_run => true)`,
      `rolecall.provision_reporting_roles('${role}', raw_schema => 'app')`,
      `rolecall.provision_reporting_roles(raw_role => '${role}', raw_schema => 'app')`,
    ]) {
      await assert.rejects(second.query(`SELECT * FROM ${call}`), belongs(role, `${base}_1`), call);
    }
    assert.deepEqual(difference(earlier, await snapshot(admin)), []);
    assert.equal(await reads(first, role), `${base}_1`);
    await assert.rejects(second.query('SELECT rolecall.reporting_role_password($1)', [role]), { code: '42704' });
    // Neither rotation nor the next run of the first one is disturbed, and the name is free once the first is gone.
    await second.query('SELECT * FROM rolecall.rotate_reporting_secret()');
    assert.equal(await reads(first, role), `${base}_1`);
    assert.deepEqual(
      (await provision(first, role)).rows.filter(({ operation }) => operation !== 'set_password'),
      [],
    );
    await provision(second, `${role}_2`);
    assert.equal(await reads(second, `${role}_2`), `${base}_2`);
    await Promise.all([first, second, admin].map((client) => client.end()));
  });
}

/** What a database can be called, and its roles with it. */
const names = [
  'plain',
  'With Capitals',
  `it's`,
  'a"quoted"b',
  'back\\slash',
  '$do$',
  '100%I',
  'emoji 😀',
  'Ελλάδα',
  'comma, semicolon; {brace}',
  'x'.repeat(53),
];

for (const database of names) {
  test(`a database named ${database} has roles named after it`, async () => {
    const client = await makeDatabase(database);
    const provision = async () =>
      (
        await client.query(
          `SELECT * FROM rolecall.provision_reporting_roles(reporting_schema => 'app', raw_schema => 'public')`,
        )
      ).rows;
    assert.notDeepEqual(await provision(), []);
    assert.deepEqual(await provision(), []);
    assert.equal(await reads(client, `${database}_reporting`), database);
    const { rows } = await client.query('SELECT rolecall.reporting_role_password($1) AS password', [`${database}_raw`]);
    const raw = await cluster.connect({ database, user: `${database}_raw`, password: rows[0].password });
    assert.deepEqual((await raw.query('SELECT session_user::text AS name')).rows, [{ name: `${database}_raw` }]);
    await assert.rejects(raw.query('SELECT * FROM app.place'), { code: '42501' });
    await raw.end();
    assert.deepEqual((await client.query('SELECT * FROM rolecall.drift()')).rows, []);
    await client.end();
  });
}

test('the databases above do not know each other', async () => {
  const superuser = await cluster.connect();
  const { rows } = await superuser.query('SELECT rolname FROM pg_roles WHERE rolname = ANY ($1)', [
    names.flatMap((name) => [`${name}_reporting`, `${name}_raw`]),
  ]);
  assert.equal(rows.length, 2 * names.length);
  await superuser.end();
});

test('a name that a database makes too long is cut, told apart from another one, and can be given', async () => {
  for (const database of ['y'.repeat(54), 'y'.repeat(63), '😀'.repeat(15)]) {
    const client = await makeDatabase(database);
    const admin = await cluster.connect({ database });
    const { rows } = await client.query<{ target: string }>(
      `SELECT target FROM rolecall.provision_reporting_roles(reporting_schema => 'app') WHERE operation = 'create_role'`,
    );
    assert.equal(rows.length, 2);
    for (const { target } of rows) assert.ok(Buffer.byteLength(target) <= 63, target);
    assert.equal(await reads(client, rows[0]?.target ?? ''), database);
    const role = `r_${Buffer.byteLength(database)}`;
    await client.query(`SELECT * FROM rolecall.provision_reporting_roles($1, $2, reporting_schema => 'app')`, [
      role,
      `${role}_raw`,
    ]);
    assert.equal(await reads(client, role), database);
    await Promise.all([client.end(), admin.end()]);
  }
});

test('what reporting roles give each other in another database makes none of them belong there', async () => {
  const first = await makeDatabase('home_place');
  const second = await makeDatabase('away_place');
  const provision = () => first.query(`SELECT * FROM rolecall.provision_reporting_roles('one', 'two', 'app', 'app')`);
  await provision();
  const login = async (user: string, database: string) => {
    const { rows } = await first.query('SELECT rolecall.reporting_role_password($1) AS password', [user]);
    const client = await cluster.connect({ database, user, password: rows[0].password });
    await client.query('SET default_transaction_read_only = off');
    return client;
  };
  const one = await login('one', 'away_place');
  const two = await login('two', 'home_place');
  await one.query(`SELECT lo_create(4711); GRANT ALL ON LARGE OBJECT 4711 TO two;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO two; ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO two;
    CREATE TEMPORARY TABLE given (id integer); GRANT ALL ON given TO two; GRANT ALL (id) ON given TO two`);
  await two.query(`ALTER ROLE two IN DATABASE home_place RESET ALL;
    ALTER ROLE two IN DATABASE away_place SET default_transaction_read_only = on`);
  assert.ok((await provision()).rows.length > 0);
  assert.equal(await reads(first, 'two'), 'home_place');
  await Promise.all([first, second, one, two].map((client) => client.end()));
});
