-- Up Migration
-- Another table in the place of one, by the same name, with what depends on it.
CREATE TABLE new_patient (id integer PRIMARY KEY, name text NOT NULL, born date);
INSERT INTO new_patient (id, name) SELECT id, name FROM patient;
DROP TABLE patient CASCADE;
ALTER TABLE new_patient RENAME TO patient;
CREATE MATERIALIZED VIEW patients AS SELECT count(*), max(born) FROM patient;
DROP TABLE token;
CREATE TABLE token (patient integer REFERENCES patient, value text, expires timestamptz);
INSERT INTO token VALUES (1, 'withheld again');

-- Down Migration
ALTER TABLE patient DROP COLUMN born CASCADE;
CREATE MATERIALIZED VIEW patients AS SELECT count(*) FROM patient;
ALTER TABLE token DROP COLUMN expires;
