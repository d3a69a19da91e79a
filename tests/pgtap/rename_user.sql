-- rename_user: the role has another name, in what is remembered too.
BEGIN;
SELECT plan(23);

CREATE SCHEMA t_shop;
CREATE TABLE t_shop.item (id integer);
SELECT count(*) FROM rolecall.apply('{
  "roles": {"t_alice": {"login": true, "comment": "c", "settings": {"work_mem": "8MB"}}, "t_bob": {"member_of": ["t_alice"]}},
  "schemas": {"t_alice": {"owner": "t_alice"}},
  "privileges": [
    {"to": "t_alice", "on": {"tables_in": "t_shop", "except": "t_shop.none", "owners": ["t_bob"]}, "grant": ["SELECT"]},
    {"to": "t_bob", "on": {"tables_in": "t_shop", "owners": ["t_alice"]}, "grant": ["SELECT"]}],
  "reporting": {"t_report": {"schemas": ["t_shop"], "withheld": ["item"], "owners": ["t_alice"]}}
}');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'owners of what a reporting role reads can be roles of the policy');
CREATE TEMPORARY TABLE before AS SELECT test.state() AS state, 't_alice'::regrole::oid AS role_oid, rolecall.policy() AS policy;
GRANT SELECT ON before TO PUBLIC;

CREATE TEMPORARY TABLE refused (what text, old_name text, new_name text, code text, message text);
INSERT INTO refused VALUES
  ('a null name', NULL, 't_x', '22004', 'role name must not be null'),
  ('a null new name', 't_alice', NULL, '22004', 'role name must not be null'),
  ('a new name of 64 bytes', 't_alice', repeat('x', 64), '42602', NULL),
  ('a reserved new name', 't_alice', 'pg_x', '42939', NULL),
  ('neither is there', 't_nobody', 't_none', '42704', 'role "t_nobody" does not exist'),
  ('both are there', 't_alice', 't_bob', '42710', 'role "t_bob" exists'),
  ('the caller', current_user, 't_x', '22023', format('role "%s" is the role that makes this call', current_user));
SELECT throws_ok(format('SELECT * FROM rolecall.rename_user(%L, %L)', r.old_name, r.new_name), r.code, r.message, r.what) FROM refused AS r;
SELECT results_eq(
  $$SELECT operation, target, statement, status FROM rolecall.rename_user('t_alice', 't new', dry_run => true)$$,
  $$VALUES ('rename_role', 't_alice', 'ALTER ROLE t_alice RENAME TO "t new"', 'planned')$$, 'a dry run says what it would do'
);
SELECT is(test.state(), state, 'and changes nothing') FROM before;
SELECT results_eq($$SELECT operation, status FROM rolecall.rename_user('t_alice', 't new')$$, $$VALUES ('rename_role', 'applied')$$, 'it is renamed');
SELECT is('"t new"'::regrole::oid, role_oid, 'the role is the same') FROM before;
SELECT is_empty($$SELECT * FROM rolecall.rename_user('t_alice', 't new')$$, 'once');
SELECT is(test.least_wal($$SELECT FROM rolecall.rename_user('t_alice', 't new')$$), 0::numeric, 'which writes nothing');
SELECT is(rolecall.policy(), replace(replace(policy::text, '"schemas": {"t_alice"', '"schemas": {"t_keep"'), '"t_alice"', '"t new"')::jsonb
  #- '{schemas,t_keep}' || jsonb_build_object('schemas', '{"t_alice": {"owner": "t new"}}'::jsonb), 'what is remembered has the new name') FROM before;
SELECT is_empty('SELECT * FROM rolecall.apply(rolecall.policy())', 'nothing else differs');
SELECT is_empty($$SELECT FROM rolecall_internal.resource WHERE resource IS NOT NULL AND note IS NOT NULL$$, 'all of it is acted on');

-- A reporting role.

SELECT is(
  (SELECT string_agg(concat_ws(' ', operation, target, status), ', ') FROM rolecall.rename_user('t_report', 't_report2', dry_run => true)),
  'rename_role t_report planned, set_password t_report2 planned', 'a reporting role gets another password'
);
SELECT bag_has(
  $$SELECT operation, target, status FROM rolecall.rename_user('t_report', 't_report2')$$,
  $$VALUES ('rename_role', 't_report', 'applied'), ('set_password', 't_report2', 'applied')$$, 'with its name'
);
SELECT ok(rolecall_internal.password_matches(rolecall.reporting_role_password('t_report2'), rolpassword), 'which is that of its new name') FROM pg_authid WHERE rolname = 't_report2';
SELECT is_empty($$SELECT * FROM rolecall.rename_user('t_report', 't_report2')$$, 'once');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'nothing else differs');
SELECT is_empty(
  $$SELECT FROM rolecall_internal.secret WHERE key = 'rolecall.verifier.t_report' UNION ALL SELECT FROM rolecall_internal.withheld WHERE role = 't_report'$$, 'nothing is left of the old name'
);

SELECT * FROM finish();
ROLLBACK;
