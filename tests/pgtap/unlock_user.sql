-- unlock_user: LOGIN comes back, and what was remembered of the lock ends.
BEGIN;
SELECT plan(18);

SELECT FROM rolecall.create_base_roles();
SELECT FROM rolecall.create_user('t alice', 'secret');
CREATE FUNCTION pg_temp.login() RETURNS boolean LANGUAGE sql AS $$SELECT rolcanlogin FROM pg_roles WHERE rolname = 't alice'$$;
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
SELECT throws_ok(format('SELECT * FROM rolecall.unlock_user(%L)', r.username), r.code, r.message, r.what) FROM refused AS r;
CREATE ROLE t_super SUPERUSER LOGIN;
SELECT throws_ok($$SELECT * FROM rolecall.unlock_user('t_super')$$, '22023', 'role "t_super" is a superuser', 'a superuser');

SELECT FROM rolecall.lock_user('t alice');
SELECT throws_ok(
  $$SET LOCAL transaction_read_only = on; SELECT FROM rolecall.unlock_user('t alice')$$, '25006', NULL, 'in a READ ONLY transaction'
);
SELECT results_eq(
  $$SELECT * FROM rolecall.unlock_user('t alice', dry_run => true)$$,
  $$VALUES ('alter_role', 't alice', 'ALTER ROLE "t alice" LOGIN', 'planned', NULL::text, NULL::text)$$,
  'a dry run of unlock_user says what it would do'
);
SELECT ok(NOT pg_temp.login(), 'and does not');
SELECT results_eq(
  $$SELECT * FROM rolecall.unlock_user('t alice')$$,
  $$VALUES ('alter_role', 't alice', 'ALTER ROLE "t alice" LOGIN', 'applied', NULL::text, NULL::text)$$,
  'the call does'
);
SELECT is(test.rows($$rolecall.unlock_user('t alice')$$), 0::bigint, 'the same again is nothing to do');
SELECT is(test.rows($$rolecall.drift() WHERE target <> 'administrator'$$), 0::bigint, 'an unlocked user is no drift');
ALTER ROLE "t alice" NOLOGIN;
SELECT is(test.rows($$rolecall.drift() WHERE target <> 'administrator'$$), 0::bigint, 'nor is one that is locked by other means then');

CREATE ROLE t_foreign LOGIN;
SELECT is(test.rows($$rolecall.unlock_user('t_foreign')$$), 0::bigint, 'to unlock a user that no call has made is nothing to do');
SELECT is(
  (SELECT count(*) FROM rolecall_internal.resource WHERE key ->> 0 = 't_foreign'), 0::bigint, 'and nothing to remember'
);

SELECT * FROM finish();
ROLLBACK;
