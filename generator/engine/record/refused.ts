/**
 * Records are untrusted, because an operator can write rows of its own, and superusers act on them. No call acts on a
 * row that no call writes, on one that asks for more than its recorder could do, or on one about a role whose name
 * another role has by now. sign_record() checks a row when it is written, and refusal() whenever it is used.
 */
import { newest, recorderOf } from '../../model/record.ts';
import { usualAttributes } from '../../model/resources.ts';
import { derivedSections, returningShape, keyOf, namedIn } from '../../model/sections.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Jsonb, Oids, Recorded, Returns, StepRow, Steps, Text, Texts } from '../../model/types.ts';
import { wrapped } from '../../sql/quote.ts';
import { warnOfSkipped } from '../../sql/raise.ts';
import { join, raw, type Sql, sql, text } from '../../sql/template.ts';
import { serverVersion, thisDatabase } from '../catalogs/server.ts';
import { isAdministered, ungivable } from '../catalogs/edges.ts';
import { isImpossible, isPredefined, isSuperuser } from '../document/names.ts';

const malformed = text(sqlstates.invalid_parameter_value);
const unsupported = text(sqlstates.feature_not_supported);
const beyondRights = text(sqlstates.insufficient_privilege);
const anotherRole = text(sqlstates.duplicate_object);
const renamedRole = text(sqlstates.undefined_object);

/**
 * Predefined roles that only show, or end, what the server does. They give neither access to tables and files nor a
 * way to write.
 */
const harmless = raw(
  wrapped(
    `{${[
      'pg_monitor',
      'pg_read_all_settings',
      'pg_read_all_stats',
      'pg_stat_scan_tables',
      'pg_signal_backend',
      'pg_checkpoint',
      'pg_use_reserved_connections',
    ].join(', ')}}`,
    60,
  ),
);

/**
 * The position of the first name whose role a record changes or grants. That role, and those after it, must not be
 * superusers.
 */
const firstChanged = (entry: Recorded) => sql`
  CASE WHEN ${entry}.section IN (
         'base_roles', 'comments', 'settings', 'declared', 'read_access'
       ) THEN 1
       WHEN ${entry}.section = 'roles' AND ${entry}.resource ?| '{attributes,protected}' THEN 1
       WHEN ${entry}.section = 'memberships' THEN 2
       -- There is no such name.
       ELSE cardinality(v_names) + 1 END
`;

/** The attributes that a record can give. */
const attributes = text(`{${Object.keys(usualAttributes).join()}}`);

/** The attributes that a record gives, or denies. */
const given = (resource: Jsonb) => sql`
  coalesce(${resource} -> 'initial', '{}')
  || coalesce(${resource} -> 'attributes', '{}')
`;

/** The attribute that a record may only deny. */
const denied = text('superuser');

/**
 * The key of a resource; null where its section is not remembered
 * @volatility immutable
 */
export function record_key(section: Text, resource: Jsonb): Returns<Jsonb | null> {
  return sql`
    BEGIN
      RETURN ${keyOf(section as Sql, resource)};
    END
  `;
}

/**
 * The names of roles in a record; null among them where one is left out
 * @volatility immutable
 */
export function record_names(section: Text, resource: Jsonb): Returns<Texts> {
  return sql`
    BEGIN
      RETURN ${namedIn(section as Sql, resource)};
    END
  `;
}

/**
 * Whether a resource has the fields that calls write in that section, with what they hold
 * @volatility immutable
 * @long a case for each section
 */
export function has_recorded_shape(section: Text, resource: Jsonb): Returns<Bool> {
  return sql`
    BEGIN
      ${returningShape(section as Sql, resource)}
    END
  `;
}

/**
 * Why no call can have written a row, which names these roles; null if one can
 * @volatility stable
 */
export function misshape(section: Text, key: Jsonb, resource: Jsonb, names: Texts): Returns<Text | null> {
  return sql`
    DECLARE
      v_name text;
      v_wrong text := CASE
        WHEN ${resource} IS NULL THEN NULL
        WHEN NOT rolecall_internal.has_recorded_shape(${section}, ${resource}) THEN 'no call records such a row'
        WHEN rolecall_internal.record_key(${section}, ${resource}) IS DISTINCT FROM ${key}
          THEN 'its key is that of another row'
        WHEN ${section} = 'memberships' AND ${key} -> 0 = ${key} -> 1 THEN 'no role is a member of itself'
        WHEN (${given(resource)}) - ${denied}
             - ${attributes}::text[] <> '{}'
          THEN 'no role has such an attribute'
        WHEN ${resource} @? '$.*.superuser ? (@ == true)' THEN 'no record gives SUPERUSER'
      END;
    BEGIN
      IF v_wrong IS NULL THEN
        FOREACH v_name IN ARRAY ${names} LOOP
          IF v_name IS NOT NULL AND ${isImpossible(sql`v_name`)} AND NOT (
            ${section} = 'memberships' AND v_name = ${resource} ->> 'role' AND ${isPredefined(sql`v_name`)}
          ) THEN
            RETURN 'it has a role name that no call accepts';
          END IF;
        END LOOP;
      END IF;
      RETURN v_wrong;
    END
  `;
}

/**
 * The oids of roles, in the order of the names in a row
 * @volatility stable
 */
export function named_roles(names: Texts): Returns<Oids> {
  return sql`
    BEGIN
      -- Two at most, for which a loop takes longer.
      RETURN (ARRAY[
        ${join([1, 2].map((at) => sql`to_regrole(quote_ident(${names}[${at}]))::oid`))}
      ])[:cardinality(${names})];
    END
  `;
}

/**
 * What a row asks for that its recorder could not do itself; null if there is nothing
 *
 * A superuser can do everything. Others record what their calls have just done, so the roles exist, and the caller
 * may change or grant them. The owner of a schema, or of the database, decides who reads what is in the schema.
 * Privileges and schemas of a policy, and that a role has nothing else, are acted on only for the role that recorded
 * them, because they name objects that others can own by the time of the call.
 * @volatility stable
 * @probes
 */
export function lacking_right(section: Text, resource: Jsonb): Returns<Text | null> {
  return sql`
    DECLARE
      v_caller record;
      v_present record;
      v_name text := coalesce(${resource} ->> 'role', ${resource} ->> 'name');
      v_role oid := to_regrole(quote_ident(v_name))::oid;
      -- The definition of a reporting role denies attributes that it may have.
      v_given jsonb := CASE ${section}
        WHEN 'read_access' THEN '{"replication": false, "bypassrls": false, "createdb": false}'
        ELSE ${given(resource)} END;
      v_by_admin boolean := ${serverVersion} >= 16;
    BEGIN
      SELECT r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls INTO v_caller
      FROM pg_roles AS r WHERE r.rolname = current_user;
      SELECT r.rolcreatedb, r.rolreplication, r.rolbypassrls INTO v_present FROM pg_roles AS r WHERE r.oid = v_role;
      IF v_caller.rolsuper
        -- A name that counts without a record.
        OR ${section} = 'base_roles'
           AND v_name IS NOT DISTINCT FROM nullif(${resource} ->> 'key', 'default')
      THEN
        RETURN NULL;
      ELSIF ${section} IN ('watch', 'declared', 'schemas', 'privileges')
        OR ${section} = 'operators' AND NOT has_schema_privilege('rolecall', 'USAGE WITH GRANT OPTION')
      THEN
        RETURN 'the role may not ask for that';
      ELSIF ${section} = 'operators' OR v_name IS NULL THEN
        RETURN NULL;
      ELSIF array_position(
        rolecall_internal.named_roles(rolecall_internal.record_names(${section}, ${resource})), NULL
      ) IS NOT NULL THEN
        RETURN 'there was no such role';
      ELSIF ${section} IN ('base_roles', 'memberships') THEN
        RETURN CASE WHEN starts_with(v_name, 'pg_')
                         AND v_name <> ALL (${harmless}::text[])
                      THEN 'the predefined role gives more than a record may: grant it by a call'
                    WHEN NOT ${administers} THEN format('the role may not grant %I', v_name) END;
      ELSIF NOT (
        v_caller.rolcreaterole AND ${administers} AND (v_by_admin OR NOT v_present.rolreplication)
        OR ${section} = 'settings' AND v_name = current_user
      ) THEN
        RETURN format('the role may not change %I', v_name);
      ELSIF ${section} = 'settings' AND NOT EXISTS (
        SELECT FROM pg_settings AS s
        WHERE lower(s.name) = lower(${resource} ->> 'name') AND s.context IN ('user', 'backend')
      ) THEN
        RETURN 'only a superuser, or who may set the parameter, can give a role such a setting';
      ELSIF ${givesTooMuch}
      THEN
        RETURN 'the role may not give, or deny, such attributes';
      ELSIF NOT (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database() LIMIT 1) THEN
        RETURN (
          SELECT 'the role owns neither the database nor the schemas: ' || string_agg(s.name, ', ')
          FROM jsonb_array_elements_text(${resource} -> 'schemas') AS s(name)
          WHERE NOT EXISTS (
            SELECT FROM pg_namespace AS n WHERE n.nspname = s.name AND pg_has_role(n.nspowner, 'USAGE')
          )
        );
      END IF;
      RETURN NULL;
    END
  `;
}

/** Whether a record gives an attribute, or denies one that the role has, although its recorder could not. */
const givesTooMuch = join(
  ungivable(sql`v_caller`, sql`v_by_admin`).map(
    ({ attribute, condition }) => sql`
      ${condition}
        AND coalesce((v_given -> '${raw(attribute)}')::boolean OR v_given ? '${raw(attribute)}' AND v_present.rol${raw(attribute)}, false)
    `,
  ),
  '\n  OR ',
);

/**
 * Whether the caller may grant the role, and change it if it has CREATEROLE. It also reads the rows of the catalogs,
 * because the server's cache of memberships can be older than a role.
 */
const administers = sql`(
  pg_has_role(v_role, 'MEMBER WITH ADMIN OPTION') OR v_caller.rolcreaterole AND NOT v_by_admin
  OR ${isAdministered(sql`v_role`)}
)`;

/**
 * The skipped step that says why a record is not acted on; null if it is acted on
 *
 * If a role recorded more than it could do, only its own calls act on that. A record belongs to the roles that had
 * the names when it was written: not to a role that somebody has created since, nor to one that has another name by
 * now. A record from another database, for example from a dump, belongs to the roles that have the names.
 *
 * Every call reads records, and usually nothing is wrong with them; finding that out takes no query.
 * @long the reasons in turn, of which the first one counts
 * @volatility stable
 * @probes
 */
export function refusal(entry: Recorded): Returns<StepRow | null> {
  return sql`
    DECLARE
      v_names text[] := ${namedIn(sql`${entry}.section`, sql`${entry}.resource`)};
      v_operation text := 'forget';
      v_target text;
      v_statement text;
      v_code text;
      v_note text;
      v_was oid;
      v_now oid;
    BEGIN
      IF ${entry}.resource IS NULL THEN
        RETURN NULL;
      END IF;
      FOR v_position IN ${firstChanged(entry)} .. cardinality(v_names) LOOP
        IF ${isSuperuser(sql`to_regrole(quote_ident(v_names[v_position]))::oid`)} THEN
          v_code := ${malformed};
          v_note := 'the role is a superuser, which no record changes or grants';
        END IF;
      END LOOP;
      IF ${serverVersion} < 16 AND ${entry}.section = 'memberships'
        AND ${entry}.resource ?| '{inherit,set}'
      THEN
        v_code := ${unsupported};
        v_note := 'the INHERIT and SET options of a membership require PostgreSQL 16 or newer';
      END IF;
      IF v_code IS NULL AND ${entry}.sqlstate IS NOT NULL THEN
        IF ${entry}.sqlstate <> ${beyondRights} OR ${recorderOf(entry as Sql)} <> current_user THEN
          v_code := ${entry}.sqlstate;
          v_note := format('recorded by %I: %s', ${entry}.recorder, ${entry}.note);
          IF v_code = ${beyondRights} AND rolecall_internal.is_administrator(${entry}) THEN
            v_operation := 'alter_role';
            v_statement := 'SELECT * FROM rolecall.create_base_roles()';
          END IF;
        END IF;
      END IF;
      FOR v_position IN 1 .. cardinality(v_names) LOOP
        EXIT WHEN v_code IS NOT NULL OR ${entry}.roles IS NULL;
        v_was := ${entry}.roles[v_position];
        v_now := to_regrole(quote_ident(v_names[v_position]))::oid;
        CONTINUE WHEN v_now = v_was;
        EXIT WHEN ${entry}.made_in <> ${thisDatabase};
        v_target := v_names[v_position];
        IF v_now <> v_was AND NOT (
          ${entry}.section = 'base_roles' AND ${recorderOf(entry as Sql)} = current_user
        ) THEN
          v_code := ${anotherRole};
          v_note := 'another role has the name now: repeat the call to ask for the same for it';
        ELSIF v_now IS NULL AND EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = v_was) THEN
          v_code := ${renamedRole};
          v_statement := format('ALTER ROLE %I RENAME TO %I', pg_get_userbyid(v_was), v_target);
          v_note := format('the role is now called %I: rename it back, or remove it', pg_get_userbyid(v_was));
        END IF;
      END LOOP;
      IF v_code IS NULL THEN
        RETURN NULL;
      END IF;
      RETURN ROW(
        v_operation,
        coalesce(v_target, CASE ${entry}.section WHEN 'base_roles' THEN ${entry}.resource ->> 'name'
                             ELSE ${entry}.key ->> 0 END),
        coalesce(v_statement, format('DELETE FROM rolecall_internal.resource WHERE id = %L', ${entry}.id)),
        'skipped', v_code, v_note
      )::rolecall.step;
    END
  `;
}

/**
 * Whether refusal() has nothing to say about a record of one or two roles, given by their oids. That is so for most
 * records, and takes a fraction of the time. The last of the roles must not be a superuser.
 */
export const isUndisputed = (entry: Sql, oids: Sql, last: Sql) => sql`(
  ${entry}.sqlstate IS NULL
  AND (${entry}.roles IS NULL OR ${entry}.roles = ${oids})
  AND ${isSuperuser(last)} IS NOT TRUE
)`;

/**
 * The same for a record, p, of any section. It takes the oids from these fields; if a record has other fields with
 * roles, refusal() decides. A record that names no role, or one that does not exist, has a null for it.
 */
export const isPlain = (entry: Sql) => {
  const field = (name: string) => sql`${entry}.resource ->> ${text(name)}`;
  const member = sql`to_regrole(quote_ident(${field('member')}))::oid`;
  const last = sql`to_regrole(quote_ident(coalesce(
    ${field('role')}, ${field('owner')},
    CASE WHEN ${entry}.section <> 'schemas' THEN ${field('name')} END
  )))::oid`;
  return sql`(
    ${entry}.resource IS NULL
    OR NOT ${entry}.resource ?| '{inherit,set}' AND ${isUndisputed(
      entry,
      sql`
        coalesce(nullif(array_remove(
          ARRAY[${member}, ${last}], NULL
        ), '{}'), ARRAY[NULL::oid])
      `,
      last,
    )}
  )`;
};

/**
 * Whether a record is about the administrator of this database and its BYPASSRLS, for which another caller can ask
 * again
 * @volatility stable
 * @probes
 */
export function is_administrator(entry: Recorded): Returns<Bool> {
  return sql`
    BEGIN
      RETURN ${entry}.section = 'roles'
        AND ${entry}.resource @> '{"attributes": {"bypassrls": true}}'
        AND EXISTS (
          SELECT FROM ${newest(sql`r.section = 'base_roles' AND r.key = '["administrator"]'`)} AS b
          WHERE b.resource -> 'name' = ${entry}.resource -> 'name'
        );
    END
  `;
}

/** Whether a record about reading defines a reporting role, even if another role has the name by now. */
export const isDefinition = (entry: Sql, recorder = recorderOf(entry)) => sql`
  ${entry}.resource IS NOT NULL AND (${entry}.sqlstate IS NULL OR ${recorder} = current_user)
`;

/**
 * Skipped steps for records that are not acted on, in one section or, if that is null, in all of them; without roles
 * that other steps are about, and what follows from the definition of a reporting role
 */
export function refused_steps(section: Text | null, but: Steps, dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_step rolecall.step;
      v_steps rolecall.step[] := '{}'::rolecall.step[];
    BEGIN
      FOR v_step IN
        SELECT s.*
        FROM ${newest(sql`r.section = coalesce(${section as Text}, r.section)`)} AS p
        CROSS JOIN LATERAL rolecall_internal.refusal(p::rolecall_internal.resource) AS s
        WHERE s.note IS NOT NULL AND NOT EXISTS (SELECT FROM unnest(${but}) AS b WHERE b.target = s.target)
          AND (p.section NOT IN (${derivedSections}) OR NOT EXISTS (
            SELECT FROM ${newest(sql`r.section = 'read_access' AND r.key = jsonb_build_array(p.key -> 0)`)} AS o
            WHERE ${isDefinition(sql`o`)}
          ))
          -- A call that recorded the present role under an older snapshot could not forget what is recorded about the
          -- earlier one.
          AND (s.sqlstate <> ${anotherRole} OR NOT EXISTS (
            SELECT FROM rolecall_internal.resource AS o
            WHERE o.section = 'roles' AND o.key = jsonb_build_array(s.target) AND o.recorded_at > p.recorded_at
              AND o.roles = ARRAY[to_regrole(quote_ident(s.target))::oid]
          ))
        GROUP BY s.operation, s.target, s.statement, s.status, s.sqlstate, s.note
        ORDER BY min(p.section), min(p.key::text)
      LOOP
        IF ${dry_run} IS NOT TRUE THEN
          ${warnOfSkipped(
            sql`v_step.sqlstate`,
            sql`v_step.target`,
            sql`v_step.note`,
            sql`
              'It is recorded, but not acted on. '
                || CASE WHEN v_step.sqlstate = ${beyondRights} AND v_step.operation = 'forget'
                        THEN 'Have a role that may do it repeat the call, or forget the row: '
                        ELSE 'To end that: ' END || v_step.statement
            `,
          )}
        END IF;
        v_steps := v_steps || v_step;
      END LOOP;
      RETURN v_steps;
    END
  `;
}
