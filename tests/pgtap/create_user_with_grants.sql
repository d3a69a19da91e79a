-- create_user_with_grants: a role that logs in, in the roles given.
BEGIN;
SELECT plan(60);

CREATE ROLE t_b; CREATE ROLE t_a; CREATE ROLE "t C";

-- A new user.

CREATE TEMPORARY TABLE before AS SELECT test.state() AS state;
SELECT results_eq(
  $$SELECT * FROM rolecall.create_user_with_grants('t_alice', 'secret', ARRAY['t_b', 't C', 't_a'], dry_run => true)$$,
  $$VALUES ('create_role', 't_alice', 'CREATE ROLE t_alice LOGIN PASSWORD ''********''', 'planned', NULL::text, NULL::text),
           ('grant_role', 't_alice', 'GRANT t_b TO t_alice', 'planned', NULL, NULL),
           ('grant_role', 't_alice', 'GRANT "t C" TO t_alice', 'planned', NULL, NULL),
           ('grant_role', 't_alice', 'GRANT t_a TO t_alice', 'planned', NULL, NULL)$$,
  'a dry run gives the statements, in the order of the roles'
);
SELECT is(
  test.least_wal($$SELECT FROM rolecall.create_user_with_grants('t_alice', 'secret', ARRAY['t_b'], dry_run => true)$$), 0::numeric, 'writes no WAL'
);
SELECT is(test.state(), state, 'and changes nothing') FROM before;
SELECT results_eq(
  $$SELECT * FROM rolecall.create_user_with_grants('t_alice', 'secret', ARRAY['t_b', 't C', 't_a'])$$,
  $$VALUES ('create_role', 't_alice', 'CREATE ROLE t_alice LOGIN PASSWORD ''********''', 'applied', NULL::text, NULL::text),
           ('grant_role', 't_alice', 'GRANT t_b TO t_alice', 'applied', NULL, NULL),
           ('grant_role', 't_alice', 'GRANT "t C" TO t_alice', 'applied', NULL, NULL),
           ('grant_role', 't_alice', 'GRANT t_a TO t_alice', 'applied', NULL, NULL)$$,
  'the call runs them'
);
SELECT is(test.groups('t_alice'), '"t C" t_a t_b', 'it is a member of these roles and no others');
SELECT is_empty($$SELECT FROM pg_auth_members WHERE member = 't_alice'::regrole AND admin_option$$, 'which it may not grant on');
SELECT ok(rolcanlogin AND rolecall_internal.password_matches('secret', rolpassword), 'it logs in with its password')
FROM pg_authid WHERE rolname = 't_alice';

-- Again.

SELECT is_empty(
  $$SELECT * FROM rolecall.create_user_with_grants('t_alice', 'another', ARRAY['t_a', 't_b', 't C'])$$,
  'a second call has nothing to do, in whatever order'
);
SELECT is_empty($$SELECT * FROM rolecall.create_user_with_grants('t_alice', NULL, ARRAY['t_a'])$$, 'with fewer roles, none is taken away');
SELECT is(
  test.least_wal($$SELECT FROM rolecall.create_user_with_grants('t_alice', 'another', ARRAY['t_a', 't_b'])$$), 0::numeric, 'nothing is written'
);
SELECT ok(rolecall_internal.password_matches('secret', rolpassword), 'the password stays') FROM pg_authid WHERE rolname = 't_alice';

-- A role that is there already.

CREATE ROLE t_bob NOLOGIN CREATEDB;
COMMENT ON ROLE t_bob IS 'as it was';
GRANT t_a TO t_bob WITH ADMIN OPTION;
CREATE TEMPORARY TABLE bob AS SELECT r::text AS role FROM pg_authid AS r WHERE rolname = 't_bob';
SELECT results_eq(
  $$SELECT statement FROM rolecall.create_user_with_grants('t_bob', 'secret', ARRAY['t_a', 't_b'])$$, $$VALUES ('GRANT t_b TO t_bob')$$,
  'an existing role gains the membership that it lacks'
);
SELECT is(r::text, bob.role, 'keeps its attributes, and has no password') FROM pg_authid AS r, bob WHERE rolname = 't_bob';
SELECT ok(bool_or(admin_option), 'and the ADMIN OPTION that it had') FROM pg_auth_members WHERE member = 't_bob'::regrole AND roleid = 't_a'::regrole;
SELECT is(shobj_description('t_bob'::regrole, 'pg_authid'), 'as it was', 'and its comment');

-- The list of roles.

SELECT results_eq(
  $$SELECT statement FROM rolecall.create_user_with_grants('t_null', NULL, NULL)$$, $$VALUES ('CREATE ROLE t_null LOGIN')$$, 'null is none'
);
SELECT results_eq(
  $$SELECT statement FROM rolecall.create_user_with_grants('t_empty', NULL, '{}')$$, $$VALUES ('CREATE ROLE t_empty LOGIN')$$, 'so is an empty list'
);
SELECT results_eq(
  $$SELECT statement FROM rolecall.create_user_with_grants('t_twice', NULL, ARRAY['t_b', 't_a', 't_b'])$$,
  $$VALUES ('CREATE ROLE t_twice LOGIN'), ('GRANT t_b TO t_twice'), ('GRANT t_a TO t_twice')$$,
  'a role that is given twice is granted once'
);
SELECT results_eq(
  $$SELECT statement, status, sqlstate, note FROM rolecall.create_user_with_grants('t_carol', NULL, ARRAY['t_missing', 't_a'])$$,
  $$VALUES ('CREATE ROLE t_carol LOGIN', 'applied', NULL, NULL),
           ('GRANT t_missing TO t_carol', 'skipped', '42704', 'role "t_missing" does not exist'),
           ('GRANT t_a TO t_carol', 'applied', NULL, NULL)$$,
  'one that does not exist is skipped, and the others are granted'
);
SELECT results_eq(
  $$SELECT statement, status FROM rolecall.create_user_with_grants('t_carol', NULL, ARRAY['t_missing', 't_a'])$$,
  $$VALUES ('GRANT t_missing TO t_carol', 'skipped')$$, 'as long as it does not'
);
CREATE ROLE t_missing;
SELECT results_eq(
  $$SELECT statement, status FROM rolecall.create_user_with_grants('t_carol', NULL, ARRAY['t_missing', 't_a'])$$,
  $$VALUES ('GRANT t_missing TO t_carol', 'applied')$$, 'when it does it is granted'
);

-- use_locks.

SELECT is(test.locks('t_carol'), 0::bigint, 'no advisory lock is taken that others know, unless it is asked for');
SELECT is_empty($$SELECT * FROM rolecall.create_user_with_grants('t_carol', NULL, ARRAY['t_a'], use_locks => true)$$, 'asking for it changes nothing else');
SELECT is(test.locks('t_carol'), 1::bigint, 'it is held to the end of the transaction');

-- A predefined role.

SELECT is(
  (SELECT string_agg(statement || ' ' || status, ', ') FROM rolecall.create_user_with_grants('t_watcher', NULL, ARRAY['t_a', 'pg_monitor'])),
  'CREATE ROLE t_watcher LOGIN applied, GRANT t_a TO t_watcher applied, GRANT pg_monitor TO t_watcher applied', 'a predefined role is granted too'
);

-- Errors.

CREATE TEMPORARY TABLE wrong_name (code text, name text);
INSERT INTO wrong_name VALUES
  ('42602', ''), ('42602', repeat('x', 64)), ('42602', repeat('é', 32)), ('42939', 'public'), ('42939', 'none'),
  ('42939', 'current_user'), ('42939', 'session_user'), ('42939', 'current_role'), ('42939', 'pg_monitor'), ('42939', 'pg_mine');
UPDATE before SET state = test.state();
SELECT throws_ok($$SELECT * FROM rolecall.create_user_with_grants(NULL, NULL, '{}')$$, '22004', NULL, 'a null name');
SELECT throws_ok($$SELECT * FROM rolecall.create_user_with_grants('t_dave', NULL, ARRAY['t_a', NULL])$$, '22004', NULL, 'a null role');
SELECT throws_ok(format('SELECT * FROM rolecall.create_user_with_grants(%L, NULL, NULL)', name), code, NULL, 'the name ' || name)
FROM wrong_name;
SELECT throws_ok(
  format('SELECT * FROM rolecall.create_user_with_grants(%L, NULL, ARRAY[%L, %L])', 't_dave', 't_a', name), code, NULL, 'the role ' || name
) FROM wrong_name WHERE name <> 'pg_monitor';
SELECT throws_ok(
  $$SELECT * FROM rolecall.create_user_with_grants('t_dave', '', '{}')$$, '22023', 'password must not be empty', 'an empty password'
);
SELECT throws_ok(
  $$SELECT * FROM rolecall.create_user_with_grants('t_dave', rolecall_internal.scram('', '\x5b6d99689d12358eec0a04b141236fa8', 4096), '{}')$$,
  '22023', 'password must not be empty', 'a verifier of the empty password'
);
SELECT throws_ok(
  format('SELECT * FROM rolecall.create_user_with_grants(%L, %L, %L)', 't_dave', password, '{}'), '22023',
  'password must not be an MD5 hash or an incomplete SCRAM-SHA-256 verifier', what
) FROM (VALUES ('an MD5 hash', 'md5' || md5('x')), ('half a verifier', 'SCRAM-SHA-256$4096:salt$key')) AS p(what, password);
SELECT throws_ok($$SELECT * FROM rolecall.create_user_with_grants('t_dave', NULL, ARRAY['t_dave'])$$, '0LP01', NULL, 'a member of itself');
SELECT throws_ok($$SELECT * FROM rolecall.create_user_with_grants('t_a', NULL, ARRAY['t_alice'])$$, '0LP01', NULL, 'or of its own member');
SELECT is(test.state(), state, 'nothing was changed, or remembered') FROM before;

-- A plain caller. From 16 it takes ADMIN OPTION on each of the roles.

CREATE ROLE t_op CREATEROLE;
SELECT count(*) FROM rolecall.add_operator('t_op');
GRANT t_a TO t_op WITH ADMIN OPTION;
SET LOCAL ROLE t_op;
SELECT is(
  test.error($$SELECT FROM rolecall.create_user_with_grants('t_erin', 'secret', ARRAY['t_a', 't C'])$$),
  CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'none' ELSE
    '42501 This requires ADMIN OPTION on the granted role: have a superuser, or a role that has it, '
    'run GRANT "t C" TO t_op WITH ADMIN OPTION.' END,
  'from 16 a plain caller is told which grant it lacks'
);
SELECT is(
  (SELECT string_agg(status, ' ') FROM rolecall.create_user_with_grants('t_frank', 'secret', ARRAY['t_a'])), 'applied applied', 'with it, it makes users'
);
SELECT is_empty($$SELECT * FROM rolecall.create_user_with_grants('t_frank', 'another', ARRAY['t_a'])$$, 'once');
RESET ROLE;
SELECT is(test.groups('t_frank'), 't_a', 'with their roles');

SET LOCAL transaction_read_only = on;
SELECT is_empty(
  $$SELECT * FROM rolecall.create_user_with_grants('t_alice', 'secret', ARRAY['t_a'], true)$$, 'with nothing to do it works in a READ ONLY transaction'
);
SELECT is(
  (SELECT count(*) FROM rolecall.create_user_with_grants('t_more', 'secret', ARRAY['t_a'], true, true) WHERE status = 'planned'), 2::bigint,
  'and so does a dry run'
);
SELECT throws_ok($$SELECT * FROM rolecall.create_user_with_grants('t_alice', NULL, ARRAY['t_missing'])$$, '25006', NULL, 'where nothing can be granted');

SELECT * FROM finish();
ROLLBACK;
