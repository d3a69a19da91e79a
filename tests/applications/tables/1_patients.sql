-- Up Migration
CREATE TABLE patient (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO patient VALUES (1, 'one'), (2, 'two');
CREATE TABLE token (patient integer REFERENCES patient, value text);
INSERT INTO token VALUES (1, 'withheld');

-- Down Migration
DROP TABLE token, patient;
