-- watch_new_tables(): what a policy says of all objects of a schema, from the moment that anyone makes or moves one.
BEGIN;
SELECT plan(56);

CREATE ROLE t_maker;
CREATE ROLE t_second;
CREATE ROLE t_plain;
CREATE SCHEMA t_app AUTHORIZATION t_maker;
CREATE SCHEMA t_other AUTHORIZATION t_maker;
GRANT USAGE, CREATE ON SCHEMA t_app, t_other TO t_second;
CREATE TABLE t_app.first (id integer);

-- What a role has on an object.
CREATE FUNCTION pg_temp.held(object text, role text, kind text DEFAULT 'table') RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(DISTINCT x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ' '), 'nothing')
  FROM (
    SELECT c.relacl FROM pg_class AS c WHERE kind = 'table' AND c.oid = object::regclass
    UNION ALL
    SELECT coalesce(f.proacl, acldefault('f', f.proowner)) FROM pg_proc AS f
    WHERE kind = 'function' AND f.oid = to_regprocedure(CASE kind WHEN 'function' THEN object END)
    UNION ALL
    SELECT coalesce(t.typacl, acldefault('T', t.typowner)) FROM pg_type AS t
    WHERE kind = 'type' AND t.oid = to_regtype(CASE kind WHEN 'type' THEN object END)
  ) AS o(acl) CROSS JOIN aclexplode(o.acl) AS x
  WHERE x.grantee = CASE role WHEN 'PUBLIC' THEN 0 ELSE role::regrole::oid END
$$;
CREATE FUNCTION pg_temp.columns(object text, role text) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(a.attname || ' ' || x.privilege_type, ', ' ORDER BY a.attnum, x.privilege_type), 'nothing')
  FROM pg_attribute AS a CROSS JOIN aclexplode(a.attacl) AS x
  WHERE a.attrelid = object::regclass AND x.grantee = role::regrole
$$;
-- Runs a command as somebody who makes objects.
CREATE FUNCTION pg_temp.made(command text, maker text DEFAULT 't_maker') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('role', maker, true);
  EXECUTE command;
  PERFORM set_config('role', 'none', true);
END
$$;

SELECT count(*) FROM rolecall.apply('{
  "roles": {"t_reader": {}, "t_writer": {}, "t_loose": {"exact": false}},
  "privileges": [
    {"to": "t_reader", "on": {"tables_in": "t_app", "except": ["t_app.card", "t_app.person.ssn"]}, "grant": ["SELECT"]},
    {"to": ["t_writer", "t_loose"], "on": {"tables_in": "t_app", "except": "t_app.card"}, "grant": ["SELECT", "INSERT", "DELETE"]},
    {"to": "t_writer", "on": {"tables_in": "t_other"}, "grant": ["SELECT"], "with_grant_option": true},
    {"to": "t_writer", "on": {"table": "t_app.card"}, "grant": ["SELECT"]},
    {"to": "t_writer", "on": {"columns": ["id"], "of": "t_app.first"}, "grant": ["UPDATE"]},
    {"to": "t_writer", "on": {"sequences_in": "t_app", "except": "t_app.hidden"}, "grant": ["USAGE"]},
    {"to": "t_writer", "on": {"functions_in": "t_app", "except": ["t_app.secret(integer)", "t_app.later(int)"]}, "grant": ["EXECUTE"]},
    {"to": "t_writer", "on": {"types_in": "t_app", "except": "t_app.odd"}, "grant": ["USAGE"]},
    {"to": "PUBLIC", "on": {"functions_in": "t_app"}, "revoke": ["EXECUTE"]}
  ]
}') AS a WHERE a.sqlstate IS DISTINCT FROM '42P01';
SELECT is_empty($$SELECT * FROM rolecall.drift() WHERE sqlstate IS DISTINCT FROM '42P01'$$, 'nothing has drifted');
SELECT pg_temp.made('CREATE TABLE t_app.unwatched (id integer)', 't_second');
SELECT is(pg_temp.held('t_app.unwatched', 't_reader'), 'nothing', 'without it a table of an owner that comes new is for the next call');
SELECT count(*) FROM rolecall.watch_new_tables();
SELECT count(*) FROM rolecall.converge();

-- Whoever creates a table.
SELECT pg_temp.made('CREATE TABLE t_app.fresh (id serial)', 't_second');
SELECT is(pg_temp.held('t_app.fresh', 't_reader'), 'SELECT', 'a table');
SELECT is(pg_temp.held('t_app.fresh', 't_writer'), 'DELETE INSERT SELECT', 'all that is said of it');
SELECT is(pg_temp.held('t_app.fresh', 't_loose'), 'DELETE INSERT SELECT', 'also of a role that may have more');
SELECT is(pg_temp.held('t_app.fresh', 't_plain'), 'nothing', 'and nobody else');
SELECT is(pg_temp.held('t_app.fresh_id_seq', 't_writer'), 'USAGE', 'a sequence');
SELECT is(pg_temp.held('t_app.fresh_id_seq', 't_reader'), 'nothing', 'for those of whom that is said');
SELECT pg_temp.made('CREATE VIEW t_app.seen AS SELECT 1 AS id; CREATE TABLE t_app."Odd ""one""" AS SELECT 1 AS id', 't_second');
SELECT is(pg_temp.held('t_app.seen', 't_writer'), 'DELETE INSERT SELECT', 'a view');
SELECT is(pg_temp.held('t_app."Odd ""one"""', 't_reader'), 'SELECT', 'a table with an odd name');
SELECT pg_temp.made('CREATE TABLE t_other.elsewhere (id integer)', 't_second');
SELECT is(pg_temp.held('t_other.elsewhere', 't_writer'), 'SELECT*', 'with the grant option');
SELECT is(pg_temp.held('t_other.elsewhere', 't_reader'), 'nothing', 'not in another schema');
SELECT is_empty($$SELECT * FROM rolecall.drift() WHERE sqlstate IS DISTINCT FROM '42P01'$$, 'nothing is left for converge()');

-- What is excepted, of an owner whose default privileges would grant it.
SELECT pg_temp.made('CREATE TABLE t_app.card (id integer)');
SELECT is(pg_temp.held('t_app.card', 't_reader'), 'nothing', 'an excepted table');
SELECT is(pg_temp.held('t_app.card', 't_writer'), 'SELECT', 'keeps what is said of it by name');
SELECT is(pg_temp.held('t_app.card', 't_loose'), 'nothing', 'also of a role that may have more');
SELECT pg_temp.made('CREATE TABLE t_app.child () INHERITS (t_app.card)');
SELECT is(pg_temp.held('t_app.child', 't_reader'), 'nothing', 'what inherits from it');
SELECT is(pg_temp.held('t_app.child', 't_writer'), 'nothing', 'for all');
SELECT pg_temp.made('DROP TABLE t_app.card CASCADE; CREATE VIEW t_app.card AS SELECT 1 AS id', 't_maker');
SELECT is(pg_temp.held('t_app.card', 't_reader'), 'nothing', 'made again, as a view');
SELECT pg_temp.made('DROP VIEW t_app.card; CREATE TABLE t_app.card (id integer) PARTITION BY LIST (id);
  CREATE TABLE t_app.card_1 PARTITION OF t_app.card FOR VALUES IN (1)');
SELECT is(pg_temp.held('t_app.card_1', 't_loose'), 'nothing', 'a partition of it');
SELECT count(*) FROM rolecall.converge();
SELECT pg_temp.made('ALTER TABLE t_app.card RENAME TO paper');
SELECT is(pg_temp.held('t_app.paper', 't_reader'), 'nothing', 'under another name, too');
SELECT pg_temp.made('ALTER TABLE t_app.paper DETACH PARTITION t_app.card_1; ALTER TABLE t_app.card_1 ADD COLUMN n integer');
SELECT is(pg_temp.held('t_app.card_1', 't_reader'), 'nothing', 'and detached');
SELECT pg_temp.made('ALTER TABLE t_app.fresh RENAME TO card', 't_second');
SELECT is(pg_temp.held('t_app.card', 't_reader'), 'nothing', 'a table that is given the name');
SELECT is(pg_temp.held('t_app.card', 't_loose'), 'DELETE INSERT SELECT', 'a role that may have more keeps what it had');
SELECT pg_temp.made('CREATE SEQUENCE t_app.hidden; CREATE SEQUENCE t_app.shown');
SELECT is(pg_temp.held('t_app.hidden', 't_writer'), 'nothing', 'an excepted sequence');
SELECT is(pg_temp.held('t_app.shown', 't_writer'), 'USAGE', 'another');

-- Columns.
SELECT pg_temp.made('CREATE TABLE t_app.person (id integer, ssn text, name text)');
SELECT is(pg_temp.held('t_app.person', 't_reader'), 'nothing', 'a table with an excepted column');
SELECT is(pg_temp.columns('t_app.person', 't_reader'), 'id SELECT, name SELECT', 'is granted by column');
SELECT is(pg_temp.held('t_app.person', 't_writer'), 'DELETE INSERT SELECT', 'unless another entry excepts nothing');
SELECT is(pg_temp.columns('t_app.person', 't_writer'), 'nothing', 'which says it of the whole table');
SELECT pg_temp.made('ALTER TABLE t_app.person ADD COLUMN more text');
SELECT is(pg_temp.columns('t_app.person', 't_reader'), 'id SELECT, name SELECT, more SELECT', 'a column that is added');
SELECT count(*) FROM rolecall.converge();
SELECT pg_temp.made('ALTER TABLE t_app.person RENAME ssn TO number');
SELECT is(pg_temp.columns('t_app.person', 't_reader'), 'id SELECT, name SELECT, more SELECT', 'not one with another name');
SELECT pg_temp.made('ALTER TABLE t_app.person RENAME name TO ssn');
SELECT is(pg_temp.columns('t_app.person', 't_reader'), 'id SELECT, more SELECT', 'nor one that is given the name');
SELECT pg_temp.made('CREATE TABLE t_app.people (id integer, ssn text) PARTITION BY LIST (id); ALTER TABLE t_app.person RENAME TO folk;
  ALTER TABLE t_app.people RENAME TO person; CREATE TABLE t_app.person_1 PARTITION OF t_app.person FOR VALUES IN (1)');
SELECT is(pg_temp.columns('t_app.person_1', 't_reader'), 'id SELECT', 'nor that of a partition');
SELECT is(pg_temp.held('t_app.person_1', 't_reader'), 'nothing', 'which is granted by column, too');
SELECT count(*) FROM rolecall.converge();
SELECT is(pg_temp.columns('t_app.person_1', 't_reader'), 'id SELECT', 'nor does converge() grant it');
SELECT is(pg_temp.held('t_app.person_1', 't_reader'), 'nothing', 'by the table');

-- Functions and types.
SELECT pg_temp.made('CREATE FUNCTION t_app.plain(integer) RETURNS integer LANGUAGE sql AS ''SELECT 1'';
  CREATE PROCEDURE t_app.proc(text) LANGUAGE sql AS ''SELECT 1''', 't_second');
SELECT is(pg_temp.held('t_app.plain(integer)', 't_writer', 'function'), 'EXECUTE', 'a function');
SELECT is(pg_temp.held('t_app.plain(integer)', 'PUBLIC', 'function'), 'nothing', 'that PUBLIC is not to execute');
SELECT is(pg_temp.held('t_app.proc(text)', 't_writer', 'function'), 'EXECUTE', 'a procedure');
-- Not in the very transaction that renames it afterwards.
SAVEPOINT made;
SELECT pg_temp.made('CREATE FUNCTION t_app.secret(integer) RETURNS integer LANGUAGE sql AS ''SELECT 1'';
  CREATE FUNCTION t_app.secret(text) RETURNS integer LANGUAGE sql AS ''SELECT 1'';
  CREATE FUNCTION t_app.later(integer) RETURNS integer LANGUAGE sql AS ''SELECT 1''', 't_second');
RELEASE SAVEPOINT made;
SELECT is(pg_temp.held('t_app.secret(integer)', 't_writer', 'function'), 'nothing', 'not an excepted one');
SELECT is(pg_temp.held('t_app.secret(text)', 't_writer', 'function'), 'EXECUTE', 'but one of that name for other arguments');
SELECT is(pg_temp.held('t_app.later(integer)', 't_writer', 'function'), 'nothing', 'however its arguments are written');
SELECT pg_temp.made('CREATE FUNCTION t_other.comes(integer) RETURNS integer LANGUAGE sql AS ''SELECT 1'';
  ALTER FUNCTION t_other.comes(integer) SET SCHEMA t_app', 't_second');
SELECT is(pg_temp.held('t_app.comes(integer)', 't_writer', 'function'), 'EXECUTE', 'one that is moved');
SELECT pg_temp.made('ALTER FUNCTION t_app.secret(integer) RENAME TO open', 't_second');
SELECT is(pg_temp.held('t_app.open(integer)', 't_writer', 'function'), 'nothing', 'one that is renamed is given to nobody');
SELECT pg_temp.made('CREATE TYPE t_app.mood AS ENUM (''ok''); CREATE DOMAIN t_app.odd AS text; CREATE TYPE t_app.pair AS (a integer)', 't_second');
SELECT is(pg_temp.held('t_app.mood', 't_writer', 'type'), 'USAGE', 'a type');
SELECT is(pg_temp.held('t_app.pair', 't_writer', 'type'), 'USAGE', 'a composite type');
SELECT is(pg_temp.held('t_app.odd', 't_writer', 'type'), 'nothing', 'not an excepted domain');

-- Moves.
SELECT pg_temp.made('ALTER TABLE t_other.elsewhere SET SCHEMA t_app', 't_second');
SELECT is(pg_temp.held('t_app.elsewhere', 't_reader'), 'SELECT', 'a table that comes');
SELECT pg_temp.made('CREATE TABLE t_app.goes (id integer); ALTER TABLE t_app.goes SET SCHEMA t_other', 't_second');
SELECT is(pg_temp.held('t_other.goes', 't_reader'), 'nothing', 'one that leaves');
SELECT is(pg_temp.held('t_other.goes', 't_writer'), 'SELECT*', 'keeps what is said of it there');
SELECT is(pg_temp.held('t_other.goes', 't_loose'), 'DELETE INSERT SELECT', 'and what a role has that may have more');

-- A reporting role reads, whatever a policy says.
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', '{t_app}', '{card}', '{}');
SELECT count(*) FROM rolecall.apply(
  '{"privileges": [{"to": "t_report", "on": {"tables_in": "t_app"}, "grant": ["INSERT"]}]}'
);
SELECT pg_temp.made('CREATE TABLE t_app.reported (id integer)', 't_second');
SELECT is(pg_temp.held('t_app.reported', 't_report'), 'SELECT', 'a reporting role only reads');

-- What is no longer asked for, or of a role that is no longer the same.
SELECT count(*) FROM rolecall.forget('t_loose');
SELECT pg_temp.made('CREATE TABLE t_app.forgotten (id integer)', 't_second');
SELECT is(pg_temp.held('t_app.forgotten', 't_loose'), 'nothing', 'what is forgotten');
DROP OWNED BY t_reader;
DROP ROLE t_reader;
CREATE ROLE t_reader;
SELECT pg_temp.made('CREATE TABLE t_app.another (id integer)', 't_second');
SELECT is(pg_temp.held('t_app.another', 't_reader'), 'nothing', 'another role that has the name now');
SELECT is(pg_temp.held('t_app.another', 't_writer'), 'DELETE INSERT SELECT', 'the others go on');

SELECT * FROM finish();
ROLLBACK;
