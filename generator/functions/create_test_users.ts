import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { raw, sql } from '../sql/template.ts';
import { baseRole, established, user } from './_shared.ts';

/**
 * Creates the two test users for local development: app_user, and app_admin, which is also an administrator
 *
 * Raises a WARNING, because everybody knows the default passwords.
 *
 * @group users
 * @param app_user name of the user in the anonymous and authenticated roles; null: `app_user`
 * @param app_password its password; null: none
 * @param app_admin name of the user in all three base roles; null: `app_admin`
 * @param admin_password its password; null: none
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; none if nothing differs; a membership by which others could take a power of the role is
 *   skipped with 42501 and a WARNING
 * @throws invalid_name - a name is empty or longer than 63 bytes
 * @throws reserved_name - a name belongs to PostgreSQL
 * @throws invalid_parameter_value - the two names are the same, one is a reporting role, or a password is empty, a
 *   verifier of the empty one, an MD5 hash or an incomplete verifier
 * @throws insufficient_privilege - the caller may not create roles, or may not grant the base roles
 * @example SELECT operation, target, status FROM rolecall.create_test_users();
 */
export function create_test_users(
  app_user: Text | null = 'app_user',
  app_password: Text | null = 'app_password',
  app_admin: Text | null = 'app_admin',
  admin_password: Text | null = 'admin_password',
  dry_run: Bool = false,
): SetOf<StepRow> {
  const [plain, admin] = [raw('v_user'), raw('v_admin')];
  const state = {
    roles: [
      { name: plain, ...user, password: app_password },
      { name: admin, ...user, password: admin_password },
    ],
    memberships: [
      { role: baseRole('anonymous'), member: plain },
      { role: baseRole('authenticated'), member: plain },
      { role: baseRole('anonymous'), member: admin },
      { role: baseRole('authenticated'), member: admin },
      { role: baseRole('administrator'), member: admin },
    ],
  };
  return sql`
    DECLARE
      v_user text := coalesce(${app_user}, 'app_user');
      v_admin text := coalesce(${app_admin}, 'app_admin');
    BEGIN
      IF v_user = v_admin THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = 'the user and the administrator must have two different names';
      END IF;
      RAISE WARNING 'test users are for local development only: their default passwords are public';
      ${established(state, dry_run)}
    END
  `;
}
