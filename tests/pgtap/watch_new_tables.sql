-- watch_new_tables(): what reporting roles may read of a table from the moment that anyone makes or moves it.
BEGIN;
SELECT plan(126);

CREATE ROLE t_maker;
CREATE ROLE t_nobody;
CREATE SCHEMA t_app AUTHORIZATION t_maker;
CREATE SCHEMA "t Other" AUTHORIZATION t_maker;
CREATE FOREIGN DATA WRAPPER t_wrapper;
CREATE SERVER t_server FOREIGN DATA WRAPPER t_wrapper;
GRANT USAGE ON FOREIGN SERVER t_server TO t_maker;

-- What a role has on a table: SELECT, where it reads it and does nothing else.
CREATE FUNCTION pg_temp.held(tables text, role text) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(DISTINCT x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ' '), 'nothing')
  FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS x
  WHERE c.oid = tables::regclass AND x.grantee = quote_ident(role)::regrole
$$;

-- What t_report has on a table after t_maker has run a command.
CREATE FUNCTION pg_temp.after(command text, tables text, maker text DEFAULT 't_maker') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('role', maker, true);
  EXECUTE command;
  PERFORM set_config('role', 'none', true);
  RETURN pg_temp.held(tables, 't_report');
END
$$;

SELECT count(*) FROM rolecall.provision_reporting_role(
  't_report', '{t_app}', ARRAY['token', '"Odd ""Table"', 't_app.event', '"t Other".secret'], '{}'
);
SELECT count(*) FROM rolecall.provision_reporting_role('t "Report"', ARRAY['t_app', 't Other'], '{audit}', '{}');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'before, nothing has drifted');
SELECT is(pg_temp.after('CREATE TABLE t_app.unwatched (id integer)', 't_app.unwatched'), 'nothing', 'without it a table is not readable');

-- The call.
SELECT throws_ok('SELECT * FROM rolecall.watch_new_tables(NULL)', '22004', 'enable must not be null', 'null');
GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO t_nobody;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO t_nobody;
GRANT SELECT ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO t_nobody;
SET LOCAL ROLE t_nobody;
SELECT throws_ok('SELECT * FROM rolecall.watch_new_tables()', '42501', 'only a superuser can have new tables watched', 'nobody else may');
SELECT throws_ok('SELECT * FROM rolecall.watch_new_tables(false, true)', '42501', NULL, 'not even a dry run');
RESET ROLE;
DROP OWNED BY t_nobody;

SELECT results_eq(
  $$SELECT operation, target, regexp_replace(statement, '\(.*\) EXECUTE', '(...) EXECUTE'), status, sqlstate, note
    FROM rolecall.watch_new_tables(dry_run => true)$$,
  $$VALUES
    ('grant_privilege', 'rolecall_watch.reporting_role', 'GRANT SELECT ON rolecall_watch.reporting_role TO PUBLIC', 'planned', NULL::text, NULL::text),
    ('grant_privilege', 'rolecall_watch', 'GRANT USAGE ON SCHEMA rolecall_watch TO PUBLIC', 'planned', NULL, NULL),
    ('create_event_trigger', 'rolecall_watch_new_tables',
     'CREATE EVENT TRIGGER rolecall_watch_new_tables ON ddl_command_end WHEN TAG IN (...) EXECUTE FUNCTION rolecall_internal.apply_to_new_tables()',
     'planned', NULL, NULL)$$,
  'a dry run says what it takes'
);
SELECT is_empty('SELECT FROM pg_event_trigger', 'and does nothing');
SELECT is_empty('SELECT * FROM rolecall.watch_new_tables(false)', 'there is nothing to stop yet');
SELECT is_empty($$SELECT FROM rolecall_internal.resource WHERE section = 'watch'$$, 'nor anything to forget');
SELECT is(test.rows($$rolecall.watch_new_tables() WHERE status = 'applied'$$), 3::bigint, 'the call makes three steps');
SELECT is_empty('SELECT * FROM rolecall.watch_new_tables()', 'once');
SELECT is(test.least_wal('SELECT FROM rolecall.watch_new_tables()'), 0::numeric, 'called again it writes no WAL');
SELECT is_empty(
  $$SELECT * FROM rolecall.drift() WHERE target <> 't_app'$$, 'it has not drifted'
);
SELECT isnt_empty('SELECT * FROM rolecall.converge()', 'what was made before is for converge()');

-- What everybody may use of the extension now.
SET LOCAL ROLE t_nobody;
SELECT bag_eq(
  'SELECT role, schemas, withheld, ours FROM rolecall_watch.reporting_role',
  $$VALUES ('t_report', '{t_app}'::text[], ARRAY['token', '"Odd ""Table"', 't_app.event', '"t Other".secret'], true),
           ('t "Report"', '{t_app,t Other}', '{audit}', true)$$,
  'the definitions'
);
RESET ROLE;
SELECT is_empty(
  $$SELECT oid::regprocedure FROM pg_proc
    WHERE pronamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]) AND has_function_privilege('t_nobody', oid, 'EXECUTE')$$,
  'no function'
);
SELECT results_eq(
  $$SELECT c.oid::regclass::text, p.privilege, a.name
    FROM pg_class AS c
    CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p(privilege)
    CROSS JOIN LATERAL (
      SELECT NULL AS name WHERE has_table_privilege('t_nobody', c.oid, p.privilege)
      UNION ALL
      SELECT t.attname::text FROM pg_attribute AS t
      WHERE t.attrelid = c.oid AND p.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
        AND NOT has_table_privilege('t_nobody', c.oid, p.privilege)
        AND has_column_privilege('t_nobody', c.oid, t.attnum, p.privilege)
    ) AS a
    WHERE c.relnamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]) AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')$$,
  $$VALUES ('rolecall_watch.reporting_role', 'SELECT', NULL::text)$$,
  'one view, to read'
);
SELECT ok(NOT has_schema_privilege('t_nobody', 'rolecall_watch', 'CREATE'), 'and nothing can be put into the schema');
-- A condition of the query must not see what the view does not show.
CREATE FUNCTION pg_temp.peeks(seen text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
$$BEGIN IF seen NOT LIKE 't%' THEN RAISE EXCEPTION 'seen: %', seen; END IF; RETURN true; END$$;
SELECT count(*) FROM rolecall.create_user_with_grants('t_user', NULL, '{}');
SELECT lives_ok('SELECT * FROM rolecall_watch.reporting_role WHERE pg_temp.peeks(role)', 'nor are other rows seen on the way');

-- Each way to create a table.
SELECT is(pg_temp.after('CREATE TABLE t_app.made (id integer PRIMARY KEY, at serial)', 't_app.made'), 'SELECT', 'CREATE TABLE');
SELECT is(pg_temp.held('t_app.made_at_seq', 't_report'), 'SELECT', 'its sequence, too');
SELECT is(pg_temp.after('CREATE SEQUENCE t_app.series', 't_app.series'), 'SELECT', 'a sequence');
SELECT is(
  pg_temp.after('ALTER SEQUENCE t_app.series RENAME TO secret_series; CREATE TABLE t_app.token (id serial, n integer GENERATED ALWAYS AS IDENTITY)', 't_app.token_id_seq'),
  'nothing', 'not one of a withheld table'
);
SELECT is(pg_temp.held('t_app.token_n_seq', 't_report'), 'nothing', 'nor that of an identity column');
SELECT is(
  pg_temp.after('ALTER SEQUENCE t_app.secret_series OWNED BY t_app.token.id', 't_app.secret_series'), 'nothing', 'nor one that is given to it'
);
SELECT is(
  pg_temp.after('DROP TABLE t_app.token; CREATE TABLE t_app.fresh (id integer); ALTER TABLE t_app.fresh ADD COLUMN n serial', 't_app.fresh_n_seq'),
  'SELECT', 'one of a column that is added'
);
SELECT is(
  pg_temp.after('CREATE TABLE t_app.fresh2 (id serial); ALTER TABLE t_app.fresh2 RENAME TO token', 't_app.fresh2_id_seq'),
  'nothing', 'that of a table that is given a withheld name'
);
DROP TABLE t_app.token, t_app.fresh;

SELECT is(pg_temp.after('CREATE TABLE IF NOT EXISTS t_app.made (id integer)', 't_app.made'), 'SELECT', 'CREATE TABLE IF NOT EXISTS');
SELECT is(pg_temp.held('t_app.made', 't "Report"'), 'SELECT', 'for each reporting role');
SELECT is(pg_temp.after('CREATE TABLE t_app.made_as AS SELECT 1 AS id', 't_app.made_as'), 'SELECT', 'CREATE TABLE AS');
SET LOCAL ROLE t_maker;
SELECT 1 AS id INTO t_app.made_into;
RESET ROLE;
SELECT is(pg_temp.held('t_app.made_into', 't_report'), 'SELECT', 'SELECT INTO');
SELECT is(pg_temp.after('CREATE UNLOGGED TABLE t_app.unlogged (LIKE t_app.made INCLUDING ALL)', 't_app.unlogged'), 'SELECT', 'CREATE UNLOGGED TABLE');
SELECT is(pg_temp.after('CREATE VIEW t_app.made_view AS SELECT 1 AS id', 't_app.made_view'), 'SELECT', 'CREATE VIEW');
SELECT is(
  pg_temp.after('CREATE OR REPLACE VIEW t_app.made_view AS SELECT 2 AS id, 3 AS more', 't_app.made_view'), 'SELECT', 'CREATE OR REPLACE VIEW'
);
SELECT is(
  pg_temp.after('CREATE MATERIALIZED VIEW t_app.made_materialized AS SELECT 1 AS id', 't_app.made_materialized'), 'SELECT',
  'CREATE MATERIALIZED VIEW'
);
SELECT is(
  pg_temp.after('CREATE FOREIGN TABLE t_app.made_foreign (id integer) SERVER t_server', 't_app.made_foreign'), 'SELECT',
  'CREATE FOREIGN TABLE'
);
SELECT is(
  pg_temp.after('CREATE TABLE t_app.parted (id integer) PARTITION BY LIST (id)', 't_app.parted'), 'SELECT', 'a partitioned table'
);
SELECT is(
  pg_temp.after('CREATE TABLE t_app.part_1 PARTITION OF t_app.parted FOR VALUES IN (1)', 't_app.part_1'), 'SELECT', 'a partition'
);
SELECT is(
  pg_temp.after('DO $do$ BEGIN CREATE TABLE t_app.in_block (id integer); EXCEPTION WHEN division_by_zero THEN NULL; END $do$', 't_app.in_block'),
  'SELECT', 'in a block with handlers'
);
SELECT is(
  pg_temp.after('CREATE TABLE t_app."%I $1 "" ''" (id integer)', 't_app."%I $1 "" ''"'), 'SELECT', 'a table with a hostile name'
);
SELECT is(
  pg_temp.after('CREATE TABLE "t Other".elsewhere (id integer)', '"t Other".elsewhere'), 'nothing', 'not a table in another schema'
);
SELECT is(pg_temp.held('"t Other".elsewhere', 't "Report"'), 'SELECT', 'unless it is another role''s');
SELECT is(pg_temp.held('t_app.made_as', 't_nobody'), 'nothing', 'nobody else gets anything');
SELECT is_empty(
  $$SELECT FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS x
    WHERE c.relnamespace = 't_app'::regnamespace AND x.grantee NOT IN ('t_maker'::regrole, 't_report'::regrole, '"t ""Report"""'::regrole)$$,
  'nor does PUBLIC'
);
SELECT is_empty('SELECT * FROM rolecall.drift()', 'nothing is left for converge()');

-- Withheld tables. The maker's default privileges would have them readable.
ALTER DEFAULT PRIVILEGES FOR ROLE t_maker IN SCHEMA t_app GRANT SELECT ON TABLES TO t_report;
SELECT is(pg_temp.after('CREATE TABLE t_app.token (id integer)', 't_app.token'), 'nothing', 'a withheld table');
SELECT is(pg_temp.held('t_app.token', 't "Report"'), 'SELECT', 'that another role may read');
SELECT is(
  pg_temp.after('DROP TABLE t_app.token; CREATE TABLE t_app.token (id integer)', 't_app.token'), 'nothing', 'dropped and made again'
);
SELECT is(
  pg_temp.after('DROP TABLE t_app.token; CREATE VIEW t_app.token AS SELECT 1 AS id', 't_app.token'), 'nothing', 'as a view'
);
DROP VIEW t_app.token;
-- Not in the very transaction that renames it afterwards.
SAVEPOINT made;
SET LOCAL ROLE t_maker;
SELECT 1 AS id INTO t_app.token;
RESET ROLE;
RELEASE SAVEPOINT made;
SELECT is(pg_temp.held('t_app.token', 't_report'), 'nothing', 'by SELECT INTO');
SELECT is(pg_temp.after('CREATE TABLE t_app."Odd ""Table" (id integer)', 't_app."Odd ""Table"'), 'nothing', 'one with a name that is quoted');
SELECT is(pg_temp.after('CREATE TABLE t_app."odd ""table" (id integer)', 't_app."odd ""table"'), 'SELECT', 'not its namesake');
SELECT is(
  pg_temp.after('CREATE TABLE t_app.event (id integer, at integer) PARTITION BY LIST (id)', 't_app.event'), 'nothing', 'a partitioned one'
);
SELECT is(
  pg_temp.after('CREATE TABLE t_app.event_1 PARTITION OF t_app.event FOR VALUES IN (1)', 't_app.event_1'), 'nothing', 'its partition'
);
SELECT is(
  pg_temp.after('CREATE TABLE t_app.event_2 PARTITION OF t_app.event FOR VALUES IN (2) PARTITION BY LIST (at)', 't_app.event_2'),
  'nothing', 'one that is partitioned again'
);
SELECT is(
  pg_temp.after('CREATE TABLE t_app.event_2_1 PARTITION OF t_app.event_2 FOR VALUES IN (1)', 't_app.event_2_1'), 'nothing',
  'and its partition'
);
SELECT is(
  pg_temp.after('CREATE TABLE t_app.loose (id integer, at integer) PARTITION BY LIST (at)', 't_app.loose'), 'SELECT', 'a table'
);
SELECT is(
  pg_temp.after('CREATE TABLE t_app.loose_1 PARTITION OF t_app.loose FOR VALUES IN (1)', 't_app.loose_1'), 'SELECT', 'with a partition'
);
SELECT is(
  pg_temp.after('ALTER TABLE t_app.event ATTACH PARTITION t_app.loose FOR VALUES IN (3)', 't_app.loose'), 'nothing',
  'that becomes a partition of it'
);
SELECT is(pg_temp.held('t_app.loose_1', 't_report'), 'nothing', 'is withheld whole');
SELECT is(
  pg_temp.after('CREATE TABLE t_app.heir () INHERITS (t_app.token)', 't_app.heir'), 'nothing', 'so is what inherits from a withheld table'
);
SELECT is(
  pg_temp.after('ALTER TABLE t_app.event DETACH PARTITION t_app.loose', 't_app.loose'), 'nothing', 'detached, it is left as it was'
);
SELECT is(pg_temp.after('ALTER TABLE t_app.token RENAME TO token_old', 't_app.token_old'), 'nothing', 'as is one with a new name');
SELECT is(pg_temp.after('ALTER TABLE t_app.token_old ADD COLUMN more integer', 't_app.token_old'), 'nothing', 'that is altered');
SELECT is(pg_temp.after('ALTER TABLE t_app.made RENAME TO token', 't_app.token'), 'nothing', 'a table that is given the name');
SELECT is(pg_temp.after('ALTER TABLE t_app.token RENAME id TO key', 't_app.token'), 'nothing', 'and another name for a column');
SELECT bag_eq(
  'SELECT statement FROM rolecall.drift()',
  $$VALUES ('GRANT SELECT ON t_app.heir, t_app.loose, t_app.loose_1, t_app.token_old TO t_report')$$,
  'a provisioning run would go by the names'
);
DROP TABLE t_app.loose, t_app.token_old CASCADE;

-- Moves.
SELECT is(pg_temp.after('ALTER TABLE t_app.made_as SET SCHEMA "t Other"', '"t Other".made_as'), 'nothing', 'a table that leaves');
SELECT is(pg_temp.held('"t Other".made_as', 't "Report"'), 'SELECT', 'stays with who reads both schemas');
SELECT is(pg_temp.after('ALTER TABLE "t Other".made_as SET SCHEMA t_app', 't_app.made_as'), 'SELECT', 'and one that comes back');
SELECT is(
  pg_temp.after('DO $do$ BEGIN ALTER TABLE "t Other".elsewhere SET SCHEMA t_app; EXCEPTION WHEN division_by_zero THEN NULL; END $do$', 't_app.elsewhere'),
  'SELECT', 'in a block with handlers'
);
SELECT is(pg_temp.after('CREATE VIEW "t Other".v AS SELECT 1 AS id; ALTER VIEW "t Other".v SET SCHEMA t_app', 't_app.v'), 'SELECT', 'a view');
SELECT is(
  pg_temp.after('CREATE MATERIALIZED VIEW "t Other".m AS SELECT 1 AS id; ALTER MATERIALIZED VIEW "t Other".m SET SCHEMA t_app', 't_app.m'),
  'SELECT', 'a materialized view'
);
SELECT is(
  pg_temp.after('CREATE FOREIGN TABLE "t Other".f () SERVER t_server; ALTER FOREIGN TABLE "t Other".f SET SCHEMA t_app', 't_app.f'),
  'SELECT', 'a foreign table'
);
SELECT is(
  pg_temp.after('CREATE TABLE "t Other".event (id integer); DROP TABLE t_app.event; ALTER TABLE "t Other".event SET SCHEMA t_app', 't_app.event'),
  'nothing', 'not a withheld one'
);
SELECT is(pg_temp.after('CREATE TABLE "t Other".secret (id integer)', '"t Other".secret'), 'nothing', 'nor what is withheld elsewhere');

-- Schemas.
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO t_maker', current_database()); END$$;
SAVEPOINT made;
SELECT is(
  pg_temp.after('CREATE SCHEMA t_next; CREATE TABLE t_next.a (id integer); CREATE TABLE t_next.token (id integer);
    ALTER SCHEMA t_app RENAME TO t_past; ALTER SCHEMA t_next RENAME TO t_app', 't_app.a'),
  'SELECT', 'a table of a schema that takes the place of another'
);
RELEASE SAVEPOINT made;
SELECT is(pg_temp.held('t_app.token', 't_report'), 'nothing', 'not a withheld one');
SELECT is(pg_temp.held('t_past.made_as', 't_report'), 'nothing', 'nor those of the other');
SELECT ok(has_schema_privilege('t_report', 't_app', 'USAGE'), 'the role may use it');
SELECT is(
  pg_temp.after('DROP SCHEMA t_past CASCADE; ALTER TABLE t_app.a RENAME TO event; ALTER TABLE t_app.event RENAME TO b; ALTER SCHEMA t_app OWNER TO t_maker', 't_app.b'),
  'nothing', 'that the schema is altered makes nothing readable'
);
SELECT is(
  pg_temp.after('DROP SCHEMA t_app CASCADE; CREATE SCHEMA t_app CREATE TABLE c (id integer) CREATE VIEW token AS SELECT 1 AS id', 't_app.c'),
  'SELECT', 'a table of a schema that is made anew, by the same command'
);
SELECT ok(has_schema_privilege('t_report', 't_app', 'USAGE'), 'with the schema');
SELECT is(pg_temp.held('t_app.token', 't_report'), 'nothing', 'not a withheld one');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'nothing is left for converge()');

-- Privileges beyond SELECT go, as in a provisioning run.
ALTER DEFAULT PRIVILEGES FOR ROLE t_maker IN SCHEMA t_app GRANT ALL ON TABLES TO t_report WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE t_maker IN SCHEMA "t Other" GRANT ALL ON TABLES TO t_report;
SELECT is(pg_temp.after('CREATE TABLE t_app.writable (id integer)', 't_app.writable'), 'SELECT', 'a table that it could write');
SELECT is(pg_temp.after('CREATE TABLE "t Other".writable (id integer)', '"t Other".writable'), 'nothing', 'also elsewhere');

-- Extensions.
SELECT is(pg_temp.after('CREATE EXTENSION pg_stat_statements SCHEMA t_app', 't_app.pg_stat_statements', 'none'), 'SELECT', 'a view of an extension');
SELECT is_empty(
  $$SELECT FROM pg_init_privs AS i CROSS JOIN aclexplode(i.initprivs) AS x WHERE x.grantee = 't_report'::regrole$$, 'whose own it does not become'
);
SELECT is(
  pg_temp.after('ALTER EXTENSION pg_stat_statements SET SCHEMA "t Other"', '"t Other".pg_stat_statements', 'none'), 'nothing', 'that leaves'
);
SELECT is(pg_temp.after('ALTER EXTENSION pg_stat_statements SET SCHEMA t_app', 't_app.pg_stat_statements', 'none'), 'SELECT', 'and comes back');

-- Whatever is wrong, the command succeeds.
CREATE TABLE pg_temp.temporary (id integer);
SELECT is(pg_temp.held('pg_temp.temporary', 't_report'), 'nothing', 'temporary tables are left alone');
CREATE FUNCTION t_app.maker() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN CREATE TABLE t_app.by_definer (id integer); END$$;
ALTER FUNCTION t_app.maker() OWNER TO t_maker;
GRANT USAGE ON SCHEMA t_app TO t_nobody;
SELECT is(
  pg_temp.after('SELECT t_app.maker()', 't_app.by_definer', 't_nobody'), 'SELECT', 'a function that runs as its owner makes a table'
);
REVOKE SELECT ON rolecall_watch.reporting_role FROM PUBLIC;
SELECT lives_ok($$SELECT pg_temp.after('CREATE TABLE t_app.blind (id integer)', 't_app.blind')$$, 'the view is closed');
SELECT results_eq(
  'SELECT statement, status FROM rolecall.watch_new_tables()',
  $$VALUES ('GRANT SELECT ON rolecall_watch.reporting_role TO PUBLIC', 'applied')$$, 'which another call mends'
);
SAVEPOINT dropped;
DROP OWNED BY t_report, "t ""Report""";
DROP ROLE t_report;
SELECT lives_ok('CREATE TABLE t_app.unread (id integer)', 'a reporting role is gone');
SELECT is(pg_temp.held('t_app.unread', 't "Report"'), 'SELECT', 'the other reads');
ROLLBACK TO SAVEPOINT dropped;
INSERT INTO rolecall_internal.resource (section, key, resource)
VALUES ('read_access', '["t_broken"]', '{"role": "t_maker", "schemas": ["t_app"], "withheld": ["a.b.\""]}');
SELECT lives_ok($$SELECT pg_temp.after('CREATE TABLE t_app.broken (id integer)', 't_app.broken')$$, 'a definition is broken');
DELETE FROM rolecall_internal.resource WHERE key = '["t_broken"]';

-- Drift.
DROP EVENT TRIGGER rolecall_watch_new_tables;
REVOKE USAGE ON SCHEMA rolecall_watch FROM PUBLIC;
SELECT set_eq(
  $$SELECT operation, target, status FROM rolecall.drift() WHERE target LIKE 'rolecall%'$$,
  $$VALUES ('grant_privilege', 'rolecall_watch', 'planned'), ('create_event_trigger', 'rolecall_watch_new_tables', 'planned')$$,
  'what is taken away has drifted'
);
SELECT count(*) FROM rolecall.converge();
SELECT is_empty('SELECT * FROM rolecall.drift()', 'and is restored');
ALTER EVENT TRIGGER rolecall_watch_new_tables DISABLE;
SELECT results_eq(
  'SELECT operation, status FROM rolecall.watch_new_tables()',
  $$VALUES ('drop_event_trigger', 'applied'), ('create_event_trigger', 'applied')$$, 'a trigger that is disabled is made anew'
);
ALTER EVENT TRIGGER rolecall_watch_new_tables ENABLE ALWAYS;
SELECT is_empty('SELECT * FROM rolecall.watch_new_tables()', 'one that is enabled for replicas too is right');
ALTER EVENT TRIGGER rolecall_watch_new_tables RENAME TO t_mine;
SELECT results_eq(
  'SELECT operation, target, status FROM rolecall.watch_new_tables()',
  $$VALUES ('drop_event_trigger', 't_mine', 'applied'), ('create_event_trigger', 'rolecall_watch_new_tables', 'applied')$$,
  'one of another name too'
);
DROP EVENT TRIGGER rolecall_watch_new_tables;
CREATE FUNCTION pg_temp.other() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER rolecall_watch_new_tables ON sql_drop EXECUTE FUNCTION pg_temp.other();
SELECT results_eq(
  'SELECT operation, status, sqlstate, note FROM rolecall.watch_new_tables()',
  $$VALUES ('create_event_trigger', 'skipped', '42710', 'another event trigger has that name: rename or drop it')$$,
  'somebody else''s trigger of that name is left alone'
);
DROP EVENT TRIGGER rolecall_watch_new_tables;
SELECT is(test.rows('rolecall.watch_new_tables()'), 1::bigint, 'until it is gone');
CREATE ROLE t_operator CREATEROLE;
SELECT count(*) FROM rolecall.add_operator('t_operator');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'an operator may be given the view');
DROP EVENT TRIGGER rolecall_watch_new_tables;
SET LOCAL ROLE t_operator;
SELECT set_eq(
  $$SELECT operation, status, sqlstate, note FROM rolecall.drift() WHERE target = 'rolecall_watch_new_tables'$$,
  $$VALUES ('create_event_trigger', 'skipped', '42501', 'only a superuser can do this')$$,
  'it is skipped unless the caller is a superuser'
);
RESET ROLE;

-- Whoever owns what the trigger uses could have superusers run its code.
SELECT count(*) FROM rolecall.watch_new_tables();
ALTER VIEW rolecall_watch.reporting_role OWNER TO t_operator;
ALTER SCHEMA rolecall_internal OWNER TO t_operator;
SELECT throws_ok(
  'SELECT * FROM rolecall.watch_new_tables()', '55000', 'the extension''s objects belong to a role that is not a superuser', 'so it must not be others'''
);
SELECT is(
  rolecall_internal.untrusted_owners(), 'SCHEMA rolecall_internal of t_operator, VIEW rolecall_watch.reporting_role of t_operator',
  'the detail says what that is'
);
SELECT is_empty($$SELECT * FROM rolecall.watch_new_tables(false, true) WHERE status = 'skipped'$$, 'it can still be stopped');
ALTER SCHEMA rolecall_internal OWNER TO CURRENT_USER;
ALTER VIEW rolecall_watch.reporting_role OWNER TO CURRENT_USER;
SELECT is_empty('SELECT * FROM rolecall.watch_new_tables()', 'then nothing is left to do');

-- What it costs does not grow with the tables that are there.
CREATE FUNCTION pg_temp.fetched(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_catalogs regclass[] := '{pg_class,pg_depend,pg_inherits}';
  v_before bigint := (SELECT sum(pg_stat_get_xact_tuples_fetched(c) + pg_stat_get_xact_tuples_returned(c)) FROM unnest(v_catalogs) AS c);
BEGIN
  EXECUTE statement;
  RETURN (SELECT sum(pg_stat_get_xact_tuples_fetched(c) + pg_stat_get_xact_tuples_returned(c)) FROM unnest(v_catalogs) AS c) - v_before;
END$$;
SELECT cmp_ok((SELECT count(*) FROM pg_class), '>', 400::bigint, 'there are some hundred tables and indexes');
CREATE TABLE t_app.costly (id integer);
SELECT cmp_ok(pg_temp.fetched('ALTER TABLE t_app.costly ADD COLUMN more integer'), '<', 100::bigint, 'few of them are looked at');

-- No more.
SELECT results_eq(
  'SELECT statement, status FROM rolecall.watch_new_tables(false, true)',
  $$VALUES ('DROP EVENT TRIGGER rolecall_watch_new_tables', 'planned'),
           ('REVOKE SELECT ON rolecall_watch.reporting_role FROM PUBLIC', 'planned'),
           ('REVOKE USAGE ON SCHEMA rolecall_watch FROM PUBLIC', 'planned')$$,
  'a dry run says what stopping takes'
);
SELECT is(test.rows($$rolecall.watch_new_tables(false) WHERE status = 'applied'$$), 3::bigint, 'the call does it');
SELECT is_empty('SELECT * FROM rolecall.watch_new_tables(false)', 'once');
SELECT is(test.least_wal('SELECT FROM rolecall.watch_new_tables(false)'), 0::numeric, 'called again it writes no WAL');
SELECT is(rolecall_internal.newest_record('watch', '["new_tables"]'), NULL, 'it is forgotten');
SELECT is_empty($$SELECT * FROM rolecall.drift() WHERE target LIKE 'rolecall%'$$, 'and not missed');
SELECT ok(NOT has_schema_privilege('t_nobody', 'rolecall_watch', 'USAGE'), 'the schema is closed');
SELECT ok(NOT has_table_privilege('t_nobody', 'rolecall_watch.reporting_role', 'SELECT'), 'and the view');
SELECT count(*) FROM rolecall.watch_new_tables();
SELECT throws_ok('DROP EXTENSION rolecall', '2BP01', NULL, 'the extension is not dropped while tables are watched');
SAVEPOINT cascaded;
SELECT lives_ok('DROP EXTENSION rolecall CASCADE', 'unless the trigger is dropped with it');
SELECT is_empty('SELECT FROM pg_event_trigger', 'which it then is');
SELECT lives_ok('CREATE TABLE t_app.afterwards (id integer)', 'tables can be made');
ROLLBACK TO SAVEPOINT cascaded;
SET TRANSACTION READ ONLY;
SELECT is(test.rows('rolecall.watch_new_tables()'), 0::bigint, 'with nothing to do it works in a READ ONLY transaction');

SELECT * FROM finish();
ROLLBACK;
