-- What is remembered: a later call adds to it, and what it leaves out stays as it was asked for before.
BEGIN;
SELECT plan(15);

CREATE FUNCTION pg_temp.recorded(section text) RETURNS SETOF jsonb LANGUAGE sql AS $$
  SELECT DISTINCT ON (r.key) r.resource FROM rolecall_internal.resource AS r
  WHERE r.section = $1 ORDER BY r.key, r.recorded_at DESC
$$;

CREATE ROLE t_group;
SELECT count(*) FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin');
SELECT count(*) FROM rolecall.create_user_with_grants('t_alice', NULL, '{t_group}');
SELECT count(*) FROM rolecall.grant_role('t_group', 't_alice', admin_option => true);
SELECT is_empty($$SELECT * FROM rolecall.create_user_with_grants('t_alice', NULL, '{t_group}')$$, 'nothing is left to do');
SELECT is(
  (SELECT r FROM pg_temp.recorded('memberships') AS r WHERE r ->> 'role' = 't_group'),
  '{"role": "t_group", "member": "t_alice", "admin": true}', 'an option that a call leaves out stays as it was asked for'
);
DROP ROLE t_alice;
SELECT count(*) FROM rolecall.converge();
SELECT ok(m.admin_option, 'and comes back') FROM pg_auth_members AS m
WHERE m.member = 't_alice'::regrole AND m.roleid = 't_group'::regrole;
SELECT count(*) FROM rolecall.grant_role('t_group', 't_alice');
SELECT is(
  (SELECT r FROM pg_temp.recorded('memberships') AS r WHERE r ->> 'role' = 't_group'),
  '{"role": "t_group", "member": "t_alice", "admin": false}', 'an option that a call mentions replaces the earlier one'
);
SELECT count(*) FROM rolecall.revoke_role('t_group', 't_alice');
SELECT count(*) FROM rolecall.create_user_with_grants('t_alice', NULL, '{t_group}');
SELECT is(
  (SELECT r FROM pg_temp.recorded('memberships') AS r WHERE r ->> 'role' = 't_group'),
  '{"role": "t_group", "member": "t_alice"}', 'a membership that was ended begins anew'
);

-- What a role could not do that was there before.
CREATE ROLE t_bob LOGIN NOINHERIT;
CREATE ROLE t_carol NOLOGIN CREATEDB;
SELECT count(*) FROM rolecall.create_user('t_bob');
SELECT count(*) FROM rolecall.create_user('t_carol');
SELECT is_empty($$SELECT * FROM rolecall.create_user('t_bob')$$, 'a second call has nothing to do');
DROP ROLE t_bob, t_carol;
SELECT count(*) FROM rolecall.converge();
SELECT results_eq(
  $$SELECT rolname, rolcanlogin, rolinherit, rolcreatedb FROM pg_roles WHERE rolname IN ('t_bob', 't_carol') ORDER BY 1$$,
  $$VALUES ('t_bob'::name, true, false, false), ('t_carol', false, true, false)$$, 'it cannot do it made anew either'
);
SELECT is_empty('SELECT * FROM rolecall.drift()', 'and nothing has drifted');

-- A role that one call wants to log in, and another not.
SELECT count(*) FROM rolecall.create_user('t_client');
SELECT count(*) FROM rolecall.create_client_role('t_client');
SELECT is(
  (SELECT r FROM pg_temp.recorded('roles') AS r WHERE r ->> 'name' = 't_client') -> 'initial', '{"login": true}',
  'a later call adds to the record of an earlier one'
);
DROP ROLE t_client;
SELECT is(
  (SELECT statement FROM rolecall.drift() WHERE operation = 'create_role'),
  'CREATE ROLE t_client NOSUPERUSER NOCREATEDB NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS',
  'what holds for every role of its kind comes before what holds for a new one'
);
SELECT count(*) FROM rolecall.converge();

-- From 16 on a membership has options of its own.
SELECT CASE WHEN current_setting('server_version_num')::integer < 160000 THEN skip('options need 16', 2)
ELSE collect_tap(
  lives_ok($$SELECT rolecall.grant_role('t_anon', 't_alice', inherit_option => false)$$, 'a membership without INHERIT'),
  is_empty($$SELECT * FROM rolecall.create_user_with_grants('t_alice', NULL, '{t_anon}')$$, 'which a call leaves as it is')
) END;
SELECT is_empty('SELECT * FROM rolecall.drift()', 'and drift() too');

-- A name that nobody has is not remembered: whoever gets it later was not meant.
SELECT count(*) FROM rolecall.create_user_with_grants('t_dora', NULL, '{t_mistyped}');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'a membership that was skipped is not missed');
CREATE ROLE t_mistyped;
SELECT count(*) FROM rolecall.converge();
SELECT ok(NOT pg_has_role('t_dora', 't_mistyped', 'MEMBER'), 'nor given to whoever gets that name');

SELECT * FROM finish();
ROLLBACK;
