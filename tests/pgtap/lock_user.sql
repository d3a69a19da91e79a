-- lock_user: LOGIN goes, everything else stays, and it is remembered. That sessions end is tested in security/.
BEGIN;
SELECT plan(32);

CREATE ROLE t_op CREATEROLE;
GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO t_op;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO t_op;
GRANT ALL ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO t_op;
SELECT FROM rolecall.create_base_roles();
SELECT FROM rolecall.create_user('t alice', 'secret');
CREATE SCHEMA t_app;
GRANT USAGE ON SCHEMA t_app TO "t alice";
CREATE FUNCTION pg_temp.login() RETURNS boolean LANGUAGE sql AS $$SELECT rolcanlogin FROM pg_roles WHERE rolname = 't alice'$$;
CREATE FUNCTION pg_temp.stored() RETURNS text LANGUAGE sql AS $$SELECT rolpassword FROM pg_authid WHERE rolname = 't alice'$$;
CREATE TEMPORARY TABLE before AS SELECT pg_temp.stored() AS stored;

CREATE TEMPORARY TABLE refused (what text, username text, code text, message text);
INSERT INTO refused VALUES
  ('a null name', NULL, '22004', 'role name must not be null'),
  ('an empty name', '', '42602', NULL),
  ('a name of 64 bytes', repeat('x', 64), '42602', NULL),
  ('a predefined role', 'pg_monitor', '42939', NULL),
  ('a keyword', 'public', '42939', NULL),
  ('a role that does not exist', 't nobody', '42704', 'role "t nobody" does not exist'),
  ('a group role', 'authenticated', '22023', 'role "authenticated" is a group role'),
  ('the caller', current_user, '22023', format('role "%s" is the role that makes this call', current_user));
SELECT throws_ok(format('SELECT * FROM rolecall.lock_user(%L)', r.username), r.code, r.message, r.what) FROM refused AS r;
CREATE ROLE t_super SUPERUSER LOGIN;
SELECT throws_ok($$SELECT * FROM rolecall.lock_user('t_super')$$, '22023', 'role "t_super" is a superuser', 'a superuser');

-- Locked.

SELECT results_eq(
  $$SELECT * FROM rolecall.lock_user('t alice', dry_run => true)$$,
  $$VALUES ('alter_role', 't alice', 'ALTER ROLE "t alice" NOLOGIN', 'planned', NULL::text, NULL::text)$$,
  'a dry run says what it would do'
);
SELECT ok(pg_temp.login(), 'and does not');
SELECT results_eq(
  $$SELECT * FROM rolecall.lock_user('t alice')$$,
  $$VALUES ('alter_role', 't alice', 'ALTER ROLE "t alice" NOLOGIN', 'applied', NULL::text, NULL::text)$$,
  'the call does'
);
SELECT ok(NOT pg_temp.login(), 'the user cannot log in');
SELECT is(pg_temp.stored(), stored, 'its password stays') FROM before;
SELECT is(test.groups('t alice'), 'anonymous authenticated', 'its memberships stay');
SELECT ok(has_schema_privilege('t alice', 't_app', 'USAGE'), 'its privileges stay');
SELECT is(test.rows($$rolecall.lock_user('t alice')$$), 0::bigint, 'the same again is nothing to do');
SELECT is(test.least_wal($$SELECT FROM rolecall.lock_user('t alice')$$), 0::numeric, 'and writes no WAL');
SAVEPOINT read_only;
SET TRANSACTION READ ONLY;
SELECT is(test.rows($$rolecall.lock_user('t alice')$$), 0::bigint, 'it works in a READ ONLY transaction');
SELECT throws_ok($$SELECT * FROM rolecall.unlock_user('t alice')$$, '25006', NULL, 'where nobody is unlocked');
ROLLBACK TO SAVEPOINT read_only;

-- Remembered. Not every caller can give the administrator BYPASSRLS, which drift() then says too.

SELECT is(test.rows($$rolecall.drift() WHERE target <> 'administrator'$$), 0::bigint, 'there is no drift');
ALTER ROLE "t alice" LOGIN;
SELECT is(
  (SELECT string_agg(statement, ';') FROM rolecall.drift() WHERE target <> 'administrator'), 'ALTER ROLE "t alice" NOLOGIN', 'unlocked by other means is drift'
);
SELECT is(test.rows($$rolecall.converge() WHERE target <> 'administrator'$$), 1::bigint, 'which converge mends');
SELECT ok(NOT pg_temp.login(), 'so that the user is locked');
SELECT is(test.rows($$rolecall.create_user('t alice', 'secret')$$), 0::bigint, 'create_user has nothing to do');
SELECT ok(NOT pg_temp.login(), 'and does not unlock it');
SELECT is(test.rows($$rolecall.drift() WHERE target <> 'administrator'$$), 0::bigint, 'nor is it remembered so');
REVOKE USAGE ON SCHEMA t_app FROM "t alice";
DROP ROLE "t alice";
SELECT matches(
  (SELECT string_agg(statement, ';') FROM rolecall.drift() WHERE target <> 'administrator'), 'CREATE ROLE "t alice" NOLOGIN', 'a restored user is locked'
);
SELECT FROM rolecall.create_user('t alice', 'secret');
SELECT ok(NOT pg_temp.login(), 'and so is one that create_user creates again');

-- Others.

SELECT FROM rolecall.provision_reporting_role('t_report', '{t_app}');
SELECT throws_ok(
  $$SELECT * FROM rolecall.lock_user('t_report')$$, '22023', 'role "t_report" is a reporting role', 'a reporting role is not locked'
);
SET LOCAL ROLE t_op;
SELECT throws_ok($$SELECT * FROM rolecall.lock_user('t_super')$$, '22023', NULL, 'nor a superuser by an operator');
RESET ROLE;
SELECT FROM rolecall.remove_user('t alice');
SELECT FROM rolecall.create_user('t alice', 'secret');
SELECT ok(pg_temp.login(), 'a user that is removed and created again is not locked');

SELECT * FROM finish();
ROLLBACK;
