/**
 * Forgets a role, which itself stays as it is.
 */
import { newest } from '../../model/record.ts';
import { sectionsOfRole } from '../../model/sections.ts';
import type { Bool, Returns, Steps, Text } from '../../model/types.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import { sql, text } from '../../sql/template.ts';

/** Whether a record, p, is a privilege of PUBLIC. What no call writes is not, whatever its key is. */
const isOfPublic = sql`(
  p.section = 'privileges' AND p.key ->> 0 IS NULL
  AND p.sqlstate IS DISTINCT FROM ${text(sqlstates.invalid_parameter_value)}
)`;

/**
 * Forgets all that is recorded about a role, or about everybody, who is called public; one step for each record
 */
export function forget_role(role_name: Text, dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_steps rolecall.step[] := ARRAY(
        SELECT ROW(
                 'forget', ${role_name},
                 format('DELETE FROM rolecall_internal.resource WHERE section = %L AND key = %L', p.section, p.key),
                 CASE WHEN ${dry_run} THEN 'planned' ELSE 'applied' END, NULL, NULL
               )::rolecall.step
        FROM ${newest(sql`true`)} AS p
        WHERE p.resource IS NOT NULL AND (
          p.key ->> 0 = ${role_name} AND p.section IN (
            ${sectionsOfRole(0)}
          ) OR p.key ->> 1 = ${role_name} AND p.section IN (${sectionsOfRole(1)})
          OR ${role_name} = 'public' AND ${isOfPublic}
        )
        ORDER BY p.section, p.key
      );
    BEGIN
      IF ${dry_run} IS NOT TRUE AND cardinality(v_steps) > 0 THEN
        -- The records about an absent role are those to forget.
        PERFORM rolecall_internal.remember(
          CASE ${role_name} WHEN 'public' THEN (
            SELECT jsonb_build_object('privileges', jsonb_agg(p.resource || '{"state": "absent"}'))
            FROM ${newest(sql`r.section = 'privileges'`)} AS p
            WHERE p.resource IS NOT NULL AND ${isOfPublic}
          ) ELSE jsonb_build_object('roles', jsonb_build_array(jsonb_build_object(
            'name', ${role_name}, 'state', 'absent'
          ))) END, v_steps
        );
      END IF;
      RETURN v_steps;
    END
  `;
}
