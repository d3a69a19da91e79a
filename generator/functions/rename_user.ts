import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { rows } from './_shared.ts';

/**
 * Gives a role another name, here and in what is remembered
 *
 * Password, memberships, privileges and settings stay. A reporting role gets the password of its new name, as
 * reporting_role_password() tells it. Other databases of the cluster that remember the role say so in drift(): rename it there
 * in the record by the same call, which changes nothing else then. Files with policies have to be changed by hand.
 *
 * @group users
 * @param username name of the role
 * @param new_name name that it is to have
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per step; none where the role has the new name already
 * @throws null_value_not_allowed - a name is null
 * @throws invalid_name - a name is empty or longer than 63 bytes
 * @throws reserved_name - a name belongs to PostgreSQL
 * @throws invalid_parameter_value - the role is a superuser or the caller, or a reporting role of another database
 * @throws undefined_object - there is no role of either name
 * @throws duplicate_object - there are roles of both names
 * @throws insufficient_privilege - the caller may not rename the role, or not change what is recorded
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
