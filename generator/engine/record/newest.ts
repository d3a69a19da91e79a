/**
 * The newest record of a resource, which is the one that counts.
 */
import { newest } from '../../model/record.ts';
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
        SELECT p.resource FROM ${newest(sql`r.section = newest_record.section AND r.key = newest_record.key`)} AS p
        WHERE rolecall_internal.refusal(p.section, p.resource) IS NULL
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
          SELECT jsonb_object_agg(p.key ->> 0, p.resource ->> 'name')
          FROM ${newest(sql`r.section = 'base_roles'`)} AS p
          WHERE p.resource ? 'name'
        ), '{}');
    END
  `;
}
