/**
 * The findings of audit_role() about others: who can become the role, and who can make it call their code.
 */
import type { Bool, FindingRow, Jsonb, Oid, Returns, SetOf, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { databaseOwner, mayCreate } from '../catalogs/grantable.ts';
import { isAskedFor } from '../record/newest.ts';
import { serverVersion } from '../catalogs/server.ts';
import { isOperator } from '../plan/operators.ts';

/**
 * Whether others could want to become a role: it is a reporting role, bypasses row-level security, or reads the secrets
 * @volatility stable
 */
export function is_worth_taking(role_oid: Oid, definition: Jsonb): Returns<Bool> {
  return sql`
    BEGIN
      -- In WHERE the server would check the privileges of every role before the oid.
      RETURN coalesce((
        SELECT r.rolbypassrls OR ${definition} IS NOT NULL
               OR ${isOperator(sql`r.oid`)}
        FROM pg_roles AS r WHERE r.oid = ${role_oid} AND NOT r.rolsuper
      ), false);
    END
  `;
}

/**
 * The roles that can become a reporting role, an administrator or an operator, through any chain of memberships, or
 * have ADMIN OPTION on it; for other roles that calls of this database have asked for, those that can become a user,
 * or have ADMIN OPTION on a group
 *
 * Before PostgreSQL 16 that includes every role that may create roles, for roles that others could want to become.
 * @volatility stable
 */
export function audit_takers(role_name: Text, role_oid: Oid, definition: Jsonb): SetOf<FindingRow> {
  return sql`
    DECLARE
      v_user boolean := (SELECT r.rolcanlogin FROM pg_roles AS r WHERE r.oid = ${role_oid} LIMIT 1);
      v_all boolean := rolecall_internal.is_worth_taking(${role_oid}, ${definition});
    BEGIN
      IF NOT v_all
        AND rolecall_internal.newest_record('roles', jsonb_build_array(${role_name})) IS NULL
      THEN
        RETURN;
      END IF;
      IF EXISTS (SELECT FROM pg_auth_members AS m WHERE m.roleid = ${role_oid}) THEN
        RETURN QUERY
          WITH RECURSIVE taker(member, way, severity, name, administers, remedy, path) AS (
            SELECT ${role_oid}, quote_ident(${role_name}) COLLATE "C", NULL, NULL::name, NULL::boolean,
                   NULL::text COLLATE "C", NULL::text COLLATE "C"
            UNION
            SELECT m.member, t.way || ' -> ' || quote_ident(r.rolname),
                   CASE WHEN ${isAskedFor(sql`m`)} THEN 'info' ELSE 'warning' END, r.rolname, m.admin_option,
                   format('REVOKE %I FROM %I%s%s', pg_get_userbyid(m.roleid), r.rolname,
                          CASE WHEN e.edge ? 'set_option' THEN format(' GRANTED BY %I', pg_get_userbyid(m.grantor)) END,
                          CASE WHEN m.admin_option THEN ' CASCADE' END),
                   t.way || ' -> member'
            FROM taker AS t
            JOIN pg_auth_members AS m ON m.roleid = t.member
            JOIN pg_roles AS r ON r.oid = m.member
            CROSS JOIN LATERAL (SELECT to_jsonb(m)) AS e(edge)
            WHERE NOT r.rolsuper
              AND (m.admin_option OR NOT e.edge ? 'set_option'
                   OR e.edge @> '{"inherit_option": true}' OR e.edge @> '{"set_option": true}')
              AND (v_all OR m.roleid <> ${role_oid} OR m.admin_option OR v_user)
          )
          SELECT t.severity, t.path, quote_ident(t.name),
                 CASE WHEN t.administers THEN 'administers the role, and so can become it and let others into it'
                      ELSE 'has what the role has, or can become it' END,
                 t.remedy
          FROM taker AS t WHERE t.name IS NOT NULL;
      END IF;
      IF v_all AND ${serverVersion} < 16 THEN
        RETURN QUERY
          SELECT 'warning', quote_ident(${role_name}) || ' -> CREATEROLE',
                 string_agg(quote_ident(r.rolname), ', ' ORDER BY r.rolname),
                 'can make itself a member: before PostgreSQL 16 CREATEROLE is enough for that',
                 string_agg(format('ALTER ROLE %I NOCREATEROLE', r.rolname), '; ' ORDER BY r.rolname)
          FROM pg_roles AS r
          WHERE r.rolcreaterole AND NOT r.rolsuper AND r.oid <> ${role_oid}
          HAVING count(*) > 0;
      END IF;
    END
  `;
}

/**
 * The roles that own a schema that a reporting role searches, or may create objects in it, and so can make it call
 * their code
 *
 * The remedy for an owner leaves the schema out of the search_path; queries then have to name its tables with the
 * schema.
 * @volatility stable
 */
export function audit_search_path(role_name: Text, role_oid: Oid, definition: Jsonb): SetOf<FindingRow> {
  return sql`
    DECLARE
      v_owner oid := ${databaseOwner};
    BEGIN
      RETURN QUERY
        WITH path AS MATERIALIZED (
          SELECT (parse_ident(n.name))[1] AS name, min(i.position) AS position
          FROM pg_db_role_setting AS s
          CROSS JOIN LATERAL unnest(s.setconfig) AS e(entry)
          CROSS JOIN LATERAL regexp_matches(substr(e.entry, length('search_path=') + 1), '"(?:[^"]|"")+"|[^", ]+', 'g')
            WITH ORDINALITY AS i(parts, position)
          CROSS JOIN LATERAL (SELECT i.parts[1]) AS n(name)
          WHERE s.setrole = ${role_oid} AND starts_with(e.entry, 'search_path=')
          GROUP BY 1
        )
        SELECT 'warning', quote_ident(${role_name}) || ' -> search_path', quote_ident(n.nspname),
               format('%s %s, and so can have the role call code of its own', coalesce(quote_ident(r.rolname), 'PUBLIC'),
                      CASE WHEN c.owns THEN 'owns this schema' ELSE 'may create objects in this schema' END),
               CASE
                 WHEN c.owns THEN format(
                   'SELECT * FROM rolecall.provision_reporting_role(%L, %L, search_path => %L)',
                   ${role_name},
                   ARRAY(SELECT jsonb_array_elements_text(${definition} -> 'schemas')),
                   ARRAY(SELECT p.name FROM path AS p WHERE p.name <> n.nspname ORDER BY p.position)
                 )
                 ELSE format(
                   CASE WHEN c.grantor = n.nspowner THEN '%2$s' ELSE 'SET ROLE %1$I; %2$s; RESET ROLE' END,
                   pg_get_userbyid(c.grantor),
                   format('REVOKE CREATE ON SCHEMA %I FROM %s', n.nspname,
                          CASE WHEN c.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(c.grantee)) END)
                 )
               END
        FROM path AS s
        JOIN pg_namespace AS n ON n.nspname = s.name
        CROSS JOIN LATERAL (
          ${mayCreate(sql`n`, sql`v_owner`)}
        ) AS c
        LEFT JOIN pg_roles AS r ON r.oid = c.role_oid
        WHERE c.grantee = 0 OR (NOT r.rolsuper AND r.oid <> ${role_oid});
    END
  `;
}
