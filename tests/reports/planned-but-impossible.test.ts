/**
 * A dry run plans what the caller may not do.
 * larskanis/pg-ldap-sync#55
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a dry run says what the caller lacks', async (place) => {
  const { admin, rows } = place;
  await admin.query(
    `CREATE ROLE op LOGIN PASSWORD 'op'; CREATE ROLE u LOGIN; CREATE ROLE g; SELECT rolecall.create_base_roles();
     SELECT rolecall.create_user('member'); SELECT rolecall.add_operator('op')`,
  );
  const op = await place.login('op');
  for (const call of [
    `create_user('new', NULL`,
    `grant_role('g', 'u'`,
    `set_password('u', 'x'`,
    `create_client_role('c'`,
    `rename_user('u', 'v'`,
    `lock_user('u', false`,
    `revoke_role('authenticated', 'member'`,
    `remove_user('u'`,
    `apply('{"roles": {"u": {"createdb": true}}}'`,
  ]) {
    const steps = await rows<{ note: string | null }>(`SELECT note FROM rolecall.${call}, dry_run => true)`, op);
    assert.ok(
      steps.some(({ note }) => /the caller lacks /.test(note ?? '')),
      call,
    );
  }

  // Nor may it end sessions of others, whoever may lock a user.
  await admin.query(`ALTER ROLE op CREATEROLE; ALTER ROLE u LOGIN PASSWORD 'u'; GRANT u TO op WITH ADMIN OPTION; REVOKE u FROM op;
    ${place.cluster.version >= 16 ? 'GRANT u TO op WITH ADMIN TRUE, INHERIT FALSE, SET FALSE' : ''}`);
  await place.login('u');
  const notes = `SELECT DISTINCT note FROM rolecall.lock_user('u', dry_run => true) WHERE operation = 'terminate_sessions'`;
  assert.deepEqual(await rows(notes, op), [{ note: 'the caller lacks the privileges of role u' }]);
  assert.deepEqual(await rows(notes), [{ note: null }]);
  await admin.query('GRANT pg_signal_backend TO op');
  assert.deepEqual(await rows(notes, op), [{ note: null }]);
});
