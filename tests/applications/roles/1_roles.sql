-- Up Migration
CREATE ROLE m_staff;
SELECT * FROM rolecall.create_user_with_grants('m_alice', 'alice', ARRAY['m_staff']);
CREATE TABLE patient (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO patient VALUES (1, 'one');
GRANT SELECT ON patient TO m_staff;

-- Down Migration
DROP TABLE patient;
SELECT * FROM rolecall.revoke_role('m_staff', 'm_alice');
DROP ROLE m_staff;
