-- provision_reporting_roles: the usual pair. What each of the two is like is tested with provision_reporting_role.
BEGIN;
SELECT plan(49);

CREATE TABLE public.patient (id integer);
CREATE TABLE public.token (id integer);
CREATE ROLE t_super SUPERUSER;

-- Errors, before anything changes.

CREATE TEMPORARY TABLE before (state text);
INSERT INTO before VALUES (test.state());
CREATE FUNCTION pg_temp.refused(arguments text, code text, what text, message text DEFAULT NULL) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT throws_ok(format('SELECT * FROM rolecall.provision_reporting_roles(%s, dry_run => %L)', arguments, dry_run), code, message,
                   what || CASE WHEN dry_run THEN ', also in a dry run' ELSE '' END)
  FROM (VALUES (false), (true)) AS d(dry_run)
$$;
SELECT pg_temp.refused($$'t_one', 't_one'$$, '22023', 'two roles of one name',
                       'the reporting and the raw role must have two different names');
SELECT pg_temp.refused($$''$$, '42602', 'an empty name');
SELECT pg_temp.refused(format('raw_role => %L', repeat('x', 64)), '42602', 'a name of 64 bytes');
SELECT pg_temp.refused($$raw_role => 'pg_raw'$$, '42939', 'a reserved name');
SELECT pg_temp.refused($$'t_super'$$, '22023', 'a superuser');
SELECT pg_temp.refused(format('raw_role => %L', current_user), '22023', 'the caller');
SELECT pg_temp.refused('reporting_schema => NULL', '22004', 'a null schema');
SELECT pg_temp.refused($$raw_schema => 'information_schema'$$, '42939', 'a schema of the server''s');
SELECT pg_temp.refused($$withheld_tables => ARRAY['two words']$$, '22023', 'a withheld table that is not quoted where it has to be');
SELECT pg_temp.refused($$table_owners => ARRAY['pg_owner']$$, '42939', 'a reserved name of an owner of tables');
-- The schema public is never created. The functions of pgTAP are in it.
ALTER SCHEMA public RENAME TO t_public;
SET LOCAL search_path = t_public;
SELECT pg_temp.refused($$raw_schema => 'public'$$, '3F000', 'the schema public that was dropped', 'schema "public" does not exist');
RESET search_path;
ALTER SCHEMA t_public RENAME TO public;
SELECT is(test.state(), (SELECT state FROM before), 'none of them changed anything');

-- By default.

CREATE TEMPORARY TABLE dry AS SELECT * FROM rolecall.provision_reporting_roles(withheld_tables => ARRAY['token'], dry_run => true);
SELECT is(test.state(), (SELECT state FROM before), 'a dry run changes nothing');
CREATE TEMPORARY TABLE done AS SELECT * FROM rolecall.provision_reporting_roles(withheld_tables => ARRAY['token']);
SELECT results_eq(
  'SELECT operation, target, statement FROM dry', 'SELECT operation, target, statement FROM done', 'and says what the call does'
);
SELECT set_eq(
  $$SELECT target FROM done WHERE operation = 'create_role'$$,
  ARRAY[current_database() || '_reporting', current_database() || '_raw'], 'the roles are named after the database'
);
SELECT has_schema('reporting', 'the schema for reports is made');
SELECT schema_privs_are('reporting', current_database() || '_reporting', ARRAY['USAGE'], 'which one of them uses');
SELECT table_privs_are('public', 'patient', (current_database() || '_raw')::name, ARRAY['SELECT'], 'the other one reads the raw data');
SELECT table_privs_are('public', 'token', (current_database() || '_raw')::name, ARRAY[]::text[], 'without what is withheld');
SELECT table_privs_are('public', 'patient', (current_database() || '_reporting')::name, ARRAY[]::text[], 'and the first one does not');
CREATE TABLE reporting.monthly (id integer);
CREATE TABLE reporting.token (id integer);
SELECT table_privs_are('reporting', 'monthly', (current_database() || '_reporting')::name, ARRAY['SELECT'], 'it reads later reports');
SELECT results_eq(
  $$SELECT operation, target, status FROM rolecall.provision_reporting_roles(withheld_tables => ARRAY['token'])$$,
  $$VALUES ('revoke_privilege', 'reporting', 'applied')$$,
  'what is withheld is so from both'
);

-- With other names, and both on one schema that has to be created.

SELECT results_eq(
  $$SELECT operation, target FROM rolecall.provision_reporting_roles('t_one', 't_two', 't_both', 't_both') WHERE operation ~ 'schema|role'$$,
  $$VALUES ('create_role', 't_one'), ('create_role', 't_two'), ('create_schema', 't_both')$$,
  'a schema for both is made once'
);
SELECT isnt(rolecall.reporting_role_password('t_one'), rolecall.reporting_role_password('t_two'), 'each has a password of its own');

-- Then nothing is planned; whatever differs is.

SET LOCAL track_functions = 'all';
CREATE FUNCTION pg_temp.plans() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  before bigint := coalesce(pg_stat_get_xact_function_calls('rolecall_internal.plan(jsonb, jsonb)'::regprocedure), 0);
BEGIN
  PERFORM FROM rolecall.provision_reporting_roles('t_one', 't_two', 't_both', 't_both');
  RETURN coalesce(pg_stat_get_xact_function_calls('rolecall_internal.plan(jsonb, jsonb)'::regprocedure), 0) - before;
END
$$;
SELECT is(pg_temp.plans(), 0::bigint, 'nothing is planned where the roles are as asked for');
CREATE ROLE t_group;
CREATE FUNCTION pg_temp.found(change text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE change;
  RETURN concat_ws(' ', sign(pg_temp.plans()), pg_temp.plans());
END
$$;
SELECT is(pg_temp.found(change), '1 0', 'planned, and then not again: ' || change)
FROM (
  VALUES ('ALTER ROLE t_two CREATEDB'), ('ALTER ROLE t_two NOLOGIN'), ($$ALTER ROLE t_one PASSWORD 'another'$$),
         ($$ALTER ROLE t_two VALID UNTIL '2000-01-01'$$), ('GRANT t_group TO t_two'),
         ('ALTER ROLE t_one SET search_path = public'), ('ALTER ROLE t_one RESET default_transaction_read_only'),
         (format('ALTER ROLE t_two IN DATABASE %I SET search_path = public', current_database())),
         (format('ALTER ROLE t_two IN DATABASE %I SET default_transaction_read_only = off', current_database())),
         ($$DELETE FROM rolecall_internal.resource WHERE section = 'settings' AND key = '["t_one", "search_path"]'$$)
) AS c(change);

-- Nothing to do.

SELECT is_empty($$SELECT * FROM rolecall.provision_reporting_roles(withheld_tables => ARRAY['token'])$$, 'then nothing is left to do');
SELECT is(
  test.least_wal($$SELECT FROM rolecall.provision_reporting_roles(withheld_tables => ARRAY['token'])$$), 0::numeric, 'which writes nothing'
);
SET LOCAL transaction_read_only = on;
SELECT is_empty(
  $$SELECT * FROM rolecall.provision_reporting_roles(withheld_tables => ARRAY['token'])$$, 'and works in a READ ONLY transaction'
);

SELECT * FROM finish();
ROLLBACK;
