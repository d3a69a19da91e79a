/**
 * What others have only because a role granted it: it ends with the role, unless somebody else grants it again first.
 */
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, ChangeRow, Oid, SetOf, Table, Text } from '../../model/types.ts';
import { type Sql, sql, text } from '../../sql/template.ts';
import { batch } from '../catalogs/grantable.ts';
import { serverVersion } from '../catalogs/server.ts';

/**
 * The grants that give others again what they have from a role that is removed. A grant that is not asked for, or that the
 * caller cannot make, is skipped: it says what somebody loses
 * @volatility stable
 */
export function plan_regrants(role_oid: Oid, regrants: Bool): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_role text := pg_get_userbyid(${role_oid});
    BEGIN
      RETURN QUERY
        SELECT g.operation, g.target, g.statement, NULL::text,
               CASE WHEN g.granted IS NULL THEN ARRAY[v_role] ELSE ARRAY[g.target, g.granted] END,
               CASE WHEN NOT k.keeps THEN ${text(sqlstates.dependent_objects_still_exist)} END,
               CASE WHEN k.keeps THEN format('"%s" granted it', v_role)
                    ELSE format('this ends with what role "%s" granted%s', v_role, CASE
                      WHEN ${regrants} THEN ', and the caller cannot grant it'
                      ELSE '; with reassign_to it is granted again' END) END
        FROM (
          SELECT m.*, true AS is_direct FROM rolecall_internal.given_memberships(${role_oid}) AS m
          UNION ALL
          SELECT 'grant_privilege', p.target, p.statement, NULL, p.may, p.is_direct
          FROM rolecall_internal.given_privileges(${role_oid}) AS p
        ) AS g
        CROSS JOIN LATERAL (SELECT ${regrants} AND g.may) AS k(keeps)
        -- What was granted on is kept with what it was granted from.
        WHERE g.is_direct OR NOT k.keeps
        ORDER BY g.operation DESC, g.statement COLLATE "C";
    END
  `;
}

/**
 * The memberships that members have only from one grantor, as the statements that grant them, and whether the caller may
 *
 * Before PostgreSQL 16 a membership does not depend on who granted it.
 * @volatility stable
 * @probes
 */
export function given_memberships(
  role_oid: Oid,
): Table<{ operation: Text; target: Text; statement: Text; granted: Text; may: Bool }> {
  return sql`
    DECLARE
      v_caller record;
    BEGIN
      IF ${serverVersion} < 16 THEN
        RETURN;
      END IF;
      SELECT r.oid, r.rolsuper INTO v_caller FROM pg_roles AS r WHERE r.rolname = current_user;
      RETURN QUERY
        SELECT 'grant_role', m.member,
               format('GRANT %I TO %I WITH %sINHERIT %s, SET %s%s', m.granted, m.member,
                      CASE WHEN e.admin_option AND NOT o.admin THEN 'ADMIN OPTION, ' END,
                      upper(n.inherit::text COLLATE "C"), upper(n.set::text COLLATE "C"),
                      -- As for any other grant: see plan_memberships().
                      CASE WHEN o.is_creator AND v_caller.rolsuper THEN ' GRANTED BY ' || quote_ident(m.member) END),
               m.granted,
               v_caller.rolsuper OR EXISTS (
                 SELECT FROM pg_auth_members AS a
                 WHERE a.member = v_caller.oid AND a.roleid = e.roleid AND a.admin_option AND a.grantor <> e.grantor
               )
        FROM pg_auth_members AS e
        CROSS JOIN LATERAL (
          SELECT pg_get_userbyid(e.member)::text, pg_get_userbyid(e.roleid)::text, to_jsonb(e)
        ) AS m(member, granted, edge)
        CROSS JOIN LATERAL (
          SELECT count(*) > 0, coalesce(bool_or(x.admin_option), false),
                 coalesce(bool_or((to_jsonb(x) -> 'inherit_option')::boolean), false),
                 coalesce(bool_or((to_jsonb(x) -> 'set_option')::boolean), false),
                 coalesce(bool_or(rolecall_internal.is_creator_edge(to_jsonb(x))), false)
          FROM pg_auth_members AS x
          WHERE x.member = e.member AND x.roleid = e.roleid AND x.grantor <> e.grantor
        ) AS o(present, admin, inherit, set, is_creator)
        CROSS JOIN LATERAL (
          SELECT o.inherit OR (m.edge -> 'inherit_option')::boolean, o.set OR (m.edge -> 'set_option')::boolean
        ) AS n(inherit, set)
        WHERE e.grantor = ${role_oid} AND ${role_oid} NOT IN (e.member, e.roleid)
          AND NOT (o.present AND (o.admin OR NOT e.admin_option) AND n.inherit = o.inherit AND n.set = o.set);
    END
  `;
}

/** Whether two entries are about the same privilege; a grant option for a table is also one for its columns. */
const covers = (wide: Sql, narrow: Sql) => sql`
  ${wide}.classid = ${narrow}.classid AND ${wide}.objid = ${narrow}.objid AND ${wide}.privilege = ${narrow}.privilege
  AND ${wide}.objsubid IN (0, ${narrow}.objsubid)
`;

/**
 * The privileges that others have only from a role, or from whom it granted them to, as the statements that grant them,
 * and whether the caller may
 * @volatility stable
 */
export function given_privileges(role_oid: Oid): Table<{ target: Text; statement: Text; may: Bool; is_direct: Bool }> {
  return sql`
    DECLARE
      v_caller record;
    BEGIN
      SELECT r.oid, r.rolsuper INTO v_caller FROM pg_roles AS r WHERE r.rolname = current_user;
      RETURN QUERY
        WITH RECURSIVE entry AS MATERIALIZED (
          SELECT e.* FROM rolecall_internal.acl_entries(${role_oid}) AS e
        ),
        -- Who can grant what, beside the role and those who can through it.
        holder AS (
          SELECT e.classid, e.objid, 0 AS objsubid, e.privilege, e.owner AS role_oid FROM entry AS e
          UNION
          SELECT e.classid, e.objid, e.objsubid, e.privilege, e.grantee
          FROM holder AS h
          JOIN entry AS e ON ${covers(sql`h`, sql`e`)} AND e.grantor = h.role_oid
          WHERE e.is_grantable AND e.grantee <> ${role_oid}
        ),
        judged AS (
          SELECT e.*, EXISTS (
                   SELECT FROM holder AS h
                   WHERE h.role_oid = e.grantor
                     AND ${covers(sql`h`, sql`e`)}
                 ) AS stays
          FROM entry AS e WHERE e.grantee <> ${role_oid}
        ),
        lost AS (
          SELECT j.kind, j.object, j.grantee, concat(j.privilege, ' (' || j.part || ')') AS privilege,
                 bool_or(j.is_grantable) AS is_grantable, bool_or(j.grantor = ${role_oid}) AS is_direct,
                 -- A member of the owner may be taken for the role itself, whose rights it needs too.
                 bool_or(v_caller.rolsuper OR v_caller.oid = j.owner OR EXISTS (
                   SELECT FROM entry AS e
                   WHERE ${covers(sql`e`, sql`j`)} AND e.grantor = e.owner AND e.grantee = v_caller.oid
                     AND e.is_grantable
                 )) AS may
          FROM judged AS j
          WHERE NOT j.stays AND NOT EXISTS (
            SELECT FROM judged AS k
            WHERE k.stays AND ${covers(sql`k`, sql`j`)} AND k.grantee = j.grantee AND k.is_grantable >= j.is_grantable
          )
          GROUP BY j.kind, j.object, j.grantee, j.objsubid, j.privilege, j.part
        ),
        by_object AS (
          SELECT l.kind, l.object, l.grantee, l.is_grantable, l.is_direct, l.may,
                 string_agg(l.privilege, ', ' ORDER BY l.privilege) AS privileges
          FROM lost AS l GROUP BY 1, 2, 3, 4, 5, 6
        ),
        batched AS (
          SELECT b.*, (row_number() OVER (
                   PARTITION BY b.kind, b.privileges, b.grantee, b.is_grantable, b.is_direct, b.may ORDER BY b.object
                 ) - 1) / ${batch} AS part
          FROM by_object AS b
        )
        SELECT CASE b.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(b.grantee)::text END,
               format('GRANT %s ON %s %s TO %s%s', b.privileges, b.kind, string_agg(b.object, ', ' ORDER BY b.object),
                      CASE b.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(b.grantee)) END,
                      CASE WHEN b.is_grantable THEN ' WITH GRANT OPTION' END),
               b.may, b.is_direct
        FROM batched AS b
        GROUP BY b.kind, b.privileges, b.grantee, b.is_grantable, b.is_direct, b.may, b.part;
    END
  `;
}
