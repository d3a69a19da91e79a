/**
 * What a provisioned reporting role reads, tried by logging in as it.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import type { NoticeMessage } from 'pg-protocol/dist/messages.js';
import { type Cluster, startCluster } from '../support/cluster.ts';

let cluster: Cluster;

before(async () => {
  cluster = await startCluster();
});

after(() => cluster.stop());

interface Step {
  operation: string;
  target: string;
  statement: string;
  status: string;
  sqlstate: string | null;
}

let databases = 0;

/** A database, a superuser in it, and the owner of the database, who has CREATEROLE. */
async function makeDatabase(name = `reading${databases + 1}`) {
  databases += 1;
  const keeper = `keeper${databases}`;
  const role = `reports${databases}`;
  const superuser = await cluster.connect();
  await superuser.query(`CREATE ROLE ${keeper} LOGIN CREATEROLE PASSWORD 'password'`);
  await superuser.query(`CREATE DATABASE "${name}" OWNER ${keeper}`);
  await superuser.end();
  const admin = await cluster.connect({ database: name });
  await admin.query('CREATE EXTENSION rolecall; REVOKE CREATE ON SCHEMA public FROM PUBLIC');
  await admin.query(`SELECT FROM rolecall.add_operator('${keeper}')`);
  const owner = await cluster.connect({ database: name, user: keeper, password: 'password' });
  return { name, role, keeper, admin, owner };
}

/** The steps of a call, and what it says. */
async function call(client: Client, arguments_: string, by = 'provision_reporting_role') {
  const messages: string[] = [];
  const listen = ({ severity, message = '' }: NoticeMessage) => messages.push(`${severity}: ${message}`);
  client.on('notice', listen);
  try {
    const { rows } = await client.query<Step>(`SELECT * FROM rolecall.${by}(${arguments_})`);
    return { steps: rows.filter(({ operation }) => operation !== 'set_password'), messages };
  } finally {
    client.off('notice', listen);
  }
}

async function login(admin: Client, database: string, user: string): Promise<Client> {
  const { rows } = await admin.query('SELECT rolecall.reporting_role_password($1) AS password', [user]);
  return cluster.connect({ database, user, password: rows[0].password });
}

test('a role logs in where PUBLIC may not connect, whoever provisions it', async () => {
  for (const by of ['admin', 'owner'] as const) {
    const place = await makeDatabase();
    await place.admin.query(`REVOKE ALL ON DATABASE ${place.name} FROM PUBLIC; CREATE TABLE public.visit (id integer)`);
    await place.admin.query(`ALTER TABLE public.visit OWNER TO ${place.keeper}`);
    const { steps } = await call(place[by], `'${place.role}', '{public}'`);
    assert.ok(steps.some(({ statement }) => statement === `GRANT CONNECT ON DATABASE ${place.name} TO ${place.role}`));
    const session = await login(place.admin, place.name, place.role);
    assert.deepEqual((await session.query('SELECT * FROM public.visit')).rows, []);
    await session.end();
    // USAGE on public comes through PUBLIC, so a caller that does not own the schema has nothing to say either.
    assert.deepEqual((await call(place[by], `'${place.role}', '{public}'`)).steps, []);
    await Promise.all([place.admin.end(), place.owner.end()]);
  }
});

test('the default names fit, whatever the length of the database name, and differ between databases', async () => {
  const stem = 'prisma_migrate_shadow_db_1f0e9ab0-3c3b-4c1e-8f8e-d2f7f6f0a37';
  const roles = new Set<string>();
  for (const name of [`${stem}1`, `${stem}2`, 'é'.repeat(31), `x${'é'.repeat(31)}`, '🐘'.repeat(15), 'd'.repeat(53)]) {
    const place = await makeDatabase(name);
    const { steps } = await call(place.owner, '', 'provision_reporting_roles');
    const made = steps.filter(({ operation }) => operation === 'create_role').map(({ target }) => target);
    assert.equal(made.length, 2);
    for (const role of made) {
      assert.ok(Buffer.byteLength(role) <= 63, role);
      assert.match(role, /(_reporting|_raw)$/);
      assert.ok(role.startsWith(name.slice(0, 10)), role);
      roles.add(role);
      await (await login(place.admin, name, role)).end();
    }
    assert.deepEqual((await call(place.owner, '', 'provision_reporting_roles')).steps, []);
    await Promise.all([place.admin.end(), place.owner.end()]);
  }
  assert.equal(roles.size, 12);
});

test('operators and functions of extensions are found, and a path that is changed is put back', async () => {
  const { name, role, admin, owner } = await makeDatabase();
  await admin.query(`CREATE EXTENSION citext SCHEMA public; CREATE SCHEMA reporting; CREATE SCHEMA ext;
    CREATE EXTENSION unaccent SCHEMA ext; GRANT USAGE ON SCHEMA ext TO PUBLIC;
    CREATE TABLE public.person (email citext); INSERT INTO public.person VALUES ('Bob@x.org');
    CREATE VIEW reporting.people AS SELECT email FROM public.person`);
  const find = async () => {
    const session = await login(admin, name, role);
    const { rows } = await session.query("SELECT unaccent('é') AS e FROM people WHERE email = 'bob@x.org'");
    await session.end();
    return rows;
  };
  await call(admin, `'${role}', '{reporting}'`);
  assert.deepEqual(await find(), [{ e: 'e' }]);

  const session = await login(admin, name, role);
  await session.query('SET default_transaction_read_only = off');
  await session.query(`ALTER ROLE ${role} SET search_path = reporting;
    ALTER ROLE ${role} IN DATABASE ${name} SET search_path = public`);
  await session.end();
  assert.deepEqual(
    (await call(admin, `'${role}', '{reporting}'`)).steps.map(({ statement }) => statement),
    [
      `ALTER ROLE ${role} SET search_path = reporting, ext, public`,
      `ALTER ROLE ${role} IN DATABASE ${name} RESET search_path`,
    ],
  );
  assert.deepEqual(await find(), [{ e: 'e' }]);

  // What is given instead is remembered.
  await call(admin, `'${role}', '{reporting}', search_path => '{reporting,public}'`);
  assert.deepEqual((await admin.query('SELECT * FROM rolecall.drift()')).rows, []);
  await admin.query('SELECT FROM rolecall.converge()');
  const { rows } = await admin.query(
    'SELECT setconfig::text FROM pg_db_role_setting WHERE setdatabase = 0 AND setrole = $1::regrole',
    [role],
  );
  assert.match(rows[0].setconfig, /search_path=reporting, public/);
  await Promise.all([admin.end(), owner.end()]);
});

test('a table that takes no grant is skipped, and the others of its batch are granted', async () => {
  const { name, role, keeper, admin, owner } = await makeDatabase();
  await admin.query(`SET client_min_messages = error; DO $$ BEGIN
    FOR i IN 1 .. 3100 LOOP EXECUTE format('CREATE ROLE filler_%s', i); END LOOP; END $$; RESET client_min_messages`);
  await owner.query(`CREATE SCHEMA app; CREATE SCHEMA more; CREATE TABLE more.one (id serial)`);
  await owner.query(
    `DO $$ BEGIN FOR i IN 1 .. 30 LOOP EXECUTE format('CREATE TABLE app.t%s (id integer)', i); END LOOP; END $$`,
  );
  await owner.query('CREATE TABLE app.full (id integer)');
  // As many grants as its row has room for.
  let granted = 0;
  for (const step of [1024, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1]) {
    const list = Array.from({ length: step }, (_, i) => `filler_${granted + i + 1}`).join(', ');
    await owner.query(`GRANT SELECT ON app.full TO ${list}`).then(
      () => (granted += step),
      ({ code }) => assert.equal(code, '54000'),
    );
  }
  for (let run = 0; run < 2; run++) {
    const { steps, messages } = await call(owner, `'${role}', '{app,more}', table_owners => '{${keeper}}'`);
    const skipped = steps.filter(({ status }) => status === 'skipped');
    assert.deepEqual(
      skipped.map(({ statement, sqlstate, target }) => [statement, sqlstate, target]),
      [[`GRANT SELECT ON app."full" TO ${role}`, '54000', 'app."full"']],
    );
    assert.equal(messages.filter((text) => text.startsWith('WARNING: skipped')).length, 1);
  }
  const session = await login(admin, name, role);
  for (let i = 1; i <= 30; i++) await session.query(`SELECT * FROM app.t${i}`);
  await session.query('SELECT * FROM more.one');
  await session.end();
  await Promise.all([admin.end(), owner.end()]);
});

test('a foreign table among very many that is withheld, or readable already, does not keep the role from the others', async () => {
  const { name, role, keeper, admin, owner } = await makeDatabase();
  await owner.query('CREATE SCHEMA app');
  await owner.query(
    `DO $$ BEGIN FOR i IN 1 .. 1100 LOOP EXECUTE format('CREATE TABLE app.t%s (id serial)', i); END LOOP; END $$`,
  );
  await admin.query('CREATE TABLE app.foreign1 (id serial); CREATE TABLE app.foreign2 (id integer)');
  await owner.query(`CREATE ROLE ${role}`);
  await admin.query(`GRANT SELECT ON app.foreign2 TO ${role}`);
  const { steps } = await call(owner, `'${role}', '{app}', '{foreign1}', '{${keeper}}'`).catch((error) =>
    assert.fail(error),
  );
  assert.deepEqual(
    steps.filter(({ status }) => status === 'skipped'),
    [],
  );
  const { rows } = await admin.query(
    `SELECT count(*)::integer AS unreadable FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'S')
     AND NOT has_table_privilege($1, oid, 'SELECT')`,
    [role],
  );
  assert.deepEqual(rows, [{ unreadable: 2 }]);
  assert.deepEqual((await call(owner, `'${role}', '{app}', '{foreign1}', '{${keeper}}'`)).steps, []);
  await Promise.all([admin.end(), owner.end()]);
  assert.ok(name);
});

test('pg_dump works as the role, but for what is withheld', async () => {
  const { name, role, admin, owner } = await makeDatabase();
  await owner.query(`CREATE SCHEMA app; CREATE SEQUENCE app.alone; CREATE TABLE app.token (id serial);
    CREATE TABLE app.visit (id serial, other integer GENERATED ALWAYS AS IDENTITY)`);
  await call(owner, `'${role}', '{app}', '{token}'`);
  const session = await login(admin, name, role);
  // What pg_dump asks for: a lock on each table, its rows, and where each sequence is.
  await session.query('BEGIN READ ONLY');
  await session.query('LOCK TABLE app.visit IN ACCESS SHARE MODE');
  for (const relation of ['visit', 'alone', 'visit_id_seq', 'visit_other_seq'])
    await session.query(`SELECT * FROM app.${relation}`);
  await session.query('ROLLBACK');
  for (const statement of [
    'SELECT * FROM app.token_id_seq',
    'SELECT nextval($$app.alone$$)',
    'SELECT setval($$app.visit_id_seq$$, 1)',
  ])
    await assert.rejects(session.query(statement), { code: /42501|25006/ });
  await session.end();
  await Promise.all([admin.end(), owner.end()]);
});

test('who can put functions where a reporting role looks for them is named in a warning, but not the caller', async () => {
  const { role, keeper, admin, owner } = await makeDatabase();
  await admin.query(`CREATE ROLE ${role}_mart; CREATE SCHEMA mart; CREATE SCHEMA reporting AUTHORIZATION ${role}_mart`);
  const others = async (client: Client, schemas: string, path = 'NULL') =>
    (await call(client, `'${role}', '{${schemas}}', search_path => ${path}`)).messages.filter((text) =>
      text.includes('others can create objects'),
    );
  const warning = 'WARNING: others can create objects in schemas that reporting roles search:';
  assert.deepEqual(await others(admin, 'mart'), []);
  await admin.query(`GRANT CREATE ON SCHEMA mart TO PUBLIC, ${keeper}`);
  assert.deepEqual(await others(admin, 'mart'), [`${warning} PUBLIC (mart), ${keeper} (mart)`]);
  await admin.query('REVOKE CREATE ON SCHEMA mart FROM PUBLIC');
  assert.deepEqual(await others(admin, 'mart,reporting'), [`${warning} ${keeper} (mart), ${role}_mart (reporting)`]);
  assert.deepEqual(await others(admin, 'mart,reporting', `'{pg_catalog}'`), []);
  await admin.query(`REVOKE CREATE ON SCHEMA mart FROM ${keeper}; ALTER SCHEMA public OWNER TO ${keeper}`);
  assert.deepEqual(await others(admin, 'public'), [`${warning} ${keeper} (public)`]);
  await admin.query(`DROP OWNED BY ${role}`);
  await admin.query(`SELECT FROM rolecall.remove_user('${role}', drop_owned => true)`);
  assert.deepEqual(await others(owner, 'public'), []);
  await Promise.all([admin.end(), owner.end()]);
});

test('a provisioning run says which names match nothing, what is read through a parent, and of what it reads no rows', async () => {
  const { name, role, admin, owner } = await makeDatabase();
  await admin.query(`CREATE SCHEMA app; CREATE TABLE app."ApiToken" (id integer); CREATE TABLE app.token (id integer);
    CREATE TABLE app.parted (id integer) PARTITION BY LIST (id);
    CREATE TABLE app.part PARTITION OF app.parted FOR VALUES IN (1);
    CREATE TABLE app.closed (id integer); CREATE TABLE app.open (id integer); CREATE TABLE app.given (id integer);
    ALTER TABLE app.closed ENABLE ROW LEVEL SECURITY; ALTER TABLE app.open ENABLE ROW LEVEL SECURITY;
    ALTER TABLE app.given ENABLE ROW LEVEL SECURITY; ALTER TABLE app.token ENABLE ROW LEVEL SECURITY;
    CREATE POLICY p ON app.open USING (true); CREATE POLICY w ON app.closed FOR INSERT WITH CHECK (true);
    CREATE POLICY r ON app.closed AS RESTRICTIVE USING (true)`);
  const said = async (withheld: string) => (await call(admin, `'${role}', '{app}', '${withheld}'`)).messages;
  const rows = (tables: number) =>
    `NOTICE: reporting role "${role}" reads no rows of ${tables} table${tables === 1 ? '' : 's'}`;
  assert.deepEqual(await said('{token}'), [rows(2)]);
  await admin.query(`CREATE POLICY r ON app.given FOR SELECT TO ${role} USING (true)`);
  assert.deepEqual(await said('{token,part}'), [
    `WARNING: reporting role "${role}" reads withheld tables through their parent: app.part through app.parted`,
    rows(1),
  ]);
  assert.deepEqual(await said('{token,parted,closed}'), []);
  assert.deepEqual(await said('{token,closed,ApiToken,app.nothing}'), [
    'NOTICE: withheld tables or columns that do not exist yet: ApiToken, app.nothing',
    'NOTICE: withheld tables or columns that exist only in a different case: ApiToken is "apitoken", not "ApiToken"',
    `WARNING: no longer withheld from reporting role "${role}": parted`,
  ]);
  // Also where new tables are watched, as it may be a mistake.
  await admin.query('SELECT FROM rolecall.watch_new_tables()');
  assert.deepEqual(await said('{token,closed,patiens}'), [
    'NOTICE: withheld tables or columns that do not exist yet: patiens',
  ]);
  assert.deepEqual(await said('{token,closed,"\\"ApiToken\\""}'), []);
  // Null leaves the list as it is; an entry that is taken off is named, once, and in a dry run too.
  const opened = [rows(1), `WARNING: no longer withheld from reporting role "${role}": "ApiToken", token`];
  assert.deepEqual(await call(admin, `'${role}', '{app}', NULL`), { steps: [], messages: [] });
  assert.deepEqual((await call(admin, `'${role}', '{app}', '{app.closed}', dry_run => true`)).messages, opened);
  assert.deepEqual(await said('{app.closed}'), opened);
  assert.deepEqual(await said('{app.closed}'), [rows(1)]);
  assert.deepEqual(await call(admin, `'${role}', '{app}', NULL`), { steps: [], messages: [rows(1)] });
  await Promise.all([admin.end(), owner.end()]);
  assert.ok(name);
});
