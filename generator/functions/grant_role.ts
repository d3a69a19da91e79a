import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { establish } from './_shared.ts';

/**
 * Makes one role a member of another, with the options given
 *
 * On PostgreSQL 16 and newer a membership can have several grantors: the member has an option if one of the grantors
 * gave it, and an option that is not wanted is revoked from each of the memberships. A role keeps the ADMIN OPTION
 * that it has because it created the other one.
 *
 * @group users
 * @param role_name role to be a member of; it may be a predefined one, such as `pg_monitor`
 * @param username role that becomes the member
 * @param admin_option whether the member may grant the role to others; false, the default, revokes ADMIN OPTION from
 *   a member that has it
 * @param inherit_option whether the member has the privileges without SET ROLE; null: it stays as it is, and a new
 *   membership follows the INHERIT attribute of the member
 * @param set_option whether the member may SET ROLE to it; null: it stays as it is, and a new membership allows it
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; a role that does not exist is skipped with 42704 and a NOTICE; a membership by which
 *   others could take a power of the role is skipped with 42501 and a WARNING
 * @throws invalid_parameter_value - the member is a reporting role
 * @throws null_value_not_allowed - a name is null
 * @throws invalid_name - a name is empty or longer than 63 bytes
 * @throws reserved_name - a name belongs to PostgreSQL, and is not that of a predefined role to be granted
 * @throws feature_not_supported - inherit_option or set_option is given on a server older than 16
 * @throws insufficient_privilege - the caller may not grant the role
 * @throws invalid_grant_operation - the role would become a member of itself
 * @example SELECT operation, target, statement, status FROM rolecall.grant_role('authenticated', 'alice');
 */
export function grant_role(
  role_name: Text,
  username: Text,
  admin_option: Bool = false,
  inherit_option: Bool | null = null,
  set_option: Bool | null = null,
  dry_run: Bool = false,
): SetOf<StepRow> {
  return establish(
    {
      memberships: [
        { role: role_name, member: username, admin: admin_option, inherit: inherit_option, set: set_option },
      ],
    },
    dry_run,
  );
}
