-- scram_sha_256: verifiers, compared with the RFC's example and with the server's own.
BEGIN;
SELECT plan(24);

SELECT throws_ok('SELECT rolecall.scram_sha_256(NULL)', '22004', 'password must not be null', 'a null password');
SELECT throws_ok($$SELECT rolecall.scram_sha_256('')$$, '22023', 'password must not be empty', 'an empty password');
SELECT throws_ok(
  format('SELECT rolecall.scram_sha_256(%L)', password), '22023',
  'password must not be an MD5 hash or an incomplete SCRAM-SHA-256 verifier', what
) FROM (VALUES ('an MD5 hash', 'md5' || md5('x')), ('half a verifier', 'SCRAM-SHA-256$4096:salt$key')) AS p(what, password);
SELECT throws_ok($$SELECT rolecall.scram_sha_256('x', NULL)$$, '22004', 'iteration count must not be null', 'a null count');
SELECT throws_ok($$SELECT rolecall.scram_sha_256('x', 0)$$, '22023', 'iteration count must be at least 1', 'no iterations');
SELECT throws_ok($$SELECT rolecall.scram_sha_256('x', -1)$$, '22023', NULL, 'fewer than none');

SELECT is(
  rolecall_internal.scram('pencil', decode('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096),
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  'the example of RFC 7677'
);
SELECT matches(
  rolecall.scram_sha_256('x'), '^SCRAM-SHA-256\$4096:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$', 'the form'
);
SELECT isnt(rolecall.scram_sha_256('x'), rolecall.scram_sha_256('x'), 'each with its own salt');
SELECT is(count(*), 12::bigint, 'any count of iterations')
FROM generate_series(1, 12) AS i WHERE rolecall_internal.password_matches('x', rolecall.scram_sha_256('x', i::integer));
-- Round by round, as RFC 5802 has it; several are added together at a time.
CREATE FUNCTION pg_temp.salted(password bytea, salt bytea, iterations integer) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
  v_digest bytea := salt || int4send(1);
  v_sum bit(256) := repeat('0', 256)::bit(256);
BEGIN
  FOR i IN 1 .. iterations LOOP
    v_digest := rolecall_internal.hmac_sha256(password, v_digest);
    v_sum := v_sum # ('x' || encode(v_digest, 'hex'))::bit(256);
  END LOOP;
  RETURN substring(varbit_send(v_sum) FROM 5);
END
$$;
SELECT is(
  array_agg(split_part(rolecall_internal.scram('x', '\x5b6d', i), ':', 3) ORDER BY i),
  array_agg(encode(rolecall_internal.hmac_sha256(pg_temp.salted('x', '\x5b6d', i), 'Server Key'), 'base64') ORDER BY i),
  'every round counts once'
)
FROM generate_series(1, 40) AS i;
SELECT is(
  array_agg(DISTINCT split_part(rolecall_internal.scram('x', '\x5b6d', i), ':', 3)), ARRAY[split_part(rolecall_internal.scram('x', '\x5b6d', 1), ':', 3)],
  'the server does one round where a verifier says none'
)
FROM unnest(ARRAY[0, -1, -2147483648]) AS i;
SELECT matches(rolecall.scram_sha_256('x', 7), '^SCRAM-SHA-256\$7:', 'which is written into the verifier');

-- What the server makes of the same passwords: ASCII, longer than a block of SHA-256, and texts that SASLprep changes,
-- forbids or leaves alone.
CREATE TEMPORARY TABLE password (plain text);
INSERT INTO password VALUES
  ('x'), (repeat('long ', 40)), ('naïve'), (U&'nai\0308ve'), (U&'soft\00ADhyphen'), (U&'wide\3000space'), (U&'\2168'), (U&'\FB01x'),
  (U&'\0627\0628'), (U&'\0627a'), (U&'\200B'), ('😀'), (U&'\0378'), ('it''s $do$ %I \');
CREATE ROLE t_server;
CREATE FUNCTION pg_temp.of_server(password text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER ROLE t_server PASSWORD %L', password);
  RETURN (SELECT rolpassword FROM pg_authid WHERE rolname = 't_server');
END
$$;
SELECT is(v.fields[1] || rolecall_internal.scram(p.plain, decode(v.fields[2], 'base64'), 4096), v.verifier, 'the server''s verifier of ' || p.plain)
FROM password AS p, LATERAL (SELECT pg_temp.of_server(p.plain)) AS s(verifier),
     LATERAL (SELECT s.verifier, regexp_match(s.verifier, '^()SCRAM-SHA-256\$4096:([^$]+)') AS fields) AS v
WHERE p.plain IN ('x', U&'nai\0308ve', U&'soft\00ADhyphen', U&'wide\3000space', U&'\FB01x', U&'\0627a', U&'\200B');
SELECT is(count(*), (SELECT count(*) FROM password), 'and of the others')
FROM password AS p WHERE rolecall_internal.password_matches(p.plain, pg_temp.of_server(p.plain));
SELECT is(count(*), 0::bigint, 'no other password is taken for one of them')
FROM password AS p WHERE rolecall_internal.password_matches(p.plain || 'y', pg_temp.of_server(p.plain));
SELECT ok(rolecall_internal.password_matches('naïve', rolecall.scram_sha_256(U&'nai\0308ve')), 'two spellings of one password');

SELECT * FROM finish();
ROLLBACK;
