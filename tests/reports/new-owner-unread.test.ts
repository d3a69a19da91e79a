/**
 * Default privileges know only the roles that they were set for: what another role creates is not readable.
 * ankane/blazer#521, movetokube/postgres-operator#319
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('while tables are watched, what a new owner creates is readable, and nothing has drifted', async (place) => {
  const { admin, rows } = place;
  await admin.query(`
    CREATE SCHEMA app; GRANT CREATE, USAGE ON SCHEMA app TO PUBLIC;
    CREATE ROLE first LOGIN PASSWORD 'first'; CREATE ROLE migration LOGIN PASSWORD 'migration';
    SET ROLE first; CREATE TABLE app.one (id integer); RESET ROLE;
    SELECT rolecall.provision_reporting_role('app_reports', '{app}'); SELECT rolecall.watch_new_tables();
  `);
  await (await place.login('migration')).query('CREATE TABLE app.two (id integer)');
  const readable = `SELECT has_table_privilege('app_reports', 'app.two', 'SELECT') AS it`;
  assert.deepEqual(await rows(readable), [{ it: true }]);
  assert.deepEqual(await rows('SELECT statement FROM rolecall.drift()'), []);
  assert.deepEqual(await rows('SELECT statement FROM rolecall.converge()'), []);

  // Nobody makes up for that any more.
  await admin.query('SELECT rolecall.watch_new_tables(false)');
  assert.deepEqual(await rows('SELECT statement FROM rolecall.drift()'), [
    { statement: 'ALTER DEFAULT PRIVILEGES FOR ROLE migration IN SCHEMA app GRANT SELECT ON SEQUENCES TO app_reports' },
    { statement: 'ALTER DEFAULT PRIVILEGES FOR ROLE migration IN SCHEMA app GRANT SELECT ON TABLES TO app_reports' },
  ]);
});
