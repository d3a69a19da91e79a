import type { Jsonb, Returns } from '../model/types.ts';
import { sql } from '../sql/template.ts';

/**
 * Returns what the calls and policies of this database have established, as one policy
 *
 * Applying the result takes no steps as long as drift() returns none. Roles that calls created, and that no policy
 * describes, have `"exact": false`: they keep what they have beyond the policy. Passwords, operators and the watching
 * of new tables are not included.
 *
 * @group policies
 * @returns the policy; keys and lists are in one order, so that two can be compared as text
 * @throws insufficient_privilege - the caller may not read what is recorded
 * @example SELECT jsonb_pretty(rolecall.policy());
 * @volatility stable
 */
export function policy(): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN rolecall_internal.policy_of(rolecall_internal.recorded_document());
    END
  `;
}
