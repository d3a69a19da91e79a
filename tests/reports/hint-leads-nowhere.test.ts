/**
 * A hint, or a generated statement, grants a role to itself or grants a superuser.
 * movetokube/postgres-operator#161, supabase/pg-toolbelt#79
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('no hint grants a role to itself, or gives a superuser away', async (place) => {
  const { admin, error } = place;
  await admin.query(`CREATE ROLE op LOGIN CREATEROLE PASSWORD 'op'; CREATE ROLE u; CREATE ROLE chief SUPERUSER; CREATE ROLE other;
    SELECT rolecall.add_operator('op'); CREATE ROLE mine; GRANT mine TO op WITH ADMIN OPTION;
    CREATE TABLE t (id integer); ALTER TABLE t OWNER TO mine`);
  const op = await place.login('op');
  const calls = [
    `SELECT rolecall.grant_role('op', 'u')`,
    `SELECT rolecall.grant_role('chief', 'u')`,
    `SELECT rolecall.remove_user('chief')`,
    `SELECT rolecall.remove_user('mine', reassign_to => 'chief')`,
  ];
  for (const call of calls) {
    const [failed] = await Promise.allSettled([op.query(call)]);
    if (failed.status === 'fulfilled') continue; // Before 16 some of it is allowed.
    assert.doesNotMatch((failed.reason as { hint?: string }).hint ?? '', /GRANT (op|chief|postgres) TO|\.\.\./, call);
  }
  if (place.cluster.version >= 16) {
    // It has the rights of the old owner: what it lacks are those of the new one.
    const failure = await error(`SELECT rolecall.remove_user('mine', reassign_to => 'other')`, op);
    assert.match(failure.hint ?? '', /GRANT other TO op/);
  }
});
