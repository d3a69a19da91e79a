-- get_secret: the value or null, decrypted with the right key alone.
BEGIN;
SELECT plan(22);

SELECT throws_ok('SELECT rolecall.get_secret(NULL)', '22004', NULL, 'a null key');
SELECT throws_ok($$SELECT rolecall.get_secret('')$$, '22023', 'key must not be empty', 'an empty key');
SELECT throws_ok(
  $$SELECT rolecall.get_secret('rolecall.reporting')$$, '42939', 'key "rolecall.reporting" is reserved',
  'the secret of the reporting roles is not given out'
);
SELECT is(rolecall.get_secret('t'), NULL, 'an unknown key is null');

SELECT rolecall.set_secret('t', 'open sesame');
SELECT rolecall.set_secret('u', 'older');
SELECT is(rolecall.get_secret('t'), 'open sesame', 'a known one has its value');

SET LOCAL rolecall.encryption_key = 'key one';
SELECT throws_ok(
  $$SELECT rolecall.get_secret('t')$$, '55000',
  'secrets are to be encrypted, but the extension pgcrypto is not installed in this database', 'it cannot be encrypted without pgcrypto'
);
CREATE SCHEMA t_crypto;
CREATE EXTENSION pgcrypto SCHEMA t_crypto;

CREATE TEMPORARY VIEW encrypted AS SELECT s.key FROM rolecall_internal.secret AS s WHERE s.encrypted ORDER BY s.key;
CREATE TEMPORARY TABLE before AS SELECT s.key, s.made_at FROM rolecall_internal.secret AS s;
SAVEPOINT read_only;
SET TRANSACTION READ ONLY;
SELECT is(rolecall.get_secret('t'), 'open sesame', 'a READ ONLY transaction reads a plain one');
SELECT is_empty('TABLE encrypted', 'as it is');
ROLLBACK TO SAVEPOINT read_only;

CREATE ROLE t_reader;
GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO t_reader;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO t_reader;
SAVEPOINT reader;
SET LOCAL ROLE t_reader;
SELECT throws_ok($$SELECT rolecall.get_secret('t')$$, '42501', NULL, 'it takes SELECT on the table');
RESET ROLE;
GRANT SELECT ON rolecall_internal.secret TO t_reader;
SET LOCAL ROLE t_reader;
SELECT is(rolecall.get_secret('t'), 'open sesame', 'so does a caller who may only read');
RESET ROLE;
SELECT is_empty('TABLE encrypted', 'and who changes nothing');
ROLLBACK TO SAVEPOINT reader;

SELECT is(rolecall.get_secret('t'), 'open sesame', 'who may write gets it as well');
SELECT results_eq('TABLE encrypted', ARRAY['t'], 'and encrypts what it has read');
SELECT results_eq('SELECT key, made_at FROM rolecall_internal.secret ORDER BY 1', 'SELECT * FROM before ORDER BY 1', 'which is no newer for that');
SELECT is(rolecall.get_secret('t'), 'open sesame', 'it is read again');

SAVEPOINT read_only;
SET TRANSACTION READ ONLY;
SELECT is(rolecall.get_secret('t'), 'open sesame', 'also in a READ ONLY transaction');
ROLLBACK TO SAVEPOINT read_only;

SET LOCAL rolecall.encryption_key = 'another';
SELECT throws_ok(
  $$SELECT rolecall.get_secret('t')$$, '22023', 'secret "t" was encrypted with another key', 'another key does not read it'
);
CREATE FUNCTION pg_temp.attempt(key text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('rolecall.encryption_key', key, true);
  RETURN 'read ' || rolecall.get_secret('t');
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END
$$;
SELECT results_eq(
  $$SELECT DISTINCT pg_temp.attempt('wrong ' || i) FROM generate_series(1, 300) AS i$$, ARRAY['22023'], 'whatever key it is'
);
SET LOCAL rolecall.encryption_key = '';
SELECT throws_ok(
  $$SELECT rolecall.get_secret('t')$$, '22023', 'secret "t" is encrypted, and this session has no key', 'nor does none'
);
RESET rolecall.encryption_key;
SELECT is(rolecall.get_secret('u'), 'older', 'one that nobody has encrypted needs no key');

-- A value that pgcrypto did not encrypt is not returned as garbage either.
UPDATE rolecall_internal.secret SET value = '\x0102' WHERE key = 't';
SET LOCAL rolecall.encryption_key = 'key one';
SELECT throws_ok($$SELECT rolecall.get_secret('t')$$, '22023', NULL, 'a damaged value is an error');
DROP EXTENSION pgcrypto;
SELECT throws_ok($$SELECT rolecall.get_secret('t')$$, '55000', NULL, 'an encrypted one is not read without pgcrypto');

SELECT * FROM finish();
ROLLBACK;
