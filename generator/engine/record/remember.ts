/**
 * Records what the calls of this database ask for, so that it can be restored.
 */
import { newest, row, signature, written } from '../../model/record.ts';
import {
  forgottenFields,
  isPrecondition,
  keyOf,
  mergedSections,
  mergedWith,
  recordedMark,
  rememberedSections,
  sectionsOfRole,
} from '../../model/sections.ts';
import type { Jsonb, Nothing, Oid, Records, Returns, Steps } from '../../model/types.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import { join, type Sql, sql, text } from '../../sql/template.ts';
import { isTrusted } from './newest.ts';
import { isPlain } from './refused.ts';
import { caller, here, thisDatabase } from '../catalogs/server.ts';
import { created } from '../document/lists.ts';
import { isSuperuser } from '../document/names.ts';
import { verifierPrefix } from '../secrets/reporting.ts';

/**
 * Records the desired state, resource by resource, where it differs from what is recorded
 *
 * It is a loop: one query would be planned with what only a resource needs that is recorded already.
 * @long what is recorded of each resource, one after the other
 * @probes
 */
export function remember(document: Jsonb, steps: Steps): Nothing {
  return sql`
    DECLARE
      v_section text;
      v_list jsonb;
      v_given jsonb;
      v_key jsonb;
      v_last rolecall_internal.resource;
      v_rows rolecall_internal.resource[];
      v_supersede boolean;
      v_created jsonb; -- Roles that the call has created, if it is about several.
      -- Under an older snapshot the record may no longer be the newest, so a call that has changed something records
      -- it again.
      v_always boolean := current_setting('transaction_isolation') <> 'read committed'
                            AND to_jsonb(${steps}) @? '$[*] ? (@.status == "applied")';
    BEGIN
      IF ${document} ? 'declared' THEN
        IF to_jsonb(${steps}) @? '$[*] ? (@.operation == "create_role" && @.status == "applied")' THEN
          ${document} := rolecall_internal.with_made(${document}, ${steps});
        END IF;
        IF NOT v_always THEN
          ${document} := rolecall_internal.unrecorded(${document});
        END IF;
      END IF;
      IF ${document} @? '$.roles[*] ? (@.state == "absent")' THEN
        ${document} := rolecall_internal.joined(
          ${document}, rolecall_internal.records_of_removed(${document} -> 'roles')
        );
      END IF;
      IF jsonb_array_length(${document} -> 'roles') > 1 THEN
        v_created := (
          SELECT jsonb_object_agg(c.target, true)
          FROM (
            ${created(steps)}
          ) AS c
        );
      END IF;
      FOREACH v_section IN ARRAY
        ${rememberedSections}
      LOOP
        v_list := ${document} -> v_section;
        FOR v_position IN 0 .. coalesce(jsonb_array_length(v_list), 0) - 1 LOOP
          v_given := v_list -> v_position;
          CONTINUE WHEN v_given ? ${text(recordedMark)}
            OR ${isOfNobody(sql`v_section`, sql`v_given`)};
          v_key := rolecall_internal.record_key(v_section, v_given);
          SELECT r.* INTO v_last FROM rolecall_internal.resource AS r
          WHERE r.section = v_section AND r.key = v_key ORDER BY r.recorded_at DESC LIMIT 1;
          DECLARE
            v_resource jsonb := jsonb_strip_nulls(v_given - ${forgottenFields(sql`v_section`)});
            v_new jsonb;
            v_refused text;
            v_earlier jsonb; -- A record that is not acted on is not merged with.
          BEGIN
            IF v_last.resource IS NOT NULL THEN
              SELECT s.sqlstate, CASE WHEN s.note IS NULL THEN v_last.resource END INTO v_refused, v_earlier
              FROM rolecall_internal.refusal(v_last) AS s;
            END IF;
            IF v_section = 'roles' AND v_earlier IS NULL AND NOT ${isNewAsSaid(document, sql`v_resource`, steps)} THEN
              v_resource := rolecall_internal.restricted(v_resource);
            END IF;
            IF v_last.id IS NOT NULL OR v_given ?| '{state,attributes}' THEN
              CONTINUE WHEN ${isPrecondition(sql`v_earlier`, sql`v_given`)};
              v_new := v_resource;
              v_resource := CASE WHEN v_given ->> 'state' IS DISTINCT FROM 'absent'
                THEN ${mergedWith(sql`v_section`, sql`v_earlier`, sql`v_new`)} END;
              CONTINUE WHEN NOT v_always AND v_resource IS NOT DISTINCT FROM v_last.resource
                AND (v_resource IS NULL OR ${isHealed} IS NOT TRUE);
              v_resource := ${madeHere(sql`v_section`, sql`v_last.made_in`, sql`v_new`, sql`v_resource`)};
              v_supersede := v_supersede OR v_last.id IS NOT NULL;
            END IF;
            v_rows := v_rows || ${row(sql`v_section`, sql`v_key`, sql`v_resource`, undefined, sql`v_last`)};
          END;
        END LOOP;
      END LOOP;
      IF v_rows IS NULL THEN
        RETURN;
      ELSIF current_setting('transaction_read_only')::boolean THEN
        PERFORM rolecall_internal.check_writable('What the call asks for would be recorded.');
      END IF;
      INSERT INTO rolecall_internal.resource SELECT n.* FROM unnest(v_rows) AS n;
      PERFORM rolecall_internal.forget_earlier(n.key -> 0)
      FROM unnest(v_rows) AS n WHERE n.section = 'roles' AND n.resource IS NOT NULL;
      IF v_supersede THEN
        PERFORM rolecall_internal.remove_superseded(v_rows);
      END IF;
    END
  `;
}

/**
 * Whether a record that was not acted on has to be written again, because the call asks for the same; also one on
 * which only its recorder's calls acted, if the recorder may do by now what it asks for; and a membership that a role
 * without the power recorded. If nothing can be written, the call continues without that.
 */
const isHealed = sql`(
  (v_refused IN (${join(
    (['insufficient_privilege', 'duplicate_object', 'undefined_object'] as const).map((one) => text(sqlstates[one])),
  )})
   OR v_refused IS NULL AND v_last.sqlstate IS NOT NULL
      AND rolecall_internal.lacking_right(v_section, v_resource) IS NULL
   -- What a superuser asks for gives a power too.
   OR v_section = 'memberships' AND ${isSuperuser(caller)}
      AND NOT ${isTrusted(sql`v_last`)})
  AND NOT current_setting('transaction_read_only')::boolean
)`;

/**
 * A record of a policy's role that is written again. A policy of another database, as in a copy, has not created the
 * role here.
 */
const madeHere = (section: Sql, madeIn: Sql, resource: Sql, record: Sql) => sql`
  CASE WHEN ${section} = 'declared' AND NOT ${resource} ? 'made' AND ${madeIn} <> ${here}
    THEN ${record} - 'made' ELSE ${record} END
`;

/**
 * A document without what this caller has recorded already, just like that: most of a policy that is applied again
 * @volatility stable
 * @probes
 */
export function unrecorded(document: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT coalesce(jsonb_object_agg(s.section, s.resources), '{}')
        FROM (
          SELECT s.section, jsonb_agg(r.resource ORDER BY r.position) AS resources
          FROM jsonb_each(${document}) AS s(section, resources)
          CROSS JOIN LATERAL jsonb_array_elements(s.resources) WITH ORDINALITY AS r(resource, position)
          CROSS JOIN LATERAL (
            -- In the query: a call for each resource takes as long as the rest.
            SELECT ${keyOf(sql`s.section`, sql`r.resource`)},
                   jsonb_strip_nulls(r.resource - ${forgottenFields(sql`s.section`)})
            OFFSET 0
          ) AS a(key, resource)
          LEFT JOIN LATERAL ${newest(sql`r.section = s.section AND r.key = a.key`)} AS p ON true
          WHERE NOT coalesce(
            p.recorder_oid = ${caller} AND p.made_in = ${thisDatabase} AND NOT r.resource ? 'state'
            AND (p.resource = a.resource OR p.resource @> a.resource AND s.section IN (
              ${mergedSections}
            ))
            AND ${isPlain(sql`p`)},
            false
          )
          GROUP BY s.section
        ) AS s
      );
    END
  `;
}

/**
 * The document with a mark on those roles of a policy that this call has created; only for those this is known
 * @volatility immutable
 */
export function with_made(document: Jsonb, steps: Steps): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN jsonb_set(${document}, '{declared}', (
        SELECT coalesce(jsonb_agg(CASE WHEN ${isMade(sql`d.resource`, steps)} THEN d.resource || '{"made": true}'
                                       ELSE d.resource END ORDER BY d.position), '[]')
        FROM jsonb_array_elements(${document} -> 'declared') WITH ORDINALITY AS d(resource, position)
      ));
    END
  `;
}

/** Whether this call has created the role that a resource is about. */
const isMade = (resource: Sql, steps: Steps) => sql`
  ${resource} ->> 'role' IN (
    ${created(steps)}
  )
`;

/** Whether this call has created a role with all that restricted() would find out about it. */
const isNewAsSaid = (document: Jsonb, resource: Sql, steps: Steps) => sql`(
  ${resource} @? '$.*.login' AND NOT ${resource} ?| '{connection_limit,valid_until}'
  AND NOT ${document} ? 'passwords' AND (
    -- Mostly it is the first step, and no query is needed.
    (${steps}[1].operation = 'create_role' AND ${steps}[1].status = 'applied'
     AND ${steps}[1].target = ${resource} ->> 'name') IS TRUE
    OR (v_created ? (${resource} ->> 'name')) IS TRUE
  )
)`;

/**
 * Writes the new oids of roles that converge() has created again into the records about them
 *
 * A superuser's call keeps the recorder of each; another caller becomes the recorder. A role that existed already in
 * a cluster into which a dump was restored was not created by a policy.
 * @probes
 */
export function renew_records(document: Jsonb, steps: Steps): Nothing {
  return sql`
    DECLARE
      v_new rolecall_internal.resource[] := ARRAY(
        SELECT ${row(
          sql`p.section`,
          sql`p.key`,
          sql`
            CASE WHEN p.section <> 'declared' OR ${isMade(sql`p.resource`, steps)}
              THEN p.resource ELSE p.resource - 'made' END
          `,
          signature(sql`o.roles`),
        )}
        FROM jsonb_each(${document}) AS s(section, resources)
        CROSS JOIN LATERAL jsonb_array_elements(s.resources) AS r(resource)
        CROSS JOIN LATERAL (SELECT rolecall_internal.record_key(s.section, r.resource) OFFSET 0) AS k(key)
        CROSS JOIN LATERAL ${newest(sql`r.section = s.section AND r.key = k.key`)} AS p
        CROSS JOIN LATERAL (
          SELECT rolecall_internal.named_roles(rolecall_internal.record_names(p.section, p.resource)) OFFSET 0
        ) AS o(roles)
        WHERE p.resource = r.resource - ${text(`{${recordedMark},note}`)}::text[] AND p.roles <> o.roles
      );
    BEGIN
      IF cardinality(v_new) > 0 THEN
        ${written(sql`v_new`)}
      END IF;
    END
  `;
}

/**
 * Forgets what was asked for about an earlier role of that name, which no longer exists or has another name by now
 *
 * Usually there was none, which one look by index tells.
 * @probes
 */
export function forget_earlier(name: Jsonb): Nothing {
  return sql`
    DECLARE
      v_role oid := to_regrole(quote_ident(${name} #>> '{}'))::oid;
    BEGIN
      IF EXISTS (
        SELECT FROM ${keysFrom(name)}
        CROSS JOIN LATERAL (
          SELECT p.roles[1] FROM rolecall_internal.resource AS p
          WHERE ${isBetween}
          OFFSET 0 -- By the index, which would otherwise be read as a whole.
        ) AS p(role)
        WHERE p.role <> v_role
      ) OR EXISTS (
        SELECT FROM rolecall_internal.resource AS p
        WHERE p.section = 'memberships' AND p.key -> 1 = ${name} AND p.roles[2] <> v_role
      ) THEN
        PERFORM rolecall_internal.forget_others(${name}, v_role);
      END IF;
    END
  `;
}

/**
 * Forgets what was asked for about roles that had a name before the present one
 * @probes
 */
export function forget_others(name: Jsonb, role_oid: Oid): Nothing {
  return sql`
    DECLARE
      v_here oid := ${thisDatabase};
      v_gone rolecall_internal.resource[] := ARRAY(
        SELECT ${row(sql`p.section`, sql`p.key`, sql`NULL`)}
        FROM (
          SELECT DISTINCT ON (p.section, p.key) p.*
          FROM (
            ${recordsAbout(name)}
          ) AS p
          ORDER BY p.section, p.key, p.recorded_at DESC
        ) AS p
        WHERE p.resource IS NOT NULL AND p.made_in = v_here
          AND ${isOfAnother(name, role_oid)}
      );
      v_renamed text;
    BEGIN
      FOR v_renamed IN
        -- By its present name, which an older snapshot does not show, because the HINT removes that role.
        SELECT r.name FROM rolecall_internal.resource AS p
        CROSS JOIN LATERAL (SELECT pg_get_userbyid(p.roles[1])::text OFFSET 0) AS r(name)
        WHERE p.section = 'roles' AND p.key = jsonb_build_array(${name}) AND p.made_in = v_here
          AND p.roles[1] <> ${role_oid} AND to_regrole(quote_ident(r.name))::oid = p.roles[1]
      LOOP
        RAISE WARNING USING
          MESSAGE = format('the earlier role "%s" is now called "%s", and what was recorded about it is forgotten',
                           ${name} #>> '{}', v_renamed),
          DETAIL = 'It keeps its password and its privileges.',
          HINT = format('If it is not wanted: SELECT * FROM rolecall.remove_user(%L, drop_owned => true)', v_renamed);
      END LOOP;
      IF cardinality(v_gone) > 0 THEN
        ${written(sql`v_gone`)}
      END IF;
    END
  `;
}

/** Whether a row, p, is about another role that had the name. */
const isOfAnother = (name: Sql, role: Sql) => sql`${role} <> p.roles[CASE WHEN p.key -> 0 = ${name} THEN 1 ELSE 2 END]`;

/**
 * Removes what records supersede: older records of the same key, and for reporting roles that no longer exist the
 * verifiers and the tables that were withheld from them
 * @probes
 */
export function remove_superseded(records: Records): Nothing {
  return sql`
    BEGIN
      -- Under an older snapshot, deleting a row that another transaction has deleted fails with 40001; the next call
      -- cleans up.
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
          DELETE FROM rolecall_internal.withheld AS w
          WHERE w.ctid = ANY (ARRAY(
            SELECT k.ctid FROM unnest(${records}) AS n
            JOIN rolecall_internal.withheld AS k ON k.role = n.key ->> 0
            WHERE n.section = 'read_access' AND n.resource IS NULL
            FOR UPDATE OF k SKIP LOCKED
          ));
        END IF;
      END IF;
    END
  `;
}

/**
 * Whether a membership, a privilege or a schema is of, or in, a role that does not exist. The call has skipped it, and
 * does not mean a role that somebody else gives the name later.
 */
const isOfNobody = (section: Sql, resource: Sql) => sql`(
  ${section} IN ('memberships', 'privileges', 'schemas') AND NOT ${resource} ? 'state' AND 0 < num_nulls(
    to_regrole(quote_ident(coalesce(${resource} ->> 'role', ${resource} ->> 'owner', 'pg_monitor'))),
    to_regrole(quote_ident(coalesce(${resource} ->> 'member', 'pg_monitor'))))
)`;

/**
 * A role as it is first recorded: with what it could not do if it existed before, so that it is not created again
 * with more
 *
 * An attribute that it had and no call asked for, such as CREATEDB, is not restored.
 * @volatility stable
 * @probes
 */
export function restricted(resource: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN ${resource} || coalesce((
        SELECT jsonb_strip_nulls(jsonb_build_object('initial', nullif(
                 coalesce(${resource} -> 'initial', '{}') || jsonb_strip_nulls(jsonb_build_object(
                   'login', a.rolcanlogin,
                   'inherit', nullif(a.rolinherit, true),
                   'connection_limit', nullif(a.rolconnlimit, -1),
                   'valid_until', nullif(rolecall_internal.utc_time(a.rolvaliduntil), 'infinity')
                 )) - ARRAY(SELECT jsonb_object_keys(${resource} -> 'attributes')), '{}'
               )))
        FROM pg_roles AS a WHERE a.oid = to_regrole(quote_ident(${resource} ->> 'name'))::oid LIMIT 1
      ), '{}');
    END
  `;
}

/**
 * The least and the greatest keys that begin with a role, which is given as jsonb. In the order of jsonb, null is less
 * than every string, true is greater, and a longer array is greater than a shorter one.
 */
const keysFrom = (name: Sql): Sql => sql`(
  VALUES (jsonb_build_array(${name}), jsonb_build_array(${name})),
         (jsonb_build_array(${name}, NULL), jsonb_build_array(${name}, true)),
         (jsonb_build_array(${name}, NULL, NULL),
          jsonb_build_array(${name}, true, true))
) AS k(least, greatest)`;

/** Whether the key of a row, p, is between two of those, k, and begins with a role. */
const isBetween = sql`
  p.key BETWEEN k.least AND k.greatest
  AND p.section IN (
    ${sectionsOfRole(0)}
  )
`;

/** The rows of the table that have a role, given as jsonb, in their key, without the role's own definition. */
const recordsAbout = (name: Sql): Sql => sql`
  SELECT p.*
  FROM ${keysFrom(name)}
  CROSS JOIN LATERAL (
    SELECT p.* FROM rolecall_internal.resource AS p
    WHERE ${isBetween} AND p.section <> 'roles'
    OFFSET 0 -- By the index, as above.
  ) AS p
  WHERE jsonb_typeof(p.resource) = 'object'
  UNION ALL
  SELECT p.* FROM rolecall_internal.resource AS p
  WHERE p.section = 'memberships' AND p.key -> 1 = ${name} AND jsonb_typeof(p.resource) = 'object'
`;

/**
 * The records about absent roles, as absent too
 *
 * The mapping of the base roles stays, because it is about names.
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
            -- Any row of a key will do, because all of them have the same key fields.
            SELECT DISTINCT ON (p.section, p.key) p.section, p.key, p.resource
            FROM jsonb_to_recordset(${roles}) AS a(name jsonb, state text)
            CROSS JOIN LATERAL (
              ${recordsAbout(sql`a.name`)}
            ) AS p
            WHERE a.state = 'absent' AND p.resource IS NOT NULL
          ) AS n
          GROUP BY n.section
        ) AS s
      );
    END
  `;
}
