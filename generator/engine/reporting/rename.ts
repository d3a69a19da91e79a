/**
 * Renames a role, also in what is remembered about it.
 */
import { newest, row, signature, written } from '../../model/record.ts';
import { mask } from '../../model/resources.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Jsonb, Nothing, Returns, Steps, Text } from '../../model/types.ts';
import { raiseReporting } from '../../sql/raise.ts';
import { sql, text } from '../../sql/template.ts';
import { thisDatabase } from '../catalogs/server.ts';
import { verifierPrefix } from '../secrets/reporting.ts';

/**
 * Renames a role and its records; a reporting role gets the password of its new name
 */
export function rename_role(old_name: Text, new_name: Text, dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_definition jsonb;
      v_steps rolecall.step[];
    BEGIN
      IF rolecall_internal.other_database(${old_name}) IS NOT NULL THEN
        ${raiseReporting(old_name, sql`'It belongs to another database: rename it there.'`)}
      END IF;
      v_definition := rolecall_internal.newest_record('read_access', jsonb_build_array(${old_name}));
      v_steps := rolecall_internal.run(jsonb_build_object(
        'renames', jsonb_build_array(jsonb_build_object('role', ${old_name}, 'new_name', ${new_name}))
      ), ${dry_run});
      IF ${dry_run} THEN
        IF v_definition IS NOT NULL THEN
          v_steps := v_steps || ROW(
            'set_password', ${new_name}, format('ALTER ROLE %I PASSWORD %L', ${new_name}, ${mask}),
            'planned', NULL, NULL
          )::rolecall.step;
        END IF;
        RETURN v_steps;
      END IF;
      PERFORM rolecall_internal.rename_records(${old_name}, ${new_name});
      IF v_definition IS NOT NULL THEN
        v_steps := v_steps || rolecall_internal.run_reporting(
          jsonb_build_array(rolecall_internal.renamed(
            'read_access', v_definition, ${old_name}, ${new_name}
          )), '{}', NULL, true, false
        );
      END IF;
      RETURN v_steps;
    END
  `;
}

/**
 * A record with another name in the place of one of a role
 * @volatility immutable
 */
export function renamed(section: Text, resource: Jsonb, old_name: Text, new_name: Text): Returns<Jsonb> {
  return sql`
    DECLARE
      v_resource jsonb := ${resource} || coalesce((
        SELECT jsonb_object_agg(f.key, ${new_name})
        FROM jsonb_each_text(${resource}) AS f
        WHERE f.value = ${old_name}
          AND (f.key IN ('role', 'member', 'owner', 'caller')
               OR f.key = 'name' AND ${section} IN ('roles', 'base_roles'))
      ), '{}');
      v_path text[];
    BEGIN
      FOREACH v_path SLICE 1 IN ARRAY '{{owners,"",""},{target,scope,owners}}'::text[] LOOP
        v_path := array_remove(v_path, '');
        IF jsonb_typeof(v_resource #> v_path) = 'array' THEN
          v_resource := jsonb_set(v_resource, v_path, (
            SELECT coalesce(jsonb_agg(CASE o.name WHEN ${old_name} THEN ${new_name}
                                                  ELSE o.name END ORDER BY o.position), '[]')
            FROM jsonb_array_elements_text(v_resource #> v_path) WITH ORDINALITY AS o(name, position)
          ));
        END IF;
      END LOOP;
      RETURN v_resource;
    END
  `;
}

/**
 * Writes the new name of a role into what is recorded
 *
 * A superuser's call keeps the recorder of each; another caller becomes the recorder. Records about an earlier role
 * of one of the names are left, because a new signature would be about the present one.
 * @probes
 */
export function rename_records(old_name: Text, new_name: Text): Nothing {
  return sql`
    DECLARE
      v_new rolecall_internal.resource[] := ARRAY(
        SELECT k.entry
        FROM ${newest(sql`true`)} AS p
        CROSS JOIN LATERAL (
          -- In a copy of the database no role counts as created by a policy.
          SELECT rolecall_internal.renamed(p.section, p.resource, ${old_name}, ${new_name})
                 - CASE WHEN p.section = 'declared' AND p.made_in <> ${thisDatabase} THEN 'made' ELSE '' END
        ) AS r(resource)
        CROSS JOIN LATERAL (
          SELECT rolecall_internal.named_roles(rolecall_internal.record_names(p.section, r.resource)) OFFSET 0
        ) AS n(roles)
        CROSS JOIN LATERAL (
          SELECT ${row(
            sql`p.section`,
            sql`rolecall_internal.record_key(p.section, r.resource)`,
            sql`r.resource`,
            signature(sql`CASE p.made_in WHEN ${thisDatabase} THEN p.roles ELSE n.roles END`),
          )}
          -- If the key changes, the old record ends.
          UNION ALL
          SELECT ${row(sql`p.section`, sql`p.key`, sql`NULL`)}
          WHERE p.key <> rolecall_internal.record_key(p.section, r.resource)
        ) AS k(entry)
        WHERE p.resource IS NOT NULL AND p.sqlstate IS DISTINCT FROM ${text(sqlstates.invalid_parameter_value)}
          AND r.resource <> p.resource
          AND NOT (p.made_in = ${thisDatabase} AND EXISTS (
            SELECT FROM unnest(p.roles, n.roles) AS o(was, is_now) WHERE o.was <> o.is_now
          ))
      );
    BEGIN
      IF cardinality(v_new) = 0 THEN
        RETURN;
      END IF;
      PERFORM rolecall_internal.check_writable('What is recorded of the role would be renamed.');
      -- The verifier of an earlier reporting role of the new name, which was dropped without a call.
      DELETE FROM rolecall_internal.secret AS s WHERE s.key = ${verifierPrefix} || ${new_name};
      DELETE FROM rolecall_internal.withheld AS w WHERE w.role = ${new_name};
      UPDATE rolecall_internal.secret AS s SET key = ${verifierPrefix} || ${new_name}
      WHERE s.key = ${verifierPrefix} || ${old_name};
      UPDATE rolecall_internal.withheld AS w SET role = ${new_name}
      WHERE w.role = ${old_name};
      ${written(sql`v_new`)}
    END
  `;
}
