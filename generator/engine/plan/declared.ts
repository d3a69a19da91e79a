/**
 * Differences in what only policies ask for: comments, owners of schemas, and that roles have nothing else.
 */
import type { ChangeRow, Changes, Jsonb, Returns, SetOf } from '../../model/types.ts';
import { type Sql, sql } from '../../sql/template.ts';
import { isMark, thisDatabase } from '../catalogs/server.ts';

/**
 * Comments that differ
 * @volatility stable
 * @probes
 */
export function plan_comments(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT 'set_comment', c.role, format('COMMENT ON ROLE %I IS %L', c.role, c.comment), NULL::text,
               ARRAY[c.role], NULL::text, NULL::text
        FROM ROWS FROM (jsonb_to_recordset(${resources}) AS (role text, comment text, state text))
             WITH ORDINALITY AS c(role, comment, state, position)
        -- The server keeps no empty comment.
        WHERE c.state IS NULL AND c.comment <> coalesce((
          SELECT d.description FROM pg_shdescription AS d
          WHERE d.objoid = to_regrole(quote_ident(c.role))::oid AND d.classoid = 'pg_authid'::regclass
        ), '')
        ORDER BY c.position;
    END
  `;
}

/**
 * Schemas that are missing, and owners that differ; without the owner, a schema is not created
 * @volatility stable
 */
export function plan_owned_schemas(document: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT CASE WHEN n.oid IS NULL THEN 'create_schema' ELSE 'set_owner' END, s.name,
               CASE WHEN n.oid IS NULL
                      THEN concat(format('CREATE SCHEMA %I', s.name), ' AUTHORIZATION ' || quote_ident(s.owner))
                    ELSE format('ALTER SCHEMA %I OWNER TO %I', s.name, s.owner) END,
               NULL::text, array_remove(ARRAY[s.owner], NULL), CASE WHEN o.missing THEN '42704' END,
               CASE WHEN o.missing THEN format('role "%s" does not exist', s.owner) END
        FROM ROWS FROM (jsonb_to_recordset(${document} -> 'schemas') AS (name text, owner text, state text))
             WITH ORDINALITY AS s(name, owner, state, position)
        LEFT JOIN pg_namespace AS n ON n.nspname = s.name
        CROSS JOIN LATERAL (SELECT rolecall_internal.is_nobody(${document}, s.owner)) AS o(missing)
        WHERE s.state IS NULL AND (n.oid IS NULL OR n.nspowner <> to_regrole(quote_ident(s.owner))::oid
                                   OR s.owner IS NOT NULL AND to_regrole(quote_ident(s.owner)) IS NULL)
        ORDER BY s.position;
    END
  `;
}

/**
 * Memberships and settings that roles of a policy have beyond it, and privileges where it has none
 * @volatility stable
 */
export function plan_declared(document: Jsonb): Returns<Changes> {
  return sql`
    BEGIN
      -- A policy without memberships, or privileges, asks that there are none.
      RETURN CASE WHEN ${document} ? 'memberships' THEN '{}'::rolecall_internal.change[]
                  ELSE rolecall_internal.plan_revokes(rolecall_internal.with_excess(${document})) END
        || ARRAY(SELECT p FROM rolecall_internal.plan_other_settings(${document}) AS p)
        || ARRAY(
          SELECT p FROM rolecall_internal.plan_privileges(${document}) AS p
          WHERE NOT ${document} ? 'privileges'
        );
    END
  `;
}

/** A setting of a role, everywhere or in this database alone, as a key. */
const settingKey = (role: Sql, name: Sql, here: Sql) => sql`jsonb_build_array(${role}, lower(${name}), ${here})::text`;

/**
 * Settings that roles of a policy have beyond it, here or in all databases
 *
 * The members of a client role also have its timeout.
 * @volatility stable
 */
export function plan_other_settings(document: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      -- The rows are looked up by name in jsonb, because a join is planned as a nested loop if the catalog seems to
      -- be empty.
      v_exact jsonb := (
        SELECT jsonb_object_agg(d.resource ->> 'role', d.position)
        FROM jsonb_array_elements(${document} -> 'declared') WITH ORDINALITY AS d(resource, position)
        WHERE d.resource -> 'exact' = 'true'
      );
      v_wanted jsonb := (
        SELECT coalesce(jsonb_object_agg(
                 ${settingKey(sql`w.role`, sql`w.name`, sql`coalesce(w.here, false)`)}, true
               ), '{}')
        FROM jsonb_to_recordset(${document} -> 'settings')
          AS w(role text, name text, here boolean, state text)
        WHERE w.state IS NULL
      );
    BEGIN
      RETURN QUERY
        SELECT 'set_config', s.role,
               format('ALTER ROLE %I%s RESET %I', s.role,
                      CASE WHEN s.here THEN format(' IN DATABASE %I', current_database()) END, s.name),
               NULL::text, ARRAY[s.role], NULL::text, NULL::text
        FROM (
          SELECT pg_get_userbyid(k.setrole)::text, k.setrole, k.setdatabase <> 0, e.entry, split_part(e.entry, '=', 1)
          FROM pg_db_role_setting AS k CROSS JOIN LATERAL unnest(k.setconfig) AS e(entry)
          WHERE k.setrole <> 0 AND k.setdatabase IN (0, ${thisDatabase}) AND NOT ${isMark(sql`e.entry`)}
          OFFSET 0
        ) AS s(role, oid, here, entry, name)
        WHERE v_exact ? s.role AND NOT v_wanted ? ${settingKey(sql`s.role`, sql`s.name`, sql`s.here`)}
          AND (s.here OR (${document} -> 'theirs' -> s.role -> 'settings' ? lower(s.name)) IS NOT TRUE)
          AND NOT (s.name = 'statement_timeout' AND EXISTS (
            SELECT FROM pg_auth_members AS m
            JOIN pg_db_role_setting AS g ON g.setrole = m.roleid
            WHERE m.member = s.oid AND s.entry = ANY (g.setconfig)
          ))
        ORDER BY (v_exact -> s.role)::integer, s.here, s.name;
    END
  `;
}
