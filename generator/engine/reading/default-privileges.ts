/**
 * Differences in the default privileges that make future tables readable.
 */
import type { Bool, ChangeRow, Places, Returns, SetOf, TableGroups } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { readers, recorderMay } from './tables.ts';

/** The owners whose future tables the role of each place is to read. */
const owners = (places: Places, groups: TableGroups) => sql`
  SELECT p.position, o.name AS owner, to_regrole(quote_ident(o.name))::oid AS owner_oid, p.recorder
  FROM unnest(${places}) AS p
  CROSS JOIN LATERAL unnest(p.owners) AS o(name)
  UNION
  SELECT p.position, pg_get_userbyid(g.owner)::text, g.owner, p.recorder
  FROM unnest(${places}) AS p
  JOIN unnest(${groups}) AS g ON g.schema = p.schema_oid AND g.kind <> 'S'
  WHERE p.every_owner
`;

/** The default privileges of the roles that are to read. */
const present = (places: Places) => sql`
  SELECT t.position, t.role, d.defaclrole, d.defaclnamespace, d.defaclobjtype, x.privilege_type, x.is_grantable,
         d.defaclobjtype IN ('r', 'S') AND x.privilege_type = 'SELECT'
           AND EXISTS (
             SELECT FROM unnest(${places}) AS p
             WHERE p.position = t.position AND p.schema_oid = d.defaclnamespace
           ) AS wanted
  FROM pg_default_acl AS d
  CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
  JOIN (
    ${readers(places)}
  ) AS t ON t.role_oid = x.grantee
`;

const kinds = sql`(VALUES ('r'::"char", 'TABLES'), ('S', 'SEQUENCES')) AS k(type, name)`;

/**
 * Whether any default privileges are missing, or must not be there; usually neither is so, and this takes less than
 * to find out which
 * @volatility stable
 */
export function future_differs(places: Places, groups: TableGroups): Returns<Bool> {
  return sql`
    BEGIN
      RETURN (
        WITH present AS MATERIALIZED (
          ${present(places)}
        )
        SELECT EXISTS (SELECT FROM present AS d WHERE NOT d.wanted OR d.is_grantable) OR EXISTS (
          SELECT FROM unnest(${places}) AS p
          JOIN (
            ${owners(places, groups)}
          ) AS o USING (position)
          CROSS JOIN ${kinds}
          WHERE o.owner <> p.role
            AND (p.position, coalesce(o.owner_oid, 0), coalesce(p.schema_oid, 0), k.type) NOT IN (
              SELECT d.position, d.defaclrole, d.defaclnamespace, d.defaclobjtype FROM present AS d WHERE d.wanted
            )
        )
      );
    END
  `;
}

/**
 * Default privileges that are missing for future tables, and those that the role must not have
 * @volatility stable
 */
export function plan_default_privileges(places: Places, groups: TableGroups): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH named AS (
          ${owners(places, groups)}
        ),
        owner AS (
          SELECT n.*, pg_has_role(n.owner_oid, 'USAGE') AND ${recorderMay(
            sql`n.recorder`,
            (role) => sql`pg_has_role(${role}, n.owner_oid, 'USAGE')`,
          )} AS may
          FROM named AS n
        ),
        present AS (
          ${present(places)}
        ),
        change AS (
          SELECT p.position, 1 AS phase, p.role, o.owner, o.owner_oid, o.may, o.recorder,
                 format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %s GRANT SELECT ON %s TO %I', o.owner,
                        string_agg(quote_ident(p.schema), ', ' ORDER BY p.place), k.name, p.role) AS statement
          FROM unnest(${places}) AS p
          JOIN owner AS o USING (position)
          CROSS JOIN ${kinds}
          WHERE o.owner <> p.role
            AND NOT EXISTS (
              SELECT FROM present AS d
              WHERE d.wanted AND d.position = p.position AND d.defaclrole = o.owner_oid
                AND d.defaclnamespace = p.schema_oid AND d.defaclobjtype = k.type
            )
            -- SELECT that PUBLIC will have does not count as missing if the caller cannot grant it.
            AND (o.may IS NOT FALSE OR NOT EXISTS (
              SELECT FROM pg_default_acl AS d CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
              WHERE d.defaclrole = o.owner_oid AND d.defaclnamespace IN (0, p.schema_oid) AND d.defaclobjtype = k.type
                AND x.grantee = 0 AND x.privilege_type = 'SELECT'
            ))
          GROUP BY p.position, p.role, o.owner, o.owner_oid, o.may, o.recorder, k.name
          UNION ALL
          SELECT d.position, 2, d.role, pg_get_userbyid(d.defaclrole), d.defaclrole,
                 pg_has_role(d.defaclrole, 'USAGE'), NULL,
                 format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE %s ON %s FROM %I CASCADE',
                        pg_get_userbyid(d.defaclrole), ' IN SCHEMA ' || quote_ident(n.nspname),
                        concat(CASE WHEN d.wanted THEN 'GRANT OPTION FOR ' END, d.privilege_type),
                        CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                             WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END, d.role)
          FROM present AS d
          LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
          WHERE NOT d.wanted OR d.is_grantable
        )
        SELECT 'default_privilege', c.role, c.statement, NULL::text, ARRAY[c.role],
               CASE WHEN c.owner_oid IS NULL THEN '42704' WHEN NOT c.may THEN '42501' END,
               CASE WHEN c.owner_oid IS NULL THEN format('role "%s" does not exist', c.owner)
                    WHEN NOT c.may
                      THEN format('requires membership in %I, which creates the tables', c.owner)
                           || coalesce('; recorded by ' || quote_ident(c.recorder), '') END
        FROM change AS c
        ORDER BY c.position, c.phase, c.statement;
    END
  `;
}
