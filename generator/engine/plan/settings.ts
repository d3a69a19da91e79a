/**
 * Differences in the settings of roles.
 */
import { accepted } from '../../model/record.ts';
import { recordedMark } from '../../model/sections.ts';
import type { Bool, ChangeRow, Jsonb, Returns, SetOf } from '../../model/types.ts';
import { raw, type Sql, sql } from '../../sql/template.ts';
import { isAbout, isIn, isSetting } from '../document/lists.ts';
import { thisDatabase } from '../catalogs/server.ts';
import { mayMake } from '../execute/rights.ts';

/**
 * Settings of a role that differ, and settings for single databases that would override them
 * @volatility stable
 * @probes
 */
export function plan_settings(document: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_here oid := ${thisDatabase};
    BEGIN
      RETURN QUERY
        SELECT 'set_config', s.role, c.statement, NULL::text, ARRAY[s.role], CASE WHEN o.is_gone THEN '42704' END,
               CASE WHEN o.is_gone THEN format('role "%s" does not exist', s.role) END
        FROM ROWS FROM (jsonb_to_recordset(${document} -> 'settings')
               AS (role text, name text, value jsonb, here boolean, alone boolean, state text, ${raw(recordedMark)} text))
             WITH ORDINALITY AS s(role, name, value, here, alone, state, recorder, position)
        CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(s.role))::oid OFFSET 0) AS r(role_oid)
        CROSS JOIN LATERAL (
          SELECT r.role_oid, r.role_oid IS NULL AND s.recorder IS NOT NULL
            AND NOT ${isIn(document, 'roles', sql`s.role`)} AS is_gone
        ) AS o
        CROSS JOIN LATERAL (
          SELECT 1, NULL::name,
                 format('ALTER ROLE %I%s SET %I = %s', s.role,
                        CASE WHEN s.here THEN format(' IN DATABASE %I', current_database()) END, s.name,
                        CASE WHEN s.value = '[""]' THEN '''''' -- the way to write an empty list
                             WHEN jsonb_typeof(s.value) = 'array' THEN (
                               SELECT string_agg(quote_ident(e.name), ', ' ORDER BY e.position)
                               FROM jsonb_array_elements_text(s.value) WITH ORDINALITY AS e(name, position)
                             )
                             ELSE quote_literal(s.value #>> '{}') END)
          WHERE NOT EXISTS (
            SELECT FROM pg_db_role_setting AS p
            CROSS JOIN LATERAL unnest(p.setconfig) AS e(entry)
            WHERE p.setdatabase = CASE WHEN s.here THEN v_here ELSE 0 END AND p.setrole = o.role_oid
              AND ${isSetting(sql`e.entry`, sql`s.name`, sql`s.value`)}
          )
          UNION ALL
          SELECT 2, d.datname, format('ALTER ROLE %I IN DATABASE %I RESET %I', s.role, d.datname, s.name)
          FROM pg_db_role_setting AS p
          JOIN pg_database AS d ON d.oid = p.setdatabase
          WHERE p.setrole = o.role_oid AND s.here IS NULL AND s.alone IS NULL
            AND EXISTS (
              SELECT FROM unnest(p.setconfig) AS e(entry)
              WHERE ${isAbout(sql`e.entry`, sql`s.name`)}
                AND NOT ${isSetting(sql`e.entry`, sql`s.name`, sql`s.value`)}
            )
        ) AS c(kind, database, statement)
        WHERE s.state IS NULL
        ORDER BY s.position, c.kind, c.database;
    END
  `;
}

/**
 * Whether a timeout is recorded for a role of these memberships; few roles are client roles
 *
 * A function of its own, as plans that scan the whole record would be kept while it grows.
 * @volatility stable
 * @probes
 */
export function names_client_role(memberships: Jsonb): Returns<Bool> {
  return sql`
    BEGIN
      IF NOT EXISTS (SELECT FROM rolecall_internal.resource AS p WHERE p.section = 'settings') THEN
        RETURN false;
      END IF;
      RETURN EXISTS (
        SELECT FROM jsonb_array_elements(${memberships}) AS m(membership)
        JOIN rolecall_internal.resource AS p ON ${hasTimeout(sql`(m.membership -> 'role')`)}
      );
    END
  `;
}

/**
 * The timeouts that members of client roles are missing
 *
 * The server applies the settings of a role only to sessions of that very role. A member that has a timeout of its
 * own keeps it; a member that has the client role's earlier timeout gets the new one.
 * @long one long query, and a short one that spares most calls the long one
 * @volatility stable
 * @probes
 */
export function plan_client_timeouts(document: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      IF coalesce(${document} -> 'settings' @> '[{"name": "statement_timeout"}]', false) THEN
        NULL;
      ELSIF NOT rolecall_internal.names_client_role(${document} -> 'memberships') THEN
        RETURN;
      END IF;
      RETURN QUERY
        WITH asked AS (
          SELECT s.role, s.value
          FROM jsonb_to_recordset(${document} -> 'settings') AS s(role text, name text, value text)
          WHERE s.name = 'statement_timeout'
        ),
        recorded AS (
          ${recordedTimeouts}
        ),
        client AS (
          SELECT a.role, a.value FROM asked AS a
          UNION ALL
          SELECT r.role, r.value FROM recorded AS r
          WHERE NOT EXISTS (SELECT FROM asked AS a WHERE a.role = r.role)
        ),
        member AS (
          SELECT m.role, m.member, m.position
          FROM ROWS FROM (jsonb_to_recordset(${document} -> 'memberships')
                 AS (role text, member text, state text))
               WITH ORDINALITY AS m(role, member, state, position)
          WHERE m.state IS NULL
          UNION
          SELECT a.role, p.key ->> 0, NULL
          FROM asked AS a
          JOIN rolecall_internal.resource AS p ON p.section = 'memberships' AND p.key ->> 1 = a.role
          WHERE rolecall_internal.newest_record(p.section, p.key) IS NOT NULL
        )
        SELECT DISTINCT ON (m.member)
               'set_config', m.member, format('ALTER ROLE %I SET statement_timeout = %L', m.member, c.value),
               NULL::text, ARRAY[m.member], CASE WHEN NOT o.allowed THEN '42501' END,
               CASE WHEN NOT o.allowed
                      THEN 'the timeout of a client role holds for its members only where they have it too' END
        FROM member AS m
        JOIN client AS c ON c.role = m.role
        CROSS JOIN LATERAL (
          SELECT i.role_oid, i.member_oid, r.rolsuper IS TRUE AS super,
                 i.member_oid IS NULL OR ${mayMake('set_config', sql`m.member`)} AS allowed
          FROM (
            SELECT to_regrole(quote_ident(m.role))::oid AS role_oid, to_regrole(quote_ident(m.member))::oid AS member_oid
          ) AS i
          LEFT JOIN pg_roles AS r ON r.oid = i.member_oid
        ) AS o
        CROSS JOIN LATERAL (
          SELECT ${timeoutOf('o.member_oid')} AS own, ${timeoutOf('o.role_oid')} AS former
        ) AS t
        WHERE NOT o.super AND NOT EXISTS (SELECT FROM client AS own WHERE own.role = m.member)
          AND (o.role_oid IS NOT NULL OR ${isIn(document, 'roles', sql`m.role`)})
          AND (o.member_oid IS NOT NULL OR ${isIn(document, 'roles', sql`m.member`)})
          AND (t.own IS NULL OR t.own = t.former AND t.own <> c.value)
        ORDER BY m.member, m.position;
    END
  `;
}

/**
 * The timeouts that members of client roles lose with the membership, or with the client role: each is replaced by
 * that of another client role of the member, or ends
 *
 * The memberships given are those that are to end; one without a member means all memberships in the role.
 * @volatility stable
 * @probes
 */
export function plan_left_timeouts(memberships: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      IF NOT EXISTS (
        SELECT FROM rolecall_internal.resource AS p WHERE p.section = 'settings' AND p.key ->> 1 = 'statement_timeout'
      ) THEN
        RETURN;
      END IF;
      RETURN QUERY
        WITH client AS (
          SELECT r.*, to_regrole(quote_ident(r.role))::oid AS role_oid
          FROM (
            ${recordedTimeouts}
          ) AS r
        ),
        leaving AS (
          SELECT DISTINCT c.role_oid, c.value, e.member AS member_oid, pg_get_userbyid(e.member)::text AS member
          FROM jsonb_to_recordset(${memberships}) AS m(role text, member text, state text)
          JOIN client AS c ON c.role = m.role
          JOIN pg_auth_members AS e ON e.roleid = c.role_oid
            AND (m.member IS NULL OR e.member = to_regrole(quote_ident(m.member))::oid)
          WHERE m.state = 'absent'
        )
        SELECT 'set_config', l.member,
               format('ALTER ROLE %I ', l.member)
                 || coalesce('SET statement_timeout = ' || quote_literal(o.value), 'RESET statement_timeout'),
               NULL::text, ARRAY[l.member], CASE WHEN NOT a.allowed THEN '42501' END,
               CASE WHEN NOT a.allowed THEN 'what the role had of a client role that it leaves stays' END
        FROM leaving AS l
        CROSS JOIN LATERAL (SELECT ${mayMake('set_config', sql`l.member`)}) AS a(allowed)
        LEFT JOIN LATERAL (
          SELECT min(c.value) AS value
          FROM client AS c JOIN pg_auth_members AS e ON e.roleid = c.role_oid
          WHERE e.member = l.member_oid AND NOT EXISTS (
            SELECT FROM leaving AS n WHERE n.role_oid = c.role_oid AND n.member_oid = e.member
          )
        ) AS o ON true
        WHERE EXISTS (
          SELECT FROM pg_db_role_setting AS p
          WHERE p.setrole = l.member_oid AND p.setdatabase = 0 AND 'statement_timeout=' || l.value = ANY (p.setconfig)
        )
          -- Under an older snapshot it can be a member that is gone.
          AND to_regrole(quote_ident(l.member))::oid = l.member_oid
          AND NOT EXISTS (SELECT FROM client AS own WHERE own.role = l.member)
          AND o.value IS DISTINCT FROM l.value
        ORDER BY l.member;
    END
  `;
}

/** The roles for which a timeout is recorded. */
const recordedTimeouts = sql`
  SELECT p.key ->> 0 AS role, p.resource ->> 'value' AS value
  FROM ${accepted(sql`r.section = 'settings' AND r.key ->> 1 = 'statement_timeout'`)} AS p
`;

/** Whether a timeout is recorded for a role, given as jsonb. */
export const isClientRole = (role: Sql) => sql`EXISTS (
  SELECT FROM rolecall_internal.resource AS p WHERE ${hasTimeout(role)}
)`;

const hasTimeout = (role: Sql) => sql`
  p.section = 'settings'
  AND p.key IN (jsonb_build_array(${role}, 'statement_timeout'),
                jsonb_build_array(${role}, 'statement_timeout', true))
`;

/** The settings of the role for other databases do not apply here. */
const timeoutOf = (role: string) => sql`(
  SELECT min(substr(e.entry, strpos(e.entry, '=') + 1))
  FROM pg_db_role_setting AS p CROSS JOIN unnest(p.setconfig) AS e(entry)
  WHERE p.setrole = ${raw(role)} AND p.setdatabase IN (0, ${thisDatabase}) AND starts_with(e.entry, 'statement_timeout=')
)`;
