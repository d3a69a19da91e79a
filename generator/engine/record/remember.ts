/**
 * What this database's calls have asked for, so that it can be asked for again.
 */
import { newest } from '../../model/record.ts';
import { forgottenFields, isPrecondition, keyOf, mergedWith, sectionsOfRole } from '../../model/sections.ts';
import type { Bool, Jsonb, Nothing, Records, Returns } from '../../model/types.ts';
import { type Sql, sql } from '../../sql/template.ts';
import { verifierPrefix } from '../secrets/reporting.ts';

/**
 * Records the desired state, resource by resource, where it differs from what is recorded
 * @probes
 */
export function remember(document: Jsonb, changed: Bool): Nothing {
  return sql`
    DECLARE
      v_document jsonb := ${document};
      v_new record;
      -- What an older snapshot shows as recorded may not be the newest any more: who has changed something records it anew.
      v_always boolean := ${changed} AND current_setting('transaction_isolation') <> 'read committed';
    BEGIN
      IF v_document @? '$.roles[*] ? (@.state == "absent")' THEN
        v_document := rolecall_internal.joined(v_document, rolecall_internal.records_of_removed(v_document -> 'roles'));
      END IF;
      SELECT array_agg(
               ROW(
                 s.section, v.key, v.resource,
                 greatest(clock_timestamp(), p.recorded_at + interval '1 microsecond'), gen_random_uuid()
               )::rolecall_internal.resource
             ) AS rows,
             bool_or(p.recorded_at IS NOT NULL) AS supersede INTO v_new
        FROM jsonb_each(v_document) AS s(section, resources), jsonb_array_elements(s.resources) AS r(resource)
        CROSS JOIN LATERAL (
          SELECT ${keyOf(sql`s.section`, sql`r.resource`)},
                 jsonb_strip_nulls(
                   r.resource - ${forgottenFields(sql`s.section`)})
          OFFSET 0 -- Each is worked out once, not wherever it is used.
        ) AS a(key, resource)
        LEFT JOIN LATERAL ${newest(sql`r.section = s.section AND r.key = a.key`)} AS p ON true
        CROSS JOIN LATERAL (
          SELECT a.key,
                 CASE WHEN r.resource ->> 'state' = 'absent' THEN NULL
                      WHEN p.resource IS NULL AND a.resource ? 'initial'
                        THEN jsonb_set(a.resource, '{initial}', a.resource -> 'initial' || ${restrictions(sql`r.resource ->> 'name'`)})
                      ELSE ${mergedWith(sql`s.section`, sql`p.resource`, sql`a.resource`)}
                 END
          OFFSET 0
        ) AS v(key, resource)
        WHERE v.key IS NOT NULL AND NOT ${isOfNobody(sql`s.section`, sql`r.resource`)}
          AND NOT ${isPrecondition(sql`p.resource`, sql`r.resource`)} AND (v_always OR v.resource IS DISTINCT FROM p.resource);
      IF v_new.rows IS NULL THEN
        RETURN;
      END IF;
      PERFORM rolecall_internal.check_writable('What the call asks for would be recorded.');
      INSERT INTO rolecall_internal.resource SELECT n.* FROM unnest(v_new.rows) AS n;
      IF v_new.supersede THEN
        PERFORM rolecall_internal.remove_superseded(v_new.rows);
      END IF;
    END
  `;
}

/**
 * Removes what records supersede: older ones of the same key, and the verifiers of reporting roles that are gone
 * @probes
 */
export function remove_superseded(records: Records): Nothing {
  return sql`
    BEGIN
      -- Under a snapshot a row that another transaction has deleted meanwhile would be 40001; the next call cleans up.
      IF current_setting('transaction_isolation') = 'read committed' THEN
        DELETE FROM rolecall_internal.resource AS p
        WHERE p.ctid = ANY (ARRAY(
          SELECT o.ctid FROM unnest(${records}) AS n
          JOIN rolecall_internal.resource AS o ON o.section = n.section AND o.key = n.key AND o.recorded_at < n.recorded_at
          FOR UPDATE OF o SKIP LOCKED
        ));
        IF EXISTS (
          SELECT FROM unnest(${records}) AS n WHERE n.section = 'read_access' AND n.resource IS NULL
        ) THEN
          DELETE FROM rolecall_internal.secret AS s
          WHERE s.ctid = ANY (ARRAY(
            SELECT k.ctid FROM unnest(${records}) AS n
            JOIN rolecall_internal.secret AS k ON k.key = ${verifierPrefix} || (n.key ->> 0)
            WHERE n.section = 'read_access' AND n.resource IS NULL
            FOR UPDATE OF k SKIP LOCKED
          ));
        END IF;
      END IF;
    END
  `;
}

/**
 * A membership of, or in, a role that does not exist: the call has skipped it. Whoever gets that name later was not meant.
 */
const isOfNobody = (section: Sql, resource: Sql) => sql`(
  ${section} = 'memberships' AND NOT ${resource} ? 'state' AND 2 > num_nonnulls(
    to_regrole(quote_ident(${resource} ->> 'role')), to_regrole(quote_ident(${resource} ->> 'member')))
)`;

/** What a role that was there before it was asked for could not do, so that it is not made anew with more. */
const restrictions = (name: Sql) => sql`
  coalesce((
    SELECT jsonb_build_object('login', a.rolcanlogin)
           || CASE WHEN a.rolinherit THEN '{}' ELSE '{"inherit": false}' END::jsonb
    FROM pg_roles AS a WHERE a.oid = to_regrole(quote_ident(${name}))::oid LIMIT 1
  ), '{}')
`;

/**
 * What is recorded about roles that are absent, as absent too
 *
 * The mapping of the base roles stays: it is about names.
 * @volatility stable
 * @probes
 */
export function records_of_removed(roles: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT coalesce(jsonb_object_agg(s.section, s.resources), '{}')
        FROM (
          SELECT n.section, jsonb_agg(n.resource || '{"state": "absent"}') AS resources
          FROM (
            -- Whichever row of a key: what tells resources apart is the same in all.
            SELECT DISTINCT ON (p.section, p.key) p.section, p.key, p.resource
            FROM jsonb_to_recordset(${roles}) AS a(name jsonb, state text)
            CROSS JOIN LATERAL (
              -- The role comes first in a key. Of the values in jsonb null is less than every string, and true is greater;
              -- of arrays a longer one is greater than a shorter one.
              SELECT p.* FROM rolecall_internal.resource AS p
              JOIN (
                VALUES (jsonb_build_array(a.name), jsonb_build_array(a.name)),
                       (jsonb_build_array(a.name, NULL), jsonb_build_array(a.name, true)),
                       (jsonb_build_array(a.name, NULL, NULL), jsonb_build_array(a.name, true, true))
              ) AS k(least, greatest) ON p.key BETWEEN k.least AND k.greatest
              WHERE p.section <> 'roles'
                AND p.section IN (
                  ${sectionsOfRole(0)}
                )
              UNION ALL
              SELECT p.* FROM rolecall_internal.resource AS p WHERE p.section = 'memberships' AND p.key -> 1 = a.name
            ) AS p
            WHERE a.state = 'absent' AND p.resource IS NOT NULL
          ) AS n
          GROUP BY n.section
        ) AS s
      );
    END
  `;
}
