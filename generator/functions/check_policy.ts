import type { Jsonb, Table, Text } from '../model/types.ts';
import { raiseNull } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';

/**
 * Lists what is wrong with a policy, all of it at once
 *
 * The page [policies](policies.md) describes what a policy can contain. An object that does not exist is not a
 * problem of the policy: apply() skips it.
 *
 * @group policies
 * @param policy the policy
 * @returns one row per problem: its place as a JSON path, what is wrong, the SQLSTATE, and a hint; none if apply()
 *   accepts the policy
 * @throws null_value_not_allowed - the policy is null
 * @example SELECT path, problem FROM rolecall.check_policy('{"roles": {"app": {"loggin": true}}}');
 * @volatility stable
 */
export function check_policy(policy: Jsonb): Table<{ path: Text; problem: Text }> {
  return sql`
    BEGIN
      IF ${policy} IS NULL THEN
        ${raiseNull('policy')}
      END IF;
      RETURN QUERY
        SELECT p.path, format('%s (%s)', concat_ws('; ', p.problem, p.hint), p.code)
        FROM rolecall_internal.policy_problems(${policy}) AS p;
    END
  `;
}
