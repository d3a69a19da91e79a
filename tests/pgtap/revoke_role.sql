-- revoke_role: the end of a membership, whoever granted it.
BEGIN;
SELECT plan(62);

-- Only from 16 a membership is one grantor's.
CREATE FUNCTION pg_temp.granted_by(grantor text) RETURNS text LANGUAGE sql AS $$
  SELECT CASE WHEN test.is_16() THEN ' GRANTED BY ' || grantor ELSE '' END
$$;
CREATE FUNCTION pg_temp.grantors(role text, username text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(CASE m.grantor WHEN 10 THEN 'superuser' ELSE m.grantor::regrole::text END, ' ' ORDER BY m.grantor)
  FROM pg_auth_members AS m
  WHERE m.roleid = to_regrole(quote_ident(role)) AND m.member = to_regrole(quote_ident(username))
$$;
CREATE ROLE "t group"; CREATE ROLE t_alice LOGIN; CREATE ROLE t_bob;
COMMENT ON ROLE t_alice IS 'as it was';
COMMENT ON ROLE "t group" IS 'as it was, too';
GRANT "t group" TO t_alice, t_bob;
GRANT t_bob TO t_alice;

-- One membership.

CREATE TEMPORARY TABLE before AS SELECT test.state() AS state;
SELECT results_eq(
  $$SELECT * FROM rolecall.revoke_role('t group', 't_alice', dry_run => true)$$,
  $$SELECT 'revoke_role', 't_alice', 'REVOKE "t group" FROM t_alice' || pg_temp.granted_by(test.superuser()), 'planned', NULL::text, NULL::text$$,
  'a dry run gives the statement'
);
SELECT is(test.least_wal($$SELECT FROM rolecall.revoke_role('t group', 't_alice', dry_run => true)$$), 0::numeric, 'writes no WAL');
SELECT is(test.state(), state, 'and changes nothing') FROM before;
SELECT results_eq(
  $$SELECT * FROM rolecall.revoke_role('t group', 't_alice')$$,
  $$SELECT 'revoke_role', 't_alice', 'REVOKE "t group" FROM t_alice' || pg_temp.granted_by(test.superuser()), 'applied', NULL::text, NULL::text$$,
  'the call runs it'
);
SELECT is(pg_temp.grantors('t group', 't_alice'), NULL, 'the membership is gone');
SELECT is(
  (SELECT string_agg(m.member::regrole || ' in ' || m.roleid::regrole, ', ' ORDER BY m.member::regrole::text)
   FROM pg_auth_members AS m WHERE m.member IN ('t_alice'::regrole, 't_bob'::regrole)),
  't_alice in t_bob, t_bob in "t group"', 'others are not'
);
SELECT is_empty($$SELECT * FROM rolecall.revoke_role('t group', 't_alice')$$, 'a second call has nothing to do');
SELECT is(test.least_wal($$SELECT FROM rolecall.revoke_role('t group', 't_alice')$$), 0::numeric, 'nothing is written');
SELECT is(
  shobj_description('t_alice'::regrole, 'pg_authid') || ', ' || shobj_description('"t group"'::regrole, 'pg_authid'),
  'as it was, as it was, too', 'both roles keep their comments'
);
SELECT count(*) FROM rolecall.grant_role('t group', 't_alice', true);
SELECT is((SELECT count(*) FROM rolecall.revoke_role('t group', 't_alice', NULL)), 1::bigint, 'a null dry_run is none');
SELECT is(pg_temp.grantors('t group', 't_alice'), NULL, 'the ADMIN OPTION goes with the membership');
SELECT is_empty('SELECT * FROM rolecall.drift()', 'a membership that was asked for before is not asked for any more');

-- A role that does not exist has no member, and is in no role.

SELECT is_empty($$SELECT * FROM rolecall.revoke_role('t_missing', 't_alice')$$, 'no such role');
SELECT is_empty($$SELECT * FROM rolecall.revoke_role('t group', 't_missing')$$, 'no such member');
SELECT is_empty($$SELECT * FROM rolecall.revoke_role('t_missing', 't_missing')$$, 'neither');
SELECT is_empty($$SELECT * FROM rolecall.revoke_role('t group', 't group')$$, 'a role is not in itself');

-- Several grantors: from 16 each has a membership of its own.

CREATE ROLE t_op CREATEROLE; CREATE ROLE "t other"; CREATE ROLE t_former SUPERUSER;
SELECT count(*) FROM rolecall.add_operator('t_op');
GRANT "t group" TO t_op, "t other" WITH ADMIN OPTION;
SET LOCAL ROLE "t other"; GRANT "t group" TO t_alice;
SET LOCAL ROLE t_op; GRANT "t group" TO t_alice;
SET LOCAL ROLE t_former; GRANT "t group" TO t_alice;
RESET ROLE;
DROP ROLE t_former;
SELECT results_eq(
  $$SELECT statement FROM rolecall.revoke_role('t group', 't_alice')$$,
  $$SELECT unnest(CASE WHEN test.is_16() THEN ARRAY['REVOKE "t group" FROM t_alice GRANTED BY ' || test.superuser(),
                                                       'REVOKE "t group" FROM t_alice GRANTED BY t_op',
                                                       'REVOKE "t group" FROM t_alice GRANTED BY "t other"']
                  ELSE ARRAY['REVOKE "t group" FROM t_alice'] END)$$,
  'each is named, and one who was dropped since is in nobody''s way'
);
SELECT is(pg_temp.grantors('t group', 't_alice'), NULL, 'all of it is gone');
SELECT is_empty($$SELECT * FROM rolecall.revoke_role('t group', 't_alice')$$, 'and stays so');

-- A member that granted the role on: from 16 the server keeps who depends on whom.

CREATE ROLE t_carol;
GRANT "t group" TO t_alice WITH ADMIN OPTION;
SET LOCAL ROLE t_alice; GRANT "t group" TO t_carol; RESET ROLE;
SELECT is(
  (SELECT string_agg(status, ' ') FROM rolecall.revoke_role('t group', 't_alice', dry_run => true)), 'planned', 'a dry run does not see that'
);
SELECT is(
  test.error($$SELECT FROM rolecall.revoke_role('t group', 't_alice')$$),
  CASE WHEN test.is_16() THEN '2BP01 The member granted the role to others. Revoke the role from those first.' ELSE 'none' END,
  'what it granted is not taken from others'
);
SELECT is(
  test.detail($$SELECT FROM rolecall.revoke_role('t group', 't_alice')$$),
  CASE WHEN test.is_16() THEN 'It granted the role to: t_carol' ELSE 'none' END, 'and who has it is named'
);
SELECT is(pg_temp.grantors('t group', 't_carol'), 't_alice', 'the other membership stays');
SELECT count(*) FROM rolecall.revoke_role('t group', 't_carol');
SELECT lives_ok($$SELECT * FROM rolecall.revoke_role('t group', 't_alice')$$, 'after that one it can be ended');
SELECT is(pg_temp.grantors('t group', 't_alice'), NULL, 'and is');

-- From 16 on the creator of a role has ADMIN OPTION on it, which is its own.

SET LOCAL ROLE t_op; CREATE ROLE t_made; RESET ROLE;
SELECT is_empty($$SELECT * FROM rolecall.revoke_role('t_made', 't_op')$$, 'who made a role is no member of it');
SELECT is(pg_temp.grantors('t_made', 't_op'), CASE WHEN test.is_16() THEN 'superuser' END, 'and keeps its ADMIN OPTION');
SELECT count(*) FROM rolecall.grant_role('t_made', 't_op');
SELECT results_eq(
  $$SELECT statement FROM rolecall.revoke_role('t_made', 't_op')$$,
  $$SELECT 'REVOKE t_made FROM t_op' || pg_temp.granted_by('t_op')$$,
  'a membership beside it is ended'
);
SELECT is(pg_temp.grantors('t_made', 't_op'), CASE WHEN test.is_16() THEN 'superuser' END, 'alone');

-- A predefined role.

GRANT pg_monitor TO t_alice;
SELECT results_eq(
  $$SELECT operation, target, status FROM rolecall.revoke_role('pg_monitor', 't_alice')$$, $$VALUES ('revoke_role', 't_alice', 'applied')$$, 'a predefined role'
);
SELECT is_empty($$SELECT * FROM rolecall.revoke_role('pg_monitor', 't_alice')$$, 'once');

-- Errors.

CREATE TEMPORARY TABLE wrong_name (code text, name text);
INSERT INTO wrong_name VALUES
  ('42602', ''), ('42602', repeat('x', 64)), ('42602', repeat('é', 32)), ('42939', 'public'), ('42939', 'none'),
  ('42939', 'current_user'), ('42939', 'session_user'), ('42939', 'current_role'), ('42939', 'pg_monitor'), ('42939', 'pg_mine');
UPDATE before SET state = test.state();
SELECT throws_ok($$SELECT * FROM rolecall.revoke_role(NULL, 't_alice')$$, '22004', NULL, 'a null role');
SELECT throws_ok($$SELECT * FROM rolecall.revoke_role('t group', NULL)$$, '22004', NULL, 'a null member');
SELECT throws_ok(format('SELECT * FROM rolecall.revoke_role(%L, %L)', name, 't_alice'), code, NULL, 'the role ' || name) FROM wrong_name WHERE name <> 'pg_monitor';
SELECT throws_ok(format('SELECT * FROM rolecall.revoke_role(%L, %L)', 't group', name), code, NULL, 'the member ' || name) FROM wrong_name;
SELECT is(test.state(), state, 'nothing was changed, or remembered') FROM before;

-- Plain callers. Below 16 CREATEROLE is enough; from 16 it takes ADMIN OPTION, and the privileges of the grantor.

CREATE ROLE t_nobody; CREATE ROLE t_closed;
SELECT count(*) FROM rolecall.add_operator('t_nobody');
GRANT t_closed TO t_alice, t_bob;
CREATE FUNCTION pg_temp.missing(caller text) RETURNS text LANGUAGE sql AS $$
  SELECT format(
    CASE WHEN test.is_16() THEN
      '42501 This requires ADMIN OPTION on the role, as GRANT t_closed TO %s WITH ADMIN OPTION gives it, and the privileges of the '
      'grantor whom the statement names: else have that grantor, or a superuser, run it.'
    ELSE
      '42501 This requires CREATEROLE, or ADMIN OPTION on the role. Only a superuser can revoke a role that is a superuser.'
    END, caller
  )
$$;
SET LOCAL ROLE t_nobody;
SELECT is(test.error($$SELECT FROM rolecall.revoke_role('t_closed', 't_alice')$$), pg_temp.missing('t_nobody'), 'a caller without rights');
SET LOCAL ROLE t_op;
SELECT is(
  test.error($$SELECT FROM rolecall.revoke_role('t_closed', 't_alice')$$),
  CASE WHEN test.is_16() THEN pg_temp.missing('t_op') ELSE 'none' END, 'CREATEROLE is enough below 16'
);
RESET ROLE;
SELECT is(
  pg_temp.grantors('t_closed', 't_alice'), CASE WHEN test.is_16() THEN 'superuser' END, 'what is refused is not done'
);
GRANT t_closed TO t_nobody WITH ADMIN OPTION;
SET LOCAL ROLE t_nobody;
GRANT t_closed TO t_carol;
SELECT is(
  (SELECT string_agg(status, ' ') FROM rolecall.revoke_role('t_closed', 't_carol')), 'applied', 'ADMIN OPTION is enough for what the caller granted'
);
SELECT is(
  test.error($$SELECT FROM rolecall.revoke_role('t_closed', 't_bob')$$),
  CASE WHEN test.is_16() THEN pg_temp.missing('t_nobody') ELSE 'none' END, 'but not for what another grantor did, from 16'
);
RESET ROLE;
SELECT is(
  concat(pg_temp.grantors('t_closed', 't_carol'), pg_temp.grantors('t_closed', 't_bob')), CASE WHEN test.is_16() THEN 'superuser' ELSE '' END,
  'so that is left'
);
GRANT t_closed TO t_bob;

SET LOCAL transaction_read_only = on;
SELECT is_empty($$SELECT * FROM rolecall.revoke_role('t group', 't_missing')$$, 'with nothing to do it works in a READ ONLY transaction');
SELECT is((SELECT string_agg(status, ' ') FROM rolecall.revoke_role('t_closed', 't_bob', true)), 'planned', 'and so does a dry run');
SELECT throws_ok($$SELECT * FROM rolecall.revoke_role('t_closed', 't_bob')$$, '25006', NULL, 'where nothing can be revoked');

SELECT * FROM finish();
ROLLBACK;
