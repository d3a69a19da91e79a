/**
 * A short way for calls that have nothing to do, such as most calls for users and base roles when an application
 * starts.
 */
import { keyOf, recordedMark } from '../../model/sections.ts';
import type { Bool, Jsonb, Returns } from '../../model/types.ts';
import { sql, text } from '../../sql/template.ts';
import { isProtected } from '../document/names.ts';
import { presentAttributes } from '../plan/roles.ts';
import { isClientRole } from '../plan/settings.ts';
import { isUndisputed } from '../record/refused.ts';

/**
 * Whether everything that a call asks for exists and is recorded, by one query and without a plan; false says nothing
 *
 * It knows roles, base roles, and memberships without options, and only what is simple about them. Anything else,
 * such as a record that is not acted on, or a reporting role, is left to the plan. `established()` says which
 * functions begin with it.
 * @volatility stable
 * @probes
 */
export function is_established(document: Jsonb): Returns<Bool> {
  return sql`
    BEGIN
      -- A new user is found without the query, which would have to be planned.
      IF to_regrole(quote_ident(${document} #>> '{roles,0,name}')) IS NULL
        OR ${document} - ${text(`{${simple.join(',')}}`)}::text[] <> '{}'
      THEN
        RETURN false;
      END IF;
      RETURN NOT EXISTS (
        SELECT
        FROM jsonb_each(${document}) AS s(section, resources)
        CROSS JOIN LATERAL jsonb_array_elements(s.resources) AS e(given)
        CROSS JOIN LATERAL (
          SELECT jsonb_strip_nulls(e.given) - ${text(`{password,note,says,${recordedMark}}`)}::text[],
                 to_regrole(quote_ident(coalesce(e.given ->> 'role', e.given ->> 'name')))::oid,
                 to_regrole(quote_ident(e.given ->> 'member'))::oid
          OFFSET 0 -- Each is computed once, not at each use.
        ) AS r(resource, role, member)
        WHERE NOT coalesce(
          r.role IS NOT NULL AND r.resource - ${text(`{${known.join(',')}}`)}::text[] = '{}' AND CASE
            WHEN s.section = 'memberships' THEN EXISTS (
              SELECT FROM pg_auth_members AS m WHERE m.member = r.member AND m.roleid = r.role AND ${givesSomething}
            ) AND NOT ${isClientRole(sql`(r.resource -> 'role')`)}
            WHEN r.resource ? 'attributes' THEN EXISTS (
              SELECT FROM pg_roles AS a WHERE a.oid = r.role AND jsonb_build_object(
                ${presentAttributes}
              ) @> (r.resource -> 'attributes')
            ) AND NOT ${isProtected(sql`(r.resource ->> 'name')`, sql`r.role`)}
            ELSE true
          END AND EXISTS (
            SELECT
            FROM (
              SELECT p.sqlstate, p.resource, p.roles FROM rolecall_internal.resource AS p
              WHERE p.section = s.section AND p.key = ${keyOf(sql`s.section`, sql`r.resource`, simple)}
              ORDER BY p.recorded_at DESC LIMIT 1
            ) AS p
            WHERE p.resource @> r.resource AND (s.section <> 'base_roles' OR p.resource = r.resource)
              AND ${isUndisputed(sql`p`, sql`array_remove(ARRAY[r.member, r.role], NULL)`, sql`r.role`)}
          ) AND NOT EXISTS (
            SELECT FROM rolecall_internal.resource AS p
            WHERE p.section = 'read_access'
              AND p.key = jsonb_build_array(coalesce(r.resource -> 'member', r.resource -> 'name'))
          ), false)
      );
    END
  `;
}

/** The sections that it knows. */
export const simple = ['roles', 'memberships', 'base_roles'] as const;

/** What it knows of each. */
export const known = ['name', 'initial', 'attributes', 'protected', 'role', 'member', 'key'];

/** Whether a membership, m, gives the member anything: from 16 on it can have only ADMIN. */
const givesSomething = sql`(
  NOT to_jsonb(m) ? 'set_option'
  OR to_jsonb(m) @> '{"inherit_option": true}' OR to_jsonb(m) @> '{"set_option": true}'
)`;
