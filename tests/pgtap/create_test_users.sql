-- create_test_users: the two users of local development. That they log in, and the warning, are tested in conformance/.
BEGIN;
SELECT plan(58);

-- Each call warns: twenty of them would hide what else is said.
SET LOCAL client_min_messages = error;
SELECT count(*) FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin');

-- The first call.

CREATE TEMPORARY TABLE before AS SELECT test.state() AS state;
SELECT results_eq(
  'SELECT * FROM rolecall.create_test_users(dry_run => true)',
  $$VALUES ('create_role', 'app_user', 'CREATE ROLE app_user LOGIN PASSWORD ''********''', 'planned', NULL::text, NULL::text),
           ('create_role', 'app_admin', 'CREATE ROLE app_admin LOGIN PASSWORD ''********''', 'planned', NULL, NULL),
           ('grant_role', 'app_user', 'GRANT t_anon TO app_user', 'planned', NULL, NULL),
           ('grant_role', 'app_user', 'GRANT t_auth TO app_user', 'planned', NULL, NULL),
           ('grant_role', 'app_admin', 'GRANT t_anon TO app_admin', 'planned', NULL, NULL),
           ('grant_role', 'app_admin', 'GRANT t_auth TO app_admin', 'planned', NULL, NULL),
           ('grant_role', 'app_admin', 'GRANT t_admin TO app_admin', 'planned', NULL, NULL)$$,
  'a dry run gives the statements, without the passwords'
);
SELECT is(test.least_wal('SELECT FROM rolecall.create_test_users(dry_run => true)'), 0::numeric, 'writes no WAL');
SELECT is(test.state(), state, 'and changes nothing') FROM before;
SELECT results_eq(
  'SELECT * FROM rolecall.create_test_users()',
  $$VALUES ('create_role', 'app_user', 'CREATE ROLE app_user LOGIN PASSWORD ''********''', 'applied', NULL::text, NULL::text),
           ('create_role', 'app_admin', 'CREATE ROLE app_admin LOGIN PASSWORD ''********''', 'applied', NULL, NULL),
           ('grant_role', 'app_user', 'GRANT t_anon TO app_user', 'applied', NULL, NULL),
           ('grant_role', 'app_user', 'GRANT t_auth TO app_user', 'applied', NULL, NULL),
           ('grant_role', 'app_admin', 'GRANT t_anon TO app_admin', 'applied', NULL, NULL),
           ('grant_role', 'app_admin', 'GRANT t_auth TO app_admin', 'applied', NULL, NULL),
           ('grant_role', 'app_admin', 'GRANT t_admin TO app_admin', 'applied', NULL, NULL)$$,
  'the call runs them'
);
SELECT is(test.groups('app_user'), 't_anon t_auth', 'app_user is in two of the base roles');
SELECT is(test.groups('app_admin'), 't_admin t_anon t_auth', 'app_admin is in all three');
SELECT is_empty(
  $$SELECT FROM pg_roles WHERE rolname IN ('app_user', 'app_admin')
      AND (NOT rolcanlogin OR rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)$$,
  'both log in, and have no power of their own'
);
SELECT ok(rolecall_internal.password_matches('app_password', rolpassword), 'the usual password') FROM pg_authid WHERE rolname = 'app_user';
SELECT ok(rolecall_internal.password_matches('admin_password', rolpassword), 'of both') FROM pg_authid WHERE rolname = 'app_admin';

-- Again.

SELECT is_empty('SELECT * FROM rolecall.create_test_users()', 'a second call has nothing to do');
SELECT is_empty(
  $$SELECT * FROM rolecall.create_test_users(app_password => 'another', admin_password => NULL)$$, 'nor has one with other passwords'
);
SELECT is(test.least_wal('SELECT FROM rolecall.create_test_users()'), 0::numeric, 'nothing is written');
SELECT ok(rolecall_internal.password_matches('app_password', rolpassword), 'the password stays') FROM pg_authid WHERE rolname = 'app_user';
COMMENT ON ROLE app_admin IS 'as it was';
REVOKE t_admin FROM app_admin;
SELECT results_eq(
  'SELECT statement FROM rolecall.create_test_users()', $$VALUES ('GRANT t_admin TO app_admin')$$, 'what is missing is made up for'
);
SELECT is(shobj_description('app_admin'::regrole, 'pg_authid'), 'as it was', 'a comment stays');

-- Names and passwords.

SELECT is_empty('SELECT * FROM rolecall.create_test_users(NULL, app_admin => NULL)', 'a null name is the usual one');
SELECT results_eq(
  $$SELECT statement FROM rolecall.create_test_users('t user', NULL, 't_boss', 'secret') WHERE operation = 'create_role'$$,
  $$VALUES ('CREATE ROLE "t user" LOGIN'), ('CREATE ROLE t_boss LOGIN PASSWORD ''********''')$$,
  'other names and passwords; a null password is none'
);
SELECT is(test.groups('t user') || ', ' || test.groups('t_boss'), 't_anon t_auth, t_admin t_anon t_auth', 'in the same base roles');
SELECT is(rolpassword, NULL, 'without a password') FROM pg_authid WHERE rolname = 't user';
SELECT ok(rolecall_internal.password_matches('secret', rolpassword), 'or with its own') FROM pg_authid WHERE rolname = 't_boss';

-- Errors.

CREATE TEMPORARY TABLE wrong_name (code text, name text);
INSERT INTO wrong_name VALUES
  ('42602', ''), ('42602', repeat('x', 64)), ('42602', repeat('é', 32)), ('42939', 'public'), ('42939', 'none'),
  ('42939', 'current_user'), ('42939', 'session_user'), ('42939', 'current_role'), ('42939', 'pg_monitor'), ('42939', 'pg_mine');
UPDATE before SET state = test.state();
SELECT throws_ok(format('SELECT * FROM rolecall.create_test_users(%s => %L)', a.argument, w.name), w.code, NULL, a.argument || ' => ' || w.name)
FROM wrong_name AS w, unnest(ARRAY['app_user', 'app_admin']) AS a(argument);
SELECT throws_ok(format('SELECT * FROM rolecall.create_test_users(%s => %L)', a.argument, ''), '22023', 'password must not be empty', 'an empty ' || a.argument)
FROM unnest(ARRAY['app_password', 'admin_password']) AS a(argument);
SELECT throws_ok(
  $$SELECT * FROM rolecall.create_test_users('t_x', rolecall_internal.scram('', '\x5b6d99689d12358eec0a04b141236fa8', 4096))$$, '22023',
  'password must not be empty', 'a verifier of the empty password'
);
SELECT throws_ok(
  format('SELECT * FROM rolecall.create_test_users(%s => %L)', a.argument, p.password), '22023',
  'password must not be an MD5 hash or an incomplete SCRAM-SHA-256 verifier', format('%s as %s', p.what, a.argument)
)
FROM unnest(ARRAY['app_password', 'admin_password']) AS a(argument),
     (VALUES ('an MD5 hash', 'md5' || md5('x')), ('half a verifier', 'SCRAM-SHA-256$4096:salt$key')) AS p(what, password);
SELECT throws_ok(
  $$SELECT * FROM rolecall.create_test_users('t_x', app_admin => 't_x')$$, '22023',
  'the user and the administrator must have two different names', 'the two cannot be one'
);
SELECT throws_ok($$SELECT * FROM rolecall.create_test_users('app_admin')$$, '22023', NULL, 'whether both are named or one');
SELECT throws_ok($$SELECT * FROM rolecall.create_test_users('t_anon')$$, '0LP01', NULL, 'a base role is no user');
SELECT is(test.state(), state, 'nothing was changed, or remembered') FROM before;

-- A plain caller. From 16 it takes ADMIN OPTION on the three roles.

CREATE ROLE t_op CREATEROLE;
SELECT count(*) FROM rolecall.add_operator('t_op');
GRANT t_anon, t_auth TO t_op WITH ADMIN OPTION;
SET LOCAL ROLE t_op;
SELECT is(
  test.error($$SELECT FROM rolecall.create_test_users('o_user', app_admin => 'o_admin')$$),
  CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'none' ELSE
    '42501 This requires ADMIN OPTION on the granted role: have a superuser, or a role that has it, '
    'run GRANT t_admin TO t_op WITH ADMIN OPTION.' END,
  'from 16 a plain caller is told which grant it lacks'
);
RESET ROLE;
GRANT t_admin TO t_op WITH ADMIN OPTION;
SET LOCAL ROLE t_op;
SELECT lives_ok($$SELECT * FROM rolecall.create_test_users('o_user', app_admin => 'o_admin')$$, 'with it, it makes both');
SELECT is_empty($$SELECT * FROM rolecall.create_test_users('o_user', app_admin => 'o_admin')$$, 'once');
RESET ROLE;
SELECT is(test.groups('o_user') || ', ' || test.groups('o_admin'), 't_anon t_auth, t_admin t_anon t_auth', 'in the base roles');

SET LOCAL transaction_read_only = on;
SELECT is_empty('SELECT * FROM rolecall.create_test_users()', 'with nothing to do it works in a READ ONLY transaction');
SELECT is(
  (SELECT count(*) FROM rolecall.create_test_users('t_more', dry_run => true) WHERE status = 'planned'), 3::bigint, 'and so does a dry run'
);
SELECT throws_ok($$SELECT * FROM rolecall.create_test_users('t_more')$$, '25006', NULL, 'where no role can be made');

SELECT * FROM finish();
ROLLBACK;
