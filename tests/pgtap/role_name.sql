-- role_name: which role a base role is in this database.
BEGIN;
SELECT plan(15);

CREATE FUNCTION pg_temp.names() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(rolecall.role_name(k.key), ' ' ORDER BY k.position)
  FROM unnest(ARRAY['anonymous', 'authenticated', 'administrator', 'default']) WITH ORDINALITY AS k(key, position)
$$;

SELECT is(pg_temp.names(), 'anonymous authenticated administrator anonymous', 'before any call the names are the usual ones');
SELECT hasnt_role('anonymous', 'whether or not there are such roles');

SELECT count(*) FROM rolecall.create_base_roles('t_anon', dry_run => true);
SELECT is(pg_temp.names(), 'anonymous authenticated administrator anonymous', 'a dry run changes no name');
SELECT count(*) FROM rolecall.create_base_roles('t_anon', 't_auth', 't "Admin"');
SELECT is(pg_temp.names(), 't_anon t_auth t "Admin" t_anon', 'names that were once given, as they were given');
SELECT count(*) FROM rolecall.create_base_roles('t_other');
SELECT is(pg_temp.names(), 't_other t_auth t "Admin" t_other', 'the default role follows the anonymous one');
SELECT count(*) FROM rolecall.create_base_roles(default_role => 't_auth');
SELECT is(pg_temp.names(), 't_other t_auth t "Admin" t_auth', 'until it is given a name of its own');
SELECT count(*) FROM rolecall.create_base_roles('t_anon');
SELECT is(pg_temp.names(), 't_anon t_auth t "Admin" t_auth', 'which it keeps');
DROP ROLE t_auth;
SELECT is(pg_temp.names(), 't_anon t_auth t "Admin" t_auth', 'a name outlives its role');

SELECT throws_ok('SELECT rolecall.role_name(NULL)', '22004', 'key must not be null', 'a null key');
SELECT throws_ok($$SELECT rolecall.role_name('')$$, '22023', NULL, 'an empty one');
SELECT throws_ok($$SELECT rolecall.role_name('other')$$, '22023', 'there is no base role "other"', 'another base role');
SELECT throws_ok($$SELECT rolecall.role_name('Default')$$, '22023', NULL, 'capitals make another key');
SELECT throws_ok($$SELECT rolecall.role_name('t_anon')$$, '22023', NULL, 'a name is no key');

CREATE ROLE t_op CREATEROLE;
SELECT count(*) FROM rolecall.add_operator('t_op');
SET LOCAL ROLE t_op;
SELECT is(pg_temp.names(), 't_anon t_auth t "Admin" t_auth', 'an operator gets the same answers');
RESET ROLE;

SET LOCAL transaction_read_only = on;
SELECT is(rolecall.role_name('default'), 't_auth', 'it works in a READ ONLY transaction');

SELECT * FROM finish();
ROLLBACK;
