-- What the catalogs say about the extension itself: its functions, its members, and what is left when it is dropped.
BEGIN;
SELECT plan(22);

SELECT isnt_empty(
  $$ SELECT FROM pg_proc WHERE pronamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]) $$,
  'the extension has functions'
);

SELECT is_empty(
  $$
    SELECT oid::regprocedure FROM pg_proc
    WHERE pronamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]) AND prosecdef
  $$,
  'every function is SECURITY INVOKER'
);

SELECT is_empty(
  $$
    SELECT oid::regprocedure, proconfig FROM pg_proc
    WHERE pronamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[])
      AND (proconfig @> ARRAY['search_path=pg_catalog, pg_temp']) IS NOT TRUE
  $$,
  'every function pins its search_path to pg_catalog, pg_temp'
);

SELECT is_empty(
  $$
    SELECT oid::regprocedure, proconfig FROM pg_proc
    WHERE pronamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[])
      AND (pronamespace = 'rolecall'::regnamespace OR prorettype = 'event_trigger'::regtype)
      AND (proconfig @> ARRAY['jit=off', 'plan_cache_mode=force_generic_plan', 'quote_all_identifiers=off', 'DateStyle=iso']) IS NOT TRUE
  $$,
  'every function that a call can begin with has the settings that all of them need'
);

SELECT is_empty(
  $$
    SELECT oid::regprocedure FROM pg_proc
    WHERE pronamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[])
      AND coalesce(obj_description(oid, 'pg_proc'), '') = ''
  $$,
  'every function has a comment'
);

SELECT is_empty(
  $$
    SELECT p.oid::regprocedure
    FROM pg_proc AS p
    CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS privilege
    WHERE p.pronamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]) AND privilege.grantee = 0
  $$,
  'no function is executable by PUBLIC'
);

SELECT is_empty(
  $$
    SELECT c.oid::regclass, privilege.privilege_type
    FROM pg_class AS c
    CROSS JOIN aclexplode(c.relacl) AS privilege
    WHERE c.relnamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]) AND privilege.grantee = 0
  $$,
  'PUBLIC has no privilege on a table'
);

SELECT is_empty(
  $$
    SELECT privilege.privilege_type
    FROM pg_namespace AS n
    CROSS JOIN aclexplode(n.nspacl) AS privilege
    WHERE n.nspname ~ '^rolecall' AND privilege.grantee = 0
  $$,
  'PUBLIC has no privilege on the schemas'
);

SELECT is_empty(
  $$
    SELECT oid::regclass FROM pg_class
    WHERE relnamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]) AND relkind IN ('r', 'p', 'v', 'm')
      AND coalesce(obj_description(oid, 'pg_class'), '') = ''
  $$,
  'every table and view has a comment'
);

-- Members.

CREATE TEMPORARY VIEW member AS
SELECT d.classid, d.objid
FROM pg_depend AS d
JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'rolecall';

SELECT isnt_empty(
  $$ SELECT FROM member WHERE classid = 'pg_namespace'::regclass AND objid = 'rolecall'::regnamespace $$,
  'the extension owns its schema'
);

SELECT is_empty(
  $$
    SELECT pg_describe_object(classid, objid, objsubid) FROM pg_depend
    WHERE refclassid = 'pg_namespace'::regclass AND refobjid = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[])
      AND (classid, objid) NOT IN (TABLE member)
  $$,
  'whatever is in the schema is the extension''s'
);

SELECT is_empty(
  $$
    SELECT pg_describe_object(classid, objid, 0) FROM member
    WHERE (classid <> 'pg_namespace'::regclass OR objid <> ALL ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]))
      -- A table's row type and array types are part of another member.
      AND NOT EXISTS (
        SELECT FROM pg_depend AS d
        WHERE d.classid = member.classid AND d.objid = member.objid
          AND (
            (d.refclassid = 'pg_namespace'::regclass AND d.refobjid = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]))
            OR (d.deptype = 'i' AND (d.refclassid, d.refobjid) IN (TABLE member))
          )
      )
  $$,
  'whatever is the extension''s is in the schema'
);

SELECT is(extnamespace::regnamespace::text, 'pg_catalog', 'it adopts no schema that was there before')
FROM pg_extension WHERE extname = 'rolecall';
SELECT ok(NOT extrelocatable, 'it cannot be moved') FROM pg_extension WHERE extname = 'rolecall';

SELECT results_eq(
  $$
    SELECT c.oid::regclass::text FROM pg_class AS c
    JOIN pg_extension AS e ON e.extname = 'rolecall'
    WHERE c.relnamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]) AND c.relkind IN ('r', 'p')
      AND (c.oid = ANY (e.extconfig)) IS NOT TRUE
  $$,
  ARRAY['rolecall_internal.secret', 'rolecall_internal.turn'],
  'a dump has the contents of every table but the secrets, and the one that is always empty'
);

-- DROP EXTENSION. Everything is compared with a database that never had the extension.

CREATE TEMPORARY VIEW catalog AS
SELECT tableoid::regclass AS name, oid::text AS entry FROM pg_class
UNION ALL SELECT tableoid, oid::text FROM pg_proc
UNION ALL SELECT tableoid, oid::text FROM pg_type
UNION ALL SELECT tableoid, oid::text FROM pg_namespace
UNION ALL SELECT tableoid, oid::text FROM pg_constraint
UNION ALL SELECT tableoid, oid::text FROM pg_attrdef
UNION ALL SELECT tableoid, oid::text FROM pg_trigger
UNION ALL SELECT tableoid, oid::text FROM pg_event_trigger
UNION ALL SELECT tableoid, oid::text FROM pg_default_acl
UNION ALL SELECT tableoid, oid::text FROM pg_extension
UNION ALL SELECT tableoid, pg_depend::text FROM pg_depend
UNION ALL SELECT tableoid, pg_description::text FROM pg_description
UNION ALL SELECT tableoid, pg_init_privs::text FROM pg_init_privs;
CREATE TEMPORARY TABLE before (name regclass, entry text);

SELECT lives_ok('DROP EXTENSION rolecall', 'the extension can be dropped, with nothing else in its way');
INSERT INTO before TABLE catalog;
CREATE EXTENSION rolecall;
SELECT isnt_empty('TABLE catalog EXCEPT TABLE before', 'the comparison sees the extension');
SELECT lives_ok(
  $$
    SELECT rolecall.create_base_roles('anonymous_left', 'authenticated_left', 'administrator_left');
    SELECT rolecall.create_user('user_left');
  $$,
  'it makes roles'
);
SELECT lives_ok('DROP EXTENSION rolecall', 'it can be dropped after use');
SELECT is_empty('TABLE catalog EXCEPT TABLE before', 'nothing is left in the database');
SELECT is_empty('TABLE before EXCEPT TABLE catalog', 'nothing else is gone');
SELECT bag_eq(
  $$ SELECT rolname FROM pg_roles WHERE rolname LIKE '%!_left' ESCAPE '!' $$,
  ARRAY['anonymous_left', 'authenticated_left', 'administrator_left', 'user_left']::name[],
  'the roles are left'
);

SELECT * FROM finish();
ROLLBACK;
