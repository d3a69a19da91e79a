/**
 * The problems of what a policy says of settings and reporting roles.
 */
import { errorClasses, sqlstates } from '../../model/sqlstates.ts';
import type { Jsonb, Table, Text } from '../../model/types.ts';
import { anyOf } from '../../sql/conditions.ts';
import { sql, text } from '../../sql/template.ts';
import { mark } from '../catalogs/server.ts';
import { listSettings } from '../document/lists.ts';
import { object, step } from './shape.ts';

const invalid = text(sqlstates.invalid_parameter_value);

const boolean = text('^(t|tr|tru|true|f|fa|fal|fals|false|y|ye|yes|n|no|on|of|off|0|1)$');
const number = text('^ *[-+]?(0[xX][0-9a-fA-F]+|([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?) *');

/**
 * Settings that no role can have, and values that cannot be meant
 *
 * Whether a value is in the range of its parameter is for the server to say.
 * @volatility stable
 */
export function setting_problems(policy: Jsonb): Table<{ path: Text; code: Text; problem: Text; hint: Text }> {
  return sql`
    DECLARE
      -- What the server takes as a boolean, and as a value of most enumerations that once were boolean.
      v_boolean text := ${boolean};
      v_number text := ${number};
    BEGIN
      -- The view of all parameters takes as long to read as a small policy to check.
      IF NOT ${policy} @? '$.roles.* ? (exists(@.settings) || exists(@.database_settings))' THEN
        RETURN;
      END IF;
      RETURN QUERY
        WITH setting AS MATERIALIZED (
          SELECT r.path || '.' || p.key AS place, r.path || '.' || p.key || ${step(sql`s.name`)} AS path, s.name,
                 lower(s.name) AS key, s.value, jsonb_typeof(s.value) AS type, s.value #>> '{}' AS given
          FROM rolecall_internal.policy_roles(${policy}) AS r
          CROSS JOIN (VALUES ('settings'), ('database_settings')) AS p(key)
          CROSS JOIN LATERAL jsonb_each(${object(sql`r.definition -> p.key`)}) AS s(name, value)
        ),
        parameter AS MATERIALIZED (
          SELECT k.key, p.context, p.vartype, p.unit, p.enumvals,
                 p.context IS NOT NULL OR rolecall_internal.is_parameter(k.key) AS known
          FROM (SELECT DISTINCT s.key FROM setting AS s) AS k
          LEFT JOIN pg_settings AS p ON lower(p.name) = k.key
        )
        SELECT s.path, ${invalid}, 'apply() itself sets it, as a mark for other databases', NULL::text
        FROM setting AS s WHERE s.key = ${text(mark)}
        UNION ALL
        SELECT s.path, ${invalid}, CASE WHEN s.type = 'array' THEN 'one value, such as "a, b", not a list'
                                        ELSE 'a list of names, such as ["a", "b"]' END, NULL
        FROM setting AS s
        CROSS JOIN LATERAL (SELECT s.key IN (
          ${listSettings}
        )) AS l(is_list)
        WHERE l.is_list AND s.type = 'string' AND s.given ~ '[,"]' OR NOT l.is_list AND s.type = 'array'
        UNION ALL
        SELECT s.path, ${invalid}, format('parameter "%s" is named twice', s.name), NULL
        FROM setting AS s JOIN setting AS o ON o.place = s.place AND o.key = s.key AND o.name <> s.name
        UNION ALL
        SELECT s.path, CASE WHEN p.known THEN ${invalid} ELSE ${text(sqlstates.undefined_object)} END,
               format(CASE WHEN p.known THEN 'parameter "%s" cannot be set for a role'
                           ELSE 'there is no parameter "%s"' END, s.name), NULL
        FROM setting AS s JOIN parameter AS p USING (key)
        WHERE NOT p.known OR p.context NOT IN ('user', 'superuser')
        UNION ALL
        SELECT s.path, ${invalid}, format('"%s" is no value of parameter "%s"', s.given, s.name),
               CASE WHEN p.enumvals IS NOT NULL THEN 'it can be ' || array_to_string(p.enumvals, ', ')
                    WHEN p.unit LIKE '%B' THEN 'a number, with a unit as in 64MB: B, kB, MB, GB or TB'
                    WHEN p.unit IS NOT NULL THEN 'a number, with a unit as in 15s: us, ms, s, min, h or d' END
        FROM setting AS s JOIN parameter AS p USING (key)
        WHERE s.type IN ('string', 'number', 'boolean') AND p.context IN ('user', 'superuser') AND CASE p.vartype
          WHEN 'bool' THEN lower(s.given) !~ v_boolean
          -- Some levels of messages are not listed.
          WHEN 'enum' THEN lower(s.given) <> ALL (p.enumvals || '{debug,info,fatal,panic}'::text[])
                           AND lower(s.given) !~ v_boolean
          WHEN 'string' THEN false
          ELSE s.given !~ concat(v_number, CASE WHEN p.unit LIKE '%B' THEN '(B|kB|MB|GB|TB)?'
                                                 WHEN p.unit IS NOT NULL THEN '(us|ms|s|min|h|d)?' END, ' *$')
        END;
    END
  `;
}

/**
 * What provision_reporting_role() would refuse: each part of a definition by itself
 * @volatility stable
 */
export function reporting_problems(policy: Jsonb): Table<{ path: Text; code: Text; problem: Text; hint: Text }> {
  return sql`
    DECLARE
      v_part record;
    BEGIN
      FOR v_part IN
        SELECT '$.reporting' || ${step(sql`r.name`)} || p.place AS path, r.name, p.part,
               r.definition ->> 'rotate_after' AS rotate_after
        FROM jsonb_each(${object(sql`${policy} -> 'reporting'`)}) AS r(name, definition)
        CROSS JOIN LATERAL (
          SELECT '.schemas', '{"schemas": []}'::jsonb WHERE r.definition -> 'schemas' = '[]'
          UNION ALL
          SELECT format('.%s[%s]', l.key, e.position - 1), '{"schemas": ["s"]}'::jsonb
                 || jsonb_build_object(l.key, jsonb_build_array(e.name))
          FROM unnest('{schemas,withheld,owners,search_path}'::text[]) AS l(key)
          -- A key that is no list has a problem of its own.
          CROSS JOIN LATERAL jsonb_array_elements(
            CASE jsonb_typeof(r.definition -> l.key) WHEN 'array' THEN r.definition -> l.key END
          ) WITH ORDINALITY AS e(name, position)
          WHERE jsonb_typeof(e.name) = 'string'
          UNION ALL SELECT '.rotate_after', NULL WHERE jsonb_typeof(r.definition -> 'rotate_after') = 'string'
        ) AS p(place, part)
      LOOP
        path := v_part.path;
        code := ${invalid};
        problem := NULL;
        hint := NULL;
        BEGIN
          IF v_part.part IS NOT NULL THEN
            PERFORM rolecall_internal.check_read_access(
              jsonb_build_array(v_part.part || jsonb_build_object('role', v_part.name))
            );
          ELSIF v_part.rotate_after::interval < '0' THEN
            problem := 'must not be negative';
          END IF;
        EXCEPTION
          WHEN ${anyOf([errorClasses.data_exception, sqlstates.reserved_name, sqlstates.invalid_name, sqlstates.invalid_schema_name])} THEN
            GET STACKED DIAGNOSTICS
              problem = MESSAGE_TEXT,
              code = RETURNED_SQLSTATE,
              hint = PG_EXCEPTION_HINT;
            hint := nullif(hint, '');
        END;
        IF problem IS NOT NULL THEN
          RETURN NEXT;
        END IF;
      END LOOP;
    END
  `;
}
