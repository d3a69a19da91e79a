-- apply: a policy as a whole, its modes, and that nothing is done twice.
BEGIN;
SELECT plan(109);

CREATE ROLE t_maker;
CREATE ROLE t_group;
CREATE SCHEMA t_shop AUTHORIZATION t_maker;
SET LOCAL ROLE t_maker;
CREATE TABLE t_shop.item (id integer, name text);
CREATE TABLE t_shop.card (id integer, number text);
CREATE TABLE t_shop.person (id integer, name text, ssn text);
CREATE VIEW t_shop.shown AS SELECT id FROM t_shop.item;
CREATE SEQUENCE t_shop.counter;
CREATE TYPE t_shop.mood AS ENUM ('good');
CREATE DOMAIN t_shop.positive AS integer CHECK (VALUE > 0);
CREATE FUNCTION t_shop.total(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';
CREATE PROCEDURE t_shop.close() LANGUAGE sql AS 'SELECT 1';
RESET ROLE;
SELECT lo_create(4711);
CREATE FOREIGN DATA WRAPPER t_fdw;
CREATE SERVER t_server FOREIGN DATA WRAPPER t_fdw;

CREATE FUNCTION pg_temp.steps(policy jsonb, mode text DEFAULT 'adopt') RETURNS text LANGUAGE sql AS
$$SELECT string_agg(concat_ws(' ', s.statement, nullif(s.status, 'applied'), s.sqlstate), '; ') FROM rolecall.apply(policy, mode) AS s$$;

-- Every kind of object.

CREATE TEMPORARY TABLE doc (name text PRIMARY KEY, policy jsonb);
GRANT SELECT ON doc TO PUBLIC;
INSERT INTO doc VALUES ('shop', jsonb_build_object(
  'roles', '{
    "t_app": {"login": true, "connection_limit": 20, "valid_until": "2027-01-01T01:00:00+01:00", "comment": "it''s", "member_of": ["t_group", {"role": "pg_monitor", "admin": true}],
              "settings": {"statement_timeout": "15s", "search_path": ["t_shop", "a b"]}, "database_settings": {"work_mem": "1MB"}},
    "t_plain": {}
  }'::jsonb,
  'schemas', '{"t_shop": {"profiles": {"reader": "t_reader"}}, "t_new": {"owner": "t_plain", "profiles": {"reader": ["t_reader", "t_app"]}}}'::jsonb,
  'profiles', '{"reader": {"schema": ["USAGE"], "tables": ["SELECT"], "sequences": ["SELECT"]}}'::jsonb,
  'privileges', jsonb_build_array(
    jsonb_build_object('to', 't_app', 'on', jsonb_build_object('database', current_database()), 'grant', '["CONNECT", "TEMPORARY"]'::jsonb)
  ) || '[
    {"to": "t_app", "on": {"schema": "t_shop"}, "grant": ["USAGE", "CREATE"]},
    {"to": "t_app", "on": {"tables_in": "t_shop", "except": ["t_shop.card", "t_shop.person.ssn"]}, "grant": ["SELECT", "DELETE"]},
    {"to": "t_app", "on": {"table": "t_shop.item"}, "grant": ["INSERT"], "with_grant_option": true},
    {"to": "t_app", "on": {"columns": ["id"], "of": "t_shop.card"}, "grant": ["SELECT", "UPDATE"]},
    {"to": "t_app", "on": {"sequence": "t_shop.counter"}, "grant": ["ALL"]},
    {"to": "t_app", "on": {"function": "t_shop.total(int)"}, "grant": ["EXECUTE"]},
    {"to": "t_app", "on": {"procedure": "t_shop.close()"}, "grant": ["EXECUTE"]},
    {"to": "t_app", "on": {"type": "t_shop.mood"}, "grant": ["USAGE"]},
    {"to": "t_app", "on": {"domain": "t_shop.positive"}, "grant": ["USAGE"]},
    {"to": "t_app", "on": {"language": "plpgsql"}, "grant": ["USAGE"]},
    {"to": "t_app", "on": {"foreign_data_wrapper": "t_fdw"}, "grant": ["USAGE"]},
    {"to": "t_app", "on": {"foreign_server": "t_server"}, "grant": ["USAGE"]},
    {"to": "t_app", "on": {"tablespace": "pg_default"}, "grant": ["CREATE"]},
    {"to": "t_app", "on": {"large_object": 4711}, "grant": ["SELECT"]},
    {"to": "t_app", "on": {"future_tables": [], "owners": ["t_plain"]}, "grant": ["TRUNCATE"]},
    {"to": "PUBLIC", "on": {"functions_in": "t_shop"}, "revoke": ["EXECUTE"]},
    {"to": "PUBLIC", "on": {"table": "t_shop.shown"}, "grant": ["SELECT"]}
  ]'::jsonb
));
CREATE TEMPORARY TABLE before AS SELECT test.state() AS state;
SELECT cmp_ok((SELECT count(*) FROM doc, rolecall.apply(policy, dry_run => true) AS s WHERE s.status = 'planned'), '>', 30::bigint, 'a dry run plans it');
SELECT is(test.state(), state, 'and changes nothing') FROM before;
SELECT is_empty($$SELECT s.* FROM doc, rolecall.apply(policy) AS s WHERE s.status <> 'applied'$$, 'all of it is done');
SELECT is_empty($$SELECT s.* FROM doc, rolecall.apply(policy) AS s$$, 'and nothing again');
SELECT is(test.least_wal($$SELECT FROM doc, rolecall.apply(policy) AS s$$), 0::numeric, 'which writes no WAL');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'nor is there drift');
SELECT is(
  (SELECT concat_ws(' ', rolcanlogin, rolinherit, rolcreatedb, rolconnlimit, rolvaliduntil AT TIME ZONE 'UTC') FROM pg_roles WHERE rolname = 't_app'),
  't t f 20 2027-01-01 00:00:00', 'the role has its attributes'
);
SELECT is(shobj_description('t_app'::regrole, 'pg_authid'), 'it''s', 'its comment');
SELECT is(test.groups('t_app'), 'pg_monitor t_group', 'its memberships');
SELECT is(
  (SELECT string_agg((s.setdatabase <> 0)::text || ' ' || e, ', ' ORDER BY s.setdatabase, e) FROM pg_db_role_setting AS s, unnest(s.setconfig) AS e WHERE s.setrole = 't_app'::regrole AND e !~ '^rolecall\.policy='),
  'false search_path=t_shop, "a b", false statement_timeout=15s, true work_mem=1MB', 'and its settings'
);
SELECT is(n.nspowner::regrole::text, 't_plain', 'the schema is made for its owner') FROM pg_namespace AS n WHERE n.nspname = 't_new';
SELECT is(
  (SELECT string_agg(p, ' ' ORDER BY p) FROM unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,INSERT WITH GRANT OPTION}'::text[]) AS p WHERE has_table_privilege('t_app', t, p)),
  expected, 'privileges on ' || t
) FROM (VALUES
  ('t_shop.item', 'DELETE INSERT INSERT WITH GRANT OPTION SELECT'), ('t_shop.card', NULL), ('t_shop.person', 'DELETE'), ('t_shop.shown', 'DELETE SELECT')
) AS v(t, expected);
SELECT is(
  (SELECT string_agg(a.attname || ' ' || p, ', ' ORDER BY a.attnum, p) FROM pg_attribute AS a, unnest('{SELECT,UPDATE}'::text[]) AS p
   WHERE a.attrelid = t::regclass AND a.attnum > 0 AND has_column_privilege('t_app', a.attrelid, a.attnum, p)),
  expected, 'on the columns of ' || t
) FROM (VALUES ('t_shop.card', 'id SELECT, id UPDATE'), ('t_shop.person', 'id SELECT, name SELECT')) AS v(t, expected);
SELECT ok(has_sequence_privilege('t_app', 't_shop.counter', 'UPDATE'), 'on a sequence');
SELECT ok(has_function_privilege('t_app', 't_shop.total(integer)', 'EXECUTE') AND has_function_privilege('t_app', 't_shop.close()', 'EXECUTE'), 'on functions and procedures');
SELECT ok(NOT has_function_privilege('t_plain', 't_shop.total(integer)', 'EXECUTE'), 'which PUBLIC has no more');
SELECT ok(has_type_privilege('t_app', 't_shop.mood', 'USAGE') AND has_server_privilege('t_app', 't_server', 'USAGE')
  AND has_foreign_data_wrapper_privilege('t_app', 't_fdw', 'USAGE') AND has_tablespace_privilege('t_app', 'pg_default', 'CREATE'), 'and on other objects');
SELECT is((SELECT string_agg(x.privilege_type, ' ') FROM pg_largeobject_metadata AS l, aclexplode(l.lomacl) AS x WHERE l.oid = 4711 AND x.grantee = 't_app'::regrole), 'SELECT', 'large objects too');
SELECT ok(has_table_privilege('t_plain', 't_shop.shown', 'SELECT'), 'PUBLIC gains');

-- Later objects.

SET LOCAL ROLE t_maker;
CREATE TABLE t_shop.later (id integer);
RESET ROLE;
CREATE TABLE t_shop.mine (id integer);
SELECT ok(has_table_privilege('t_reader', 't_shop.later', 'SELECT') AND has_table_privilege('t_app', 't_shop.later', 'DELETE'), 'tables that an owner makes later are meant');
SELECT ok(has_table_privilege('t_reader', 't_shop.mine', 'SELECT'), 'and those of who asked');
SELECT is_empty($$SELECT s.* FROM doc, rolecall.apply(policy) AS s WHERE s.operation <> 'default_privilege'$$, 'so nothing is left to do');
ALTER TABLE t_shop.mine OWNER TO t_group;
SELECT is(
  pg_temp.steps(policy),
  'ALTER DEFAULT PRIVILEGES FOR ROLE t_group IN SCHEMA t_shop GRANT DELETE, SELECT ON TABLES TO t_app; '
  'ALTER DEFAULT PRIVILEGES FOR ROLE t_group IN SCHEMA t_shop GRANT SELECT ON TABLES TO t_reader', 'a new owner counts'
) FROM doc;

-- What others change.

GRANT TRUNCATE ON t_shop.item TO t_reader;
GRANT SELECT ON t_shop.card TO t_app;
GRANT UPDATE (name) ON t_shop.item TO t_reader;
REVOKE USAGE ON TYPE t_shop.mood FROM t_app;
GRANT EXECUTE ON FUNCTION t_shop.total(integer) TO PUBLIC;
GRANT SELECT ON t_shop.item TO t_reader WITH GRANT OPTION;
ALTER ROLE t_app CREATEDB CONNECTION LIMIT 5;
ALTER ROLE t_app SET geqo = off;
ALTER ROLE t_app IN DATABASE template1 SET geqo = off;
GRANT t_maker TO t_reader;
CREATE TEMPORARY TABLE restored AS SELECT s.* FROM rolecall.converge() AS s;
SELECT set_eq('SELECT statement, status FROM restored', format($$VALUES
  ('ALTER ROLE t_app NOCREATEDB CONNECTION LIMIT 20', 'applied'), ('REVOKE t_maker FROM t_reader%s', 'applied'), ('ALTER ROLE t_app RESET geqo', 'applied'),
  ('REVOKE EXECUTE ON ROUTINE t_shop.total(integer) FROM PUBLIC CASCADE', 'applied'), ('REVOKE SELECT ON TABLE t_shop.card FROM t_app CASCADE', 'applied'),
  ('REVOKE GRANT OPTION FOR SELECT ON TABLE t_shop.item FROM t_reader CASCADE', 'applied'), ('REVOKE TRUNCATE ON TABLE t_shop.item FROM t_reader CASCADE', 'applied'),
  ('REVOKE UPDATE (name) ON t_shop.item FROM t_reader CASCADE', 'applied'), ('GRANT USAGE ON TYPE t_shop.mood TO t_app', 'applied'),
  ('GRANT SELECT (id) ON t_shop.card TO t_app', 'applied')$$, CASE WHEN test.is_16() THEN ' GRANTED BY ' || test.superuser() END), 'converge() restores the policy');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'wholly');
SELECT is(has_table_privilege('t_app', 't_shop.card', 'SELECT'), false, 'what a table gave beyond the columns is gone');

-- Modes. Each says less than before.

INSERT INTO doc VALUES ('less', '{"roles": {"t_app": {"login": true}}}');
SELECT is(pg_temp.steps(policy, 'additive'), NULL, 'additive: what is not said stays') FROM doc WHERE name = 'less';
SELECT is_empty('SELECT * FROM rolecall.drift()', 'and is remembered');
SELECT is(pg_temp.steps('{"roles": {"t_app": {"createdb": true}, "t_group": {"login": true}}}', 'additive'), 'ALTER ROLE t_app CREATEDB; ALTER ROLE t_group LOGIN', 'additive: attributes are gained');
SELECT cmp_ok((SELECT count(*) FROM doc, rolecall.apply(policy) AS s WHERE name = 'less' AND s.operation = 'revoke_privilege'), '>', 10::bigint, 'adopt: what is not said ends');
SELECT is(test.groups('t_app'), NULL, 'memberships too');
-- What a superuser's call leaves for other databases is no setting that anybody asked for.
SELECT is((SELECT string_agg(e, ' ') FROM pg_db_role_setting, unnest(setconfig) AS e WHERE setrole = 't_app'::regrole AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) AND e !~ '^rolecall[.]policy='), NULL, 'and settings, but those of other databases');
SELECT is((SELECT string_agg(DISTINCT d.classid::regclass::text, ' ') FROM pg_shdepend AS d WHERE d.refobjid = 't_app'::regrole AND d.deptype = 'a'), 'pg_tablespace', 'and privileges, but those of the cluster');
SELECT ok(has_table_privilege('t_reader', 't_shop.item', 'SELECT'), 'a role that is not named is left alone');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'nothing of it comes back');
REVOKE CREATE ON TABLESPACE pg_default FROM t_app;
SELECT throws_ok($$SELECT * FROM rolecall.apply('{}', 'authoritative')$$, '2BP01', NULL, 'authoritative: what a role owns is in the way');
ALTER SCHEMA t_new OWNER TO t_maker;
SELECT is(
  (SELECT string_agg(s.statement, '; ') FROM rolecall.apply('{"roles": {"t_app": {"login": true}}, "schemas": {"t_new": {"owner": "t_maker"}}}', 'authoritative') AS s WHERE s.operation LIKE '%role'),
  'DROP ROLE t_plain; DROP ROLE t_reader', 'authoritative: roles that an earlier policy made and this one does not name are removed'
);
SELECT is((SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname ~ '^t_'), 't_app t_group t_maker', 'and no others');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'nor do they come back');
SELECT count(*) FROM rolecall.provision_reporting_role('t_by_hand', '{t_shop}');
SELECT count(*) FROM rolecall.apply('{"roles": {"t_app": {}}, "reporting": {"t_report": {"schemas": ["t_shop"]}, "t_by_hand": {"schemas": ["t_shop"]}}}');
SELECT is_empty($$SELECT * FROM rolecall.apply(rolecall.policy(), 'authoritative')$$, 'what a policy exports of its reporting roles names them');
SELECT is_empty($$SELECT * FROM rolecall.apply('{"roles": {"t_app": {}}}')$$, 'adopt: reporting roles that are not named are left alone');
SELECT is(
  (SELECT string_agg(s.statement, '; ') FROM rolecall.apply('{"roles": {"t_app": {}}}', 'authoritative') AS s),
  'DROP OWNED BY t_report; DROP ROLE t_report', 'authoritative: a reporting role that a policy has created is removed'
);
SELECT is_empty('SELECT * FROM rolecall.drift()', 'it does not come back, and the other one is complete');
SELECT count(*) FROM rolecall.remove_user('t_by_hand', drop_owned => true);

-- Absent objects and roles.

SELECT is(
  pg_temp.steps('{"privileges": [
    {"to": "t_app", "on": {"table": "t_shop.gone"}, "grant": ["SELECT"]}, {"to": "t_app", "on": {"columns": "gone", "of": "t_shop.item"}, "grant": ["SELECT"]},
    {"to": "t_app", "on": {"tables_in": "t_none"}, "grant": ["SELECT"]}, {"to": "t_app", "on": {"function": "t_shop.gone()"}, "grant": ["EXECUTE"]},
    {"to": "t_app", "on": {"type": "t_shop.gone"}, "grant": ["USAGE"]}, {"to": "t_nobody", "on": {"schema": "t_shop"}, "grant": ["USAGE"]}, {"to": "t_app", "on": {"database": "t_none"}, "grant": ["CONNECT"]}]}'),
  'GRANT USAGE ON SCHEMA t_shop TO t_nobody skipped 42704; GRANT CONNECT ON DATABASE t_none TO t_app skipped 3D000; '
  'GRANT SELECT ON ALL TABLES IN SCHEMA t_none TO t_app skipped 3F000; GRANT SELECT ON TABLE t_shop.gone TO t_app skipped 42P01; '
  'GRANT USAGE ON TYPE t_shop.gone TO t_app skipped 42704; GRANT EXECUTE ON ROUTINE t_shop.gone() TO t_app skipped 42883; '
  'GRANT SELECT (gone) ON TABLE t_shop.item TO t_app skipped 42703; ALTER DEFAULT PRIVILEGES FOR ROLE '
  || current_user || ' IN SCHEMA t_none GRANT SELECT ON TABLES TO t_app skipped 3F000', 'what does not exist is skipped'
);
SELECT is((SELECT note FROM rolecall.apply('{"privileges": [{"to": "t_app", "on": {"columns": ["gone", "Left"], "of": "t_shop.item"}, "grant": ["SELECT", "UPDATE"]}]}', dry_run => true) AS s WHERE s.sqlstate = '42703'),
          'there is no column "Left", gone', 'the note names the columns, as the table is there');
SELECT is(pg_temp.steps('{"schemas": {"t_made": {}}, "privileges": [{"to": "t_app", "on": {"table": "t_made.none"}, "grant": ["SELECT"]}]}'), 'CREATE SCHEMA t_made', 'but in a schema that the policy creates');
SELECT is(
  pg_temp.steps('{"schemas": {"t_none": {"owner": "t_nobody", "profiles": {"reader": "t_app"}}, "t_made": {"owner": "t_nobody"}}, "profiles": {"reader": {"schema": ["USAGE"], "tables": ["SELECT"]}}}', 'additive'),
  'ALTER SCHEMA t_made OWNER TO t_nobody skipped 42704; CREATE SCHEMA t_none AUTHORIZATION t_nobody skipped 42704; GRANT SELECT ON ALL TABLES IN SCHEMA t_none TO t_app skipped 3F000; '
  'GRANT USAGE ON SCHEMA t_none TO t_app skipped 3F000; ALTER DEFAULT PRIVILEGES FOR ROLE '
  || current_user || ' IN SCHEMA t_none GRANT SELECT ON TABLES TO t_app skipped 3F000; ALTER DEFAULT PRIVILEGES FOR ROLE t_nobody IN SCHEMA t_none GRANT SELECT ON TABLES TO t_app skipped 42704', 'nor is a schema created without its owner'
);
SELECT is((SELECT string_agg(DISTINCT concat_ws(' ', c.status, c.sqlstate), ', ') FROM rolecall.converge() AS c), 'skipped 3D000, skipped 3F000, skipped 42703, skipped 42704, skipped 42883, skipped 42P01', 'which stops nothing else');
SELECT is(
  pg_temp.steps('{"schemas": {"t none": {}, "T_None": {}}, "privileges": [{"to": "t_app", "on": {"database": "t none"}, "grant": ["CONNECT"]}, {"to": "t_app", "on": {"function": "\"T_None\".f()"}, "grant": ["EXECUTE"]}]}'),
  'CREATE SCHEMA "T_None"; CREATE SCHEMA "t none"; GRANT CONNECT ON DATABASE "t none" TO t_app skipped 3D000', 'the name of a schema is not that of a database'
);
SELECT is(pg_temp.steps('{"roles": {"t_app": {"comment": "", "exact": false}}}'), 'COMMENT ON ROLE t_app IS ''''', 'an empty comment ends the comment');
SELECT is(pg_temp.steps('{"roles": {"t_app": {"comment": "", "exact": false}}}'), NULL, 'once');

-- Removal, passwords, reporting and base roles.

GRANT SELECT ON t_shop.item TO t_app;
SELECT is(pg_temp.steps('{"roles": {"t_app": {"state": "absent", "drop_owned": true}, "t_never": {"state": "absent"}}}'), 'DROP OWNED BY t_app; DROP ROLE t_app', 'a role is removed');
SELECT is(
  (SELECT string_agg(s.statement, '; ') FROM rolecall.apply('{"roles": {"t_login": {"login": true}}}', passwords => '{"t_login": "secret"}') AS s WHERE s.statement ~ 'PASSWORD'),
  'CREATE ROLE t_login NOCREATEDB NOCREATEROLE INHERIT LOGIN NOREPLICATION NOBYPASSRLS PASSWORD ''********''', 'a password comes beside the policy'
);
SELECT ok(rolecall_internal.password_matches('secret', rolpassword), 'and is set') FROM pg_authid WHERE rolname = 't_login';
SELECT is((SELECT string_agg(s.operation, ' ') FROM rolecall.apply('{"roles": {"t_login": {"login": true}}}', passwords => '{"t_login": "other"}') AS s), 'set_password', 'also of a role that is there');
SELECT is_empty($$SELECT * FROM rolecall.apply('{"roles": {"t_login": {"login": true}}}', passwords => '{"t_login": null}')$$, 'null is no password to set');
SELECT ok(rolecall_internal.password_matches('other', rolpassword), 'so the role keeps its own') FROM pg_authid WHERE rolname = 't_login';
CREATE TEMPORARY TABLE verifier AS SELECT rolecall.scram_sha_256('third') AS verifier;
SELECT is(
  (SELECT string_agg(s.statement, '; ') FROM verifier, rolecall.apply(jsonb_build_object('roles', jsonb_build_object('t_login', jsonb_build_object('login', true, 'password', verifier)))) AS s),
  'ALTER ROLE t_login PASSWORD ''********''', 'a verifier can stand in the policy'
);
SELECT is(rolpassword, verifier, 'it is stored as it is') FROM pg_authid, verifier WHERE rolname = 't_login';
SELECT is_empty($$SELECT s.* FROM verifier, rolecall.apply(jsonb_build_object('roles', jsonb_build_object('t_login', jsonb_build_object('login', true, 'password', verifier)))) AS s$$, 'and set once');
SELECT unalike((SELECT string_agg(r::text, ' ') FROM rolecall_internal.resource AS r) || rolecall.policy(), '%SCRAM-SHA-256%', 'and not remembered');
SELECT is_empty($$SELECT * FROM rolecall_internal.resource WHERE resource::text ~ 'secret|other|SCRAM'$$, 'it is not remembered');
SELECT is(
  (SELECT string_agg(s.statement, '; ') FROM rolecall.apply('{"base_roles": {"anonymous": "t_anon", "authenticated": "t_auth", "administrator": "t_admin"}, "roles": {"t_anon": {"comment": "who knows"}}}') AS s WHERE s.operation = 'create_role' AND s.statement ~ ' BYPASSRLS'),
  'CREATE ROLE t_admin NOCREATEDB NOCREATEROLE INHERIT NOLOGIN NOREPLICATION BYPASSRLS', 'base roles'
);
SELECT is(rolecall.role_name('anonymous') || rolecall.role_name('default'), 't_anont_anon', 'are remembered');
SELECT cmp_ok((SELECT count(*) FROM rolecall.apply('{"reporting": {"t_report": {"schemas": ["t_shop"], "withheld": ["card"]}}}') AS s), '>', 4::bigint, 'a reporting role is provisioned');
SELECT ok(has_table_privilege('t_report', 't_shop.item', 'SELECT') AND NOT has_table_privilege('t_report', 't_shop.card', 'SELECT'), 'as by its own function');
SELECT is_empty($$SELECT * FROM rolecall.apply('{"reporting": {"t_report": {"schemas": ["t_shop"], "withheld": ["card"]}}}')$$, 'once');

-- Settings that the server writes in another way.

CREATE FUNCTION pg_temp.settings(policy jsonb) RETURNS text LANGUAGE sql AS
$$SELECT string_agg(s.statement, '; ') FROM rolecall.apply(jsonb_build_object('roles', jsonb_build_object('t_set', policy))) AS s WHERE s.operation = 'set_config'$$;
SELECT is(
  pg_temp.settings('{"settings": {"timezone": "UTC", "datestyle": "ISO, DMY", "search_path": "T_shop"}, "database_settings": {"TIMEZONE": "PST8PDT"}}'),
  format('ALTER ROLE t_set IN DATABASE %I SET "TIMEZONE" = ''PST8PDT''; ', current_database())
  || 'ALTER ROLE t_set SET datestyle = ''ISO, DMY''; ALTER ROLE t_set SET search_path = "T_shop"; ALTER ROLE t_set SET timezone = ''UTC''', 'settings by names in other letters than the server has'
);
SELECT is(
  pg_temp.settings('{"settings": {"timezone": "UTC", "DateStyle": "ISO, DMY", "search_path": ["T_shop"]}, "database_settings": {"timezone": "PST8PDT"}}'), NULL,
  'are not set, or reset, again'
);
SELECT is_empty($$SELECT * FROM rolecall.drift() WHERE operation = 'set_config'$$, 'nor drift');
SELECT is(pg_temp.settings('{}') ~ 'RESET "?TimeZone"?', true, 'but no longer in the policy they are reset');
SELECT is(
  test.detail($$SELECT FROM rolecall.apply('{"roles": {"t_set": {"settings": {"Search_Path": "a, b"}}}}')$$), '$.roles.t_set.settings.Search_Path: a list of names, such as ["a", "b"]',
  'names in one text are no list'
);

-- Memberships that others were granted by a role that loses its own.

CREATE ROLE t_g;
CREATE ROLE t_m;
CREATE ROLE t_k;
CREATE ROLE t_o;
CREATE ROLE t_p;
GRANT t_g TO t_m WITH ADMIN OPTION;
SET LOCAL ROLE t_m;
GRANT t_g TO t_k, t_p WITH ADMIN OPTION;
SET LOCAL ROLE t_k;
GRANT t_g TO t_o;
RESET ROLE;
SELECT is_empty(
  $$SELECT * FROM rolecall.apply('{"roles": {"t_m": {}, "t_k": {}, "t_p": {"member_of": ["t_g"]}}}') WHERE status <> 'applied'$$, 'what depends on a membership ends before it'
);
SELECT is(concat_ws(' ', test.groups('t_m'), test.groups('t_k')), '', 'both end');
SELECT is(concat_ws(' ', test.groups('t_o'), test.groups('t_p')), 't_g t_g', 'others keep what they were granted');
SELECT is_empty($$SELECT * FROM rolecall.apply('{"roles": {"t_m": {}, "t_k": {}, "t_p": {"member_of": ["t_g"]}}}')$$, 'once');

-- What is of no kind that has privileges.

CREATE SCHEMA t_odd;
CREATE TABLE t_odd.item (id integer PRIMARY KEY);
CREATE DOMAIN t_odd.list AS integer[];
REVOKE USAGE ON TYPE t_odd.list FROM PUBLIC;
CREATE FUNCTION pg_temp.odd(dry_run boolean) RETURNS SETOF rolecall.step LANGUAGE sql AS $$SELECT * FROM rolecall.apply('{
  "roles": {"t_odd": {}}, "schemas": {"t_later": {}}, "privileges": [
    {"to": "t_odd", "on": {"type": ["t_odd.list", "t_odd.item", "t_odd._item"]}, "grant": ["USAGE"]},
    {"to": "t_odd", "on": {"table": "t_odd.item_pkey"}, "grant": ["SELECT"]}, {"to": "t_odd", "on": {"tables_in": "t_later"}, "grant": ["INSERT"]}
  ]
}', dry_run => dry_run)$$;
SELECT results_eq($$SELECT statement, status, sqlstate FROM pg_temp.odd(true) WHERE operation = 'grant_privilege'$$, $$VALUES
  ('GRANT USAGE ON TYPE t_odd.list TO t_odd', 'planned', NULL), ('GRANT USAGE ON TYPE t_odd._item TO t_odd', 'skipped', '42704'),
  ('GRANT USAGE ON TYPE t_odd.item TO t_odd', 'skipped', '42704'), ('GRANT SELECT ON TABLE t_odd.item_pkey TO t_odd', 'skipped', '42P01')$$, 'what is of no kind that has privileges is a row');
SELECT bag_eq('SELECT statement, sqlstate FROM pg_temp.odd(true)', 'SELECT statement, sqlstate FROM pg_temp.odd(false)', 'and it is the same without a dry run');
SELECT is_empty($$SELECT * FROM pg_temp.odd(false) WHERE status <> 'skipped'$$, 'a domain over an array has the privilege then');

-- What is revoked on a table is revoked on its columns, unless it is granted there.

CREATE TABLE t_odd.wide (a integer, b integer, c integer);
CREATE ROLE t_some;
CREATE TABLE t_odd.kept (a integer);
GRANT UPDATE (a, b), SELECT (c) ON t_odd.wide TO PUBLIC;
GRANT UPDATE (a) ON t_odd.wide, t_odd.kept TO t_some;
GRANT UPDATE (a) ON t_odd.kept TO PUBLIC;
SELECT is(
  pg_temp.steps('{"privileges": [
    {"to": "PUBLIC", "on": {"tables_in": "t_odd", "except": "t_odd.kept"}, "revoke": ["UPDATE", "DELETE"]}, {"to": "PUBLIC", "on": {"columns": "b", "of": "t_odd.wide"}, "grant": ["UPDATE"]},
    {"to": "t_some", "on": {"table": "t_odd.wide"}, "revoke": ["UPDATE"]}
  ]}'), 'REVOKE UPDATE (a) ON t_odd.wide FROM PUBLIC CASCADE; REVOKE UPDATE (a) ON t_odd.wide FROM t_some CASCADE', 'what is revoked on tables ends on their columns'
);
SELECT is(
  (SELECT string_agg(a.attrelid::regclass || '.' || a.attname || ' ' || a.attacl::text, ', ' ORDER BY a.attrelid::regclass::text, a.attname) FROM pg_attribute AS a WHERE a.attrelid IN ('t_odd.wide'::regclass, 't_odd.kept'::regclass) AND a.attacl <> '{}'),
  format('t_odd.kept.a {t_some=w/%1$s,=w/%1$s}, t_odd.wide.b {=w/%1$s}, t_odd.wide.c {=r/%1$s}', current_user), 'and nothing else does'
);
SELECT is_empty($$SELECT * FROM rolecall.apply('{"schemas": {"t_owned": {"owner": "pg_database_owner"}}}') WHERE status <> 'applied'$$, 'a predefined role can own a schema');

-- What roles have on objects of kinds that the policy does not mention.

CREATE TEMPORARY TABLE held (kind text, given text);
INSERT INTO held VALUES ('schema', 'USAGE ON SCHEMA t_shop'), ('table', 'SELECT ON TABLE t_shop.item'), ('sequence', 'USAGE ON SEQUENCE t_shop.counter'),
  ('function', 'EXECUTE ON ROUTINE t_shop.total(integer)'), ('type', 'USAGE ON TYPE t_shop.mood'), ('language', 'USAGE ON LANGUAGE plpgsql'),
  ('fdw', 'USAGE ON FOREIGN DATA WRAPPER t_fdw'), ('server', 'USAGE ON FOREIGN SERVER t_server'), ('large_object', 'SELECT ON LARGE OBJECT 4711'),
  ('column', 'SELECT (id) ON t_shop.item'), ('database', format('CONNECT ON DATABASE %I', current_database())), ('tablespace', 'CREATE ON TABLESPACE pg_default');
DO $$ DECLARE v record; BEGIN FOR v IN SELECT * FROM held LOOP
  EXECUTE format('CREATE ROLE t_held_%s; GRANT %s TO t_held_%1$s', v.kind, v.given);
END LOOP; END $$;
SELECT results_eq(
  $$SELECT h.kind, (SELECT string_agg(s.statement, '; ') FROM rolecall.apply(jsonb_build_object('roles', jsonb_build_object('t_held_' || h.kind, '{}'::jsonb))) AS s)
    FROM held AS h ORDER BY 1$$,
  $$SELECT h.kind, CASE WHEN h.kind <> 'tablespace' THEN format('REVOKE %s FROM t_held_%s CASCADE', h.given, h.kind) END FROM held AS h ORDER BY 1$$,
  'of every kind it is revoked, except for what belongs to the cluster');
SELECT is_empty($$SELECT s.* FROM held AS h, rolecall.apply(jsonb_build_object('roles', jsonb_build_object('t_held_' || h.kind, '{}'::jsonb))) AS s$$, 'once');

-- What a policy has asked for is less serious than what somebody has done by hand.

CREATE ROLE t_by_hand LOGIN;
SELECT count(*) FROM rolecall.apply('{"roles": {"t_power": {"bypassrls": true}, "t_asked": {"login": true, "member_of": ["t_power"]}}}');
GRANT t_power TO t_by_hand;
SELECT results_eq(
  $$SELECT severity, object FROM rolecall.audit('{t_power}') WHERE path = 't_power -> member' ORDER BY 1$$,
  $$VALUES ('info', 't_asked'), ('warning', 't_by_hand')$$, 'audit() tells the two apart'
);

-- Errors.

SELECT is(
  (test.failure($$SELECT FROM rolecall.apply('{"privileges": [{"to": "t_app", "on": {"table": "t_shop.item"}, "grant": ["MAINTAIN"]}]}')$$)).code,
  CASE WHEN current_setting('server_version_num')::integer < 170000 THEN '0A000' END, 'what the server does not have'
);
UPDATE before SET state = test.state();
SELECT throws_ok($$SELECT * FROM rolecall.apply(NULL)$$, '22004', 'policy must not be null', 'no policy');
SELECT throws_ok($$SELECT * FROM rolecall.apply('{}', NULL)$$, '22004', 'mode must not be null', 'no mode');
SELECT throws_ok($$SELECT * FROM rolecall.apply('{}', 'some')$$, '22023', 'mode must be additive, adopt or authoritative, not ''some''', 'no such mode');
SELECT throws_ok($$SELECT * FROM rolecall.apply('{"roles": {"a": {"loggin": true}}, "x": 1}')$$, '22023', 'the policy has 2 problems', 'all problems at once');
SELECT is(test.error($$SELECT FROM rolecall.apply('{"roles": {"a": {"loggin": true}}, "x": 1}')$$), '22023 did you mean "login"?', 'with what may help');
SELECT throws_ok($$SELECT * FROM rolecall.apply('{"roles": {"t_login": {"login": true}}}', passwords => '{"t_login": ""}')$$, '22023', 'password must not be empty', 'an empty password');
SELECT throws_ok(format('SELECT * FROM rolecall.apply(%L, passwords => %L)', '{}', wrong), '22023', 'passwords must be an object, in which each role has a string', 'passwords that are ' || wrong)
FROM unnest('{"\"secret\"","[\"secret\"]","null","{\"t_login\": 5}","{\"t_login\": {\"a\": \"secret\"}}","{\"t_login\": [\"secret\"]}","{\"t_login\": []}"}'::text[]) AS wrong;
SELECT throws_ok($$SELECT * FROM rolecall.apply('{"roles": {"t_gone": {"state": "absent"}}, "x": 1, "reporting": {"t_report": {"schemas": ["t_shop"]}}}', passwords => '{"t_login": "secret", "t gone": null, "t_gone": "x", "t_report": "y"}')$$, '22023', 'the policy has 5 problems', 'passwords for roles that the policy does not have');
SELECT is(test.detail($$SELECT FROM rolecall.apply('{"roles": {"t_login": {}}}', passwords => '{"t_login": "secret", "t gone": null}')$$), 'passwords."t gone": role "t gone" is not one that the policy describes or gives a profile', 'with the place');
SELECT is(test.detail($$SELECT FROM rolecall.apply('{"reporting": {"t_report": {"schemas": ["t_shop"]}}}', passwords => '{"t_report": "y"}')$$), 'passwords.t_report: the password of reporting role "t_report" is derived', 'and why');
SELECT is(test.state(), state, 'nothing is changed') FROM before;
SELECT count(*) FROM rolecall.apply('{"roles": {"t_op": {"createrole": true}}}');
SELECT count(*) FROM rolecall.add_operator('t_op');
SET LOCAL ROLE t_op;
SELECT throws_ok($$SELECT * FROM rolecall.apply('{}', 'authoritative')$$, '22023', 'the policy would remove role "t_op", which makes this call', 'the caller is not removed');
RESET ROLE;
SET LOCAL transaction_read_only = on;
SELECT is_empty($$SELECT * FROM rolecall.apply('{"roles": {"t_login": {"login": true}}}')$$, 'with nothing to do it works in a READ ONLY transaction');

SELECT * FROM finish();
ROLLBACK;
