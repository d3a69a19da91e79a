-- plpgsql_check over every function of the extension: a finding is a failed test. CREATE EXTENSION checks no bodies.
BEGIN;
CREATE EXTENSION plpgsql_check;

CREATE TEMPORARY VIEW function AS
SELECT p.oid, p.oid::regprocedure::text AS name, l.lanname AS language, coalesce(t.tgrelid, 0) AS relation
FROM pg_proc AS p
JOIN pg_language AS l ON l.oid = p.prolang
LEFT JOIN pg_trigger AS t ON t.tgfoid = p.oid AND NOT t.tgisinternal
WHERE p.pronamespace = 'rolecall'::regnamespace AND p.prokind <> 'a';

CREATE FUNCTION pg_temp.findings(function regprocedure, relation regclass) RETURNS text
LANGUAGE sql
AS $$
  SELECT string_agg(line, E'\n')
  FROM plpgsql_check_function(
    function,
    relation,
    fatal_errors => false,
    other_warnings => true,
    extra_warnings => true,
    performance_warnings => true,
    security_warnings => true
  ) AS line
$$;

SELECT plan((SELECT count(*)::integer FROM function) + 6);

-- That nothing is found means something only where plpgsql_check finds what there is.
CREATE FUNCTION pg_temp.flawed(value text) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
  number integer;
  unused integer;
BEGIN
  EXECUTE 'SELECT ' || value INTO number;
  number := '1 day'::interval;
  RETURN (SELECT missing FROM pg_class LIMIT 1);
END
$$;
CREATE FUNCTION pg_temp.slow(value integer) RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN value + 1; END';
SELECT matches(pg_temp.findings('pg_temp.flawed(text)', 0), 'error:.*missing', 'an error is found');
SELECT matches(pg_temp.findings('pg_temp.flawed(text)', 0), 'security:', 'a security warning is on');
SELECT matches(pg_temp.findings('pg_temp.flawed(text)', 0), 'warning extra:', 'an extra warning is on');
SELECT matches(pg_temp.findings('pg_temp.flawed(text)', 0), 'warning:', 'an other warning is on');
SELECT matches(pg_temp.findings('pg_temp.slow(integer)', 0), 'performance:', 'a performance warning is on');

SELECT isnt_empty('TABLE function', 'the extension has functions');
SELECT is(pg_temp.findings(oid, relation), NULL, name) FROM function WHERE language = 'plpgsql' ORDER BY name;
SELECT lives_ok(format('SELECT fmgr_sql_validator(%s)', oid), name) FROM function WHERE language = 'sql' ORDER BY name;

SELECT * FROM finish();
ROLLBACK;
