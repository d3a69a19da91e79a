-- create_user: a role that logs in, in the anonymous and authenticated roles. Logging in is tested in security/.
BEGIN;
SELECT plan(102);

-- Without the base roles the user is created, and the rows say what is missing.

SELECT results_eq(
  $$SELECT operation, statement, status, sqlstate FROM rolecall.create_user('t_early')$$,
  $$VALUES ('create_role', 'CREATE ROLE t_early LOGIN', 'applied', NULL),
           ('grant_role', 'GRANT anonymous TO t_early', 'skipped', '42704'),
           ('grant_role', 'GRANT authenticated TO t_early', 'skipped', '42704')$$,
  'before the base roles are made their grants are skipped'
);
SELECT count(*) FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin');
SELECT results_eq(
  $$SELECT statement, status FROM rolecall.create_user('t_early')$$,
  $$VALUES ('GRANT t_anon TO t_early', 'applied'), ('GRANT t_auth TO t_early', 'applied')$$,
  'and made up for by a later call, with the names of this database'
);

-- A new user.

CREATE TEMPORARY TABLE before AS SELECT test.state() AS state;
SELECT results_eq(
  $$SELECT * FROM rolecall.create_user('t alice', 'secret', dry_run => true)$$,
  $$VALUES ('create_role', 't alice', 'CREATE ROLE "t alice" LOGIN PASSWORD ''********''', 'planned', NULL::text, NULL::text),
           ('grant_role', 't alice', 'GRANT t_anon TO "t alice"', 'planned', NULL, NULL),
           ('grant_role', 't alice', 'GRANT t_auth TO "t alice"', 'planned', NULL, NULL)$$,
  'a dry run gives the statements, without the password'
);
SELECT is(test.least_wal($$SELECT FROM rolecall.create_user('t alice', 'secret', dry_run => true)$$), 0::numeric, 'writes no WAL');
SELECT is(test.state(), state, 'and changes nothing') FROM before;
SELECT results_eq(
  $$SELECT * FROM rolecall.create_user('t alice', 'secret')$$,
  $$VALUES ('create_role', 't alice', 'CREATE ROLE "t alice" LOGIN PASSWORD ''********''', 'applied', NULL::text, NULL::text),
           ('grant_role', 't alice', 'GRANT t_anon TO "t alice"', 'applied', NULL, NULL),
           ('grant_role', 't alice', 'GRANT t_auth TO "t alice"', 'applied', NULL, NULL)$$,
  'the call runs them'
);
SELECT results_eq(
  $$SELECT rolcanlogin, rolinherit, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls, rolconnlimit, rolvaliduntil
    FROM pg_roles WHERE rolname = 't alice'$$,
  $$VALUES (true, true, false, -1, NULL::timestamptz)$$,
  'the user logs in, and has no power'
);
SELECT is(test.groups('t alice'), 't_anon t_auth', 'it is a member of the two roles');
SELECT is_empty(
  $$SELECT FROM pg_auth_members WHERE member = '"t alice"'::regrole AND admin_option$$, 'which it may not grant on'
);
SELECT matches(
  (SELECT rolpassword FROM pg_authid WHERE rolname = 't alice'), '^SCRAM-SHA-256\$4096:', 'a verifier is stored'
);
SELECT ok(rolecall_internal.password_matches('secret', rolpassword), 'of the password') FROM pg_authid WHERE rolname = 't alice';
SELECT is(shobj_description('"t alice"'::regrole, 'pg_authid'), NULL, 'no comment is made up');

-- Again.

SELECT is_empty($$SELECT * FROM rolecall.create_user('t alice', 'secret')$$, 'a second call has nothing to do');
SELECT is_empty($$SELECT * FROM rolecall.create_user('t alice', 'another')$$, 'nor has one with another password');
SELECT is_empty($$SELECT * FROM rolecall.create_user('t alice')$$, 'or with none');
SELECT is(test.least_wal($$SELECT FROM rolecall.create_user('t alice', 'another')$$), 0::numeric, 'nothing is written');
SELECT ok(rolecall_internal.password_matches('secret', rolpassword), 'the password stays') FROM pg_authid WHERE rolname = 't alice';

-- A role that is there already.

CREATE ROLE t_bob NOLOGIN CREATEDB NOINHERIT CONNECTION LIMIT 3;
COMMENT ON ROLE t_bob IS 'as it was';
GRANT t_admin, t_auth TO t_bob;
CREATE TEMPORARY TABLE bob AS SELECT r::text AS role FROM pg_authid AS r WHERE rolname = 't_bob';
SELECT results_eq(
  $$SELECT statement FROM rolecall.create_user('t_bob', 'secret')$$, $$VALUES ('GRANT t_anon TO t_bob')$$,
  'an existing role gains the membership that it lacks'
);
SELECT is(test.groups('t_bob'), 't_admin t_anon t_auth', 'and keeps its others');
SELECT is(r::text, bob.role, 'its attributes, and that it has no password') FROM pg_authid AS r, bob WHERE rolname = 't_bob';
SELECT is(shobj_description('t_bob'::regrole, 'pg_authid'), 'as it was', 'and its comment');
REVOKE t_anon FROM "t alice";
SELECT results_eq(
  $$SELECT statement FROM rolecall.create_user('t alice')$$, $$VALUES ('GRANT t_anon TO "t alice"')$$, 'a membership that was taken is given again'
);

-- Passwords.

SELECT count(*) FROM rolecall.create_user('t_none');
SELECT is(rolpassword, NULL, 'null is no password') FROM pg_authid WHERE rolname = 't_none';
SELECT count(*) FROM rolecall.create_user('t_verifier', rolecall_internal.scram('pencil', '\x5b6d99689d12358eec0a04b141236fa8', 4096));
SELECT is(rolpassword, rolecall_internal.scram('pencil', '\x5b6d99689d12358eec0a04b141236fa8', 4096), 'a verifier is stored as it is')
FROM pg_authid WHERE rolname = 't_verifier';
SELECT count(*) FROM rolecall.create_user('t_quotes', E'it''s \\ %I $$ \n "é" 😀');
SELECT ok(rolecall_internal.password_matches(E'it''s \\ %I $$ \n "é" 😀', rolpassword), 'a password can hold anything')
FROM pg_authid WHERE rolname = 't_quotes';
SELECT results_eq(
  $$SELECT statement FROM rolecall.create_user('t ''********''', 'secret', dry_run => true) LIMIT 1$$,
  $$VALUES ('CREATE ROLE "t ''********''" LOGIN PASSWORD ''********''')$$, 'a name can look like the mask'
);
SELECT count(*) FROM rolecall.create_user('t ''********''', 'secret');
SELECT ok(rolecall_internal.password_matches('secret', rolpassword), 'and has its password') FROM pg_authid WHERE rolname = 't ''********''';

-- use_locks.

SELECT count(*) FROM rolecall.create_user('t_carol', use_locks => NULL);
SELECT is(test.locks('t_carol'), 0::bigint, 'no advisory lock is taken that others know, unless it is asked for');
SELECT is_empty($$SELECT * FROM rolecall.create_user('t_carol', use_locks => true)$$, 'asking for it changes nothing else');
SELECT is(test.locks('t_carol'), 1::bigint, 'it is held to the end of the transaction');

-- Errors.

CREATE TEMPORARY TABLE wrong_name (code text, name text);
INSERT INTO wrong_name VALUES
  ('42602', ''), ('42602', repeat('x', 64)), ('42602', repeat('é', 32)), ('42939', 'public'), ('42939', 'none'),
  ('42939', 'current_user'), ('42939', 'session_user'), ('42939', 'current_role'), ('42939', 'pg_monitor'), ('42939', 'pg_mine');
UPDATE before SET state = test.state();
SELECT throws_ok('SELECT * FROM rolecall.create_user(NULL)', '22004', 'role name must not be null', 'a null name');
SELECT throws_ok('SELECT * FROM rolecall.create_user(NULL, use_locks => true)', '22004', NULL, 'with a lock, too');
SELECT throws_ok(
  format('SELECT * FROM rolecall.create_user(%L)', name), code,
  CASE code WHEN '42602' THEN format('role name must be 1 to 63 bytes long, not %s', octet_length(name))
    ELSE format('role name "%s" is reserved', name) END,
  'the name ' || name
) FROM wrong_name;
SELECT throws_ok(
  format('SELECT * FROM rolecall.create_user(%L, dry_run => true)', name), code, NULL, 'in a dry run ' || name
) FROM wrong_name;
SELECT throws_ok($$SELECT * FROM rolecall.create_user('t_dave', '')$$, '22023', 'password must not be empty', 'an empty password');
SELECT throws_ok($$SELECT * FROM rolecall.create_user('', '')$$, '42602', NULL, 'an impossible name comes before it');
SELECT throws_ok(
  $$SELECT * FROM rolecall.create_user('t_dave', rolecall_internal.scram('', '\x5b6d99689d12358eec0a04b141236fa8', 4096))$$,
  '22023', 'password must not be empty', 'a verifier of the empty password'
);
SELECT throws_ok(
  format('SELECT * FROM rolecall.create_user(%L, %L, dry_run => %L)', name, password, dry_run), '22023',
  'password must not be an MD5 hash or an incomplete SCRAM-SHA-256 verifier', format('%s for %s, dry_run => %s', what, name, dry_run)
)
FROM (VALUES ('t_dave'), ('t alice')) AS n(name),
     (VALUES ('an MD5 hash', 'md5' || md5('x')), ('half a verifier', 'SCRAM-SHA-256$4096:salt$key')) AS p(what, password),
     (VALUES (false), (true)) AS d(dry_run);
SELECT throws_ok($$SELECT * FROM rolecall.create_user('t alice', '')$$, '22023', NULL, 'also for a role that would keep its own');
SELECT throws_ok($$SELECT * FROM rolecall.create_user('t_auth')$$, '0LP01', NULL, 'a base role is no user');
SELECT throws_ok($$SELECT * FROM rolecall.create_user('t_auth', dry_run => NULL)$$, '0LP01', NULL, 'a null dry_run is none');
SELECT is(test.state(), state, 'nothing was changed, or remembered') FROM before;

-- Names that look wrong and are not.

CREATE TEMPORARY TABLE odd_name AS
SELECT * FROM unnest(ARRAY[
  'user', 'PUBLIC', 'Pg_mine', ' ', 'a"b''c', '$do$', '%I %s', E'two\nlines', '😀', repeat('x', 63), repeat('é', 31) || 'x'
]) AS n(name);
SELECT is(
  (SELECT target FROM rolecall.create_user(n.name, 'secret') WHERE operation = 'create_role'), n.name, 'the name ' || quote_literal(n.name)
) FROM odd_name AS n;
SELECT is_empty('SELECT name FROM odd_name EXCEPT SELECT rolname::text FROM pg_roles', 'makes a role of that name');

-- The look by which a call ends that has nothing to do. Whatever is not as asked for, or recorded otherwise, is for the plan.

CREATE FUNCTION pg_temp.established_after(change text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE change;
  RAISE EXCEPTION USING ERRCODE = 'T0001', MESSAGE = rolecall_internal.is_established('{
    "roles": [{"name": "t alice", "initial": {"login": true}, "password": "********"},
              {"name": "t_anon", "attributes": {"login": false, "createrole": false}, "protected": true}],
    "memberships": [{"role": "t_anon", "member": "t alice", "admin": null}],
    "base_roles": [{"key": "anonymous", "name": "t_anon"}]
  }');
EXCEPTION WHEN SQLSTATE 'T0001' THEN
  RETURN SQLERRM::boolean; -- and the change is undone
END
$$;
SELECT ok(pg_temp.established_after('SELECT'), 'all is as asked for');
SELECT ok(NOT pg_temp.established_after(c.change), 'it is not, with ' || c.what) FROM (VALUES
  ('a membership that has ended', 'REVOKE t_anon FROM "t alice"'),
  ('an attribute that differs', 'ALTER ROLE t_anon LOGIN'),
  ('another role of that name', 'ALTER ROLE "t alice" RENAME TO t_before; CREATE ROLE "t alice"; GRANT t_anon TO "t alice"'),
  ('no record', $$DELETE FROM rolecall_internal.resource WHERE section = 'roles' AND key = '["t alice"]'$$),
  ('one that is no longer asked for', $$SELECT rolecall.forget('t alice')$$),
  ('one that is not acted on', $$ALTER TABLE rolecall_internal.resource DISABLE TRIGGER ALL;
    UPDATE rolecall_internal.resource SET sqlstate = '42501' WHERE key = '["t alice", "t_anon"]'$$),
  ('another base role', $$INSERT INTO rolecall_internal.resource (section, key, resource)
    VALUES ('base_roles', '["anonymous"]', '{"key": "anonymous", "name": "t_auth"}')$$),
  ('a reporting role', $$INSERT INTO rolecall_internal.resource (section, key) VALUES ('read_access', '["t alice"]')$$),
  ('a client role', $$SELECT rolecall.create_client_role('t_anon')$$)
) AS c(what, change);
SELECT CASE WHEN current_setting('server_version_num')::integer >= 160000
  THEN ok(NOT pg_temp.established_after('REVOKE INHERIT OPTION FOR t_anon FROM "t alice"; REVOKE SET OPTION FOR t_anon FROM "t alice"'),
          'nor with a membership that gives nothing')
  ELSE pass('before 16 every membership gives all') END;
SELECT CASE WHEN current_setting('is_superuser')::boolean
  THEN ok(NOT pg_temp.established_after('ALTER ROLE t_anon SUPERUSER'), 'nor with a superuser')
  ELSE pass('only superusers make superusers') END;

-- Plain callers. From 16 they take ADMIN OPTION on the two roles.

CREATE ROLE t_nobody;
CREATE ROLE t_op CREATEROLE;
SELECT count(*) FROM rolecall.add_operator('t_nobody');
SELECT count(*) FROM rolecall.add_operator('t_op');
SET LOCAL ROLE t_nobody;
SELECT matches(test.error($$SELECT FROM rolecall.create_user('t_erin', 'secret')$$), '^42501 This requires CREATEROLE\.', 'without CREATEROLE no user is made');
SET LOCAL ROLE t_op;
SELECT is(
  test.error($$SELECT FROM rolecall.create_user('t_erin', 'secret')$$),
  CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'none' ELSE
    '42501 This requires ADMIN OPTION on the granted role: have a superuser, or a role that has it, '
    'run GRANT t_anon TO t_op WITH ADMIN OPTION.' END,
  'from 16 a plain caller is told which grant it lacks'
);
RESET ROLE;
GRANT t_anon, t_auth TO t_op WITH ADMIN OPTION;
SET LOCAL ROLE t_op;
SELECT is(
  (SELECT string_agg(status, ' ') FROM rolecall.create_user('t_frank', 'secret')), 'applied applied applied', 'with it, it makes users'
);
SELECT is_empty($$SELECT * FROM rolecall.create_user('t_frank', 'another')$$, 'once, though it cannot read passwords');
SELECT throws_ok(
  $$SELECT * FROM rolecall.create_user('t_empty', rolecall_internal.scram('', '\x5b6d99689d12358eec0a04b141236fa8', 4096))$$,
  '22023', 'password must not be empty', 'and knows a verifier of the empty password'
);
RESET ROLE;
SELECT is(test.groups('t_frank'), 't_anon t_auth', 'they are members of the two roles');
SELECT ok(rolecall_internal.password_matches('secret', rolpassword), 'and have the first password') FROM pg_authid WHERE rolname = 't_frank';
SELECT is(
  (SELECT count(*) FROM pg_auth_members WHERE roleid = 't_frank'::regrole),
  CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 0 ELSE 1 END::bigint,
  'from 16 who makes a role has ADMIN on it: that is left alone'
);

SET LOCAL transaction_read_only = on;
SELECT is_empty($$SELECT * FROM rolecall.create_user('t alice', 'secret', use_locks => true)$$, 'with nothing to do it works in a READ ONLY transaction');
SELECT is(
  (SELECT count(*) FROM rolecall.create_user('t_more', 'secret', true, true) WHERE status = 'planned'), 3::bigint, 'and so does a dry run'
);
SELECT throws_ok($$SELECT * FROM rolecall.create_user('t_more')$$, '25006', NULL, 'where no role can be made');

SELECT * FROM finish();
ROLLBACK;
