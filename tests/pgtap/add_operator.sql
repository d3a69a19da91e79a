-- add_operator(): what a role needs that calls these functions without being a superuser.
BEGIN;
SELECT plan(30);

CREATE ROLE "t op" CREATEROLE;
CREATE ROLE t_nobody;
SET LOCAL ROLE "t op";
SELECT throws_ok($$SELECT * FROM rolecall.add_operator('t op')$$, '42501', NULL, 'nobody else may call it');
RESET ROLE;

SELECT results_eq(
  $$SELECT operation, target, statement, status, sqlstate, note FROM rolecall.add_operator('t op', true)$$,
  $$VALUES
    ('grant_privilege', 't op', 'GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO "t op"', 'planned', NULL::text, NULL::text),
    ('grant_privilege', 't op', 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO "t op"', 'planned', NULL, NULL),
    ('grant_privilege', 't op', 'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO "t op"', 'planned', NULL, NULL)$$,
  'a dry run says what it takes'
);
SELECT schema_privs_are('rolecall', 't op', ARRAY[]::text[], 'and grants nothing');
SELECT is(rolecall_internal.newest_record('operators', '["t op"]'), NULL, 'nor does it remember anything');
SELECT results_eq(
  $$SELECT statement, status FROM rolecall.add_operator('t op')$$,
  $$VALUES ('GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO "t op"', 'applied'),
           ('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO "t op"', 'applied'),
           ('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO "t op"', 'applied')$$,
  'the call grants it'
);
SELECT is_empty($$SELECT * FROM rolecall.add_operator('t op')$$, 'once');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'and nothing has drifted');
SELECT schema_privs_are('rolecall', 't op', ARRAY['USAGE'], 'the operator may use the schema');
SELECT is_empty(
  $$SELECT oid::regprocedure FROM pg_proc
    WHERE pronamespace = ANY ('{rolecall,rolecall_internal}'::regnamespace[]) AND NOT has_function_privilege('t op', oid, 'EXECUTE')$$,
  'may call every function'
);
SELECT is_empty(
  $$SELECT oid::regclass, p FROM pg_class CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS p
    WHERE relnamespace = ANY ('{rolecall_internal,rolecall_watch}'::regnamespace[]) AND relkind IN ('r', 'v') AND NOT has_table_privilege('t op', oid, p)$$,
  'and use every table'
);
SELECT is_empty(
  $$SELECT x.* FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS x
    WHERE c.relnamespace = ANY ('{rolecall_internal,rolecall_watch}'::regnamespace[]) AND x.grantee = '"t op"'::regrole
      AND (x.is_grantable OR x.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))$$,
  'no more than that'
);

CREATE SCHEMA t_app AUTHORIZATION "t op";
SET LOCAL ROLE "t op";
SELECT isnt_empty($$SELECT * FROM rolecall.create_user_with_grants('t_alice', 'secret', '{}')$$, 'it makes users');
SELECT isnt_empty($$SELECT * FROM rolecall.provision_reporting_role('t_report', '{t_app}')$$, 'and reporting roles');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'it sees that nothing has drifted');
SELECT is_empty('SELECT * FROM rolecall.converge()', 'or restores it');
SELECT throws_ok(
  $$SELECT * FROM rolecall.add_operator('t_nobody')$$, '42501', 'only the installer of the extension and the owner of its objects can add or remove operators',
  'but it makes no other operators'
);
RESET ROLE;

-- As after an update of the extension.
CREATE FUNCTION rolecall.t_new() RETURNS void LANGUAGE sql AS '';
REVOKE ALL ON FUNCTION rolecall.t_new() FROM PUBLIC;
SET LOCAL ROLE "t op";
SELECT results_eq(
  'SELECT statement, status, sqlstate FROM rolecall.drift()',
  $$VALUES ('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO "t op"', 'skipped', '42501')$$,
  'the operator is told of a function that it may not call yet'
);
RESET ROLE;
SELECT results_eq(
  $$SELECT statement FROM rolecall.add_operator('t op')$$,
  $$VALUES ('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO "t op"')$$, 'a further call grants what is missing alone'
);
REVOKE DELETE ON rolecall_internal.secret FROM "t op";
REVOKE USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch FROM "t op";
SELECT results_eq(
  'SELECT statement, status FROM rolecall.drift()',
  $$VALUES ('GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO "t op"', 'planned'),
           ('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO "t op"', 'planned')$$,
  'what is taken from it has drifted'
);
SELECT is((SELECT count(*)::integer FROM rolecall.converge() WHERE status = 'applied'), 2, 'and is restored');
SELECT is_empty($$SELECT * FROM rolecall.add_operator('t op')$$, 'which leaves nothing to add');

-- Errors.
SELECT throws_ok($$SELECT * FROM rolecall.add_operator(NULL)$$, '22004', NULL, 'null');
SELECT throws_ok($$SELECT * FROM rolecall.add_operator('')$$, '42602', NULL, 'an empty name');
SELECT throws_ok($$SELECT * FROM rolecall.add_operator(repeat('é', 32))$$, '42602', NULL, 'a name that is too long');
SELECT throws_ok($$SELECT * FROM rolecall.add_operator('public')$$, '42939', NULL, 'PUBLIC');
SELECT throws_ok($$SELECT * FROM rolecall.add_operator('pg_monitor')$$, '42939', NULL, 'a predefined role');
SELECT throws_ok($$SELECT * FROM rolecall.add_operator('t missing')$$, '42704', 'role "t missing" does not exist', 'no role');
SELECT throws_ok(
  $$SELECT * FROM rolecall.add_operator('t_report')$$, '22023', 'role "t_report" is a reporting role', 'a reporting role'
);
SELECT throws_ok($$SELECT * FROM rolecall.add_operator('t_report', true)$$, '22023', NULL, 'in a dry run too');
-- The other way round the later call counts, and the earlier one is not asked for any more.
SELECT count(*) FROM rolecall.add_operator('t_nobody');
SELECT count(*) FROM rolecall.provision_reporting_role('t_nobody', '{t_app}');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'an operator that is made a reporting role stays one');

SELECT * FROM finish();
ROLLBACK;
