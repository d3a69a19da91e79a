/**
 * A short way for calls that have nothing to do: most of those that users and base roles get, when an application starts.
 */
import { recordedMark } from '../../model/sections.ts';
import type { Bool, Jsonb, Returns } from '../../model/types.ts';
import { type Sql, sql, text } from '../../sql/template.ts';
import { isProtected } from '../document/names.ts';
import { presentAttributes } from '../plan/roles.ts';
import { isClientRole } from '../plan/settings.ts';

/**
 * Whether all that a call asks for is there and recorded, found out role by role without a plan; false tells nothing
 *
 * It knows roles, base roles, and memberships without options, and only what is simple about them: a record that is not acted on,
 * say, is for the plan.
 * @volatility stable
 * @probes
 */
export function is_established(document: Jsonb): Returns<Bool> {
  return sql`
    DECLARE
      v_section text;
      v_list jsonb;
      v_resource jsonb;
      v_role oid;
      v_member oid;
      v_key jsonb;
      v_entry rolecall_internal.resource;
    BEGIN
      IF ${document} - '{roles,memberships,base_roles}'::text[] <> '{}' THEN
        RETURN false;
      END IF;
      FOREACH v_section IN ARRAY '{roles,memberships,base_roles}'::text[] LOOP
        v_list := coalesce(${document} -> v_section, '[]');
        FOR v_position IN 0 .. jsonb_array_length(v_list) - 1 LOOP
          v_resource := jsonb_strip_nulls(v_list -> v_position);
          v_role := to_regrole(quote_ident(coalesce(v_resource ->> 'role', v_resource ->> 'name')))::oid;
          IF v_role IS NULL OR v_resource ?| ${text(`{state,admin,inherit,set,${recordedMark}}`)} THEN
            RETURN false;
          END IF;
          IF v_section = 'memberships' THEN
            v_member := to_regrole(quote_ident(v_resource ->> 'member'))::oid;
            IF NOT EXISTS (
              SELECT FROM pg_auth_members AS m WHERE m.member = v_member AND m.roleid = v_role AND ${givesSomething}
            ) OR ${isClientRole(sql`(v_resource -> 'role')`)} THEN
              RETURN false;
            END IF;
          ELSIF v_resource ? 'attributes' THEN
            IF ${isProtected(sql`(v_resource ->> 'name')`, sql`v_role`)} OR v_resource @> '{"attributes": {"login": true}}' THEN
              RETURN false;
            END IF;
            IF NOT EXISTS (
              SELECT FROM pg_roles AS a WHERE a.oid = v_role AND jsonb_build_object(
                ${presentAttributes}
              ) @> (v_resource -> 'attributes')
            ) THEN
              RETURN false;
            END IF;
          END IF;
          v_key := rolecall_internal.record_key(v_section, v_resource);
          SELECT p.* INTO v_entry FROM rolecall_internal.resource AS p
          WHERE p.section = v_section AND p.key = v_key ORDER BY p.recorded_at DESC LIMIT 1;
          IF NOT coalesce(v_entry.sqlstate IS NULL AND ${isRecorded(sql`v_entry.resource`)}, false)
            OR rolecall_internal.refusal(v_entry) IS NOT NULL
          THEN
            RETURN false;
          END IF;
        END LOOP;
      END LOOP;
      RETURN true;
    END
  `;
}

/** Whether a membership, m, gives something: from 16 on it can have ADMIN alone. */
const givesSomething = sql`(
  NOT to_jsonb(m) ? 'set_option'
  OR to_jsonb(m) @> '{"inherit_option": true}' OR to_jsonb(m) @> '{"set_option": true}'
)`;

/** Whether a record says what the resource asks for: what it says besides, calls before have asked for. */
const isRecorded = (recorded: Sql) => sql`(
  ${recorded} @> (v_resource - '{password,note,says}'::text[])
  AND (v_section <> 'base_roles' OR ${recorded} = v_resource)
)`;
