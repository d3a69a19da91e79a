import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { establish } from './_shared.ts';
import { sql } from '../sql/template.ts';

/**
 * Lets a non-superuser call every function of the extension in this database
 *
 * Grants USAGE on the schemas of the extension, EXECUTE on its functions, and privileges on its tables. An operator
 * can read the secret that the passwords of the reporting roles are derived from, so it can log in as each of them.
 * The changes that its calls may make in the cluster depend on the role itself: creating roles requires CREATEROLE,
 * creating schemas CREATE on the database, and granting privileges on a table membership in its owner.
 *
 * The tables contain what a later `converge()` restores and the names of the base roles, even if a superuser makes the
 * call. A trigger signs each row with the role that writes it, and no call acts on more than that role could do itself
 * when it wrote the row; but an operator can delete rows. `drift()` shows what `converge()` would do.
 *
 * After ALTER EXTENSION ... UPDATE, call it or converge() again to grant the new functions.
 *
 * @group keeping
 * @param role_name name of the role
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per statement; none if the role has all of these privileges
 * @throws null_value_not_allowed - the name is null
 * @throws invalid_name - the name is empty or longer than 63 bytes
 * @throws reserved_name - the name belongs to PostgreSQL
 * @throws undefined_object - the role does not exist
 * @throws invalid_parameter_value - the role is a reporting role
 * @throws insufficient_privilege - another role could take the rights by membership or ADMIN OPTION, or the caller
 *   does not own the objects of the extension
 * @example SELECT operation, statement, status FROM rolecall.add_operator('alice', dry_run => true);
 */
export function add_operator(role_name: Text, dry_run: Bool = false): SetOf<StepRow> {
  return establish(
    { operators: [{ role: role_name }] },
    dry_run,
    sql`
      PERFORM rolecall_internal.check_role_name(${role_name});
      PERFORM rolecall_internal.check_operator(${role_name});
    `,
  );
}
