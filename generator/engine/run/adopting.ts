/**
 * Roles that a call adopts: they exist, and no call of this database has asked for them before.
 */
import type { Jsonb, Nothing, Returns, Steps, Texts } from '../../model/types.ts';
import { recordedMark } from '../../model/sections.ts';
import { type Sql, sql, text } from '../../sql/template.ts';
import { takers } from '../catalogs/edges.ts';

/** The sections whose resources give a role something. */
export const gaining = text('{roles,memberships,schemas,privileges}');

/** Whether a call may adopt a role; it does not if all that it asks for is about the one role that it has created. */
export const mayAdopt = (document: Jsonb, steps: Sql) => sql`(
  ${steps}[1].operation = 'create_role' AND ${steps}[1].status = 'applied'
  AND NOT ${document} @? '$ ? (exists(@.roles[1]) || exists(@.schemas) || exists(@.privileges)
    || exists(@.memberships[*] ? (@.member != $.roles[0].name)))'
) IS NOT TRUE`;

/**
 * The roles that a call adopts
 *
 * Most calls adopt none, and finding that out takes no query. What is known grows once for each section, because each
 * time it is copied as a whole.
 * @volatility stable
 */
export function adopted_roles(document: Jsonb, steps: Steps): Returns<Texts> {
  return sql`
    DECLARE
      v_created text[] := '{}'::text[];
      v_known jsonb;
      v_step rolecall.step;
      v_section text;
      v_resources jsonb;
      v_resource jsonb;
      v_name text;
      v_last text;
      v_names text[];
      v_adopted text[] := '{}'::text[];
    BEGIN
      FOREACH v_step IN ARRAY ${steps} LOOP
        IF v_step.operation = 'create_role' AND v_step.status = 'applied' THEN
          v_created := v_created || v_step.target;
        END IF;
      END LOOP;
      v_known := jsonb_object(v_created, v_created);
      FOREACH v_section IN ARRAY ${gaining}::text[] LOOP
        v_resources := ${document} -> v_section;
        v_names := '{}'::text[];
        FOR v_position IN 0 .. coalesce(jsonb_array_length(v_resources), 0) - 1 LOOP
          v_resource := v_resources -> v_position;
          v_name := v_resource ->> CASE v_section WHEN 'roles' THEN 'name' WHEN 'memberships' THEN 'member'
                                     WHEN 'schemas' THEN 'owner' ELSE 'role' END;
          CONTINUE WHEN v_name IS NULL OR v_name = v_last OR v_known ? v_name OR v_resource ?| ${text(`{state,revoked,${recordedMark}}`)};
          IF rolecall_internal.newest_record('roles', jsonb_build_array(v_name)) IS NULL THEN
            CONTINUE WHEN v_section <> 'roles' AND rolecall_internal.newest_record(
              v_section, rolecall_internal.record_key(v_section, v_resource)
            ) IS NOT NULL;
            v_adopted := v_adopted || v_name;
          END IF;
          -- Each role once, not with each of its privileges.
          v_names := v_names || v_name;
          v_last := v_name;
        END LOOP;
        IF cardinality(v_names) > 0 THEN
          v_known := v_known || jsonb_object(v_names, v_names);
        END IF;
      END LOOP;
      RETURN CASE WHEN cardinality(v_adopted) < 2 THEN v_adopted
        ELSE ARRAY(SELECT DISTINCT unnest(v_adopted)) END;
    END
  `;
}

/**
 * Warns of roles that have ADMIN OPTION on a role that the call adopts, or could become a user that it adopts:
 * whoever may create roles can create one with a name that is likely to be used
 *
 * Members of a group are not listed, because groups are for members. Provisioning warns of the members of reporting
 * roles.
 * @volatility stable
 * @probes
 */
export function warn_about_adopted(document: Jsonb, steps: Steps): Nothing {
  return sql`
    DECLARE
      v_adopted text[] := rolecall_internal.adopted_roles(${document}, ${steps});
      v_found record;
    BEGIN
      -- Most have no members, which this finds out without the query below, which would have to be planned.
      IF cardinality(v_adopted) = 0 OR NOT EXISTS (
        SELECT FROM pg_auth_members AS m
        WHERE m.roleid IN (SELECT to_regrole(quote_ident(a))::oid FROM unnest(v_adopted) AS a)
      ) THEN
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
              OR (SELECT g.rolcanlogin FROM pg_roles AS g WHERE g.oid = m.roleid LIMIT 1)
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
