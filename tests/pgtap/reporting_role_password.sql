-- reporting_role_password: what a reporting role logs in with.
BEGIN;
SELECT plan(16);

SELECT throws_ok('SELECT rolecall.reporting_role_password(NULL)', '22004', NULL, 'a null name');
SELECT throws_ok($$SELECT rolecall.reporting_role_password('')$$, '42602', NULL, 'an empty name');
SELECT throws_ok(format('SELECT rolecall.reporting_role_password(%L)', repeat('x', 64)), '42602', NULL, 'a name of 64 bytes');
SELECT throws_ok($$SELECT rolecall.reporting_role_password('pg_monitor')$$, '42939', NULL, 'a reserved name');

CREATE ROLE t_other LOGIN;
CREATE SCHEMA t_app;
SELECT throws_ok(
  $$SELECT rolecall.reporting_role_password('t_report')$$, '42704',
  format('reporting role "t_report" was not provisioned in database "%s"', current_database()), 'before it is provisioned'
);
SELECT rolecall.provision_reporting_role('t_report', ARRAY['t_app']);
SELECT throws_ok($$SELECT rolecall.reporting_role_password('t_other')$$, '42704', NULL, 'another role');

SELECT matches(rolecall.reporting_role_password('t_report'), '^[0-9a-f]{64}$', 'it is 64 hexadecimal digits');
SELECT is(rolecall.reporting_role_password('t_report'), rolecall.reporting_role_password('t_report'), 'the same ones each time');

-- pgcrypto's own HMAC says the same.
CREATE SCHEMA t_crypto;
CREATE EXTENSION pgcrypto SCHEMA t_crypto;
-- The schema of an extension is one more to look in.
SELECT FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app']);
SELECT is(
  rolecall.reporting_role_password('t_report'),
  (SELECT encode(t_crypto.hmac('rolecall:t_report', s.value, 'sha256'), 'hex') FROM rolecall_internal.secret AS s WHERE s.key = 'rolecall.reporting'),
  'HMAC-SHA256(secret, ''rolecall:'' || role_name)'
);
SELECT is(length(s.value), 32, 'of a secret of 32 bytes') FROM rolecall_internal.secret AS s WHERE s.key = 'rolecall.reporting';

CREATE TEMPORARY TABLE password AS SELECT rolecall.reporting_role_password('t_report') AS plain;
SET LOCAL rolecall.encryption_key = 'key one';
SELECT is(rolecall.reporting_role_password('t_report'), (SELECT plain FROM password), 'a key changes nothing about it');
SELECT ok(s.encrypted, 'but the secret is encrypted then') FROM rolecall_internal.secret AS s WHERE s.key = 'rolecall.reporting';
SELECT is_empty($$SELECT * FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'])$$, 'and provisioning reads it');
SET LOCAL rolecall.encryption_key = 'key two';
SELECT throws_ok($$SELECT rolecall.reporting_role_password('t_report')$$, '22023', NULL, 'not with another key');
SELECT throws_ok(
  $$SELECT * FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'])$$, '22023', NULL, 'nor does provisioning'
);
RESET rolecall.encryption_key;
SET LOCAL ROLE t_other;
SELECT throws_ok($$SELECT rolecall.reporting_role_password('t_report')$$, '42501', NULL, 'others may not call it');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
