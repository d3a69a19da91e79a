-- converge(): restores what drift() lists, once.
BEGIN;
SELECT plan(17);

CREATE ROLE t_nobody;
SET LOCAL ROLE t_nobody;
SELECT throws_ok('SELECT * FROM rolecall.converge()', '42501', NULL, 'nobody else may call it');
RESET ROLE;

SELECT is_empty('SELECT * FROM rolecall.converge()', 'before any call nothing is asked for');
CREATE SCHEMA t_app;
CREATE TABLE t_app.patient (id integer);
CREATE TABLE t_app.token (id integer);
SELECT count(*) FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin');
SELECT count(*) FROM rolecall.create_client_role('t_client');
SELECT count(*) FROM rolecall.create_user('t_alice', 'secret');
SELECT count(*) FROM rolecall.grant_role('t_admin', 't_alice', true);
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app', 't_new'], ARRAY['token']);
SELECT is_empty('SELECT * FROM rolecall.converge()', 'right after the calls there is nothing to do');

CREATE TEMPORARY TABLE t_password AS SELECT rolecall.reporting_role_password('t_report') AS value;
SET LOCAL client_min_messages = warning;
DROP OWNED BY t_report, t_client, t_alice, t_anon, t_auth, t_admin;
RESET client_min_messages;
DROP ROLE t_report, t_client, t_alice, t_anon, t_auth, t_admin;
CREATE TEMPORARY TABLE t_planned AS
  SELECT row_number() OVER () AS place, operation, target, statement, note FROM rolecall.drift();
SELECT results_eq(
  'SELECT operation, target, statement, status FROM rolecall.converge(true)',
  $$SELECT operation, target, statement, 'planned' FROM t_planned ORDER BY place$$,
  'a dry run lists what drift() lists'
);
SELECT hasnt_role('t_alice', 'and changes nothing');
SELECT results_eq(
  'SELECT operation, target, statement, status, sqlstate, note FROM rolecall.converge()',
  $$SELECT operation, target, statement, 'applied', NULL::text, note FROM t_planned ORDER BY place$$,
  'the call makes just these steps'
);
SELECT is_empty('SELECT * FROM rolecall.drift()', 'after which nothing has drifted');
SELECT is_empty('SELECT * FROM rolecall.converge()', 'and a second call has nothing to do');
SELECT bag_eq(
  $$SELECT r.rolname, r.rolcanlogin, r.rolbypassrls FROM pg_roles AS r WHERE r.rolname ~ '^t_' AND r.rolname <> 't_nobody'$$,
  $$VALUES ('t_admin'::name, false, true), ('t_alice', true, false), ('t_anon', false, false), ('t_auth', false, false),
           ('t_client', false, false), ('t_report', true, false)$$,
  'the roles are back'
);
SELECT is_member_of('t_admin', ARRAY['t_alice'], 'with their memberships');
SELECT is((SELECT rolpassword FROM pg_authid WHERE rolname = 't_alice'), NULL, 'a user without a password');
SELECT ok(
  rolecall_internal.password_matches(t.value, a.rolpassword), 'a reporting role with the derived password that it had'
) FROM pg_authid AS a, t_password AS t WHERE a.rolname = 't_report';
SELECT table_privs_are('t_app', 'patient', 't_report', ARRAY['SELECT'], 'which reads what it read');
SELECT table_privs_are('t_app', 'token', 't_report', ARRAY[]::text[], 'and nothing that was withheld');
SELECT is_empty(
  $$SELECT * FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app', 't_new'], ARRAY['token'])$$,
  'provisioning it again has nothing to do'
);

-- A role that somebody else created and dropped: its membership cannot be restored, everything else is.
CREATE ROLE t_friend;
SELECT count(*) FROM rolecall.grant_role('t_friend', 't_alice');
DROP ROLE t_friend;
REVOKE t_anon FROM t_alice;
SELECT results_eq(
  'SELECT operation, statement, status, sqlstate FROM rolecall.converge()',
  $$VALUES ('grant_role', 'GRANT t_anon TO t_alice', 'applied', NULL), ('grant_role', 'GRANT t_friend TO t_alice', 'skipped', '42704')$$,
  'a membership in a role that is gone is skipped'
);
ALTER ROLE t_client SUPERUSER;
SELECT results_eq(
  $$SELECT DISTINCT target, status, sqlstate FROM rolecall.converge() WHERE operation = 'forget'$$,
  $$VALUES ('t_client', 'skipped', '22023')$$, 'no call demotes a superuser, and one that has become it ends no other work'
);

SELECT * FROM finish();
ROLLBACK;
