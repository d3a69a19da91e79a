-- remove_user: what goes, what stays, what is in the way. Other databases and sessions are in concurrency/remove.test.ts.
BEGIN;
SELECT plan(68);

SELECT count(*) FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin');

-- A user that owns nothing.
SELECT count(*) FROM rolecall.create_user('t "alice"');
CREATE ROLE t_bob;
GRANT "t ""alice""" TO t_bob;
SELECT results_eq(
  $$SELECT operation, target, statement, status, sqlstate, note FROM rolecall.remove_user('t "alice"', dry_run => true)$$,
  $$VALUES ('drop_role', 't "alice"', 'DROP ROLE "t ""alice"""', 'planned', NULL::text,
            'memberships that end: "t ""alice""" in t_anon, "t ""alice""" in t_auth, t_bob in "t ""alice"""')$$,
  'a dry run says what would be done, and which memberships would end'
);
SELECT has_role('t "alice"', 'and does nothing');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'nor does it forget anything');
SELECT results_eq(
  $$SELECT operation, target, status, sqlstate FROM rolecall.remove_user('t "alice"', use_locks => true)$$,
  $$VALUES ('drop_role', 't "alice"', 'applied', NULL::text)$$,
  'the role is dropped'
);
SELECT hasnt_role('t "alice"', 'it is gone');
SELECT is_empty(
  $$SELECT FROM pg_auth_members AS m WHERE NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = m.member)
    OR NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = m.roleid) OR m.member = 't_bob'::regrole$$,
  'with its memberships and those of its members'
);
SELECT is(
  (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 42 AND objid::bigint = hashtext('t "alice"')::bigint & 4294967295),
  1::bigint, 'use_locks takes the lock'
);
SELECT is_empty($$SELECT * FROM rolecall.remove_user('t "alice"')$$, 'a second call does nothing');
SELECT is_empty($$SELECT * FROM rolecall.remove_user('t "alice"', 't_bob', true, true)$$, 'with every option');
SELECT is(test.least_wal($$SELECT FROM rolecall.remove_user('t "alice"')$$), 0::numeric, 'and writes no WAL');
SELECT is_empty($$SELECT * FROM rolecall.remove_user('t_missing')$$, 'nor is there anything to do where there never was such a role');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'what is removed has not drifted');
SELECT is_empty('SELECT * FROM rolecall.converge()', 'and is not brought back');

SELECT is((SELECT count(*)::integer FROM rolecall.create_user('t "alice"')), 3, 'a later create_user makes the role anew');
DROP ROLE "t ""alice""";
SELECT is((SELECT count(*)::integer FROM rolecall.drift()), 3, 'and it is remembered again');
SELECT is_empty($$SELECT * FROM rolecall.remove_user('t "alice"')$$, 'what was dropped beside it is no step');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'but is forgotten');

-- Whatever is remembered about a role.
SELECT count(*) FROM rolecall.create_client_role('t_client');
SELECT count(*) FROM rolecall.create_user_with_grants('t_carol', NULL, '{t_client}');
SELECT count(*) FROM rolecall.grant_role('t_auth', 't_carol');
CREATE ROLE t_op;
SELECT count(*) FROM rolecall.add_operator('t_op');
CREATE SCHEMA t_app;
CREATE TABLE t_app.token ();
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', '{t_app}', '{token}');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'a client role, a member of it, an operator and a reporting role');
SELECT results_eq(
  $$SELECT statement FROM rolecall.remove_user('t_client')$$,
  $$VALUES ('ALTER ROLE t_carol RESET statement_timeout'), ('DROP ROLE t_client')$$, 'the client role is removed, and what its member had of it'
);
SELECT is_empty('SELECT * FROM rolecall.drift()', 'its settings and the memberships in it are forgotten');
SELECT is((SELECT code FROM test.failure($$SELECT FROM rolecall.remove_user('t_op')$$)), '2BP01', 'an operator has privileges');
SELECT is((SELECT count(*)::integer FROM rolecall.remove_user('t_op', drop_owned => true)), 2, 'with which it is removed');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'and forgotten');
SELECT is((SELECT count(*)::integer FROM rolecall.remove_user('t_report', drop_owned => true)), 2, 'so is a reporting role');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'which is forgotten');
SELECT throws_ok($$SELECT rolecall.reporting_role_password('t_report')$$, '42704', NULL, 'it has no password any more');
SELECT is_empty($$SELECT FROM rolecall_internal.secret WHERE key LIKE '%t\_report'$$, 'nor a verifier');
SELECT is_empty('SELECT FROM rolecall_internal.withheld', 'nor is anything withheld from the next role of that name');
DROP ROLE t_carol;
SELECT results_eq(
  'SELECT statement FROM rolecall.drift()',
  $$VALUES ('CREATE ROLE t_carol LOGIN'), ('GRANT t_auth TO t_carol')$$,
  'what was asked for about another role is still remembered'
);
SELECT count(*) FROM rolecall.remove_user('t_carol');

-- A base role.
SELECT is((SELECT count(*)::integer FROM rolecall.remove_user('t_auth')), 1, 'a base role is removed like any other');
SELECT is(rolecall.role_name('authenticated'), 't_auth', 'its name is kept');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'it has not drifted');
SELECT is((SELECT count(*)::integer FROM rolecall.create_base_roles()), 1, 'and is made again when asked for');

-- What a user owns, and has been granted.
CREATE ROLE t_heir;
CREATE ROLE t_dave LOGIN;
CREATE ROLE "t 'o'" LOGIN;
GRANT CREATE, USAGE ON SCHEMA t_app TO "t 'o'";
CREATE TABLE t_app.own (id integer);
ALTER TABLE t_app.own OWNER TO "t 'o'";
CREATE TABLE t_app.other (id integer, secret text);
GRANT SELECT (secret) ON t_app.other TO "t 'o'";
CREATE POLICY p ON t_app.other TO "t 'o'";
ALTER DEFAULT PRIVILEGES FOR ROLE "t 'o'" GRANT SELECT ON TABLES TO t_dave;
GRANT CREATE ON DATABASE template1 TO "t 'o'";
CREATE FUNCTION pg_temp.fails(arguments text DEFAULT '') RETURNS TABLE (code text, detail text, hint text) LANGUAGE sql AS
$$SELECT * FROM test.failure('SELECT FROM rolecall.remove_user(''t ''''o''''''' || arguments || ')')$$;

SELECT is((SELECT code FROM pg_temp.fails()), '2BP01', 'what depends on a role is in the way');
SELECT matches((SELECT hint FROM pg_temp.fails()), 'rolecall\.user_dependencies\(\).*reassign_to and drop_owned', 'HINT says where to look');
SELECT is(
  (SELECT detail FROM pg_temp.fails()),
  (
    SELECT string_agg(format('In database %I: %s', d.database, d.text), E'\n' ORDER BY d.database)
    FROM (VALUES
      ('template1'::name, $$privileges on database (template1). To run there: REVOKE ALL ON DATABASE template1 FROM "t 'o'" CASCADE$$),
      (current_database(), $$default privileges (for role "t 'o'" on tables), policy (p on t_app.other), privileges on schema (t_app), privileges on table column (t_app.other.secret), table (t_app.own). To run there: REASSIGN OWNED BY "t 'o'" TO "a plain owner"; DROP OWNED BY "t 'o'"$$)
    ) AS d(database, text)
  ) || E'\nThe statement was: DROP ROLE "t ''o''"',
  'DETAIL says what, and what to run'
);
SELECT is((SELECT code FROM pg_temp.fails(', dry_run => true')), '2BP01', 'a dry run fails as the call would');
SELECT ok(
  EXISTS (SELECT FROM pg_class WHERE oid = 't_app.own'::regclass AND relowner = to_regrole('"t ''o''"'))
    AND has_column_privilege('t ''o''', 't_app.other', 'secret', 'SELECT'),
  'nothing has changed'
);
SELECT results_eq(
  $$SELECT operation, statement, status FROM rolecall.remove_user('t ''o''', reassign_to => 't_heir', dry_run => true)$$,
  $$VALUES ('reassign_owned', 'REASSIGN OWNED BY "t ''o''" TO t_heir', 'planned'),
           ('drop_owned', 'DROP OWNED BY "t ''o''"', 'planned'),
           ('drop_role', 'DROP ROLE "t ''o''"', 'planned')$$,
  'reassign_to: what is left to drop after it are privileges'
);
SELECT is(
  (SELECT string_agg(operation || ' ' || status, ', ') FROM rolecall.remove_user('t ''o''', reassign_to => 't_heir')),
  'reassign_owned applied, drop_owned applied, drop_role applied', 'all in one call'
);
SELECT table_owner_is('t_app', 'own', 't_heir', 'the table has a new owner');
SELECT is(pg_get_userbyid(nspowner), current_user, 'what the role did not own keeps its owner') FROM pg_namespace WHERE nspname = 't_app';
SELECT results_eq(
  $$SELECT operation, statement FROM rolecall.remove_user('t_heir', reassign_to => 't_dave', drop_owned => true)$$,
  $$VALUES ('reassign_owned', 'REASSIGN OWNED BY t_heir TO t_dave'), ('drop_role', 'DROP ROLE t_heir')$$,
  'with both, what can be reassigned is, and only what is needed is done'
);
SELECT table_owner_is('t_app', 'own', 't_dave', 'so the table is still there');
CREATE VIEW t_app.dependent AS SELECT id FROM t_app.own;
SELECT is((SELECT code FROM test.failure($$SELECT FROM rolecall.remove_user('t_dave', drop_owned => true)$$)), '2BP01', 'what others made is not dropped along');
SELECT matches(
  (SELECT detail FROM test.failure($$SELECT FROM rolecall.remove_user('t_dave', drop_owned => true)$$)),
  'view t_app.dependent depends on table t_app.own', 'DETAIL names it'
);
SELECT has_role('t_dave', 'and the role is still there');
DROP VIEW t_app.dependent;
SELECT results_eq(
  $$SELECT operation, statement, status FROM rolecall.remove_user('t_dave', drop_owned => true)$$,
  $$VALUES ('drop_owned', 'DROP OWNED BY t_dave', 'applied'), ('drop_role', 'DROP ROLE t_dave', 'applied')$$,
  'drop_owned'
);
SELECT hasnt_table('t_app', 'own', 'drops what the role owned');

-- Memberships that the role gave to others.
CREATE ROLE t_group;
CREATE ROLE t_giver;
GRANT t_group TO t_giver WITH ADMIN OPTION;
SET LOCAL ROLE t_giver;
GRANT t_group TO t_bob;
RESET ROLE;
SELECT CASE WHEN test.is_16()
  THEN is(
    (SELECT detail FROM test.failure($$SELECT FROM rolecall.remove_user('t_giver')$$)),
    format(E'In database %I: membership (t_bob in t_group). To run there: REVOKE t_group FROM t_bob GRANTED BY t_giver CASCADE\nOthers lose what the role granted, unless it is granted again first: GRANT t_group TO t_bob WITH INHERIT TRUE, SET TRUE\nThe statement was: DROP ROLE t_giver', current_database()),
    'from 16 they are in the way'
  )
  ELSE is_empty('SELECT * FROM rolecall.user_dependencies(''t_giver'')', 'before 16 they are not in the way') END;
SELECT is(
  (SELECT string_agg(statement || ' ' || status, '; ') FROM rolecall.remove_user('t_giver', drop_owned => true)),
  CASE WHEN test.is_16() THEN 'GRANT t_group TO t_bob WITH INHERIT TRUE, SET TRUE skipped; DROP OWNED BY t_giver applied; ' ELSE '' END
    || 'DROP ROLE t_giver applied',
  'drop_owned ends them, and says so'
);

-- To itself, as createrole_self_grant does for a role that creates another one.
CREATE ROLE t_giver;
GRANT t_group TO t_giver WITH ADMIN OPTION;
SET LOCAL ROLE t_giver;
GRANT t_group TO t_giver;
RESET ROLE;
SELECT is_empty($$SELECT * FROM rolecall.user_dependencies('t_giver')$$, 'a membership that the role gave to itself is not in the way');
SELECT is(
  (SELECT string_agg(statement, '; ') FROM rolecall.remove_user('t_giver')), 'DROP ROLE t_giver', 'it ends with the role'
);

-- Errors.
SELECT throws_ok($$SELECT * FROM rolecall.remove_user(NULL)$$, '22004', NULL, 'null');
SELECT throws_ok($$SELECT * FROM rolecall.remove_user('')$$, '42602', NULL, 'an empty name');
SELECT throws_ok($$SELECT * FROM rolecall.remove_user(repeat('é', 32))$$, '42602', NULL, 'a name of 64 bytes');
SELECT throws_ok($$SELECT * FROM rolecall.remove_user('pg_monitor')$$, '42939', NULL, 'a predefined role');
SELECT throws_ok($$SELECT * FROM rolecall.remove_user('t_bob', '')$$, '42602', NULL, 'an empty name of the new owner');
SELECT throws_ok($$SELECT * FROM rolecall.remove_user('t_bob', 'public')$$, '42939', NULL, 'PUBLIC as the new owner');
SELECT throws_ok($$SELECT * FROM rolecall.remove_user('t_bob', 't_missing')$$, '42704', 'role "t_missing" does not exist', 'no new owner');
SELECT throws_ok($$SELECT * FROM rolecall.remove_user('t_bob', 't_bob')$$, '22023', 'what role "t_bob" owns cannot be reassigned to the role itself', 'the role itself as the new owner');
SELECT throws_ok(format('SELECT * FROM rolecall.remove_user(%L)', session_user), '55006', NULL, 'the session''s own role');
CREATE ROLE t_caller CREATEROLE;
CREATE ROLE t_super SUPERUSER;
SELECT count(*) FROM rolecall.add_operator('t_caller');
SET LOCAL ROLE t_caller;
SELECT throws_ok($$SELECT * FROM rolecall.remove_user('t_caller')$$, '55006', NULL, 'the current role');
SELECT throws_ok($$SELECT * FROM rolecall.remove_user('t_super')$$, '42501', NULL, 'a superuser, by somebody else');
RESET ROLE;
SELECT is((SELECT count(*)::integer FROM rolecall.remove_user('t_super')), 1, 'but not by a superuser');

SET LOCAL transaction_read_only = on;
SELECT is_empty($$SELECT * FROM rolecall.remove_user('t_missing', drop_owned => true)$$, 'it works in a READ ONLY transaction');
SELECT throws_ok($$SELECT * FROM rolecall.remove_user('t_bob')$$, '25006', NULL, 'where there is nothing to do');
SELECT isnt_empty($$SELECT * FROM rolecall.remove_user('t_bob', dry_run => true)$$, 'and as a dry run');

SELECT * FROM finish();
ROLLBACK;
