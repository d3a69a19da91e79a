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

test('a reporting login that moves the mark of where it belongs gains nothing, and stops nobody', async () => {
  const home = await makeDatabase('own_home');
  const away = await makeDatabase('own_away');
  const admin = await cluster.connect({ database: 'own_home' });
  for (const role of ['mover', 'stayer']) await provision(home, role);
  await away.query('GRANT USAGE ON SCHEMA app TO mover');
  const { rows: before } = await home.query(`SELECT rolecall.reporting_role_password('mover') AS password`);
  const move = async () => {
    const { rows } = await home.query(`SELECT rolecall.reporting_role_password('mover') AS password`);
    const login = await cluster.connect({ database: 'own_away', user: 'mover', password: rows[0].password });
    await login.query('SET default_transaction_read_only = off');
    await login.query(`ALTER ROLE mover IN DATABASE own_away SET default_transaction_read_only = on;
      ALTER ROLE mover IN DATABASE own_home RESET ALL`);
    await login.end();
  };
  const steps = async (call: string) =>
    (await home.query(`SELECT concat_ws(' ', operation, target, status) AS step FROM rolecall.${call}`)).rows.map(
      ({ step }) => step,
    );
  for (const call of [
    'drift()',
    'converge()',
    `provision_reporting_role('stayer', '{app}')`,
    `provision_reporting_role('mover', '{app}')`,
  ]) {
    await move();
    assert.ok(
      (await steps(call)).every((step) => !step.includes('skipped')),
      call,
    );
    assert.equal(await reads(home, 'stayer'), 'own_home');
  }
  // A rotation reaches it, by its own call and by a provisioning run of another role.
  await move();
  assert.deepEqual(await steps('rotate_reporting_secret()'), [
    'rotate_secret own_home applied',
    'set_password mover applied',
    'set_password stayer applied',
  ]);
  await move();
  await admin.query(`UPDATE rolecall_internal.secret SET made_at = made_at - interval '91 days'`);
  assert.ok((await steps(`provision_reporting_role('stayer', '{app}')`)).includes('set_password mover applied'));
  await assert.rejects(
    cluster.connect({ database: 'own_home', user: 'mover', password: before[0].password }),
    { code: '28P01' },
    'the old password is no longer one',
  );
  assert.ok((await steps('converge()')).includes('set_config mover applied'));
  assert.deepEqual(await steps('drift()'), []);
  assert.equal(await reads(home, 'mover'), 'own_home');
  // A new role of that name is not the one that is recorded.
  await home.query('DROP OWNED BY mover');
  await away.query('DROP OWNED BY mover; DROP ROLE mover');
  await provision(away, 'mover');
  assert.deepEqual(await steps('rotate_reporting_secret()'), [
    'rotate_secret own_home applied',
    'set_password mover skipped',
    'set_password stayer applied',
  ]);
  assert.deepEqual(await steps('drift()'), ['set_password mover skipped']);
  assert.equal(await reads(away, 'mover'), 'own_away');
  await Promise.all([home, away, admin].map((client) => client.end()));
});

test('a copy of a database has a secret of its own, and leaves the roles of the original alone', async () => {
  const first = await makeDatabase('copy_first');
  await provision(first, 'copy_reports');
  await first.query(`SELECT rolecall.set_secret('cookie', 'crumbs');
    SELECT FROM rolecall.create_base_roles(); SELECT FROM rolecall.create_user('copy_user')`);
  const admin = await cluster.connect();
  await first.end();
  await admin.query('CREATE DATABASE copy_second TEMPLATE copy_first');
  const second = await cluster.connect({ database: 'copy_second' });
  const original = await cluster.connect({ database: 'copy_first' });
  const secret = `SELECT encode(value, 'hex') AS value FROM rolecall_internal.secret WHERE key = 'rolecall.reporting'`;
  // What the copy has is no help to know whose the role is, for who may alter it.
  await admin.query('ALTER ROLE copy_reports IN DATABASE copy_first RESET ALL');
  await assert.rejects(second.query(`SELECT rolecall.reporting_role_password('copy_reports')`), { code: '42704' });
  await assert.rejects(provision(second, 'copy_reports'), belongs('copy_reports', 'copy_first'));
  const steps = async (call: string) =>
    (await second.query(`SELECT concat_ws(' ', operation, target, status, sqlstate) AS step FROM ${call}`)).rows.map(
      ({ step }) => step,
    );
  const notices: string[] = [];
  second.on('notice', ({ severity, message }) => notices.push(`${severity} ${message}`));
  assert.deepEqual(await steps('rolecall.drift()'), ['set_password copy_reports skipped 22023']);
  assert.deepEqual(notices, []);
  await admin.query('REVOKE anonymous FROM copy_user');
  assert.deepEqual(await steps('rolecall.converge()'), [
    'grant_role copy_user applied',
    'set_password copy_reports skipped 22023',
  ]);
  assert.deepEqual(notices, ['WARNING skipped for "copy_reports": left out: it belongs to database "copy_first"']);
  const made = await steps(`rolecall.provision_reporting_role('copy_other', '{app}')`);
  assert.equal(made[0], 'rotate_secret copy_second applied');
  assert.ok(made.includes('set_password copy_reports skipped 22023'), 'whose password is not made from that secret');
  assert.notDeepEqual((await second.query(secret)).rows, (await original.query(secret)).rows);
  await assert.rejects(provision(second, 'copy_reports'), belongs('copy_reports', 'copy_first'), 'still');
  assert.equal(await reads(second, 'copy_other'), 'copy_first', 'the rows are copies');
  assert.equal(await reads(original, 'copy_reports'), 'copy_first');
  assert.deepEqual((await second.query(`SELECT rolecall.get_secret('cookie') AS value`)).rows, [{ value: 'crumbs' }]);
  await Promise.all([second, original, admin].map((client) => client.end()));
});

test('the roles that are named after a database that is renamed are covered by it under its new name', async () => {
  const before = await cluster.createDatabase('before');
  const first = await cluster.connect({ database: before });
  await first.query('CREATE SCHEMA reporting; SELECT rolecall.provision_reporting_roles()');
  await first.end();
  const superuser = await cluster.connect();
  await superuser.query(`ALTER DATABASE ${before} RENAME TO afterwards`);
  const renamed = await cluster.connect({ database: 'afterwards' });
  await renamed.query('SELECT rolecall.provision_reporting_roles()');
  assert.deepEqual(
    (await renamed.query(`SELECT target FROM rolecall.rotate_reporting_secret() WHERE operation = 'set_password'`))
      .rows,
    ['afterwards_raw', 'afterwards_reporting', `${before}_raw`, `${before}_reporting`].map((target) => ({ target })),
  );
  await renamed.query(`DROP OWNED BY ${before}_raw`);
  const { rows } = await renamed.query('SELECT DISTINCT target FROM rolecall.drift() ORDER BY 1');
  assert.ok(
    rows.some(({ target }) => target === 'public' || target === `${before}_raw`),
    'what the earlier ones lack is drift too',
  );
  await renamed.end();
  await superuser.end();
});

test('roles of a database that is dropped, such as a shadow database, are found from another', async () => {
  const shadow = 'prisma_migrate_shadow_db_1a2b3c4d-5e6f-7081-92a3-b4c5d6e7f809';
  const gone = await makeDatabase(shadow);
  const { rows: made } = await gone.query<{ target: string }>(
    `SELECT DISTINCT target FROM rolecall.provision_reporting_roles(reporting_schema => 'app', raw_schema => 'app')
     WHERE operation = 'create_role' ORDER BY 1`,
  );
  await provision(gone, 'named_otherwise');
  await gone.end();
  const left = await makeDatabase('left_over');
  const orphans = async () =>
    (await left.query<{ role: string; database: string | null; remedy: string }>('SELECT * FROM rolecall.orphans()'))
      .rows;
  assert.deepEqual(await orphans(), []);
  const admin = await cluster.connect();
  await admin.query(`DROP DATABASE ${pg.escapeIdentifier(shadow)}`);
  const found = await orphans();
  assert.deepEqual(
    found.map(({ role }) => role).sort(),
    [...made.map(({ target }) => target), 'named_otherwise'].sort(),
  );
  for (const { role, database, remedy } of found) {
    if (role === 'named_otherwise') assert.equal(database, null);
    else assert.ok(database && shadow.startsWith(database.slice(0, 40)), String(database));
    await left.query(remedy);
  }
  assert.deepEqual(await orphans(), []);
  // The next one of that name has its own.
  const again = await makeDatabase(shadow);
  await again.query(`SELECT rolecall.provision_reporting_roles(reporting_schema => 'app', raw_schema => 'app')`);
  for (const client of [again, left, admin]) await client.end();
});
