-- create_base_roles: the three group roles, and that their names are remembered.
BEGIN;
SELECT plan(102);

-- What a role is, in words; roles that do not exist give no row.
CREATE FUNCTION pg_temp.roles(VARIADIC names text[]) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT concat_ws(' ', rolname, CASE WHEN rolcanlogin THEN 'login' END, CASE WHEN rolsuper THEN 'superuser' END,
                   CASE WHEN rolcreatedb THEN 'createdb' END, CASE WHEN rolcreaterole THEN 'createrole' END,
                   CASE WHEN rolreplication THEN 'replication' END, CASE WHEN rolbypassrls THEN 'bypassrls' END,
                   CASE WHEN NOT rolinherit THEN 'noinherit' END, CASE WHEN rolpassword IS NOT NULL THEN 'password' END)
  FROM pg_authid WHERE rolname = ANY (names) ORDER BY array_position(names, rolname::text)
$$;

-- The first call.

CREATE TEMPORARY TABLE before AS SELECT test.state() AS state;
SELECT results_eq(
  'SELECT * FROM rolecall.create_base_roles(dry_run => true)',
  $$VALUES ('create_role', 'anonymous', 'CREATE ROLE anonymous NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS', 'planned', NULL::text, NULL::text),
           ('create_role', 'authenticated', 'CREATE ROLE authenticated NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS', 'planned', NULL, NULL),
           ('create_role', 'administrator', 'CREATE ROLE administrator NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION BYPASSRLS', 'planned', NULL, NULL)$$,
  'a dry run gives the statements'
);
SELECT is(test.least_wal('SELECT FROM rolecall.create_base_roles(dry_run => true)'), 0::numeric, 'writes no WAL');
SELECT is(test.state(), state, 'and changes nothing') FROM before;
SELECT results_eq(
  'SELECT * FROM rolecall.create_base_roles()',
  $$VALUES ('create_role', 'anonymous', 'CREATE ROLE anonymous NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS', 'applied', NULL::text, NULL::text),
           ('create_role', 'authenticated', 'CREATE ROLE authenticated NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS', 'applied', NULL, NULL),
           ('create_role', 'administrator', 'CREATE ROLE administrator NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION BYPASSRLS', 'applied', NULL, NULL)$$,
  'without arguments they have the usual names'
);
SELECT results_eq(
  $$SELECT pg_temp.roles('anonymous', 'authenticated', 'administrator')$$,
  ARRAY['anonymous', 'authenticated', 'administrator bypassrls'],
  'no attribute but that the administrator bypasses row-level security'
);

-- Again.

SELECT is_empty('SELECT * FROM rolecall.create_base_roles()', 'a second call has nothing to do');
SELECT is_empty(
  $$SELECT * FROM rolecall.create_base_roles('anonymous', 'authenticated', 'administrator')$$, 'nor has one with the same names'
);
SELECT is(test.least_wal('SELECT FROM rolecall.create_base_roles()'), 0::numeric, 'nothing is written');

-- Roles that are there already.

COMMENT ON ROLE authenticated IS 'as it was';
ALTER ROLE anonymous LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS PASSWORD 'secret';
ALTER ROLE authenticated BYPASSRLS NOINHERIT CONNECTION LIMIT 3;
ALTER ROLE administrator NOBYPASSRLS;
SELECT results_eq(
  'SELECT operation, target, statement, status FROM rolecall.create_base_roles(dry_run => true)',
  $$VALUES ('alter_role', 'anonymous', 'ALTER ROLE anonymous NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS', 'planned'),
           ('alter_role', 'authenticated', 'ALTER ROLE authenticated NOBYPASSRLS', 'planned'),
           ('alter_role', 'administrator', 'ALTER ROLE administrator BYPASSRLS', 'planned')$$,
  'a statement names the attributes that differ and no others'
);
SELECT is((SELECT count(*) FROM rolecall.create_base_roles() WHERE status = 'applied'), 3::bigint, 'they are brought in line');
SELECT results_eq(
  $$SELECT pg_temp.roles('anonymous', 'authenticated', 'administrator')$$,
  ARRAY['anonymous password', 'authenticated noinherit', 'administrator bypassrls'],
  'in what was asked for, and in nothing else'
);
SELECT is(rolconnlimit, 3, 'a limit of connections stays') FROM pg_roles WHERE rolname = 'authenticated';
SELECT is(shobj_description('authenticated'::regrole, 'pg_authid'), 'as it was', 'a comment stays');
SELECT is(shobj_description('anonymous'::regrole, 'pg_authid'), NULL, 'and none is made up');
DROP ROLE authenticated;
SELECT results_eq(
  'SELECT operation, target FROM rolecall.create_base_roles()',
  $$VALUES ('create_role', 'authenticated')$$, 'one that was dropped is made again'
);

-- Other names.

GRANT anonymous, authenticated TO administrator WITH ADMIN OPTION;
ALTER ROLE anonymous LOGIN;
CREATE TEMPORARY TABLE former AS
SELECT r::text FROM pg_authid AS r WHERE rolname IN ('anonymous', 'authenticated', 'administrator')
UNION ALL SELECT m::text FROM pg_auth_members AS m WHERE member = 'administrator'::regrole;
SELECT results_eq(
  $$SELECT operation, target FROM rolecall.create_base_roles('t_anon', 't "Auth"', '%I $t$ ''admin''')$$,
  $$VALUES ('create_role', 't_anon'), ('create_role', 't "Auth"'), ('create_role', '%I $t$ ''admin''')$$,
  'names of one''s own, as they are given'
);
SELECT results_eq(
  $$SELECT pg_temp.roles('t_anon', 't "Auth"', '%I $t$ ''admin''')$$,
  ARRAY['t_anon', 't "Auth"', '%I $t$ ''admin'' bypassrls'],
  'make such roles'
);
SELECT set_eq(
  $$SELECT r::text FROM pg_authid AS r WHERE rolname IN ('anonymous', 'authenticated', 'administrator')
    UNION ALL SELECT m::text FROM pg_auth_members AS m WHERE member = 'administrator'::regrole$$,
  'TABLE former',
  'the roles of the former names are left as they are'
);
SELECT is_empty('SELECT * FROM rolecall.create_base_roles()', 'the names are remembered');
DROP ROLE t_anon;
SELECT results_eq(
  'SELECT target FROM rolecall.create_base_roles()', $$VALUES ('t_anon')$$, 'and count where none are given'
);
SELECT results_eq(
  $$SELECT target FROM rolecall.create_base_roles(administrator => 't_admin')$$, $$VALUES ('t_admin')$$, 'one can be changed alone'
);
SELECT is_empty(
  $$SELECT * FROM rolecall.create_base_roles(default_role => 't_nobody')$$, 'the default role is a name: no role is made for it'
);
SELECT is(rolecall.role_name('default'), 't_nobody', 'it is remembered');
SELECT is(test.least_wal($$SELECT FROM rolecall.create_base_roles(default_role => 't_nobody')$$), 0::numeric, 'once');
SELECT results_eq(
  'SELECT target FROM rolecall.create_base_roles(repeat(''é'', 31))', $$VALUES (repeat('é', 31))$$, 'a name can have 62 bytes'
);
SELECT results_eq(
  'SELECT target FROM rolecall.create_base_roles(repeat(''x'', 63))', $$VALUES (repeat('x', 63))$$, 'and 63'
);
SELECT count(*) FROM rolecall.create_base_roles('t_anon');

-- Errors.

CREATE TEMPORARY TABLE wrong_name (code text, name text);
INSERT INTO wrong_name VALUES
  ('42602', ''), ('42602', repeat('x', 64)), ('42602', repeat('é', 32)), ('42939', 'public'), ('42939', 'none'),
  ('42939', 'current_user'), ('42939', 'session_user'), ('42939', 'current_role'), ('42939', 'pg_monitor'), ('42939', 'pg_mine');
UPDATE before SET state = test.state();
SELECT throws_ok(format('SELECT * FROM rolecall.create_base_roles(%s => %L)', a.argument, w.name), w.code, NULL, a.argument || ' => ' || w.name)
FROM wrong_name AS w, unnest(ARRAY['anonymous', 'authenticated', 'administrator', 'default_role']) AS a(argument);
SELECT throws_ok(
  $$SELECT * FROM rolecall.create_base_roles('t_x', 't_x')$$, '22023',
  'the anonymous, authenticated and administrator roles must have three different names', 'two base roles cannot be one'
);
SELECT throws_ok($$SELECT * FROM rolecall.create_base_roles('t_x', administrator => 't_x')$$, '22023', NULL, 'none of them');
SELECT throws_ok($$SELECT * FROM rolecall.create_base_roles('t_admin')$$, '22023', NULL, 'one of them being remembered');
SELECT throws_ok(
  format('SELECT * FROM rolecall.create_base_roles(%s => %L)', a.argument, current_user), '22023',
  format('role "%s" is the role that makes this call', current_user), 'the caller is no base role: ' || a.argument
) FROM unnest(ARRAY['anonymous', 'authenticated', 'administrator', 'default_role']) AS a(argument);
CREATE ROLE t_super SUPERUSER;
SELECT throws_ok(
  format('SELECT * FROM rolecall.create_base_roles(%s => ''t_super'')', a.argument), '22023', 'role "t_super" is a superuser',
  'nor is a superuser: ' || a.argument
) FROM unnest(ARRAY['anonymous', 'authenticated', 'administrator', 'default_role']) AS a(argument);
DROP ROLE t_super;
ALTER ROLE t_admin SUPERUSER;
SELECT throws_ok('SELECT * FROM rolecall.create_base_roles()', '22023', NULL, 'nor a base role that has become one');
SELECT throws_ok('SELECT * FROM rolecall.create_base_roles(dry_run => true)', '22023', NULL, 'in a dry run too');
SELECT ok(rolsuper, 'it stays a superuser') FROM pg_roles WHERE rolname = 't_admin';
ALTER ROLE t_admin NOSUPERUSER;
SELECT is(test.state(), state, 'nothing was changed, or remembered') FROM before;

-- A plain caller: to give BYPASSRLS takes a superuser, or from 16 a caller that has it.

CREATE ROLE t_op CREATEROLE; CREATE ROLE t_plain;
SELECT count(*) FROM rolecall.add_operator('t_op');
SELECT count(*) FROM rolecall.add_operator('t_plain');
CREATE TEMPORARY TABLE no_bypassrls AS
SELECT 'alter_role' AS operation, 'o_admin' AS target, 'ALTER ROLE o_admin BYPASSRLS' AS statement, 'skipped' AS status, '42501' AS sqlstate,
       CASE WHEN test.is_16() THEN 'only a superuser, or a role that has BYPASSRLS itself, can give BYPASSRLS'
            ELSE 'only a superuser can give BYPASSRLS' END AS note;
GRANT SELECT ON no_bypassrls TO t_op;
SET LOCAL ROLE t_plain;
SELECT is(
  test.error($$SELECT FROM rolecall.create_base_roles('o_anon', 'o_auth', 'o_admin')$$),
  '42501 This requires CREATEROLE. ' || CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'Only a superuser can give BYPASSRLS.' ELSE 'BYPASSRLS can be given by a role that has it itself, or by a superuser.' END,
  'without CREATEROLE no role is made'
);
SET LOCAL ROLE t_op;
SELECT results_eq(
  $$SELECT target, statement, status, sqlstate FROM rolecall.create_base_roles('o_anon', 'o_auth', 'o_admin', dry_run => true)$$,
  $$VALUES ('o_anon', 'CREATE ROLE o_anon NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS', 'planned', NULL),
           ('o_auth', 'CREATE ROLE o_auth NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS', 'planned', NULL),
           ('o_admin', 'CREATE ROLE o_admin NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION', 'planned', NULL),
           ('o_admin', 'ALTER ROLE o_admin BYPASSRLS', 'skipped', '42501')$$,
  'who cannot give BYPASSRLS sees so in a dry run'
);
SELECT is(
  (SELECT string_agg(concat_ws(' ', operation, target, status, sqlstate), ', ') FROM rolecall.create_base_roles('o_anon', 'o_auth', 'o_admin')),
  'create_role o_anon applied, create_role o_auth applied, create_role o_admin applied, alter_role o_admin skipped 42501',
  'it gets the three roles'
);
SELECT throws_ok($$SELECT * FROM rolecall.create_base_roles('t_op')$$, '22023', NULL, 'it is no base role itself');
RESET ROLE;
SELECT results_eq($$SELECT pg_temp.roles('o_anon', 'o_auth', 'o_admin')$$, ARRAY['o_anon', 'o_auth', 'o_admin'], 'the administrator without BYPASSRLS');
SET LOCAL ROLE t_op;
SELECT results_eq('SELECT * FROM rolecall.create_base_roles()', 'TABLE no_bypassrls', 'a second call has what is still missing');
SELECT is(test.least_wal('SELECT FROM rolecall.create_base_roles()'), 0::numeric, 'and writes nothing');
SELECT results_eq(
  $$SELECT * FROM rolecall.drift() WHERE target = 'o_admin'$$, 'TABLE no_bypassrls', 'drift() says so too'
);
RESET ROLE;
ALTER ROLE o_admin LOGIN;
SET LOCAL ROLE t_op;
SELECT results_eq(
  'SELECT statement, status FROM rolecall.create_base_roles()',
  $$VALUES ('ALTER ROLE o_admin NOLOGIN', 'applied'), ('ALTER ROLE o_admin BYPASSRLS', 'skipped')$$,
  'other attributes are brought in line'
);
RESET ROLE;
ALTER ROLE t_op BYPASSRLS;
SET LOCAL ROLE t_op;
SELECT is(
  (SELECT string_agg(concat_ws(' ', statement, status), ', ') FROM rolecall.create_base_roles()),
  'ALTER ROLE o_admin BYPASSRLS ' || CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'skipped' ELSE 'applied' END,
  'a caller that has BYPASSRLS gives it, from 16'
);
SELECT is(
  (SELECT count(*) FROM rolecall.create_base_roles('o_anon_2', 'o_auth_2', 'o_admin_2') WHERE status = 'applied'), 3::bigint,
  'and makes such roles'
);
RESET ROLE;
CREATE ROLE o_foreign;
SET LOCAL ROLE t_op;
SELECT is(
  (SELECT string_agg(concat_ws(' ', statement, status), ', ') FROM rolecall.create_base_roles(administrator => 'o_foreign')),
  'ALTER ROLE o_foreign BYPASSRLS skipped', 'but not to a role that it may not change'
);
SELECT count(*) FROM rolecall.create_base_roles('o_anon', 'o_auth', 'o_admin');
RESET ROLE;
ALTER ROLE t_op NOBYPASSRLS;
ALTER ROLE o_admin BYPASSRLS;
SET LOCAL ROLE t_op;
SELECT is_empty('SELECT * FROM rolecall.create_base_roles()', 'where the roles are there, every operator can call it');

-- A default role that is not there yet: it counts for who has named it, and is in nobody else's way.
SELECT count(*) FROM rolecall.create_base_roles(default_role => 't_later');
SELECT is_empty('SELECT * FROM rolecall.create_base_roles()', 'a default role is only a name for an operator too');
SELECT is(rolecall.role_name('default'), 't_later', 'which it has then');
RESET ROLE;
SELECT is_empty('SELECT * FROM rolecall.create_base_roles()', 'others need not name one');
SELECT is(rolecall.role_name('default'), 'o_anon', 'for them it is the anonymous role');
SET LOCAL ROLE t_op;
SELECT is(rolecall.role_name('default'), 't_later', 'and for the operator it stays as it is');
RESET ROLE;

SET LOCAL transaction_read_only = on;
SELECT is_empty('SELECT * FROM rolecall.create_base_roles()', 'with nothing to do it works in a READ ONLY transaction');
SELECT results_eq(
  $$SELECT target, status FROM rolecall.create_base_roles('t_more', dry_run => true)$$, $$VALUES ('t_more', 'planned')$$, 'and so does a dry run'
);
SELECT throws_ok($$SELECT * FROM rolecall.create_base_roles('t_more')$$, '25006', NULL, 'where no role can be made');

SELECT * FROM finish();
ROLLBACK;
