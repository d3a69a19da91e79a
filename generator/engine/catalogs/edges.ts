/**
 * The membership that a role has because it created the other one.
 */
import type { Bool, Jsonb, Returns } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * Whether a role has ADMIN only because it made the role: that edge is its own, and is never reported or revoked
 * @volatility immutable
 */
export function is_creator_edge(edge: Jsonb): Returns<Bool> {
  return sql`
    BEGIN
      -- PostgreSQL 16 and newer record it as granted by the bootstrap superuser, whose oid is 10.
      -- Older servers have no such options, and no such edge.
      RETURN coalesce(
        ${edge} ->> 'grantor' = '10'
          AND (${edge} -> 'admin_option')::boolean
          AND NOT (${edge} -> 'inherit_option')::boolean
          AND NOT (${edge} -> 'set_option')::boolean,
        false
      );
    END
  `;
}
