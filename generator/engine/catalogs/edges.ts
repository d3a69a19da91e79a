/**
 * The membership that a role has because it created the other one.
 */
import type { Bool, Jsonb, Returns } from '../../model/types.ts';
import { raw, type Sql, sql } from '../../sql/template.ts';

/**
 * Whether a role has ADMIN OPTION only because it created the other role: such a membership is never reported or
 * revoked
 * @volatility immutable
 */
export function is_creator_edge(edge: Jsonb): Returns<Bool> {
  return sql`
    BEGIN
      -- PostgreSQL 16 and newer record it as granted by the bootstrap superuser, whose oid is 10. Older servers have
      -- no such options, and no such membership.
      RETURN coalesce(
        ${edge} ->> 'grantor' = '10'
          AND (${edge} -> 'admin_option')::boolean
          AND NOT (${edge} -> 'inherit_option')::boolean
          AND NOT (${edge} -> 'set_option')::boolean,
        false
      );
    END
  `;
}

/** Whether a member of a role can become a superuser. */
export const leadsToSuperuser = (role: Sql) => sql`EXISTS (
  SELECT FROM pg_roles AS s WHERE s.rolsuper AND pg_has_role(${role}, s.oid, 'MEMBER')
)`;

/** Whether a role, g, has a power that another role does not have: an attribute, or membership in a predefined role. */
export const hasPowerBeyond = (role: Sql, than?: Sql) => {
  const has = (attribute: string) =>
    than === undefined
      ? sql`${role}.${raw(attribute)}`
      : sql`${role}.${raw(attribute)} AND NOT ${than}.${raw(attribute)}`;
  return sql`
    ${role}.rolsuper OR ${has('rolcreaterole')}
    OR ${has('rolcreatedb')} OR ${has('rolreplication')}
    OR ${has('rolbypassrls')} OR starts_with(${role}.rolname, 'pg_')
  `;
};

/**
 * The attributes that not every role with CREATEROLE can give and revoke, each with the condition for a role that
 * cannot. From 16 on the role must have the attribute itself; before, CREATEROLE is enough for CREATEDB alone.
 */
export const ungivable = (role: Sql, isFrom16: Sql) => [
  { attribute: 'replication', condition: sql`NOT (${isFrom16} AND ${role}.rolreplication)` },
  { attribute: 'bypassrls', condition: sql`NOT (${isFrom16} AND ${role}.rolbypassrls)` },
  { attribute: 'createdb', condition: sql`${isFrom16} AND NOT ${role}.rolcreatedb` },
];

/** The statement that ends a membership, of which the name of the member is given, and the row as jsonb. */
export const ending = (membership: Sql, member: Sql, row: Sql) => sql`
  format('REVOKE %I FROM %I%s', pg_get_userbyid(${membership}.roleid), ${member},
         -- From 16 on what somebody has granted on keeps the membership from being revoked.
         CASE WHEN ${row} ? 'set_option' THEN format(
           CASE WHEN EXISTS (
             SELECT FROM pg_auth_members AS d WHERE d.roleid = ${membership}.roleid AND d.grantor = ${membership}.member
           ) THEN ' GRANTED BY %I CASCADE' ELSE ' GRANTED BY %I' END,
           pg_get_userbyid(${membership}.grantor)
         ) END)
`;

/**
 * The roles that do not have a power but could take it from the role that gets it, by membership, SET ROLE or ADMIN
 * OPTION: their names, and the statements that end this. Both are null where there is no such role.
 *
 * A member that is to have the power is left out, but roles that could take it from that member are not. From
 * PostgreSQL 16 on the role that creates another one has ADMIN OPTION on it. The caller counts as having the power,
 * because it can give no more than it has; so does a role that can become a superuser.
 */
export const takers = (role: Sql, hasPower: (member: Sql) => Sql, isToHaveIt = (_membership: Sql) => sql`false`) => sql`
  WITH RECURSIVE taker(member, is_to_have_it, roleid, grantor, name, edge) AS (
    SELECT ${role}, true, NULL::oid, NULL::oid, NULL::name, NULL::jsonb
    UNION
    SELECT m.member, ${isToHaveIt(sql`m`)},
           m.roleid, m.grantor, r.rolname, e.edge
    FROM taker AS t
    JOIN pg_auth_members AS m ON m.roleid = t.member
    JOIN pg_roles AS r ON r.oid = m.member
    CROSS JOIN LATERAL (SELECT to_jsonb(m)) AS e(edge)
    WHERE t.is_to_have_it AND NOT ${leadsToSuperuser(sql`r.oid`)} AND r.rolname <> current_user
      AND (m.admin_option OR e.edge @> '{"inherit_option": true}' OR e.edge @> '{"set_option": true}'
           OR NOT e.edge ? 'set_option')
      AND NOT ${hasPower(sql`r`)}
  )
  SELECT string_agg(DISTINCT format('"%s"', t.name), ', ') AS names,
         string_agg(
           ${ending(sql`t`, sql`t.name`, sql`t.edge`)},
           '; ' ORDER BY (t.edge ->> 'oid')::oid DESC, t.name
         ) AS revokes
  FROM taker AS t WHERE NOT t.is_to_have_it
`;

/** Whether the catalogs say that the caller has ADMIN OPTION on a role. */
export const isAdministered = (role: Sql) => sql`EXISTS (
  SELECT FROM pg_auth_members AS m
  WHERE m.roleid = ${role} AND m.admin_option AND pg_has_role(m.member, 'MEMBER')
)`;
