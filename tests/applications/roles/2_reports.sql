-- Up Migration
CREATE TABLE token (id integer, value text);
SELECT * FROM rolecall.provision_reporting_role('m_reports', ARRAY['public'], ARRAY['token']);
CREATE TABLE visit (id integer);

-- Down Migration
DROP TABLE visit, token;
