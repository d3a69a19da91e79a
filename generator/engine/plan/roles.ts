/**
 * Differences in the roles themselves: existence and attributes.
 *
 * Names are converted to oids first, and the catalogs are probed by oid, one role at a time, so a call costs the same
 * among ten roles and among ten thousand. Queries have LIMIT 1 because an older snapshot can show a row in two
 * versions: the one that another transaction has replaced meanwhile, and the one by which this transaction replaced
 * that.
 */
import { mask } from '../../model/resources.ts';
import { recordedMark } from '../../model/sections.ts';
import type { Change, Changes, Jsonb, Oid, Returns, Text } from '../../model/types.ts';
import { raiseNoRole } from '../../sql/raise.ts';
import { join, raw, sql, text } from '../../sql/template.ts';
import { takers } from '../catalogs/edges.ts';
import { isAskedFor } from '../record/newest.ts';
import { serverVersion } from '../catalogs/server.ts';
import { isProtected } from '../document/names.ts';
import { mayMake } from '../execute/rights.ts';

/**
 * Roles that are missing, and attributes that differ
 * @volatility stable
 * @probes
 * @long what each role lacks, one after the other
 */
export function plan_roles(document: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_changes rolecall_internal.change[] := '{}'::rolecall_internal.change[];
      v_resources jsonb := ${document} -> 'roles';
      v_resource jsonb;
      v_name text;
      v_role oid;
      v_wanted jsonb;
      v_present jsonb;
      v_statement text;
      v_word text;
      v_note text;
      v_power text;
      v_refused rolecall_internal.change;
      v_refusals rolecall_internal.change[];
    BEGIN
      FOR v_position IN 0 .. coalesce(jsonb_array_length(v_resources), 0) - 1 LOOP
        v_resource := v_resources -> v_position;
        v_name := v_resource ->> 'name';
        v_role := to_regrole(quote_ident(v_name))::oid;
        v_note := CASE WHEN (v_resource -> 'protected')::boolean
                    THEN rolecall_internal.protection_note(v_resource, ${document} -> 'declared') END;
        v_wanted := coalesce(v_resource -> 'attributes', '{}');
        CONTINUE WHEN v_resource ->> 'state' = 'absent' OR v_role IS NOT NULL AND v_wanted = '{}';
        v_present := '{}'::jsonb;
        IF v_role IS NOT NULL OR v_resource ? 'state' THEN
          v_present := (
            SELECT jsonb_build_object(
              ${present}
            )
            FROM pg_roles AS a WHERE a.oid = v_role LIMIT 1
          );
          IF v_present IS NULL AND v_role IS NOT NULL THEN
            -- The role was just dropped, which this backend has not noticed, or it is newer than the snapshot; then
            -- it counts as created.
            PERFORM rolecall_internal.refresh_caches();
            v_role := to_regrole(quote_ident(v_name))::oid;
          END IF;
          IF v_role IS NULL AND v_resource ->> 'state' = 'existing' THEN
            ${raiseNoRole(sql`v_name`)}
          END IF;
          CONTINUE WHEN v_role IS NOT NULL AND (v_present IS NULL OR v_present @> v_wanted);
          v_present := coalesce(v_present, '{}');
        END IF;
        IF v_role IS NULL THEN
          v_wanted := jsonb_strip_nulls(jsonb_build_object(
            -- The limits that it had when it was recorded.
            'connection_limit', v_resource -> 'connection_limit', 'valid_until', v_resource -> 'valid_until'
          )) || coalesce(v_resource -> 'initial', '{}') || CASE
            -- A locked user that somebody else dropped is not created again with more than it had.
            WHEN EXISTS (
              SELECT FROM rolecall_internal.resource AS r
              WHERE r.section = 'roles' AND r.key = jsonb_build_array(v_name)
            ) AND rolecall_internal.newest_record('roles', jsonb_build_array(v_name))
              @> '{"attributes": {"login": false}}'
              THEN '{"login": false}' ELSE '{}' END::jsonb || v_wanted;
        END IF;
        IF v_note IS NULL AND v_wanted ?| ${powers} THEN
          v_refusals := '{}'::rolecall_internal.change[];
          FOREACH v_power IN ARRAY ${powers}::text[] LOOP
            CONTINUE WHEN v_wanted -> v_power IS DISTINCT FROM 'true' OR v_present -> v_power = 'true';
            v_refused := rolecall_internal.power_refusal(v_name, v_role, v_power);
            CONTINUE WHEN v_refused.sqlstate IS NULL;
            v_wanted := v_wanted - v_power;
            v_refusals := v_refusals || v_refused;
          END LOOP;
        END IF;
        v_statement := format('%s ROLE %I', CASE WHEN v_role IS NULL THEN 'CREATE' ELSE 'ALTER' END, v_name);
        FOREACH v_word IN ARRAY
          ${words}
        LOOP
          CONTINUE WHEN v_wanted ->> v_word IS NULL OR v_wanted -> v_word = coalesce(
            v_present -> v_word,
            CASE v_word WHEN 'connection_limit' THEN '-1' WHEN 'valid_until' THEN '"infinity"' END::jsonb
          );
          v_statement := v_statement || CASE v_word
            WHEN 'connection_limit' THEN format(' CONNECTION LIMIT %s', (v_wanted -> v_word)::integer)
            WHEN 'valid_until' THEN format(' VALID UNTIL %L', v_wanted ->> v_word)
            ELSE CASE WHEN (v_wanted -> v_word)::boolean THEN ' ' ELSE ' NO' END || upper(v_word COLLATE "C") END;
        END LOOP;
        IF v_role IS NULL THEN
          v_changes := v_changes || ROW(
            'create_role', v_name,
            v_statement || CASE WHEN v_resource ->> 'password' IS NULL THEN ''
                                ELSE format(' PASSWORD %L', ${mask}) END,
            v_resource ->> 'password', ARRAY[v_name], NULL, v_resource ->> 'note'
          )::rolecall_internal.change;
        ELSIF NOT v_present @> v_wanted THEN
          v_changes := v_changes || ROW(
            'alter_role', v_name, v_statement, NULL, ARRAY[v_name], CASE WHEN v_note IS NOT NULL THEN '22023' END, v_note
          )::rolecall_internal.change;
        END IF;
        IF v_refusals IS NOT NULL THEN
          FOREACH v_refused IN ARRAY v_refusals LOOP -- Joining a list to another copies it as a whole.
            v_changes := v_changes || v_refused;
          END LOOP;
          v_refusals := NULL;
        END IF;
      END LOOP;
      RETURN v_changes;
    END
  `;
}

/**
 * Why a role that is a superuser, or the caller, is left as it is, because the caller of drift() can be a role of a
 * policy; otherwise it is refused; null for any other role
 * @volatility stable
 */
export function protection_note(resource: Jsonb, declared: Jsonb): Returns<Text> {
  return sql`
    BEGIN
      IF ${isProtected(
        sql`(${resource} ->> 'name')`,
        sql`to_regrole(quote_ident(${resource} ->> 'name'))::oid`,
      )} IS NOT TRUE THEN
        RETURN NULL; -- So is a role that does not exist yet.
      END IF;
      IF NOT ${resource} ? ${text(recordedMark)} OR NOT coalesce(
        ${declared} @> jsonb_build_array(jsonb_build_object('role', ${resource} -> 'name')), false
      ) THEN
        PERFORM rolecall_internal.check_protected(${resource} ->> 'name');
      END IF;
      RETURN 'no call changes the role that makes it';
    END
  `;
}

/**
 * The skipped change that would give a role an attribute that is a power; null where the caller can give it
 *
 * No role gets it that a role without it could become, because whoever may create roles can create one with a name
 * that is likely to be used. A superuser can give BYPASSRLS, and from PostgreSQL 16 on so can a role that has it, to
 * roles that it may alter.
 * @volatility stable
 */
export function power_refusal(role_name: Text, role_oid: Oid, attribute: Text): Returns<Change> {
  return sql`
    DECLARE
      v_word text := upper(${attribute} COLLATE "C");
      v_statement text := format('ALTER ROLE %I %s', ${role_name}, v_word);
      v_note text := CASE
        WHEN v_word <> 'BYPASSRLS' OR ${mayMake('alter_role', sql`${role_name}`, sql`v_statement`)} THEN NULL
        WHEN ${serverVersion} < 16 THEN 'only a superuser can give BYPASSRLS'
        ELSE 'only a superuser, or a role that has BYPASSRLS itself, can give BYPASSRLS' END;
      v_takers record;
    BEGIN
      IF v_note IS NULL THEN
        IF NOT EXISTS (SELECT FROM pg_auth_members AS m WHERE m.roleid = ${role_oid}) THEN
          RETURN NULL; -- Without a query, which would have to be planned.
        END IF;
        SELECT t.* INTO v_takers FROM (
          ${takers(role_oid, (member) => sql`(to_jsonb(${member}) -> ('rol' || ${attribute}))::boolean`, isAskedFor)}
        ) AS t;
        v_note := v_word || ' could be taken by ' || v_takers.names || ', by membership or ADMIN OPTION';
        v_statement := concat_ws('; ', v_takers.revokes, v_statement);
      END IF;
      IF v_note IS NULL THEN
        RETURN NULL;
      END IF;
      RETURN ROW(
        'alter_role', ${role_name}, v_statement, NULL, ARRAY[${role_name}], '42501', v_note
      )::rolecall_internal.change;
    END
  `;
}

/** The attributes that are powers. */
const powers = text('{bypassrls,createdb,createrole,replication}');

/** The columns of the attributes, by their words in CREATE ROLE and ALTER ROLE. */
const attributes = {
  superuser: 'rolsuper',
  createdb: 'rolcreatedb',
  createrole: 'rolcreaterole',
  inherit: 'rolinherit',
  login: 'rolcanlogin',
  replication: 'rolreplication',
  bypassrls: 'rolbypassrls',
} as const;
const columns = Object.entries(attributes).map(([key, column]) => sql`${text(key)}, a.${raw(column)}`);
/** The boolean attributes of a role, a, for jsonb_build_object(). */
export const presentAttributes = sql`${join(columns.slice(0, 4))},
${join(columns.slice(4))}`;
/** All attributes of a role, with its limits. */
export const present = join(
  [
    presentAttributes,
    sql`'connection_limit', a.rolconnlimit`,
    sql`'valid_until', rolecall_internal.utc_time(a.rolvaliduntil)`,
  ],
  ',\n',
);
/** The attributes in the order of a statement. */
const words = sql`
  ${text(`{${Object.keys(attributes).join()},connection_limit,valid_until}`)}::text[]
`;
