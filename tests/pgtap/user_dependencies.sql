-- user_dependencies: what is in the way, and that each remedy clears it. Other databases are in concurrency/remove.test.ts.
BEGIN;
SELECT plan(18);
CREATE ROLE "a plain owner";

CREATE ROLE "t ""x""" CREATEROLE;
CREATE ROLE t_group;
CREATE ROLE t_plain;
CREATE FUNCTION pg_temp.found() RETURNS TABLE (database text, kind text, object text, remedy text) LANGUAGE sql AS
$$SELECT * FROM rolecall.user_dependencies('t "x"')$$;
GRANT t_group TO "t ""x""";
GRANT "t ""x""" TO t_plain;
SELECT is_empty('SELECT * FROM pg_temp.found()', 'memberships of the role, and in it, are not in the way');

GRANT CREATE ON DATABASE template1 TO "t ""x""";
GRANT CREATE ON TABLESPACE pg_default TO "t ""x""";
GRANT SELECT ON pg_catalog.pg_authid TO "t ""x""";
SELECT bag_eq(
  'SELECT * FROM pg_temp.found()',
  $$SELECT database::text, kind, object, remedy FROM (VALUES
      (current_database(), 'privileges on table', 'pg_catalog.pg_authid', 'DROP OWNED BY "t ""x"""'),
      (current_database(), 'privileges on tablespace', 'pg_default', 'REVOKE ALL ON TABLESPACE pg_default FROM "t ""x""" CASCADE'),
      ('template1', 'privileges on database', 'template1', 'REVOKE ALL ON DATABASE template1 FROM "t ""x""" CASCADE')
    ) AS v(database, kind, object, remedy)$$,
  'privileges here, on a tablespace and on a database'
);
CREATE TABLE "public"."T able" (id integer);
ALTER TABLE "T able" OWNER TO "t ""x""";
CREATE AGGREGATE public.t_count(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
ALTER AGGREGATE public.t_count(*) OWNER TO "t ""x""";
CREATE FOREIGN DATA WRAPPER t_wrapper;
CREATE SERVER t_server FOREIGN DATA WRAPPER t_wrapper;
CREATE USER MAPPING FOR "t ""x""" SERVER t_server;
SELECT lo_create(4711);
ALTER LARGE OBJECT 4711 OWNER TO "t ""x""";
ALTER DEFAULT PRIVILEGES FOR ROLE t_group GRANT SELECT ON TABLES TO "t ""x""";
CREATE TABLE public.t_other (id integer);
GRANT SELECT (id) ON public.t_other TO "t ""x""" WITH GRANT OPTION;
SET LOCAL ROLE "t ""x""";
GRANT SELECT (id) ON public.t_other TO t_plain;
RESET ROLE;
CREATE POLICY t_policy ON public.t_other TO "t ""x""";
SELECT bag_eq(
  $$SELECT kind, object, remedy FROM pg_temp.found() WHERE database = current_database() AND kind <> 'privileges on tablespace'$$,
  $$SELECT v.kind, v.object, 'REASSIGN OWNED BY "t ""x""" TO "a plain owner"' || CASE WHEN v.dropped THEN '; DROP OWNED BY "t ""x"""' ELSE '' END
    FROM (VALUES
      ('table', 'public."T able"', false),
      ('aggregate', 'public.t_count()', false),
      ('large object', '4711', false),
      ('user mapping', '"t ""x""" on server t_server', true),
      ('default privileges', 'for role t_group on tables', true),
      ('policy', 't_policy on public.t_other', true),
      ('privileges on table', 'pg_catalog.pg_authid', true),
      ('privileges on table column', 'public.t_other.id', true)
    ) AS v(kind, object, dropped)$$,
  'what is owned is reassigned before the rest is dropped'
);
-- Memberships that the role gave to others: from 16 the server refuses to drop the role while they last.
GRANT t_group TO "t ""x""" WITH ADMIN OPTION;
SET LOCAL ROLE "t ""x""";
GRANT t_group TO t_plain;
RESET ROLE;
SELECT results_eq(
  $$SELECT object, remedy FROM pg_temp.found() WHERE kind = 'membership'$$,
  $$SELECT 't_plain in t_group', 'REVOKE t_group FROM t_plain GRANTED BY "t ""x""" CASCADE'
    WHERE current_setting('server_version_num')::integer >= 160000$$,
  'memberships that the role gave'
);

-- Who may do nothing sees the same.
CREATE TEMPORARY TABLE t_seen AS SELECT * FROM pg_temp.found();
GRANT SELECT ON t_seen TO PUBLIC;
CREATE ROLE t_reader;
GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO t_reader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO t_reader;
SET LOCAL ROLE t_reader;
SELECT bag_eq(
  'SELECT database, kind, object FROM pg_temp.found()', 'SELECT database, kind, object FROM t_seen',
  'the catalogs that it reads are for everybody'
);
RESET ROLE;

-- The remedies, one by one: afterwards nothing is in the way, and nothing that was owned is lost.
DO $$
DECLARE
  v_remedy text;
BEGIN
  FOR v_remedy IN SELECT remedy FROM t_seen LOOP
    EXECUTE v_remedy;
  END LOOP;
END
$$;
SELECT is_empty('SELECT * FROM pg_temp.found()', 'after the remedies nothing is in the way');
SELECT table_owner_is('public', 'T able', 'a plain owner', 'what was owned has a new owner');
SELECT is((SELECT count(*)::integer FROM rolecall.remove_user('t "x"')), 1, 'and the role can be dropped');

-- An operator, who has privileges on everything of the extension.
CREATE ROLE "t 'op'" CREATEROLE;
SELECT count(*) FROM rolecall.add_operator('t ''op''');
SELECT results_eq(
  $$SELECT kind, object, remedy FROM rolecall.user_dependencies('t ''op''')$$,
  $$VALUES ('operator', 'rolecall', 'SELECT rolecall.remove_operator(''t ''''op'''''')')$$,
  'an operator is one row, with the call that clears it'
);
DO $$ BEGIN EXECUTE (SELECT d.remedy FROM rolecall.user_dependencies('t ''op''') AS d); END $$;
SELECT is_empty($$SELECT * FROM rolecall.user_dependencies('t ''op''')$$, 'after it nothing is in the way');
SELECT is((SELECT count(*)::integer FROM rolecall.remove_user('t ''op''')), 1, 'and the role can be dropped');

SELECT throws_ok('SELECT * FROM rolecall.user_dependencies(NULL)', '22004', NULL, 'null');
SELECT throws_ok($$SELECT * FROM rolecall.user_dependencies('')$$, '42602', NULL, 'an empty name');
SELECT throws_ok($$SELECT * FROM rolecall.user_dependencies(repeat('é', 32))$$, '42602', NULL, 'a name of 64 bytes');
SELECT throws_ok($$SELECT * FROM rolecall.user_dependencies('pg_monitor')$$, '42939', NULL, 'a predefined role');
SELECT throws_ok(
  $$SELECT * FROM rolecall.user_dependencies('t "x"')$$, '42704', 'role "t "x"" does not exist', 'a role that is not there'
);
SELECT lives_ok(
  'SELECT * FROM rolecall.user_dependencies((SELECT r.rolname FROM pg_roles AS r WHERE r.oid = 10))',
  'the role that the server itself belongs to, about which it keeps another kind of row before 15'
);

CREATE TABLE public.t_last ();
ALTER TABLE public.t_last OWNER TO t_plain;
SET LOCAL transaction_read_only = on;
SELECT isnt_empty($$SELECT * FROM rolecall.user_dependencies('t_plain')$$, 'it works in a READ ONLY transaction');

SELECT * FROM finish();
ROLLBACK;
