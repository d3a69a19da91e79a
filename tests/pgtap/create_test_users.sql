-- create_test_users: the two users of local development. That they log in, and the warning, are tested in conformance/.
BEGIN;
SELECT plan(63);

SELECT is(
  pg_get_function_arguments('rolecall.create_test_users'::regproc),
  'app_user text DEFAULT ''app_user''::text, app_password text DEFAULT ''app_password''::text, '
    'app_admin text DEFAULT ''app_admin''::text, admin_password text DEFAULT ''admin_password''::text, dry_run boolean DEFAULT false',
  'its arguments'
);
SELECT is(pg_get_function_result('rolecall.create_test_users'::regproc), 'SETOF rolecall.step', 'what it returns');
SELECT volatility_is(
  'rolecall', 'create_test_users', ARRAY['text', 'text', 'text', 'text', 'boolean'], 'volatile', 'it is volatile'
);
SELECT matches(obj_description('rolecall.create_test_users'::regproc, 'pg_proc'), '^Creates the two test users', 'its comment');
SELECT function_privs_are(
  'rolecall', 'create_test_users', ARRAY['text', 'text', 'text', 'text', 'boolean'], 'public', ARRAY[]::text[], 'it is not for PUBLIC'
);

-- What calls change: roles, memberships, settings, comments, and what is remembered.
CREATE FUNCTION pg_temp.state() RETURNS text LANGUAGE sql AS $$
  SELECT md5(string_agg(s.entry, ',' ORDER BY s.entry))
  FROM (
    SELECT a::text FROM pg_authid AS a
    UNION ALL SELECT m::text FROM pg_auth_members AS m
    UNION ALL SELECT r::text FROM pg_db_role_setting AS r
    UNION ALL SELECT d::text FROM pg_shdescription AS d
    UNION ALL SELECT p::text FROM rolecall_internal.resource AS p
  ) AS s(entry)
$$;

-- The server writes WAL of its own now and then: twenty quiet calls in a row do not all meet it.
CREATE FUNCTION pg_temp.least_wal(call text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
  v_before pg_lsn;
  v_least numeric;
BEGIN
  FOR i IN 1 .. 20 LOOP
    v_before := pg_current_wal_insert_lsn();
    EXECUTE call;
    v_least := least(v_least, pg_current_wal_insert_lsn() - v_before);
  END LOOP;
  RETURN v_least;
END
$$;

-- The error of a call, with its hint.
CREATE FUNCTION pg_temp.error(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_hint text;
BEGIN
  EXECUTE call;
  RETURN 'none';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS v_hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(' ', SQLSTATE, v_hint);
END
$$;

CREATE FUNCTION pg_temp.groups(username text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(roleid::regrole::text, ' ' ORDER BY roleid::regrole::text) FROM pg_auth_members
  WHERE member = quote_ident(username)::regrole
$$;

-- Each call warns: twenty of them would hide what else is said.
SET LOCAL client_min_messages = error;
SELECT count(*) FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin');

-- The first call.

CREATE TEMPORARY TABLE before AS SELECT pg_temp.state() AS state;
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
SELECT is(pg_temp.least_wal('SELECT FROM rolecall.create_test_users(dry_run => true)'), 0::numeric, 'writes no WAL');
SELECT is(pg_temp.state(), state, 'and changes nothing') FROM before;
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
SELECT is(pg_temp.groups('app_user'), 't_anon t_auth', 'app_user is in two of the base roles');
SELECT is(pg_temp.groups('app_admin'), 't_admin t_anon t_auth', 'app_admin is in all three');
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
SELECT is(pg_temp.least_wal('SELECT FROM rolecall.create_test_users()'), 0::numeric, 'nothing is written');
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
SELECT is(pg_temp.groups('t user') || ', ' || pg_temp.groups('t_boss'), 't_anon t_auth, t_admin t_anon t_auth', 'in the same base roles');
SELECT is(rolpassword, NULL, 'without a password') FROM pg_authid WHERE rolname = 't user';
SELECT ok(rolecall_internal.password_matches('secret', rolpassword), 'or with its own') FROM pg_authid WHERE rolname = 't_boss';

-- Errors.

CREATE TEMPORARY TABLE wrong_name (code text, name text);
INSERT INTO wrong_name VALUES
  ('42602', ''), ('42602', repeat('x', 64)), ('42602', repeat('é', 32)), ('42939', 'public'), ('42939', 'none'),
  ('42939', 'current_user'), ('42939', 'session_user'), ('42939', 'current_role'), ('42939', 'pg_monitor'), ('42939', 'pg_mine');
UPDATE before SET state = pg_temp.state();
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
SELECT throws_ok($$SELECT * FROM rolecall.create_test_users('t_x', app_admin => 't_x')$$, '22023', NULL, 'the two cannot be one');
SELECT throws_ok($$SELECT * FROM rolecall.create_test_users('app_admin')$$, '22023', NULL, 'whether both are named or one');
SELECT throws_ok($$SELECT * FROM rolecall.create_test_users('t_anon')$$, '0LP01', NULL, 'a base role is no user');
SELECT is(pg_temp.state(), state, 'nothing was changed, or remembered') FROM before;

-- A plain caller. From 16 it takes ADMIN OPTION on the three roles.

CREATE ROLE t_op CREATEROLE;
SELECT count(*) FROM rolecall.add_operator('t_op');
GRANT t_anon, t_auth TO t_op WITH ADMIN OPTION;
SET LOCAL ROLE t_op;
SELECT is(
  pg_temp.error($$SELECT FROM rolecall.create_test_users('o_user', app_admin => 'o_admin')$$),
  CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'none' ELSE
    '42501 On PostgreSQL 16 and newer this takes ADMIN OPTION on the granted role: have a superuser, or a role that has it, '
    'run GRANT t_admin TO t_op WITH ADMIN OPTION. Before, CREATEROLE is enough.' END,
  'from 16 a plain caller is told which grant it lacks'
);
RESET ROLE;
GRANT t_admin TO t_op WITH ADMIN OPTION;
SET LOCAL ROLE t_op;
SELECT lives_ok($$SELECT * FROM rolecall.create_test_users('o_user', app_admin => 'o_admin')$$, 'with it, it makes both');
SELECT is_empty($$SELECT * FROM rolecall.create_test_users('o_user', app_admin => 'o_admin')$$, 'once');
RESET ROLE;
SELECT is(pg_temp.groups('o_user') || ', ' || pg_temp.groups('o_admin'), 't_anon t_auth, t_admin t_anon t_auth', 'in the base roles');

SET LOCAL transaction_read_only = on;
SELECT is_empty('SELECT * FROM rolecall.create_test_users()', 'with nothing to do it works in a READ ONLY transaction');
SELECT is(
  (SELECT count(*) FROM rolecall.create_test_users('t_more', dry_run => true) WHERE status = 'planned'), 3::bigint, 'and so does a dry run'
);
SELECT throws_ok($$SELECT * FROM rolecall.create_test_users('t_more')$$, '25006', NULL, 'where no role can be made');

SELECT * FROM finish();
ROLLBACK;
