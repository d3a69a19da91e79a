import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { raiseNull } from '../sql/raise.ts';
import { raw, sql } from '../sql/template.ts';
import { baseRole, established, groupRole } from './_shared.ts';

/**
 * Creates a restricted group role for clients: a member of the authenticated role whose statements time out
 *
 * The server applies the settings of a role only to sessions that log in as that very role. So a user that
 * grant_role() or create_user_with_grants() puts into the role gets the same timeout itself, unless it has one of its
 * own. That timeout ends when revoke_role() ends the membership or remove_user() drops the client role. A user in a
 * group that is in the role gets none: put it into the role itself.
 *
 * @group users
 * @param role_name name of the role; null: `authenticated_client`
 * @param statement_timeout longest time for one statement, in PostgreSQL's units, such as `15s`; `0`: no limit
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; none if nothing differs
 * @throws null_value_not_allowed - the timeout is null
 * @throws invalid_name - the name is empty or longer than 63 bytes
 * @throws reserved_name - the name belongs to PostgreSQL
 * @throws invalid_parameter_value - the role is a superuser, the caller or a reporting role, or the timeout is not a
 *   time, has no unit, or is rounded to 0
 * @throws insufficient_privilege - the caller may not create roles, or may not grant the authenticated role
 * @example SELECT operation, statement, status FROM rolecall.create_client_role();
 */
export function create_client_role(
  role_name: Text | null = 'authenticated_client',
  statement_timeout: Text = '15s',
  dry_run: Bool = false,
): SetOf<StepRow> {
  const name = raw('v_name');
  const state = {
    roles: [{ name, attributes: { ...groupRole, bypassrls: false }, protected: true }],
    memberships: [{ role: baseRole('authenticated'), member: name }],
    settings: [{ role: name, name: 'statement_timeout', value: statement_timeout }],
  } as const;
  return sql`
    DECLARE
      v_name text := coalesce(${role_name}, 'authenticated_client');
    BEGIN
      IF ${statement_timeout} IS NULL THEN
        ${raiseNull('statement_timeout')}
      ELSIF ${statement_timeout} ~* '^[[:space:]]*[+]?(0x[0-9a-f]+|[0-9.]+(e[+]?[0-9]+)?)[[:space:]]*$'
        AND ${statement_timeout} !~ '^[[:space:]]*0+[[:space:]]*$'
      THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('statement_timeout %L has no unit', ${statement_timeout}),
          HINT = format('The server would take it as milliseconds. Say which it is, such as ''%1$ss'' or ''%1$sms''.',
                        substring(${statement_timeout}, '[^[:space:]]+'));
      ELSIF rolecall_internal.is_rounded_off(${statement_timeout}) THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format(
            'statement_timeout %L is rounded to 0, which is no limit', ${statement_timeout}
          ),
          HINT = 'The shortest timeout is 1ms. For no limit, write 0.';
      END IF;
      ${established(state, dry_run)}
    END
  `;
}
