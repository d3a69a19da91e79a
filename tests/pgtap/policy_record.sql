-- What is remembered of a policy, and who acts on it: rows of the record can have come from anybody who may write there.
BEGIN;
SELECT plan(15);

CREATE SCHEMA t_shop;
CREATE TABLE t_shop.item (id integer);
CREATE FUNCTION pg_temp.said() RETURNS TABLE (operation text, target text, status text, sqlstate text) LANGUAGE sql AS
$$SELECT DISTINCT s.operation, s.target, s.status, s.sqlstate FROM rolecall.drift() AS s$$;

-- All that a policy says of a role comes back with it.

CREATE TEMPORARY TABLE doc AS SELECT '{
  "roles": {"t_app": {"login": true, "replication": true, "connection_limit": 3, "valid_until": "2030-01-01T00:00:00Z", "comment": "x",
    "settings": {"work_mem": "8MB", "search_path": ["t_shop", "a b"], "log_min_duration_statement": 5},
    "database_settings": {"temp_buffers": "4MB", "search_path": []}}},
  "privileges": [{"to": "t_app", "on": {"table": "t_shop.item"}, "grant": ["SELECT"]},
    {"to": "t_app", "on": {"tables_in": "t_shop", "except": "t_shop.item"}, "grant": ["INSERT"]}],
  "schemas": {"t_shop": {}, "t_other": {"owner": "t_app"}}
}'::jsonb AS policy;
SELECT count(*) FROM rolecall.apply((SELECT policy FROM doc), 'adopt');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'nothing differs');
SELECT is_empty($$SELECT FROM rolecall_internal.resource WHERE note IS NOT NULL$$, 'and all of it is acted on');
ALTER SCHEMA t_other OWNER TO CURRENT_USER;
DROP OWNED BY t_app;
DROP ROLE t_app;
SELECT count(*) FROM rolecall.converge();
SELECT is_empty('SELECT * FROM rolecall.drift()', 'a role that is gone comes back');
SELECT is_empty('SELECT * FROM rolecall.apply((SELECT policy FROM doc), ''adopt'')', 'as the policy says');

-- A policy of somebody with CREATEROLE.

CREATE ROLE t_op CREATEROLE;
SELECT count(*) FROM rolecall.add_operator('t_op');
CREATE SCHEMA t_own AUTHORIZATION t_op;
SET LOCAL ROLE t_op;
CREATE TABLE t_own.thing (id integer);
CREATE TEMPORARY TABLE own AS SELECT '{
  "roles": {"t_team": {"connection_limit": 3, "settings": {"work_mem": "8MB"}}},
  "privileges": [{"to": "t_team", "on": {"table": "t_own.thing"}, "grant": ["SELECT"]}]
}'::jsonb AS policy;
SELECT count(*) FROM rolecall.apply((SELECT policy FROM own), 'adopt');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'it acts on all that it asked for itself');
RESET ROLE;
SELECT results_eq(
  'SELECT * FROM pg_temp.said()', $$VALUES ('forget', 't_team', 'skipped', '42501')$$, 'others not on what it said of privileges'
);
SELECT is_empty(
  $$SELECT FROM rolecall_internal.resource WHERE recorder = 't_op' AND section IN ('roles', 'settings') AND note IS NOT NULL$$,
  'attributes and settings that it may give are acted on by everybody'
);
DROP OWNED BY t_team;
DROP ROLE t_team;
SELECT count(*) FROM rolecall.converge();
SELECT is(
  (SELECT rolconnlimit || array_to_string(rolconfig, ' ') FROM pg_roles WHERE rolname = 't_team'), '3work_mem=8MB', 'so they come back'
);
SELECT count(*) FROM rolecall.apply((SELECT policy FROM own), 'adopt');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'a superuser that applies the same policy takes it over');

-- What it could not do itself.

SET LOCAL ROLE t_op;
CREATE ROLE t_spy;
INSERT INTO rolecall_internal.resource (section, key, resource) VALUES
  ('privileges', '["t_spy", "SELECT", {"kind": "table", "means": "one", "object": "t_shop.item"}]',
   '{"role": "t_spy", "privilege": "SELECT", "target": {"kind": "table", "means": "one", "object": "t_shop.item"}}'),
  ('schemas', '["t_shop"]', '{"name": "t_shop", "owner": "t_spy"}'),
  ('declared', '["t_app"]', '{"role": "t_app", "exact": true, "made": true}'),
  ('roles', '["t_spy"]', '{"name": "t_spy", "attributes": {"replication": true}}');
RESET ROLE;
SELECT count(*) FROM rolecall.converge();
SELECT ok(
  NOT has_table_privilege('t_spy', 't_shop.item', 'SELECT') AND NOT pg_has_role('t_spy', n.nspowner, 'USAGE') AND NOT r.rolreplication,
  'is done by nobody for it'
) FROM pg_namespace AS n, pg_roles AS r WHERE n.nspname = 't_shop' AND r.rolname = 't_spy';
SELECT is_empty(
  $$SELECT FROM rolecall.apply('{}', 'authoritative', dry_run => true) AS s WHERE s.target = 't_app'$$,
  'nor is a role removed that it says a policy has created'
);
SELECT results_eq(
  $$SELECT DISTINCT sqlstate, count(*) FROM rolecall_internal.resource
    WHERE recorder = 't_op' AND key ->> 0 IN ('t_spy', 't_shop', 't_app') AND resource IS NOT NULL GROUP BY 1$$,
  $$VALUES ('42501', 4::bigint)$$, 'all of it is refused'
);
DELETE FROM rolecall_internal.resource WHERE recorder = 't_op' AND key ->> 0 IN ('t_spy', 't_shop', 't_app');

-- What no call writes.

INSERT INTO rolecall_internal.resource (section, key, resource) VALUES
  ('roles', '["t_1"]', '{"name": "t_1", "attributes": {"connection_limit": -5}}'),
  ('roles', '["t_2"]', '{"name": "t_2", "initial": {"connection_limit": 1.5}}'),
  ('roles', '["t_3"]', '{"name": "t_3", "initial": {"connection_limit": true}}'),
  ('roles', '["t_4"]', '{"name": "t_4", "attributes": {"valid_until": "soon"}}'),
  ('roles', '["t_5"]', '{"name": "t_5", "attributes": {"valid_until": "2030-02-30T00:00:00.000000Z"}}'),
  ('roles', '["t_6"]', '{"name": "t_6", "attributes": {"valid_until": "tomorrow"}}'),
  ('comments', '["t_spy"]', '{"role": "t_spy", "comment": 1}'),
  ('declared', '["t_spy"]', '{"role": "t_spy", "exact": "yes"}'),
  ('schemas', '["t_wrong"]', '{"name": "t_wrong", "owner": ["t_spy"]}'),
  ('settings', '["t_spy", "work_mem"]', '{"role": "t_spy", "name": "work_mem", "value": "much"}'),
  ('settings', '["t_spy", "work_mem", true]', '{"role": "t_spy", "name": "work_mem", "value": "8MB", "here": true}'),
  ('privileges', '["t_spy", "SELECT", "t_shop.item"]', '{"role": "t_spy", "privilege": "SELECT", "target": "t_shop.item"}'),
  ('privileges', '["t_spy", "SELECT", {"kind": 1, "means": "one"}]', '{"role": "t_spy", "privilege": "SELECT", "target": {"kind": 1, "means": "one"}}'),
  ('privileges', '["t_spy", "SELECT", {"kind": "table", "means": "all", "scope": {"except": [1]}}]',
   '{"role": "t_spy", "privilege": "SELECT", "target": {"kind": "table", "means": "all", "scope": {"except": [1]}}}');
SELECT is_empty(
  $$SELECT section, key FROM rolecall_internal.resource
    WHERE key ->> 0 ~ '^t_([0-9]|spy|wrong)$' AND resource IS NOT NULL AND sqlstate IS DISTINCT FROM '22023'$$,
  'is refused'
);
SELECT results_eq(
  'SELECT DISTINCT operation, status, sqlstate FROM pg_temp.said()', $$VALUES ('forget', 'skipped', '22023')$$, 'and said'
);
SELECT lives_ok('SELECT count(*) FROM rolecall.converge()', 'it ends no call');

SELECT * FROM finish();
ROLLBACK;
