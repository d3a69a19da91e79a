/**
 * An administrator of a managed server cannot give BYPASSRLS, and the whole setup fails.
 * supabase/supautils#78, windmill-labs/windmill-helm-charts#57
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('the three roles are created, and what is missing is a row', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE ROLE manager LOGIN CREATEROLE PASSWORD 'manager'; SELECT rolecall.add_operator('manager')`);
  const manager = await place.login('manager');
  const steps = await rows<{ status: string; sqlstate: string | null }>(
    'SELECT status, sqlstate FROM rolecall.create_base_roles()',
    manager,
  );
  assert.equal(steps.filter(({ status }) => status === 'applied').length, 3);
  assert.deepEqual(
    steps.filter(({ status }) => status === 'skipped'),
    [{ status: 'skipped', sqlstate: '42501' }],
  );

  // What ends the refusal of that record later keeps the record, so that the role comes back.
  const [left] = await rows<{ statement: string }>('SELECT statement FROM rolecall.drift()');
  assert.equal(left?.statement, 'SELECT * FROM rolecall.create_base_roles()');
  await admin.query(left.statement);
  await admin.query('DROP ROLE administrator; SELECT rolecall.converge()');
  assert.deepEqual(await rows(`SELECT rolbypassrls AS it FROM pg_roles WHERE rolname = 'administrator'`), [
    { it: true },
  ]);
});
