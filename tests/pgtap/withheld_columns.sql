-- Entries of withheld_tables that name a column: the other columns of its table stay readable.
BEGIN;
SELECT plan(53);

CREATE SCHEMA t_app;
CREATE SCHEMA "t Odd";
CREATE ROLE t_report;
CREATE ROLE t_other;

-- What t_report reads of a table: nothing, all, or some of its columns.
CREATE FUNCTION pg_temp.reads(tables text) RETURNS text LANGUAGE sql AS $$
  SELECT CASE WHEN has_table_privilege('t_report', tables, 'SELECT') THEN 'all'
              ELSE coalesce(string_agg(a.attname, ' ' ORDER BY a.attnum)
                              FILTER (WHERE has_column_privilege('t_report', a.attrelid, a.attnum, 'SELECT')), 'nothing') END
  FROM pg_attribute AS a WHERE a.attrelid = tables::regclass AND a.attnum > 0 AND NOT a.attisdropped
$$;
-- The statements that a call is to run on tables and columns.
CREATE FUNCTION pg_temp.provision(withheld text[], dry_run boolean DEFAULT false) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT s.statement FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app', 't Odd'], withheld, dry_run => dry_run) AS s
  WHERE s.operation IN ('grant_privilege', 'revoke_privilege') AND s.statement !~ ' ON (DATABASE|SCHEMA) '
$$;
-- The rows of drift(), without the statement where it is skipped.
CREATE FUNCTION pg_temp.drift() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT CASE s.status WHEN 'skipped' THEN concat_ws(' ', 'skipped', s.sqlstate, s.target, s.note) ELSE s.statement END
  FROM rolecall.drift() AS s
$$;

CREATE TABLE t_app.patients (id integer, name text, ssn text, born date);
CREATE TABLE t_app.plain (id integer, ssn text);
CREATE TABLE "t Odd"."Pat.ients" (id integer, "S""sn" text);
CREATE TABLE t_app.all_of_it (one text, two text);
GRANT SELECT ON t_app.patients, t_app.plain TO t_report;

-- What entries mean.

CREATE TEMPORARY TABLE list AS
  SELECT ARRAY['patients.ssn', '"t Odd"."Pat.ients"."S""sn"', 'all_of_it.one', 't_app.All_of_it.TWO'] AS entries;
SELECT set_eq(
  'SELECT pg_temp.provision(entries, true) FROM list',
  ARRAY['REVOKE SELECT ON t_app.patients FROM t_report CASCADE',
        'GRANT SELECT (id, name, born) ON t_app.patients TO t_report',
        'GRANT SELECT (id) ON "t Odd"."Pat.ients" TO t_report'],
  'a dry run says which columns are granted, and that the table is not'
);
SELECT matches(
  (SELECT string_agg(s.statement, '; ') FROM list, pg_temp.provision(entries, true) AS s(statement)),
  'REVOKE SELECT ON t_app.patients.*GRANT SELECT \(id', 'first the table is revoked, which takes its columns along'
);
SELECT count(*) FROM list, pg_temp.provision(entries);
SELECT is(pg_temp.reads('t_app.patients'), 'id name born', 'the other columns are readable');
SELECT is(pg_temp.reads('t_app.plain'), 'all', 'a column of that name of another table is');
SELECT is(pg_temp.reads('"t Odd"."Pat.ients"'), 'id', 'names are quoted as in SQL');
SELECT is(pg_temp.reads('t_app.all_of_it'), 'nothing', 'of a table whose columns are all withheld nothing is');
SELECT is_empty('SELECT pg_temp.drift()', 'nothing has drifted');
SELECT is_empty('SELECT pg_temp.provision(entries) FROM list', 'a second call has nothing to do');
SELECT is(test.least_wal('SELECT pg_temp.provision(entries) FROM list'), 0::numeric, 'and writes nothing');

SET LOCAL ROLE t_report;
SELECT lives_ok('SELECT name FROM t_app.patients WHERE id = 1', 'the role reads the columns');
SELECT lives_ok('SELECT count(*) FROM t_app.patients', 'and counts the rows');
SELECT throws_ok('SELECT ssn FROM t_app.patients', '42501', NULL, 'it does not read the withheld one');
SELECT throws_ok('SELECT * FROM t_app.patients', '42501', NULL, 'nor as part of the row');
SELECT throws_ok('SELECT name FROM t_app.patients WHERE ssn IS NULL', '42501', NULL, 'nor in a condition');
RESET ROLE;

-- Columns that come, go and get other names.

ALTER TABLE t_app.patients ADD COLUMN city text;
SELECT results_eq('SELECT pg_temp.drift()', ARRAY['GRANT SELECT (city) ON t_app.patients TO t_report'], 'a new column is missing');
SELECT count(*) FROM rolecall.converge();
SELECT is(pg_temp.reads('t_app.patients'), 'id name born city', 'and granted');

CREATE FUNCTION pg_temp.renamed(name text) RETURNS text LANGUAGE sql AS $$
  SELECT format('skipped 55000 %s withheld as patients.ssn, which it was, or belonged to: name it among the withheld tables, '
                'or remove patients.ssn from them', name)
$$;
ALTER TABLE t_app.patients RENAME COLUMN ssn TO tax_id;
SELECT results_eq('SELECT pg_temp.drift()', ARRAY[pg_temp.renamed('t_app.patients.tax_id')], 'under another name it stays withheld, and that is said');
SELECT count(*) FROM rolecall.converge();
SELECT is(pg_temp.reads('t_app.patients'), 'id name born city', 'and it is, after converge() too');
SELECT is(test.least_wal('SELECT FROM rolecall.converge()'), 0::numeric, 'which does not write again');
SELECT is((SELECT column_name FROM rolecall_internal.withheld WHERE name = 'patients.ssn'), 'tax_id', 'the new name is remembered, for dumps');

ALTER TABLE t_app.patients RENAME TO persons;
ALTER TABLE t_app.persons ADD COLUMN ssn text;
SELECT count(*) FROM rolecall.converge();
SELECT is(pg_temp.reads('t_app.persons'), 'id name born city ssn', 'so where the table is renamed; the list names no column of that');
SELECT results_eq('SELECT pg_temp.drift()', ARRAY[pg_temp.renamed('t_app.persons.tax_id')], 'which is said');
CREATE TABLE t_app.patients (ssn text, id integer);
SELECT count(*) FROM rolecall.converge();
SELECT is(pg_temp.reads('t_app.patients'), 'id', 'a table that takes its name has the column withheld');
CREATE TEMPORARY TABLE call AS SELECT statement FROM rolecall.drift();
SELECT matches(statement, 't_app.persons.tax_id', 'the statement of the row names it') FROM call;
DO $$BEGIN EXECUTE (SELECT statement FROM call); END$$;
SELECT is_empty('SELECT pg_temp.drift()', 'and settles it');
SELECT is(pg_temp.reads('t_app.persons'), 'id name born city ssn', 'it stays withheld');

ALTER TABLE t_app.persons DROP COLUMN tax_id;
SELECT results_eq('SELECT pg_temp.drift()', ARRAY['GRANT SELECT ON t_app.persons TO t_report'], 'without the column the whole table is readable');
SELECT count(*) FROM rolecall.converge();
SELECT is_empty($$SELECT FROM rolecall_internal.withheld WHERE relation = 't_app.persons'::regclass$$, 'and nothing of it is remembered');
ALTER TABLE t_app.persons ADD COLUMN tax_id text;
SELECT count(*) FROM rolecall.converge();
SELECT is(pg_temp.reads('t_app.persons'), 'id name born city ssn', 'made again, it is withheld again');

-- Excess.

SELECT count(*) FROM pg_temp.provision('{patients.ssn}');
GRANT SELECT (ssn), UPDATE (id) ON t_app.patients TO t_report;
SELECT results_eq(
  'SELECT pg_temp.drift()', ARRAY['REVOKE SELECT (ssn), UPDATE (id) ON t_app.patients FROM t_report CASCADE'],
  'a grant of the column is excess'
);
GRANT SELECT ON t_app.patients TO t_report;
SELECT count(*) FROM rolecall.converge();
SELECT is(pg_temp.reads('t_app.patients'), 'id', 'and so is one of the table');
SELECT is_empty('SELECT pg_temp.drift()', 'in one run');
GRANT SELECT (id) ON t_app.patients TO t_other WITH GRANT OPTION;
GRANT SELECT ON t_app.patients TO t_other WITH GRANT OPTION;
GRANT USAGE ON SCHEMA t_app TO t_other;
SET LOCAL ROLE t_other;
GRANT SELECT ON t_app.patients TO t_report;
RESET ROLE;
SELECT results_eq(
  'SELECT pg_temp.drift()',
  ARRAY['skipped 42501 t_app granted by t_other, whose it is to take back'], 'what somebody else has granted is a skipped row'
);
REVOKE ALL ON t_app.patients FROM t_other CASCADE;
SELECT is_empty('SELECT pg_temp.drift()', 'until it is revoked');

-- Another list.

SELECT results_eq(
  $$SELECT pg_temp.provision('{patients.id}')$$,
  ARRAY['GRANT SELECT (ssn) ON t_app.patients TO t_report', 'REVOKE SELECT (id) ON t_app.patients FROM t_report CASCADE'],
  'another column instead'
);
SELECT set_eq(
  $$SELECT pg_temp.provision('{patients.id,patients}')$$,
  ARRAY['REVOKE SELECT (ssn) ON t_app.patients FROM t_report CASCADE'], 'the whole table goes before its columns'
);
SELECT is(pg_temp.reads('t_app.patients'), 'nothing', 'nothing of it is readable');
SELECT is_empty('SELECT pg_temp.drift()', 'and that is all');
SELECT set_eq($$SELECT pg_temp.provision('{}')$$, ARRAY['GRANT SELECT ON t_app.patients TO t_report'], 'without an entry the table is granted');
CREATE SCHEMA patients;
CREATE TABLE patients.id (id integer);
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', '{t_app,patients}', '{patients.id}');
SELECT is(pg_temp.reads('t_app.patients') || ', ' || pg_temp.reads('patients.id'), 'ssn, nothing', 'what an entry can mean both ways is withheld both ways');
SELECT is_empty('SELECT pg_temp.drift()', 'and is no drift');

-- Kinds of tables, and what belongs to them.

CREATE SCHEMA t_kinds;
CREATE TABLE t_kinds.visits (id integer, pin text, at date) PARTITION BY LIST (id);
CREATE TABLE t_kinds.other_order (at date, gone text, pin text, id integer);
ALTER TABLE t_kinds.other_order DROP COLUMN gone;
ALTER TABLE t_kinds.visits ATTACH PARTITION t_kinds.other_order FOR VALUES IN (1);
CREATE TABLE t_kinds.visits_2 PARTITION OF t_kinds.visits FOR VALUES IN (2) PARTITION BY LIST (at);
CREATE TABLE t_kinds.visits_2_a PARTITION OF t_kinds.visits_2 DEFAULT;
CREATE TABLE t_kinds.parent (id serial, pin serial);
CREATE TABLE t_kinds.child (more text) INHERITS (t_kinds.parent);
CREATE VIEW t_kinds.shown AS SELECT 1 AS id, 'x' AS pin;
CREATE MATERIALIZED VIEW t_kinds.stored AS SELECT 1 AS id, 'x' AS pin;
CREATE FOREIGN DATA WRAPPER t_wrapper;
CREATE SERVER t_server FOREIGN DATA WRAPPER t_wrapper;
CREATE FOREIGN TABLE t_kinds.far (id integer, pin text) SERVER t_server;
SELECT set_eq(
  $$SELECT statement FROM rolecall.provision_reporting_role(
      't_report', '{t_kinds}', '{visits.pin,parent.pin,shown.pin,stored.pin,far.pin}', dry_run => true)
    WHERE statement ~ ' ON t_kinds|IN SCHEMA t_kinds TO'$$,
  ARRAY['GRANT SELECT (id, at) ON t_kinds.visits, t_kinds.visits_2, t_kinds.visits_2_a TO t_report',
        'GRANT SELECT (at, id) ON t_kinds.other_order TO t_report',
        'GRANT SELECT (id) ON t_kinds.far, t_kinds.parent, t_kinds.shown, t_kinds.stored TO t_report',
        'GRANT SELECT (id, more) ON t_kinds.child TO t_report',
        'GRANT SELECT ON t_kinds.parent_id_seq TO t_report'],
  'children have the column withheld, and so has the sequence that belongs to it; tables with equal lists go together'
);
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', '{t_kinds}', '{visits.pin,parent.pin,shown.pin,stored.pin,far.pin}');
SELECT is_empty('SELECT pg_temp.drift()', 'which is all');
ALTER TABLE t_kinds.visits DETACH PARTITION t_kinds.other_order;
SELECT count(*) FROM rolecall.converge();
SELECT is(pg_temp.reads('t_kinds.other_order'), 'at id', 'it stays so in a partition that is detached');
DROP TABLE t_kinds.other_order;

-- A schema as a whole: where nearly all of it is to be granted, in one statement. More tables than are listed in one;
-- what follows has nothing to do with them.

SAVEPOINT whole;
CREATE SCHEMA t_whole;
CREATE TABLE t_whole.secret (id integer, pin text);
CREATE TABLE t_whole.one ();
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', '{t_whole}', '{secret.pin}', '{}');
DO $$BEGIN FOR i IN 1 .. 1001 LOOP EXECUTE format('CREATE TABLE t_whole.many_%s ()', i); END LOOP; END$$;
SELECT results_eq(
  'SELECT pg_temp.drift()',
  ARRAY['GRANT SELECT ON ALL TABLES IN SCHEMA t_whole TO t_report', 'REVOKE SELECT ON t_whole.secret FROM t_report',
        'GRANT SELECT (id) ON t_whole.secret TO t_report'],
  'the table is revoked after it, and its columns granted again'
);
SELECT count(*) FROM rolecall.converge();
SELECT is(pg_temp.reads('t_whole.secret') || ', ' || pg_temp.reads('t_whole.many_1001'), 'id, all', 'and that is so');
SELECT is_empty('SELECT pg_temp.drift()', 'in one run');
ROLLBACK TO SAVEPOINT whole;

-- audit_role().

CREATE SCHEMA t_audit;
CREATE TABLE t_audit.patients (id integer, ssn text, born date);
CREATE TABLE t_audit.part () INHERITS (t_audit.patients);
CREATE VIEW t_audit.over AS SELECT ssn AS number FROM t_audit.patients;
CREATE VIEW t_audit.over_over AS SELECT number FROM t_audit.over;
CREATE VIEW t_audit.rows AS SELECT id, p AS whole FROM t_audit.patients AS p;
CREATE VIEW t_audit.beside AS SELECT id, born FROM t_audit.patients;
CREATE VIEW t_audit.partly AS SELECT id, ssn FROM t_audit.patients;
CREATE MATERIALIZED VIEW t_audit.copy AS SELECT ssn FROM t_audit.patients;
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', '{t_audit}', '{patients.ssn,partly.ssn}');
CREATE FUNCTION pg_temp.findings() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT concat_ws(', ', f.severity, f.path, f.object, f.detail, f.remedy)
  FROM rolecall.audit_role('t_report') AS f WHERE f.detail LIKE 'reads what is withheld%'
$$;
SELECT set_eq(
  'SELECT pg_temp.findings()',
  ARRAY['critical, t_report -> table grant, t_audit.over, reads what is withheld: view of t_audit.patients.ssn, REVOKE SELECT ON t_audit.over FROM t_report',
        'critical, t_report -> table grant, t_audit.over_over, reads what is withheld: view of t_audit.patients.ssn, REVOKE SELECT ON t_audit.over_over FROM t_report',
        'critical, t_report -> table grant, t_audit.rows, reads what is withheld: view of t_audit.patients.ssn, REVOKE SELECT ON t_audit.rows FROM t_report',
        'critical, t_report -> table grant, t_audit.copy, reads what is withheld: materialized view of t_audit.patients.ssn, REVOKE SELECT ON t_audit.copy FROM t_report'],
  'views over the column are found, and not one over others, nor one of which the column is withheld'
);
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', '{t_audit}', '{patients.ssn,over,over_over,rows,copy,partly.ssn}');
SELECT is_empty('SELECT pg_temp.findings()', 'which are withheld in turn');
GRANT SELECT ON t_audit.patients TO PUBLIC;
GRANT SELECT (ssn, born) ON t_audit.part TO t_other;
GRANT t_other TO t_report;
SELECT set_eq(
  $$SELECT split_part(f, ', REVOKE', 1) FROM pg_temp.findings() AS f$$,
  ARRAY['critical, t_report -> PUBLIC -> table grant, t_audit.patients, reads what is withheld: t_audit.patients.ssn',
        'critical, t_report -> t_other -> column grant, t_audit.part, reads what is withheld: part of t_audit.patients.ssn'],
  'grants to PUBLIC and to others, on the table or the column'
);
ALTER TABLE t_audit.patients RENAME ssn TO tax_id;
SELECT is(count(*), 2::bigint, 'under its new name too') FROM pg_temp.findings() AS f WHERE f ~ 'patients.tax_id';

-- 1,600 columns are as many as a table can have.

CREATE SCHEMA t_wide;
DO $$BEGIN
  EXECUTE (SELECT format('CREATE TABLE t_wide.wide (%s)', string_agg(format('c%s smallint', n), ', ')) FROM generate_series(1, 1600) AS n);
END$$;
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', '{t_wide}', '{wide.c1600}');
SELECT is(array_length(string_to_array(pg_temp.reads('t_wide.wide'), ' '), 1), 1599, 'a table with 1,600 columns');
SELECT is_empty('SELECT pg_temp.drift()', 'has nothing left to grant');

SELECT * FROM finish();
ROLLBACK;
