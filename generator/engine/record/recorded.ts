/**
 * What the calls of this database have asked for, as one desired state.
 */
import { newest, recorderOf } from '../../model/record.ts';
import { derivedSections, recordedMark, sectionsOfRole } from '../../model/sections.ts';
import type { Jsonb, Returns } from '../../model/types.ts';
import { isDefinition, isPlain } from './refused.ts';
import { raw, sql, text } from '../../sql/template.ts';

/**
 * A section without resources. It is in the document if some record is not acted on, which refused_steps() then
 * lists.
 */
export const refusedMark = 'refused';

/**
 * The recorded resources as a document, without what follows from a definition of read-only access, which the caller
 * adds
 * @volatility stable
 */
export function recorded_document(): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        WITH newest AS MATERIALIZED (
          SELECT p.section, p.key, p.resource, p.recorded_at, p.sqlstate, ${recorderOf(sql`p`)} AS recorder,
                 CASE WHEN ${isPlain(sql`p`)} THEN false
                   ELSE (rolecall_internal.refusal(p::rolecall_internal.resource)).note IS NOT NULL END AS refused
          FROM ${newest(sql`true`)} AS p
        ),
        reporting AS (
          SELECT n.key ->> 0 AS role FROM newest AS n
          WHERE n.section = 'read_access' AND ${isDefinition(sql`n`, sql`n.recorder`)}
        ),
        -- A call that removed a role under an older snapshot did not see all that was recorded about it by then.
        removed AS (
          SELECT n.key ->> 0 AS role, n.recorded_at FROM newest AS n WHERE n.section = 'roles' AND n.resource IS NULL
        ),
        section AS (
          SELECT n.section,
                 -- In the order of the calls; members that may grant a role to others come first, and the caller
                 -- before them.
                 jsonb_agg(n.resource || w.warning || jsonb_build_object(${text(recordedMark)}, n.recorder)
                                               ORDER BY n.resource @> jsonb_build_object('member', current_user) DESC,
                                               n.resource @> '{"admin": true}' DESC, n.recorded_at, n.key) AS resources
          FROM newest AS n
          CROSS JOIN LATERAL (
            SELECT CASE
              WHEN n.section = 'roles' AND n.resource @? '$.*.login ? (@ == true)'
                THEN '{"note": "created without a password, which is not recorded: rolecall.set_password() sets one"}'
              ELSE '{}'
            END::jsonb
          ) AS w(warning)
          WHERE n.resource IS NOT NULL AND NOT n.refused
            AND (n.section NOT IN (${derivedSections})
                 OR NOT EXISTS (SELECT FROM reporting AS r WHERE r.role = n.key ->> 0))
            AND (n.section NOT IN (
              ${sectionsOfRole(0)}
            ) OR NOT EXISTS (
              SELECT FROM removed AS r WHERE r.role = n.key ->> 0 AND r.recorded_at > n.recorded_at
            ))
            AND (n.section NOT IN (${sectionsOfRole(1)}) OR NOT EXISTS (
              SELECT FROM removed AS r WHERE r.role = n.key ->> 1 AND r.recorded_at > n.recorded_at
            ))
          GROUP BY n.section
        )
        SELECT coalesce(jsonb_object_agg(s.section, s.resources), '{}')
               || CASE WHEN EXISTS (SELECT FROM newest AS n WHERE n.refused) THEN '{"${raw(refusedMark)}": []}' ELSE '{}' END::jsonb
        FROM section AS s
      );
    END
  `;
}
