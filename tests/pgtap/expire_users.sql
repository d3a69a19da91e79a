-- expire_users: users whose time is over are locked. That sessions end is tested with lock_user().
BEGIN;
SELECT plan(11);

SELECT count(*) FROM rolecall.apply('{"roles": {"t_past": {"login": true, "valid_until": "2020-01-01T00:00:00Z"}, "t_future": {"login": true, "valid_until": "2200-01-01T00:00:00Z"}, "t_ever": {"login": true}}}');
SELECT FROM rolecall.create_base_roles();
SELECT FROM rolecall.create_user('t_call');
ALTER ROLE t_call VALID UNTIL '2020-01-01';
CREATE ROLE t_other LOGIN VALID UNTIL '2020-01-01';
CREATE ROLE t_super SUPERUSER LOGIN VALID UNTIL '2020-01-01';
SELECT results_eq(
  $$SELECT operation, statement, status FROM rolecall.expire_users(dry_run => true)$$,
  $$VALUES ('alter_role', 'ALTER ROLE t_call NOLOGIN', 'planned'), ('alter_role', 'ALTER ROLE t_past NOLOGIN', 'planned')$$, 'of calls and of policies'
);
SELECT is((SELECT count(*) FROM rolecall.expire_users() WHERE status = 'applied'), 2::bigint, 'they are locked');
SELECT is((SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname ~ '^t_' AND rolcanlogin), 't_ever t_future t_other t_super', 'and nobody else');
SELECT is_empty('SELECT * FROM rolecall.expire_users()', 'once');
SELECT is(test.least_wal('SELECT FROM rolecall.expire_users()'), 0::numeric, 'which writes nothing');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'it is remembered');
ALTER ROLE t_past LOGIN;
SELECT is((SELECT string_agg(statement, '; ') FROM rolecall.converge()), 'ALTER ROLE t_past NOLOGIN', 'and kept');

-- A user of a policy is locked and unlocked like any other; a policy that says that it logs in unlocks it.

SELECT is((SELECT string_agg(statement, '; ') FROM rolecall.unlock_user('t_past')), 'ALTER ROLE t_past LOGIN', 'unlocked');
SELECT is((SELECT string_agg(statement, '; ') FROM rolecall.lock_user('t_past')), 'ALTER ROLE t_past NOLOGIN', 'locked');
SELECT is(
  (SELECT string_agg(statement, '; ') FROM rolecall.apply('{"roles": {"t_past": {"login": true, "valid_until": "2020-01-01T00:00:00Z"}}}')),
  'ALTER ROLE t_past LOGIN', 'as the policy says'
);
SELECT throws_ok($$SELECT * FROM rolecall.lock_user('authenticated')$$, '22023', 'role "authenticated" is a group role', 'a base role is not');

SELECT * FROM finish();
ROLLBACK;
