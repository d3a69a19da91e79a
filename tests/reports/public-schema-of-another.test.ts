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

report('what PUBLIC reads of another owner is not missing, whatever it is', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE ROLE mgr LOGIN CREATEROLE PASSWORD 'mgr'; ALTER DATABASE app OWNER TO mgr;
    SELECT rolecall.add_operator('mgr'); CREATE ROLE other; CREATE SCHEMA s AUTHORIZATION mgr;
    GRANT USAGE, CREATE ON SCHEMA s TO other; SET ROLE other;
    CREATE TABLE s.t (id serial, hidden text) PARTITION BY LIST (id); CREATE TABLE s.part PARTITION OF s.t DEFAULT;
    CREATE VIEW s.v AS SELECT 1 AS a; CREATE MATERIALIZED VIEW s.m AS SELECT 1 AS a; CREATE TABLE s.c (a int, b int);
    GRANT SELECT ON ALL TABLES IN SCHEMA s TO PUBLIC; GRANT SELECT ON ALL SEQUENCES IN SCHEMA s TO PUBLIC;
    REVOKE SELECT ON s.c FROM PUBLIC; GRANT SELECT (a) ON s.c TO PUBLIC;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
    ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON SEQUENCES TO PUBLIC; RESET ROLE`);
  const mgr = await place.login('mgr');
  const call = `FROM rolecall.provision_reporting_role('r', '{s}', '{c.b}', realign_password => false)`;
  assert.deepEqual(await rows(`SELECT statement ${call} WHERE status = 'skipped'`, mgr), []);
  assert.deepEqual(await rows(`SELECT * ${call}`, mgr), []);

  // Who may grant it does: PUBLIC can lose it. And what PUBLIC does not read is missing.
  await admin.query(
    `GRANT SELECT ON s.v TO mgr WITH GRANT OPTION; SET ROLE other; REVOKE SELECT ON s.m FROM PUBLIC; RESET ROLE`,
  );
  assert.deepEqual(await rows(`SELECT statement, status ${call} ORDER BY statement`, mgr), [
    { statement: 'GRANT SELECT ON s.m TO r', status: 'skipped' },
    { statement: 'GRANT SELECT ON s.v TO r', status: 'applied' },
  ]);
});
