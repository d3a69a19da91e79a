/**
 * The SQL of generate: run again, by several at once, by a role that is not a superuser, and with hostile names.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { placeOfFile } from '../support/place.ts';
import { expectStatus } from './support.ts';

const { cluster, database, admin } = await placeOfFile({ name: 'plain', template: 'template1' });
const generate = async (...parameters: string[]): Promise<string> =>
  (await expectStatus(0, ['generate', ...parameters])).stdout;
/** Transactions that have written something have a number. */
const writes = async (sql: string): Promise<boolean> => {
  const { rows } =
    (await admin.query('BEGIN'),
    await admin.query(sql),
    await admin.query<{ wrote: boolean }>('SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS wrote'));
  await admin.query('COMMIT');
  return rows[0]?.wrote ?? false;
};

test('base roles and a user, by eight sessions at once, and again', async () => {
  const sql =
    (await generate('base-roles', '--anonymous', 'g_anon')) + (await generate('user', 'g_user', '--grant', 'g_anon'));
  const sessions = await Promise.all(Array.from({ length: 8 }, () => cluster.connect({ database })));
  await Promise.all(sessions.map((session) => session.query(sql).finally(() => session.end())));
  const { rows } = await admin.query(
    "SELECT rolname AS name, rolbypassrls AS bypass, rolcanlogin AS login FROM pg_roles WHERE rolname ~ '^g_|^a.*r$' ORDER BY 1",
  );
  assert.deepEqual(rows, [
    { name: 'administrator', bypass: true, login: false },
    { name: 'g_anon', bypass: false, login: false },
    { name: 'g_user', bypass: false, login: true },
  ]);
  assert.equal(await writes(sql), false);
  await admin.query('ALTER ROLE g_anon LOGIN CREATEDB; REVOKE g_anon FROM g_user');
  assert.equal(await writes(sql), true);
  assert.equal(await writes(sql), false);
});

test('a caller that cannot give BYPASSRLS gets the rest', async () => {
  await admin.query("CREATE ROLE g_keeper LOGIN CREATEROLE PASSWORD 'x'");
  const keeper = await cluster.connect({ database, user: 'g_keeper', password: 'x' });
  const warnings: (string | undefined)[] = [];
  keeper.on('notice', ({ hint }) => warnings.push(hint));
  await keeper.query(
    await generate('base-roles', '--anonymous', 'k1', '--authenticated', 'k2', '--administrator', 'k3'),
  );
  await keeper.end();
  assert.deepEqual(warnings, ['ALTER ROLE "k3" BYPASSRLS']);
});

test('a reporting role reads what is there and what comes, but what is withheld', async () => {
  await admin.query(`CREATE ROLE g_owner; CREATE SCHEMA "re ports" AUTHORIZATION g_owner; SET ROLE g_owner;
    CREATE TABLE "re ports".sums (); CREATE TABLE "re ports".tokens (); RESET ROLE`);
  const sql = await generate(
    ...['reporting', 'g_reader', '--schema', 're ports', '--withhold', '"re ports".tokens', '--owner', 'g_owner'],
  );
  await admin.query(sql);
  assert.equal(await writes(sql), false);
  await admin.query('SET ROLE g_owner; CREATE TABLE "re ports".later (); RESET ROLE');
  const { rows } = await admin.query(
    `SELECT c.relname AS name FROM pg_class AS c WHERE c.relnamespace = '"re ports"'::regnamespace
       AND has_table_privilege('g_reader', c.oid, 'SELECT') ORDER BY 1`,
  );
  assert.deepEqual(rows, [{ name: 'later' }, { name: 'sums' }]);
});

test('names are values', async () => {
  for (const name of ['"; DROP ROLE g_user; --', "o'neil\\", '$rolecall$', '%I', 'a\nb']) {
    await admin.query(await generate('user', '--grant', 'g_anon', '--', name));
    const { rowCount } = await admin.query('SELECT FROM pg_roles WHERE rolname = ANY ($1)', [[name, 'g_user']]);
    assert.equal(rowCount, 2, name);
  }
  for (const parameters of [
    ['user', ''],
    ['user', 'pg_x'],
    ['user', 'x'.repeat(64)],
    ['user', 'public'],
  ])
    await expectStatus(2, ['generate', ...parameters]);
  await expectStatus(2, ['generate', 'base-roles', '--anonymous', 'administrator']);
  await expectStatus(2, ['generate', 'reporting', 'r']);
  await expectStatus(2, ['generate', 'reporting', 'r', '--schema', 's', '--withhold', 's.t; DROP TABLE u']);
});

const folder = mkdtempSync(join(tmpdir(), 'rolecall-cli-'));
after(() => rmSync(folder, { recursive: true }));
const policySql = (policy: object): Promise<string> => {
  const file = join(folder, 'policy.json');
  writeFileSync(file, JSON.stringify(policy));
  return generate('policy', file);
};

test('a policy with a role that is called PUBLIC is refused', async () => {
  const file = join(folder, 'public.json');
  writeFileSync(file, JSON.stringify({ roles: { PUBLIC: {} } }));
  const { stderr } = await expectStatus(2, ['generate', 'policy', file]);
  assert.match(stderr, /cannot tell a role "PUBLIC" from everybody/);
});

const policy = {
  roles: {
    p_owner: { comment: "the owner's role" },
    'p "app"': {
      login: true,
      connection_limit: 20,
      valid_until: '2030-01-01T00:00:00Z',
      member_of: ['pg_monitor', { role: 'p_owner', admin: true, inherit: false, set: false }],
      settings: { statement_timeout: '15s', search_path: ['p shop', 'public'] },
      database_settings: { work_mem: '8MB', 'app.name': "it's" },
    },
    p_old: { state: 'absent' },
  },
  schemas: {
    'p shop': { owner: 'p_owner', profiles: { reader: 'p_reader', writer: ['p_writer'] } },
  },
  profiles: {
    reader: { schema: ['USAGE'], tables: ['SELECT'], sequences: ['SELECT'] },
    writer: { schema: ['ALL'], tables: ['ALL'], functions: ['EXECUTE'], types: ['USAGE'], owners: 'p_owner' },
  },
  privileges: [
    { to: 'p "app"', on: { database: 'policy' }, grant: ['CONNECT', 'TEMPORARY'] },
    {
      to: ['p "app"', 'PUBLIC'],
      on: { tables_in: 'p shop', except: ['"p shop".card', '"p shop".people.ssn'] },
      grant: ['SELECT', 'DELETE'],
    },
    {
      to: 'p_reader',
      on: { columns: ['id', 'number'], of: '"p shop".card' },
      grant: ['UPDATE'],
      with_grant_option: true,
    },
    { to: 'p_reader', on: { function: '"p shop".total(integer)' }, grant: ['EXECUTE'] },
    { to: 'public', on: { function: '"p shop".total(integer)' }, revoke: ['EXECUTE'] },
    { to: 'PUBLIC', on: { schema: 'public' }, revoke: ['USAGE'] },
    { to: 'p_reader', on: { parameter: 'log_statement' }, grant: ['SET'] },
    { to: 'p_reader', on: { language: 'plpgsql' }, grant: ['USAGE'], with_grant_option: true },
    { to: 'p_reader', on: { domain: '"p shop".code' }, grant: ['ALL'] },
    { to: 'PUBLIC', on: { future_functions: [], owners: 'p_owner' }, revoke: ['EXECUTE'] },
  ],
};
const objects = `CREATE ROLE p_old; CREATE ROLE p_owner; CREATE SCHEMA "p shop" AUTHORIZATION p_owner; SET ROLE p_owner;
  CREATE TABLE "p shop".card (id serial, number text); CREATE TABLE "p shop".people (id int, ssn text, name text);
  CREATE FUNCTION "p shop".total(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'; CREATE DOMAIN "p shop".code AS text;
  RESET ROLE`;

test('a policy: what apply() would add, by several at once, and again', async () => {
  const sql = await policySql(policy);
  const name = await cluster.createDatabase('policy');
  const sessions = await Promise.all(Array.from({ length: 6 }, () => cluster.connect({ database: name })));
  const [first] = sessions;
  assert.ok(first);
  const write = async () =>
    first.query<{ wrote: boolean }>('SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS wrote');
  await first.query(objects);
  await Promise.all(sessions.map((session) => session.query(sql)));
  await first.query(`BEGIN; SET LOCAL search_path = public; ${sql}`);
  assert.deepEqual((await write()).rows, [{ wrote: false }]);
  assert.deepEqual((await first.query('SHOW search_path')).rows, [{ search_path: 'public' }]);
  await first.query('COMMIT');
  const left = await first.query("SELECT statement, note FROM rolecall.apply($1, 'additive', dry_run => true)", [
    policy,
  ]);
  assert.deepEqual(left.rows, []);
  // What is excepted is taken away where somebody granted it; what is missing is an error of the server.
  await first.query('GRANT DELETE ON "p shop".card TO PUBLIC; GRANT SELECT ON "p shop".people TO PUBLIC');
  await first.query(sql);
  assert.deepEqual(
    (await first.query("SELECT statement FROM rolecall.apply($1, 'additive', dry_run => true)", [policy])).rows,
    [],
  );
  const missing = await policySql({ privileges: [{ to: 'p_reader', on: { table: 'p.missing' }, grant: ['SELECT'] }] });
  await assert.rejects(first.query(missing), { code: '42P01' });
  await Promise.all(sessions.map((session) => session.end()));
});

test('names in a policy are values', async () => {
  for (const bad of ['"; DROP ROLE g_user; --', "o'neil\\", '$rolecall$', '$q$', '%I%s', 'a\nb']) {
    const hostile = {
      roles: { [bad]: { comment: bad, settings: { 'app.x': bad }, member_of: ['g_anon'] } },
      schemas: { [bad]: { owner: bad } },
      privileges: [
        { to: bad, on: { tables_in: bad }, grant: ['SELECT'] },
        { to: bad, on: { schema: bad }, grant: ['USAGE'] },
      ],
    };
    await admin.query(await policySql(hostile));
    const { rows } = await admin.query(
      "SELECT shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE rolname = ANY ($1) ORDER BY rolname = 'g_user'",
      [[bad, 'g_user']],
    );
    assert.deepEqual(rows, [{ comment: bad }, { comment: null }]);
  }
  assert.ok((await generate('policy', join(folder, 'policy.json'))).includes('IN SCHEMA'));
});
