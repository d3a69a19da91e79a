-- remove_operator(): what add_operator() grants is taken away again.
BEGIN;
SELECT plan(21);

CREATE ROLE "t op" CREATEROLE;
CREATE ROLE t_other;
CREATE VIEW held AS
SELECT d.objid FROM pg_shdepend AS d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = to_regrole('"t op"');

SELECT is_empty($$SELECT * FROM rolecall.remove_operator('t op')$$, 'what is no operator has nothing to lose');
SELECT is(rolecall_internal.newest_record('operators', '["t op"]'), NULL, 'and nothing is remembered');
SELECT is_empty($$SELECT * FROM rolecall.remove_operator('t missing')$$, 'nor has a role that does not exist');

SELECT isnt_empty($$SELECT * FROM rolecall.add_operator('t op')$$, 'an operator');
SELECT results_eq(
  $$SELECT operation, target, statement, status, sqlstate, note FROM rolecall.remove_operator('t op', true)$$,
  $$VALUES
    ('revoke_privilege', 't op', 'REVOKE ALL ON SCHEMA rolecall, rolecall_internal, rolecall_watch FROM "t op"', 'planned', NULL::text, NULL::text),
    ('revoke_privilege', 't op', 'REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal FROM "t op"', 'planned', NULL, NULL),
    ('revoke_privilege', 't op', 'REVOKE ALL ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch FROM "t op"', 'planned', NULL, NULL)$$,
  'a dry run says what it takes'
);
SELECT isnt_empty('TABLE held', 'and takes nothing');
SET LOCAL ROLE "t op";
SELECT throws_ok($$SELECT * FROM rolecall.remove_operator('t op')$$, '42501', NULL, 'an operator removes none');
RESET ROLE;
SELECT is(
  (SELECT count(*)::integer FROM rolecall.remove_operator('t op') WHERE status = 'applied'), 3, 'the call takes it away'
);
SELECT is_empty('TABLE held', 'nothing is left');
SELECT is(rolecall_internal.newest_record('operators', '["t op"]'), NULL, 'nor remembered');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'so that nothing has drifted');
SELECT is_empty($$SELECT * FROM rolecall.remove_operator('t op')$$, 'a second call has nothing to do');

-- Two grantors: the installer, as it were, and the owner.
GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO "t op" WITH GRANT OPTION;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO "t op" WITH GRANT OPTION;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO "t op" WITH GRANT OPTION;
SET LOCAL ROLE "t op";
SELECT isnt_empty($$SELECT * FROM rolecall.add_operator('t_other')$$, 'who may grant it on adds operators');
RESET ROLE;
SELECT throws_ok(
  $$SELECT * FROM rolecall.remove_operator('t op')$$, '2BP01', 'role "t op" has added other operators',
  'it is not removed before those whom it has added'
);
SELECT results_eq(
  $$SELECT statement, status, note FROM rolecall.remove_operator('t_other') LIMIT 1$$,
  $$VALUES ('SET LOCAL ROLE "t op"; REVOKE ALL ON SCHEMA rolecall, rolecall_internal, rolecall_watch FROM t_other; SET LOCAL ROLE NONE',
            'applied', 'granted by "t op"')$$,
  'what another has granted is revoked as that role'
);
SELECT is(current_user, session_user, 'and the caller is who it was');
SELECT is_empty(
  $$SELECT FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = 't_other'::regrole$$, 'nothing is left of it'
);

-- Errors.
SELECT throws_ok($$SELECT * FROM rolecall.remove_operator(NULL)$$, '22004', NULL, 'null');
SELECT throws_ok($$SELECT * FROM rolecall.remove_operator('')$$, '42602', NULL, 'an empty name');
SELECT throws_ok($$SELECT * FROM rolecall.remove_operator(repeat('é', 32))$$, '42602', NULL, 'a name that is too long');
SELECT throws_ok($$SELECT * FROM rolecall.remove_operator('public')$$, '42939', NULL, 'PUBLIC');

SELECT * FROM finish();
ROLLBACK;
