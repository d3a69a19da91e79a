import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { establish } from './_shared.ts';

/**
 * Revokes the membership of one role in another, whoever granted it
 *
 * PostgreSQL 16 and newer keep one membership per grantor; each of them is revoked. A role keeps the ADMIN OPTION
 * that it has because it created the other one.
 *
 * @group users
 * @param role_name role that the other is a member of; it may be a predefined one
 * @param username the member
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per grantor; none if there is no such membership, or no such role
 * @throws null_value_not_allowed - a name is null
 * @throws invalid_name - a name is empty or longer than 63 bytes
 * @throws reserved_name - a name belongs to PostgreSQL, and is not that of a predefined role to be revoked
 * @throws insufficient_privilege - the caller may not revoke the role
 * @throws dependent_objects_still_exist - the member granted the role to others
 * @example SELECT operation, statement, status FROM rolecall.revoke_role('authenticated', 'alice');
 */
export function revoke_role(role_name: Text, username: Text, dry_run: Bool = false): SetOf<StepRow> {
  return establish({ memberships: [{ role: role_name, member: username, state: 'absent' }] }, dry_run);
}
