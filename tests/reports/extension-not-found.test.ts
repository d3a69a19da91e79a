/**
 * A search_path without the schema of an extension: citext compares as text does, silently, and unaccent() is not
 * found. scaleway/docs-content#3669, patr-cloud/patr#285
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('the search_path of a reporting role ends with the schemas of extensions', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE EXTENSION citext; CREATE EXTENSION unaccent; CREATE SCHEMA mart;
    CREATE TABLE mart.customers (email citext); INSERT INTO mart.customers VALUES ('Bob@x.org');
    SELECT rolecall.provision_reporting_role('mart_reports', '{mart}');
    SELECT rolecall.set_password('mart_reports', 'mart_reports')`);
  const found = `SELECT count(*)::int AS found FROM customers WHERE email = 'bob@x.org' AND unaccent('é') = 'e'`;
  assert.deepEqual(await rows(found, await place.login('mart_reports')), [{ found: 1 }]);

  await admin.query(`SELECT rolecall.provision_reporting_role('mart_reports', '{mart}', search_path => '{mart,pg_temp}');
    SELECT rolecall.set_password('mart_reports', 'mart_reports')`);
  assert.deepEqual(await rows('SHOW search_path', await place.login('mart_reports')), [
    { search_path: 'mart, pg_temp' },
  ]);
});

report('a schema of an extension without USAGE for the role is a NOTICE', async (place) => {
  const { admin } = place;
  const heard: string[] = [];
  admin.on('notice', ({ message, hint }) => heard.push(`${message}: ${hint}`));
  await admin.query(
    'REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE SCHEMA tools; CREATE EXTENSION unaccent SCHEMA tools; CREATE SCHEMA mart',
  );
  const provision = `SELECT rolecall.provision_reporting_role('mart_reports', '{mart}')`;
  await admin.query(provision);
  assert.deepEqual(heard, [
    'reporting role "mart_reports" finds nothing in schemas of its search_path: tools: ' +
      'If it is to call what is there: GRANT USAGE ON SCHEMA tools TO mart_reports',
  ]);
  for (const user of ['PUBLIC', 'mart_reports']) {
    heard.length = 0;
    await admin.query(`GRANT USAGE ON SCHEMA tools TO ${user}`);
    await admin.query(provision);
    await admin.query(`REVOKE USAGE ON SCHEMA tools FROM PUBLIC`);
    assert.deepEqual(heard, [], user);
  }
});
