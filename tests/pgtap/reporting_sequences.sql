-- The sequences that a reporting role reads: those that do not belong to a withheld table.
BEGIN;
SELECT plan(12);

CREATE ROLE t_owner;
CREATE SCHEMA t_app;
GRANT ALL ON SCHEMA t_app TO t_owner;
CREATE SEQUENCE t_app.numbers;
CREATE SEQUENCE t_app.hidden;
CREATE TABLE t_app.patient (id serial, other integer GENERATED ALWAYS AS IDENTITY);
CREATE TABLE t_app.token (id serial, other integer GENERATED ALWAYS AS IDENTITY);
CREATE TABLE t_app.parted (id integer) PARTITION BY LIST (id);
CREATE TABLE t_app.part PARTITION OF t_app.parted FOR VALUES IN (1);
CREATE SEQUENCE t_app.of_part OWNED BY t_app.part.id;

CREATE FUNCTION pg_temp.provision() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT statement FROM rolecall.provision_reporting_role(
    't_report', ARRAY['t_app'], ARRAY['token', 'hidden', 'parted'], ARRAY['t_owner']
  ) WHERE operation LIKE '%privilege'
$$;
CREATE FUNCTION pg_temp.sequences() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT format('%s %s', c.relname, string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ' ' ORDER BY x.privilege_type))
  FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS x
  WHERE c.relkind = 'S' AND x.grantee = to_regrole('t_report')::oid
  GROUP BY c.relname ORDER BY c.relname COLLATE "C"
$$;

SELECT FROM pg_temp.provision();
SELECT results_eq(
  'SELECT * FROM pg_temp.sequences()', ARRAY['numbers SELECT', 'patient_id_seq SELECT', 'patient_other_seq SELECT'],
  'all but those that are withheld, or belong to what is'
);
SELECT is_empty('SELECT * FROM pg_temp.provision()', 'a second call has nothing to do');

GRANT USAGE, UPDATE ON SEQUENCE t_app.numbers TO t_report;
GRANT SELECT ON SEQUENCE t_app.patient_id_seq TO t_report WITH GRANT OPTION;
GRANT SELECT, USAGE ON SEQUENCE t_app.token_id_seq TO t_report;
CREATE SCHEMA t_other;
CREATE SEQUENCE t_other.numbers;
GRANT SELECT ON t_other.numbers TO t_report;
SELECT set_eq(
  'SELECT * FROM pg_temp.provision()',
  ARRAY[
    'REVOKE UPDATE, USAGE ON SEQUENCE t_app.numbers FROM t_report CASCADE',
    'REVOKE GRANT OPTION FOR SELECT ON SEQUENCE t_app.patient_id_seq FROM t_report CASCADE',
    'REVOKE SELECT, USAGE ON SEQUENCE t_app.token_id_seq FROM t_report CASCADE',
    'REVOKE SELECT ON SEQUENCE t_other.numbers FROM t_report CASCADE'
  ],
  'what goes beyond reading is taken away'
);
SELECT is_empty('SELECT * FROM pg_temp.provision()', 'once');

-- Later sequences.

SET LOCAL ROLE t_owner;
CREATE SEQUENCE t_app.later;
CREATE TABLE t_app.visit (id serial);
RESET ROLE;
SELECT ok(has_sequence_privilege('t_report', 't_app.later', 'SELECT'), 'it reads sequences that an owner of tables makes later');
SELECT ok(has_sequence_privilege('t_report', 't_app.visit_id_seq', 'SELECT'), 'also those of tables');
SELECT is_empty('SELECT * FROM pg_temp.provision()', 'without a run');
ALTER SEQUENCE t_app.numbers OWNED BY t_app.token.id;
SELECT results_eq(
  'SELECT * FROM pg_temp.provision()', $$VALUES ('REVOKE SELECT ON SEQUENCE t_app.numbers FROM t_report CASCADE')$$,
  'one that comes to belong to a withheld table is withheld from the next run on'
);
ALTER SEQUENCE t_app.numbers OWNED BY NONE;
SELECT results_eq(
  'SELECT * FROM pg_temp.provision()', $$VALUES ('GRANT SELECT ON t_app.numbers TO t_report')$$, 'and the other way round'
);

-- Of several owners.

ALTER SEQUENCE t_app.later OWNER TO t_owner;
SELECT is_empty('SELECT * FROM pg_temp.provision()', 'whoever owns it');
SELECT is_empty(
  $$SELECT * FROM rolecall.audit_role('t_report') WHERE severity <> 'info' AND path NOT LIKE 'PUBLIC%' AND object ~ 'numbers|_seq'$$,
  'reading sequences is no finding'
);
SELECT is_empty('SELECT * FROM rolecall.drift()', 'and no drift');

SELECT * FROM finish();
ROLLBACK;
