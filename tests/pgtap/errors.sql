-- Names and values that no call accepts, for every function that takes a role name: the SQLSTATE, and nothing changed.
BEGIN;
SELECT plan(53);

CREATE TEMPORARY TABLE before_roles AS SELECT oid, rolname FROM pg_roles;

CREATE TEMPORARY TABLE call (position serial, format text);
INSERT INTO call (format) VALUES
  ('SELECT * FROM rolecall.create_base_roles(administrator => %L)'),
  ('SELECT * FROM rolecall.create_user(%L)'),
  ('SELECT * FROM rolecall.create_user_with_grants(%L, NULL, NULL)'),
  ('SELECT * FROM rolecall.create_user_with_grants(''alice'', NULL, ARRAY[%L])'),
  ('SELECT * FROM rolecall.create_client_role(%L)'),
  ('SELECT * FROM rolecall.create_test_users(%L)'),
  ('SELECT * FROM rolecall.grant_role(%L, ''alice'')'),
  ('SELECT * FROM rolecall.grant_role(''alice'', %L)'),
  ('SELECT * FROM rolecall.revoke_role(%L, ''alice'')'),
  ('SELECT * FROM rolecall.set_password(%L, ''secret'')'),
  ('SELECT * FROM rolecall.provision_reporting_role(%L, ARRAY[''reports''])'),
  ('SELECT * FROM rolecall.provision_reporting_roles(%L)');

SELECT throws_ok(format(c.format, ''), '42602', NULL, 'an empty name: ' || c.format) FROM call AS c ORDER BY c.position;
SELECT throws_ok(format(c.format, repeat('x', 64)), '42602', NULL, '64 bytes: ' || c.format) FROM call AS c ORDER BY c.position;
SELECT throws_ok(format(c.format, 'pg_mine'), '42939', NULL, 'a reserved prefix: ' || c.format) FROM call AS c ORDER BY c.position;
SELECT throws_ok(format(c.format, 'public'), '42939', NULL, 'a keyword: ' || c.format) FROM call AS c ORDER BY c.position;

SELECT throws_ok($$SELECT * FROM rolecall.create_user(NULL)$$, '22004', NULL, 'a null name');
SELECT throws_ok($$SELECT * FROM rolecall.create_user('alice', '')$$, '22023', NULL, 'an empty password');
SELECT throws_ok($$SELECT * FROM rolecall.set_password('alice', NULL)$$, '22004', NULL, 'a null password');
SELECT throws_ok($$SELECT * FROM rolecall.set_password('alice', 'secret')$$, '42704', NULL, 'the password of no role');

SELECT results_eq(
  'SELECT oid, rolname FROM pg_roles ORDER BY oid',
  'SELECT oid, rolname FROM before_roles ORDER BY oid',
  'none of them made or changed a role'
);

SELECT * FROM finish();
ROLLBACK;
