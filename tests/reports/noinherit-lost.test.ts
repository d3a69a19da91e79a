/**
 * A login that is NOINHERIT on purpose comes back inheriting.
 * dam-agents/dam#3649
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a role that was taken over is created again as it was', async (place) => {
  const { admin, rows } = place;
  await admin.query(
    `SELECT rolecall.create_base_roles(); CREATE ROLE u NOINHERIT LOGIN; SELECT rolecall.create_user('u'); DROP ROLE u`,
  );
  await admin.query('SELECT rolecall.converge()');
  assert.deepEqual(await rows(`SELECT rolinherit AS it FROM pg_roles WHERE rolname = 'u'`), [{ it: false }]);
});

report('what limited a role that was taken over comes back, and no power that no call asked for', async (place) => {
  const { admin, rows } = place;
  await admin.query(`SELECT rolecall.create_base_roles(); CREATE ROLE group_owner CONNECTION LIMIT 0; ALTER ROLE group_owner SET work_mem = '8MB';
    CREATE ROLE u LOGIN NOINHERIT CREATEDB CREATEROLE CONNECTION LIMIT 3 VALID UNTIL '2030-01-01 00:00:00+00';
    CREATE ROLE endless LOGIN VALID UNTIL 'infinity'`);
  const names = ['endless', 'group_owner', 'u'];
  for (const name of names) await admin.query(`SELECT rolecall.create_user('${name}')`);
  // Again: a role that is there already is what it was at first.
  await admin.query('BEGIN READ ONLY');
  for (const name of names) assert.deepEqual(await rows(`SELECT * FROM rolecall.create_user('${name}')`), [], name);
  await admin.query(`COMMIT; DROP ROLE ${names.join()}`);
  assert.deepEqual(
    await rows(`SELECT statement FROM rolecall.drift() WHERE operation = 'create_role' ORDER BY target`),
    [
      { statement: 'CREATE ROLE endless LOGIN' },
      { statement: 'CREATE ROLE group_owner NOLOGIN CONNECTION LIMIT 0' },
      { statement: `CREATE ROLE u NOINHERIT LOGIN CONNECTION LIMIT 3 VALID UNTIL '2030-01-01T00:00:00+00:00'` },
    ],
  );
  await admin.query('SELECT rolecall.converge()');
  assert.deepEqual(await rows('SELECT statement FROM rolecall.drift()'), []);
  assert.deepEqual(
    await rows(`SELECT rolcreatedb OR rolcreaterole AS power, rolconnlimit AS sessions, rolconfig AS settings
      FROM pg_roles WHERE rolname IN ('group_owner', 'u') ORDER BY rolname`),
    [
      { power: false, sessions: 0, settings: null },
      { power: false, sessions: 3, settings: null },
    ],
  );
});
