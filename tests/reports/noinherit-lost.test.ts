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
