-- check_policy: everything that is wrong with a document, with its place.
BEGIN;
SELECT plan(69);

CREATE ROLE t_super SUPERUSER;
SELECT is_empty($$SELECT * FROM rolecall.check_policy('{}')$$, 'an empty policy is one');
SELECT throws_ok($$SELECT * FROM rolecall.check_policy(NULL)$$, '22004', 'policy must not be null', 'null is none');
SELECT results_eq(
  $$SELECT * FROM rolecall.check_policy('[]')$$, $$VALUES ('$', 'object, not list (22023)')$$, 'nor is a list'
);
SELECT is_empty($$SELECT * FROM rolecall.check_policy('{
  "roles": {
    "app_owner": {},
    "app": {"login": true, "connection_limit": 20, "member_of": ["authenticated", "pg_monitor"], "settings": {"statement_timeout": "15s", "search_path": ["a", "b"], "work_mem": 1024}},
    "auditor": {"login": true, "inherit": false, "valid_until": "2027-01-01T00:00:00Z", "comment": "quarterly audit", "member_of": [{"role": "inventory_reader"}]},
    "old_app": {"state": "absent", "reassign_to": "app_owner"}
  },
  "schemas": {
    "inventory": {"owner": "app_owner", "profiles": {"reader": "inventory_reader", "writer": ["inventory_writer", "app"]}},
    "billing": {"owner": "app_owner", "profiles": {"reader": "billing_reader"}}
  },
  "profiles": {
    "reader": {"schema": ["USAGE"], "tables": ["SELECT"], "sequences": ["SELECT"]},
    "writer": {"schema": ["USAGE"], "tables": ["ALL"], "sequences": ["USAGE", "SELECT"], "functions": ["EXECUTE"]}
  },
  "privileges": [
    {"to": "app", "on": {"database": "app"}, "grant": ["CONNECT", "TEMPORARY"]},
    {"to": ["app", "auditor"], "on": {"tables_in": "inventory", "except": ["inventory.cards", "inventory.people.ssn"]}, "grant": ["SELECT", "INSERT"]},
    {"to": "auditor", "on": {"columns": ["id", "total"], "of": "billing.invoices"}, "grant": ["SELECT"]},
    {"to": "auditor", "on": {"function": "billing.total(integer, text)"}, "grant": ["EXECUTE"]},
    {"to": "auditor", "on": {"large_object": [1234]}, "grant": ["SELECT"], "with_grant_option": true},
    {"to": "auditor", "on": {"future_tables": [], "owners": ["app_owner"]}, "grant": ["SELECT"]},
    {"to": "PUBLIC", "on": {"schema": "public"}, "revoke": ["CREATE"]}
  ],
  "base_roles": {"anonymous": "anon"},
  "reporting": {"app_reports": {"schemas": ["reporting"], "withheld": ["tokens", "people.ssn"], "rotate_after": "90 days"}}
}')$$, 'nothing is wrong with one that has everything');

CREATE FUNCTION pg_temp.problems(policy jsonb) RETURNS text LANGUAGE sql AS
$$SELECT string_agg(path || ' ' || problem, '; ' ORDER BY path, problem) FROM rolecall.check_policy(policy)$$;

SELECT is(pg_temp.problems(policy::jsonb), problems, policy) FROM (VALUES
  ('{"rolls": {}}', '$.rolls unknown key "rolls"; did you mean "roles"? (22023)'),
  ('{"roles": {"a": {"loggin": true, "zzzzzz": 1}}}', '$.roles.a.loggin unknown key "loggin"; did you mean "login"? (22023); $.roles.a.zzzzzz unknown key "zzzzzz" (22023)'),
  ('{"roles": {"a b": {"login": 1}, "b": {"connection_limit": 1.5}, "c": 7}}', '$.roles."a b".login boolean, not integer (22023); $.roles.b.connection_limit integer, not number (22023); $.roles.c object, not integer (22023)'),
  ('{"roles": {"a": {"connection_limit": -2}}}', '$.roles.a.connection_limit must be -1 or more (22023)'),
  ('{"roles": {"": {}, "pg_x": {}, "public": {}}}', '$.roles."" role name must be 1 to 63 bytes long, not 0 (42602); $.roles.pg_x role name "pg_x" is reserved (42939); $.roles.public role name "public" is reserved (42939)'),
  ('{"roles": {"t_super": {}}}', '$.roles.t_super role "t_super" is a superuser; no call changes an administrator (22023)'),
  ('{"base_roles": {"anonymous": "a", "administrator": "a"}}', '$.base_roles.administrator role "a" is named twice (22023); $.base_roles.anonymous role "a" is named twice (22023)'),
  ('{"roles": {"a": {}}, "reporting": {"a": {"schemas": ["s"]}}}', '$.reporting.a role "a" is named twice (22023)'),
  ('{"reporting": {"a": {}}}', '$.reporting.a the key "schemas" is missing (22023)'),
  ('{"reporting": {"a": {"schemas": "s", "withheld": {}, "search_path": null}}}', '$.reporting.a.schemas list, not string (22023); $.reporting.a.search_path list, not null (22023); $.reporting.a.withheld list, not object (22023)'),
  ('{"roles": {"a": {"state": "gone"}}}', '$.roles.a.state "gone" is not one of absent (22023)'),
  ('{"roles": {"a": {"state": "absent", "login": true}, "b": {"drop_owned": true}}}', '$.roles.a.login a role that is to be absent cannot have "login" (22023); $.roles.b.drop_owned "drop_owned" requires "state": "absent" (22023)'),
  ('{"roles": {"a": {"database_settings": {"Rolecall.Policy": "x"}}}}', '$.roles.a.database_settings."Rolecall.Policy" apply() itself sets it, as a mark for other databases (22023)'),
  ('{"roles": {"a": {"state": "absent"}, "b": {"member_of": ["a"]}}, "schemas": {"s": {"profiles": {"p": "a"}}}, "profiles": {"p": {}}, "privileges": [{"to": "a", "on": {"schema": "s"}, "grant": ["USAGE"]}]}', '$.privileges[0] role "a" is to be absent (22023); $.roles.b.member_of[0] role "a" is to be absent (22023); $.schemas.s.profiles.p role "a" is to be absent (22023)'),
  ('{"roles": {"a": {"valid_until": "tomorrow"}, "b": {"valid_until": "2027-01-01"}}}', '$.roles.a.valid_until not a time, such as 2027-01-01T00:00:00Z, or infinity (22023); $.roles.b.valid_until not a time, such as 2027-01-01T00:00:00Z, or infinity (22023)'),
  ('{"roles": {"a": {"password": "secret"}}}', '$.roles.a.password a password in a policy must be a SCRAM-SHA-256 verifier; plain passwords are for the argument passwords (22023)'),
  ('{"roles": {"a": {"member_of": ["b"]}, "b": {"member_of": ["c"]}, "c": {"member_of": ["a", "d"]}, "d": {"member_of": ["e", "e"]}}}', '$.roles.a.member_of[0] role "a" would be a member of itself (22023); $.roles.b.member_of[0] role "b" would be a member of itself (22023); $.roles.c.member_of[0] role "c" would be a member of itself (22023); $.roles.d.member_of[0] role "e" is named twice (22023); $.roles.d.member_of[1] role "e" is named twice (22023)'),
  ('{"schemas": {"s": {"profiles": {"p": "a"}}}, "profiles": {"p": {"tables": ["SELECT", "EXECUTE"]}}}', '$.schemas.s.profiles.p table has no privilege EXECUTE; it has DELETE, INSERT, SELECT, UPDATE, TRIGGER, MAINTAIN, TRUNCATE, REFERENCES (22023)'),
  ('{"schemas": {"s": {"profiles": {"p": "a"}}}, "profiles": {"p": {"tables": ["SELECT"]}}, "privileges": [{"to": "a", "on": {"tables_in": "s"}, "revoke": ["SELECT"]}]}', '$.schemas.s.profiles.p SELECT on table s is granted and revoked (22023)'),
  ('{"schemas": {"s": {"profiles": {"none": "a"}}}}', '$.schemas.s.profiles.none there is no profile "none" (22023)'),
  ('{"privileges": [{"to": "a", "on": {}, "grant": ["SELECT"]}, {"to": "a", "on": {"table": "s.t", "schema": "s"}, "grant": ["SELECT"]}]}', '$.privileges[0].on names no object (22023); $.privileges[1] schema has no privilege SELECT; it has USAGE, CREATE (22023); $.privileges[1].on one key for one kind of objects, not schema and table (22023)'),
  ('{"privileges": [{"to": "a", "on": {"columns": ["c"]}, "grant": ["SELECT"]}, {"to": "a", "on": {"table": "s.t", "of": "s.u"}, "grant": ["SELECT"]}]}', '$.privileges[0].on "columns" and "of" belong together (22023); $.privileges[1].on "columns" and "of" belong together (22023)'),
  ('{"privileges": [{"to": "a", "on": {"table": "s.t", "except": ["s.u"], "owners": "a"}, "grant": ["SELECT"]}]}', '$.privileges[0].on.except "except" goes with what is in a schema, such as tables_in (22023); $.privileges[0].on.owners "owners" goes with objects that are made later (22023)'),
  ('{"privileges": [{"to": "a", "on": {"future_tables": "s"}, "grant": ["SELECT"]}]}', '$.privileges[0].on "owners" is missing: of objects in any schema (22023)'),
  ('{"privileges": [{"to": "a", "on": {"table": "s.t"}}]}', '$.privileges[0] neither "grant" nor "revoke" has a privilege (22023)'),
  ('{"privileges": [{"to": "a", "on": {"table": "t"}, "grant": ["SELECT"]}, {"to": "a", "on": {"function": "s.f"}, "grant": ["EXECUTE"]}, {"to": "a", "on": {"table": "s.a b"}, "grant": ["SELECT"]}, {"to": "a", "on": {"table": ["a.b.c", "\"a.b\""]}, "grant": ["SELECT"]}]}', '$.privileges[0].on.table "t" is not a name as in SQL, with its schema (42602); $.privileges[1].on.function "s.f" is not a name as in SQL, with its schema; a function is named with the types of its arguments in parentheses (42602); $.privileges[2].on.table "s.a b" is not a name as in SQL, with its schema (42602); $.privileges[3].on.table ""a.b"" is not a name as in SQL, with its schema (42602); $.privileges[3].on.table "a.b.c" is not a name as in SQL, with its schema (42602)'),
  ('{"privileges": [{"to": "a", "on": {"table": "s.t"}, "grant": ["EXECUTE", "READ"]}]}', '$.privileges[0] table has no privilege EXECUTE; it has DELETE, INSERT, SELECT, UPDATE, TRIGGER, MAINTAIN, TRUNCATE, REFERENCES (22023); $.privileges[0].grant[1] "READ" is not one of ALL, SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER, MAINTAIN, USAGE, CREATE, CONNECT, TEMPORARY, EXECUTE, SET, ALTER SYSTEM (22023)'),
  ('{"privileges": [{"to": "a", "on": {"table": "s.t"}, "grant": ["SELECT"]}, {"to": "a", "on": {"table": "s.\"t\""}, "revoke": ["SELECT"]}]}', '$.privileges[1] SELECT on table s.t is granted and revoked (22023)'),
  ('{"privileges": [{"to": "PUBLIC", "on": {"table": "s.t"}, "grant": ["SELECT"], "with_grant_option": true}]}', '$.privileges[0] PUBLIC cannot grant a privilege on (22023)'),
  ('{"privileges": [{"to": "a", "on": {"columns": "c", "of": "t"}, "grant": ["SELECT"]}]}', '$.privileges[0].on.of "t" is not a name as in SQL, with its schema (42602)'),
  ('{"roles": {"a": {"valid_until": "10000-01-01T05:00:00Z"}, "b": {"valid_until": "0500-02-28T00:00:00Z"}, "c": {"valid_until": "0000-01-01T00:00:00Z"}, "d": {"valid_until": "10001-02-29T00:00:00Z"}}}', '$.roles.c.valid_until not a time, such as 2027-01-01T00:00:00Z, or infinity (22023); $.roles.d.valid_until not a time, such as 2027-01-01T00:00:00Z, or infinity (22023)'),
  ('{"roles": {"a": {"exact": true}}}', '$.roles.a.exact "true" is not one of false (22023)'),
  ('{"roles": {"a": null}, "base_roles": {"default": null}}', '$.base_roles.default string, not null (22023); $.roles.a object, not null; one without keys is {} (22023)'),
  ('{"roles": {"a": {"connection_limit": 2147483648}}}', '$.roles.a.connection_limit must be 2147483647 or less (22023)'),
  ('{"roles": {"a": {"state": "absent", "reassign_to": "a"}, "b": {"state": "absent", "reassign_to": "a"}}, "schemas": {"s": {"owner": "b"}}}', '$.roles.a.reassign_to what role "a" owns goes to another role (22023); $.roles.b.reassign_to role "a" is to be absent (22023); $.schemas.s.owner role "b" is to be absent (22023)'),
  ('{"schemas": {"s": {"profiles": {"p": ["PUBLIC", "a"]}}}, "profiles": {"p": {"tables": ["SELECT"]}}}', '$.schemas.s.profiles.p PUBLIC is no role: what everybody has is an entry of "privileges" (22023)'),
  ('{"schemas": {"": {}, "pg_x": {}, "pg_catalog": {}}}', '$.schemas."" schema name must be 1 to 63 bytes long, not 0 (42602); $.schemas.pg_x schema name "pg_x" is reserved (42939)'),
  ('{"privileges": [{"to": "a", "on": {"large_object": [0, 4294967296]}, "grant": ["SELECT"]}]}', '$.privileges[0].on.large_object an oid is a number from 1 to 4294967295 (22023)'),
  ('{"privileges": [{"to": [], "on": {"table": []}, "grant": ["SELECT"]}, {"to": "a", "on": {"columns": [], "of": []}, "grant": ["SELECT"]}, {"to": "a", "on": {"tables_in": "s", "except": [], "owners": []}, "grant": ["SELECT"]}, {"to": "a", "on": {"future_tables": "s", "owners": []}, "grant": ["SELECT"]}]}', '$.privileges[0].on.table the list is empty, so the entry is about nothing (22023); $.privileges[0].to the list is empty, so the entry is about nothing (22023); $.privileges[1].on.columns the list is empty, so the entry is about nothing (22023); $.privileges[1].on.of the list is empty, so the entry is about nothing (22023); $.privileges[3].on.owners the list is empty, so the entry is about nothing (22023)'),
  ('{"privileges": [{"to": "a", "on": {"future_schemas": "s", "owners": "b"}, "grant": ["USAGE"]}]}', '$.privileges[0].on schemas are in no schema: "future_schemas" is an empty list (22023)'),
  ('{"privileges": [{"to": "a", "on": {"table": "s.t"}, "revoke": ["SELECT"], "with_grant_option": true}]}', '$.privileges[0].with_grant_option "with_grant_option" goes with "grant" (22023)'),
  ('{"privileges": [{"to": "a", "on": {"tables_in": ["s", "Other"], "except": ["s.t", "\"Other\".\"t(\".c", "other.t"]}, "grant": ["SELECT"]}]}', '$.privileges[0].on.except "other.t" is in none of the schemas that the entry is about (22023)'),
  ('{"privileges": [{"to": "a", "on": {"tables_in": "s", "except": "s.f(integer)"}, "grant": ["SELECT"]}, {"to": "a", "on": {"sequences_in": "s", "except": "s.t.c"}, "grant": ["SELECT"]}]}', '$.privileges[0].on.except "s.f(integer)" is not a name as in SQL, with its schema (42602); $.privileges[1].on.except "s.t.c" is not a name as in SQL, with its schema (42602)'),
  ('{"privileges": [{"to": "a", "on": {"functions_in": "s", "except": ["s.f", "s.\"f(x\"(integer)", "t.f()"]}, "grant": ["EXECUTE"]}]}', '$.privileges[0].on.except "s.f" is not a name as in SQL, with its schema; a function is named with the types of its arguments in parentheses (42602); $.privileges[0].on.except "t.f()" is in none of the schemas that the entry is about (22023)'),
  ('{"roles": {"a": {"settings": {"statement_timeot": "15s", "a b.c": "1", "": "1", "app.user": "x", "search_path": ["a", "b"]}}}}', '$.roles.a.settings."" there is no parameter "" (42704); $.roles.a.settings."a b.c" there is no parameter "a b.c" (42704); $.roles.a.settings.statement_timeot there is no parameter "statement_timeot" (42704)'),
  ('{"roles": {"a": {"settings": {"TimeZone": "UTC", "timezone": "UTC"}, "database_settings": {"TIMEZONE": "UTC"}}}}', '$.roles.a.settings.TimeZone parameter "TimeZone" is named twice (22023); $.roles.a.settings.timezone parameter "timezone" is named twice (22023)'),
  ('{"roles": {"a": {"settings": {"max_connections": 5, "log_connections": "all", "server_version": "1", "log_statement": "all"}}}}', '$.roles.a.settings.log_connections parameter "log_connections" cannot be set for a role (22023); $.roles.a.settings.max_connections parameter "max_connections" cannot be set for a role (22023); $.roles.a.settings.server_version parameter "server_version" cannot be set for a role (22023)'),
  ('{"roles": {"a": {"settings": {"statement_timeout": "15 sec", "work_mem": "4mb", "enable_seqscan": "never", "bytea_output": "base64", "random_page_cost": "high", "temp_buffers": ["1", "2"]}}}}', '$.roles.a.settings.bytea_output "base64" is no value of parameter "bytea_output"; it can be escape, hex (22023); $.roles.a.settings.enable_seqscan "never" is no value of parameter "enable_seqscan" (22023); $.roles.a.settings.random_page_cost "high" is no value of parameter "random_page_cost" (22023); $.roles.a.settings.statement_timeout "15 sec" is no value of parameter "statement_timeout"; a number, with a unit as in 15s: us, ms, s, min, h or d (22023); $.roles.a.settings.temp_buffers one value, such as "a, b", not a list (22023); $.roles.a.settings.work_mem "4mb" is no value of parameter "work_mem"; a number, with a unit as in 64MB: B, kB, MB, GB or TB (22023)'),
  ('{"roles": {"a": {"settings": {"statement_timeout": " 1.5 min ", "work_mem": "0x1000kB", "random_page_cost": 1.1e1, "enable_seqscan": false, "synchronous_commit": "on", "client_min_messages": "info", "log_min_error_statement": "debug", "search_path": "a", "deadlock_timeout": 1000, "role": "b"}}}}', NULL),
  ('{"reporting": {"r": {"schemas": []}, "q": {"schemas": ["pg_x", "s", ""], "withheld": ["a.b.c.d", "x y", "s.t"], "owners": ["public", "o"], "rotate_after": "soon"}, "p": {"schemas": ["s"], "rotate_after": "-1 day"}}}', '$.reporting.p.rotate_after must not be negative (22023); $.reporting.q.owners[0] role name "public" is reserved; Names that start with "pg_" and the SQL role keywords belong to PostgreSQL. (42939); $.reporting.q.rotate_after invalid input syntax for type interval: "soon" (22007); $.reporting.q.schemas[0] schema "pg_x" is not for reports (42939); $.reporting.q.schemas[2] schema name must be 1 to 63 bytes long, not 0 (42602); $.reporting.q.withheld[0] withheld name ''a.b.c.d'' has more parts than a schema, a table and a column; Quote a name that has dots in it, as in SQL: "a.b". (42602); $.reporting.q.withheld[1] string is not a valid identifier: "x y" (22023); $.reporting.r.schemas reporting role "r" requires at least one schema (22023)')
) AS v(policy, problems);

SELECT is(
  pg_temp.problems(jsonb_build_object('roles', jsonb_build_object(current_user, '{}'::jsonb))),
  format('$.roles.%s role "%s" is the role that makes this call; no call changes an administrator (22023)', current_user, current_user),
  'the caller is no role of a policy'
);
SELECT is(
  pg_temp.problems('{"privileges": [{"to": "a", "on": {"table": "s.t"}, "grant": ["MAINTAIN"]}]}'),
  CASE WHEN current_setting('server_version_num')::integer < 170000
    THEN '$.privileges[0] the privilege MAINTAIN requires PostgreSQL 17 or newer (0A000)' END, 'MAINTAIN is of 17'
);
SELECT is(
  pg_temp.problems('{"privileges": [{"to": "a", "on": {"parameter": "work_mem"}, "grant": ["SET"]}]}'),
  CASE WHEN current_setting('server_version_num')::integer < 150000
    THEN '$.privileges[0] privileges on parameters require PostgreSQL 15 or newer (0A000); $.privileges[0] the privilege SET requires PostgreSQL 15 or newer (0A000)' END,
  'parameters are of 15'
);
SELECT is(
  pg_temp.problems('{"privileges": [{"to": "a", "on": {"future_large_objects": "s", "owners": "b"}, "grant": ["SELECT"]}]}'),
  concat_ws('; ', CASE WHEN current_setting('server_version_num')::integer < 180000
    THEN '$.privileges[0] default privileges on large objects require PostgreSQL 18 or newer (0A000)' END,
    '$.privileges[0].on large objects are in no schema: "future_large_objects" is an empty list (22023)'), 'default privileges on large objects are of 18'
);
SELECT is(
  pg_temp.problems('{"roles": {"a": {"member_of": [{"role": "b", "inherit": true}]}}}'),
  CASE WHEN NOT test.is_16()
    THEN '$.roles.a.member_of[0] the INHERIT and SET options of a membership require PostgreSQL 16 or newer (0A000)' END,
  'options of memberships are of 16'
);

SELECT is(
  pg_temp.problems('{"roles": {"a": {"settings": {"plpgsql.nonsense": "1", "plpgsql.variable_conflict": "error"}}}}'),
  CASE WHEN current_setting('server_version_num')::integer >= 150000
    THEN '$.roles.a.settings."plpgsql.nonsense" there is no parameter "plpgsql.nonsense" (42704)' END,
  'the prefixes of libraries are reserved from 15 on'
);

-- Moments, and names as in SQL, that look right.

SELECT is(
  pg_temp.problems(jsonb_build_object('roles', jsonb_build_object('a', jsonb_build_object('valid_until', moment)))),
  CASE WHEN NOT fine THEN '$.roles.a.valid_until not a time, such as 2027-01-01T00:00:00Z, or infinity (22023)' END, moment
) FROM (VALUES ('2027-02-30T00:00:00Z', false), ('2027-02-28T00:00:00+99', false), ('2028-02-29 23:59:59.5+05:30', true), ('0000-01-01T00:00:00Z', false), ('-infinity', true)) AS v(moment, fine);
SELECT is(
  pg_temp.problems(jsonb_build_object('privileges', jsonb_build_array(jsonb_build_object('to', 'a', 'on', jsonb_build_object(kind, name), 'grant', jsonb_build_array(privilege))))),
  CASE WHEN NOT fine THEN format('$.privileges[0].on.%s "%s" is not a name as in SQL, with its schema%s (42602)', kind, name, CASE kind WHEN 'function' THEN '; a function is named with the types of its arguments in parentheses' END) END, name
) FROM (VALUES ('function', 's s.f(integer)', 'EXECUTE', false), ('function', 's.f(int int)', 'EXECUTE', true), ('function', 's."f(x"(s."a)")', 'EXECUTE', true), ('type', 'integer', 'USAGE', false)) AS v(kind, name, privilege, fine);

SELECT * FROM finish();
ROLLBACK;
