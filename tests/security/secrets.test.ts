/**
 * Where a secret must not be: the server's log, the statistics views, a step, an error. The server logs all that it
 * can, the plans of nested statements with their values included.
 *
 * Values come to the calls through settings: what a caller writes into its own statement is logged as the caller's.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from 'pg';
import { placeOfFile } from '../support/place.ts';

const silent = {
  log_statement: 'none',
  log_min_duration_statement: -1,
  log_min_error_statement: 'panic',
  'auto_explain.log_min_duration': -1,
  'pg_stat_statements.track': 'none',
};
const loud = {
  log_statement: 'all',
  log_min_duration_statement: 0,
  log_min_error_statement: 'debug5',
  log_error_verbosity: 'verbose',
  plan_cache_mode: 'force_custom_plan',
  'auto_explain.log_min_duration': 0,
  'pg_stat_statements.track': 'all',
};

/** All that clients were told. */
const told: string[] = [];

const { cluster, database, admin } = await placeOfFile({
  settings: {
    shared_preload_libraries: 'auto_explain,pg_stat_statements',
    'auto_explain.log_nested_statements': true,
    'auto_explain.log_verbose': true,
    'auto_explain.log_analyze': true,
    'pg_stat_statements.track_utility': true,
  },
});
admin.on('notice', (notice) => told.push(JSON.stringify(notice)));
await admin.query('CREATE EXTENSION pgcrypto; CREATE EXTENSION pg_stat_statements');
await set(admin, silent);

async function set(client: Client, settings: Readonly<Record<string, string | number | boolean>>): Promise<void> {
  for (const [name, value] of Object.entries(settings)) {
    await client.query('SELECT set_config($1, $2, false)', [name, String(value)]);
  }
}

/** What a secret looks like in a plan or a message. */
function spellings(secret: string | Buffer): string[] {
  const bytes = Buffer.from(secret);
  return [
    bytes.toString('latin1'),
    bytes.toString('hex'),
    bytes.toString('base64'),
    [...new Int8Array(bytes)].join(' '),
  ];
}

/** Does what is given with everything logged; what clients were told and what was logged meanwhile. */
async function heard(calls: readonly string[]): Promise<string> {
  const logged = cluster.log().length;
  told.length = 0;
  await admin.query('SELECT pg_stat_statements_reset()');
  await set(admin, loud);
  for (const call of calls) {
    try {
      told.push(JSON.stringify((await admin.query(call)).rows));
    } catch (error) {
      const { message } = error as Error;
      told.push(`${message} ${JSON.stringify(error)}`);
    }
  }
  await set(admin, silent);
  const { rows } = await admin.query('SELECT string_agg(query, $1) AS queries FROM pg_stat_statements', ['\n']);
  return [cluster.log().slice(logged), ...told, rows[0].queries].join('\n');
}

function assertClean(text: string, what: string, secret: string | Buffer): void {
  for (const spelling of spellings(secret)) assert.ok(!text.includes(spelling), `${what} is nowhere, as ${spelling}`);
}

test('the search finds what a caller writes out, and what a plan shows', async () => {
  await set(admin, { 'test.value': 'shown in the plan' });
  await admin.query(`
    CREATE FUNCTION pg_temp.careless() RETURNS integer LANGUAGE plpgsql AS
    $$DECLARE v text := current_setting('test.value'); BEGIN RETURN (SELECT count(c.w) FROM (SELECT v FROM pg_class LIMIT 1) AS c(w)); END$$`);
  const text = await heard([`SELECT 'written out'`, 'SELECT pg_temp.careless()']);
  assert.ok(text.includes('written out'));
  assert.ok(text.includes('shown in the plan'));
});

test('secrets are stored, replaced, read and refused without a trace', async () => {
  const values = {
    'test.one': 'Xa9-first-value',
    'test.two': 'Xa9-second-value',
    'test.key': 'Xa9-key',
    'test.other': 'Xa9-other-key',
  };
  await set(admin, values);
  const key = (name: string) =>
    `SELECT set_config('rolecall.encryption_key', current_setting('test.${name}'), false) IS NULL`;
  const store = (of: string) => `SELECT * FROM rolecall.set_secret('k', current_setting('test.${of}'))`;
  const absent = (of: string) => `SELECT rolecall.set_secret_if_absent('${of}', current_setting('test.${of}')) IS NULL`;
  const text = await heard([
    ...[
      store('one'),
      store('one'),
      store('two'),
      absent('one'),
      absent('one'),
      "SELECT rolecall.get_secret('k') IS NULL",
    ],
    // Encrypted in passing, then replaced.
    ...[key('key'), "SELECT rolecall.get_secret('k') IS NULL", store('one'), absent('two'), absent('two')],
    // With the wrong key, and with none.
    ...[key('other'), "SELECT rolecall.get_secret('k')", absent('two'), store('two')],
    ...['RESET rolecall.encryption_key', "SELECT rolecall.get_secret('k')", store('one')],
    // Refused by the server, and by the extension.
    ...['BEGIN READ ONLY', "SELECT * FROM rolecall.set_secret('new', current_setting('test.one'))", 'ROLLBACK'],
    "SELECT * FROM rolecall.set_secret('rolecall.reporting', current_setting('test.one'))",
    "SELECT * FROM rolecall.set_secret(NULL, current_setting('test.one'))",
    ...['BEGIN', 'DROP EXTENSION pgcrypto', key('key'), store('two'), 'ROLLBACK'],
    ...['BEGIN', 'CREATE ROLE other', 'GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO other'],
    ...[
      'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO other',
      'SET ROLE other',
      store('two'),
      'ROLLBACK',
    ],
  ]);
  for (const code of ['22023', '25006', '42939', '22004', '55000', '42501']) {
    assert.ok(
      told.some((one) => one.includes(`"${code}"`)),
      `${code} was met`,
    );
  }
  for (const [name, value] of Object.entries(values)) {
    assertClean(text, name, value);
  }
});

test('the reporting secret and what is derived from it are never shown', async () => {
  await set(admin, { 'test.key': 'Xa9-key' });
  const provision = "SELECT * FROM rolecall.provision_reporting_role('reports', ARRAY['public'])";
  const password = "SELECT rolecall.reporting_role_password('reports') IS NULL";
  for (const key of ['', 'Xa9-key']) {
    await set(admin, { 'rolecall.encryption_key': key });
    const states: { password: string; secret: Buffer }[] = [];
    const remember = async () => {
      const { rows } = await admin.query(
        `SELECT rolecall.reporting_role_password('reports') AS password, rolecall_internal.read_secret('rolecall.reporting', true) AS secret`,
      );
      states.push(rows[0]);
    };
    let text = await heard([provision, provision, password, "ALTER ROLE reports PASSWORD 'x'", provision]);
    await remember();
    text += await heard([
      'SELECT * FROM rolecall.rotate_reporting_secret(true)',
      'SELECT * FROM rolecall.rotate_reporting_secret()',
      provision,
    ]);
    await remember();
    text += await heard([`${provision.slice(0, -1)}, rotate_after => '0')`, password]);
    await remember();
    text += await heard(['BEGIN READ ONLY', 'SELECT * FROM rolecall.rotate_reporting_secret()', 'ROLLBACK']);
    assert.ok(text.includes('set_password'));
    for (const state of states) {
      assertClean(text, 'the password', state.password);
      assertClean(text, 'the secret', state.secret);
    }
    if (key !== '') assertClean(text, 'the key', key);
  }
});

test('a key that comes with the connection is not logged; one in the catalogs can be read by everybody', async () => {
  await admin.query("CREATE ROLE reader LOGIN PASSWORD 'reader'");
  await admin.query('RESET rolecall.encryption_key');
  await admin.query("SELECT * FROM rolecall.set_secret('connected', 'x')");
  await admin.query("ALTER SYSTEM SET log_connections = 'on'");
  for (const [name, value] of Object.entries(loud)) {
    if (name !== 'pg_stat_statements.track') await admin.query(`ALTER SYSTEM SET ${name} = '${value}'`);
  }
  await admin.query('SELECT pg_reload_conf()');
  const logged = cluster.log().length;
  try {
    const client = await cluster.connect({ database, options: '-c rolecall.encryption_key=Xa9-connected' });
    await client.query("SELECT rolecall.get_secret('connected')");
    const { rows } = await client.query("SELECT encrypted FROM rolecall_internal.secret WHERE key = 'connected'");
    assert.deepEqual(rows, [{ encrypted: true }]);
    const { rows: seen } = await client.query('SELECT to_jsonb(a)::text AS row FROM pg_stat_activity AS a');
    await client.end();
    const log = cluster.log().slice(logged);
    assert.match(log, /connection authorized/);
    assert.match(log, /rolecall\.get_secret/);
    for (const text of [log, ...seen.map(({ row }: { row: string }) => row)])
      assertClean(text, 'the key', 'Xa9-connected');
  } finally {
    await admin.query('ALTER SYSTEM RESET ALL');
    await admin.query('SELECT pg_reload_conf()');
  }

  await admin.query("ALTER ROLE postgres SET rolecall.encryption_key = 'Xa9-altered'");
  const reader = await cluster.connect({ database, user: 'reader', password: 'reader' });
  const { rows } = await reader.query('SELECT setconfig::text AS settings FROM pg_db_role_setting');
  await reader.end();
  assert.ok(rows.some(({ settings }: { settings: string }) => settings.includes('Xa9-altered')));
  await admin.query('ALTER ROLE postgres RESET rolecall.encryption_key');
});

test('whoever installed pgcrypto cannot have its own function encrypt', async () => {
  const name = await cluster.createDatabase();
  const owner = await cluster.connect({ database: name });
  await owner.query(`CREATE ROLE installer LOGIN PASSWORD 'secret'; GRANT CREATE ON DATABASE ${name} TO installer`);
  const installer = await cluster.connect({ database: name, user: 'installer', password: 'secret' });
  const functions = [
    'early.pgp_sym_encrypt_bytea(bytea, text, text)',
    'evil.pgp_sym_encrypt_bytea(bytea, text, text)',
    'other.pgp_sym_encrypt_bytea(bytea, text, text)',
    'crypto.pgp_sym_encrypt_bytea(bytea, text, varchar)',
  ];
  await installer.query('CREATE SCHEMA crypto; CREATE SCHEMA early; CREATE SCHEMA evil; CREATE SCHEMA other');
  const [early = '', ...late] = functions.map(
    (each) => `CREATE FUNCTION ${each} RETURNS bytea LANGUAGE sql AS 'SELECT $1'`,
  );
  for (const statement of [early, 'CREATE EXTENSION pgcrypto SCHEMA crypto', ...late]) await installer.query(statement);
  for (const each of functions) await installer.query(`ALTER EXTENSION pgcrypto ADD FUNCTION ${each}`);
  await owner.query(`SET rolecall.encryption_key = 'key'; SELECT * FROM rolecall.set_secret('name', 'plain')`);
  const { rows } = await owner.query(
    `SELECT s.value = 'plain' AS plain, rolecall_internal.pgcrypto_schema() AS schema,
            rolecall.get_secret('name') AS secret FROM rolecall_internal.secret AS s`,
  );
  assert.deepEqual(rows, [{ plain: false, schema: 'crypto', secret: 'plain' }]);
  // What somebody else wrote is not the extension's, whoever owns it by now.
  await owner.query(
    `REASSIGN OWNED BY installer TO postgres;
     ALTER EXTENSION pgcrypto DROP FUNCTION crypto.pgp_sym_encrypt_bytea(bytea, text, text)`,
  );
  await assert.rejects(owner.query(`SELECT rolecall.get_secret('name')`), { code: '55000' });
  await Promise.all([owner, installer].map((client) => client.end()));
});
