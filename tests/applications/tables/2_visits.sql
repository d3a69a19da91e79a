-- Up Migration
CREATE TABLE visit (patient integer REFERENCES patient, day date NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE visit_2020 PARTITION OF visit FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
INSERT INTO visit VALUES (1, '2020-05-05');
CREATE VIEW visits_by_patient AS SELECT patient, count(*) FROM visit GROUP BY patient;
CREATE MATERIALIZED VIEW patients AS SELECT count(*) FROM patient;

-- Down Migration
DROP MATERIALIZED VIEW patients;
DROP VIEW visits_by_patient;
DROP TABLE visit;
