-- grant_role: one membership, with its options.
BEGIN;
SELECT plan(102);

-- The rows of a membership, with the options that they have: from 16 one for each grantor.
CREATE FUNCTION pg_temp.edges(role text, username text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(
    concat_ws(' ', CASE WHEN test.is_16() THEN CASE m.grantor WHEN 10 THEN 'superuser' ELSE m.grantor::regrole::text END ELSE 'anybody' END,
              CASE WHEN m.admin_option THEN 'admin' END,
              CASE WHEN (to_jsonb(m) -> 'inherit_option')::boolean THEN 'inherit' END,
              CASE WHEN (to_jsonb(m) -> 'set_option')::boolean THEN 'set' END),
    ', ' ORDER BY m.grantor
  )
  FROM pg_auth_members AS m
  WHERE m.roleid = to_regrole(quote_ident(role)) AND m.member = to_regrole(quote_ident(username))
$$;
CREATE ROLE "t group"; CREATE ROLE t_alice LOGIN;
COMMENT ON ROLE t_alice IS 'as it was';
COMMENT ON ROLE "t group" IS 'as it was, too';

-- A new membership.

CREATE TEMPORARY TABLE before AS SELECT test.state() AS state;
SELECT results_eq(
  $$SELECT * FROM rolecall.grant_role('t group', 't_alice', dry_run => true)$$,
  $$VALUES ('grant_role', 't_alice', 'GRANT "t group" TO t_alice', 'planned', NULL::text, NULL::text)$$,
  'a dry run gives the statement'
);
SELECT is(test.least_wal($$SELECT FROM rolecall.grant_role('t group', 't_alice', dry_run => true)$$), 0::numeric, 'writes no WAL');
SELECT is(test.state(), state, 'and changes nothing') FROM before;
SELECT results_eq(
  $$SELECT * FROM rolecall.grant_role('t group', 't_alice')$$,
  $$VALUES ('grant_role', 't_alice', 'GRANT "t group" TO t_alice', 'applied', NULL::text, NULL::text)$$,
  'the call runs it'
);
SELECT is(
  pg_temp.edges('t group', 't_alice'), CASE WHEN test.is_16() THEN 'superuser inherit set' ELSE 'anybody' END,
  'the membership is one as GRANT makes it'
);
SELECT is_empty($$SELECT * FROM rolecall.grant_role('t group', 't_alice')$$, 'a second call has nothing to do');
SELECT is(test.least_wal($$SELECT FROM rolecall.grant_role('t group', 't_alice')$$), 0::numeric, 'nothing is written');
SELECT is(
  shobj_description('t_alice'::regrole, 'pg_authid') || ', ' || shobj_description('"t group"'::regrole, 'pg_authid'),
  'as it was, as it was, too', 'both roles keep their comments'
);

-- ADMIN OPTION.

SELECT results_eq(
  $$SELECT statement FROM rolecall.grant_role('t group', 't_alice', true)$$,
  $$SELECT 'GRANT "t group" TO t_alice WITH ADMIN OPTION' || CASE WHEN test.is_16() THEN ', INHERIT TRUE, SET TRUE' ELSE '' END$$,
  'a member is given the ADMIN OPTION'
);
SELECT is(
  pg_temp.edges('t group', 't_alice'), CASE WHEN test.is_16() THEN 'superuser admin inherit set' ELSE 'anybody admin' END, 'and has it'
);
SELECT is_empty($$SELECT * FROM rolecall.grant_role('t group', 't_alice', true)$$, 'once');
SELECT is_empty($$SELECT * FROM rolecall.grant_role('t group', 't_alice', NULL)$$, 'null leaves it as it is');
SELECT results_eq(
  $$SELECT operation, statement FROM rolecall.grant_role('t group', 't_alice')$$,
  $$SELECT 'revoke_role', 'REVOKE ADMIN OPTION FOR "t group" FROM t_alice' || CASE WHEN test.is_16() THEN ' GRANTED BY ' || test.superuser() ELSE '' END$$,
  'without it being asked for it is taken away'
);
SELECT is(
  pg_temp.edges('t group', 't_alice'), CASE WHEN test.is_16() THEN 'superuser inherit set' ELSE 'anybody' END, 'and the membership stays'
);
CREATE ROLE t_bob;
SELECT results_eq(
  $$SELECT statement FROM rolecall.grant_role('t group', 't_bob', true)$$,
  $$VALUES ('GRANT "t group" TO t_bob WITH ADMIN OPTION')$$,
  'a new member is given it at once'
);
SELECT results_eq(
  $$SELECT statement FROM rolecall.grant_role('t group', 't_null', NULL, dry_run => true)$$,
  $$VALUES ('GRANT "t group" TO t_null')$$,
  'but not by null'
);

-- INHERIT and SET: before 16 a membership has no such options.

CREATE FUNCTION pg_temp.granted(options text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_statements text;
BEGIN
  EXECUTE format('SELECT string_agg(statement, ''; '') FROM rolecall.grant_role(''t group'', ''t_carol''%s)', options) INTO v_statements;
  RETURN v_statements;
END
$$;
CREATE ROLE t_carol;
SELECT CASE WHEN test.is_16() THEN pass(s.options) ELSE throws_ok(
  format('SELECT pg_temp.granted(%L)', s.options), '0A000', 'the INHERIT and SET options of a membership require PostgreSQL 16 or newer',
  'before 16' || s.options
) END
FROM unnest(ARRAY[
  ', inherit_option => true', ', inherit_option => false', ', set_option => true', ', set_option => false', ', inherit_option => true, dry_run => true'
]) AS s(options);
SELECT is(pg_temp.edges('t group', 't_carol'), NULL, 'nothing is granted then');

CREATE TEMPORARY TABLE option_step (position serial, options text, statements text, edges text, description text);
INSERT INTO option_step (options, statements, edges, description) VALUES
  (', inherit_option => false', 'GRANT "t group" TO t_carol WITH INHERIT FALSE', 'superuser set', 'a new member without INHERIT'),
  (', inherit_option => false', NULL, 'superuser set', 'once'),
  ('', NULL, 'superuser set', 'null leaves it as it is'),
  (', inherit_option => true', 'GRANT "t group" TO t_carol WITH INHERIT TRUE, SET TRUE', 'superuser inherit set', 'INHERIT is added'),
  ('', NULL, 'superuser inherit set', 'null leaves both'),
  (', set_option => false', 'REVOKE SET OPTION FOR "t group" FROM t_carol GRANTED BY {10}', 'superuser inherit', 'SET is taken away'),
  (', set_option => false, inherit_option => true', NULL, 'superuser inherit', 'once'),
  ('', NULL, 'superuser inherit', 'null leaves it away'),
  (', true, set_option => false', 'GRANT "t group" TO t_carol WITH ADMIN OPTION, INHERIT TRUE, SET FALSE', 'superuser admin inherit', 'ADMIN is added to that'),
  (', set_option => true, inherit_option => false', 'REVOKE ADMIN OPTION FOR "t group" FROM t_carol GRANTED BY {10}; '
   'REVOKE INHERIT OPTION FOR "t group" FROM t_carol GRANTED BY {10}; GRANT "t group" TO t_carol WITH INHERIT FALSE, SET TRUE', 'superuser set', 'all three are changed'),
  (', set_option => false', 'REVOKE SET OPTION FOR "t group" FROM t_carol GRANTED BY {10}', 'superuser',
   'INHERIT stays away, as it was asked for before'),
  (', set_option => false', NULL, 'superuser', 'once'),
  ('', NULL, 'superuser', 'null leaves both away'),
  (', inherit_option => true, set_option => true', 'GRANT "t group" TO t_carol WITH INHERIT TRUE, SET TRUE', 'superuser inherit set', 'INHERIT is given again');
SELECT CASE WHEN test.is_16() THEN is(
  concat_ws(' => ', pg_temp.granted(s.options), pg_temp.edges('t group', 't_carol')),
  concat_ws(' => ', replace(s.statements, '{10}', test.superuser()), s.edges), s.description || s.options
) ELSE pass(s.description) END
FROM option_step AS s ORDER BY s.position;

CREATE ROLE t_erin;
DO $$ BEGIN
  IF test.is_16() THEN EXECUTE 'GRANT "t group" TO t_erin WITH INHERIT TRUE, SET FALSE'; END IF;
END $$;
SELECT CASE WHEN test.is_16() THEN is(
  (SELECT string_agg(s.statement, '; ') FROM rolecall.grant_role('t group', 't_erin', inherit_option => false) AS s),
  replace('REVOKE INHERIT OPTION FOR "t group" FROM t_erin GRANTED BY {10}; GRANT "t group" TO t_erin WITH INHERIT FALSE, SET TRUE', '{10}', test.superuser()),
  'where no call has asked for the other option, a membership that would give nothing is one as GRANT makes it'
) ELSE pass('where no call has asked for the other option') END;

CREATE ROLE t_apart NOINHERIT;
SELECT results_eq(
  $$SELECT statement FROM rolecall.grant_role('t group', 't_apart')$$, $$VALUES ('GRANT "t group" TO t_apart')$$, 'a role that does not inherit'
);
SELECT is(
  pg_temp.edges('t group', 't_apart'), CASE WHEN test.is_16() THEN 'superuser set' ELSE 'anybody' END, 'is a member that does not'
);
SELECT is_empty($$SELECT * FROM rolecall.grant_role('t group', 't_apart')$$, 'and stays one');

SELECT count(*) FROM rolecall.create_base_roles('t_anon', 't_auth', 't_admin');
SELECT count(*) FROM rolecall.create_user('t_limited');
SELECT CASE WHEN test.is_16() THEN is(
  (SELECT string_agg(s.statement, '; ') FROM rolecall.grant_role('t_anon', 't_limited', inherit_option => false) AS s),
  'REVOKE INHERIT OPTION FOR t_anon FROM t_limited GRANTED BY ' || test.superuser(), 'INHERIT is taken from a user'
) ELSE pass('INHERIT is taken from a user') END;
SELECT is_empty(
  $$SELECT FROM rolecall.create_user('t_limited') UNION ALL SELECT FROM rolecall.grant_role('t_anon', 't_limited')$$,
  'calls that name neither option leave it so'
);
DO $$BEGIN
  IF test.is_16() THEN EXECUTE 'GRANT t_anon TO t_limited WITH INHERIT TRUE, SET FALSE; GRANT t_auth TO t_limited WITH INHERIT FALSE'; END IF;
END$$;
SELECT is_empty($$SELECT FROM rolecall.create_user('t_limited')$$, 'what an administrator chose stays, too');

-- Several grantors: what one of them gave is there, and what is not wanted is taken from each.

CREATE ROLE t_op CREATEROLE; CREATE ROLE t_other;
SELECT count(*) FROM rolecall.add_operator('t_op');
SELECT count(*) FROM rolecall.grant_role('t group', 't_op', true);
SELECT count(*) FROM rolecall.grant_role('t group', 't_other', true);
SET LOCAL ROLE t_other; GRANT "t group" TO t_alice WITH ADMIN OPTION;
SET LOCAL ROLE t_op; GRANT "t group" TO t_alice WITH ADMIN OPTION;
RESET ROLE;
SELECT is(
  pg_temp.edges('t group', 't_alice'),
  CASE WHEN test.is_16() THEN 'superuser inherit set, t_op admin inherit set, t_other admin inherit set' ELSE 'anybody admin' END,
  'from 16 there is one membership for each grantor'
);
SELECT is_empty($$SELECT * FROM rolecall.grant_role('t group', 't_alice', true)$$, 'one ADMIN OPTION is enough');
SELECT results_eq(
  $$SELECT statement FROM rolecall.grant_role('t group', 't_alice')$$,
  $$SELECT unnest(CASE WHEN test.is_16() THEN ARRAY['REVOKE ADMIN OPTION FOR "t group" FROM t_alice GRANTED BY t_op', 'REVOKE ADMIN OPTION FOR "t group" FROM t_alice GRANTED BY t_other']
     ELSE ARRAY['REVOKE ADMIN OPTION FOR "t group" FROM t_alice'] END)$$,
  'it is taken from each'
);
SELECT is(
  pg_temp.edges('t group', 't_alice'),
  CASE WHEN test.is_16() THEN 'superuser inherit set, t_op inherit set, t_other inherit set' ELSE 'anybody' END,
  'the memberships stay'
);

-- From 16 on the creator of a role has ADMIN OPTION on it, and neither INHERIT nor SET.

SET LOCAL ROLE t_op; CREATE ROLE t_made; RESET ROLE;
SELECT is(
  pg_temp.edges('t_made', 't_op'), CASE WHEN test.is_16() THEN 'superuser admin' END, 'it can grant the role on, from 16'
);
SELECT results_eq(
  $$SELECT statement FROM rolecall.grant_role('t_made', 't_op')$$,
  $$SELECT 'GRANT t_made TO t_op' || CASE WHEN test.is_16() THEN ' WITH INHERIT TRUE, SET TRUE GRANTED BY t_op' ELSE '' END$$,
  'that is no membership that would do'
);
SELECT is(
  pg_temp.edges('t_made', 't_op'), CASE WHEN test.is_16() THEN 'superuser admin, t_op inherit set' ELSE 'anybody' END,
  'what is granted is beside it, and the maker keeps what it had'
);
SELECT is_empty($$SELECT * FROM rolecall.grant_role('t_made', 't_op')$$, 'once');
SELECT CASE WHEN test.is_16() THEN is_empty($$SELECT * FROM rolecall.grant_role('t_made', 't_op', true)$$, 'it has ADMIN OPTION')
  ELSE isnt_empty($$SELECT * FROM rolecall.grant_role('t_made', 't_op', true)$$, 'it has no ADMIN OPTION') END;
SET LOCAL ROLE t_op; CREATE ROLE t_made_too;
SELECT lives_ok($$SELECT * FROM rolecall.grant_role('t_made_too', 't_op', true)$$, 'the maker makes itself a member');
SELECT is(
  pg_temp.edges('t_made_too', 't_op'), CASE WHEN test.is_16() THEN 'superuser admin, t_op inherit set' ELSE 'anybody admin' END, 'in the same way'
);
RESET ROLE;

-- A predefined role is granted, and nothing else.

CREATE TEMPORARY TABLE monitor AS SELECT r::text AS role FROM pg_authid AS r WHERE rolname = 'pg_monitor';
SELECT results_eq(
  $$SELECT * FROM rolecall.grant_role('pg_monitor', 't_bob')$$,
  $$VALUES ('grant_role', 't_bob', 'GRANT pg_monitor TO t_bob', 'applied', NULL::text, NULL::text)$$, 'a predefined role'
);
SELECT is_empty($$SELECT * FROM rolecall.grant_role('pg_monitor', 't_bob')$$, 'once');
SELECT is((SELECT r::text FROM pg_authid AS r WHERE rolname = 'pg_monitor'), role, 'it stays as it is') FROM monitor;
SELECT is(shobj_description('pg_monitor'::regrole, 'pg_authid'), NULL, 'without a comment');
SELECT throws_ok($$SELECT * FROM rolecall.grant_role('t group', 'pg_monitor')$$, '42939', NULL, 'it is no member of another');
SELECT throws_ok($$SELECT * FROM rolecall.grant_role('pg_monitor', 'pg_read_all_data')$$, '42939', NULL, 'of a predefined one neither');
REVOKE pg_monitor FROM t_bob;
SELECT results_eq(
  $$SELECT statement, status FROM rolecall.drift() WHERE statement ~ 'pg_monitor'$$, $$VALUES ('GRANT pg_monitor TO t_bob', 'planned')$$, 'it is remembered'
);
SELECT results_eq(
  $$SELECT statement, status FROM rolecall.converge() WHERE statement ~ 'pg_monitor'$$, $$VALUES ('GRANT pg_monitor TO t_bob', 'applied')$$, 'and restored'
);

-- A role that does not exist.

SELECT results_eq(
  $$SELECT * FROM rolecall.grant_role('t_missing', 't_alice')$$,
  $$VALUES ('grant_role', 't_alice', 'GRANT t_missing TO t_alice', 'skipped', '42704', 'role "t_missing" does not exist')$$,
  'no such role'
);
SELECT results_eq(
  $$SELECT * FROM rolecall.grant_role('t group', 't_missing')$$,
  $$VALUES ('grant_role', 't_missing', 'GRANT "t group" TO t_missing', 'skipped', '42704', 'role "t_missing" does not exist')$$,
  'no such member'
);
SELECT results_eq(
  $$SELECT operation, status, sqlstate FROM rolecall.grant_role('t_missing', 't_alice', dry_run => true)$$,
  $$VALUES ('grant_role', 'skipped', '42704')$$, 'a dry run says so too'
);
SELECT hasnt_role('t_missing', 'neither is made');
CREATE ROLE t_missing;
SELECT is((SELECT string_agg(status, ' ') FROM rolecall.grant_role('t_missing', 't_alice')), 'applied', 'later it is granted');

-- Errors.

CREATE TEMPORARY TABLE wrong_name (code text, name text);
INSERT INTO wrong_name VALUES
  ('42602', ''), ('42602', repeat('x', 64)), ('42602', repeat('é', 32)), ('42939', 'public'), ('42939', 'none'),
  ('42939', 'current_user'), ('42939', 'session_user'), ('42939', 'current_role'), ('42939', 'pg_monitor'), ('42939', 'pg_mine');
UPDATE before SET state = test.state();
SELECT throws_ok($$SELECT * FROM rolecall.grant_role(NULL, 't_alice')$$, '22004', NULL, 'a null role');
SELECT throws_ok($$SELECT * FROM rolecall.grant_role('t group', NULL)$$, '22004', NULL, 'a null member');
SELECT throws_ok(format('SELECT * FROM rolecall.grant_role(%L, %L)', name, 't_alice'), code, NULL, 'the role ' || name) FROM wrong_name WHERE name <> 'pg_monitor';
SELECT throws_ok(format('SELECT * FROM rolecall.grant_role(%L, %L)', 't group', name), code, NULL, 'the member ' || name) FROM wrong_name;
SELECT is(
  test.error($$SELECT FROM rolecall.grant_role('t group', 't group')$$), '0LP01 A role cannot be a member of itself, directly or through others.',
  'a role is no member of itself'
);
SELECT is(
  test.error($$SELECT FROM rolecall.grant_role('t_alice', 't group')$$), '0LP01 A role cannot be a member of itself, directly or through others.',
  'nor of its own member'
);
SELECT is(test.state(), state, 'nothing was changed, or remembered') FROM before;

-- Plain callers. Below 16 CREATEROLE is enough; from 16 it takes ADMIN OPTION, and no CREATEROLE.

CREATE ROLE t_nobody; CREATE ROLE t_closed;
SELECT count(*) FROM rolecall.add_operator('t_nobody');
CREATE FUNCTION pg_temp.missing(caller text) RETURNS text LANGUAGE sql AS $$
  SELECT format(
    CASE WHEN test.is_16() THEN
      '42501 This requires ADMIN OPTION on the granted role: have a superuser, or a role that has it, '
      'run GRANT t_closed TO %s WITH ADMIN OPTION.'
    ELSE
      '42501 This requires CREATEROLE, or ADMIN OPTION on the granted role. Only a superuser can grant a role that is a superuser.'
    END, caller
  )
$$;
SET LOCAL ROLE t_nobody;
SELECT is(test.error($$SELECT FROM rolecall.grant_role('t_closed', 't_alice')$$), pg_temp.missing('t_nobody'), 'a caller without rights');
SET LOCAL ROLE t_op;
SELECT is(
  test.error($$SELECT FROM rolecall.grant_role('t_closed', 't_alice')$$),
  CASE WHEN test.is_16() THEN pg_temp.missing('t_op') ELSE 'none' END, 'CREATEROLE is enough below 16'
);
RESET ROLE;
SELECT is(
  (SELECT coalesce(string_agg(rolname, ' '), 'none') FROM pg_roles WHERE rolname = 't_alice' AND pg_has_role(oid, 't_closed', 'MEMBER')),
  CASE WHEN test.is_16() THEN 'none' ELSE 't_alice' END, 'what is refused is not done'
);
GRANT t_closed TO t_nobody WITH ADMIN OPTION;
SET LOCAL ROLE t_nobody;
SELECT is(
  (SELECT string_agg(status, ' ') FROM rolecall.grant_role('t_closed', 't_bob', true)), 'applied', 'ADMIN OPTION is enough on every version'
);
SELECT is_empty($$SELECT * FROM rolecall.grant_role('t_closed', 't_bob', true)$$, 'once');
SELECT is(
  (SELECT string_agg(status, ' ') FROM rolecall.grant_role('t_closed', 't_bob')), 'applied', 'what the caller gave it takes back'
);
RESET ROLE;
GRANT t_closed TO t_bob WITH ADMIN OPTION;
SET LOCAL ROLE t_nobody;
SELECT CASE WHEN test.is_16() THEN matches(
  test.error($$SELECT FROM rolecall.grant_role('t_closed', 't_bob')$$), '^42501 .* the grantor whom the statement names',
  'but not what another grantor gave'
) ELSE is(test.error($$SELECT FROM rolecall.grant_role('t_closed', 't_bob')$$), 'none', 'what others gave, too') END;
RESET ROLE;
SELECT is(
  pg_temp.edges('t_closed', 't_bob'), CASE WHEN test.is_16() THEN 'superuser admin inherit set, t_nobody inherit set' ELSE 'anybody' END,
  'from 16 it is there, by both grantors'
);

SET LOCAL transaction_read_only = on;
SELECT is_empty($$SELECT * FROM rolecall.grant_role('t group', 't_alice')$$, 'with nothing to do it works in a READ ONLY transaction');
SELECT is(
  (SELECT string_agg(status, ' ') FROM rolecall.grant_role('t_closed', 't_carol', dry_run => true)), 'planned', 'and so does a dry run'
);
SELECT throws_ok($$SELECT * FROM rolecall.grant_role('t_closed', 't_carol')$$, '25006', NULL, 'where nothing can be granted');

SELECT * FROM finish();
ROLLBACK;
