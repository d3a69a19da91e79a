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
      v_created jsonb := '{}';
      v_step rolecall.step;
      v_resource jsonb;
      v_name text;
      v_adopted text[] := '{}'::text[];
      v_found record;
    BEGIN
      -- Most calls adopt none.
      FOREACH v_step IN ARRAY ${steps} LOOP
        IF v_step.operation = 'create_role' AND v_step.status = 'applied' THEN
          v_created := v_created || jsonb_build_object(v_step.target, true);
        END IF;
      END LOOP;
      FOR v_position IN 0 .. jsonb_array_length(${document} -> 'roles') - 1 LOOP
        v_resource := ${document} -> 'roles' -> v_position;
        v_name := v_resource ->> 'name';
        IF NOT (v_resource ?| ${text(`{state,${recordedMark}}`)} OR v_created ? v_name)
          AND rolecall_internal.newest_record('roles', jsonb_build_array(v_name)) IS NULL
        THEN
          v_adopted := v_adopted || v_name;
        END IF;
      END LOOP;
      IF cardinality(v_adopted) = 0 THEN
        RETURN;
      END IF;
      FOR v_found IN
        SELECT r.name AS role, t.names, t.revokes
        FROM unnest(v_adopted) AS r(name)
        CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(r.name))::oid OFFSET 0) AS o(oid)
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
        WHERE t.names IS NOT NULL AND r.name NOT IN (
            SELECT a ->> 'role' FROM jsonb_array_elements(${document} -> 'read_access') AS a
          )
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
