/**
 * The newest record of a resource, which is the one that counts.
 */
import type { Jsonb, Returns, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * The newest record of a resource; null where there is none
 * @volatility stable
 * @probes
 */
export function newest_record(section: Text, key: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT p.resource FROM rolecall_internal.resource AS p
        WHERE p.section = newest_record.section AND p.key = newest_record.key
        ORDER BY p.recorded_at DESC LIMIT 1
      );
    END
  `;
}

/**
 * The names that the base roles have in this database; the default role is there only where it was once named
 * @volatility stable
 * @probes
 */
export function base_role_names(): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN '{"anonymous": "anonymous", "authenticated": "authenticated", "administrator": "administrator"}'::jsonb
        || coalesce((
          -- The newest record of a key is the last one, and the last value of a key is the one that an object keeps.
          SELECT jsonb_object_agg(p.key ->> 0, p.resource ->> 'name' ORDER BY p.recorded_at)
          FROM rolecall_internal.resource AS p
          WHERE p.section = 'base_roles' AND p.resource ? 'name'
        ), '{}');
    END
  `;
}
