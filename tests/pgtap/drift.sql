-- drift(): silent while all is as asked for, and one step for each thing that is not.
BEGIN;
SELECT plan(32);

CREATE ROLE t_nobody;
SET LOCAL ROLE t_nobody;
SELECT throws_ok('SELECT * FROM rolecall.drift()', '42501', NULL, 'nobody else may call it');
RESET ROLE;

CREATE FUNCTION pg_temp.drift() RETURNS TABLE (operation text, statement text) LANGUAGE sql
AS $$SELECT operation, statement FROM rolecall.drift()$$;

SELECT is_empty('SELECT * FROM rolecall.drift()', 'before any call nothing is asked for');

CREATE ROLE t_owner;
CREATE SCHEMA t_app;
GRANT ALL ON SCHEMA t_app TO t_owner;
CREATE TABLE t_app.patient (id integer);
CREATE TABLE t_app.token (id integer);
ALTER TABLE t_app.patient OWNER TO t_owner;
SELECT count(*) FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin');
SELECT count(*) FROM rolecall.create_client_role('t_client');
SELECT count(*) FROM rolecall.create_user('t_alice', 'secret');
SELECT count(*) FROM rolecall.create_user_with_grants('t_bob', NULL, ARRAY['t_admin']);
SELECT count(*) FROM rolecall.grant_role('t_client', 't_bob', true);
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'], ARRAY['token']);
SELECT is_empty('SELECT * FROM rolecall.drift()', 'after the calls all is as asked for');

ALTER ROLE t_admin CREATEDB NOBYPASSRLS;
SELECT results_eq(
  'SELECT * FROM rolecall.drift()',
  $$VALUES ('alter_role', 't_admin', 'ALTER ROLE t_admin NOCREATEDB BYPASSRLS', 'planned', NULL::text, NULL::text)$$,
  'an attribute of a base role'
);
ALTER ROLE t_admin NOCREATEDB BYPASSRLS;
SELECT is_empty('SELECT * FROM rolecall.drift()', 'put back, it is none');

ALTER ROLE t_alice NOLOGIN CREATEDB PASSWORD 'other';
SELECT is_empty('SELECT * FROM rolecall.drift()', 'attributes and passwords of users were never asked for');

REVOKE t_auth FROM t_alice;
SELECT results_eq('SELECT * FROM pg_temp.drift()', $$VALUES ('grant_role', 'GRANT t_auth TO t_alice')$$, 'a membership');
GRANT t_auth TO t_alice;
REVOKE ADMIN OPTION FOR t_client FROM t_bob;
SELECT matches((SELECT statement FROM rolecall.drift()), '^GRANT t_client TO t_bob WITH ADMIN OPTION', 'its ADMIN OPTION');
GRANT t_client TO t_bob WITH ADMIN OPTION;
GRANT t_admin TO t_alice;
SELECT is_empty('SELECT * FROM rolecall.drift()', 'a membership that nobody asked about is left alone');
SELECT count(*) FROM rolecall.revoke_role('t_admin', 't_bob');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'and one that was ended by a call is not missed');

ALTER ROLE t_client SET statement_timeout = '1h';
SELECT results_eq(
  'SELECT * FROM pg_temp.drift()',
  $$VALUES ('set_config', 'ALTER ROLE t_client SET statement_timeout = ''15s''')$$, 'a setting'
);
SELECT count(*) FROM rolecall.create_client_role('t_client', '30s');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'what was asked for last is what counts');

SELECT ok(
  rolecall_internal.password_matches(
    rolecall.reporting_role_password('t_report'), (SELECT rolpassword FROM pg_authid WHERE rolname = 't_report')
  ),
  'the reporting role has its derived password'
);
ALTER ROLE t_report PASSWORD 'other';
SELECT results_eq(
  'SELECT * FROM pg_temp.drift()',
  $$VALUES ('set_password', 'ALTER ROLE t_report PASSWORD ''********''')$$, 'the password of a reporting role'
);
SELECT count(*) FROM rolecall.provision_reporting_role('t_report', ARRAY['t_app'], ARRAY['token']);
SELECT is_empty('SELECT * FROM rolecall.drift()', 'which the next call sets');

REVOKE SELECT ON t_app.patient FROM t_report;
SELECT results_eq(
  'SELECT * FROM pg_temp.drift()',
  $$VALUES ('grant_privilege', 'GRANT SELECT ON t_app.patient TO t_report')$$, 'a table that it cannot read any more'
);
GRANT SELECT, INSERT ON t_app.patient TO t_report;
GRANT SELECT ON t_app.token TO t_report;
GRANT CREATE ON SCHEMA t_app TO t_report;
SELECT bag_eq(
  'SELECT * FROM pg_temp.drift()',
  $$VALUES ('revoke_privilege', 'REVOKE INSERT ON t_app.patient FROM t_report CASCADE'),
           ('revoke_privilege', 'REVOKE SELECT ON t_app.token FROM t_report CASCADE'),
           ('revoke_privilege', 'REVOKE CREATE ON SCHEMA t_app FROM t_report CASCADE')$$,
  'what it has gained'
);
REVOKE INSERT ON t_app.patient FROM t_report;
REVOKE SELECT ON t_app.token FROM t_report;
REVOKE CREATE ON SCHEMA t_app FROM t_report;
GRANT t_admin TO t_report;
SELECT matches((SELECT statement FROM rolecall.drift()), '^REVOKE t_admin FROM t_report', 'a membership that it must not have');
REVOKE t_admin FROM t_report;
CREATE ROLE t_late;
SELECT count(*) FROM rolecall.grant_role('t_client', 't_late');
SELECT count(*) FROM rolecall.provision_reporting_role('t_late', ARRAY['t_app'], ARRAY['token']);
SELECT is_empty('SELECT * FROM rolecall.drift()', 'also where a call asked for it before');
SELECT count(*) FROM rolecall.remove_user('t_late', drop_owned => true);
ALTER DEFAULT PRIVILEGES FOR ROLE t_owner IN SCHEMA t_app REVOKE SELECT ON TABLES FROM t_report;
SELECT results_eq(
  'SELECT * FROM pg_temp.drift()',
  $$VALUES ('default_privilege', 'ALTER DEFAULT PRIVILEGES FOR ROLE t_owner IN SCHEMA t_app GRANT SELECT ON TABLES TO t_report')$$,
  'default privileges'
);
ALTER DEFAULT PRIVILEGES FOR ROLE t_owner IN SCHEMA t_app GRANT SELECT ON TABLES TO t_report;

-- Who looks makes no difference to what was asked for.
CREATE ROLE t_other SUPERUSER;
SET LOCAL ROLE t_other;
SELECT is_empty('SELECT * FROM rolecall.drift()', 'another superuser sees the same');
RESET ROLE;
ALTER ROLE t_other NOSUPERUSER CREATEROLE;
GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO t_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO t_other;
GRANT SELECT ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO t_other;
ALTER ROLE t_report PASSWORD 'other';
SET LOCAL ROLE t_other;
SELECT is_empty('SELECT * FROM rolecall.drift()', 'who cannot read verifiers is not told that passwords may differ');
RESET ROLE;
SELECT count(*) FROM rolecall.converge();
REVOKE SELECT ON t_app.patient FROM t_report;
SET LOCAL ROLE t_other;
SELECT results_eq(
  'SELECT operation, status, sqlstate FROM rolecall.drift()',
  $$VALUES ('grant_privilege', 'skipped', '42501')$$, 'what the caller may not do is skipped'
);
RESET ROLE;
GRANT SELECT ON t_app.patient TO t_report;

DROP ROLE t_alice;
SELECT results_eq(
  'SELECT operation, statement, note FROM rolecall.drift()',
  $$VALUES ('create_role', 'CREATE ROLE t_alice LOGIN',
            'created without a password, which is not recorded: rolecall.set_password() sets one'),
           ('grant_role', 'GRANT t_anon TO t_alice', NULL), ('grant_role', 'GRANT t_auth TO t_alice', NULL)$$,
  'a user that is gone, whose password nobody knows'
);
SELECT hasnt_role('t_alice', 'it is only planned');
SELECT count(*) FROM rolecall.converge();

DELETE FROM rolecall_internal.secret;
SELECT results_eq(
  'SELECT * FROM pg_temp.drift()',
  $$VALUES ('rotate_secret', 'SELECT * FROM rolecall.rotate_reporting_secret()'),
           ('set_password', 'ALTER ROLE t_report PASSWORD ''********''')$$,
  'a secret that is gone takes the password of each reporting role with it'
);
SELECT is_empty('SELECT FROM rolecall_internal.secret', 'none is made');
SELECT count(*) FROM rolecall.converge();

-- Errors.
ALTER ROLE t_admin SUPERUSER;
SELECT results_eq(
  'SELECT DISTINCT target, status, sqlstate FROM rolecall.drift()', $$VALUES ('t_admin', 'skipped', '22023')$$,
  'a base role that has become a superuser is left alone, and said'
);
ALTER ROLE t_admin NOSUPERUSER;
SELECT is_empty('SELECT * FROM rolecall.drift()', 'all is as asked for again');

-- What an operator writes into the table can be anything, but a step is one statement, and what it says.
INSERT INTO rolecall_internal.resource (section, key, resource) VALUES
  ('roles', '["t_nobody"]', '{"name": "t_nobody", "attributes": {"login CREATEDB; CREATE ROLE t_made; --": true, "createdb": true}}'),
  ('settings', '["t_nobody", "x"]', '{"role": "t_nobody", "name": "work_mem = 64; CREATE ROLE t_made; --", "value": "64"}');
SELECT results_eq(
  'SELECT operation, target, status, sqlstate FROM rolecall.drift()',
  $$VALUES ('forget', 't_nobody', 'skipped', '22023'), ('forget', 't_nobody', 'skipped', '22023')$$,
  'names of attributes and settings are no way to other statements'
);
SELECT results_eq(
  $$SELECT note COLLATE "C" FROM rolecall.converge() WHERE operation = 'forget'$$,
  $$SELECT format('recorded by %I: %s', current_user, n.note) COLLATE "C"
    FROM (VALUES ('no role has such an attribute'), ('its key is that of another row')) AS n(note)$$,
  'and end no call'
);
SELECT hasnt_role('t_made', 'and makes nothing of it');

SELECT * FROM finish();
ROLLBACK;
