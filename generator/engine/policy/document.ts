/**
 * Converts a desired state to a policy. The record and the contents of the catalogs both become a desired state
 * first, so that there is one notation.
 */
import { recordedMark } from '../../model/sections.ts';
import type { Jsonb, Returns, Text } from '../../model/types.ts';
import { sql, text } from '../../sql/template.ts';

/**
 * A desired state as a policy
 * @volatility stable
 */
export function policy_of(state: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_roles jsonb := rolecall_internal.role_definitions(${state});
    BEGIN
      RETURN jsonb_strip_nulls(jsonb_build_object(
        'roles', v_roles,
        'schemas', rolecall_internal.schema_definitions(${state}),
        'profiles', ${state} -> 'profiles',
        'privileges', rolecall_internal.privilege_entries(
          -- If a policy has a role called "PUBLIC", everybody gets another name.
          ${state} -> 'privileges', CASE WHEN v_roles ? 'PUBLIC' THEN 'public' ELSE 'PUBLIC' END
        ),
        'base_roles', (
          SELECT jsonb_object_agg(b ->> 'key', b -> 'name')
          FROM jsonb_array_elements(${state} -> 'base_roles') AS b WHERE b ->> 'name' IS NOT NULL
        ),
        'reporting', (
          SELECT jsonb_object_agg(r ->> 'role', jsonb_build_object(
                   'schemas', r -> 'schemas', 'withheld', nullif(r -> 'withheld', '[]'), 'owners', r -> 'owners',
                   'search_path', r -> 'search_path'
                 ))
          FROM jsonb_array_elements(${state} -> 'read_access') AS r
        )
      ));
    END
  `;
}

/**
 * The schemas of a desired state, as a policy describes them
 * @volatility stable
 */
export function schema_definitions(state: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        WITH part AS (
          SELECT s ->> 'name' AS name, s - 'name' - ${text(recordedMark)} AS definition
          FROM jsonb_array_elements(${state} -> 'schemas') AS s
          UNION ALL
          SELECT p.schema, jsonb_build_object('profiles', jsonb_object_agg(p.profile, CASE
                   WHEN jsonb_array_length(p.roles) = 1 THEN p.roles -> 0 ELSE p.roles END))
          FROM (
            SELECT h.schema, h.profile, jsonb_agg(h.role ORDER BY h.role COLLATE "C") AS roles
            FROM jsonb_to_recordset(${state} -> 'holders') AS h(schema text, profile text, role text)
            GROUP BY h.schema, h.profile
          ) AS p
          GROUP BY p.schema
        )
        SELECT jsonb_object_agg(p.name, p.definition)
        FROM (
          SELECT p.name, coalesce(min(p.definition::text) FILTER (WHERE NOT p.definition ? 'profiles'), '{}')::jsonb
                 || coalesce(min(p.definition::text) FILTER (WHERE p.definition ? 'profiles'), '{}')::jsonb AS definition
          FROM part AS p GROUP BY p.name
        ) AS p
      );
    END
  `;
}

/**
 * The roles of a desired state, as a policy describes them
 * @volatility stable
 */
export function role_definitions(state: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_usual jsonb := rolecall_internal.usual_attributes();
      v_declared jsonb := (
        SELECT coalesce(jsonb_object_agg(d ->> 'role', true), '{}')
        FROM jsonb_array_elements(${state} -> 'declared') AS d
      );
    BEGIN
      RETURN (
        WITH part AS (
          SELECT r ->> 'name' AS role, a.key, a.value
          FROM jsonb_array_elements(${state} -> 'roles') AS r
          CROSS JOIN LATERAL jsonb_each(coalesce(r -> 'initial', '{}') || coalesce(r -> 'attributes', '{}')) AS a
          WHERE v_usual ? a.key AND v_usual -> a.key <> a.value
          UNION ALL
          SELECT r ->> 'name', NULL, NULL FROM jsonb_array_elements(${state} -> 'roles') AS r
          UNION ALL
          SELECT d ->> 'role', CASE WHEN (d -> 'exact')::boolean IS NOT TRUE THEN 'exact' END, 'false'
          FROM jsonb_array_elements(${state} -> 'declared') AS d
          UNION ALL
          SELECT c ->> 'role', 'comment', c -> 'comment'
          FROM jsonb_array_elements(${state} -> 'comments') AS c
          UNION ALL
          SELECT m ->> 'member', 'member_of', jsonb_agg(
                   CASE WHEN o.options = '{}' THEN m -> 'role' ELSE jsonb_build_object('role', m -> 'role') || o.options END
                   ORDER BY m ->> 'role' COLLATE "C"
                 )
          FROM jsonb_array_elements(${state} -> 'memberships') AS m
          CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(p.key, p.value), '{}') FROM jsonb_each(m) AS p
            WHERE p.key IN ('inherit', 'set') OR p.key = 'admin' AND p.value = 'true'
          ) AS o(options)
          GROUP BY 1
          UNION ALL
          SELECT s ->> 'role', CASE WHEN s ? 'here' THEN 'database_settings' ELSE 'settings' END,
                 jsonb_object_agg(s ->> 'name', s -> 'value')
          FROM jsonb_array_elements(${state} -> 'settings') AS s
          GROUP BY 1, 2
        ),
        role AS (
          SELECT p.role, coalesce(jsonb_object_agg(p.key, p.value) FILTER (WHERE p.key IS NOT NULL), '{}') AS definition
          FROM part AS p GROUP BY p.role
        )
        SELECT jsonb_object_agg(r.role, CASE
                 WHEN v_declared ? r.role THEN r.definition
                 ELSE '{"exact": false}'::jsonb || r.definition END)
        FROM role AS r
        -- base_roles says so, unless there is more.
        WHERE r.definition - 'bypassrls' <> '{}' OR NOT coalesce(
          ${state} -> 'base_roles' @> jsonb_build_array(jsonb_build_object('name', r.role)), false
        )
      );
    END
  `;
}

/**
 * Privileges as entries of a policy, with those objects together on which a role has the same privileges
 * @volatility stable
 */
export function privilege_entries(privileges: Jsonb, everybody: Text): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        WITH said AS (
          SELECT p.role, t.kind, t.means, t.object, t."column", t.scope, coalesce(p.grantable, false) AS grantable,
                 coalesce(p.revoked, false) AS revoked,
                 jsonb_agg(p.privilege ORDER BY p.privilege COLLATE "C") AS privileges
          FROM jsonb_to_recordset(${privileges})
            AS p(role text, privilege text, target jsonb, grantable boolean, revoked boolean)
          CROSS JOIN LATERAL jsonb_to_record(p.target)
            AS t(kind text, means text, object text, "column" text, scope jsonb)
          GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
        ),
        -- Columns of one table with the same privileges.
        object AS (
          SELECT s.role, s.kind, s.means, s.object, s.scope, s.grantable, s.revoked, s.privileges,
                 jsonb_agg(s."column" ORDER BY s."column" COLLATE "C") FILTER (WHERE s."column" IS NOT NULL) AS columns
          FROM said AS s GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
        ),
        entry AS (
          SELECT o.role, o.kind, o.means, o.scope, o.grantable, o.revoked, o.privileges, o.columns,
                 coalesce(jsonb_agg(
                   CASE o.kind WHEN 'large_object' THEN to_jsonb(o.object::bigint) ELSE to_jsonb(o.object) END
                   ORDER BY o.object COLLATE "C"
                 ) FILTER (WHERE o.object IS NOT NULL), '[]') AS objects
          FROM object AS o
          GROUP BY o.role, o.kind, o.means, o.scope, o.grantable, o.revoked, o.privileges, o.columns, o.object IS NULL
        )
        SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                 'to', coalesce(e.role, ${everybody}),
                 'on', coalesce(e.scope, '{}') || CASE
                   WHEN e.kind = 'column' THEN jsonb_build_object('columns', e.columns, 'of', l.objects)
                   ELSE jsonb_build_object(CASE e.means WHEN 'one' THEN e.kind WHEN 'all' THEN e.kind || 's_in'
                                                        ELSE format('future_%ss', e.kind) END, l.objects) END,
                 'grant', CASE WHEN NOT e.revoked THEN e.privileges END,
                 'revoke', CASE WHEN e.revoked THEN e.privileges END,
                 'with_grant_option', CASE WHEN e.grantable THEN true END
               )) ORDER BY e.role COLLATE "C" NULLS FIRST, e.kind COLLATE "C", e.means COLLATE "C", e.objects, e.scope,
                           e.columns, e.privileges, e.grantable, e.revoked)
        FROM entry AS e
        CROSS JOIN LATERAL (
          SELECT CASE WHEN jsonb_array_length(e.objects) = 1 THEN e.objects -> 0 ELSE e.objects END
        ) AS l(objects)
      );
    END
  `;
}
