-- set_password: what is stored, and what is not. That it logs in is tested in security/.
BEGIN;
SELECT plan(54);

CREATE ROLE t_op CREATEROLE;
GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO t_op;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO t_op;
GRANT ALL ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO t_op;
SET LOCAL ROLE t_op;
CREATE ROLE "t alice" LOGIN;
RESET ROLE;
COMMENT ON ROLE "t alice" IS 'as it was';

CREATE FUNCTION pg_temp.stored() RETURNS text LANGUAGE sql AS $$SELECT rolpassword FROM pg_authid WHERE rolname = 't alice'$$;
SELECT throws_ok($$SELECT * FROM rolecall.set_password(NULL, 'x')$$, '22004', NULL, 'a null name');
SELECT throws_ok($$SELECT * FROM rolecall.set_password('', 'x')$$, '42602', NULL, 'an empty name');
SELECT throws_ok(format('SELECT * FROM rolecall.set_password(%L, %L)', repeat('x', 64), 'x'), '42602', NULL, 'a name of 64 bytes');
SELECT throws_ok($$SELECT * FROM rolecall.set_password('pg_mine', 'x')$$, '42939', NULL, 'a reserved name');
SELECT throws_ok($$SELECT * FROM rolecall.set_password('t alice', NULL)$$, '22004', 'password must not be null', 'a null password');
SELECT throws_ok($$SELECT * FROM rolecall.set_password('t alice', '')$$, '22023', NULL, 'an empty password');
SELECT throws_ok($$SELECT * FROM rolecall.set_password('t nobody', 'x')$$, '42704', NULL, 'a role that does not exist');
SELECT is(pg_temp.stored(), NULL, 'none of them set a password');

-- A plain password.

SELECT results_eq(
  $$SELECT * FROM rolecall.set_password('t alice', 'secret', dry_run => true)$$,
  $$VALUES ('set_password', 't alice', 'ALTER ROLE "t alice" PASSWORD ''********''', 'planned', NULL::text, NULL::text)$$,
  'a dry run says what it would do'
);
SELECT is(pg_temp.stored(), NULL, 'and does not');
SELECT results_eq(
  $$SELECT * FROM rolecall.set_password('t alice', 'secret')$$,
  $$VALUES ('set_password', 't alice', 'ALTER ROLE "t alice" PASSWORD ''********''', 'applied', NULL::text, NULL::text)$$,
  'the call does'
);
SELECT matches(pg_temp.stored(), '^SCRAM-SHA-256\$4096:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$', 'a verifier is stored');
SELECT is(shobj_description('"t alice"'::regrole, 'pg_authid'), 'as it was', 'the role keeps its comment');
SELECT is(test.rows($$rolecall.set_password('t alice', 'secret')$$), 0::bigint, 'the same again is nothing to do');
SELECT is(test.least_wal($$SELECT FROM rolecall.set_password('t alice', 'secret')$$), 0::numeric, 'and writes no WAL');
SAVEPOINT read_only;
SET TRANSACTION READ ONLY;
SELECT is(test.rows($$rolecall.set_password('t alice', 'secret')$$), 0::bigint, 'it works in a READ ONLY transaction');
SELECT throws_ok($$SELECT * FROM rolecall.set_password('t alice', 'other')$$, '25006', NULL, 'where no password can be set');
ROLLBACK TO SAVEPOINT read_only;
ALTER ROLE "t alice" PASSWORD 'of the server''s making';
SELECT is(
  test.rows($$rolecall.set_password('t alice', 'of the server''s making')$$), 0::bigint, 'a verifier that the server made is compared'
);
SELECT is(test.rows($$rolecall.set_password('t alice', 'Of the server''s making')$$), 1::bigint, 'another password is another');

-- Until when.

SELECT results_eq(
  $$SELECT statement FROM rolecall.set_password('t alice', 'secret', '2100-01-01 00:00+00')$$,
  $$SELECT format('ALTER ROLE "t alice" VALID UNTIL %L PASSWORD ''********''', '2100-01-01 00:00+00'::timestamptz)$$,
  'with an end'
);
SELECT is(test.rows($$rolecall.set_password('t alice', 'secret', '2100-01-01 00:00+00')$$), 0::bigint, 'once');
SELECT is(test.rows($$rolecall.set_password('t alice', 'secret')$$), 0::bigint, 'null leaves the end as it is');
CREATE TEMPORARY TABLE before AS SELECT pg_temp.stored() AS stored;
SELECT results_eq(
  $$SELECT * FROM rolecall.set_password('t alice', 'secret', 'infinity', dry_run => true)$$,
  $$VALUES ('alter_role', 't alice', 'ALTER ROLE "t alice" VALID UNTIL ''infinity''', 'planned', NULL::text, NULL::text)$$,
  'the same password with another end leaves the verifier alone'
);
SELECT results_eq(
  $$SELECT * FROM rolecall.set_password('t alice', 'secret', 'infinity')$$,
  $$VALUES ('alter_role', 't alice', 'ALTER ROLE "t alice" VALID UNTIL ''infinity''', 'applied', NULL::text, NULL::text)$$,
  'the call does too'
);
SELECT is(rolvaliduntil, 'infinity', 'so that there is none') FROM pg_roles WHERE rolname = 't alice';
SELECT is(pg_temp.stored(), stored, 'and the verifier is the same') FROM before;
SELECT is(test.rows($$rolecall.set_password('t alice', 'secret', 'infinity')$$), 0::bigint, 'once');
SELECT is(
  (SELECT count(*) FROM before, rolecall.set_password('t alice', stored, '2100-01-01') AS s WHERE s.operation = 'alter_role'), 1::bigint,
  'a verifier that is stored already stays, too'
);
SELECT is(pg_temp.stored(), stored, 'as it is') FROM before;

-- Texts that are, or look like, verifiers.

CREATE TEMPORARY TABLE verifier AS
SELECT rolecall_internal.scram('pencil', '\x5b6d99689d12358eec0a04b141236fa8', 4096) AS good,
       rolecall_internal.scram('', '\x5b6d99689d12358eec0a04b141236fa8', 4096) AS empty;
GRANT SELECT ON verifier TO t_op;
SELECT is((SELECT count(*) FROM verifier, rolecall.set_password('t alice', good)), 1::bigint, 'a verifier is taken');
SELECT is(pg_temp.stored(), good, 'as it is') FROM verifier;
SELECT is((SELECT count(*) FROM verifier, rolecall.set_password('t alice', good)), 0::bigint, 'once');
SELECT is(test.rows($$rolecall.set_password('t alice', 'pencil')$$), 0::bigint, 'it is one of its password');

SELECT throws_ok(
  $$SELECT * FROM rolecall.set_password('t alice', (SELECT empty FROM verifier))$$, '22023', 'password must not be empty',
  'a verifier of the empty password is refused'
);
SELECT is(pg_temp.stored(), good, 'the server does not clear the password') FROM verifier;

CREATE TEMPORARY TABLE no_password (what text, password text);
INSERT INTO no_password
SELECT 'an MD5 hash', 'md5' || md5('x')
UNION ALL SELECT 'what only begins like a verifier', 'SCRAM-SHA-256$4096:salt$key'
UNION ALL SELECT 'a verifier with its end cut off', left(good, -1) FROM verifier;
SELECT throws_ok(
  format('SELECT * FROM rolecall.set_password(%L, %L, dry_run => %L)', 't alice', password, dry_run), '22023',
  'password must not be an MD5 hash or an incomplete SCRAM-SHA-256 verifier', format('%s is refused, dry_run => %s', what, dry_run)
) FROM no_password, (VALUES (false), (true)) AS d(dry_run);
DO $$
BEGIN
  PERFORM FROM rolecall.set_password('t alice', 'md5' || md5('x'));
EXCEPTION
  WHEN invalid_parameter_value THEN
    DECLARE
      v_hint text;
    BEGIN
      GET STACKED DIAGNOSTICS v_hint = PG_EXCEPTION_HINT;
      PERFORM set_config('t.hint', v_hint, true);
    END;
END
$$;
SELECT is(
  current_setting('t.hint'), 'Pass the password itself, or a complete SCRAM-SHA-256 verifier of it.', 'with a hint'
);
SELECT throws_ok(
  $$SELECT * FROM rolecall.set_password('', 'md5' || md5('x'))$$, '42602', NULL, 'an impossible name comes before it'
);
SELECT is(pg_temp.stored(), good, 'none of them is stored') FROM verifier;
SELECT is((SELECT count(*) FROM rolecall.set_password('t alice', p.password)), 1::bigint, p.password || ' is a plain password')
FROM (VALUES ('md5'), ('md5' || upper(md5('x'))), ('SCRAM-SHA-256')) AS p(password);

-- What a role may set for itself must not keep the next caller busy: this one would take half an hour to compare.
UPDATE pg_authid SET rolpassword = replace(good, '$4096:', '$2147483647:') FROM verifier WHERE rolname = 't alice';
SET LOCAL statement_timeout = '60s';
SELECT is(test.rows($$rolecall.set_password('t alice', 'pencil')$$), 1::bigint, 'a verifier of absurdly many iterations differs');
RESET statement_timeout;

-- A caller who cannot read what is stored.

SET LOCAL ROLE t_op;
SELECT is(test.rows($$rolecall.set_password('t alice', 'pencil')$$), 1::bigint, 'who cannot compare sets it');
SELECT is(
  operation, 'set_password', 'with another end, too'
) FROM rolecall.set_password('t alice', 'pencil', 'infinity');
SELECT throws_ok(
  format('SELECT * FROM rolecall.set_password(%L, %L)', 't alice', 'md5' || md5('x')), '22023', NULL, 'nor may it pass a hash'
);
SELECT throws_ok(
  $$SELECT * FROM rolecall.set_password('t alice', (SELECT empty FROM verifier))$$, '22023', 'password must not be empty',
  'and may not clear it either'
);
SELECT is((SELECT count(*) FROM verifier, rolecall.set_password('t alice', good)), 1::bigint, 'another verifier is taken');
RESET ROLE;
ALTER ROLE "t alice" SUPERUSER;
SET LOCAL ROLE t_op;
SELECT throws_ok($$SELECT * FROM rolecall.set_password('t alice', 'secret')$$, '42501', NULL, 'a superuser''s password is not set');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
