/**
 * A setting of a group role does not hold for its members.
 * PostgREST/postgrest#2561
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('the timeout of a client role holds for a user that is put into it', async (place) => {
  const { admin, error } = place;
  await admin.query(`SELECT rolecall.create_base_roles(); SELECT rolecall.create_client_role('c', '200ms');
    SELECT rolecall.create_user_with_grants('u', 'u', '{c}');
    CREATE ROLE v LOGIN PASSWORD 'v'; ALTER ROLE v IN DATABASE postgres SET statement_timeout = '9s'; SELECT rolecall.grant_role('c', 'v')`);
  for (const user of ['u', 'v']) {
    const failure = await error('SELECT pg_sleep(5)', await place.login(user));
    assert.equal(failure.code, '57014', user);
  }
});

report('the timeout ends with the membership, or becomes that of another client role', async (place) => {
  const { admin, rows } = place;
  await admin.query(`SELECT rolecall.create_base_roles();
    SELECT rolecall.create_client_role('c1', '200ms'); SELECT rolecall.create_client_role('c2', '500ms');
    CREATE ROLE own LOGIN; ALTER ROLE own SET statement_timeout = '9s'`);
  const timeout = async (user: string) =>
    (await rows<{ it: string[] | null }>(`SELECT rolconfig AS it FROM pg_roles WHERE rolname = '${user}'`))[0]?.it;
  for (const user of ['u', 'v', 'w', 'own'])
    await admin.query(`SELECT rolecall.create_user_with_grants('${user}', NULL, '{c1}')`);
  const leave = `SELECT statement FROM rolecall.revoke_role('c1', 'u'`;
  assert.ok((await rows(`${leave}, dry_run => true)`)).length === 2);
  await admin.query(`${leave})`);
  assert.equal(await timeout('u'), null);
  assert.deepEqual(await rows(`${leave})`), []);
  await admin.query(`SELECT rolecall.grant_role('c2', 'u')`);
  assert.deepEqual(await timeout('u'), ['statement_timeout=500ms']);
  await admin.query(
    `SELECT rolecall.grant_role('c2', 'v'); SELECT rolecall.revoke_role('c1', 'v'); SELECT rolecall.revoke_role('c1', 'own')`,
  );
  assert.deepEqual(await timeout('v'), ['statement_timeout=500ms']);
  assert.deepEqual(await timeout('own'), ['statement_timeout=9s']);
  await admin.query(`SELECT rolecall.remove_user('c1')`);
  assert.equal(await timeout('w'), null);
  assert.deepEqual(await rows('SELECT statement FROM rolecall.drift()'), []);

  // Who may not alter the user is told.
  await admin.query(`CREATE ROLE op LOGIN CREATEROLE PASSWORD 'op'; SELECT rolecall.add_operator('op'); GRANT c2 TO op WITH ADMIN OPTION;
    REVOKE c2 FROM v; GRANT c2 TO v GRANTED BY ${place.cluster.version >= 16 ? 'op' : 'CURRENT_USER'}`);
  const steps = await rows<{ status: string; statement: string; note: string | null }>(
    `SELECT status, statement, note FROM rolecall.revoke_role('c2', 'v')`,
    await place.login('op'),
  );
  assert.deepEqual(steps[1], {
    status: place.cluster.version >= 16 ? 'skipped' : 'applied',
    statement: 'ALTER ROLE v RESET statement_timeout',
    note: place.cluster.version >= 16 ? 'what the role had of a client role that it leaves stays' : null,
  });
});
