-- audit: for each role what audit_role() says of it.
BEGIN;
SELECT plan(11);

CREATE ROLE t_owner;
CREATE ROLE "t -> odd" LOGIN CREATEROLE;
CREATE ROLE t_reader LOGIN;
CREATE ROLE t_super SUPERUSER;
CREATE ROLE t_open LOGIN;
CREATE SCHEMA t_shop AUTHORIZATION t_owner;
SET LOCAL ROLE t_owner;
CREATE TABLE t_shop.item (id integer, price integer);
CREATE TABLE t_shop.card (id integer);
CREATE VIEW t_shop.cards AS SELECT * FROM t_shop.card;
CREATE FUNCTION t_shop.act() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
RESET ROLE;
GRANT USAGE ON SCHEMA t_shop TO t_reader;
GRANT UPDATE ON t_shop.item TO t_reader, t_open;
GRANT INSERT (id) ON t_shop.item TO "t -> odd" WITH GRANT OPTION;
GRANT t_reader TO "t -> odd";
GRANT pg_read_all_data TO t_open;
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', '{t_shop}', '{card}');
GRANT pg_read_all_data TO t_report;
ALTER ROLE t_report SET search_path = pg_catalog;

CREATE TEMPORARY TABLE found AS SELECT * FROM rolecall.audit();
SELECT bag_eq(
  format('SELECT severity, path, object, detail, remedy FROM found WHERE role = %L', r.name),
  format('SELECT * FROM rolecall.audit_role(%L)', r.name), 'the findings of ' || r.name
) FROM unnest('{t_owner,t -> odd,t_reader,t_open,t_report}'::text[]) AS r(name);
SELECT is_empty($$SELECT role FROM found WHERE role IN ('t_super', 'pg_monitor', test.superuser())$$, 'superusers and predefined roles are left out');
SELECT is((SELECT string_agg(DISTINCT role, ' ' ORDER BY role) FROM rolecall.audit('{t_reader,t_super}')), 't_reader t_super', 'unless they are asked for');
SELECT is_empty($$SELECT * FROM rolecall.audit('{}')$$, 'of nobody there is nothing');
SELECT throws_ok($$SELECT * FROM rolecall.audit('{t_nobody}')$$, '42704', 'role "t_nobody" does not exist', 'no such role');
SELECT throws_ok($$SELECT * FROM rolecall.audit('{NULL}')$$, '22004', 'role name must not be null', 'a null name');
SELECT throws_ok($$SELECT * FROM rolecall.audit(ARRAY[''])$$, '42602', NULL, 'an empty name');

SELECT * FROM finish();
ROLLBACK;
