/**
 * A short way for provisioning that has nothing to do, for example when an application starts.
 */
import { keyOf, recordedMark } from '../../model/sections.ts';
import type { Bool, Jsonb, Returns } from '../../model/types.ts';
import { sql, text } from '../../sql/template.ts';
import { thisDatabase } from '../catalogs/server.ts';
import { isAbout } from '../document/lists.ts';
import { isProtected } from '../document/names.ts';
import { presentAttributes } from '../plan/roles.ts';
import { isUndisputed } from '../record/refused.ts';

/**
 * Whether everything that the state of reporting roles asks for, but their access, exists and is recorded; false says
 * nothing
 *
 * It knows only what is simple, by one query in place of the planners. Anything else, such as another spelling of a
 * setting, or a record that is not acted on, is left to the plan. Its settings hold for every function that it calls,
 * and for the plans that the session then keeps of them; so their access is planned elsewhere.
 * @volatility stable
 * @probes
 * @long the query has to be one
 */
export function is_provisioned(state: Jsonb): Returns<Bool> {
  return sql`
    DECLARE
      v_here oid := ${thisDatabase};
    BEGIN
      -- A new role is found without the query, which would have to be planned.
      IF to_regrole(quote_ident(${state} #>> '{roles,0,name}')) IS NULL THEN
        RETURN false;
      ELSIF NOT has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT') THEN
        IF ${state} -> 'passwords'
          @? '$[*] ? (!(@.realign == false) || @.first == true || @.valid_until != null)'
        THEN
          RETURN false;
        END IF;
      ELSIF EXISTS (
        SELECT FROM jsonb_to_recordset(${state} -> 'passwords') AS w(role text, password text, valid_until text)
        LEFT JOIN pg_authid AS a ON a.oid = to_regrole(quote_ident(w.role))::oid
        WHERE a.rolpassword IS DISTINCT FROM w.password OR w.valid_until IS NOT NULL
      ) THEN
        RETURN false;
      END IF;
      RETURN NOT EXISTS (
        SELECT
        FROM jsonb_each(${state} - 'passwords') AS s(section, resources)
        CROSS JOIN LATERAL jsonb_array_elements(s.resources) AS e(given)
        CROSS JOIN LATERAL (
          SELECT jsonb_strip_nulls(e.given) - ${text(`{password,watched,${recordedMark}}`)}::text[],
                 to_regrole(quote_ident(coalesce(e.given ->> 'role', e.given ->> 'member', e.given ->> 'name')))::oid,
                 concat(e.given ->> 'name', '=', CASE jsonb_typeof(e.given -> 'value')
                   WHEN 'array' THEN (
                     SELECT string_agg(quote_ident(n.name), ', ' ORDER BY n.position)
                     FROM jsonb_array_elements_text(e.given -> 'value') WITH ORDINALITY AS n(name, position)
                   )
                   ELSE e.given ->> 'value' END)
          OFFSET 0 -- Each is computed once, not at each use.
        ) AS r(resource, role, entry)
        WHERE NOT coalesce(CASE s.section
          WHEN 'roles' THEN EXISTS (
            SELECT FROM pg_roles AS a WHERE a.oid = r.role AND jsonb_build_object(
              ${presentAttributes}
            ) @> (r.resource -> 'attributes')
          ) AND NOT ${isProtected(sql`(r.resource ->> 'name')`, sql`r.role`)}
          WHEN 'memberships' THEN r.resource @> '{"every": true, "state": "absent"}'
            AND NOT EXISTS (SELECT FROM pg_auth_members AS m WHERE m.member = r.role)
          WHEN 'settings' THEN (
            SELECT bool_or(p.setdatabase = CASE WHEN r.resource ? 'here' THEN v_here ELSE 0 END AND c.entry = r.entry)
              AND bool_and(p.setdatabase IN (0, v_here) AND c.entry = r.entry)
            FROM pg_db_role_setting AS p CROSS JOIN LATERAL unnest(p.setconfig) AS c(entry)
            WHERE p.setrole = r.role AND ${isAbout(sql`c.entry`, sql`(r.resource ->> 'name')`)}
          )
          ELSE s.section = 'read_access' END
          AND (s.section = 'memberships' OR EXISTS (
            SELECT
            FROM (
              SELECT p.sqlstate, p.resource, p.roles FROM rolecall_internal.resource AS p
              WHERE p.section = s.section
                AND p.key = ${keyOf(sql`s.section`, sql`r.resource`, ['roles', 'settings', 'read_access'])}
              ORDER BY p.recorded_at DESC LIMIT 1
            ) AS p
            WHERE p.resource @> r.resource AND (s.section = 'roles' OR p.resource = r.resource)
              AND ${isUndisputed(sql`p`, sql`ARRAY[r.role]`, sql`r.role`)}
          )), false)
      );
    END
  `;
}
