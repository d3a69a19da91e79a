-- rotate_reporting_secret: a new secret, and with it the password of every reporting role of this database.
BEGIN;
SELECT plan(36);

-- What a role's password is, and what rolecall says that it is.
CREATE FUNCTION pg_temp.is_right(role_name text) RETURNS boolean LANGUAGE sql AS
$$SELECT rolecall_internal.password_matches(rolecall.reporting_role_password(role_name), a.rolpassword) FROM pg_authid AS a WHERE a.rolname = role_name$$;
CREATE TEMPORARY TABLE seen (password text);

SELECT is_empty('SELECT * FROM rolecall.rotate_reporting_secret()', 'where nothing was provisioned there is nothing to do');
SELECT is_empty('TABLE rolecall_internal.secret', 'and no secret is made');

CREATE SCHEMA t_app;
SELECT rolecall.provision_reporting_role('t_report', ARRAY['t_app']);
SELECT rolecall.provision_reporting_role('t "raw" role', ARRAY['t_app']);
SELECT ok(pg_temp.is_right('t_report') AND pg_temp.is_right('t "raw" role'), 'a provisioned role has its derived password');
INSERT INTO seen SELECT rolecall.reporting_role_password('t_report');
INSERT INTO seen SELECT rolecall.reporting_role_password('t "raw" role');
SELECT is((SELECT count(DISTINCT password) FROM seen), 2::bigint, 'each its own');

CREATE TEMPORARY TABLE before AS SELECT s.*, 'secret' AS what FROM rolecall_internal.secret AS s;
SAVEPOINT read_only;
SET TRANSACTION READ ONLY;
SELECT results_eq(
  'SELECT operation, target, statement, status FROM rolecall.rotate_reporting_secret(true)',
  $$VALUES ('rotate_secret', current_database()::text COLLATE "default", 'SELECT * FROM rolecall.rotate_reporting_secret()', 'planned'),
           ('set_password', 't "raw" role', 'ALTER ROLE "t ""raw"" role" PASSWORD ''********''', 'planned'),
           ('set_password', 't_report', 'ALTER ROLE t_report PASSWORD ''********''', 'planned')$$,
  'a dry run says what it would do, in a READ ONLY transaction too'
);
SELECT throws_ok('SELECT * FROM rolecall.rotate_reporting_secret()', '25006', NULL, 'where it cannot be done');
ROLLBACK TO SAVEPOINT read_only;
SELECT results_eq($$SELECT s.*, 'secret' FROM rolecall_internal.secret AS s ORDER BY key$$, 'TABLE before ORDER BY key', 'and it changes nothing');

SELECT results_eq(
  'SELECT operation, target, statement, status FROM rolecall.rotate_reporting_secret()',
  $$VALUES ('rotate_secret', current_database()::text COLLATE "default", 'SELECT * FROM rolecall.rotate_reporting_secret()', 'applied'),
           ('set_password', 't "raw" role', 'ALTER ROLE "t ""raw"" role" PASSWORD ''********''', 'applied'),
           ('set_password', 't_report', 'ALTER ROLE t_report PASSWORD ''********''', 'applied')$$,
  'the call does that'
);
SELECT ok(pg_temp.is_right('t_report') AND pg_temp.is_right('t "raw" role'), 'each role has its new password');
INSERT INTO seen SELECT rolecall.reporting_role_password('t_report');
INSERT INTO seen SELECT rolecall.reporting_role_password('t "raw" role');
SELECT is((SELECT count(DISTINCT password) FROM seen), 4::bigint, 'which it never had before');
SELECT is_empty($$SELECT * FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'])$$, 'provisioning has nothing left to do');

-- A verifier that was kept is not taken for the password that a role has.
ALTER ROLE t_report PASSWORD 'mine';
SELECT results_eq(
  $$SELECT operation FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'])$$, ARRAY['set_password'],
  'a password that was changed is found'
);
ALTER ROLE t_report PASSWORD NULL;
SELECT results_eq(
  $$SELECT operation FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'])$$, ARRAY['set_password'],
  'so is one that was taken away'
);
SELECT ok(pg_temp.is_right('t_report'), 'it is put back');
DELETE FROM rolecall_internal.secret WHERE key LIKE 'rolecall.verifier%';
SELECT is_empty(
  $$SELECT * FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'])$$, 'without the kept one it is compared all the same'
);

-- Rotation by age.

UPDATE rolecall_internal.secret SET made_at = made_at - interval '90 days';
SELECT is_empty(
  $$SELECT * FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'], rotate_after => NULL)$$, 'no age is too old for null'
);
SELECT is_empty(
  $$SELECT * FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'], rotate_after => '10000 years')$$,
  'nor is any for an interval that began before there were dates'
);
SELECT results_eq(
  $$SELECT operation, target, status FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'], dry_run => true)$$,
  $$VALUES ('rotate_secret', current_database()::text COLLATE "default", 'planned'), ('set_password', 't_report', 'planned'),
           ('set_password', 't "raw" role', 'planned')$$,
  'a dry run tells that the secret is too old'
);
SELECT results_eq(
  $$SELECT operation, target, status FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'])$$,
  $$VALUES ('rotate_secret', current_database()::text COLLATE "default", 'applied'), ('set_password', 't_report', 'applied'),
           ('set_password', 't "raw" role', 'applied')$$,
  'the run replaces it, for the other role too'
);
SELECT ok(pg_temp.is_right('t_report') AND pg_temp.is_right('t "raw" role'), 'each has its new password');
CREATE TEMPORARY TABLE t_before AS SELECT rolecall.reporting_role_password('t_report') AS password;
SELECT isnt_empty('SELECT * FROM rolecall.rotate_reporting_secret(dry_run => NULL)', 'null is no dry run');
SELECT isnt(rolecall.reporting_role_password('t_report'), (SELECT password FROM t_before), 'so the password is another one');
SELECT ok(pg_temp.is_right('t_report'), 'and set');

-- Roles that are gone, or somebody else's.

DROP OWNED BY t_report;
DROP ROLE t_report;
SELECT results_eq(
  'SELECT operation, target FROM rolecall.rotate_reporting_secret()',
  $$VALUES ('rotate_secret', current_database()::text COLLATE "default"), ('set_password', 't "raw" role')$$,
  'a role that was dropped is left out'
);

-- With an encryption key.

CREATE SCHEMA t_crypto;
CREATE EXTENSION pgcrypto SCHEMA t_crypto;
SET LOCAL rolecall.encryption_key = 'key one';
SELECT is((SELECT count(*) FROM rolecall.rotate_reporting_secret()), 2::bigint, 'with a key');
SELECT ok(s.encrypted, 'the new secret is encrypted') FROM rolecall_internal.secret AS s WHERE s.key = 'rolecall.reporting';
SELECT ok(pg_temp.is_right('t "raw" role'), 'and the passwords are derived from it');
SET LOCAL rolecall.encryption_key = 'key two';
SELECT is((SELECT count(*) FROM rolecall.rotate_reporting_secret()), 2::bigint, 'with another key as well');
SELECT ok(pg_temp.is_right('t "raw" role'), 'it needs not read the old one');
SET LOCAL rolecall.encryption_key = '';
SELECT throws_ok('SELECT * FROM rolecall.rotate_reporting_secret()', '22023', NULL, 'without a key it stores no plain one');
RESET rolecall.encryption_key;
SELECT throws_ok(
  $$SELECT * FROM rolecall.provision_reporting_role('t "raw" role', ARRAY['t_app'], rotate_after => '0')$$, '22023', NULL,
  'nor does a provisioning run'
);

SELECT throws_ok(
  $$SELECT * FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'], rotate_after => '-1 day')$$,
  '22023', 'rotate_after must not be negative: -1 days', 'an age is not negative'
);
SELECT throws_ok(
  $$SELECT * FROM rolecall.apply('{"reporting": {"t_report": {"schemas": ["t_app"], "rotate_after": "-1 day"}}}')$$,
  '22023', 'the policy has 1 problem', 'nor is that of a policy'
);

-- Privileges.

CREATE ROLE t_operator CREATEROLE;
GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO t_operator;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO t_operator;
SET LOCAL ROLE t_operator;
SELECT throws_ok('SELECT * FROM rolecall.rotate_reporting_secret()', '42501', NULL, 'it takes the privileges of the tables');
RESET ROLE;
GRANT ALL ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO t_operator;
SET LOCAL rolecall.encryption_key = 'key two';
-- Before 16, CREATEROLE may set the password of any role that is not a superuser.
ALTER ROLE "t ""raw"" role" SUPERUSER;
SET LOCAL ROLE t_operator;
SELECT throws_ok('SELECT * FROM rolecall.rotate_reporting_secret()', '42501', NULL, 'and the right to set each password');
RESET ROLE;
ALTER ROLE "t ""raw"" role" NOSUPERUSER;
SELECT ok(pg_temp.is_right('t "raw" role'), 'or else the secret is the same as before');

SELECT * FROM finish();
ROLLBACK;
