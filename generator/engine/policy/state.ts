/**
 * Converts a policy to a desired state.
 */
import { newest } from '../../model/record.ts';
import { keyOf } from '../../model/sections.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Jsonb, Returns, Text } from '../../model/types.ts';
import { sql, text } from '../../sql/template.ts';
import { listSettings } from '../document/lists.ts';
import { object } from './shape.ts';

/**
 * A policy as a desired state; additive: what exists already stays as it is, whatever the policy says of it
 *
 * It does not contain the reporting roles: see policy_reports().
 * @volatility stable
 */
export function policy_state(policy: Jsonb, mode: Text, passwords: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_exact boolean := ${mode} <> 'additive';
      v_roles jsonb := ${policy} -> 'roles';
      v_state jsonb;
    BEGIN
      v_state := jsonb_build_object(
        'base_roles', rolecall_internal.policy_base_roles(${policy}),
        'roles', rolecall_internal.policy_role_resources(${policy}, v_exact, ${passwords}),
        'comments', (
          SELECT jsonb_agg(jsonb_build_object('role', r.name, 'comment', r.definition -> 'comment') ORDER BY r.name)
          FROM jsonb_each(v_roles) AS r(name, definition) WHERE r.definition ? 'comment'
        ),
        'passwords', rolecall_internal.policy_passwords(${policy}, ${passwords}),
        'memberships', (
          SELECT jsonb_agg(
                   CASE WHEN v_exact AND NOT v_roles -> m.member ? 'exact' THEN '{"admin": false}'
                        ELSE '{}' END::jsonb || m.options
                   || jsonb_build_object('member', m.member, 'role', m.role)
                   ORDER BY m.path
                 )
          FROM rolecall_internal.policy_memberships(${policy}) AS m
        ),
        'settings', (
          SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                   'role', r.name, 'name', s.name, 'alone', true, 'here', p.here,
                   'value', CASE WHEN jsonb_typeof(s.value) = 'array' THEN coalesce(nullif(s.value, '[]'), '[""]')
                                 WHEN lower(s.name) IN (
                                   ${listSettings}
                                 ) THEN jsonb_build_array(s.value #>> '{}')
                                 ELSE to_jsonb(s.value #>> '{}') END
                 )) ORDER BY r.name, p.here, s.name)
          FROM jsonb_each(v_roles) AS r(name, definition)
          CROSS JOIN (VALUES ('settings', NULL), ('database_settings', true)) AS p(key, here)
          CROSS JOIN LATERAL jsonb_each(${object(sql`r.definition -> p.key`)}) AS s(name, value)
        ),
        'declared', (
          SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                   'role', r.name, 'exact', CASE WHEN r.definition ? 'exact' THEN false WHEN v_exact THEN true END
                 )) ORDER BY r.name)
          FROM rolecall_internal.policy_roles(${policy}) AS r
          WHERE NOT r.definition ? 'state'
        ),
        'schemas', (
          SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                   'name', s.name, 'owner', s.definition -> 'owner'
                 )) ORDER BY s.name)
          FROM jsonb_each(${object(sql`${policy} -> 'schemas'`)}) AS s(name, definition)
        ),
        'privileges', rolecall_internal.policy_privilege_resources(${policy})
      );
      RETURN (SELECT jsonb_object_agg(s.section, s.resources) FROM jsonb_each(v_state) AS s(section, resources)
              WHERE s.resources <> 'null' AND s.resources <> '[]');
    END
  `;
}

/**
 * The names of the base roles, if a policy has any; those that it leaves out are the defaults of create_base_roles()
 * @volatility stable
 */
export function policy_base_roles(policy: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT jsonb_agg(jsonb_build_object('key', b.key, 'name', coalesce(
                 ${policy} -> 'base_roles' ->> b.key, rolecall_internal.recorded_name(b.key, true), b.key
               )) ORDER BY b.key)
        FROM unnest('{administrator,anonymous,authenticated,default}'::text[]) AS b(key)
        WHERE ${policy} ? 'base_roles'
          AND (b.key <> 'default' OR ${policy} -> 'base_roles' ? 'default')
      );
    END
  `;
}

/**
 * The roles of a policy: those to remove, those to create or change, and base roles
 * @volatility stable
 */
export function policy_role_resources(policy: Jsonb, exact: Bool, passwords: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_usual jsonb := rolecall_internal.usual_attributes();
    BEGIN
      RETURN (
        WITH base AS (
          SELECT b ->> 'name' AS name,
                 '{"login": false, "createdb": false, "createrole": false, "replication": false}'::jsonb
                 || jsonb_build_object('bypassrls', b ->> 'key' = 'administrator') AS attributes
          FROM jsonb_array_elements(rolecall_internal.policy_base_roles(${policy})) AS b
          WHERE b ->> 'key' <> 'default'
        ),
        said AS (
          SELECT coalesce(r.name, b.name) AS name, coalesce(r.definition, '{}') AS definition,
                 ${exact} AND r.name IS NOT NULL AND NOT r.definition ? 'exact' AS exact,
                 coalesce(b.attributes, '{}') AS base,
                 coalesce((
                   SELECT jsonb_object_agg(a.key, CASE a.key WHEN 'valid_until' THEN to_jsonb(
                            rolecall_internal.utc_time((a.value #>> '{}')::timestamptz)
                          ) ELSE a.value END)
                   FROM jsonb_each(r.definition) AS a(key, value)
                   WHERE v_usual ? a.key
                 ), '{}') AS given
          FROM rolecall_internal.policy_roles(${policy}) AS r
          FULL JOIN base AS b ON b.name = r.name
        )
        SELECT jsonb_agg(CASE
                 WHEN s.definition ? 'state' THEN
                   s.definition || jsonb_build_object('name', s.name, 'protected', true)
                 WHEN s.exact THEN jsonb_build_object(
                   'name', s.name, 'protected', true, 'password', p.password, 'says', g.names,
                   'attributes', v_usual || s.base || s.given
                 )
                 -- An existing role may only gain, except for a base role.
                 ELSE jsonb_build_object(
                   'name', s.name, 'protected', true, 'password', p.password, 'says', g.names,
                   'initial', v_usual || s.base || s.given,
                   'attributes', CASE WHEN ${exact} THEN s.base ELSE '{}' END || (
                     SELECT coalesce(jsonb_object_agg(g.key, g.value), '{}')
                     FROM jsonb_each(s.base || s.given) AS g(key, value) WHERE g.value = 'true'
                   )
                 ) END ORDER BY s.name)
        FROM said AS s
        CROSS JOIN LATERAL (
          SELECT coalesce(nullif(${passwords} -> s.name, 'null'), s.definition -> 'password')
        ) AS p(password)
        CROSS JOIN LATERAL (SELECT to_jsonb(ARRAY(SELECT jsonb_object_keys(s.given)))) AS g(names)
      );
    END
  `;
}

/**
 * The privileges of a policy, each once
 * @volatility stable
 */
export function policy_privilege_resources(policy: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT jsonb_agg(jsonb_strip_nulls(p.resource)
                 ORDER BY p.role COLLATE "C", p.kind, p.means, p.object COLLATE "C", p.column_name, p.privilege, p.scope)
        FROM (
          SELECT p.role, p.kind, p.means, p.object, p.column_name, p.privilege, p.scope, jsonb_build_object(
                   'role', p.role, 'privilege', p.privilege, 'target', jsonb_build_object(
                     'kind', p.kind, 'means', p.means, 'object', p.object, 'column', p.column_name, 'scope', p.scope
                   ),
                   'grantable', CASE WHEN bool_or(p.grantable) THEN true END,
                   'revoked', CASE WHEN bool_or(p.revoked) THEN true END,
                   'caller', CASE WHEN p.means = 'all' AND NOT bool_or(p.revoked)
                                    AND NOT coalesce(p.scope ? 'owners', false)
                                  THEN current_user END
                 ) AS resource
          FROM rolecall_internal.policy_privileges(${policy}) AS p
          GROUP BY p.role, p.kind, p.means, p.object, p.column_name, p.privilege, p.scope
        ) AS p
      );
    END
  `;
}

/**
 * The passwords of a policy, and those beside it
 * @volatility stable
 */
export function policy_passwords(policy: Jsonb, passwords: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_roles jsonb := coalesce(${policy} -> 'roles', '{}');
      v_list jsonb[] := '{}'::jsonb[];
      v_name text;
    BEGIN
      FOR v_name IN SELECT jsonb_object_keys(v_roles || coalesce(${passwords}, '{}')) LOOP
        IF ${passwords} ->> v_name IS NOT NULL OR v_roles -> v_name ? 'password' THEN
          -- A caller that cannot compare it with the present one does not set it again.
          v_list := v_list || jsonb_build_object(
            'role', v_name, 'realign', false,
            'password', coalesce(nullif(${passwords} -> v_name, 'null'), v_roles -> v_name -> 'password')
          );
        END IF;
      END LOOP;
      RETURN to_jsonb(v_list);
    END
  `;
}

/**
 * The records about the roles of a policy that are not in its desired state, as no longer asked for
 * @volatility stable
 */
export function forgotten_resources(state: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        WITH exact AS (
          SELECT d ->> 'role' AS role
          FROM jsonb_array_elements(${state} -> 'declared') AS d WHERE d @> '{"exact": true}'
        ),
        kept AS (
          SELECT s.section, ${keyOf(sql`s.section`, sql`r.resource`)} AS key
          FROM jsonb_each(${state}) AS s(section, resources)
          CROSS JOIN LATERAL jsonb_array_elements(s.resources) AS r(resource)
          WHERE s.section IN ('memberships', 'settings', 'privileges', 'comments')
        ),
        old AS (
          SELECT p.section, p.resource || '{"state": "absent"}' AS resource
          FROM ${newest(sql`r.section IN ('memberships', 'settings', 'privileges', 'comments')`)} AS p
          WHERE p.resource IS NOT NULL AND p.sqlstate IS DISTINCT FROM ${text(sqlstates.invalid_parameter_value)}
            AND p.key ->> 0 IN (SELECT e.role FROM exact AS e)
            AND NOT EXISTS (SELECT FROM kept AS k WHERE k.section = p.section AND k.key = p.key)
        ),
        section AS (
          SELECT o.section, jsonb_agg(o.resource) AS resources FROM old AS o GROUP BY o.section
        )
        SELECT coalesce(jsonb_object_agg(s.section, s.resources), '{}') FROM section AS s
      );
    END
  `;
}
