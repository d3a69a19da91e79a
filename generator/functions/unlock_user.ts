import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { establish } from './_shared.ts';

/**
 * Lets a user that lock_user() has locked log in again
 *
 * The role gets LOGIN. That is not remembered: if somebody later sets NOLOGIN by other means, converge() does not
 * undo it.
 *
 * @group users
 * @param username name of the role
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row, or none if the user can log in already
 * @throws null_value_not_allowed - the name is null
 * @throws invalid_name - the name is empty or longer than 63 bytes
 * @throws reserved_name - the name belongs to PostgreSQL
 * @throws invalid_parameter_value - the role is a superuser, the caller, a reporting role, or a group role of this
 *   database
 * @throws undefined_object - the role does not exist
 * @throws insufficient_privilege - the caller may not alter the role
 * @example SELECT operation, statement, status FROM rolecall.unlock_user('alice');
 */
export function unlock_user(username: Text, dry_run: Bool = false): SetOf<StepRow> {
  return establish(
    { roles: [{ name: username, state: 'existing', attributes: { login: true }, protected: true }] },
    dry_run,
    sql`PERFORM rolecall_internal.check_user(${username});`,
  );
}
