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
      { statement: `CREATE ROLE u NOINHERIT LOGIN CONNECTION LIMIT 3 VALID UNTIL '2030-01-01T00:00:00.000000Z'` },
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

report('whichever call takes a role over', async (place) => {
  const { admin, rows } = place;
  const limits = `NOINHERIT CONNECTION LIMIT 3 VALID UNTIL '-infinity'`;
  await admin.query(`CREATE ROLE anonymous ${limits}; CREATE ROLE client ${limits}; CREATE ROLE locked LOGIN ${limits};
    CREATE ROLE unlocked LOGIN ${limits}; CREATE ROLE of_policy LOGIN ${limits}`);
  const calls = [
    'create_base_roles()',
    `create_client_role('client')`,
    `lock_user('locked')`,
    `lock_user('unlocked')`,
    `apply('{"roles": {"of_policy": {"login": true, "exact": false}}}', 'additive')`,
  ];
  for (const call of calls) {
    await admin.query(`SELECT rolecall.${call}`);
    await admin.query('BEGIN READ ONLY');
    assert.deepEqual(await rows(`SELECT * FROM rolecall.${call}`), [], call);
    await admin.query('COMMIT');
  }
  await admin.query(`SELECT rolecall.unlock_user('unlocked')`);
  assert.deepEqual(await rows('SELECT statement FROM rolecall.apply(rolecall.policy(), dry_run => true)'), []);
  const roles = `SELECT rolname, rolinherit, rolcanlogin, rolconnlimit, rolvaliduntil::text FROM pg_roles
    WHERE rolconnlimit = 3 ORDER BY 1`;
  const before = await rows(roles);
  assert.equal(before.length, 5);
  await admin.query('DROP ROLE anonymous, client, locked, unlocked, of_policy; SELECT rolecall.converge()');
  assert.deepEqual(await rows(roles), before);
});
