import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { establish } from './_shared.ts';
import { sql } from '../sql/template.ts';

/**
 * Revokes what `add_operator()` grants
 *
 * Revokes the privileges on the schemas, functions and tables of the extension, whoever granted them, and no longer
 * remembers the role as an operator. Its other attributes and privileges, and the roles that it has created, stay. An
 * operator can read the secret that the passwords of the reporting roles are derived from. If it may have kept a
 * copy, call `rotate_reporting_secret()` too.
 *
 * A privilege that another role granted is revoked as that role. Where the caller cannot become it, the row is
 * skipped with 42501, and names the role that can revoke it.
 *
 * @group keeping
 * @param role_name name of the role
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per statement; none if the role has no such privilege, or does not exist
 * @throws null_value_not_allowed - the name is null
 * @throws invalid_name - the name is empty or longer than 63 bytes
 * @throws reserved_name - the name belongs to PostgreSQL
 * @throws insufficient_privilege - the caller could not have added an operator
 * @throws dependent_objects_still_exist - the role has added other operators, which would lose their privileges with it
 * @example SELECT operation, statement, status FROM rolecall.remove_operator('alice', dry_run => true);
 */
export function remove_operator(role_name: Text, dry_run: Bool = false): SetOf<StepRow> {
  return establish(
    { operators: [{ role: role_name, state: 'absent' }] },
    dry_run,
    sql`
      PERFORM rolecall_internal.check_role_name(${role_name});
      PERFORM rolecall_internal.check_may_add_operators();
      PERFORM rolecall_internal.check_no_operators_of(${role_name});
    `,
  );
}
