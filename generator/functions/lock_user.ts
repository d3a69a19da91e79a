import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { establish, user } from './_shared.ts';

/**
 * Keeps a user from logging in, and ends its sessions
 *
 * The role gets NOLOGIN; its password, memberships and privileges stay. The lock is remembered, so drift() and
 * converge() keep the user locked. Only unlock_user() unlocks it, not create_user() or the like. Roles that can SET
 * ROLE to it still can.
 *
 * The sessions are told to end first, so that the call does not wait for one that has changed the role; sessions that
 * are there after NOLOGIN end last. If the caller may not alter the role, the call fails before any session ends. A
 * rollback does not bring sessions back. A user that connects again before the transaction is committed gets in: call
 * the function once more then, which ends the sessions that are there and changes nothing else.
 *
 * @group users
 * @param username name of the role
 * @param terminate_sessions true: end the sessions of the role in every database, and wait up to five seconds for each
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per step; none if the user is locked and has no sessions
 * @throws null_value_not_allowed - the name is null
 * @throws invalid_name - the name is empty or longer than 63 bytes
 * @throws reserved_name - the name belongs to PostgreSQL
 * @throws invalid_parameter_value - the role is a superuser, the caller, a reporting role, or a group role of this
 *   database
 * @throws undefined_object - the role does not exist
 * @throws insufficient_privilege - the caller may not alter the role, or may not end its sessions
 * @example SELECT operation, statement, status FROM rolecall.lock_user('alice');
 */
export function lock_user(username: Text, terminate_sessions: Bool = true, dry_run: Bool = false): SetOf<StepRow> {
  return establish(
    {
      roles: [{ name: username, state: 'existing', ...user, attributes: { login: false }, protected: true }],
      sessions: [{ role: username, state: sql`CASE WHEN ${terminate_sessions} THEN 'absent' END` }],
    },
    dry_run,
    sql`PERFORM rolecall_internal.check_user(${username});`,
  );
}
