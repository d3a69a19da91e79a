-- Names that no reporting role can have: the SQLSTATE, and nothing changed.
BEGIN;
SELECT plan(9);

CREATE TEMPORARY TABLE before_roles AS SELECT oid, rolname FROM pg_roles;

CREATE TEMPORARY TABLE call (position serial, format text);
INSERT INTO call (format) VALUES
  ('SELECT * FROM rolecall.provision_reporting_role(%L, ARRAY[''reports''])'),
  ('SELECT * FROM rolecall.provision_reporting_roles(%L)');

SELECT throws_ok(format(c.format, ''), '42602', NULL, 'an empty name: ' || c.format) FROM call AS c ORDER BY c.position;
SELECT throws_ok(format(c.format, repeat('x', 64)), '42602', NULL, '64 bytes: ' || c.format) FROM call AS c ORDER BY c.position;
SELECT throws_ok(format(c.format, 'pg_mine'), '42939', NULL, 'a reserved prefix: ' || c.format) FROM call AS c ORDER BY c.position;
SELECT throws_ok(format(c.format, 'public'), '42939', NULL, 'a keyword: ' || c.format) FROM call AS c ORDER BY c.position;

SELECT results_eq(
  'SELECT oid, rolname FROM pg_roles ORDER BY oid',
  'SELECT oid, rolname FROM before_roles ORDER BY oid',
  'none of them made or changed a role'
);

SELECT * FROM finish();
ROLLBACK;
