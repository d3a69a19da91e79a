-- Reporting roles: what they may read, what is taken from them, and that a second call does nothing.
BEGIN;
SELECT plan(21);

CREATE ROLE t_owner;
CREATE SCHEMA t_app;
GRANT ALL ON SCHEMA t_app TO t_owner;
CREATE TABLE t_app.patient (id integer);
CREATE TABLE t_app.token (id integer);
CREATE TABLE t_app."Odd name" (id integer);
CREATE VIEW t_app.summary AS SELECT 1 AS one;
CREATE SEQUENCE t_app.numbers;
ALTER TABLE t_app.patient OWNER TO t_owner;

CREATE FUNCTION pg_temp.provision(dry_run boolean DEFAULT false) RETURNS SETOF rolecall.step LANGUAGE sql
AS $$SELECT * FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app', 't_new'], ARRAY['token', 't_app.later'], dry_run => dry_run)$$;

SELECT cmp_ok((SELECT count(*) FROM pg_temp.provision(true)), '>', 5::bigint, 'a dry run plans');
SELECT hasnt_role('t_report', 'and makes no role');
SELECT hasnt_schema('t_new', 'and no schema');

SELECT cmp_ok((SELECT count(*) FROM pg_temp.provision() WHERE status = 'applied'), '>', 5::bigint, 'the call makes it');
SELECT is_empty('SELECT * FROM pg_temp.provision()', 'a second one has nothing to do');
SELECT has_schema('t_new', 'a missing schema is made');
SELECT table_privs_are('t_app', 'patient', 't_report', ARRAY['SELECT'], 'it reads tables');
SELECT table_privs_are('t_app', 'Odd name', 't_report', ARRAY['SELECT'], 'of any name');
SELECT table_privs_are('t_app', 'summary', 't_report', ARRAY['SELECT'], 'and views');
SELECT table_privs_are('t_app', 'token', 't_report', ARRAY[]::text[], 'not those withheld');
SELECT ok(rolecall._password_matches(rolecall.reporting_role_password('t_report'),
  (SELECT rolpassword FROM pg_authid WHERE rolname = 't_report')), 'its password is the derived one');

SET LOCAL ROLE t_owner;
CREATE TABLE t_app.visit (id integer);
RESET ROLE;
SELECT table_privs_are('t_app', 'visit', 't_report', ARRAY['SELECT'], 'it reads what an owner of tables makes later');

CREATE ROLE t_group;
GRANT t_group TO t_report;
GRANT INSERT, UPDATE ON t_app.patient TO t_report;
GRANT SELECT ON t_app.token TO t_report;
GRANT USAGE ON SEQUENCE t_app.numbers TO t_report;
GRANT CREATE ON SCHEMA t_app TO t_report;
ALTER ROLE t_report BYPASSRLS CREATEDB;
ALTER ROLE t_report SET default_transaction_read_only = off;
SELECT cmp_ok((SELECT count(*) FROM pg_temp.provision() WHERE status = 'applied'), '>=', 7::bigint, 'what it gained meanwhile');
SELECT table_privs_are('t_app', 'patient', 't_report', ARRAY['SELECT'], 'is taken away: writing');
SELECT table_privs_are('t_app', 'token', 't_report', ARRAY[]::text[], 'reading what is withheld');
SELECT sequence_privs_are('t_app', 'numbers', 't_report', ARRAY[]::text[], 'sequences');
SELECT schema_privs_are('t_app', 't_report', ARRAY['USAGE'], 'CREATE on a schema');
SELECT isnt_member_of('t_group', 't_report', 'memberships');
SELECT is_empty($$SELECT FROM pg_roles WHERE rolname = 't_report' AND (rolbypassrls OR rolcreatedb)$$, 'attributes');
SELECT is_empty('SELECT * FROM pg_temp.provision()', 'and then nothing is left to do');

SELECT throws_ok($$SELECT rolecall.reporting_role_password('t_owner')$$, '42704', NULL, 'no other role has such a password');

SELECT * FROM finish();
ROLLBACK;
