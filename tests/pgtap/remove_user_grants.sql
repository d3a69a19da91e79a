-- remove_user: nobody else loses what the role had granted to them without a row that says so.
BEGIN;
SELECT plan(38);

CREATE ROLE "t op";
CREATE ROLE t_group;
CREATE ROLE "t u";
CREATE ROLE t_v;
CREATE ROLE t_heir;
CREATE SCHEMA t_app;
CREATE TABLE t_app.a (id integer, secret text);
CREATE TABLE t_app.b (id integer);
CREATE SEQUENCE t_app.s;
CREATE FUNCTION t_app.f(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE t_app.p(INOUT x integer) LANGUAGE sql AS 'SELECT 1';
CREATE DOMAIN t_app.d AS integer;
CREATE FOREIGN DATA WRAPPER t_wrapper;
CREATE SERVER t_server FOREIGN DATA WRAPPER t_wrapper;
SELECT lo_create(4712);

-- Everything that has an ACL, granted to "t u" by "t op", and some of it on to t_v.
CREATE FUNCTION pg_temp.prepare() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF to_regrole('"t op"') IS NULL THEN
    CREATE ROLE "t op";
  END IF;
  EXECUTE format('GRANT CREATE ON DATABASE %I TO "t op" WITH GRANT OPTION', current_database());
  GRANT t_group TO "t op" WITH ADMIN OPTION;
  GRANT USAGE, CREATE ON SCHEMA t_app TO "t op" WITH GRANT OPTION;
  GRANT SELECT, INSERT ON t_app.a, t_app.b TO "t op" WITH GRANT OPTION;
  GRANT UPDATE (secret) ON t_app.a TO "t op" WITH GRANT OPTION;
  GRANT USAGE ON SEQUENCE t_app.s TO "t op" WITH GRANT OPTION;
  GRANT EXECUTE ON ROUTINE t_app.f, t_app.p TO "t op" WITH GRANT OPTION;
  GRANT USAGE ON TYPE t_app.d TO "t op" WITH GRANT OPTION;
  GRANT USAGE ON FOREIGN DATA WRAPPER t_wrapper TO "t op" WITH GRANT OPTION;
  GRANT USAGE ON FOREIGN SERVER t_server TO "t op" WITH GRANT OPTION;
  GRANT USAGE ON LANGUAGE sql TO "t op" WITH GRANT OPTION;
  GRANT CREATE ON TABLESPACE pg_default TO "t op" WITH GRANT OPTION;
  GRANT SELECT ON LARGE OBJECT 4712 TO "t op" WITH GRANT OPTION;
  SET LOCAL ROLE "t op";
  EXECUTE format('GRANT CREATE ON DATABASE %I TO "t u"', current_database());
  GRANT t_group TO "t u" WITH ADMIN OPTION;
  GRANT USAGE, CREATE ON SCHEMA t_app TO "t u" WITH GRANT OPTION;
  GRANT SELECT ON t_app.a, t_app.b TO "t u" WITH GRANT OPTION;
  GRANT INSERT ON t_app.b TO PUBLIC;
  GRANT UPDATE (secret) ON t_app.a TO "t u";
  GRANT USAGE ON SEQUENCE t_app.s TO "t u";
  GRANT EXECUTE ON ROUTINE t_app.f, t_app.p TO "t u" WITH GRANT OPTION;
  GRANT USAGE ON TYPE t_app.d TO "t u" WITH GRANT OPTION;
  GRANT USAGE ON FOREIGN DATA WRAPPER t_wrapper TO "t u";
  GRANT USAGE ON FOREIGN SERVER t_server TO "t u";
  GRANT USAGE ON LANGUAGE sql TO "t u" WITH GRANT OPTION;
  GRANT CREATE ON TABLESPACE pg_default TO "t u";
  GRANT SELECT ON LARGE OBJECT 4712 TO "t u";
  SET LOCAL ROLE "t u";
  GRANT t_group TO t_v;
  GRANT USAGE ON SCHEMA t_app TO t_v;
  GRANT SELECT ON t_app.a TO t_v;
  RESET ROLE;
  IF current_setting('server_version_num')::integer >= 150000 THEN
    EXECUTE 'GRANT SET ON PARAMETER work_mem TO "t op" WITH GRANT OPTION';
    SET LOCAL ROLE "t op";
    EXECUTE 'GRANT SET ON PARAMETER work_mem TO "t u"';
    RESET ROLE;
  END IF;
END
$$;

-- What others than "t op" have, whoever granted it.
CREATE FUNCTION pg_temp.privileges() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  v_parameters jsonb := rolecall_internal.parameter_privileges();
BEGIN
  RETURN QUERY
    SELECT DISTINCT format('%s %s %s %s', o.object, x.grantee, x.privilege_type, x.is_grantable)
    FROM (
      SELECT relname::text, relacl FROM pg_class WHERE relnamespace = 't_app'::regnamespace
      UNION ALL SELECT attname, attacl FROM pg_attribute WHERE attrelid = 't_app.a'::regclass
      UNION ALL SELECT proname, proacl FROM pg_proc WHERE pronamespace = 't_app'::regnamespace
      UNION ALL SELECT typname, typacl FROM pg_type WHERE typnamespace = 't_app'::regnamespace
      UNION ALL SELECT nspname, nspacl FROM pg_namespace WHERE nspname = 't_app'
      UNION ALL SELECT datname, datacl FROM pg_database WHERE datname = current_database()
      UNION ALL SELECT fdwname, fdwacl FROM pg_foreign_data_wrapper
      UNION ALL SELECT srvname, srvacl FROM pg_foreign_server
      UNION ALL SELECT lanname, lanacl FROM pg_language
      UNION ALL SELECT spcname, spcacl FROM pg_tablespace
      UNION ALL SELECT 'large object', lomacl FROM pg_largeobject_metadata
    ) AS o(object, acl)
    CROSS JOIN LATERAL aclexplode(o.acl) AS x
    WHERE x.grantee IN (0, '"t u"'::regrole, 't_v'::regrole)
    UNION
    SELECT format('%s %s %s %s', x.parameter, x.grantee, x.privilege_type, x.is_grantable)
    FROM jsonb_to_recordset(v_parameters) AS x(parameter text, grantee oid, privilege_type text, is_grantable boolean)
    WHERE x.grantee = '"t u"'::regrole
    UNION
    SELECT format('%s in %s, admin %s, options %s %s', member::regrole, roleid::regrole, admin_option,
                  to_jsonb(m) -> 'inherit_option', to_jsonb(m) -> 'set_option')
    FROM pg_auth_members AS m WHERE m.member IN ('"t u"'::regrole, 't_v'::regrole);
END
$$;

SELECT pg_temp.prepare();
CREATE TEMPORARY TABLE t_before AS SELECT p FROM pg_temp.privileges() AS p;
SELECT ok((SELECT count(*) FROM t_before) >= 23, 'somebody has privileges of every kind');

-- Without an argument it is in the way, and DETAIL says how nobody loses anything.
SELECT is((SELECT code FROM test.failure($$SELECT FROM rolecall.remove_user('t op')$$)), '2BP01', 'a role that has granted something is in the way');
SELECT matches(
  (SELECT detail FROM test.failure($$SELECT FROM rolecall.remove_user('t op')$$)),
  'Others lose what the role granted, unless it is granted again first: GRANT .* TO "t u"', 'DETAIL says what others lose'
);

-- With reassign_to everybody keeps everything.
CREATE TEMPORARY TABLE t_planned AS SELECT * FROM rolecall.remove_user('t op', 't_heir', dry_run => true);
SELECT bag_eq('SELECT pg_temp.privileges()', 'TABLE t_before', 'a dry run changes nothing');
SELECT ok(
  EXISTS (SELECT FROM t_planned WHERE operation = 'grant_privilege' AND target = 't u' AND status = 'planned'
            AND statement = 'GRANT SELECT ON TABLE t_app.a, t_app.b TO "t u" WITH GRANT OPTION'),
  'it says what is granted again, many objects in one statement'
);
SELECT ok(
  EXISTS (SELECT FROM t_planned WHERE statement = 'GRANT UPDATE (secret) ON TABLE t_app.a TO "t u"' AND note = '"t op" granted it'),
  'columns too'
);
SELECT ok(EXISTS (SELECT FROM t_planned WHERE target = 'public' AND statement = 'GRANT INSERT ON TABLE t_app.b TO PUBLIC'), 'PUBLIC too');
SELECT is_empty($$SELECT FROM t_planned WHERE target = 't_v'$$, 'what was granted on from there needs nothing');
SELECT is(
  (SELECT string_agg(statement, '; ') FROM t_planned WHERE operation = 'grant_role'),
  CASE WHEN test.is_16() THEN 'GRANT t_group TO "t u" WITH ADMIN OPTION, INHERIT TRUE, SET TRUE' END,
  'a membership from 16, where it depends on the grantor'
);
SELECT is_empty(
  $$SELECT FROM rolecall.remove_user('t op', 't_heir') AS s WHERE s.status <> 'applied'$$, 'all of it is done'
);
SELECT hasnt_role('t op', 'the role is gone');
SELECT bag_eq('SELECT pg_temp.privileges()', 'TABLE t_before', 'and everybody has what they had');

-- The same with both arguments, the way that the hint leads.
SELECT pg_temp.prepare();
SELECT is_empty(
  $$SELECT FROM rolecall.remove_user('t op', 't_heir', drop_owned => true) AS s WHERE s.status <> 'applied'$$, 'with both arguments too'
);
SELECT bag_eq('SELECT pg_temp.privileges()', 'TABLE t_before', 'nobody loses anything');

-- What somebody has from another grantor besides is not granted again.
SELECT pg_temp.prepare();
SELECT is_empty(
  $$SELECT FROM rolecall.remove_user('t op', 't_heir', dry_run => true) AS s WHERE s.operation IN ('grant_role', 'grant_privilege')$$,
  'what somebody has from the owner too is not granted again'
);
SELECT count(*) FROM rolecall.remove_user('t op', drop_owned => true);
SELECT bag_eq('SELECT pg_temp.privileges()', 'TABLE t_before', 'nor lost');

-- drop_owned alone: each loss is a row.
REASSIGN OWNED BY "t u" TO CURRENT_USER;
DROP OWNED BY "t u";
REVOKE t_group FROM "t u" CASCADE;
REVOKE INSERT ON t_app.b FROM PUBLIC;
SELECT pg_temp.prepare();
CREATE TEMPORARY TABLE t_had AS SELECT p FROM pg_temp.privileges() AS p;
CREATE TEMPORARY TABLE t_losses AS
SELECT * FROM rolecall.remove_user('t op', drop_owned => true, dry_run => true);
SELECT ok(
  EXISTS (SELECT FROM t_losses WHERE operation = 'grant_privilege' AND target = 't u' AND status = 'skipped' AND sqlstate = '2BP01'
            AND statement = 'GRANT SELECT ON TABLE t_app.a, t_app.b TO "t u" WITH GRANT OPTION'
            AND note = 'this ends with what role "t op" granted; with reassign_to it is granted again'),
  'a loss is a skipped row'
);
SELECT ok(
  EXISTS (SELECT FROM t_losses WHERE target = 't_v' AND status = 'skipped' AND statement = 'GRANT SELECT ON TABLE t_app.a TO t_v'),
  'what was granted on is lost too'
);
SELECT is(
  EXISTS (SELECT FROM t_losses WHERE operation = 'grant_role' AND target = 't u' AND status = 'skipped'), test.is_16(),
  'and from 16 a membership'
);
CREATE TEMPORARY TABLE t_done AS SELECT * FROM rolecall.remove_user('t op', drop_owned => true);
SELECT bag_eq(
  $$SELECT operation, target, statement, note FROM t_done$$, $$SELECT operation, target, statement, note FROM t_losses$$,
  'the call says the same as its dry run'
);
SELECT bag_hasnt(
  'SELECT pg_temp.privileges()', $$SELECT p FROM t_had WHERE p ~ '^(a|b|secret|t_app|work_mem|large object) ' AND split_part(p, ' ', 2) <> '0'$$,
  'what it says is what is lost'
);
DO $$
DECLARE
  v_statement text;
BEGIN
  FOR v_statement IN SELECT statement FROM t_done WHERE status = 'skipped' LOOP
    EXECUTE v_statement;
  END LOOP;
END
$$;
SELECT bag_eq('SELECT pg_temp.privileges()', 'TABLE t_had', 'and its statements give it back');

-- A caller that may drop the role, and not grant what it granted.
CREATE ROLE t_caller CREATEROLE;
SELECT count(*) FROM rolecall.add_operator('t_caller');
CREATE ROLE "t op";
GRANT "t op" TO t_caller WITH ADMIN OPTION;
CREATE ROLE t_owner;
CREATE TABLE t_app.c (id integer);
ALTER TABLE t_app.c OWNER TO t_owner;
GRANT USAGE ON SCHEMA t_app TO PUBLIC;
GRANT SELECT ON t_app.c TO "t op" WITH GRANT OPTION;
SET LOCAL ROLE "t op";
GRANT SELECT ON t_app.c TO t_v;
RESET ROLE;
GRANT t_owner TO t_heir;
SET LOCAL ROLE t_caller;
SELECT is((SELECT code FROM test.failure($$SELECT FROM rolecall.remove_user('t op', 't_caller', dry_run => true)$$)), '2BP01', 'what the caller cannot clear is in the way, in the dry run too');
SELECT matches(
  (SELECT detail FROM test.failure($$SELECT FROM rolecall.remove_user('t op', drop_owned => true)$$)),
  'privileges on table \(t_app\.c\)\. To run there: SET ROLE t_owner; REVOKE SELECT ON TABLE t_app\.c FROM "t op" CASCADE; RESET ROLE',
  'DETAIL has the statement, and who can run it'
);
SELECT matches(
  (SELECT hint FROM test.failure($$SELECT FROM rolecall.remove_user('t op', drop_owned => true)$$)),
  'A statement after SET ROLE must be run by that role, or by a superuser', 'HINT says so'
);
SELECT matches(
  (SELECT detail FROM test.failure($$SELECT FROM rolecall.remove_user('t op', 't_caller')$$)),
  'granted again first: GRANT SELECT ON TABLE t_app\.c TO t_v', 'and what others would lose by it'
);
RESET ROLE;
-- A member of the owner: its GRANT would be the role's own, whose rights it has too.
GRANT t_owner TO t_caller;
SET LOCAL ROLE t_caller;
SELECT matches(
  (SELECT detail FROM test.failure($$SELECT FROM rolecall.remove_user('t op', 't_caller')$$)),
  'granted again first: GRANT SELECT ON TABLE t_app\.c TO t_v', 'nor can a member of the owner'
);
RESET ROLE;
REVOKE t_owner FROM t_caller;
ALTER TABLE t_app.c OWNER TO t_caller;
SET LOCAL ROLE t_caller;
SELECT is(
  (SELECT string_agg(concat_ws(' ', s.statement, s.status), '; ') FROM rolecall.remove_user('t op', 't_caller') AS s),
  'GRANT SELECT ON TABLE t_app.c TO t_v applied; DROP OWNED BY "t op" applied; DROP ROLE "t op" applied',
  'the owner grants it again'
);
RESET ROLE;
SELECT ok(
  (SELECT relacl @> '{t_v=r/t_caller}'::aclitem[] AND NOT relacl::text ~ 't op' FROM pg_class WHERE oid = 't_app.c'::regclass),
  'and is the grantor now'
);

-- What a role was granted by somebody who is not the owner: DROP OWNED leaves it, for a superuser too.
CREATE ROLE t_w;
GRANT SELECT ON t_app.c TO t_v WITH GRANT OPTION;
SET LOCAL ROLE t_v;
GRANT SELECT ON t_app.c TO t_w;
RESET ROLE;
SELECT is(
  (SELECT remedy FROM rolecall.user_dependencies('t_w')),
  'SET ROLE t_v; REVOKE SELECT ON TABLE t_app.c FROM t_w; RESET ROLE', 'the remedy is the grantor''s'
);
SELECT matches(
  (SELECT detail FROM test.failure($$SELECT FROM rolecall.remove_user('t_w', drop_owned => true, dry_run => true)$$)),
  'SET ROLE t_v; REVOKE SELECT ON TABLE t_app\.c FROM t_w; RESET ROLE', 'and it is in the way'
);
SET ROLE t_v; REVOKE SELECT ON TABLE t_app.c FROM t_w; RESET ROLE;
SELECT is((SELECT count(*)::integer FROM rolecall.remove_user('t_w')), 1, 'which clears it');

-- A grant option for the table is one for its columns.
CREATE ROLE "t op";
GRANT SELECT ON t_app.a TO "t op" WITH GRANT OPTION;
SET LOCAL ROLE "t op";
GRANT SELECT (id) ON t_app.a TO t_v;
RESET ROLE;
SELECT is(
  (SELECT remedy FROM rolecall.user_dependencies('t op') WHERE kind = 'privileges on table column'),
  'SET ROLE "t op"; REVOKE SELECT (id) ON TABLE t_app.a FROM t_v; RESET ROLE', 'which DROP OWNED leaves'
);
SELECT is((SELECT code FROM test.failure($$SELECT FROM rolecall.remove_user('t op', drop_owned => true)$$)), '2BP01', 'and is in the way');

-- A user that the role created keeps its base roles.
SELECT count(*) FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin');
CREATE ROLE t_maker CREATEROLE;
GRANT t_anon, t_auth TO t_maker WITH ADMIN OPTION;
SELECT count(*) FROM rolecall.add_operator('t_maker');
SET LOCAL ROLE t_maker;
SELECT count(*) FROM rolecall.create_user('t_made');
RESET ROLE;
SELECT is(test.groups('t_made'), 't_anon t_auth', 'a user in the base roles');
SELECT is_empty(
  $$SELECT FROM rolecall.remove_user('t_maker', 't_heir', drop_owned => true) AS s WHERE s.status <> 'applied'$$, 'its maker is removed'
);
SELECT is(test.groups('t_made'), 't_anon t_auth', 'it is in them still');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'so nothing has drifted');

SELECT * FROM finish();
ROLLBACK;
