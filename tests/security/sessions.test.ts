/**
 * Sessions with settings of their own, which change how names, dates and literals are written and read: what a call
 * does, and what it says, is the same in all of them.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import pg, { type Client } from 'pg';
import { placeOfFile } from '../support/place.ts';

const { cluster, database: here, admin } = await placeOfFile();
const elsewhere = await cluster.connect({ database: await cluster.createDatabase() });

before(async () => {
  // What a session finds that looks here first.
  await admin.query(`
    CREATE SCHEMA evil;
    CREATE FUNCTION evil.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
    CREATE FUNCTION evil.quote_ident(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
    CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.trap);
    CREATE OPERATOR evil.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.trap);
    CREATE TABLE evil.pg_roles (); CREATE TABLE evil.pg_auth_members (); CREATE TABLE evil.pg_shdepend ();
    SELECT rolecall.create_base_roles('an "on"', 'authenticated', 'administrator');
    CREATE ROLE "group"; CREATE ROLE heir;
  `);
});

/** The settings of sessions; the first has none. */
const sessions: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  plain: {},
  'another search_path': { search_path: 'evil, pg_temp, pg_catalog' },
  'old literals': { standard_conforming_strings: 'off', backslash_quote: 'off', escape_string_warning: 'off' },
  'everything quoted': { quote_all_identifiers: 'on' },
  // IST is Israel's time to the server, before 18 even in India.
  'an abbreviated time zone': { datestyle: 'SQL, DMY', timezone: 'Asia/Kolkata', intervalstyle: 'sql_standard' },
  'a time zone without a name': { datestyle: 'German', timezone: 'Australia/Lord_Howe' },
  'other values': { array_nulls: 'off', bytea_output: 'escape', transform_null_equals: 'on', xmloption: 'document' },
  'another encoding': { client_encoding: 'LATIN1' },
  'checks of PL/pgSQL': { 'plpgsql.extra_errors': 'all', 'plpgsql.variable_conflict': 'use_column' },
  'old passwords': { password_encryption: 'md5' },
  'no triggers': { session_replication_role: 'replica', row_security: 'off' },
  'serializable transactions': { default_transaction_isolation: 'serializable', default_transaction_deferrable: 'on' },
  'parallel plans': { debug_parallel_query: 'on', parallel_setup_cost: '0', parallel_tuple_cost: '0' },
  timeouts: { statement_timeout: '1min', lock_timeout: '1min' },
};

const names = [`it's "1"`, 'back\\slash', 'new\nline %I', '$do$', 'PUBLIC'];

/** What comes of every function that takes a name, as the rows that it returns, and of the role. */
async function life(client: Client, name: string): Promise<unknown[]> {
  const story: unknown[] = [];
  const call = async (text: string, ...values: string[]) => {
    try {
      const { rows } = await client.query<unknown[]>({ text, values, rowMode: 'array' });
      story.push(rows);
    } catch (error) {
      const { code, message, detail, hint } = error as pg.DatabaseError;
      story.push([code, message, detail, hint]);
    }
  };
  const steps = (called: string, ...values: string[]) =>
    call(
      `SELECT s.operation, s.target, s.statement, s.status, s.sqlstate, s.note FROM rolecall.${called} AS s`,
      ...values,
    );
  const password = `p"'\\$$`;
  const role = pg.escapeIdentifier(name);
  await steps('create_user($1, $2, use_locks => true)', name, password);
  await steps('create_user($1, $2)', name, password);
  await steps(`grant_role('group', $1, true)`, name);
  await steps(`grant_role('group', $1, true)`, name);
  await steps(`grant_role('no such role', $1)`, name);
  await steps(`set_password($1, $2, '2100-01-02 03:04:05Z')`, name, password);
  await steps(`set_password($1, $2, '2100-01-02 03:04:05Z')`, name, password);
  await steps(`create_client_role($1, '17s')`, `${name} client`);
  await steps(`create_client_role($1, '17s')`, `${name} client`);
  const { rows: made } = await admin.query(
    `SELECT extract(epoch FROM rolvaliduntil)::text AS until, left(rolpassword, 14) AS verifier FROM pg_authid WHERE rolname = $1`,
    [name],
  );
  story.push(made);

  await elsewhere.query(`CREATE TABLE there (); ALTER TABLE there OWNER TO ${role}`);
  await admin.query(`
    CREATE TABLE "he""re" (); ALTER TABLE "he""re" OWNER TO ${role}; GRANT CREATE ON DATABASE ${here} TO ${role};
    SET ROLE ${role}; GRANT "group" TO heir; RESET ROLE;
  `);
  await call('SELECT d.kind, d.object, d.remedy FROM rolecall.user_dependencies($1) AS d', name);
  await steps('remove_user($1)', name);
  await elsewhere.query('DROP TABLE there');
  await steps(`remove_user($1, 'heir', true)`, name);
  await steps('remove_user($1)', name);
  await steps('remove_user($1)', `${name} client`);
  await steps('drift()');
  await admin.query(`DROP TABLE "he""re"; REVOKE "group" FROM heir`);
  return story;
}

/** Oids of what is in another database are not the same twice; a date is written in the session's time zone. */
const plain = (story: unknown) =>
  JSON.stringify(story, null, 1)
    .replaceAll(/oid \d+/g, 'oid')
    .replaceAll(/ VALID UNTIL '2100[^']*'/g, ' VALID UNTIL');

/** What comes of each name in a session without settings of its own. */
const usual = new Map<string, string>();

for (const [what, settings] of Object.entries(sessions)) {
  test(`the life of a user, called with ${what}`, async () => {
    const client = await cluster.connect({ database: here });
    for (const [name, value] of Object.entries(settings)) {
      const known = name === 'debug_parallel_query' && cluster.version < 16 ? 'force_parallel_mode' : name;
      await client.query('SELECT set_config($1, $2, false)', [known, value]);
    }
    // A process is started for each plan that is parallel, which says nothing of how a name is written.
    for (const name of what === 'parallel plans' ? names.slice(0, 1) : names) {
      const story = plain(await life(client, name));
      if (!usual.has(name)) usual.set(name, story);
      assert.equal(story, usual.get(name));
    }
    assert.ok(usual.get(names[0] ?? '')?.includes('4102542245'), 'the password ends when it should');
    await client.end();
  });
}

test('a database in Turkish, where the capital i has a dot', async (t) => {
  // Before 15 a database has a language of the operating system's, and of those it may have none.
  if (cluster.version < 15) return t.skip('there is no such database');
  await admin.query(
    `CREATE DATABASE turkish TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR'`,
  );
  const client = await cluster.connect({ database: 'turkish' });
  await client.query('CREATE EXTENSION rolecall');
  assert.deepEqual((await client.query(`SELECT upper('i') AS dotted`)).rows, [{ dotted: 'İ' }]);
  const run = async (text: string) =>
    (await client.query<{ statement: string; status: string }>(`SELECT * FROM rolecall.${text}`)).rows.map(
      ({ statement, status }) => `${status}: ${statement}`,
    );
  const said = [
    ...(await run(`create_base_roles('I', 'i', 'ı')`)),
    ...(await run(`create_user('İ', 'ıİ')`)),
    ...(await run(`create_client_role('client I')`)),
    ...(await run(`grant_role('ı', 'İ', true${cluster.version < 16 ? '' : ', false, false'})`)),
    ...(await run(`provision_reporting_role('i İ', '{public}')`)),
  ];
  assert.ok(said.includes('applied: CREATE ROLE "İ" LOGIN PASSWORD \'********\''));
  assert.deepEqual(
    said.filter((text) => !text.startsWith('applied: ') || /[İı]/.test(text.replaceAll(/"[^"]*"/g, ''))),
    [],
  );
  const { rows } = await client
    .query<{ remedy: string }>(
      `
    ALTER DATABASE turkish OWNER TO "İ";
    SELECT remedy FROM rolecall.user_dependencies('İ')`,
    )
    .then((results) => (results as unknown as pg.QueryResult[])[1]!);
  assert.deepEqual(rows, [{ remedy: 'ALTER DATABASE turkish OWNER TO "a plain owner"' }]);
  const { rows: audited } = await client.query(`SELECT detail FROM rolecall.audit_role('İ')`);
  assert.ok(audited.length > 0);
  assert.deepEqual(await run('drift()'), []);
  await client.end();
  const user = await cluster.connect({ database: 'turkish', user: 'İ', password: 'ıİ' });
  await user.end();
});
