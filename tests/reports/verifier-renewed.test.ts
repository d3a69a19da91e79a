/**
 * The same password is stored as another verifier, and a pooler that keeps the first is locked out.
 * pgbouncer/pgbouncer#944
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('setting the same password with another end of validity keeps the verifier', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE ROLE u LOGIN; SELECT rolecall.set_password('u', 'secret', '2030-01-01')`);
  const stored = `SELECT rolpassword AS it FROM pg_authid WHERE rolname = 'u'`;
  const before = await rows(stored);
  await admin.query(`SELECT rolecall.set_password('u', 'secret', '2031-01-01')`);
  assert.deepEqual(await rows(stored), before);
  assert.deepEqual(
    await rows(`SELECT extract(year FROM rolvaliduntil)::integer AS it FROM pg_roles WHERE rolname = 'u'`),
    [{ it: 2031 }],
  );
});
