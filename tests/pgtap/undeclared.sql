-- undeclared: what nobody asked for; forget: what is asked for no more.
BEGIN;
SELECT plan(14);

CREATE ROLE t_owner;
CREATE SCHEMA t_shop AUTHORIZATION t_owner;
CREATE TABLE t_shop.item (id integer, name text);
SELECT count(*) FROM rolecall.apply('{"roles": {"t_app": {"login": true}, "t_owner": {}}, "privileges": [{"to": "t_app", "on": {"table": "t_shop.item"}, "grant": ["SELECT"]}]}');
CREATE TEMPORARY TABLE found AS SELECT * FROM rolecall.undeclared() WHERE role ~ '^t_';
SELECT is_empty('SELECT * FROM found', 'what a policy asked for is declared');
CREATE ROLE t_stray;
GRANT t_owner TO t_app;
GRANT INSERT, UPDATE (name) ON t_shop.item TO t_app;
GRANT USAGE ON SCHEMA t_shop TO t_stray;
ALTER ROLE t_app SET work_mem = '1MB';
ALTER DEFAULT PRIVILEGES FOR ROLE t_owner GRANT SELECT ON TABLES TO t_stray;
INSERT INTO found SELECT * FROM rolecall.undeclared() WHERE role ~ '^t_';
SELECT set_eq('SELECT kind, role, object, detail FROM found', $$VALUES
  ('role', 't_stray', NULL, 'no call and no policy asked for it'), ('membership', 't_app', 't_owner', 'member of t_owner'), ('setting', 't_app', NULL, 'work_mem'),
  ('privilege', 't_app', 't_shop', 'INSERT ON TABLE t_shop.item'), ('privilege', 't_app', 't_shop', 'UPDATE (name) ON t_shop.item'),
  ('privilege', 't_stray', 't_shop', 'USAGE ON SCHEMA t_shop'), ('default privilege', 't_stray', NULL, 'SELECT ON TABLES')$$, 'everything else is not');
CREATE FUNCTION pg_temp.run(statement text) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE statement; END$$;
SELECT lives_ok(format('SELECT pg_temp.run(%L)', remedy), remedy) FROM found;
SELECT is_empty($$SELECT * FROM rolecall.undeclared() WHERE role ~ '^t_'$$, 'the remedies end it');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'and nothing else');

-- forget

SELECT cmp_ok((SELECT count(*) FROM rolecall.forget('t_app', dry_run => true) WHERE status = 'planned'), '=', (SELECT count(*) FROM rolecall.forget('t_app')), 'a role is forgotten');
SELECT is((SELECT count(*) FROM rolecall.undeclared() WHERE role = 't_app'), 2::bigint, 'so nobody has asked for it');
SELECT is_empty($$SELECT * FROM rolecall.forget('t_app')$$, 'once');

SELECT * FROM finish();
ROLLBACK;
