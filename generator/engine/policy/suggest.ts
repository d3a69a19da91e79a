/**
 * Suggests profiles where several schemas share a pattern. A profile means the same as the entries that it replaces.
 */
import type { Jsonb, Returns } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * The privileges of each role on a schema and on all objects in it, as a profile: those without exceptions and grant
 * options, for later objects of the same owners
 * @volatility stable
 */
export function schema_patterns(privileges: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        WITH said AS (
          SELECT p.role, t.object AS schema, CASE t.kind WHEN 'schema' THEN t.kind ELSE t.kind || 's' END AS word,
                 t.scope -> 'owners' AS owners, jsonb_agg(p.privilege ORDER BY p.privilege COLLATE "C") AS privileges
          FROM jsonb_to_recordset(${privileges})
            AS p(role text, privilege text, target jsonb, grantable boolean, revoked boolean)
          CROSS JOIN LATERAL jsonb_to_record(p.target) AS t(kind text, means text, object text, scope jsonb)
          WHERE p.role IS NOT NULL AND p.grantable IS NOT TRUE AND p.revoked IS NOT TRUE
            AND (t.kind = 'schema' AND t.means = 'one' OR t.means = 'all' AND t.scope ? 'owners' AND NOT t.scope ? 'except')
          GROUP BY 1, 2, 3, 4
        ),
        pattern AS (
          SELECT s.role, s.schema, jsonb_object_agg(s.word, s.privileges)
                   || jsonb_build_object(
                        'owners', (jsonb_agg(s.owners) FILTER (WHERE s.owners IS NOT NULL)) -> 0
                      ) AS profile
          FROM said AS s GROUP BY s.role, s.schema
          HAVING count(DISTINCT s.owners) = 1 AND count(*) = count(DISTINCT s.word)
        )
        SELECT jsonb_agg(to_jsonb(p)) FROM pattern AS p
        WHERE p.profile IN (SELECT o.profile FROM pattern AS o GROUP BY o.profile HAVING count(DISTINCT o.schema) > 1)
      );
    END
  `;
}

/**
 * A desired state with profiles in the place of the privileges that several schemas share
 * @volatility stable
 */
export function with_profiles(state: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_patterns jsonb := rolecall_internal.schema_patterns(${state} -> 'privileges');
    BEGIN
      IF v_patterns IS NULL THEN
        RETURN ${state};
      END IF;
      RETURN (
        WITH pattern AS MATERIALIZED (
          SELECT p.role, p.schema, p.profile FROM jsonb_to_recordset(v_patterns) AS p(role text, schema text, profile jsonb)
        ),
        -- Their names say what they are for.
        kind AS (
          SELECT p.profile, CASE WHEN p.profile::text ~ '"(INSERT|UPDATE|DELETE|TRUNCATE)"' THEN 'writer'
                                 WHEN p.profile -> 'tables' ? 'SELECT' THEN 'reader' ELSE 'user' END AS word
          FROM (SELECT DISTINCT p.profile FROM pattern AS p) AS p
        ),
        named AS MATERIALIZED (
          SELECT k.profile, concat(k.word, '_' || nullif(
                   row_number() OVER (PARTITION BY k.word ORDER BY k.profile::text COLLATE "C"), 1
                 )) AS name
          FROM kind AS k
        )
        SELECT ${state} || jsonb_build_object(
          'profiles', (SELECT jsonb_object_agg(n.name, n.profile) FROM named AS n),
          'holders', (
            SELECT jsonb_agg(jsonb_build_object('schema', p.schema, 'profile', n.name, 'role', p.role))
            FROM pattern AS p JOIN named AS n USING (profile)
          ),
          'privileges', (
            SELECT jsonb_agg(r.resource)
            FROM jsonb_array_elements(${state} -> 'privileges') AS r(resource)
            WHERE NOT EXISTS (
              SELECT FROM pattern AS p
              WHERE p.role = r.resource ->> 'role' AND p.schema = r.resource #>> '{target,object}'
                AND NOT r.resource ?| '{grantable,revoked}'
                AND (r.resource -> 'target' @> '{"kind": "schema", "means": "one"}'
                     OR r.resource -> 'target' @> '{"means": "all"}' AND NOT r.resource #> '{target,scope}' ? 'except')
            )
          )
        )
      );
    END
  `;
}
