-- set_secret: what it stores, and how, where the session has an encryption key.
BEGIN;
SELECT plan(31);

SELECT table_privs_are('rolecall_internal', 'secret', 'public', ARRAY[]::text[], 'nor is the table');

SELECT throws_ok($$SELECT * FROM rolecall.set_secret(NULL, 'x')$$, '22004', NULL, 'a null key');
SELECT throws_ok($$SELECT * FROM rolecall.set_secret('t', NULL)$$, '22004', 'value must not be null', 'a null value');
SELECT throws_ok($$SELECT * FROM rolecall.set_secret('', 'x')$$, '22023', NULL, 'an empty key');
SELECT throws_ok($$SELECT * FROM rolecall.set_secret('rolecall.reporting', 'x')$$, '42939', NULL, 'a key of the extension''s own');
SELECT is_empty('TABLE rolecall_internal.secret', 'none of them stored anything');

SELECT results_eq(
  $$SELECT * FROM rolecall.set_secret('it''s', 'first')$$,
  $$VALUES ('set_secret', 'it''s', 'SELECT * FROM rolecall.set_secret(''it''''s'', ''********'')', 'applied', NULL::text, NULL::text)$$,
  'it returns a row, which does not show the secret'
);
SELECT is(rolecall.get_secret('it''s'), 'first', 'the secret is stored');
SELECT is(test.rows($$rolecall.set_secret('it''s', 'first')$$), 0::bigint, 'the same again is nothing to do');
SELECT is(test.least_wal($$SELECT FROM rolecall.set_secret('it''s', 'first')$$), 0::numeric, 'and writes no WAL');
SELECT is(test.rows($$rolecall.set_secret('it''s', 'second')$$), 1::bigint, 'another value is');
SELECT is(rolecall.get_secret('it''s'), 'second', 'it replaces the first one');
SELECT is(test.rows($$rolecall.set_secret('empty', '')$$), 1::bigint, 'a secret may be empty');
SELECT is(rolecall.get_secret('empty'), '', 'which is not null');
SELECT lives_ok($$SELECT * FROM rolecall.set_secret('odd', E'naïve 😀 \\ '' " \n %s $do$')$$, 'any text is a secret');
SELECT is(rolecall.get_secret('odd'), E'naïve 😀 \\ '' " \n %s $do$', 'and comes back as it was');
SELECT is(coalesce(current_setting('rolecall.plain', true), ''), '', 'no secret stays in a setting');

SAVEPOINT read_only;
SET TRANSACTION READ ONLY;
SELECT is(test.rows($$rolecall.set_secret('it''s', 'second')$$), 0::bigint, 'nothing to do works in a READ ONLY transaction');
SELECT throws_ok($$SELECT * FROM rolecall.set_secret('it''s', 'third')$$, '25006', NULL, 'a change does not');
ROLLBACK TO SAVEPOINT read_only;

-- With an encryption key.

SET LOCAL rolecall.encryption_key = 'key one';
SELECT throws_ok($$SELECT * FROM rolecall.set_secret('new', 'x')$$, '55000', NULL, 'a key, but no pgcrypto');
-- Somebody else's function of the same name, in a schema that comes first.
CREATE SCHEMA "t pgcrypto";
CREATE FUNCTION public.pgp_sym_encrypt_bytea(bytea, text, text) RETURNS bytea LANGUAGE sql AS 'SELECT $1';
SELECT throws_ok($$SELECT * FROM rolecall.set_secret('new', 'x')$$, '55000', NULL, 'nor is another function taken for it');
CREATE EXTENSION pgcrypto SCHEMA "t pgcrypto";
SELECT is(test.rows($$rolecall.set_secret('new', 'hidden')$$), 1::bigint, 'with pgcrypto, in whatever schema, it stores');
SELECT ok(
  s.encrypted AND strpos(encode(s.value, 'escape'), 'hidden') = 0
  -- 4: a symmetric key packet; then its length, its version 4, and 9 for AES-256.
  AND get_byte(s.value, 0) & 63 = 3 AND get_byte(s.value, 2) = 4 AND get_byte(s.value, 3) = 9,
  'encrypted by AES-256'
) FROM rolecall_internal.secret AS s WHERE s.key = 'new';
SELECT is("t pgcrypto".pgp_sym_decrypt_bytea(s.value, 'key one'), 'hidden'::bytea, 'as pgcrypto itself reads it')
FROM rolecall_internal.secret AS s WHERE s.key = 'new';
SELECT is(test.least_wal($$SELECT FROM rolecall.set_secret('new', 'hidden')$$), 0::numeric, 'the same again writes nothing');

SELECT is(test.rows($$rolecall.set_secret('it''s', 'second')$$), 0::bigint, 'a plain one of the same value is no other');
SELECT ok(s.encrypted, 'but is encrypted in passing') FROM rolecall_internal.secret AS s WHERE s.key = 'it''s';

SET LOCAL rolecall.encryption_key = 'key two';
SELECT is(test.rows($$rolecall.set_secret('new', 'hidden')$$), 1::bigint, 'under another key it is encrypted anew');
SELECT is(rolecall.get_secret('new'), 'hidden', 'and read with that one');

SET LOCAL rolecall.encryption_key = '';
SELECT throws_ok($$SELECT * FROM rolecall.set_secret('new', 'plain')$$, '22023', NULL, 'without a key nothing plain takes its place');

CREATE ROLE t_nobody;
GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO t_nobody;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO t_nobody;
SET LOCAL ROLE t_nobody;
SELECT throws_ok($$SELECT * FROM rolecall.set_secret('mine', 'x')$$, '42501', NULL, 'it takes the privileges of the table');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
