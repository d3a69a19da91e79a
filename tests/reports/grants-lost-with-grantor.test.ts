/**
 * What a removed role had granted to others is lost without a word.
 * cyrilgdn/terraform-provider-postgresql#384, babelfish-for-postgresql/babelfish_extensions#3789
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('what a removed role had granted is granted again, or each loss is a row', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE ROLE op; CREATE ROLE heir; CREATE ROLE g; CREATE ROLE u; CREATE TABLE t (id integer);
    GRANT g TO op WITH ADMIN OPTION; GRANT SELECT ON t TO op WITH GRANT OPTION;
    SET ROLE op; GRANT g TO u; GRANT SELECT ON t TO u; RESET ROLE`);
  const keeps = `SELECT pg_has_role('u', 'g', 'MEMBER') AND has_table_privilege('u', 't', 'SELECT') AS it`;
  const losses = await rows<{ statement: string }>(
    `SELECT statement FROM rolecall.remove_user('op', drop_owned => true, dry_run => true) WHERE status = 'skipped'`,
  );
  assert.ok(losses.some(({ statement }) => statement === 'GRANT SELECT ON TABLE public.t TO u'));
  assert.equal(losses.length, place.cluster.version >= 16 ? 2 : 1);
  await admin.query(`SELECT rolecall.remove_user('op', reassign_to => 'heir', drop_owned => true)`);
  assert.deepEqual(await rows(keeps), [{ it: true }]);
});

report('what a reporting role had granted is granted again, or each loss is a row', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE ROLE rep; CREATE ROLE bob; CREATE ROLE carol; CREATE ROLE other; CREATE SCHEMA shop;
    CREATE TABLE shop.t (id integer); CREATE FUNCTION shop.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
    REVOKE ALL ON FUNCTION shop.f() FROM PUBLIC; CREATE TABLE shop.c (id integer, name text);
    CREATE TABLE shop.direct (id integer);
    GRANT USAGE ON SCHEMA shop TO rep, bob, carol, other WITH GRANT OPTION;
    GRANT SELECT, INSERT ON shop.t TO rep, other WITH GRANT OPTION; GRANT EXECUTE ON FUNCTION shop.f() TO rep WITH GRANT OPTION;
    GRANT UPDATE (id) ON shop.c TO rep WITH GRANT OPTION; GRANT SELECT ON shop.direct TO rep WITH GRANT OPTION;
    SET ROLE rep; GRANT SELECT, INSERT ON shop.t TO bob WITH GRANT OPTION; GRANT EXECUTE ON FUNCTION shop.f() TO bob;
    GRANT UPDATE (id) ON shop.c TO bob; GRANT SELECT ON shop.direct TO PUBLIC; GRANT SELECT ON shop.t TO other;
    SET ROLE bob; GRANT INSERT ON shop.t TO carol; RESET ROLE`);
  const held = `SELECT has_table_privilege('bob', 'shop.t', 'SELECT WITH GRANT OPTION') AS selects,
    has_table_privilege('bob', 'shop.t', 'INSERT') AS inserts, has_function_privilege('bob', 'shop.f()', 'EXECUTE') AS calls,
    has_column_privilege('bob', 'shop.c', 'id', 'UPDATE') AS updates, has_table_privilege('carol', 'shop.t', 'INSERT') AS passes,
    has_table_privilege('other', 'shop.direct', 'SELECT') AS everybody`;
  const all = { selects: true, inserts: true, calls: true, updates: true, passes: true, everybody: true };
  assert.deepEqual(await rows(held), [all]);
  const call = (rest: string) =>
    rows<{ statement: string; status: string; note: string }>(
      `SELECT statement, status, note FROM rolecall.provision_reporting_role('rep', '{shop}'${rest})
       WHERE operation = 'grant_privilege' AND statement !~ ' TO rep$'`,
    );
  const regrants = (status: string) =>
    [
      'GRANT EXECUTE ON ROUTINE shop.f() TO bob',
      'GRANT INSERT, SELECT ON TABLE shop.t TO bob WITH GRANT OPTION',
      'GRANT SELECT ON TABLE shop.direct TO PUBLIC',
      'GRANT UPDATE (id) ON TABLE shop.c TO bob',
    ].map((statement) => ({ statement, status, note: '"rep" granted it' }));
  assert.deepEqual(await call(', dry_run => true'), regrants('planned'));
  assert.deepEqual(await call(''), regrants('applied'));
  assert.deepEqual(await rows(held), [all]);
  assert.deepEqual(await rows(`SELECT * FROM rolecall.provision_reporting_role('rep', '{shop}')`), []);
});

report('who cannot grant it again says what ends with what a reporting role had', async (place) => {
  const { admin, rows, login } = place;
  await admin.query(`CREATE ROLE prov LOGIN CREATEROLE PASSWORD 'prov'; CREATE ROLE own; CREATE ROLE mid; CREATE ROLE bob;
    SELECT rolecall.add_operator('prov'); CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO PUBLIC; GRANT CREATE ON SCHEMA shop TO own;
    GRANT CREATE ON DATABASE app TO prov;
    SET ROLE own; CREATE TABLE shop.t (id integer); CREATE TABLE shop.u (id integer);
    GRANT INSERT ON shop.t TO mid WITH GRANT OPTION; SET ROLE mid; GRANT INSERT ON shop.t TO prov WITH GRANT OPTION;
    SET ROLE prov; CREATE SCHEMA app; CREATE ROLE rep; GRANT INSERT ON shop.t TO rep WITH GRANT OPTION;
    SET ROLE own; GRANT INSERT ON shop.u TO rep WITH GRANT OPTION; SET ROLE rep;
    GRANT INSERT ON shop.t, shop.u TO bob; RESET ROLE`);
  const prov = await login('prov');
  const call = (rest: string) =>
    rows<{ statement: string; status: string; sqlstate: string | null; note: string | null }>(
      `SELECT statement, status, sqlstate, note FROM rolecall.provision_reporting_role('rep', '{app}'${rest})
       WHERE statement ~ ' (bob|CASCADE)$'`,
      prov,
    );
  const loss = {
    ...{ statement: 'GRANT INSERT ON TABLE shop.t TO bob', status: 'skipped', sqlstate: '2BP01' },
    note: 'this ends with what role "rep" granted, and the caller cannot grant it',
  };
  const done = (statement: string, status: string, note: string | null = null) => ({
    statement,
    status,
    sqlstate: null,
    note,
  });
  const left = (await call(', dry_run => true')).filter(({ sqlstate }) => sqlstate !== '42501');
  assert.deepEqual(left, [loss, done('REVOKE INSERT ON shop.t FROM rep CASCADE', 'planned')]);
  assert.deepEqual(
    (await call('')).filter(({ sqlstate }) => sqlstate !== '42501'),
    [loss, done('REVOKE INSERT ON shop.t FROM rep CASCADE', 'applied')],
  );
  // A member of the owner grants, and revokes, as the owner does.
  await admin.query('GRANT own TO prov');
  assert.deepEqual(await call(''), [
    done('GRANT INSERT ON TABLE shop.u TO bob', 'applied', '"rep" granted it'),
    done('REVOKE INSERT ON shop.u FROM rep CASCADE', 'applied'),
  ]);
  const held = `SELECT has_table_privilege('bob', 'shop.t', 'INSERT') AS t, has_table_privilege('bob', 'shop.u', 'INSERT') AS u`;
  assert.deepEqual(await rows(held), [{ t: false, u: true }]);
});
