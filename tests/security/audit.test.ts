/**
 * audit_role() against the truth: for each way that it knows, something opens it, the audit names it, a login as the
 * role takes it, the remedy is run as it stands, and then neither the audit nor the login finds it any more.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';

const major = Number(process.env.PG || 18);
/** Every one of these statements runs as the role, in one transaction that is rolled back, unless `alone`. */
interface Way {
  readonly name: string;
  readonly since?: number;
  readonly open: readonly string[];
  /** What the audit says: severity, path and object. */
  readonly finds: readonly (readonly [severity: string, path: string, object: string])[];
  readonly take: readonly string[];
  /** The statements of `take` cannot run in a transaction. */
  readonly alone?: true;
  /** It is open before, but nothing is wrong with it yet. */
  readonly already?: true;
  /** Takes back what could not be rolled back. */
  readonly undo?: readonly string[];
  readonly clean?: readonly string[];
  /** The way stays open after the remedy: it is everybody's. */
  readonly stays?: true;
}

const { cluster, database, admin } = await placeOfFile({ name: 'audited', settings: { lo_compat_privileges: false } });
const other = await cluster.connect({ database: await cluster.createDatabase('elsewhere') });
let password: string;
let baseline: string[];

interface Finding {
  severity: string;
  path: string;
  object: string;
  detail: string;
  remedy: string | null;
}

const audit = async (role = 'rep') =>
  (await admin.query<Finding>('SELECT * FROM rolecall.audit_role($1)', [role])).rows;
const keys = (findings: Finding[]) => findings.map(({ severity, path, object }) => `${severity} | ${path} | ${object}`);

before(async () => {
  await admin.query(`CREATE ROLE "a plain owner"`);
  await admin.query(`CREATE SCHEMA app; CREATE SCHEMA closed;
    CREATE TABLE app.patient (id integer, name text); INSERT INTO app.patient VALUES (1, 'one');
    CREATE TABLE app.token (id integer, value text); INSERT INTO app.token VALUES (1, 'withheld');
    CREATE TABLE app.event (id integer, value text) PARTITION BY RANGE (id);
    CREATE TABLE app.event_1 PARTITION OF app.event FOR VALUES FROM (0) TO (10);
    INSERT INTO app.event VALUES (1, 'withheld');
    CREATE TABLE app.log (id integer, value text) PARTITION BY RANGE (id);
    CREATE TABLE app.log_1 PARTITION OF app.log FOR VALUES FROM (0) TO (10);
    CREATE TABLE app.guarded (id integer); INSERT INTO app.guarded VALUES (1);
    ALTER TABLE app.guarded ENABLE ROW LEVEL SECURITY;
    CREATE SEQUENCE app.numbers;
    CREATE ROLE writer; GRANT USAGE ON SCHEMA app TO writer;
    GRANT DELETE, SELECT ON app.patient TO writer;
    CREATE ROLE chief; GRANT writer TO chief`);
  await admin.query(`SELECT * FROM rolecall.provision_reporting_role('rep', '{app}', '{token,event}')`);
  const { rows } = await admin.query<{ value: string }>(`SELECT rolecall.reporting_role_password('rep') AS value`);
  password = rows[0]?.value ?? '';
  baseline = keys(await audit());
});

/** One statement as the superuser; a changed configuration is waited for. */
async function run(statement: string): Promise<void> {
  const loaded = async () =>
    (await admin.query({ text: 'SELECT pg_conf_load_time()::text', rowMode: 'array' })).rows[0];
  const earlier = await loaded();
  await admin.query(statement);
  if (!statement.includes('pg_reload_conf')) return;
  await until('the configuration', async () => !isDeepStrictEqual(await loaded(), earlier));
}

/** The statements as the role; the error that stopped them. */
async function takes(way: Pick<Way, 'take' | 'alone'>): Promise<string | undefined> {
  const client = await cluster.connect({ database, user: 'rep', password });
  try {
    await client.query('SET default_transaction_read_only = off');
    if (!way.alone) await client.query('BEGIN');
    for (const statement of way.take) await client.query(statement);
    return undefined;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    assert.notEqual(code, '42601', message);
    return `${code} ${message}`;
  } finally {
    await client.end();
  }
}

test('a freshly provisioned reporting role has nothing critical', async () => {
  const findings = await audit();
  assert.deepEqual(
    findings.filter(({ severity }) => severity === 'critical'),
    [],
  );
  // Before 15 everybody makes objects in the schema public.
  const publics = findings.filter(({ severity }) => severity === 'warning').map(({ path, object }) => [path, object]);
  assert.deepEqual(publics, major < 15 ? [['rep -> PUBLIC -> schema grant', 'public']] : []);
});

const members = (grant: string, ...more: string[]) => [grant, ...more];
const ways: readonly Way[] = [
  {
    name: 'a privilege on a table',
    open: ['GRANT INSERT, UPDATE ON app.patient TO rep'],
    finds: [['critical', 'rep -> table grant', 'app.patient']],
    take: [`INSERT INTO app.patient VALUES (2, 'two')`, `UPDATE app.patient SET name = 'none'`],
  },
  {
    name: 'the option to grant one on',
    open: ['GRANT SELECT ON app.patient TO rep WITH GRANT OPTION'],
    finds: [['warning', 'rep -> table grant', 'app.patient']],
    take: [
      'GRANT SELECT ON app.patient TO writer',
      `DO $$BEGIN IF NOT EXISTS (
         SELECT FROM information_schema.role_table_grants WHERE grantor = 'rep' AND grantee <> 'rep'
       ) THEN RAISE 'nothing was granted'; END IF; END$$`,
    ],
  },
  {
    name: 'one that somebody else granted',
    open: [
      'GRANT TRUNCATE ON app.patient TO chief WITH GRANT OPTION',
      'GRANT USAGE ON SCHEMA app TO chief',
      'SET ROLE chief',
      'GRANT TRUNCATE ON app.patient TO rep',
      'RESET ROLE',
    ],
    finds: [['critical', 'rep -> table grant', 'app.patient']],
    take: ['TRUNCATE app.patient'],
    clean: ['REVOKE TRUNCATE ON app.patient FROM chief', 'REVOKE USAGE ON SCHEMA app FROM chief'],
  },
  {
    name: 'a privilege of PUBLIC on a table',
    open: ['GRANT DELETE ON app.patient TO PUBLIC'],
    finds: [['critical', 'rep -> PUBLIC -> table grant', 'app.patient']],
    take: ['DELETE FROM app.patient'],
  },
  {
    name: 'TRIGGER, whose function runs as who writes',
    open: ['GRANT TRIGGER ON app.patient TO rep'],
    finds: [['critical', 'rep -> table grant', 'app.patient']],
    take: [
      `CREATE FUNCTION pg_temp.trap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
      'CREATE TRIGGER trap BEFORE INSERT ON app.patient FOR EACH ROW EXECUTE FUNCTION pg_temp.trap()',
    ],
  },
  {
    name: 'a privilege on columns',
    open: ['GRANT UPDATE (name), INSERT (id, name) ON app.patient TO rep'],
    finds: [['critical', 'rep -> column grant', 'app.patient']],
    take: [`UPDATE app.patient SET name = 'none'`, `INSERT INTO app.patient VALUES (2, 'two')`],
  },
  {
    name: 'a privilege on a sequence',
    open: ['GRANT USAGE ON SEQUENCE app.numbers TO rep'],
    finds: [['critical', 'rep -> sequence grant', 'app.numbers']],
    take: [`SELECT nextval('app.numbers')`],
  },
  {
    name: 'a membership',
    open: members('GRANT writer TO rep'),
    finds: [
      ['warning', 'rep -> writer -> membership', 'writer'],
      ['critical', 'rep -> writer -> table grant', 'app.patient'],
    ],
    take: ['DELETE FROM app.patient'],
  },
  {
    name: 'a membership of a membership',
    open: members('GRANT chief TO rep'),
    finds: [
      ['warning', 'rep -> chief -> membership', 'chief'],
      ['warning', 'rep -> chief -> writer -> membership', 'writer'],
      ['critical', 'rep -> chief -> writer -> table grant', 'app.patient'],
    ],
    take: ['DELETE FROM app.patient'],
  },
  {
    name: 'a membership that is not inherited',
    open: major < 16 ? ['ALTER ROLE rep NOINHERIT', 'GRANT writer TO rep'] : ['GRANT writer TO rep WITH INHERIT FALSE'],
    finds: [['critical', 'rep -> writer (SET ROLE) -> table grant', 'app.patient']],
    take: ['SET LOCAL ROLE writer', 'DELETE FROM app.patient'],
    clean: ['ALTER ROLE rep INHERIT'],
  },
  {
    name: 'a membership with nothing but ADMIN',
    since: 16,
    open: ['GRANT writer TO rep WITH ADMIN TRUE, INHERIT FALSE, SET FALSE'],
    finds: [['critical', 'rep -> writer (ADMIN OPTION) -> table grant', 'app.patient']],
    take: ['GRANT writer TO rep WITH INHERIT TRUE', 'DELETE FROM app.patient'],
  },
  {
    name: 'what a role has that it can become',
    open: ['ALTER ROLE writer CREATEROLE', 'GRANT writer TO rep'],
    finds: [['critical', 'rep -> writer -> attribute', 'writer']],
    take: ['SET LOCAL ROLE writer', 'CREATE ROLE made'],
    clean: ['ALTER ROLE writer NOCREATEROLE'],
  },
  {
    name: 'SUPERUSER',
    open: ['ALTER ROLE rep SUPERUSER'],
    finds: [['critical', 'rep -> attribute', 'rep']],
    take: ['SELECT rolpassword FROM pg_authid', 'DELETE FROM app.token'],
  },
  {
    name: 'CREATEROLE',
    open: ['ALTER ROLE rep CREATEROLE'],
    finds: [['critical', 'rep -> attribute', 'rep']],
    take: ['CREATE ROLE made'],
  },
  {
    name: 'CREATEDB',
    open: ['ALTER ROLE rep CREATEDB'],
    finds: [['warning', 'rep -> attribute', 'rep']],
    take: ['CREATE DATABASE made'],
    alone: true,
    undo: ['DROP DATABASE made'],
  },
  {
    name: 'REPLICATION',
    open: ['ALTER ROLE rep REPLICATION'],
    finds: [['critical', 'rep -> attribute', 'rep']],
    take: [`SELECT pg_create_physical_replication_slot('made', temporary => true)`],
    alone: true,
  },
  {
    name: 'BYPASSRLS',
    open: ['ALTER ROLE rep BYPASSRLS'],
    finds: [['critical', 'rep -> attribute', 'rep']],
    take: ['SELECT 1 / count(*) FROM app.guarded'],
  },
  {
    name: 'pg_read_all_data',
    open: ['GRANT pg_read_all_data TO rep'],
    finds: [['critical', 'rep -> pg_read_all_data -> membership', 'pg_read_all_data']],
    take: ['SELECT * FROM app.token'],
  },
  {
    name: 'pg_write_all_data',
    open: ['GRANT pg_write_all_data TO rep'],
    finds: [['critical', 'rep -> pg_write_all_data -> membership', 'pg_write_all_data']],
    take: [`INSERT INTO app.token VALUES (2, 'two')`],
  },
  {
    name: 'pg_read_server_files',
    open: ['GRANT pg_read_server_files TO rep'],
    finds: [['critical', 'rep -> pg_read_server_files -> membership', 'pg_read_server_files']],
    take: ['CREATE TEMPORARY TABLE line (text text)', `COPY line FROM '/dev/null'`],
  },
  {
    name: 'pg_write_server_files',
    open: ['GRANT pg_write_server_files TO rep'],
    finds: [['critical', 'rep -> pg_write_server_files -> membership', 'pg_write_server_files']],
    take: [`COPY (SELECT 1) TO '/dev/null'`],
  },
  {
    name: 'pg_execute_server_program',
    open: ['GRANT pg_execute_server_program TO rep'],
    finds: [['critical', 'rep -> pg_execute_server_program -> membership', 'pg_execute_server_program']],
    take: [`COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'`],
  },
  {
    name: 'pg_signal_backend',
    open: ['GRANT pg_signal_backend TO rep', 'CREATE ROLE victim LOGIN'],
    finds: [['warning', 'rep -> pg_signal_backend -> membership', 'pg_signal_backend']],
    take: [`DO $$BEGIN IF NOT pg_has_role('pg_signal_backend', 'USAGE') THEN RAISE 'not allowed'; END IF; END$$`],
    clean: ['DROP ROLE victim'],
  },
  {
    name: 'pg_maintain',
    since: 17,
    open: ['GRANT pg_maintain TO rep'],
    finds: [['warning', 'rep -> pg_maintain -> membership', 'pg_maintain']],
    take: ['LOCK TABLE app.patient'],
  },
  {
    name: 'MAINTAIN on a table',
    since: 17,
    open: ['GRANT MAINTAIN ON app.patient TO rep'],
    finds: [['warning', 'rep -> table grant', 'app.patient']],
    take: ['LOCK TABLE app.patient'],
  },
  {
    name: 'a table of its own',
    open: ['CREATE TABLE app.owned (id serial)', 'ALTER TABLE app.owned OWNER TO rep'],
    finds: [['critical', 'rep -> ownership', 'app.owned']],
    take: ['INSERT INTO app.owned DEFAULT VALUES', 'DROP TABLE app.owned'],
    clean: ['DROP TABLE app.owned'],
  },
  {
    name: 'a schema of its own',
    open: ['CREATE SCHEMA owned AUTHORIZATION rep'],
    finds: [['critical', 'rep -> ownership', 'owned']],
    take: ['CREATE TABLE owned.made ()'],
    clean: ['DROP SCHEMA owned'],
  },
  {
    name: 'a function, a type and a large object of its own',
    open: [
      `CREATE FUNCTION app.owned(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'`,
      'ALTER FUNCTION app.owned(integer) OWNER TO rep',
      'CREATE TYPE app."owned type" AS (a integer)',
      'ALTER TYPE app."owned type" OWNER TO rep',
      'SELECT lo_create(4711)',
      'ALTER LARGE OBJECT 4711 OWNER TO rep',
    ],
    finds: [
      ['critical', 'rep -> ownership', '4711'],
      ['critical', 'rep -> ownership', 'app."owned type"'],
      ['critical', 'rep -> ownership', 'app.owned(integer)'],
    ],
    take: [
      `ALTER FUNCTION app.owned(integer) SECURITY DEFINER`,
      'ALTER TYPE app."owned type" ADD ATTRIBUTE b integer',
      `SELECT lo_put(4711, 0, 'x')`,
    ],
    clean: ['DROP FUNCTION app.owned(integer)', 'DROP TYPE app."owned type"', 'SELECT lo_unlink(4711)'],
  },
  {
    name: 'the database',
    open: ['ALTER DATABASE audited OWNER TO rep'],
    finds: [
      ['critical', 'rep -> ownership', 'audited'],
      ['warning', 'rep -> pg_database_owner -> membership', 'pg_database_owner'],
    ],
    take: ['CREATE SCHEMA made'],
  },
  {
    name: 'what is withheld, directly',
    open: ['GRANT SELECT ON app.token TO rep'],
    finds: [['critical', 'rep -> table grant', 'app.token']],
    take: ['SELECT * FROM app.token'],
  },
  {
    name: 'a column of what is withheld',
    open: ['GRANT SELECT (value) ON app.token TO PUBLIC'],
    finds: [['critical', 'rep -> PUBLIC -> column grant', 'app.token']],
    take: ['SELECT value FROM app.token'],
  },
  {
    name: 'a view over what is withheld, and a view over that',
    open: ['CREATE VIEW app.view AS SELECT value FROM app.token', 'CREATE VIEW app.nested AS SELECT * FROM app.view'],
    finds: [
      ['critical', 'rep -> table grant', 'app.nested'],
      ['critical', 'rep -> table grant', 'app.view'],
    ],
    take: ['SELECT * FROM app.nested', 'SELECT * FROM app.view'],
    clean: ['DROP VIEW app.view CASCADE'],
  },
  {
    name: 'a materialized view over what is withheld',
    open: ['CREATE MATERIALIZED VIEW app.copied AS SELECT value FROM app.token'],
    finds: [['critical', 'rep -> table grant', 'app.copied']],
    take: ['SELECT * FROM app.copied'],
    clean: ['DROP MATERIALIZED VIEW app.copied'],
  },
  {
    name: 'a materialized view over a view that reads as its invoker',
    since: 15,
    open: [
      'CREATE VIEW app.invoker WITH (security_invoker) AS SELECT value FROM app.token',
      'CREATE MATERIALIZED VIEW app.copied AS SELECT value FROM app.invoker',
    ],
    finds: [['critical', 'rep -> table grant', 'app.copied']],
    take: ['SELECT * FROM app.copied'],
    clean: ['DROP VIEW app.invoker CASCADE'],
  },
  {
    name: 'a partition of what is withheld',
    open: ['GRANT SELECT ON app.event_1 TO rep'],
    finds: [['critical', 'rep -> table grant', 'app.event_1']],
    take: ['SELECT * FROM app.event_1'],
  },
  {
    name: 'a table that what is withheld is a partition of',
    open: [`SELECT * FROM rolecall.provision_reporting_role('rep', '{app}', '{token,event,log_1}')`],
    finds: [['critical', 'rep -> table grant', 'app.log']],
    already: true,
    take: ['SELECT * FROM app.log'],
    clean: [`SELECT * FROM rolecall.provision_reporting_role('rep', '{app}', '{token,event}')`],
  },
  {
    name: 'the secrets',
    open: [
      'GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO rep',
      'GRANT SELECT ON rolecall_internal.secret TO rep',
    ],
    finds: [['critical', 'rep -> table grant', 'rolecall_internal.secret']],
    take: ['SELECT * FROM rolecall_internal.secret'],
    clean: ['REVOKE USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch FROM rep'],
  },
  {
    name: 'a function that runs as a superuser',
    open: [`CREATE FUNCTION app.runs() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT value FROM app.token'`],
    finds: [['critical', 'rep -> PUBLIC -> function grant', 'app.runs()']],
    take: ['SELECT app.runs()'],
    clean: ['DROP FUNCTION app.runs()'],
  },
  {
    name: 'a procedure that runs as somebody else',
    open: [
      `CREATE PROCEDURE app.runs() LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM app.patient'`,
      'ALTER PROCEDURE app.runs() OWNER TO writer',
    ],
    finds: [['warning', 'rep -> PUBLIC -> function grant', 'app.runs()']],
    take: ['CALL app.runs()'],
    clean: ['DROP PROCEDURE app.runs()'],
  },
  {
    name: 'a function in an untrusted language',
    open: [
      'CREATE LANGUAGE wild HANDLER plpgsql_call_handler',
      `CREATE FUNCTION app.runs() RETURNS integer LANGUAGE wild AS 'BEGIN RETURN 1; END'`,
    ],
    finds: [['warning', 'rep -> PUBLIC -> function grant', 'app.runs()']],
    take: ['SELECT app.runs()'],
    clean: ['DROP LANGUAGE wild CASCADE'],
  },
  {
    name: 'a function of the server that is for superusers',
    open: ['GRANT EXECUTE ON FUNCTION pg_read_file(text) TO rep'],
    finds: [['critical', 'rep -> function grant', 'pg_read_file(text)']],
    take: [`SELECT pg_read_file('PG_VERSION')`],
  },
  {
    name: 'a catalog that is for superusers',
    open: ['GRANT SELECT ON pg_authid TO rep'],
    finds: [['critical', 'rep -> table grant', 'pg_catalog.pg_authid']],
    take: ['SELECT rolpassword FROM pg_authid'],
  },
  {
    name: 'the same for everybody',
    open: ['GRANT SELECT ON pg_authid TO PUBLIC'],
    finds: [['critical', 'rep -> PUBLIC -> table grant', 'pg_catalog.pg_authid']],
    take: ['SELECT rolpassword FROM pg_authid'],
  },
  {
    name: 'a table of the information schema',
    open: ['GRANT DELETE ON information_schema.sql_sizing TO rep'],
    finds: [['critical', 'rep -> table grant', 'information_schema.sql_sizing']],
    take: ['DELETE FROM information_schema.sql_sizing'],
  },
  {
    name: 'a function of the server that is for superusers, for everybody',
    open: ['GRANT EXECUTE ON FUNCTION pg_read_file(text) TO PUBLIC'],
    finds: [['critical', 'rep -> PUBLIC -> function grant', 'pg_read_file(text)']],
    take: [`SELECT pg_read_file('PG_VERSION')`],
  },
  {
    name: 'columns of one',
    open: ['GRANT SELECT (rolname, rolpassword) ON pg_authid TO rep'],
    finds: [['warning', 'rep -> column grant', 'pg_catalog.pg_authid']],
    take: ['SELECT rolpassword FROM pg_authid'],
  },
  {
    name: 'CREATE on a schema',
    open: ['GRANT CREATE ON SCHEMA app TO rep'],
    finds: [['critical', 'rep -> schema grant', 'app']],
    take: ['CREATE TABLE app.made ()'],
  },
  {
    name: 'CREATE on a schema for everybody',
    open: ['GRANT CREATE ON SCHEMA app TO PUBLIC'],
    finds: [['warning', 'rep -> PUBLIC -> schema grant', 'app']],
    take: ['CREATE TABLE app.made ()'],
  },
  {
    name: 'CREATE on the database',
    open: ['GRANT CREATE ON DATABASE audited TO rep'],
    finds: [['critical', 'rep -> database grant', 'audited']],
    take: ['CREATE SCHEMA made'],
  },
  {
    name: 'a large object',
    open: ['SELECT lo_create(4712)', 'GRANT SELECT, UPDATE ON LARGE OBJECT 4712 TO rep'],
    finds: [['critical', 'rep -> large object grant', '4712']],
    take: [`SELECT lo_put(4712, 0, 'x')`],
    clean: ['SELECT lo_unlink(4712)'],
  },
  {
    name: 'every large object',
    open: ['SELECT lo_create(4713)', 'ALTER SYSTEM SET lo_compat_privileges = on', 'SELECT pg_reload_conf()'],
    finds: [['critical', 'rep -> PUBLIC -> lo_compat_privileges', 'large objects']],
    take: [`SELECT lo_put(4713, 0, 'x')`],
    clean: ['SELECT lo_unlink(4713)'],
  },
  {
    name: 'a foreign-data wrapper',
    open: ['CREATE FOREIGN DATA WRAPPER wrapper', 'GRANT USAGE ON FOREIGN DATA WRAPPER wrapper TO rep'],
    finds: [['warning', 'rep -> foreign data wrapper grant', 'wrapper']],
    take: ['CREATE SERVER made FOREIGN DATA WRAPPER wrapper'],
    clean: ['DROP FOREIGN DATA WRAPPER wrapper'],
  },
  {
    name: 'a foreign server',
    open: [
      'CREATE FOREIGN DATA WRAPPER wrapper',
      'CREATE SERVER far FOREIGN DATA WRAPPER wrapper',
      'GRANT USAGE ON FOREIGN SERVER far TO rep',
    ],
    finds: [['warning', 'rep -> foreign server grant', 'far']],
    take: ['CREATE USER MAPPING FOR CURRENT_USER SERVER far'],
    clean: ['DROP FOREIGN DATA WRAPPER wrapper CASCADE'],
  },
  {
    name: 'a tablespace',
    since: 15,
    open: [
      'SET allow_in_place_tablespaces = on',
      `CREATE TABLESPACE space LOCATION ''`,
      'GRANT CREATE ON TABLESPACE space TO rep',
    ],
    finds: [['warning', 'rep -> tablespace grant', 'space']],
    take: ['CREATE TEMPORARY TABLE made () TABLESPACE space'],
    clean: ['DROP TABLESPACE space'],
  },
  {
    name: 'a parameter',
    since: 15,
    open: ['GRANT SET ON PARAMETER log_statement TO rep'],
    finds: [['warning', 'rep -> parameter grant', 'log_statement']],
    take: [`SET log_statement = 'none'`],
  },
  {
    name: 'a parameter of the whole server',
    since: 15,
    open: ['GRANT ALTER SYSTEM ON PARAMETER work_mem TO rep'],
    finds: [['critical', 'rep -> parameter grant', 'work_mem']],
    take: [`ALTER SYSTEM SET work_mem = '5MB'`],
    alone: true,
    clean: ['ALTER SYSTEM RESET work_mem'],
  },
  {
    name: 'default privileges',
    open: [
      'ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT INSERT ON TABLES TO rep',
      'CREATE TABLE app.later (id integer)',
    ],
    finds: [
      ['warning', 'rep -> default privileges', 'tables in schema app'],
      ['critical', 'rep -> table grant', 'app.later'],
    ],
    take: ['INSERT INTO app.later VALUES (1)'],
    clean: ['DROP TABLE app.later'],
  },
  {
    name: 'settings that it changed for itself',
    open: [
      'ALTER ROLE rep SET default_transaction_read_only = off',
      `ALTER ROLE rep IN DATABASE audited SET work_mem = '1GB'`,
    ],
    finds: [
      ['warning', 'rep -> setting', 'default_transaction_read_only'],
      ['info', 'rep -> setting', 'work_mem'],
    ],
    take: [`SELECT 1 / (current_setting('work_mem') = '1GB')::integer`],
  },
  {
    name: 'dblink',
    open: ['CREATE EXTENSION dblink SCHEMA app'],
    finds: [['warning', 'rep -> PUBLIC -> function grant', 'dblink']],
    take: [`SELECT app.dblink_connect('dbname=elsewhere host=127.0.0.1 port=PORT user=rep password=PASSWORD')`],
    clean: ['DROP EXTENSION dblink'],
  },
  {
    name: 'dblink as the operating-system user',
    open: ['CREATE EXTENSION dblink SCHEMA app', 'GRANT EXECUTE ON FUNCTION app.dblink_connect_u(text) TO rep'],
    finds: [['critical', 'rep -> function grant', 'dblink']],
    take: [`SELECT app.dblink_connect_u('dbname=elsewhere host=127.0.0.1 port=PORT user=rep password=PASSWORD')`],
    clean: ['DROP EXTENSION dblink'],
  },
  {
    name: 'temporary tables, large objects, other databases and its own password, as everybody',
    open: [],
    finds: [
      ['info', 'rep -> PUBLIC -> database grant', 'audited'],
      ['info', 'rep -> PUBLIC -> database grant', 'elsewhere'],
      ['info', 'rep -> PUBLIC -> function grant', 'large objects'],
      ['info', 'rep -> itself', 'rep'],
    ],
    take: [
      'CREATE TEMPORARY TABLE made ()',
      'SELECT lo_create(0)',
      'ALTER ROLE rep SET work_mem = DEFAULT',
      `DO $$BEGIN IF NOT has_database_privilege('elsewhere', 'CONNECT') THEN RAISE 'not allowed'; END IF; END$$`,
    ],
    stays: true,
  },
];

for (const way of ways) {
  test(`a way: ${way.name}`, { skip: major < (way.since ?? 0) && `from PostgreSQL ${way.since}` }, async () => {
    const filled = (text: string) => text.replace('PORT', String(cluster.port)).replace('PASSWORD', password);
    const taking = { ...way, take: way.take.map(filled) };
    if (!way.stays && !way.already) assert.notEqual(await takes(taking), undefined, 'it is not open before');
    for (const statement of way.open) await run(statement);
    const expected = way.finds.map((find) => find.join(' | '));
    const found = await audit();
    assert.deepEqual(
      expected.filter((key) => !keys(found).includes(key)),
      [],
      `in ${keys(found).join('\n')}`,
    );
    assert.equal(await takes(taking), undefined, 'it is real');
    for (const statement of way.undo ?? []) await run(statement);
    if (!way.stays) {
      for (const { remedy } of found.filter((one) => !baseline.includes(keys([one])[0] ?? ''))) {
        assert.notEqual(remedy, null);
        // Several statements at once would be one transaction, and not every statement can be in one.
        for (const statement of (remedy ?? '').split('; ')) await run(statement);
      }
      const left = keys(await audit()).filter((key) => !baseline.includes(key));
      assert.deepEqual(left, [], 'the remedies end it');
      assert.notEqual(await takes(taking), undefined, 'and close the way');
    }
    for (const statement of way.clean ?? []) await run(statement);
    assert.deepEqual(keys(await audit()), baseline, 'as before');
  });
}

test('a view that reads as its invoker, or whose owner cannot read, gives nothing away', async () => {
  await admin.query(`CREATE VIEW app.blind AS SELECT value FROM app.token; ALTER VIEW app.blind OWNER TO writer`);
  const views = ['blind'];
  if (major >= 15) {
    await admin.query(`CREATE VIEW app.invoker WITH (security_invoker = on) AS SELECT value FROM app.token;
      CREATE VIEW app.over AS SELECT * FROM app.invoker`);
    views.push('invoker', 'over');
  }
  for (const view of views) {
    await admin.query(`GRANT SELECT ON app.${view} TO rep`);
    assert.match((await takes({ take: [`SELECT * FROM app.${view}`] })) ?? '', /42501 permission denied for/);
  }
  assert.deepEqual(keys(await audit()), baseline);
  await admin.query(`DROP VIEW app.blind`);
  if (major >= 15) await admin.query('DROP VIEW app.invoker CASCADE');
});

test('a table in a schema that it may not use is a warning', async () => {
  await admin.query('CREATE TABLE closed.far (id integer); GRANT INSERT, UPDATE (id) ON closed.far TO rep');
  assert.match(
    (await takes({ take: ['INSERT INTO closed.far VALUES (1)'] })) ?? '',
    /42501 permission denied for schema/,
  );
  const found = (await audit()).filter(({ object }) => object === 'closed.far');
  assert.deepEqual(keys(found), [
    'warning | rep -> column grant | closed.far',
    'warning | rep -> table grant | closed.far',
  ]);
  for (const { detail } of found) assert.match(detail, /once it has USAGE on the schema$/);
  await admin.query('DROP TABLE closed.far');
});

test('what it has in another database', async () => {
  await other.query('CREATE TABLE theirs (id integer); CREATE TABLE mine (id integer); ALTER TABLE mine OWNER TO rep');
  await other.query('GRANT INSERT ON theirs TO rep');
  const found = (await audit()).filter((one) => !baseline.includes(keys([one])[0] ?? ''));
  assert.deepEqual(keys(found), ['critical | rep -> ownership | elsewhere', 'warning | rep -> grants | elsewhere']);
  const login = await cluster.connect({ database: 'elsewhere', user: 'rep', password });
  await login.query('SET default_transaction_read_only = off');
  await login.query('INSERT INTO public.mine VALUES (1)');
  await login.query('INSERT INTO public.theirs VALUES (1)');
  await login.end();
  await other.query(found[0]?.remedy ?? '');
  assert.equal(found[1]?.remedy, null);
  const there = await other.query<Finding>(`SELECT * FROM rolecall.audit_role('rep') WHERE object = 'public.theirs'`);
  await other.query(there.rows[0]?.remedy ?? '');
  assert.deepEqual(keys(await audit()), baseline);
});

test('roles that are no reporting roles are audited too, by whoever may call it', async () => {
  await admin.query(`SELECT * FROM rolecall.create_base_roles();
    SELECT * FROM rolecall.create_user('alice', 'alice');
    CREATE ROLE watcher LOGIN PASSWORD 'watcher';
    SELECT * FROM rolecall.add_operator('watcher')`);
  const watcher = await cluster.connect({ database, user: 'watcher', password: 'watcher' });
  await watcher.query('BEGIN READ ONLY');
  for (const role of ['alice', 'administrator', 'rep', 'postgres', 'watcher', 'pg_monitor']) {
    const { rows } = await watcher.query<Finding>('SELECT * FROM rolecall.audit_role($1)', [role]);
    assert.deepEqual(rows, await audit(role), role);
  }
  await watcher.query('COMMIT');
  await watcher.end();
  assert.ok(keys(await audit('administrator')).includes('critical | administrator -> attribute | administrator'));
  assert.ok(keys(await audit('alice')).includes('warning | alice -> authenticated -> membership | authenticated'));
  assert.ok(keys(await audit('watcher')).includes('critical | watcher -> table grant | rolecall_internal.secret'));
  await admin.query('DROP OWNED BY watcher; DROP ROLE watcher');
});
