import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { baseRole, converge, groupRole } from './_shared.ts';

/**
 * Makes a restricted group role for clients: a member of the authenticated role whose statements time out
 *
 * @param role_name name of the role
 * @param statement_timeout longest time for one statement, in PostgreSQL's units, such as `15s`; it holds in sessions of the role itself
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; none where all is as asked for
 * @throws null_value_not_allowed - the name is null
 * @throws invalid_name - the name is empty or longer than 63 bytes
 * @throws reserved_name - the name belongs to PostgreSQL
 * @throws invalid_parameter_value - the role is a superuser or the caller, or the timeout is not a time
 * @throws insufficient_privilege - the caller may not create roles, or may not grant the authenticated role
 * @example SELECT operation, statement, status FROM rolecall.create_client_role();
 */
export function create_client_role(
  role_name: Text = 'authenticated_client',
  statement_timeout: Text = '15s',
  dry_run: Bool = false,
): SetOf<StepRow> {
  return converge(
    {
      roles: [{ name: role_name, attributes: { ...groupRole, bypassrls: false }, protected: true }],
      memberships: [{ role: baseRole('authenticated'), member: role_name }],
      settings: [{ role: role_name, name: 'statement_timeout', value: statement_timeout }],
    },
    dry_run,
  );
}
