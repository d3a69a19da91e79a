/**
 * Documents and lists in them.
 */
import type { Jsonb, Returns, Texts } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * Two documents as one: the resources of both, section by section
 * @volatility immutable
 */
export function joined(one: Jsonb, other: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT jsonb_object_agg(
                 k.section, coalesce(${one} -> k.section, '[]') || coalesce(${other} -> k.section, '[]')
               )
        FROM (SELECT jsonb_object_keys(${one}) UNION SELECT jsonb_object_keys(${other})) AS k(section)
      );
    END
  `;
}

/**
 * A list of names as JSON, each once, however many dimensions the array has; null for null
 * @volatility stable
 * @strict
 */
export function name_list(names: Texts): Returns<Jsonb> {
  return sql`
    BEGIN
      IF cardinality(${names}) < 2 AND array_ndims(${names}) IS DISTINCT FROM 2 THEN
        RETURN to_jsonb(${names});
      END IF;
      RETURN (
        SELECT coalesce(jsonb_agg(n.name ORDER BY n.position), '[]')
        FROM (
          SELECT u.name, min(u.position) AS position
          FROM unnest(${names}) WITH ORDINALITY AS u(name, position) GROUP BY u.name
        ) AS n
      );
    END
  `;
}
