-- Base roles, users and memberships: what a call does, that a second one does nothing, that a dry run changes nothing.
BEGIN;
SELECT plan(32);

SELECT is(rolecall.role_name('authenticated'), 'authenticated', 'before any call the names are the usual ones');
SELECT throws_ok($$SELECT rolecall.role_name('other')$$, '22023', NULL, 'there is no other base role');
SELECT throws_ok($$SELECT rolecall.role_name(NULL)$$, '22004', NULL, 'nor one without a key');

SELECT results_eq(
  $$SELECT operation, target, status FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin', dry_run => true)$$,
  $$VALUES ('create_role', 't_anon', 'planned'), ('create_role', 't_auth', 'planned'), ('create_role', 't_admin', 'planned')$$,
  'a dry run says what would be done'
);
SELECT hasnt_role('t_anon', 'and does nothing');
SELECT is(rolecall.role_name('anonymous'), 'anonymous', 'nor does it remember the names');

SELECT results_eq(
  $$SELECT operation, target, status FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin')$$,
  $$VALUES ('create_role', 't_anon', 'applied'), ('create_role', 't_auth', 'applied'), ('create_role', 't_admin', 'applied')$$,
  'create_base_roles makes the three roles'
);
SELECT is_empty('SELECT * FROM rolecall.create_base_roles()', 'and remembers their names: nothing is left to do');
SELECT is(rolecall.role_name('default'), 't_anon', 'the default role is the anonymous one');
SELECT results_eq(
  $$SELECT rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
    FROM pg_roles WHERE rolname LIKE 't\_%' ORDER BY rolname$$,
  $$VALUES ('t_admin'::name, false, false, false, false, false, true),
           ('t_anon'::name, false, false, false, false, false, false),
           ('t_auth'::name, false, false, false, false, false, false)$$,
  'with no more than the attributes asked for'
);

ALTER ROLE t_auth BYPASSRLS CREATEDB;
SELECT results_eq(
  'SELECT operation, statement FROM rolecall.create_base_roles()',
  $$VALUES ('alter_role', 'ALTER ROLE t_auth NOCREATEDB NOBYPASSRLS')$$,
  'only the attributes that differ are named'
);
SELECT throws_ok(
  $$SELECT * FROM rolecall.create_base_roles('t_anon', 't_anon')$$, '22023', NULL, 'two base roles cannot be one'
);
SELECT throws_ok(
  format('SELECT * FROM rolecall.create_base_roles(%L)', current_user), '22023', NULL, 'the caller is no base role'
);
CREATE ROLE t_super SUPERUSER;
SELECT throws_ok($$SELECT * FROM rolecall.create_base_roles('t_super')$$, '22023', NULL, 'nor is a superuser');

SELECT results_eq(
  $$SELECT operation, statement, status FROM rolecall.create_user('t alice', 'secret')$$,
  $$VALUES ('create_role', 'CREATE ROLE "t alice" LOGIN PASSWORD ''********''', 'applied'),
           ('grant_role', 'GRANT t_anon TO "t alice"', 'applied'),
           ('grant_role', 'GRANT t_auth TO "t alice"', 'applied')$$,
  'create_user makes the user; the statement hides the password'
);
SELECT is_empty($$SELECT * FROM rolecall.create_user('t alice', 'another')$$, 'a second call does nothing');
SELECT ok(
  rolecall._password_matches('secret', (SELECT rolpassword FROM pg_authid WHERE rolname = 't alice')),
  'and an existing role keeps its password'
);
SELECT matches(
  (SELECT rolpassword FROM pg_authid WHERE rolname = 't alice'), '^SCRAM-SHA-256\$4096:', 'which is stored as a verifier'
);
SELECT is_empty($$SELECT * FROM rolecall.set_password('t alice', 'secret')$$, 'set_password sees that it is the same');
SELECT results_eq(
  $$SELECT operation, statement FROM rolecall.set_password('t alice', 'another')$$,
  $$VALUES ('set_password', 'ALTER ROLE "t alice" PASSWORD ''********''')$$,
  'and sets another one'
);

SELECT results_eq(
  $$SELECT statement FROM rolecall.grant_role('t_admin', 't alice', true)$$,
  $$VALUES ('GRANT t_admin TO "t alice" WITH ADMIN OPTION')$$,
  'grant_role gives the ADMIN OPTION'
);
SELECT is_empty($$SELECT * FROM rolecall.grant_role('t_admin', 't alice', true)$$, 'once');
SELECT matches(
  (SELECT statement FROM rolecall.grant_role('t_admin', 't alice')), '^REVOKE ADMIN OPTION FOR t_admin FROM "t alice"',
  'and takes it away'
);
SELECT lives_ok(
  $$SELECT * FROM rolecall.grant_role('t_admin', 't alice', true)$$, 'which a member is given later, too'
);
SELECT is_empty($$SELECT * FROM rolecall.grant_role('t_admin', 't alice', true)$$, 'and has then');
SELECT count(*) FROM rolecall.grant_role('t_admin', 't alice');
SELECT results_eq(
  $$SELECT status, sqlstate FROM rolecall.grant_role('t_nobody', 't alice')$$,
  $$VALUES ('skipped', '42704')$$,
  'a role that does not exist is a skipped step'
);
SELECT CASE WHEN current_setting('server_version_num')::integer < 160000
  THEN throws_ok($$SELECT * FROM rolecall.grant_role('t_admin', 't alice', false, false)$$, '0A000', NULL, 'INHERIT needs 16')
  ELSE matches(
    (SELECT statement FROM rolecall.grant_role('t_admin', 't alice', false, false)),
    '^REVOKE INHERIT OPTION FOR t_admin FROM "t alice"', 'INHERIT is taken away'
  )
END;
SELECT throws_ok(
  $$SELECT * FROM rolecall.grant_role('t alice', 't_admin')$$, '0LP01', NULL, 'a role cannot be a member of itself'
);
SELECT is((SELECT count(*)::integer FROM rolecall.revoke_role('t_admin', 't alice')), 1, 'revoke_role ends a membership');
SELECT is_empty($$SELECT * FROM rolecall.revoke_role('t_admin', 't alice')$$, 'once');

SELECT results_eq(
  $$SELECT statement FROM rolecall.create_user_with_grants('t_bob', NULL, ARRAY['t_admin', 't_anon'])$$,
  $$VALUES ('CREATE ROLE t_bob LOGIN'), ('GRANT t_admin TO t_bob'), ('GRANT t_anon TO t_bob')$$,
  'create_user_with_grants grants in the order given'
);
SELECT results_eq(
  $$SELECT statement FROM rolecall.create_client_role('t_client', '5s')$$,
  $$VALUES ('CREATE ROLE t_client NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS'),
           ('GRANT t_auth TO t_client'), ('ALTER ROLE t_client SET statement_timeout = ''5s''')$$,
  'create_client_role makes a restricted role'
);

SELECT * FROM finish();
ROLLBACK;
