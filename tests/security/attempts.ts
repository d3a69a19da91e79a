/**
 * What a report could try, in groups: statements as the role sends them, and the code that they fail with.
 */
import pg from 'pg';
import { readable, type Sandbox, schemas, type Which } from '../support/sandbox.ts';

export interface Place {
  readonly sandbox: Sandbox;
  readonly which: Which;
  readonly major: number;
  readonly host: string;
  readonly port: number;
  /** A folder that the server could write to; it has the server's socket. */
  readonly folder: string;
}

export interface Attempt {
  /** Each is sent by itself, and may be several statements; all but the last succeed. */
  readonly run: readonly string[];
  readonly code: string;
}

const all = (statements: readonly string[], code = '42501'): Attempt[] =>
  statements.map((statement) => ({ run: [statement], code }));
const after = (first: readonly string[], statements: readonly string[], code = '42501'): Attempt[] =>
  statements.map((statement) => ({ run: [...first, statement], code }));

export const attempts: Readonly<Record<string, (place: Place) => Promise<Attempt[]> | Attempt[]>> = {
  'writing to what it reads': ({ which, major }) => {
    const { own } = schemas[which];
    return readable.flatMap((what) => {
      const table = `${own}.early_${what}`;
      const column = what === 'foreign' ? 'line' : 'name';
      const lockable = what !== 'materialized' && what !== 'foreign';
      const truncatable = lockable && what !== 'view';
      return [
        ...all([
          `INSERT INTO ${table} (${column}) VALUES ('x')`,
          `INSERT INTO ${table} DEFAULT VALUES`,
          `UPDATE ${table} SET ${column} = 'x'`,
          `DELETE FROM ${table}`,
          `WITH gone AS (DELETE FROM ${table} RETURNING *) SELECT * FROM gone`,
          `COPY ${table} FROM STDIN`,
          `COPY ${table} FROM PROGRAM 'echo x'`,
          `SELECT * FROM ${table} FOR UPDATE`,
          `SELECT * FROM ${table} FOR KEY SHARE`,
          ...(truncatable ? [`TRUNCATE ${table}`, `TRUNCATE ${table} RESTART IDENTITY CASCADE`] : []),
          ...(lockable ? [`BEGIN; LOCK TABLE ${table} IN ROW EXCLUSIVE MODE`] : []),
          ...(major >= 15 && lockable
            ? [
                `MERGE INTO ${table} USING (SELECT 1) AS s ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES`,
                `MERGE INTO ${table} AS t USING (SELECT 1) AS s ON t.id = 1 WHEN MATCHED THEN DELETE`,
              ].filter(() => major >= 17 || what !== 'view')
            : []),
        ]),
        ...(truncatable ? [] : all([`TRUNCATE ${table}`], what === 'foreign' ? '0A000' : '42809')),
      ];
    });
  },

  'ending the transaction first': ({ which, sandbox: { owners } }) => {
    const { own } = schemas[which];
    const insert = `INSERT INTO ${own}.early_table VALUES (9, 'x')`;
    const owner = pg.escapeIdentifier(owners[own].user ?? '');
    return [
      ...all([
        `COMMIT; RESET ROLE; ${insert}`,
        `ROLLBACK; RESET ROLE; ${insert}`,
        `COMMIT; RESET SESSION AUTHORIZATION; RESET ROLE; ${insert}`,
        `SELECT 1; COMMIT; SET ROLE NONE; SET TRANSACTION READ WRITE; ${insert}`,
        `COMMIT; DISCARD PLANS; RESET ALL; SET default_transaction_read_only = off; ${insert}`,
        `COMMIT; SET ROLE ${owner}; ${insert}`,
        `COMMIT; SET SESSION AUTHORIZATION ${owner}; ${insert}`,
        `DO $$BEGIN COMMIT; SET LOCAL ROLE ${owner}; ${insert}; END$$`,
        `DO $$BEGIN ${insert}; END$$`,
        `DO $$BEGIN EXECUTE '${insert.replaceAll("'", "''")}'; EXCEPTION WHEN division_by_zero THEN NULL; END$$`,
        `EXPLAIN ANALYZE ${insert}`,
        `EXPLAIN ${insert}`,
      ]),
      ...all([`SELECT query_to_xml('${insert.replaceAll("'", "''")}', true, true, '')`], '0A000'),
      ...after(['BEGIN READ ONLY', 'COMMIT', 'RESET ROLE'], [insert]),
      ...after(
        ['BEGIN READ ONLY', 'SAVEPOINT one', 'ROLLBACK TO one', 'ROLLBACK AND CHAIN', 'SET TRANSACTION READ WRITE'],
        [insert],
      ),
      ...after([`PREPARE writing AS ${insert}`], ['EXECUTE writing']),
      ...after(
        ['BEGIN', `PREPARE writing (text) AS UPDATE ${own}.early_table SET name = $1`],
        [`EXECUTE writing ('x')`],
      ),
      ...after(['DISCARD ALL', 'SET default_transaction_read_only = off'], [insert]),
      // As a report usually begins: there it is the setting that answers.
      ...after(['RESET default_transaction_read_only'], [insert], '25006'),
      ...after(['SET default_transaction_read_only = on', 'BEGIN'], [insert], '25006'),
    ];
  },

  'becoming somebody else': async ({ sandbox, which }) => {
    const me = sandbox.role(which);
    const { rows } = await sandbox.admin.query<{ name: string }>('SELECT rolname AS name FROM pg_roles ORDER BY 1');
    const others = rows.map(({ name }) => name).filter((name) => name !== me);
    for (const name of ['postgres', 'trusted', 'pg_read_all_data', sandbox.owners.public.user ?? '']) {
      if (!others.includes(name)) throw new Error(`there is no role ${name}`);
    }
    const quotedMe = pg.escapeIdentifier(me);
    return others.flatMap((name) => {
      const other = pg.escapeIdentifier(name);
      return [
        ...all([
          `SET ROLE ${other}`,
          `BEGIN; SET LOCAL ROLE ${other}`,
          `SET SESSION AUTHORIZATION ${other}`,
          `SELECT set_config('role', ${pg.escapeLiteral(name)}, false)`,
          `SELECT set_config('session_authorization', ${pg.escapeLiteral(name)}, false)`,
          `REASSIGN OWNED BY ${other} TO ${quotedMe}`,
          `DROP OWNED BY ${other}`,
        ]),
        // Nobody can become a member of that one.
        ...all(name === 'pg_database_owner' ? [] : [`GRANT ${other} TO ${quotedMe}`]),
        ...all([`ALTER GROUP ${other} ADD USER ${quotedMe}`], name.startsWith('pg_') ? '42939' : '42501'),
      ];
    });
  },

  'changing roles': ({ sandbox, which }) => {
    const me = pg.escapeIdentifier(sandbox.role(which));
    const other = pg.escapeIdentifier(sandbox.role(which === 'raw' ? 'reporting' : 'raw'));
    const words = 'SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS NOINHERIT NOLOGIN'.split(' ');
    return [
      ...all([
        ...words.map((word) => `ALTER ROLE ${me} ${word}`),
        `ALTER ROLE ${me} CONNECTION LIMIT 1000`,
        `ALTER ROLE ${me} VALID UNTIL 'infinity'`,
        `ALTER ROLE ${me} PASSWORD 'x' CREATEDB`,
        `COMMENT ON ROLE ${me} IS 'x'`,
        `DROP ROLE ${other}`,
        `CREATE ROLE made`,
        `CREATE USER made SUPERUSER`,
        `CREATE GROUP made USER ${me}`,
        `ALTER ROLE ALL SET work_mem = '1MB'`,
        `ALTER ROLE ALL IN DATABASE ${sandbox.database} SET work_mem = '1MB'`,
        `ALTER DATABASE ${sandbox.database} SET work_mem = '1MB'`,
        ...['postgres', other].flatMap((name) => [
          `ALTER ROLE ${name} PASSWORD 'x'`,
          `ALTER ROLE ${name} SET work_mem = '1MB'`,
          `ALTER ROLE ${name} RESET ALL`,
          `ALTER ROLE ${name} VALID UNTIL '2000-01-01'`,
          `ALTER ROLE ${name} RENAME TO made`,
          `ALTER DEFAULT PRIVILEGES FOR ROLE ${name} GRANT ALL ON TABLES TO ${me}`,
          `REASSIGN OWNED BY ${me} TO ${name}`,
        ]),
      ]),
      ...all([`ALTER ROLE ${me} RENAME TO made`], '0A000'),
      ...all([`DROP ROLE ${me}`], '42501'),
    ];
  },

  'granting and revoking': ({ sandbox, which }) => {
    const { own, other } = schemas[which];
    const me = pg.escapeIdentifier(sandbox.role(which));
    // Where it has one privilege on the object, the server answers with a warning and does nothing.
    const warned = ['table', 'view', 'materialized', 'foreign'].flatMap((what) => [
      `GRANT SELECT ON ${own}.early_${what} TO PUBLIC`,
      `GRANT SELECT ON ${own}.early_${what} TO ${me} WITH GRANT OPTION`,
      `GRANT INSERT, UPDATE, DELETE, TRUNCATE ON ${own}.early_${what} TO ${me}`,
    ]);
    return [
      ...all([...warned, `GRANT USAGE ON SCHEMA ${own} TO PUBLIC`, `GRANT CREATE ON SCHEMA ${own} TO ${me}`], '01007'),
      ...all([`GRANT CREATE ON DATABASE ${sandbox.database} TO ${me}`], '01007'),
      ...all([`REVOKE SELECT ON ${own}.early_table FROM ${me}`, `REVOKE USAGE ON SCHEMA ${own} FROM ${me}`], '01006'),
      ...all([
        `GRANT SELECT ON ${own}.token TO ${me}`,
        `GRANT SELECT (value) ON ${own}.token TO ${me}`,
        `GRANT ALL ON ALL TABLES IN SCHEMA ${own} TO ${me}`,
        `GRANT SELECT ON ${other}.early_table TO ${me}`,
        `GRANT SELECT ON private.note TO ${me}`,
        `GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO ${me}`,
        `GRANT SELECT ON pg_authid TO ${me}`,
        `GRANT EXECUTE ON FUNCTION pg_read_file(text) TO ${me}`,
        `GRANT USAGE ON FOREIGN SERVER loopback TO ${me}`,
        `GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO ${me}`,
        `GRANT SELECT ON LARGE OBJECT 4711 TO ${me}`,
        `ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT ALL ON TABLES TO ${me}`,
      ]),
    ];
  },

  'making objects': async ({ sandbox, which, major, folder }) => {
    const { own } = schemas[which];
    const { rows } = await sandbox.admin.query<{ name: string }>(
      `SELECT quote_ident(nspname) AS name FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%temp\\_%' ORDER BY 1`,
    );
    const places = rows.map(({ name }) => name);
    if (!places.includes('rolecall') || !places.includes('private')) throw new Error(places.join());
    // Before 15 everybody may, in the schema public: see below.
    const closed = places.filter((name) => major >= 15 || name !== 'public');
    return all([
      ...closed.flatMap((schema) => [
        `CREATE TABLE ${schema}.made ()`,
        `CREATE TABLE ${schema}.made AS SELECT 1`,
        `SELECT 1 INTO ${schema}.made`,
        `CREATE VIEW ${schema}.made AS SELECT 1`,
        `CREATE MATERIALIZED VIEW ${schema}.made AS SELECT 1`,
        `CREATE SEQUENCE ${schema}.made`,
        `CREATE FUNCTION ${schema}.made() RETURNS integer LANGUAGE sql AS 'SELECT 1'`,
        `CREATE TYPE ${schema}.made AS ENUM ()`,
        `CREATE DOMAIN ${schema}.made AS integer`,
        `CREATE OPERATOR ${schema}.@@@ (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4eq)`,
        `CREATE COLLATION ${schema}.made FROM "C"`,
      ]),
      'CREATE SCHEMA made',
      `CREATE SCHEMA AUTHORIZATION ${pg.escapeIdentifier(sandbox.role(which))}`,
      'CREATE DATABASE made',
      `CREATE DATABASE made TEMPLATE ${sandbox.database}`,
      `DROP DATABASE ${sandbox.database}`,
      `ALTER DATABASE ${sandbox.database} RENAME TO made`,
      'CREATE EXTENSION citext',
      'DROP EXTENSION rolecall',
      'ALTER EXTENSION rolecall UPDATE',
      'CREATE LANGUAGE made HANDLER plpgsql_call_handler',
      'CREATE EVENT TRIGGER made ON ddl_command_end EXECUTE FUNCTION made()',
      'CREATE PUBLICATION made',
      `CREATE PUBLICATION made FOR TABLE ${own}.early_table`,
      `CREATE SUBSCRIPTION made CONNECTION 'dbname=postgres' PUBLICATION made`,
      'CREATE FOREIGN DATA WRAPPER made',
      `CREATE TABLESPACE made LOCATION '${folder}'`,
      'CREATE CAST (text AS integer) WITH INOUT',
      'CREATE ACCESS METHOD made TYPE TABLE HANDLER heap_tableam_handler',
    ]);
  },

  'changing objects': ({ which, sandbox }) => {
    const { own } = schemas[which];
    const me = pg.escapeIdentifier(sandbox.role(which));
    const table = `${own}.early_table`;
    return [
      ...all([
        `DROP TABLE ${table}`,
        `DROP TABLE ${own}.token`,
        `DROP VIEW ${own}.early_view`,
        `DROP SCHEMA ${own} CASCADE`,
        `DROP SCHEMA rolecall CASCADE`,
        `DROP SCHEMA rolecall_internal CASCADE`,
        `ALTER TABLE ${table} ADD COLUMN x integer`,
        `ALTER TABLE ${table} OWNER TO ${me}`,
        `ALTER TABLE ${table} RENAME TO x`,
        `ALTER TABLE ${own}.early_partitioned DETACH PARTITION ${own}.early_partition`,
        `ALTER TABLE ${own}.guarded DISABLE ROW LEVEL SECURITY`,
        `ALTER VIEW ${own}.early_view SET (security_barrier = true)`,
        `CREATE OR REPLACE VIEW ${own}.early_view AS SELECT id, value AS name FROM ${own}.token`,
        `ALTER SCHEMA ${own} OWNER TO ${me}`,
        `ALTER SCHEMA ${own} RENAME TO x`,
        `COMMENT ON TABLE ${table} IS 'x'`,
        `CREATE INDEX ON ${table} (id)`,
        `CREATE UNIQUE INDEX CONCURRENTLY ON ${table} (id)`,
        `CREATE TRIGGER made BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
        `CREATE RULE made AS ON INSERT TO ${table} DO INSTEAD NOTHING`,
        `CREATE POLICY made ON ${own}.guarded`,
        `CREATE STATISTICS ${own}.made ON id, name FROM ${table}`,
        `REINDEX TABLE ${table}`,
        `CLUSTER ${table} USING early_table_pkey`,
        `REFRESH MATERIALIZED VIEW ${own}.early_materialized`,
        `SELECT nextval('${own}.numbers')`,
        `SELECT setval('${own}.numbers', 100)`,
        `ALTER SEQUENCE ${own}.numbers RESTART`,
      ]),
      ...all([`ANALYZE ${table}`, `VACUUM ${table}`], '01000'),
    ];
  },

  'reading what is not for it': async ({ which, sandbox }) => {
    const { own, other } = schemas[which];
    const { rows } = await sandbox.admin.query<{ name: string }>(
      `SELECT c.oid::regclass::text AS name FROM pg_class AS c
       WHERE c.relnamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]) AND c.relkind IN ('r', 'v', 'S')`,
    );
    const tables = [
      ...['token', 'sessions', 'sessions_1'].map((name) => `${own}.${name}`),
      ...['early_table', 'early_view', 'token', 'guarded'].map((name) => `${other}.${name}`),
      ...rows.map(({ name }) => name),
      'private.note',
    ];
    if (!tables.includes('rolecall_internal.secret')) throw new Error(tables.join());
    const catalogs =
      'pg_authid pg_shadow pg_user_mapping pg_statistic pg_statistic_ext_data pg_subscription pg_largeobject';
    const views = 'pg_hba_file_rules pg_file_settings pg_config pg_shmem_allocations pg_backend_memory_contexts';
    return [
      ...all(
        tables.flatMap((table) => [
          `SELECT * FROM ${table}`,
          `SELECT count(*) FROM ${table}`,
          `SELECT 1 FROM ${table}`,
          `TABLE ${table}`,
          `COPY (SELECT * FROM ${table}) TO STDOUT`,
          `EXPLAIN SELECT * FROM ${table}`,
          `SELECT query_to_xml('SELECT * FROM ${table}', true, true, '')`,
          `SELECT table_to_xml('${table}', true, true, '')`,
          `SELECT * FROM ts_stat('SELECT to_tsvector(t::text) FROM ${table} AS t')`,
          `DECLARE c CURSOR WITH HOLD FOR SELECT * FROM ${table}`,
          `DO $$BEGIN PERFORM * FROM ${table}; END$$`,
        ]),
      ),
      ...all([...catalogs.split(' '), ...views.split(' ')].map((name) => `SELECT * FROM ${name}`)),
      ...all([
        `SELECT * FROM ${own}.early_table AS t JOIN ${own}.token AS s USING (id)`,
        `SELECT (SELECT value FROM ${own}.token LIMIT 1) FROM ${own}.early_table`,
        `SELECT public.pgrowlocks('${own}.token')`,
        `SELECT public.pg_prewarm('${own}.token')`,
        `SELECT public.get_raw_page('${own}.token', 0)`,
        `SELECT lo_get(4711)`,
        `SELECT loread(lo_open(4711, 262144), 10)`,
        `SELECT lo_put(4711, 0, 'x')`,
        `SELECT lo_unlink(4711)`,
        `SHOW data_directory`,
        `SELECT current_setting('hba_file')`,
      ]),
      // Row-level security that is turned off is an error, not a way around it.
      ...after(['SET row_security = off'], [`SELECT * FROM ${own}.guarded`]),
    ];
  },

  dumping: ({ which }) => {
    const { own } = schemas[which];
    // What pg_dump does: it locks all that it is going to read, and then copies it.
    const begin = ['SET row_security = off', 'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY'];
    return [
      ...after(begin, [
        `LOCK TABLE ${own}.early_table, ${own}.token IN ACCESS SHARE MODE`,
        `LOCK TABLE ${own}.sessions IN ACCESS SHARE MODE`,
        `LOCK TABLE ${own}.sessions_1 IN ACCESS SHARE MODE`,
        `LOCK TABLE rolecall_internal.secret IN ACCESS SHARE MODE`,
        `COPY ${own}.token (id, value) TO STDOUT`,
        `COPY ${own}.sessions_1 TO STDOUT`,
        `COPY rolecall_internal.secret TO STDOUT`,
        `COPY rolecall_internal.resource TO STDOUT`,
        `COPY ${own}.guarded TO STDOUT`,
        'SELECT rolname, rolpassword FROM pg_authid',
      ]),
      ...after([...begin, `LOCK TABLE ${own}.early_table IN ACCESS SHARE MODE`], [`COPY ${own}.token TO STDOUT`]),
    ];
  },

  'the functions of rolecall': async ({ sandbox, which }) => {
    const { rows } = await sandbox.admin.query<{ call: string }>(
      `SELECT format('%s %s(%s)', CASE p.prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT' END, p.oid::regproc,
                     (SELECT string_agg('NULL::' || format_type(t.type, NULL), ', ' ORDER BY t.position)
                      FROM unnest(p.proargtypes) WITH ORDINALITY AS t(type, position))) AS call
       FROM pg_proc AS p WHERE p.pronamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]) ORDER BY 1`,
    );
    const calls = rows.map(({ call }) => call);
    if (calls.length < 100) throw new Error(calls.join());
    const me = pg.escapeLiteral(sandbox.role(which));
    return all([
      ...calls,
      `SELECT rolecall.reporting_role_password(${me})`,
      `SELECT rolecall.get_secret('rolecall.reporting')`,
      `SELECT * FROM rolecall.rotate_reporting_secret()`,
      `SELECT * FROM rolecall.set_password('postgres', 'x')`,
      `SELECT * FROM rolecall.grant_role('postgres', ${me})`,
    ]).concat(
      // A schema that may not be used is not searched either.
      after(['SET search_path = rolecall'], [`SELECT reporting_role_password(${me})`], '42883'),
      after(['SET search_path = rolecall_internal'], ['SELECT * FROM secret'], '42P01'),
    );
  },

  'files and programs of the server': ({ which, folder }) => {
    const { own } = schemas[which];
    const functions = [
      `pg_read_file('PG_VERSION')`,
      `pg_read_binary_file('PG_VERSION')`,
      `pg_stat_file('PG_VERSION')`,
      `pg_ls_dir('.')`,
      'pg_ls_logdir()',
      'pg_ls_waldir()',
      'pg_ls_tmpdir()',
      'pg_ls_archive_statusdir()',
      'pg_current_logfile()',
      `lo_import('/etc/passwd')`,
      `lo_import('/etc/passwd', 4712)`,
      `lo_export(4711, '${folder}/made')`,
    ];
    return all([
      ...functions.map((call) => `SELECT ${call}`),
      ...functions.map((call) => `DO $$BEGIN PERFORM ${call}; END$$`),
      `COPY ${own}.early_table TO '${folder}/made'`,
      `COPY (SELECT 1) TO '${folder}/made'`,
      `COPY (SELECT 1) TO PROGRAM 'cat > ${folder}/made'`,
      `COPY ${own}.early_table FROM '/etc/passwd'`,
      `COPY ${own}.early_table FROM PROGRAM 'touch ${folder}/made'`,
      `DO $$BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''cat > ${folder}/made'''; END$$`,
      `LOAD 'auto_explain'`,
      `LOAD '${folder}/made'`,
      `CREATE FUNCTION pg_temp.made() RETURNS integer LANGUAGE c AS '${folder}/made'`,
      `CREATE FUNCTION pg_temp.made() RETURNS integer LANGUAGE internal AS 'int4inc'`,
      `CREATE FOREIGN TABLE pg_temp.made (line text) SERVER files OPTIONS (filename '/etc/passwd')`,
      `ALTER FOREIGN TABLE early_foreign OPTIONS (SET filename '/etc/passwd')`,
      `ALTER SERVER files OPTIONS (ADD x 'x')`,
    ]);
  },

  'the server and other sessions': async ({ sandbox }) => {
    const pids: string[] = [];
    for (const client of [sandbox.admin, sandbox.provisioner, sandbox.owners.public, sandbox.owners.reporting]) {
      pids.push((await client.query<{ pid: string }>('SELECT pg_backend_pid()::text AS pid')).rows[0]?.pid ?? '');
    }
    return all([
      ...pids.flatMap((pid) => [`SELECT pg_terminate_backend(${pid})`, `SELECT pg_cancel_backend(${pid})`]),
      `ALTER SYSTEM SET work_mem = '1MB'`,
      'ALTER SYSTEM RESET ALL',
      'CHECKPOINT',
      'SET session_replication_role = replica',
      'SET zero_damaged_pages = on',
      `SET log_statement = 'none'`,
      `SET session_preload_libraries = 'x'`,
      'SET lo_compat_privileges = on',
      'SELECT pg_reload_conf()',
      'SELECT pg_rotate_logfile()',
      'SELECT pg_switch_wal()',
      'SELECT pg_promote()',
      `SELECT pg_create_restore_point('x')`,
      'SELECT pg_stat_reset()',
      `SELECT pg_stat_reset_shared('bgwriter')`,
      `SELECT pg_create_physical_replication_slot('made')`,
      `SELECT pg_create_logical_replication_slot('made', 'pgoutput')`,
      `SELECT pg_replication_origin_create('made')`,
      `SELECT pg_import_system_collations('public')`,
      'SELECT pg_log_backend_memory_contexts(pg_backend_pid())',
    ]);
  },

  'ways back into the server': async ({ sandbox, which, host, port, folder }) => {
    const { own } = schemas[which];
    const me = sandbox.role(which);
    const { rows } = await sandbox.provisioner.query<{ password: string }>(
      'SELECT rolecall.reporting_role_password($1) AS password',
      [me],
    );
    const to = (user: string, password?: string, address = host) =>
      `host=${address} port=${port} dbname=${sandbox.database} user=${user}` +
      (password === undefined ? '' : ` password=${password}`);
    const trusted = to('trusted');
    const itself = `${to(me, rows[0]?.password)} options=-cdefault_transaction_read_only=off`;
    const insert = `INSERT INTO ${own}.early_table VALUES (9, ''x'')`;
    const connected = `SELECT public.dblink_connect('${itself}')`;
    return [
      // Without a password that the server asked for, nobody but a superuser connects.
      ...all(
        [trusted, to('trusted', 'x'), to('trusted', undefined, folder), to('trusted', 'x', folder), to(me)].flatMap(
          (text) => [
            `SELECT public.dblink_connect('${text}')`,
            `SELECT * FROM public.dblink('${text}', 'SELECT 1') AS t(one integer)`,
            `SELECT public.dblink_exec('${text}', '${insert}')`,
          ],
        ),
        '2F003',
      ),
      ...all(
        ['postgres', sandbox.owners.public.user ?? ''].map(
          (user) => `SELECT public.dblink_connect('${to(user, 'x')}')`,
        ),
        '08001',
      ),
      ...all([
        `SELECT public.dblink_connect_u('${trusted}')`,
        `SELECT public.dblink_connect_u('one', '${trusted}')`,
        `SELECT public.dblink_connect('loopback')`,
        `SELECT * FROM public.dblink('loopback', 'SELECT 1') AS t(one integer)`,
      ]),
      // As itself it can do there what it can do here.
      ...after(
        [connected],
        [
          `SELECT public.dblink_exec('${insert}')`,
          `SELECT public.dblink_exec('SET ROLE trusted')`,
          `SELECT * FROM public.dblink('SELECT value FROM ${own}.token') AS t(value text)`,
        ],
      ),
      ...all([
        'CREATE SERVER made FOREIGN DATA WRAPPER postgres_fdw',
        `CREATE USER MAPPING FOR CURRENT_USER SERVER loopback OPTIONS (user 'trusted')`,
        `ALTER USER MAPPING FOR PUBLIC SERVER loopback OPTIONS (SET user 'postgres')`,
        `IMPORT FOREIGN SCHEMA ${own} FROM SERVER loopback INTO ${own}`,
        `CREATE FOREIGN TABLE ${own}.made (id integer) SERVER loopback`,
        `ALTER SERVER loopback OPTIONS (SET host 'elsewhere')`,
      ]),
    ];
  },
};
