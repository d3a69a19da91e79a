-- forget: the record of a role ends, and the role stays.
BEGIN;
SELECT plan(12);

CREATE ROLE t_group;
SELECT count(*) FROM rolecall.create_user_with_grants('t_user', NULL, '{t_group}');
SELECT results_eq(
  $$SELECT * FROM rolecall.forget('t_user', dry_run => true)$$,
  $$VALUES ('forget', 't_user', 'DELETE FROM rolecall_internal.resource WHERE section = ''memberships'' AND key = ''["t_user", "t_group"]''', 'planned', NULL::text, NULL::text),
           ('forget', 't_user', 'DELETE FROM rolecall_internal.resource WHERE section = ''roles'' AND key = ''["t_user"]''', 'planned', NULL, NULL)$$,
  'a dry run lists what is remembered'
);
SELECT is((SELECT count(*) FROM rolecall.forget('t_group')), 1::bigint, 'of a group its members are forgotten');
SELECT is((SELECT count(*) FROM rolecall.forget('t_user')), 1::bigint, 'and of a user the rest');
SELECT is(test.groups('t_user'), 't_group', 'the membership stays');
DROP ROLE t_user;
SELECT is_empty('SELECT * FROM rolecall.drift()', 'nothing is asked for any more');
SELECT is(test.least_wal($$SELECT FROM rolecall.forget('t_user')$$), 0::numeric, 'with nothing to forget nothing is written');

CREATE SCHEMA t_schema;
SELECT count(*) FROM rolecall.apply(
  '{"roles": {"t_user": {}},
    "privileges": [{"to": ["PUBLIC", "t_user"], "on": {"schema": "t_schema"}, "grant": ["USAGE"]}]}'
);
SELECT results_eq(
  $$SELECT target, status FROM rolecall.forget('public', dry_run => true)$$, $$VALUES ('public', 'planned')$$,
  'of everybody there is what a policy says of PUBLIC'
);
SELECT is((SELECT count(*) FROM rolecall.forget('public')), 1::bigint, 'it is forgotten');
REVOKE USAGE ON SCHEMA t_schema FROM PUBLIC, t_user;
SELECT results_eq(
  'SELECT statement FROM rolecall.drift()', $$VALUES ('GRANT USAGE ON SCHEMA t_schema TO t_user')$$,
  'then it is not missed; what others have stays remembered'
);
SELECT is_empty($$SELECT * FROM rolecall.forget('public')$$, 'once');

SELECT throws_ok('SELECT * FROM rolecall.forget(NULL)', '22004', 'role name must not be null', 'a null name');
SELECT throws_ok($$SELECT * FROM rolecall.forget('pg_monitor')$$, '42939', NULL, 'a predefined role');

SELECT * FROM finish();
ROLLBACK;
