-- set_secret_if_absent: the first value stays. That it does among several connections is tested in concurrency/.
BEGIN;
SELECT plan(15);

SELECT throws_ok($$SELECT rolecall.set_secret_if_absent(NULL, 'x')$$, '22004', NULL, 'a null key');
SELECT throws_ok($$SELECT rolecall.set_secret_if_absent('t', NULL)$$, '22004', 'value must not be null', 'a null value');
SELECT throws_ok($$SELECT rolecall.set_secret_if_absent('', 'x')$$, '22023', NULL, 'an empty key');
SELECT throws_ok($$SELECT rolecall.set_secret_if_absent('rolecall.x', 'x')$$, '42939', NULL, 'a key of the extension''s own');

SELECT is(rolecall.set_secret_if_absent('t', 'first'), 'first', 'it stores and returns the first value');
SELECT is(rolecall.set_secret_if_absent('t', 'second'), 'first', 'and after that returns it');
SELECT is(rolecall.get_secret('t'), 'first', 'it is stored');
SELECT is(rolecall.set_secret_if_absent('empty', '') || rolecall.set_secret_if_absent('empty', 'x'), '', 'an empty value is a value');

SAVEPOINT read_only;
SET TRANSACTION READ ONLY;
SELECT is(rolecall.set_secret_if_absent('t', 'third'), 'first', 'in a READ ONLY transaction too');
SELECT throws_ok($$SELECT rolecall.set_secret_if_absent('new', 'x')$$, '25006', NULL, 'where nothing can be stored');
ROLLBACK TO SAVEPOINT read_only;

CREATE EXTENSION pgcrypto;
SET LOCAL rolecall.encryption_key = 'key one';
SELECT is(rolecall.set_secret_if_absent('u', 'hidden'), 'hidden', 'with a key it stores');
SELECT ok(s.encrypted, 'encrypted') FROM rolecall_internal.secret AS s WHERE s.key = 'u';
SELECT is(rolecall.set_secret_if_absent('u', 'other'), 'hidden', 'and reads that');
SET LOCAL rolecall.encryption_key = 'key two';
SELECT throws_ok($$SELECT rolecall.set_secret_if_absent('u', 'other')$$, '22023', NULL, 'not with another key');
SET LOCAL rolecall.encryption_key = '';
SELECT throws_ok($$SELECT rolecall.set_secret_if_absent('u', 'other')$$, '22023', NULL, 'nor with none');

SELECT * FROM finish();
ROLLBACK;
