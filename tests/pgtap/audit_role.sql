-- audit_role(): what it says about a role, and in which words. That each way is real is tested by logging in.
BEGIN;
SELECT plan(30);

CREATE ROLE t_nobody;
SET LOCAL ROLE t_nobody;
SELECT throws_ok($$SELECT * FROM rolecall.audit_role('t_nobody')$$, '42501', NULL, 'nobody else may call it');
RESET ROLE;

-- Whatever this server gives to everybody is left out below.
CREATE TEMPORARY TABLE t_public AS SELECT f.detail, f.object FROM rolecall.audit_role('t_nobody') AS f;
CREATE FUNCTION pg_temp.audit(role_name text) RETURNS TABLE (severity text, path text, object text, detail text, remedy text)
LANGUAGE sql AS $$
  SELECT f.* FROM rolecall.audit_role(role_name) AS f
  WHERE NOT EXISTS (SELECT FROM t_public AS p WHERE p.detail = f.detail AND p.object = f.object)
$$;
SELECT is_empty($$SELECT FROM rolecall.audit_role('t_nobody') WHERE severity = 'critical'$$, 'a new role can do no harm');
SELECT is_empty(
  $$SELECT * FROM rolecall.audit_role('t_nobody') WHERE path !~ '^t_nobody -> PUBLIC -> '$$, 'and has only what everybody has'
);
SELECT is_empty($$SELECT FROM rolecall.audit_role('t_nobody') WHERE remedy IS NULL$$, 'which could be taken from everybody');

-- Names that need quotes, in a path, as an object and in a remedy.
CREATE SCHEMA "t Schema";
CREATE TABLE "t Schema"."a ""table""" ("a column" integer, b integer);
CREATE FUNCTION "t Schema"."f()"("an ""argument""" integer) RETURNS integer LANGUAGE sql SECURITY DEFINER
  SET search_path = pg_catalog AS 'SELECT 1';
CREATE ROLE "t Role";
CREATE ROLE "t ""Chief""";
CREATE ROLE "t 'Boss'" CREATEDB;
GRANT "t 'Boss'" TO "t ""Chief""";
GRANT "t ""Chief""" TO "t Role";
GRANT USAGE ON SCHEMA "t Schema" TO "t Role";
GRANT INSERT, DELETE ON "t Schema"."a ""table""" TO "t Role";
GRANT UPDATE ("a column", b) ON "t Schema"."a ""table""" TO "t 'Boss'";
SELECT results_eq(
  $$SELECT severity, path, object, detail FROM pg_temp.audit('t Role')$$,
  $$VALUES
    ('critical', '"t Role" -> "t ""Chief""" -> "t ''Boss''" -> column grant', '"t Schema"."a ""table"""', 'may UPDATE ("a column", b)'),
    ('critical', '"t Role" -> PUBLIC -> function grant', '"t Schema"."f()"(integer)',
     format('runs as its owner %I, a superuser', current_user::text COLLATE "default")),
    ('critical', '"t Role" -> table grant', '"t Schema"."a ""table"""', 'may DELETE, INSERT'),
    ('warning', '"t Role" -> "t ""Chief""" -> "t ''Boss''" -> attribute', '"t ''Boss''"', 'CREATEDB: creates databases, and writes in them'),
    ('warning', '"t Role" -> "t ""Chief""" -> "t ''Boss''" -> membership', '"t ''Boss''"', 'has what the role has (INHERIT, SET)'),
    ('warning', '"t Role" -> "t ""Chief""" -> membership', '"t ""Chief"""', 'has what the role has (INHERIT, SET)')$$,
  'the most serious first, and every name as SQL writes it'
);
CREATE ROLE "a plain owner";
CREATE FUNCTION pg_temp.remedy(role_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_remedy text;
BEGIN
  FOR v_remedy IN SELECT DISTINCT remedy FROM pg_temp.audit(role_name) WHERE path !~ '-> itself$' LOOP
    EXECUTE v_remedy;
  END LOOP;
END $$;
SELECT lives_ok($$SELECT pg_temp.remedy('t Role')$$, 'the remedies run as they stand');
SELECT is_empty($$SELECT * FROM pg_temp.audit('t Role')$$, 'and leave nothing');

-- Memberships that meet again, by two ways of different worth.
CREATE ROLE t_top;
CREATE ROLE t_left;
CREATE ROLE t_right;
CREATE ROLE t_bottom;
GRANT t_bottom TO t_left, t_right;
GRANT t_left, t_right TO t_top;
SELECT bag_eq(
  $$SELECT path FROM pg_temp.audit('t_top')$$,
  $$VALUES ('t_top -> t_left -> membership'), ('t_top -> t_right -> membership'), ('t_top -> t_left -> t_bottom -> membership')$$,
  'a role is reached once'
);
SELECT is_empty($$SELECT * FROM pg_temp.audit('t_bottom')$$, 'and gains nothing from its members');
ALTER ROLE t_top NOINHERIT;
SELECT CASE WHEN current_setting('server_version_num')::integer >= 160000
  THEN pass('before 16 the member decides')
  ELSE bag_eq(
    $$SELECT path, detail FROM pg_temp.audit('t_top')$$,
    $$VALUES ('t_top -> t_left (SET ROLE) -> membership', 'has what the role has (SET)'),
             ('t_top -> t_right (SET ROLE) -> membership', 'has what the role has (SET)'),
             ('t_top -> t_left (SET ROLE) -> t_bottom -> membership', 'has what the role has (INHERIT, SET)')$$,
    'before 16 the member decides'
  )
END;
GRANT t_bottom TO t_nobody WITH ADMIN OPTION;
SELECT is(
  (SELECT detail FROM pg_temp.audit('t_nobody')), 'has what the role has (INHERIT, SET, ADMIN)', 'the ADMIN OPTION is named'
);
REVOKE t_bottom FROM t_nobody;

-- A reporting role.
CREATE SCHEMA t_app;
CREATE TABLE t_app.patient (id integer);
CREATE TABLE t_app.token (id integer);
CREATE TABLE t_app.part (id integer) PARTITION BY LIST (id);
CREATE TABLE t_app.part_1 PARTITION OF t_app.part FOR VALUES IN (1);
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', '{t_app}', '{token,part}');
SELECT table_privs_are('t_app', 'part_1', 't_report', ARRAY[]::text[], 'the partitions of a withheld table are withheld');
SELECT results_eq(
  -- On 14 PUBLIC may create objects in the schema of pgTAP, and before 16 other roles of the server with CREATEROLE are listed.
  $$SELECT severity, path, detail, remedy FROM pg_temp.audit('t_report')
    WHERE detail NOT LIKE 'PUBLIC %' AND path <> 't_report -> CREATEROLE'$$,
  $$VALUES ('info', 't_report -> itself', 'may change its own password and settings', 'SELECT * FROM rolecall.converge()')$$,
  'a new one has nothing but itself'
);
CREATE VIEW t_app.tokens AS SELECT * FROM t_app.token;
CREATE VIEW t_app.again AS SELECT t.* FROM t_app.tokens AS t, t_app.patient;
GRANT SELECT (id) ON t_app.part_1 TO t_report;
SELECT bag_eq(
  $$SELECT path, object, detail, remedy FROM pg_temp.audit('t_report') WHERE severity = 'critical'$$,
  $$VALUES
    ('t_report -> table grant', 't_app.tokens', 'reads what is withheld: view of t_app.token', 'REVOKE SELECT ON t_app.tokens FROM t_report'),
    ('t_report -> table grant', 't_app.again', 'reads what is withheld: view of t_app.token', 'REVOKE SELECT ON t_app.again FROM t_report'),
    ('t_report -> column grant', 't_app.part_1', 'reads what is withheld: part of t_app.part', 'REVOKE SELECT (id) ON t_app.part_1 FROM t_report')$$,
  'views over what is withheld are found, however deep, and so are its partitions'
);
SELECT pg_temp.remedy('t_report');
SELECT is_empty($$SELECT * FROM rolecall.audit_role('t_report') WHERE severity = 'critical'$$, 'until they are revoked');
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', '{t_app}', '{token,part,tokens,again}');
SELECT is_empty($$SELECT * FROM rolecall.audit_role('t_report') WHERE severity = 'critical'$$, 'or withheld too');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'which is not drift');

ALTER ROLE t_report SET search_path = elsewhere;
ALTER ROLE t_report SET work_mem = '1GB';
SELECT results_eq(
  $$SELECT severity, object, detail, remedy FROM pg_temp.audit('t_report') WHERE path = 't_report -> setting'$$,
  $$VALUES ('warning', 'search_path', 'is not as it was asked for', 'ALTER ROLE t_report SET search_path = t_app, public'),
           ('info', 'work_mem', 'is 1GB, which nobody asked for here', 'ALTER ROLE t_report RESET work_mem')$$,
  'settings that it changed'
);
SELECT pg_temp.remedy('t_report');
SELECT is_empty($$SELECT FROM rolecall.audit_role('t_report') WHERE path = 't_report -> setting'$$, 'are put back');
ALTER ROLE t_nobody SET work_mem = '1GB';
SELECT is_empty($$SELECT * FROM pg_temp.audit('t_nobody')$$, 'nothing is known of the settings of other roles');

-- What belongs to somebody else's grant is revoked as who granted it.
GRANT UPDATE ON t_app.patient TO t_left WITH GRANT OPTION;
GRANT USAGE ON SCHEMA t_app TO t_left, t_nobody;
SET LOCAL ROLE t_left;
GRANT UPDATE ON t_app.patient TO t_nobody;
RESET ROLE;
SELECT is(
  (SELECT remedy FROM pg_temp.audit('t_nobody')), 'SET ROLE t_left; REVOKE UPDATE ON t_app.patient FROM t_nobody; RESET ROLE',
  'the remedy says who granted it'
);
SELECT is(
  (SELECT remedy FROM pg_temp.audit('t_left') WHERE path LIKE '%table grant'), 'REVOKE UPDATE ON t_app.patient FROM t_left CASCADE',
  'and takes what was granted on with it'
);

-- Other roles.
SELECT is(
  (SELECT string_agg(split_part(detail, ':', 1), ' ' ORDER BY detail) FROM rolecall.audit_role(current_user)
   WHERE path LIKE '%-> attribute'),
  'BYPASSRLS CREATEDB CREATEROLE REPLICATION SUPERUSER', 'a superuser has every attribute'
);
SELECT isnt_empty($$SELECT FROM rolecall.audit_role('pg_monitor') WHERE object = 'pg_read_all_settings'$$, 'a predefined role');
SELECT count(*) FROM rolecall.add_operator('t_nobody');
SELECT bag_eq(
  $$SELECT severity, object FROM pg_temp.audit('t_nobody') WHERE path = 't_nobody -> table grant' AND severity = 'critical' AND detail ~ 'withheld'$$,
  $$VALUES ('critical', 'rolecall_internal.secret')$$,
  'an operator reads the secrets'
);

-- Errors.
SELECT throws_ok('SELECT * FROM rolecall.audit_role(NULL)', '22004', NULL, 'null');
SELECT throws_ok($$SELECT * FROM rolecall.audit_role('')$$, '42602', NULL, 'an empty name');
SELECT throws_ok($$SELECT * FROM rolecall.audit_role(repeat('x', 64))$$, '42602', NULL, 'a name that is too long');
SELECT throws_ok($$SELECT * FROM rolecall.audit_role('t missing')$$, '42704', 'role "t missing" does not exist', 'no role');
SELECT throws_ok($$SELECT * FROM rolecall.audit_role('public')$$, '42704', NULL, 'PUBLIC is no role');

SELECT * FROM finish();
ROLLBACK;
