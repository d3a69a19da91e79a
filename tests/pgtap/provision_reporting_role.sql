-- provision_reporting_role: what a role may read, what is taken from it, and that a second call does nothing. Logging in
-- as it, and roles that had more before, are tested in security/.
BEGIN;
SELECT plan(79);

CREATE ROLE t_owner;
CREATE SCHEMA t_app;
GRANT ALL ON SCHEMA t_app TO t_owner;
CREATE TABLE t_app.patient (id integer);
CREATE TABLE t_app.token (id integer);
CREATE TABLE t_app."Odd name" (id integer);
CREATE TABLE t_app."a.b" (id integer);
CREATE TABLE t_app.parted (id integer) PARTITION BY LIST (id);
CREATE TABLE t_app.part PARTITION OF t_app.parted FOR VALUES IN (1);
CREATE TABLE t_app.sessions (id integer) PARTITION BY LIST (id);
CREATE TABLE t_app.sessions_1 PARTITION OF t_app.sessions FOR VALUES IN (1);
CREATE VIEW t_app.summary AS SELECT 1 AS one;
CREATE MATERIALIZED VIEW t_app.stored AS SELECT 1 AS one;
CREATE FOREIGN DATA WRAPPER t_wrapper;
CREATE SERVER t_server FOREIGN DATA WRAPPER t_wrapper;
CREATE FOREIGN TABLE t_app.foreign_table (id integer) SERVER t_server;
CREATE SEQUENCE t_app.numbers;
ALTER TABLE t_app.patient OWNER TO t_owner;

CREATE FUNCTION pg_temp.provision(dry_run boolean DEFAULT false) RETURNS SETOF rolecall.step LANGUAGE sql AS $$
  SELECT * FROM rolecall.provision_reporting_role(
    't_report', ARRAY['t_app', 't_new'], ARRAY['token', 't_app.later', 't_app."a.b"', 'SESSIONS', 'elsewhere.patient', '"Summary"'],
    dry_run => dry_run
  )
$$;

-- What it can read and write of the tables.
CREATE FUNCTION pg_temp.rights() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT format('%s %s', c.relname, string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ' ' ORDER BY x.privilege_type))
  FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS x
  WHERE x.grantee = to_regrole('t_report')::oid
  GROUP BY c.relname ORDER BY c.relname COLLATE "C"
$$;

-- Errors, before anything changes.

CREATE TEMPORARY TABLE before AS SELECT test.state() AS state;
CREATE ROLE t_super SUPERUSER;
UPDATE before SET state = test.state();
CREATE FUNCTION pg_temp.refused(arguments text, code text, what text, message text DEFAULT NULL) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT throws_ok(format('SELECT * FROM rolecall.provision_reporting_role(%s, dry_run => %L)', arguments, dry_run), code, message,
                   what || CASE WHEN dry_run THEN ', also in a dry run' ELSE '' END)
  FROM (VALUES (false), (true)) AS d(dry_run)
$$;
SELECT pg_temp.refused($$NULL, ARRAY['t_app']$$, '22004', 'a null name');
SELECT pg_temp.refused($$'', ARRAY['t_app']$$, '42602', 'an empty name');
SELECT pg_temp.refused(format('%L, ARRAY[''t_app'']', repeat('x', 64)), '42602', 'a name of 64 bytes');
SELECT pg_temp.refused($$'pg_mine', ARRAY['t_app']$$, '42939', 'a reserved name');
SELECT pg_temp.refused($$'public', ARRAY['t_app']$$, '42939', 'the name of PUBLIC');
SELECT pg_temp.refused($$'t_super', ARRAY['t_app']$$, '22023', 'a superuser');
SELECT pg_temp.refused(format('%L, ARRAY[''t_app'']', current_user), '22023', 'the caller',
                       format('role "%s" is the role that makes this call', current_user));
SELECT pg_temp.refused($$'t_report', NULL$$, '22004', 'null schemas',
                       'schemas must not be null');
SELECT pg_temp.refused($$'t_report', ARRAY[]::text[]$$, '22023', 'no schema',
                       'reporting role "t_report" requires at least one schema');
SELECT pg_temp.refused($$'t_report', ARRAY['t_app', NULL]$$, '22004', 'a null schema',
                       'schema name must not be null');
SELECT pg_temp.refused($$'t_report', ARRAY['']$$, '42602', 'a schema without a name');
SELECT pg_temp.refused(format('''t_report'', ARRAY[%L]', repeat('x', 64)), '42602', 'a schema with a name of 64 bytes',
                       'schema name must be 1 to 63 bytes long, not 64');
SELECT pg_temp.refused($$'t_report', ARRAY['pg_catalog']$$, '42939', 'a schema of the server''s');
SELECT pg_temp.refused($$'t_report', ARRAY['rolecall']$$, '42939', 'the schema of rolecall',
                       'schema "rolecall" is not for reports');
SELECT pg_temp.refused($$'t_report', ARRAY['t_app'], ARRAY[NULL]::text[]$$, '22004', 'a withheld table without a name',
                       'name of a withheld table must not be null');
SELECT pg_temp.refused($$'t_report', ARRAY['t_app'], ARRAY['']$$, '22023', 'with an empty one');
SELECT pg_temp.refused($$'t_report', ARRAY['t_app'], ARRAY['two words']$$, '22023', 'that is not quoted where it has to be');
SELECT pg_temp.refused($$'t_report', ARRAY['t_app'], ARRAY['"token']$$, '22023', 'that is quoted by half');
SELECT pg_temp.refused($$'t_report', ARRAY['t_app'], ARRAY['a.b.c.d']$$, '42602', 'of four parts',
                       'withheld name ''a.b.c.d'' has more parts than a schema, a table and a column');
SELECT pg_temp.refused(format('''t_report'', ARRAY[''t_app''], ARRAY[%L]', repeat('x', 64)), '42602', 'of 64 bytes',
                       format('name of withheld table %L must be 1 to 63 bytes long, not 64', repeat('x', 64)));
SELECT pg_temp.refused($$'t_report', ARRAY['t_app'], '{}', ARRAY[NULL]::text[]$$, '22004', 'an owner of tables without a name');
SELECT pg_temp.refused($$'t_report', ARRAY['t_app'], '{}', ARRAY['']$$, '42602', 'with an empty one');
SELECT pg_temp.refused($$'t_report', ARRAY['t_app'], search_path => ARRAY['t_app', NULL]$$, '22004', 'a null schema of the path');
SELECT pg_temp.refused($$'t_report', ARRAY['t_app'], search_path => ARRAY['']$$, '42602', 'a schema of the path without a name');
SELECT is(test.state(), (SELECT state FROM before), 'none of them changed anything');

-- The first call.

CREATE TEMPORARY TABLE dry AS SELECT * FROM pg_temp.provision(true);
SELECT is(test.state(), (SELECT state FROM before), 'a dry run changes nothing');
CREATE TEMPORARY TABLE done AS SELECT * FROM pg_temp.provision();
SELECT results_eq(
  'SELECT operation, target, statement FROM dry', 'SELECT operation, target, statement FROM done', 'and says what the call does'
);
SELECT results_eq('SELECT DISTINCT status FROM dry', $$VALUES ('planned')$$, 'as planned');
SELECT results_eq(
  'SELECT operation, target FROM done WHERE operation <> ''rotate_secret''',
  $$VALUES ('create_role', 't_report'), ('set_config', 't_report'), ('set_config', 't_report'), ('set_config', 't_report'),
           ('create_schema', 't_new'), ('grant_privilege', 't_app'), ('grant_privilege', 't_new'),
           ('grant_privilege', 't_app'), ('grant_privilege', 't_app'),
           ('default_privilege', 't_report'), ('default_privilege', 't_report'),
           ('default_privilege', 't_report'), ('default_privilege', 't_report')$$,
  'the call makes it'
);
SELECT is_empty('SELECT * FROM pg_temp.provision()', 'a second one has nothing to do');
SELECT has_schema('t_new', 'a missing schema is made');
SELECT results_eq(
  'SELECT * FROM pg_temp.rights()',
  ARRAY['Odd name SELECT', 'foreign_table SELECT', 'numbers SELECT', 'part SELECT', 'parted SELECT', 'patient SELECT', 'stored SELECT', 'summary SELECT'],
  'it reads tables of every kind and name, and sequences, but those withheld and their partitions'
);
SELECT schema_privs_are('t_app', 't_report', ARRAY['USAGE'], 'uses the schema');
SELECT is(
  (SELECT concat_ws(' ', rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls) FROM pg_roles WHERE rolname = 't_report'),
  't f f f f f', 'its attributes'
);
SELECT set_eq(
  $$SELECT coalesce(d.datname, '') || ' ' || e FROM pg_db_role_setting AS s CROSS JOIN LATERAL unnest(s.setconfig) AS e
    LEFT JOIN pg_database AS d ON d.oid = s.setdatabase WHERE s.setrole = 't_report'::regrole$$,
  ARRAY[' default_transaction_read_only=on', ' search_path=t_app, t_new, public', -- where pgTAP is
        current_database() || ' default_transaction_read_only=on'],
  'its settings'
);
SELECT ok(rolecall_internal.password_matches(rolecall.reporting_role_password('t_report'),
  (SELECT rolpassword FROM pg_authid WHERE rolname = 't_report')), 'its password is the derived one');

-- Later tables.

SET LOCAL ROLE t_owner;
CREATE TABLE t_app.visit (id integer);
CREATE TABLE t_app.later (id integer);
RESET ROLE;
SELECT table_privs_are('t_app', 'visit', 't_report', ARRAY['SELECT'], 'it reads what an owner of tables makes later');
SELECT results_eq(
  'SELECT statement FROM pg_temp.provision()', $$VALUES ('REVOKE SELECT ON t_app.later FROM t_report CASCADE')$$,
  'what was to be withheld before it was there is so from the next call on'
);
SELECT results_eq(
  $$SELECT operation, statement, status, sqlstate FROM rolecall.provision_reporting_role('t_other', ARRAY['t_new'], '{}', ARRAY['t_nobody', 't_owner'])
    WHERE operation = 'default_privilege'$$,
  $$SELECT 'default_privilege', format('ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA t_new GRANT SELECT ON %s TO t_other', o.name, k),
           o.status, o.sqlstate
    FROM (VALUES ('t_nobody', 'skipped', '42704'), ('t_owner', 'applied', NULL)) AS o(name, status, sqlstate),
         (VALUES ('SEQUENCES'), ('TABLES')) AS k(k)
    ORDER BY 2$$,
  'an owner of tables that does not exist is skipped'
);
SELECT FROM rolecall.provision_reporting_role('t_other', ARRAY[['t_new', 't_app'], ['t_new', 't_app']], '{}', ARRAY['t_owner']);
SELECT is(
  (SELECT p.resource -> 'schemas' FROM rolecall_internal.resource AS p WHERE p.section = 'read_access' AND p.key = '["t_other"]'
   ORDER BY p.recorded_at DESC LIMIT 1),
  '["t_new", "t_app"]', 'each schema counts once'
);

-- Its search_path.

CREATE FUNCTION pg_temp.path_of(role text) RETURNS text LANGUAGE sql AS $$
  SELECT e FROM pg_db_role_setting AS s CROSS JOIN LATERAL unnest(s.setconfig) AS e
  WHERE s.setrole = to_regrole(role)::oid AND s.setdatabase = 0 AND starts_with(e, 'search_path=')
$$;
CREATE FUNCTION pg_temp.with_path(path text[]) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT statement FROM rolecall.provision_reporting_role('t_other', ARRAY['t_new', 't_app'], '{}', ARRAY['t_owner'], search_path => path)
$$;
SELECT results_eq(
  $$SELECT pg_temp.with_path(ARRAY['t_app', '$user', 'T odd', 'pg_catalog'])$$,
  $$VALUES ('ALTER ROLE t_other SET search_path = t_app, "$user", "T odd", pg_catalog')$$, 'the path that is given'
);
SELECT is_empty($$SELECT pg_temp.with_path(ARRAY['t_app', '$user', 'T odd', 'pg_catalog'])$$, 'is kept');
SELECT results_eq('SELECT pg_temp.with_path(ARRAY[]::text[])', $$VALUES ('ALTER ROLE t_other SET search_path = ''''')$$, 'also an empty one');
SELECT is_empty('SELECT pg_temp.with_path(ARRAY[]::text[])', 'twice');
CREATE SCHEMA "t Extensions";
CREATE EXTENSION pgcrypto SCHEMA "t Extensions";
SELECT results_eq(
  'SELECT pg_temp.with_path(NULL)', $$VALUES ('ALTER ROLE t_other SET search_path = t_new, t_app, public, "t Extensions"')$$,
  'else its schemas, and then those of extensions'
);

-- What it gains meanwhile.

CREATE ROLE t_group;
GRANT t_group TO t_report;
GRANT INSERT, UPDATE ON t_app.patient TO t_report;
GRANT SELECT ON t_app."Odd name" TO t_report WITH GRANT OPTION;
GRANT SELECT ON t_app.token TO t_report;
GRANT UPDATE (id) ON t_app.visit TO t_report;
GRANT USAGE ON SEQUENCE t_app.numbers TO t_report;
GRANT CREATE ON SCHEMA t_app TO t_report;
ALTER ROLE t_report BYPASSRLS CREATEDB;
ALTER ROLE t_report SET default_transaction_read_only = off;
SELECT set_eq(
  'SELECT statement FROM pg_temp.provision() WHERE operation <> ''revoke_role''',
  ARRAY[
    'ALTER ROLE t_report NOCREATEDB NOBYPASSRLS', 'ALTER ROLE t_report SET search_path = t_app, t_new, public, "t Extensions"',
    'ALTER ROLE t_report SET default_transaction_read_only = ''on''',
    'REVOKE INSERT, UPDATE ON t_app.patient FROM t_report CASCADE', 'REVOKE SELECT ON t_app.token FROM t_report CASCADE',
    'REVOKE GRANT OPTION FOR SELECT ON t_app."Odd name" FROM t_report CASCADE',
    'REVOKE USAGE ON SEQUENCE t_app.numbers FROM t_report CASCADE', 'REVOKE CREATE ON SCHEMA t_app FROM t_report CASCADE',
    'REVOKE UPDATE (id) ON t_app.visit FROM t_report CASCADE'
  ],
  'what it gained meanwhile is taken away'
);
SELECT results_eq(
  'SELECT * FROM pg_temp.rights()',
  ARRAY['Odd name SELECT', 'foreign_table SELECT', 'numbers SELECT', 'part SELECT', 'parted SELECT', 'patient SELECT', 'stored SELECT', 'summary SELECT', 'visit SELECT'],
  'it reads again, and no more'
);
SELECT isnt_member_of('t_group', 't_report', 'it is a member of nothing');
SELECT schema_privs_are('t_app', 't_report', ARRAY['USAGE'], 'makes nothing');
SELECT is_empty($$SELECT FROM pg_roles WHERE rolname = 't_report' AND (rolbypassrls OR rolcreatedb)$$, 'and has no power');

-- A role that it created while it could: from 16 on it has ADMIN OPTION on that role.

ALTER ROLE t_report CREATEROLE;
SET LOCAL ROLE t_report;
CREATE ROLE t_made;
GRANT t_made TO t_report;
GRANT t_made TO t_group;
RESET ROLE;
SELECT set_eq(
  'SELECT operation, target, status FROM pg_temp.provision()',
  $$VALUES ('alter_role', 't_report', 'applied'), ('revoke_role', 't_report', 'applied')
    UNION ALL SELECT 'revoke_role', 't_group', 'applied' WHERE test.is_16()$$,
  'it loses what it could grant itself again, and from 16 the other member what it had by that'
);
SELECT is_empty($$SELECT FROM pg_auth_members WHERE member = 't_report'::regrole$$, 'and is a member of nothing, by no grantor');

-- Nothing to do.

SELECT is_empty('SELECT * FROM pg_temp.provision()', 'then nothing is left to do');
SELECT is(test.least_wal('SELECT FROM pg_temp.provision()'), 0::numeric, 'which writes nothing');
SET LOCAL transaction_read_only = on;
SELECT is_empty('SELECT * FROM pg_temp.provision()', 'and works in a READ ONLY transaction');

SELECT * FROM finish();
ROLLBACK;
