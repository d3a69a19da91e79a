/**
 * What a removed role had granted to others is lost without a word.
 * cyrilgdn/terraform-provider-postgresql#384, babelfish-for-postgresql/babelfish_extensions#3789
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('what a removed role had granted is granted again, or each loss is a row', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE ROLE op; CREATE ROLE heir; CREATE ROLE g; CREATE ROLE u; CREATE TABLE t (id integer);
    GRANT g TO op WITH ADMIN OPTION; GRANT SELECT ON t TO op WITH GRANT OPTION;
    SET ROLE op; GRANT g TO u; GRANT SELECT ON t TO u; RESET ROLE`);
  const keeps = `SELECT pg_has_role('u', 'g', 'MEMBER') AND has_table_privilege('u', 't', 'SELECT') AS it`;
  const losses = await rows<{ statement: string }>(
    `SELECT statement FROM rolecall.remove_user('op', drop_owned => true, dry_run => true) WHERE status = 'skipped'`,
  );
  assert.ok(losses.some(({ statement }) => statement === 'GRANT SELECT ON TABLE public.t TO u'));
  assert.equal(losses.length, place.cluster.version >= 16 ? 2 : 1);
  await admin.query(`SELECT rolecall.remove_user('op', reassign_to => 'heir', drop_owned => true)`);
  assert.deepEqual(await rows(keeps), [{ it: true }]);
});
