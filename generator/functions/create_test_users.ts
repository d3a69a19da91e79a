import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { baseRole, converge, user } from './_shared.ts';

/**
 * Makes the two test users of local development: app_user, and app_admin who is an administrator too
 *
 * Raises a WARNING: the default passwords are known to everybody.
 *
 * @param app_user name of the user in the anonymous and authenticated roles
 * @param app_password its password
 * @param app_admin name of the user in all three base roles
 * @param admin_password its password
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; none where all is as asked for
 * @throws null_value_not_allowed - a name is null
 * @throws invalid_name - a name is empty or longer than 63 bytes
 * @throws reserved_name - a name belongs to PostgreSQL
 * @throws invalid_parameter_value - a password is empty, or a verifier of the empty one
 * @throws insufficient_privilege - the caller may not create roles, or may not grant the base roles
 * @example SELECT operation, target, status FROM rolecall.create_test_users();
 */
export function create_test_users(
  app_user: Text = 'app_user',
  app_password: Text = 'app_password',
  app_admin: Text = 'app_admin',
  admin_password: Text = 'admin_password',
  dry_run: Bool = false,
): SetOf<StepRow> {
  return converge(
    {
      roles: [
        { name: app_user, ...user, password: app_password },
        { name: app_admin, ...user, password: admin_password },
      ],
      memberships: [
        { role: baseRole('anonymous'), member: app_user },
        { role: baseRole('authenticated'), member: app_user },
        { role: baseRole('anonymous'), member: app_admin },
        { role: baseRole('authenticated'), member: app_admin },
        { role: baseRole('administrator'), member: app_admin },
      ],
    },
    dry_run,
    sql`RAISE WARNING 'test users are for local development only: their default passwords are public';`,
  );
}
