-- orphans: reporting roles that look as if their database were gone; with one that is, in security/databases.test.ts.
BEGIN;
SELECT plan(13);

CREATE FUNCTION pg_temp.found() RETURNS SETOF text LANGUAGE sql AS
$$SELECT o::text FROM rolecall.orphans() AS o WHERE o.role LIKE 't\_%' OR o.role LIKE 't %'$$;
CREATE FUNCTION pg_temp.leave(role text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE ROLE %I LOGIN', role);
  EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = ''on''', role);
  EXECUTE format('ALTER ROLE %I SET search_path = ''public''', role);
END
$$;

SELECT is_empty('SELECT pg_temp.found()', 'there is none');
SELECT count(*) FROM rolecall.provision_reporting_role('t_live', ARRAY['public']);
SELECT is_empty('SELECT pg_temp.found()', 'a reporting role of this database is none');
SELECT pg_temp.leave('t_gone_raw'), pg_temp.leave('t gone_reporting'), pg_temp.leave('t_reports');
SELECT bag_eq(
  'SELECT pg_temp.found()',
  ARRAY['(t_gone_raw,t_gone,"DROP ROLE t_gone_raw")', '("t gone_reporting","t gone","DROP ROLE ""t gone_reporting""")',
        '(t_reports,,"DROP ROLE t_reports")'],
  'those of no database are'
);
SELECT is(test.least_wal('SELECT FROM rolecall.orphans()'), 0::numeric, 'which writes nothing');
ALTER ROLE t_reports NOLOGIN;
ALTER ROLE t_gone_raw CREATEDB;
DROP ROLE "t gone_reporting";
SELECT is_empty('SELECT pg_temp.found()', 'what does not log in, or has power, is none');
ALTER ROLE t_gone_raw NOCREATEDB;
SELECT isnt_empty('SELECT pg_temp.found()', 'without it, it is');
CREATE ROLE t_group;
GRANT t_group TO t_gone_raw;
SELECT is_empty('SELECT pg_temp.found()', 'nor is a member of a role');
REVOKE t_group FROM t_gone_raw;
CREATE TABLE t_read (id integer);
GRANT SELECT ON t_read TO t_gone_raw;
SELECT is_empty('SELECT pg_temp.found()', 'nor what has a privilege');
REVOKE SELECT ON t_read FROM t_gone_raw;
ALTER ROLE t_gone_raw IN DATABASE template1 SET work_mem = '8MB';
SELECT is_empty('SELECT pg_temp.found()', 'nor what has a setting in a database');
ALTER ROLE t_gone_raw IN DATABASE template1 RESET ALL;
GRANT t_gone_raw TO t_group;
SELECT isnt_empty('SELECT pg_temp.found()', 'who is a member of it does not matter');
ALTER ROLE t_gone_raw RENAME TO template1_raw;
SELECT is_empty($$SELECT FROM rolecall.orphans() WHERE role = 'template1_raw'$$, 'nor is one whose name has a database that is there');
ALTER ROLE template1_raw RENAME TO t_other_raw;
ALTER ROLE t_other_raw RESET search_path;
SELECT is_empty('SELECT pg_temp.found()', 'nor one without a path');
SET LOCAL transaction_read_only = on;
SELECT is_empty('SELECT pg_temp.found()', 'it works in a READ ONLY transaction');

SELECT * FROM finish();
ROLLBACK;
