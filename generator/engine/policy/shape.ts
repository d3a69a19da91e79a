/**
 * Checks whether a document has the format of a policy. The format is data, generated from the type Policy.
 */
import { fileURLToPath } from 'node:url';
import { jsonLiteral } from '../../model/kinds.ts';
import { readShapes, shapeData } from '../../model/policy-shape.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Integer, Jsonb, Returns, Table, Text } from '../../model/types.ts';
import { type Sql, sql, text } from '../../sql/template.ts';

const shapes = readShapes(fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, ''));

/**
 * The format of a policy: the types of each shape, the strings that are allowed, the keys that are required, and the
 * shape of what is inside
 * @volatility immutable
 */
export function policy_shape(): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN ${jsonLiteral(shapeData(shapes))};
    END
  `;
}

/** A value as a list, whatever it is: a name alone is a list of one. */
export const list = (value: Sql): Sql => sql`
  jsonb_path_query_array(
    ${value}, '$[*] ? (@ != null)'
  )
`;

/** A value where it is an object, else null. */
export const object = (value: Sql): Sql => sql`
  jsonb_path_query_first(
    ${value}, 'strict $ ? (@.type() == "object")'
  )
`;

/** A key in a JSON path; plainPath() removes quotes that are not required. */
export const step = (key: Sql): Sql => sql`'.' || to_json(${key})`;
export const plainPath = (path: Sql): Sql => sql`regexp_replace(${path}, '[.]"([A-Za-z_][A-Za-z_0-9]*)"', '.\1', 'g')`;

/**
 * Every value in a policy, with its path and its shape; without a shape, the key is not allowed there
 * @volatility stable
 */
export function policy_values(policy: Jsonb): Table<{ path: Text; owner: Text; key: Text; shape: Text; value: Jsonb }> {
  return sql`
    DECLARE
      v_inside jsonb := rolecall_internal.policy_shape() -> 'inside';
    BEGIN
      RETURN QUERY
        WITH RECURSIVE walk AS (
          SELECT '$' AS path, NULL::text AS owner, NULL::text AS key, 'Policy' AS shape, ${policy} AS value
          UNION ALL
          SELECT w.path || c.step, w.shape, c.key,
                 coalesce(v_inside ->> (w.shape || c.place), v_inside ->> (w.shape || '.*')), c.value
          FROM walk AS w
          CROSS JOIN LATERAL (
            SELECT o.key, '.' || o.key, ${step(sql`o.key`)}, o.value
            FROM jsonb_each(${object(sql`w.value`)}) AS o
            UNION ALL
            SELECT NULL, '[]', format('[%s]', a.position - 1), a.value
            FROM jsonb_array_elements(jsonb_path_query_first(w.value, 'strict $ ? (@.type() == "array")'))
              WITH ORDINALITY AS a(value, position)
          ) AS c(key, place, step, value)
          WHERE w.shape IS NOT NULL
        )
        SELECT w.path, w.owner, w.key, w.shape, w.value FROM walk AS w;
    END
  `;
}

/**
 * Keys that are unknown or missing, and values of a wrong type
 * @volatility stable
 */
export function shape_problems(policy: Jsonb): Table<{ path: Text; code: Text; problem: Text; hint: Text }> {
  return sql`
    DECLARE
      v_shape jsonb := rolecall_internal.policy_shape();
      v_invalid text := ${text(sqlstates.invalid_parameter_value)};
    BEGIN
      RETURN QUERY
        WITH found AS MATERIALIZED (
          SELECT v.*, t.type, v_shape -> 'types' -> v.shape AS types
          FROM rolecall_internal.policy_values(${policy}) AS v
          CROSS JOIN LATERAL (
            SELECT CASE WHEN jsonb_typeof(v.value) = 'number' AND v.value::numeric = trunc(v.value::numeric) THEN 'integer'
                        ELSE jsonb_typeof(v.value) END
          ) AS t(type)
        )
        SELECT f.path, v_invalid, format('unknown key "%s"', f.key),
               'did you mean "' || rolecall_internal.nearest_key(f.key, f.owner) || '"?'
        FROM found AS f WHERE f.shape IS NULL AND f.key IS NOT NULL
        UNION ALL
        SELECT f.path, v_invalid,
               format('%s, not %s', replace(array_to_string(
                 ARRAY(SELECT jsonb_array_elements_text(f.types)), ' or '
               ), 'array', 'list'), replace(f.type, 'array', 'list')),
               CASE WHEN f.type = 'null' AND f.types = '["object"]' THEN 'one without keys is {}' END
        FROM found AS f
        WHERE f.shape IS NOT NULL AND NOT f.types ? f.type AND NOT (f.type = 'integer' AND f.types ? 'number')
        UNION ALL
        SELECT f.path, v_invalid, format('"%s" is not one of %s', f.value #>> '{}', array_to_string(
                 ARRAY(SELECT jsonb_array_elements_text(v_shape -> 'allowed' -> f.shape)), ', '
               )), NULL
        FROM found AS f
        WHERE f.type IN ('string', 'boolean') AND NOT v_shape -> 'allowed' -> f.shape ? (f.value #>> '{}')
        UNION ALL
        SELECT f.path, v_invalid, format('the key "%s" is missing', n.key), NULL
        FROM found AS f
        CROSS JOIN LATERAL jsonb_array_elements_text(v_shape -> 'required' -> f.shape) AS n(key)
        WHERE f.type = 'object' AND NOT f.value ? n.key;
    END
  `;
}

/**
 * The key of a shape that is most like another one; null where none is
 * @volatility stable
 */
export function nearest_key(key: Text, shape: Text): Returns<Text> {
  return sql`
    BEGIN
      RETURN (
        SELECT k.name
        FROM jsonb_object_keys(rolecall_internal.policy_shape() -> 'inside') AS i(place)
        CROSS JOIN LATERAL (SELECT substr(i.place, length(${shape}) + 2)) AS k(name)
        CROSS JOIN LATERAL (SELECT rolecall_internal.edit_distance(${key}, k.name)) AS d(distance)
        WHERE starts_with(i.place, ${shape} || '.') AND d.distance <= 1 + length(${key}) / 3
        ORDER BY d.distance, k.name LIMIT 1
      );
    END
  `;
}

/**
 * How many letters have to be added, removed or replaced to turn one text into another
 * @volatility immutable
 */
export function edit_distance(one: Text, other: Text): Returns<Integer> {
  return sql`
    DECLARE
      v_other text := left(${other}, 50);
      v_row integer[] := ARRAY(SELECT generate_series(0, length(v_other)));
      v_next integer[];
    BEGIN
      FOR v_at IN 1 .. least(length(${one}), 50) LOOP
        v_next := ARRAY[v_at];
        FOR v_to IN 1 .. length(v_other) LOOP
          v_next := v_next || least(
            v_next[v_to] + 1, v_row[v_to + 1] + 1,
            v_row[v_to] + (lower(substr(${one}, v_at, 1)) <> lower(substr(v_other, v_to, 1)))::integer
          );
        END LOOP;
        v_row := v_next;
      END LOOP;
      RETURN v_row[cardinality(v_row)];
    END
  `;
}
