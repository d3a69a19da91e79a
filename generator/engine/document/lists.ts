/**
 * Merges documents, and converts the lists in them.
 */
import type { Jsonb, Returns, Steps, Text, Texts } from '../../model/types.ts';
import { join, type Sql, sql, text } from '../../sql/template.ts';

/** The settings that are lists of names, which the server quotes one by one. */
export const listSettings = join(
  ['search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries'].map(text),
);

/** Whether a document has a resource of that name. */
export const isIn = (document: Sql, section: 'roles' | 'schemas', name: Sql) => sql`
  coalesce(
    ${document} -> ${text(section)}
      @> jsonb_build_array(jsonb_build_object('name', ${name})), false
  )
`;

/** The names of the roles that a call has created. */
export const created = (steps: Steps) => sql`
  SELECT s.target FROM unnest(${steps}) AS s
  WHERE s.operation = 'create_role' AND s.status = 'applied'
`;

/**
 * Two documents as one: the resources of both, section by section
 * @volatility immutable
 */
export function joined(one: Jsonb, other: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      IF ${other} = '{}' THEN
        RETURN ${one};
      END IF;
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
 * A list of names as JSON, without duplicates, from an array of any number of dimensions; null for null
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

/**
 * The value of a setting as in a document: a list if the server keeps a list of names
 *
 * ALTER ROLE ... SET writes a list in its own way, and SET ... FROM CURRENT as the session wrote it, so lists are
 * compared after they are read. The server reads names of schemas and tablespaces as identifiers, and those of
 * libraries as they are.
 * @volatility immutable
 */
export function setting_value(name: Text, stored: Text): Returns<Jsonb> {
  return sql`
    BEGIN
      IF lower(${name}) NOT IN (
        ${listSettings}
      ) THEN
        RETURN to_jsonb(${stored});
      END IF;
      RETURN (
        SELECT coalesce(jsonb_agg(CASE
                 WHEN starts_with(p.part, '"') THEN replace(substr(p.part, 2, length(p.part) - 2), '""', '"')
                 WHEN lower(${name}) LIKE '%libraries' THEN p.part
                 ELSE lower(p.part COLLATE "C") END ORDER BY m.position), '[""]')
        FROM regexp_matches(${stored}, '"(?:[^"]|"")*"|[^,"]+', 'g') WITH ORDINALITY AS m(parts, position)
        CROSS JOIN LATERAL btrim(m.parts[1], E' \t\n\r\f') AS p(part)
        WHERE p.part <> ''
      );
    END
  `;
}

/**
 * Whether an entry of the settings of a role sets a parameter. The server writes some names in mixed case, such as
 * TimeZone.
 */
export const isAbout = (entry: Sql, name: Sql) => sql`starts_with(lower(${entry}), lower(${name}) || '=')`;

/** Whether an entry of the settings of a role has the value that a document asks for. */
export const isSetting = (entry: Sql, name: Sql, value: Sql) => sql`(
  ${isAbout(entry, name)} AND CASE jsonb_typeof(${value})
    WHEN 'array' THEN
      ${value} = rolecall_internal.setting_value(
        ${name}, substr(${entry}, length(${name}) + 2)
      )
    ELSE substr(${entry}, length(${name}) + 2) = ${value} #>> '{}' END
)`;
