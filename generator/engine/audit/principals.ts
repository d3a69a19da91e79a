/**
 * The roles whose privileges an audited role has, or can take.
 */
import type { Oid, Oids, PrincipalRow, Principals, SetOf, Table } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { plainOwnerToChoose } from '../catalogs/grantable.ts';
import { serverVersion } from '../catalogs/server.ts';

/**
 * The role itself, the roles whose privileges it can use, and PUBLIC
 *
 * A role has the privileges of roles that it is a member of with INHERIT, can become a role by SET ROLE if every
 * membership on the way has SET, and can grant itself a role on which it has ADMIN OPTION. Before 16 a member always
 * has SET, and INHERIT by its own attribute.
 * @volatility stable
 */
export function audit_principals(roles: Oids): SetOf<PrincipalRow> {
  return sql`
    DECLARE
      v_granted_by text := CASE
        WHEN ${serverVersion} >= 16 THEN ' GRANTED BY %3$I'
        ELSE ''
      END;
      v_next rolecall_internal.principal[];
      v_found rolecall_internal.principal[];
    BEGIN
      v_next := ARRAY(
        SELECT ROW(
                 r.oid, quote_ident(r.rolname), quote_ident(r.rolname), true, NULL, NULL, r.oid, NULL
               )::rolecall_internal.principal
        FROM pg_roles AS r WHERE r.oid = ANY (${roles})
      );
      v_found := v_next;
      WHILE cardinality(v_next) > 0 LOOP
        v_next := ARRAY(
          SELECT ROW(
                   n.roleid, quote_ident(n.name),
                   concat(n.path, ' -> ', quote_ident(n.name),
                          CASE WHEN n.inherits THEN '' WHEN n.becomes AND n.sets THEN ' (SET ROLE)'
                               ELSE ' (ADMIN OPTION)' END),
                   n.admin OR (n.becomes AND n.sets),
                   concat_ws(', ', CASE WHEN n.inherits THEN 'INHERIT' END, CASE WHEN n.sets THEN 'SET' END,
                             CASE WHEN n.admin THEN 'ADMIN' END),
                   coalesce(n.remedy, n.revoke), n.audited, NULL
                 )::rolecall_internal.principal
          FROM (
            SELECT DISTINCT ON (m.audited, m.roleid) m.*, pg_get_userbyid(m.roleid) AS name
            FROM (
              SELECT e.roleid, p.audited, p.path, p.becomes, p.remedy,
                     bool_or(o.inherit) AS inherits, bool_or(o.set) AS sets, bool_or(e.admin_option) AS admin,
                     string_agg(
                       format('REVOKE %1$I FROM %2$s' || v_granted_by,
                              pg_get_userbyid(e.roleid), p.grantee, pg_get_userbyid(e.grantor)),
                       '; ' ORDER BY e.grantor
                     ) AS revoke
              FROM unnest(v_next) AS p
              JOIN pg_auth_members AS e ON e.member = p.role_oid
              JOIN pg_roles AS r ON r.oid = e.member
              -- The two options are columns only from 16 on, so they are read by name from the row.
              CROSS JOIN LATERAL (
                SELECT coalesce((to_jsonb(e) -> 'inherit_option')::boolean, r.rolinherit),
                       coalesce((to_jsonb(e) -> 'set_option')::boolean, true)
              ) AS o(inherit, set)
              GROUP BY e.roleid, p.audited, p.path, p.becomes, p.remedy
              UNION ALL
              -- The owner of the database is a member of pg_database_owner without a row that says so.
              SELECT 'pg_database_owner'::regrole::oid, p.audited, p.path, p.becomes, p.remedy, true, false, false,
                     format('ALTER DATABASE %I OWNER TO ${plainOwnerToChoose}', d.datname)
              FROM unnest(v_next) AS p
              JOIN pg_database AS d ON d.datdba = p.role_oid AND d.datname = current_database()
            ) AS m
            WHERE (m.inherits OR m.admin OR (m.becomes AND m.sets))
              AND NOT EXISTS (
                SELECT FROM unnest(v_found) AS f
                WHERE f.audited = m.audited AND f.role_oid = m.roleid
                  AND (f.becomes OR NOT (m.admin OR (m.becomes AND m.sets)))
              )
            ORDER BY m.audited, m.roleid, m.admin OR (m.becomes AND m.sets) DESC, m.path
          ) AS n
        );
        v_found := v_found || v_next;
      END LOOP;
      v_found := ARRAY(
        SELECT DISTINCT ON (f.audited, f.role_oid) f FROM unnest(v_found) AS f
        ORDER BY f.audited, f.role_oid, f.becomes DESC
      ) || ARRAY(
        SELECT ROW(0, 'PUBLIC', f.path || ' -> PUBLIC', false, NULL, NULL, f.audited, NULL)::rolecall_internal.principal
        FROM unnest(v_found) AS f WHERE f.options IS NULL
      );
      RETURN QUERY
        SELECT f.role_oid, f.grantee, f.path, f.becomes, f.options, f.remedy, f.audited, u.usable
        FROM unnest(v_found) AS f
        JOIN rolecall_internal.audit_schemas(v_found) AS u USING (audited);
    END
  `;
}

/**
 * The schemas in which each audited role can name objects
 * @volatility stable
 */
export function audit_schemas(principals: Principals): Table<{ audited: Oid; usable: Oids }> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT p.audited, coalesce(array_agg(DISTINCT u.schema) FILTER (WHERE u.schema IS NOT NULL), '{}')
        FROM unnest(${principals}) AS p
        LEFT JOIN (
          SELECT n.oid, x.grantee FROM pg_namespace AS n
          CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS x
          WHERE x.privilege_type = 'USAGE'
          UNION ALL SELECT n.oid, n.nspowner FROM pg_namespace AS n
          UNION ALL
          SELECT n.oid, r.oid FROM pg_namespace AS n
          JOIN pg_roles AS r ON r.rolname IN ('pg_read_all_data', 'pg_write_all_data')
        ) AS u(schema, role) ON u.role = p.role_oid
        GROUP BY p.audited;
    END
  `;
}
