-- What is remembered of a policy, and who acts on it: rows of the record can have come from anybody who may write there.
BEGIN;
SELECT plan(39);

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
SELECT matches(
  test.error($$SELECT FROM rolecall.apply('{"roles": {"t_other_owner": {}}, "schemas": {"t_own": {"owner": "t_other_owner"}}}', 'additive')$$),
  CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'grant that role to t_op WITH SET TRUE' ELSE 'grant that role to t_op\.' END,
  'where it may not give a schema away, the hint says what that requires'
);
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

-- What an exception named stays excepted under another name.

CREATE SCHEMA t_depot;
CREATE TABLE t_depot.card (id integer, number text, holder text);
CREATE TABLE t_depot.people (id integer, ssn text);
CREATE TABLE t_depot.log (id integer) PARTITION BY RANGE (id);
CREATE TABLE t_depot.log_1 PARTITION OF t_depot.log FOR VALUES FROM (1) TO (9);
CREATE SEQUENCE t_depot.counter;
CREATE TEMPORARY TABLE depot AS SELECT '{"roles": {"t_clerk": {}}, "privileges": [
  {"to": "t_clerk", "on": {"tables_in": "t_depot", "except": ["t_depot.card", "t_depot.people.ssn", "t_depot.log"]}, "grant": ["SELECT"]},
  {"to": "t_clerk", "on": {"sequences_in": "t_depot", "except": "t_depot.counter"}, "grant": ["USAGE"]}]}'::jsonb AS policy;
SELECT count(*) FROM rolecall.apply((SELECT policy FROM depot));
SELECT is(test.least_wal('SELECT FROM rolecall.apply((SELECT policy FROM depot))'), 0::numeric, 'what is excepted is remembered once');
ALTER TABLE t_depot.card RENAME TO archive;
ALTER TABLE t_depot.people RENAME COLUMN ssn TO "Tax id";
ALTER TABLE t_depot.log DETACH PARTITION t_depot.log_1;
ALTER SEQUENCE t_depot.counter RENAME TO tally;
CREATE TABLE t_depot.other (id integer);
SELECT bag_eq(
  'SELECT statement, status, sqlstate FROM rolecall.apply((SELECT policy FROM depot))',
  $$VALUES ('GRANT SELECT ON t_depot.archive TO t_clerk', 'skipped', '55000'), ('GRANT SELECT ON t_depot.log_1 TO t_clerk', 'skipped', '55000'),
           ('GRANT SELECT ON t_depot.people TO t_clerk', 'skipped', '55000'), ('GRANT USAGE ON t_depot.tally TO t_clerk', 'skipped', '55000')$$,
  'a row says of each what it was'
);
SELECT is(has_table_privilege('t_clerk', t, 'SELECT'), t = 't_depot.other', t || ' is as it was') FROM unnest('{t_depot.archive,t_depot.log_1,t_depot.people,t_depot.other}'::text[]) AS t;
SELECT ok(has_column_privilege('t_clerk', 't_depot.people', 'id', 'SELECT') AND NOT has_column_privilege('t_clerk', 't_depot.people', 'Tax id', 'SELECT'), 'so are columns');
SELECT ok(NOT has_sequence_privilege('t_clerk', 't_depot.tally', 'USAGE'), 'and sequences');
UPDATE depot SET policy = replace(policy::text, '"t_depot.card", ', '')::jsonb;
SELECT count(*) FROM rolecall.apply((SELECT policy FROM depot));
SELECT ok(has_table_privilege('t_clerk', 't_depot.archive', 'SELECT'), 'until the name is no longer in the list');
SELECT is_empty($$SELECT FROM rolecall_internal.withheld WHERE name = 't_depot.card'$$, 'which is forgotten then');

-- What others have from a role that loses it they are granted first.

CREATE ROLE t_owner;
CREATE ROLE t_giver;
CREATE ROLE t_friend;
GRANT ALL ON SCHEMA t_depot TO t_owner, t_giver, t_friend;
SET LOCAL ROLE t_owner;
CREATE TABLE t_depot.gift (id integer, name text);
GRANT SELECT, INSERT ON t_depot.gift TO t_giver WITH GRANT OPTION;
GRANT UPDATE (id) ON t_depot.gift TO t_giver WITH GRANT OPTION;
SET LOCAL ROLE t_giver;
GRANT SELECT ON t_depot.gift TO t_friend WITH GRANT OPTION;
GRANT INSERT (id), UPDATE (id) ON t_depot.gift TO t_friend;
SET LOCAL ROLE t_friend;
GRANT SELECT ON t_depot.gift TO PUBLIC;
RESET ROLE;
CREATE TEMPORARY TABLE given AS SELECT s.* FROM rolecall.apply('{"roles": {"t_giver": {}}, "privileges": [
  {"to": "t_giver", "on": {"schema": "t_depot"}, "grant": ["ALL"]}, {"to": "t_giver", "on": {"table": "t_depot.gift"}, "grant": ["INSERT"]}]}') AS s;
SELECT results_eq('SELECT statement, status, note FROM given', $$VALUES
  ('GRANT INSERT (id) ON TABLE t_depot.gift TO t_friend', 'applied', '"t_giver" granted it'),
  ('GRANT SELECT ON TABLE t_depot.gift TO t_friend WITH GRANT OPTION', 'applied', '"t_giver" granted it'),
  ('REVOKE GRANT OPTION FOR INSERT ON TABLE t_depot.gift FROM t_giver CASCADE', 'applied', NULL), ('REVOKE SELECT ON TABLE t_depot.gift FROM t_giver CASCADE', 'applied', NULL),
  ('GRANT UPDATE (id) ON TABLE t_depot.gift TO t_friend', 'applied', '"t_giver" granted it'), ('REVOKE UPDATE (id) ON t_depot.gift FROM t_giver CASCADE', 'applied', NULL)$$,
  'each is a row, before the loss');
SELECT ok(has_table_privilege('t_friend', 't_depot.gift', 'SELECT') AND has_column_privilege('t_friend', 't_depot.gift', 'id', 'INSERT')
  AND has_column_privilege('t_friend', 't_depot.gift', 'id', 'UPDATE'), 'nobody else loses anything');
SELECT ok(has_table_privilege('t_clerk', 't_depot.gift', 'SELECT'), 'nor PUBLIC');
SELECT is_empty($$SELECT * FROM rolecall.drift() WHERE operation <> 'forget' AND statement !~ 't_clerk'$$, 'which is all');

-- Whose creation a role is.

SELECT results_eq(
  $$SELECT key ->> 0, coalesce(resource ? 'made', false) FROM rolecall_internal.resource WHERE section = 'declared' AND key ->> 0 IN ('t_clerk', 't_giver') AND resource IS NOT NULL ORDER BY 1$$,
  $$VALUES ('t_clerk', true), ('t_giver', false)$$, 'a policy has made what it has created'
);
UPDATE rolecall_internal.resource SET made_in = 1, roles = '{1}' WHERE section = 'declared' AND key ->> 0 = 't_clerk';
SELECT is_empty(
  $$SELECT FROM rolecall.apply('{"roles": {"t_app": {"exact": false}, "t_team": {"exact": false}}}', 'authoritative', dry_run => true) AS s WHERE s.target = 't_clerk'$$, 'in a copy of the database that is none of its own'
);
SELECT count(*) FROM rolecall.apply('{"roles": {"t_gone": {}}}');
DROP ROLE t_gone;
SELECT count(*) FROM rolecall.converge();
SELECT is_empty($$SELECT FROM rolecall_internal.resource WHERE section = 'declared' AND key ->> 0 = 't_clerk' AND resource ? 'made'$$, 'nor where the roles were before a dump was restored');

-- An operator that a policy describes.

SELECT count(*) FROM rolecall.apply('{"roles": {"t_op": {"createrole": true}}}');
SELECT count(*) FROM rolecall.add_operator('t_op');
SELECT is_empty($$SELECT * FROM rolecall.apply('{"roles": {"t_op": {"createrole": true}}}')$$, 'keeps what add_operator() gave it');
SELECT ok(NOT rolecall.inspect('{t_op}')::text ~ 'rolecall', 'which is none of its privileges');
ALTER ROLE t_op CONNECTION LIMIT 4;
SET LOCAL ROLE t_op;
SELECT results_eq(
  $$SELECT statement, status, sqlstate, note FROM rolecall.drift() WHERE operation = 'alter_role'$$,
  $$VALUES ('ALTER ROLE t_op CONNECTION LIMIT -1', 'skipped', '22023', 'no call changes the role that makes it')$$, 'it sees what differs about itself, and leaves it'
);
RESET ROLE;

-- A role that a policy describes exactly, until it says otherwise.

SELECT count(*) FROM rolecall.apply('{"roles": {"t_lax": {}}}');
SELECT count(*) FROM rolecall.apply('{"roles": {"t_lax": {"exact": false}}}');
GRANT t_team TO t_lax;
SELECT is_empty($$SELECT FROM rolecall.drift() WHERE target = 't_lax'$$, 'keeps what others give it from then on');
SELECT is(rolecall.policy() -> 'roles' -> 't_lax', '{"exact": false}', 'and is recorded like that');
SELECT is_empty($$SELECT FROM rolecall.apply('{"roles": {"t_lax": {"exact": false}}}')$$, 'once');

SELECT * FROM finish();
ROLLBACK;
