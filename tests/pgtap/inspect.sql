-- policy and inspect: what was established, and what is there, as policies that have no steps.
BEGIN;
SELECT plan(34);

SELECT count(*) FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin');
SELECT count(*) FROM rolecall.create_client_role('t_client');
SELECT count(*) FROM rolecall.create_user_with_grants('t_user', NULL, '{t_client,t_auth}');
CREATE ROLE t_byhand CREATEDB;
GRANT pg_monitor TO t_byhand;
SELECT count(*) FROM rolecall.grant_role('t_auth', 't_byhand', admin_option => true);
CREATE SCHEMA t_shop;
CREATE TABLE t_shop.a (i integer, "J j" integer);
CREATE TABLE t_shop.b (i integer);
CREATE FUNCTION t_shop.f(integer, text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', '{t_shop}', '{b}');
SELECT cmp_ok((SELECT count(*) FROM rolecall.apply('{
  "roles": {"t_app": {"login": true, "comment": "c", "valid_until": "2027-01-01T00:00:00Z", "settings": {"search_path": ["a", "B c"], "work_mem": "1MB"}, "database_settings": {"geqo": "off"}}},
  "schemas": {"t_shop": {"owner": "t_app", "profiles": {"reader": "t_reader"}}},
  "profiles": {"reader": {"schema": ["USAGE"], "tables": ["SELECT"]}},
  "privileges": [
    {"to": "t_app", "on": {"table": ["t_shop.a", "t_shop.b"]}, "grant": ["SELECT", "INSERT"]},
    {"to": "t_app", "on": {"columns": ["i", "J j"], "of": "t_shop.a"}, "grant": ["UPDATE"]},
    {"to": "t_app", "on": {"function": "t_shop.f(integer,text)"}, "grant": ["EXECUTE"], "with_grant_option": true},
    {"to": "PUBLIC", "on": {"functions_in": "t_shop"}, "revoke": ["EXECUTE"]},
    {"to": "t_byhand", "on": {"tables_in": "t_shop", "except": "t_shop.b", "owners": ["t_app"]}, "grant": ["SELECT"], "with_grant_option": true}
  ]
}')), '>', 10::bigint, 'a policy is applied, beside what calls have made');

-- policy().

CREATE TEMPORARY TABLE said AS SELECT rolecall.policy() AS policy;
GRANT SELECT ON said TO PUBLIC;
SELECT is_empty('SELECT p.* FROM said, rolecall.check_policy(policy) AS p', 'policy() is a policy');
SELECT is_empty('SELECT s.* FROM said, rolecall.apply(policy) AS s', 'which has no steps');
SELECT is(rolecall.policy(), policy, 'and is the same afterwards') FROM said;
SELECT is(policy -> 'roles' -> 't_app', '{"login": true, "comment": "c", "valid_until": "2027-01-01T00:00:00.000000Z", "settings": {"search_path": ["a", "B c"], "work_mem": "1MB"}, "database_settings": {"geqo": "off"}}', 'a role of a policy is exact') FROM said;
SELECT is(policy -> 'roles' -> 't_byhand', '{"exact": false, "member_of": [{"role": "t_auth", "admin": true}]}', 'one that a call was about is not') FROM said;
SELECT is(policy -> 'base_roles', '{"anonymous": "t_anon", "authenticated": "t_auth", "administrator": "t_admin"}', 'it has the base roles') FROM said;
SELECT is(policy -> 'reporting', '{"t_report": {"schemas": ["t_shop"], "withheld": ["b"]}}', 'and the reporting roles') FROM said;
SELECT is(
  policy -> 'privileges' -> 0, '{"to": "PUBLIC", "on": {"functions_in": "t_shop"}, "revoke": ["EXECUTE"]}', 'what PUBLIC is not to have'
) FROM said;
SELECT ok(
  policy -> 'privileges' @> '[{"to": "t_app", "on": {"columns": ["J j", "i"], "of": "t_shop.a"}, "grant": ["UPDATE"]}, {"to": "t_app", "on": {"table": ["t_shop.a", "t_shop.b"]}, "grant": ["INSERT", "SELECT"]},
    {"to": "t_byhand", "on": {"tables_in": "t_shop", "except": ["t_shop.b"], "owners": ["t_app"]}, "grant": ["SELECT"], "with_grant_option": true}]', 'and the privileges'
) FROM said;

-- inspect().

GRANT SELECT ON t_shop.a TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE t_app REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT UPDATE ON t_shop.b TO t_user WITH GRANT OPTION;
GRANT INSERT (i) ON t_shop.a TO t_user;
GRANT USAGE ON LANGUAGE plpgsql TO t_user;
UPDATE said SET policy = rolecall.inspect();
SELECT is_empty('SELECT p.* FROM said, rolecall.check_policy(policy) AS p', 'inspect() is a policy');
SELECT is_empty('SELECT s.* FROM said, rolecall.apply(policy) AS s', 'which has no steps');
SELECT is(rolecall.inspect()::text, policy::text, 'and is the same afterwards') FROM said;
SELECT is_empty('SELECT s.* FROM rolecall.apply(rolecall.policy()) AS s', 'nor has policy() then');
SELECT is(policy -> 'roles' -> 't_byhand', '{"createdb": true, "member_of": ["pg_monitor", {"role": "t_auth", "admin": true}]}', 'it has all of a role') FROM said;
SELECT ok(
  policy -> 'privileges' @> '[{"to": "PUBLIC", "on": {"function": "t_shop.f(integer,text)"}, "revoke": ["EXECUTE"]}, {"to": "PUBLIC", "on": {"future_functions": [], "owners": ["t_app"]}, "revoke": ["EXECUTE"]},
    {"to": "t_user", "on": {"table": "t_shop.b"}, "grant": ["UPDATE"], "with_grant_option": true}, {"to": "t_user", "on": {"columns": ["i"], "of": "t_shop.a"}, "grant": ["INSERT"]}]', 'and every privilege'
) FROM said;
SELECT is((SELECT count(*) FROM jsonb_object_keys(policy -> 'roles') AS k WHERE k IN ('t_report', current_user)), 0::bigint, 'no reporting role, nor the caller') FROM said;
SELECT is((SELECT string_agg(k, ' ') FROM jsonb_object_keys(rolecall.inspect('{t_reader}') -> 'roles') AS k), 't_reader', 'some roles alone');

-- Settings as ALTER ROLE ... SET FROM CURRENT writes them.

SELECT set_config('search_path', 'Shop , "A b",t_x', true);
ALTER ROLE t_byhand SET search_path FROM CURRENT;
SELECT set_config('search_path', '', true);
ALTER ROLE t_user SET search_path FROM CURRENT;
ALTER ROLE t_user SET local_preload_libraries = '$libdir/plugins/A';
RESET search_path;
UPDATE said SET policy = rolecall.inspect();
SELECT is(
  jsonb_build_array(policy #> '{roles,t_byhand,settings}', policy #> '{roles,t_user,settings}') - 'statement_timeout',
  '[{"search_path": ["shop", "A b", "t_x"]}, {"search_path": [""], "local_preload_libraries": ["$libdir/plugins/A"], "statement_timeout": "15s"}]', 'a list is read as the server reads it'
) FROM said;
SELECT is_empty('SELECT s.* FROM said, rolecall.apply(policy) AS s', 'and has no steps, however it is written');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'nor is it drift');
ALTER ROLE t_byhand SET search_path = shop, "A b", t_y;
SELECT is((SELECT string_agg(s.statement, ', ') FROM rolecall.drift() AS s), 'ALTER ROLE t_byhand SET search_path = shop, "A b", t_x', 'another list is');
SELECT count(*) FROM said, rolecall.apply(policy);

-- Made anew.

SELECT count(*) FROM rolecall.apply('{"roles": {"t_user": {"state": "absent", "drop_owned": true}, "t_reader": {"state": "absent", "drop_owned": true}, "t_client": {"state": "absent", "drop_owned": true}}}');
SELECT count(*) FROM said, rolecall.apply(policy);
SELECT is(rolecall.inspect()::text, policy::text, 'of roles that are gone it makes the same') FROM said;

-- Profiles, where schemas share a pattern.

CREATE ROLE t_own;
CREATE SCHEMA t_1 AUTHORIZATION t_own;
CREATE SCHEMA t_2 AUTHORIZATION t_own;
CREATE SCHEMA t_3 AUTHORIZATION t_own;
SET LOCAL ROLE t_own;
CREATE TABLE t_1.a ();
CREATE TABLE t_2.a ();
CREATE TABLE t_3.a ();
RESET ROLE;
SELECT count(*) FROM rolecall.apply('{"roles": {"t_p": {}, "t_q": {}, "t_r": {}},
  "profiles": {"r": {"schema": ["USAGE"], "tables": ["SELECT"], "owners": "t_own"}, "w": {"schema": ["USAGE"], "tables": ["SELECT", "INSERT"], "owners": ["t_own"]}},
  "schemas": {"t_1": {"profiles": {"r": ["t_p", "t_q"], "w": "t_r"}}, "t_2": {"profiles": {"r": "t_p", "w": "t_r"}}, "t_3": {"profiles": {"r": "t_p"}}},
  "privileges": [{"to": "t_r", "on": {"table": "t_3.a"}, "grant": ["SELECT"]}]}');
CREATE TEMPORARY TABLE suggested AS SELECT rolecall.inspect('{t_p,t_q,t_r}', suggest_profiles => true) AS policy;
SELECT is(policy -> 'profiles', '{"reader": {"schema": ["USAGE"], "tables": ["SELECT"], "owners": ["t_own"]}, "writer": {"schema": ["USAGE"], "tables": ["INSERT", "SELECT"], "owners": ["t_own"]}}', 'profiles are called by what they are for') FROM suggested;
SELECT is(policy #> '{schemas,t_1}', '{"profiles": {"reader": ["t_p", "t_q"], "writer": "t_r"}}', 'and given in the schemas') FROM suggested;
SELECT is(policy -> 'privileges', '[{"to": "t_r", "on": {"table": "t_3.a"}, "grant": ["SELECT"]}]', 'all else is said as it was') FROM suggested;
SELECT is_empty('SELECT s.* FROM suggested, rolecall.apply(policy) AS s', 'that has no steps');
SELECT is_empty('SELECT s.* FROM rolecall.apply(rolecall.inspect(suggest_profiles => true)) AS s', 'nor has that of all roles');
GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO t_p;
GRANT USAGE ON TYPE int4 TO t_p;
SELECT is_empty('SELECT s.* FROM rolecall.apply(rolecall.inspect()) AS s', 'nor what is granted of the server''s own');


-- Objects of rare kinds, and times of rare years.

CREATE DOMAIN t_1.list AS integer[];
GRANT USAGE ON TYPE t_1.list TO t_q WITH GRANT OPTION;
CREATE SEQUENCE t_1.counter;
GRANT SELECT (last_value) ON t_1.counter TO t_q;
CREATE TEMPORARY TABLE passing (i integer);
GRANT SELECT, INSERT (i) ON passing TO t_q;
ALTER ROLE t_q VALID UNTIL '9999-12-31 23:59:59-05';
UPDATE suggested SET policy = rolecall.inspect('{t_q}');
SELECT is(
  policy -> 'privileges' @> '[{"to": "t_q", "on": {"type": "t_1.list"}, "grant": ["USAGE"], "with_grant_option": true}, {"to": "t_q", "on": {"of": "t_1.counter", "columns": ["last_value"]}, "grant": ["SELECT"]}]',
  true, 'a domain over an array, and a column of a sequence, are there'
) FROM suggested;
SELECT unalike(policy::text, '%pg_temp%', 'what is temporary is not') FROM suggested;
SELECT is_empty('SELECT s.* FROM suggested, rolecall.apply(policy) AS s', 'that has no steps');
SELECT bag_eq($$SELECT s.statement FROM rolecall.apply('{"roles": {"t_q": {}}}') AS s WHERE s.operation = 'revoke_privilege'$$, $$VALUES
  ('REVOKE USAGE ON TYPE t_1.list FROM t_q CASCADE'), ('REVOKE SELECT (last_value) ON t_1.counter FROM t_q CASCADE'),
  ('REVOKE SELECT ON TABLE t_1.a FROM t_q CASCADE'), ('REVOKE USAGE ON SCHEMA t_1 FROM t_q CASCADE')$$, 'all of that can end');

-- Default privileges on large objects, from 18 on.

CREATE FUNCTION pg_temp.future() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  v_policy jsonb;
BEGIN
  EXECUTE 'ALTER DEFAULT PRIVILEGES FOR ROLE t_own GRANT SELECT ON LARGE OBJECTS TO t_q';
  v_policy := rolecall.inspect('{t_q}');
  RETURN NEXT (v_policy -> 'privileges')::text;
  RETURN QUERY SELECT s.statement FROM rolecall.apply(v_policy) AS s;
  RETURN QUERY SELECT s.statement FROM rolecall.apply('{"roles": {"t_q": {}}}') AS s;
  RETURN QUERY SELECT s.statement FROM rolecall.apply(v_policy) AS s;
  RETURN QUERY SELECT s.statement FROM rolecall.apply(v_policy) AS s;
EXCEPTION
  -- Before 18, GRANT does not know them.
  WHEN syntax_error THEN
    RETURN;
END
$$;
SELECT results_eq('SELECT pg_temp.future()', $$
  SELECT s.line FROM unnest(ARRAY[
    '[{"on": {"owners": ["t_own"], "future_large_objects": []}, "to": "t_q", "grant": ["SELECT"]}]',
    'ALTER DEFAULT PRIVILEGES FOR ROLE t_own REVOKE SELECT ON LARGE OBJECTS FROM t_q',
    'ALTER DEFAULT PRIVILEGES FOR ROLE t_own GRANT SELECT ON LARGE OBJECTS TO t_q'
  ]) AS s(line) WHERE current_setting('server_version_num')::integer >= 180000$$, 'are there, and end where a policy does not have them');

SELECT * FROM finish();
ROLLBACK;
