/**
 * A short way for calls that have nothing to do, such as most calls for users and base roles when an application
 * starts.
 */
import { keyOf, recordedMark } from '../../model/sections.ts';
import type { Bool, Jsonb, Returns } from '../../model/types.ts';
import { sql, text } from '../../sql/template.ts';
import { isProtected, simple } from '../document/names.ts';
import { presentAttributes } from '../plan/roles.ts';
import { isClientRole } from '../plan/settings.ts';
import { isUndisputed } from '../record/refused.ts';

/**
 * Whether everything that a call asks for exists and is recorded, without a plan; false says nothing
 *
 * It knows roles, base roles, and memberships without options, and only what is simple about them. Anything else,
 * such as a record that is not acted on, or a reporting role, is left to the plan. `established()` says which
 * functions begin with it.
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
      v_last rolecall_internal.resource;
    BEGIN
      IF ${document} - ${text(`{${simple.join(',')}}`)}::text[] <> '{}' THEN
        RETURN false;
      END IF;
      FOREACH v_section IN ARRAY ${text(`{${simple.join(',')}}`)}::text[] LOOP
        v_list := ${document} -> v_section;
        FOR v_position IN 0 .. coalesce(jsonb_array_length(v_list), 0) - 1 LOOP
          v_resource := jsonb_strip_nulls(v_list -> v_position) - ${text(`{password,note,says,${recordedMark}}`)}::text[];
          v_role := to_regrole(quote_ident(coalesce(v_resource ->> 'role', v_resource ->> 'name')))::oid;
          v_member := to_regrole(quote_ident(v_resource ->> 'member'))::oid;
          IF v_role IS NULL OR v_resource - ${text(`{${known.join(',')}}`)}::text[] <> '{}' THEN
            RETURN false;
          END IF;
          SELECT r.* INTO v_last FROM rolecall_internal.resource AS r
          WHERE r.section = v_section AND r.key = ${keyOf(sql`v_section`, sql`v_resource`, simple)}
          ORDER BY r.recorded_at DESC LIMIT 1;
          IF (
            v_last.resource @> v_resource AND (v_section <> 'base_roles' OR v_last.resource = v_resource)
            AND ${isUndisputed(sql`v_last`, sql`array_remove(ARRAY[v_member, v_role], NULL)`, sql`v_role`)}
          ) IS NOT TRUE THEN
            RETURN false;
          END IF;
          IF v_section = 'memberships' THEN
            IF ${isClientRole(sql`(v_resource -> 'role')`)} OR NOT EXISTS (
              SELECT FROM pg_auth_members AS m WHERE m.member = v_member AND m.roleid = v_role AND ${givesSomething}
            ) THEN
              RETURN false;
            END IF;
          ELSIF v_resource ? 'attributes' THEN
            IF ${isProtected(sql`(v_resource ->> 'name')`, sql`v_role`)} OR NOT EXISTS (
              SELECT FROM pg_roles AS a WHERE a.oid = v_role AND jsonb_build_object(
                ${presentAttributes}
              ) @> (v_resource -> 'attributes')
            ) THEN
              RETURN false;
            END IF;
          END IF;
          -- What is recorded of a base role is only its name.
          CONTINUE WHEN v_section = 'base_roles';
          IF EXISTS (
            SELECT FROM rolecall_internal.resource AS r
            WHERE r.section = 'read_access'
              AND r.key = jsonb_build_array(coalesce(v_resource -> 'member', v_resource -> 'name'))
          ) THEN
            RETURN false;
          END IF;
        END LOOP;
      END LOOP;
      RETURN true;
    END
  `;
}

/** What it knows of each. */
export const known = ['name', 'initial', 'attributes', 'protected', 'role', 'member', 'key'];

/** Whether a membership, m, gives the member anything: from 16 on it can have only ADMIN. */
const givesSomething = sql`(
  NOT to_jsonb(m) ? 'set_option'
  OR to_jsonb(m) @> '{"inherit_option": true}' OR to_jsonb(m) @> '{"set_option": true}'
)`;
