-- create_client_role: a restricted role, in the authenticated one, whose statements time out.
BEGIN;
SELECT plan(62);

CREATE FUNCTION pg_temp.settings(role text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(': ', d.datname, array_to_string(s.setconfig, ' ')), '; ' ORDER BY d.datname NULLS FIRST)
  FROM pg_db_role_setting AS s LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
  WHERE s.setrole = quote_ident(role)::regrole
$$;
SELECT count(*) FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin');

-- The first call.

CREATE TEMPORARY TABLE before AS SELECT test.state() AS state;
SELECT results_eq(
  'SELECT * FROM rolecall.create_client_role(dry_run => true)',
  $$VALUES ('create_role', 'authenticated_client',
            'CREATE ROLE authenticated_client NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS', 'planned', NULL::text, NULL::text),
           ('grant_role', 'authenticated_client', 'GRANT t_auth TO authenticated_client', 'planned', NULL, NULL),
           ('set_config', 'authenticated_client', 'ALTER ROLE authenticated_client SET statement_timeout = ''15s''', 'planned', NULL, NULL)$$,
  'a dry run gives the statements'
);
SELECT is(test.least_wal('SELECT FROM rolecall.create_client_role(dry_run => true)'), 0::numeric, 'writes no WAL');
SELECT is(test.state(), state, 'and changes nothing') FROM before;
SELECT results_eq(
  'SELECT * FROM rolecall.create_client_role()',
  $$VALUES ('create_role', 'authenticated_client',
            'CREATE ROLE authenticated_client NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS', 'applied', NULL::text, NULL::text),
           ('grant_role', 'authenticated_client', 'GRANT t_auth TO authenticated_client', 'applied', NULL, NULL),
           ('set_config', 'authenticated_client', 'ALTER ROLE authenticated_client SET statement_timeout = ''15s''', 'applied', NULL, NULL)$$,
  'the call runs them'
);
SELECT is_empty(
  $$SELECT FROM pg_roles WHERE rolname = 'authenticated_client'
      AND (rolcanlogin OR rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)$$,
  'the role has no power, and does not log in'
);
SELECT is(
  (SELECT string_agg(roleid::regrole::text, ' ') FROM pg_auth_members WHERE member = 'authenticated_client'::regrole), 't_auth',
  'it is a member of the authenticated role of this database'
);
SELECT is(pg_temp.settings('authenticated_client'), 'statement_timeout=15s', 'its statements time out');

-- Again.

SELECT is_empty('SELECT * FROM rolecall.create_client_role()', 'a second call has nothing to do');
SELECT is_empty('SELECT * FROM rolecall.create_client_role(NULL)', 'a null name is the usual one');
SELECT is(test.least_wal('SELECT FROM rolecall.create_client_role()'), 0::numeric, 'nothing is written');

-- A role that is there already.

CREATE ROLE "t client" LOGIN CREATEDB NOINHERIT PASSWORD 'secret';
COMMENT ON ROLE "t client" IS 'as it was';
ALTER ROLE "t client" SET work_mem = '8MB';
DO $$BEGIN EXECUTE format('ALTER ROLE "t client" IN DATABASE %I SET statement_timeout = ''1h''', current_database()); END$$;
SELECT results_eq(
  $$SELECT operation, statement FROM rolecall.create_client_role('t client', '100ms')$$,
  $$SELECT * FROM (VALUES ('alter_role', 'ALTER ROLE "t client" NOCREATEDB NOLOGIN'),
                          ('grant_role', 'GRANT t_auth TO "t client"'),
                          ('set_config', 'ALTER ROLE "t client" SET statement_timeout = ''100ms'''),
                          ('set_config', format('ALTER ROLE "t client" IN DATABASE %I RESET statement_timeout', current_database()) COLLATE "default")) AS s$$,
  'an existing role is restricted, also where one database had a longer timeout'
);
SELECT is(pg_temp.settings('t client'), 'work_mem=8MB statement_timeout=100ms', 'other settings stay');
SELECT ok(NOT rolinherit AND rolpassword IS NOT NULL, 'and whatever was not asked for') FROM pg_authid WHERE rolname = 't client';
SELECT is(shobj_description('"t client"'::regrole, 'pg_authid'), 'as it was', 'a comment stays');
SELECT is_empty($$SELECT * FROM rolecall.create_client_role('t client', '100ms')$$, 'then there is nothing left to do');

-- The timeout.

SELECT results_eq(
  $$SELECT statement FROM rolecall.create_client_role(statement_timeout => '1min')$$,
  $$VALUES ('ALTER ROLE authenticated_client SET statement_timeout = ''1min''')$$, 'another timeout replaces the former'
);
SELECT is(pg_temp.settings('authenticated_client'), 'statement_timeout=1min', 'as it was given');
SELECT results_eq(
  $$SELECT statement FROM rolecall.create_client_role(statement_timeout => '0')$$,
  $$VALUES ('ALTER ROLE authenticated_client SET statement_timeout = ''0''')$$, 'zero is no timeout'
);

SELECT throws_ok(format('SELECT * FROM rolecall.create_client_role(''t_x'', %L)', t.value), '22023', NULL, 'a number without a unit: ' || t.value)
FROM unnest(ARRAY['15', ' 200 ', '1.5', '1e3', '0x10']) AS t(value);
SELECT is(
  test.error($$SELECT FROM rolecall.create_client_role(statement_timeout => '15')$$),
  '22023 The server would take it as milliseconds. Say which it is, such as ''15s'' or ''15ms''.', 'is refused with a hint'
);

-- Users in it: the server applies the setting of a role to sessions of that role alone.

CREATE ROLE t_slow LOGIN; ALTER ROLE t_slow SET statement_timeout = '1h';
SELECT results_eq(
  $$SELECT statement, status FROM rolecall.create_user_with_grants('t_user', NULL, ARRAY['t client'])$$,
  $$VALUES ('CREATE ROLE t_user LOGIN', 'applied'), ('GRANT "t client" TO t_user', 'applied'),
           ('ALTER ROLE t_user SET statement_timeout = ''100ms''', 'applied')$$, 'a user that is put into it has the timeout'
);
SELECT is_empty($$SELECT * FROM rolecall.create_user_with_grants('t_user', NULL, ARRAY['t client'])$$, 'once');
SELECT results_eq(
  $$SELECT statement FROM rolecall.grant_role('t client', 't_slow')$$, $$VALUES ('GRANT "t client" TO t_slow')$$, 'but for one that has its own'
);
SELECT results_eq(
  $$SELECT statement FROM rolecall.create_client_role('t client', '200ms')$$,
  $$VALUES ('ALTER ROLE t_user SET statement_timeout = ''200ms'''), ('ALTER ROLE "t client" SET statement_timeout = ''200ms''')$$,
  'another timeout is one for its users too'
);
SELECT is(pg_temp.settings('t_slow'), 'statement_timeout=1h', 'but for that one');
ALTER ROLE t_user RESET statement_timeout;
SELECT results_eq(
  $$SELECT statement FROM rolecall.drift() WHERE target = 't_user'$$, $$VALUES ('ALTER ROLE t_user SET statement_timeout = ''200ms''')$$, 'drift() says where it is lost'
);
SELECT count(*) FROM rolecall.converge();
SELECT is(pg_temp.settings('t_user'), 'statement_timeout=200ms', 'and converge() restores it');
SELECT count(*) FROM rolecall.create_client_role('t client', '100ms');

-- Errors.

CREATE TEMPORARY TABLE wrong_name (code text, name text);
INSERT INTO wrong_name VALUES
  ('42602', ''), ('42602', repeat('x', 64)), ('42602', repeat('é', 32)), ('42939', 'public'), ('42939', 'none'),
  ('42939', 'current_user'), ('42939', 'session_user'), ('42939', 'current_role'), ('42939', 'pg_monitor'), ('42939', 'pg_mine');
UPDATE before SET state = test.state();
SELECT throws_ok(format('SELECT * FROM rolecall.create_client_role(%L)', name), code, NULL, 'the name ' || name) FROM wrong_name;
SELECT throws_ok(
  $$SELECT * FROM rolecall.create_client_role('t_x', NULL)$$, '22004', 'statement_timeout must not be null', 'a null timeout'
);
SELECT throws_ok(format('SELECT * FROM rolecall.create_client_role(''t_x'', %L)', t.value), '22023', NULL, 'the timeout ' || t.value)
FROM unnest(ARRAY['', 'soon', '15 parsecs', '-1', '1s''; DROP ROLE t_auth; --', '1s, 2s', 'DEFAULT']) AS t(value);
SELECT throws_ok(
  format('SELECT * FROM rolecall.create_client_role(%L)', current_user), '22023', NULL, 'the caller is no client role'
);
CREATE ROLE t_super SUPERUSER;
SELECT throws_ok(
  $$SELECT * FROM rolecall.create_client_role('t_super')$$, '22023', 'role "t_super" is a superuser', 'nor is a superuser'
);
DROP ROLE t_super;
SELECT throws_ok($$SELECT * FROM rolecall.create_client_role('t_auth')$$, '0LP01', NULL, 'nor is the authenticated role');
SELECT is(test.state(), state, 'nothing was changed, or remembered') FROM before;

-- A plain caller. From 16 it takes ADMIN OPTION on the authenticated role.

CREATE ROLE t_op CREATEROLE;
SELECT count(*) FROM rolecall.add_operator('t_op');
SET LOCAL ROLE t_op;
SELECT is(
  test.error($$SELECT FROM rolecall.create_client_role('o_client')$$),
  CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'none' ELSE
    '42501 This requires ADMIN OPTION on the granted role: have a superuser, or a role that has it, '
    'run GRANT t_auth TO t_op WITH ADMIN OPTION.' END,
  'from 16 a plain caller is told which grant it lacks'
);
SELECT throws_ok($$SELECT * FROM rolecall.create_client_role('t_op')$$, '22023', NULL, 'it is no client role itself');
RESET ROLE;
GRANT t_auth TO t_op WITH ADMIN OPTION;
SET LOCAL ROLE t_op;
SELECT lives_ok($$SELECT * FROM rolecall.create_client_role('o_client')$$, 'with it, it makes the role');
SELECT is_empty($$SELECT * FROM rolecall.create_client_role('o_client')$$, 'once');
SELECT is(
  test.error($$SELECT FROM rolecall.create_client_role('authenticated_client', '5s')$$),
  CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'none' ELSE
    '42501 This requires CREATEROLE, and ADMIN OPTION on the role: have a superuser, or a role that has it, run GRANT '
    'authenticated_client TO t_op WITH ADMIN OPTION. REPLICATION and BYPASSRLS can be changed by a role that has the attribute '
    'itself, SUPERUSER only by a superuser.' END,
  'from 16 it changes the roles that it has ADMIN OPTION on'
);
RESET ROLE;
SELECT is(pg_temp.settings('o_client'), 'statement_timeout=15s', 'the timeout is set');

SET LOCAL transaction_read_only = on;
SELECT is_empty($$SELECT * FROM rolecall.create_client_role('t client', '100ms')$$, 'with nothing to do it works in a READ ONLY transaction');
SELECT is(
  (SELECT count(*) FROM rolecall.create_client_role('t_more', dry_run => true) WHERE status = 'planned'), 3::bigint, 'and so does a dry run'
);
SELECT throws_ok($$SELECT * FROM rolecall.create_client_role('t_more')$$, '25006', NULL, 'where no role can be made');

SELECT * FROM finish();
ROLLBACK;
