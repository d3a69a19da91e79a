/**
 * What a policy says of roles and schemas beyond what calls ask for: comments, owners, and that there is nothing else.
 */
import type { ChangeRow, Changes, Jsonb, Returns, SetOf } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { isMark } from '../catalogs/server.ts';

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
        WHERE c.state IS NULL AND NOT EXISTS (
          SELECT FROM pg_shdescription AS d
          WHERE d.objoid = to_regrole(quote_ident(c.role))::oid AND d.classoid = 'pg_authid'::regclass
            AND d.description = c.comment
        )
        ORDER BY c.position;
    END
  `;
}

/**
 * Schemas that are missing, and owners that differ
 * @volatility stable
 */
export function plan_owned_schemas(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT CASE WHEN n.oid IS NULL THEN 'create_schema' ELSE 'set_owner' END, s.name,
               CASE WHEN n.oid IS NULL
                      THEN concat(format('CREATE SCHEMA %I', s.name), ' AUTHORIZATION ' || quote_ident(s.owner))
                    ELSE format('ALTER SCHEMA %I OWNER TO %I', s.name, s.owner) END,
               NULL::text, array_remove(ARRAY[s.owner], NULL), NULL::text, NULL::text
        FROM ROWS FROM (jsonb_to_recordset(${resources}) AS (name text, owner text, state text))
             WITH ORDINALITY AS s(name, owner, state, position)
        LEFT JOIN pg_namespace AS n ON n.nspname = s.name
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
      -- A document without memberships, or privileges, says that there are none.
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

/**
 * Settings that roles of a policy have beyond it, here or in all databases
 *
 * The timeout of a client role is one that its members have too.
 * @volatility stable
 */
export function plan_other_settings(document: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT 'set_config', d.role,
               format('ALTER ROLE %I%s RESET %I', d.role, ' IN DATABASE ' || quote_ident(b.datname), n.name),
               NULL::text, ARRAY[d.role], NULL::text, NULL::text
        FROM ROWS FROM (jsonb_to_recordset(${document} -> 'declared') AS (role text, exact boolean))
             WITH ORDINALITY AS d(role, exact, position)
        JOIN pg_db_role_setting AS s ON s.setrole = to_regrole(quote_ident(d.role))::oid
        LEFT JOIN pg_database AS b ON b.oid = s.setdatabase
        CROSS JOIN LATERAL unnest(s.setconfig) AS e(entry)
        CROSS JOIN LATERAL (SELECT split_part(e.entry, '=', 1)) AS n(name)
        LEFT JOIN jsonb_to_recordset(${document} -> 'settings')
          AS w(role text, name text, here boolean, state text)
          ON w.role = d.role AND lower(w.name) = lower(n.name) AND w.state IS NULL
            AND coalesce(w.here, false) = (b.datname IS NOT NULL)
        WHERE d.exact AND w.role IS NULL AND coalesce(b.datname, current_database()) = current_database()
          AND NOT ${isMark(sql`e.entry`)}
          AND (b.datname IS NOT NULL
               OR (${document} -> 'theirs' -> d.role -> 'settings' ? lower(n.name)) IS NOT TRUE)
          AND NOT (n.name = 'statement_timeout' AND EXISTS (
            SELECT FROM pg_auth_members AS m
            JOIN pg_db_role_setting AS g ON g.setrole = m.roleid
            WHERE m.member = s.setrole AND e.entry = ANY (g.setconfig)
          ))
        ORDER BY d.position, b.datname NULLS FIRST, n.name;
    END
  `;
}
