-- who_can: agrees with the server for every role, and says the way.
BEGIN;
SELECT plan(17);

CREATE ROLE t_owner;
CREATE ROLE t_reader;
CREATE ROLE t_login LOGIN;
CREATE ROLE t_noinherit NOINHERIT;
CREATE ROLE t_all;
CREATE SCHEMA t_shop AUTHORIZATION t_owner;
CREATE TABLE t_shop.item (id integer, "Odd name" text);
CREATE SEQUENCE t_shop.counter;
CREATE FUNCTION t_shop.f(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
ALTER TABLE t_shop.item OWNER TO t_owner;
GRANT t_reader TO t_login;
GRANT t_reader TO t_noinherit;
GRANT t_owner TO t_login;
GRANT pg_read_all_data, pg_write_all_data TO t_all;
GRANT SELECT, UPDATE ON t_shop.item TO t_reader;
GRANT UPDATE ("Odd name") ON t_shop.item TO t_noinherit;
GRANT USAGE ON SEQUENCE t_shop.counter TO t_reader;
GRANT UPDATE ON pg_class TO t_reader;
GRANT UPDATE (relname) ON pg_class TO t_noinherit;

SELECT results_eq(
  $$SELECT role, login, path, grantor FROM rolecall.who_can('SELECT', 't_shop.item') WHERE role ~ '^t_'$$,
  $$VALUES ('t_all', false, 'member of pg_read_all_data', NULL), ('t_login', true, 'member of t_owner', 't_owner'), ('t_login', true, 'member of t_reader', 't_owner'),
           ('t_owner', false, 'owner', 't_owner'), ('t_reader', false, 'itself', 't_owner')$$, 'each way is a row'
);
SELECT is_empty(format(
  $$SELECT r.rolname FROM pg_roles AS r WHERE %s <> EXISTS (SELECT FROM rolecall.who_can(%L, %L) AS w WHERE w.role = r.rolname)$$, has, privilege, object
), format('%s on %s agrees with the server', privilege, object))
FROM (VALUES
  ('SELECT', 't_shop.item', $$has_table_privilege(r.oid, 't_shop.item', 'SELECT')$$), ('DELETE', 't_shop.item', $$has_table_privilege(r.oid, 't_shop.item', 'DELETE')$$),
  ('UPDATE', 't_shop.item."Odd name"', $$has_column_privilege(r.oid, 't_shop.item', 'Odd name', 'UPDATE')$$), ('usage', 't_shop', $$has_schema_privilege(r.oid, 't_shop', 'USAGE')$$),
  ('USAGE', 't_shop.counter', $$has_sequence_privilege(r.oid, 't_shop.counter', 'USAGE')$$), ('EXECUTE', 't_shop.f(integer)', $$has_function_privilege(r.oid, 't_shop.f(integer)', 'EXECUTE')$$),
  ('CONNECT', 'template1', $$has_database_privilege(r.oid, 'template1', 'CONNECT')$$), ('TRUNCATE', 't_shop.item', $$has_table_privilege(r.oid, 't_shop.item', 'TRUNCATE')$$),
  ('UPDATE', 'pg_catalog.pg_class', $$has_table_privilege(r.oid, 'pg_class', 'UPDATE')$$), ('UPDATE', 'pg_catalog.pg_class.relname', $$has_column_privilege(r.oid, 'pg_class', 'relname', 'UPDATE')$$)
) AS v(privilege, object, has);
REVOKE t_reader FROM t_login;
SELECT is((SELECT string_agg(path, ', ') FROM rolecall.who_can('SELECT', 't_shop.item') WHERE role = 't_login'), 'member of t_owner', 'what a path names ends it');
SELECT throws_ok($$SELECT * FROM rolecall.who_can('SELECT', NULL)$$, '22004', 'privilege and object must not be null', 'a null object');
SELECT throws_ok($$SELECT * FROM rolecall.who_can('SELECT', 't_shop.none')$$, '42704', 'there is no object t_shop.none', 'no such object');
SELECT throws_ok($$SELECT * FROM rolecall.who_can('EXECUTE', 't_shop.item')$$, '22023', 'a table has no privilege EXECUTE', 'no such privilege');
SELECT is(
  (test.failure($$SELECT FROM rolecall.who_can('MAINTAIN', 't_shop.item')$$)).code,
  CASE WHEN current_setting('server_version_num')::integer < 170000 THEN '22023' END, 'MAINTAIN is of 17'
);

SELECT set_eq($$SELECT * FROM rolecall.who_can('temp', current_database())$$, $$SELECT * FROM rolecall.who_can('TEMPORARY', current_database())$$, 'TEMP is the same as TEMPORARY');
SELECT * FROM finish();
ROLLBACK;
