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

report('no hint asks for rights where nobody may grant it', async (place) => {
  const { admin, error } = place;
  await admin.query(`CREATE ROLE op LOGIN CREATEROLE PASSWORD 'op'; SELECT rolecall.add_operator('op');
    CREATE ROLE team; CREATE ROLE u; GRANT team TO u; GRANT team TO op WITH ADMIN OPTION`);
  const op = await place.login('op');
  for (const caller of [op, admin]) {
    for (const dryRun of [true, false]) {
      const itself = await error(`SELECT rolecall.grant_role('op', 'op', dry_run => ${dryRun})`, caller);
      assert.equal(itself.code, '0LP01');
      assert.equal(itself.message, 'role "op" is a member of role "op"');
      assert.equal(itself.hint, 'A role cannot be a member of itself, directly or through others.');
    }
    const circular = await error(`SELECT rolecall.grant_role('u', 'team')`, caller);
    assert.match(circular.hint ?? '', /^A role cannot be a member of itself, directly or through others/);
  }
});

report('the error of a grantor that the server does not find says who could be one', async (place) => {
  if (place.cluster.version < 16) return;
  const { admin, error } = place;
  await admin.query(`CREATE ROLE op LOGIN CREATEROLE PASSWORD 'op'; SELECT rolecall.add_operator('op');
    CREATE ROLE team; CREATE ROLE lead; CREATE ROLE u; GRANT team TO lead WITH ADMIN OPTION;
    GRANT lead TO op WITH INHERIT FALSE, SET TRUE`);
  const op = await place.login('op');
  const failure = await error(`SELECT rolecall.grant_role('team', 'u')`, op);
  assert.equal(`${failure.code} ${failure.message}`, 'XX000 no possible grantors');
  assert.match(
    failure.hint ?? '',
    /^This requires ADMIN OPTION on the granted role: .* GRANT team TO op WITH ADMIN OPTION/,
  );
});
