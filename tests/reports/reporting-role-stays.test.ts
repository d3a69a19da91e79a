/**
 * From 16 on a non-superuser that created a role cannot drop it.
 * tenancy/multi-tenant#614
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a caller that is not a superuser removes the reporting role that it provisioned', async (place) => {
  const { admin, database, rows } = place;
  await admin.query(`
    CREATE ROLE maker LOGIN CREATEROLE PASSWORD 'maker'; ALTER DATABASE ${database} OWNER TO maker;
    CREATE SCHEMA app AUTHORIZATION maker; CREATE TABLE app.orders (id integer); ALTER TABLE app.orders OWNER TO maker;
    SELECT rolecall.add_operator('maker');
  `);
  const maker = await place.login('maker');
  await maker.query(`SELECT rolecall.provision_reporting_role('app_reports', '{app}')`);
  for (const dryRun of [true, false]) {
    const steps = await rows<{ statement: string; status: string }>(
      `SELECT statement, status FROM rolecall.remove_user('app_reports', drop_owned => true, dry_run => ${dryRun})`,
      maker,
    );
    assert.equal(steps.at(-1)?.statement, 'DROP ROLE app_reports');
    assert.ok(steps.every(({ status }) => status === (dryRun ? 'planned' : 'applied')));
  }
  assert.deepEqual(await rows(`SELECT FROM pg_roles WHERE rolname = 'app_reports'`), []);
  assert.deepEqual(await rows('SELECT statement FROM rolecall.drift()', maker), []);
  assert.deepEqual(await rows('SELECT section, note FROM rolecall_internal.resource WHERE sqlstate IS NOT NULL'), []);
});
