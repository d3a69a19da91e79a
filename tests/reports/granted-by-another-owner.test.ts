/**
 * An administrator cannot drop a role, because somebody else granted it something.
 * CartoDB/cartodb-postgresql#114, neondatabase/neon#10299
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('the error has the REVOKE, and the role that can run it', async (place) => {
  const { admin, error } = place;
  await admin.query(`CREATE ROLE owner; CREATE TABLE t (id integer); ALTER TABLE t OWNER TO owner; CREATE ROLE u; GRANT SELECT ON t TO u;
    CREATE ROLE op LOGIN CREATEROLE PASSWORD 'op'; GRANT u TO op WITH ADMIN OPTION; SELECT rolecall.add_operator('op')`);
  const op = await place.login('op');
  const notices: unknown[] = [];
  op.on('notice', (notice) => notices.push(notice));
  for (const dryRun of [true, false]) {
    const failure = await error(`SELECT rolecall.remove_user('u', drop_owned => true, dry_run => ${dryRun})`, op);
    assert.equal(failure.code, '2BP01');
    assert.match(failure.detail ?? '', /SET ROLE owner; REVOKE SELECT ON TABLE public\.t FROM u; RESET ROLE/);
  }
  assert.deepEqual(notices, []);
  // So has the list, for a caller whose DROP OWNED would leave the grant; a superuser's would not.
  const remedies = `SELECT remedy FROM rolecall.user_dependencies('u')`;
  assert.deepEqual(await place.rows(remedies, op), [
    { remedy: 'SET ROLE owner; REVOKE SELECT ON TABLE public.t FROM u; RESET ROLE' },
  ]);
  assert.deepEqual(await place.rows(remedies), [{ remedy: 'DROP OWNED BY u' }]);
});
