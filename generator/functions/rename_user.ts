import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { rows } from './_shared.ts';

/**
 * Renames a role, also in what is remembered about it
 *
 * Password, memberships, privileges and settings stay. A reporting role gets the password of its new name, which
 * reporting_role_password() returns. Other databases of the cluster that remember the role list it in drift(); the
 * same call there renames it in their record, and changes nothing else. Change files with policies by hand.
 *
 * @group users
 * @param username name of the role
 * @param new_name its new name
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per step; none if the role has the new name already
 * @throws null_value_not_allowed - a name is null
 * @throws invalid_name - a name is empty or longer than 63 bytes
 * @throws reserved_name - a name belongs to PostgreSQL
 * @throws invalid_parameter_value - the role is a superuser or the caller, or a reporting role of another database
 * @throws undefined_object - there is no role of either name
 * @throws duplicate_object - there are roles of both names
 * @throws insufficient_privilege - the caller may not rename the role, or may not change what is recorded
 * @example SELECT operation, statement, status FROM rolecall.rename_user('alice', 'alice_smith');
 */
export function rename_user(username: Text, new_name: Text, dry_run: Bool = false): SetOf<StepRow> {
  return sql`
    BEGIN
      PERFORM rolecall_internal.check_role_name(${username});
      PERFORM rolecall_internal.check_role_name(${new_name});
      ${rows(sql`
        rolecall_internal.rename_role(
          ${username}, ${new_name}, ${dry_run}
        )
      `)}
    END
  `;
}
