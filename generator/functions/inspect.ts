import type { Bool, Jsonb, Returns, Texts } from '../model/types.ts';
import { sql } from '../sql/template.ts';

/**
 * Returns the roles as they are in the cluster, and what they have in this database, as a policy, whoever created them
 *
 * Applying the result in the same database takes no steps. Superusers, predefined roles, the caller and the reporting
 * roles of this database are left out. Without a list of roles the result also describes how the privileges of PUBLIC
 * differ from those that the server gives it. A privilege on all objects of a schema, and on those that somebody
 * creates there later, is one entry. Passwords are not included.
 *
 * @group policies
 * @param roles names of roles; null: all
 * @param suggest_profiles true: privileges that roles have in the same way in several schemas become profiles; nobody
 *   gains or loses anything by that
 * @returns the policy; keys and lists are in one order, so that two can be compared as text
 * @throws insufficient_privilege - the caller may not read what is recorded
 * @example SELECT jsonb_pretty(rolecall.inspect());
 * @volatility stable
 */
export function inspect(roles: Texts | null = null, suggest_profiles: Bool = false): Returns<Jsonb> {
  return sql`
    DECLARE
      v_state jsonb := rolecall_internal.inspected_state(${roles});
    BEGIN
      RETURN rolecall_internal.policy_of(
        CASE WHEN ${suggest_profiles} THEN rolecall_internal.with_profiles(v_state) ELSE v_state END
      );
    END
  `;
}
