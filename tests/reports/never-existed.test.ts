/**
 * A mistyped role is asked for again and again.
 * cyrilgdn/terraform-provider-postgresql#197
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a role that never existed does not come back as drift', async (place) => {
  const { admin, rows } = place;
  await admin.query(
    `SELECT rolecall.create_base_roles(); SELECT rolecall.create_user_with_grants('u', NULL, '{mistyped}')`,
  );
  assert.deepEqual(await rows('SELECT * FROM rolecall.drift()'), []);
});

report('nor does a mistyped owner of tables', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE SCHEMA s; SELECT rolecall.create_base_roles(); SELECT rolecall.create_user('app')`);
  const provision = `SELECT statement, sqlstate FROM rolecall.provision_reporting_role('r', '{s}', table_owners => '{app, mistyped}')`;
  await admin.query(provision);
  assert.deepEqual(
    (await rows<{ sqlstate: string }>(provision)).map(({ sqlstate }) => sqlstate),
    ['42704', '42704'],
  );
  const drift = 'SELECT statement FROM rolecall.drift()';
  assert.deepEqual(await rows(drift), []);
  // One that converge() creates again is still an owner, as a row says; and so is the other one once it exists.
  await admin.query('DROP OWNED BY app; DROP ROLE app');
  const skipped = `SELECT statement FROM rolecall.converge() WHERE sqlstate = '42704' AND statement LIKE '%ROLE app %'`;
  assert.equal((await rows(skipped)).length, 2);
  await admin.query('SELECT rolecall.converge()');
  assert.deepEqual(await rows(drift), []);
  await admin.query('CREATE ROLE mistyped');
  assert.deepEqual(await rows(drift), [
    { statement: 'ALTER DEFAULT PRIVILEGES FOR ROLE mistyped IN SCHEMA s GRANT SELECT ON SEQUENCES TO r' },
    { statement: 'ALTER DEFAULT PRIVILEGES FOR ROLE mistyped IN SCHEMA s GRANT SELECT ON TABLES TO r' },
  ]);
});
