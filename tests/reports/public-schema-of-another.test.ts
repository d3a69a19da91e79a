/**
 * The owner of a database does not own its schema public, and cannot grant on it.
 * cyrilgdn/terraform-provider-postgresql#301
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('what PUBLIC may do anyway is not missing', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'owner'; ALTER DATABASE app OWNER TO owner;
    ALTER SCHEMA public OWNER TO postgres; SELECT rolecall.add_operator('owner')`);
  const owner = await place.login('owner');
  await owner.query(`SELECT rolecall.provision_reporting_role('app_reports', '{public}')`);
  const again = await rows(
    `SELECT * FROM rolecall.provision_reporting_role('app_reports', '{public}', realign_password => false)`,
    owner,
  );
  assert.deepEqual(again, []);
});
