/**
 * Roles that a call adopts: they are there, and no call of this database has asked for them before.
 */
import type { Jsonb, Nothing, Steps } from '../../model/types.ts';
import { recordedMark } from '../../model/sections.ts';
import { sql, text } from '../../sql/template.ts';
import { takers } from '../catalogs/edges.ts';

/**
 * Says who administers a role that the call adopts, or could become a user that it adopts: whoever may create roles can take
 * a name that is to be expected
 *
 * To be a member of a group is what groups are for. Provisioning names the members of reporting roles.
 * @volatility stable
 * @probes
 */
export function warn_about_adopted(document: Jsonb, steps: Steps): Nothing {
  return sql`
    DECLARE
      v_found record;
    BEGIN
      FOR v_found IN
        SELECT r.resource ->> 'name' AS role, t.names, t.revokes
        FROM jsonb_array_elements(${document} -> 'roles') AS r(resource)
        CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(r.resource ->> 'name'))::oid OFFSET 0) AS o(oid)
        CROSS JOIN LATERAL (
          ${takers(
            sql`o.oid`,
            () => sql`NOT (
              m.admin_option
              OR (SELECT g.rolcanlogin FROM pg_roles AS g WHERE g.oid = m.roleid)
                AND rolecall_internal.newest_record(
                  'memberships', jsonb_build_array(r.rolname, pg_get_userbyid(m.roleid))
                ) IS NULL
            )`,
          )}
        ) AS t
        WHERE NOT r.resource ?| ${text(`{state,${recordedMark}}`)} AND r.resource ->> 'name' NOT IN (
            SELECT s.target FROM unnest(${steps}) AS s
            WHERE s.operation = 'create_role' AND s.status = 'applied'
          )
          AND r.resource ->> 'name' NOT IN (
            SELECT a ->> 'role' FROM jsonb_array_elements(${document} -> 'read_access') AS a
          )
          AND t.names IS NOT NULL
          AND rolecall_internal.newest_record('roles', jsonb_build_array(r.resource -> 'name')) IS NULL
        ORDER BY 1
      LOOP
        RAISE WARNING USING
          MESSAGE = format(
            'role "%s" is there already, and others administer it or can become it: %s', v_found.role, v_found.names
          ),
          DETAIL = 'They can take what it has. From PostgreSQL 16 on the role that created it has ADMIN OPTION on it.',
          HINT = 'To revoke the memberships that are not wanted: ' || v_found.revokes;
      END LOOP;
    END
  `;
}
