/**
 * Privileges that others have only because a role granted them. They end with those of the role, unless somebody else
 * grants them again first.
 */
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, ChangeRow, Jsonb, Oids, Returns, SetOf, Table, Text } from '../../model/types.ts';
import { type Sql, sql, text } from '../../sql/template.ts';
import { batch } from '../catalogs/grantable.ts';
import { caller } from '../catalogs/server.ts';

/** Whether two entries are about the same privilege; a grant option on a table is also one on its columns. */
const covers = (wide: Sql, narrow: Sql) => sql`
  ${wide}.classid = ${narrow}.classid AND ${wide}.objid = ${narrow}.objid AND ${wide}.privilege = ${narrow}.privilege
  AND ${wide}.objsubid IN (0, ${narrow}.objsubid)
`;

/**
 * The privileges that others have only from roles, directly or through others, as the statements that grant them, and
 * whether the caller may run these; cause: one of the roles
 *
 * Either all privileges of the roles end, or those in the list: an entry of it is a privilege, or only its grant
 * option. A privilege on a table ends on its columns too.
 * @volatility stable
 * @long who keeps what, and who loses it, are found from one reading of the ACLs
 */
export function given_privileges(
  roles: Oids,
  ended: Jsonb | null,
): Table<{ target: Text; statement: Text; may: Bool; is_direct: Bool; cause: Text }> {
  return sql`
    DECLARE
      v_caller record;
    BEGIN
      SELECT r.oid, r.rolsuper INTO v_caller FROM pg_roles AS r WHERE r.rolname = current_user;
      RETURN QUERY
        WITH RECURSIVE entry AS MATERIALIZED (
          SELECT DISTINCT ON (e.classid, e.objid, e.objsubid, e.grantor, e.grantee, e.privilege)
                 e.*, coalesce(w.ends OR NOT x.option, false) AS ends,
                 e.is_grantable AND NOT w.ends AND x.option IS NULL AS passes_on
          FROM unnest(${roles}) AS r(oid)
          CROSS JOIN LATERAL rolecall_internal.acl_entries(r.oid) AS e
          LEFT JOIN jsonb_to_recordset(${ended})
            AS x(kind text, objid oid, objsubid integer, role oid, grantor oid, privilege text, option boolean)
            ON x.kind = e.kind AND x.objid = e.objid AND x.objsubid IN (0, e.objsubid) AND x.role = e.grantee
              AND x.grantor = e.grantor AND x.privilege = e.privilege
          CROSS JOIN LATERAL (
            SELECT ${ended} IS NULL AND e.grantee = ANY (${roles})
          ) AS w(ends)
          ORDER BY e.classid, e.objid, e.objsubid, e.grantor, e.grantee, e.privilege, x.option
        ),
        -- Who can grant what, other than the roles and those who can only through them.
        holder AS (
          SELECT e.classid, e.objid, 0 AS objsubid, e.privilege, e.owner AS role_oid FROM entry AS e
          UNION
          SELECT e.classid, e.objid, e.objsubid, e.privilege, e.grantee
          FROM holder AS h
          JOIN entry AS e ON ${covers(sql`h`, sql`e`)} AND e.grantor = h.role_oid
          WHERE e.passes_on
        ),
        judged AS (
          SELECT e.*, EXISTS (
                   SELECT FROM holder AS h
                   WHERE h.role_oid = e.grantor
                     AND ${covers(sql`h`, sql`e`)}
                 ) AS stays
          FROM entry AS e WHERE NOT e.ends
        ),
        lost AS (
          SELECT j.kind, j.object, j.grantee, concat(j.privilege, ' (' || j.part || ')') AS privilege,
                 bool_or(j.is_grantable) AS is_grantable, bool_or(j.grantor = ANY (${roles})) AS is_direct,
                 min(pg_get_userbyid(j.grantor)::text) AS cause,
                 bool_or(v_caller.rolsuper OR v_caller.oid = j.owner OR EXISTS (
                   SELECT FROM entry AS e
                   WHERE ${covers(sql`e`, sql`j`)} AND e.grantor = e.owner AND e.grantee = v_caller.oid
                     AND e.is_grantable
                 )
                 -- In place of the owner, the server may choose as the grantor another role with the grant option
                 -- whose rights the caller has, such as the one that is to be dropped.
                 OR ${ended} IS NOT NULL AND pg_has_role(j.owner, 'USAGE') AND NOT EXISTS (
                   SELECT FROM entry AS e
                   WHERE ${covers(sql`e`, sql`j`)} AND e.is_grantable AND e.grantee <> e.owner
                     AND pg_has_role(e.grantee, 'USAGE')
                 )) AS may
          FROM judged AS j
          WHERE NOT j.stays AND NOT EXISTS (
            SELECT FROM judged AS k
            WHERE k.stays AND ${covers(sql`k`, sql`j`)} AND k.grantee = j.grantee AND k.is_grantable >= j.is_grantable
          )
          GROUP BY j.kind, j.object, j.grantee, j.objsubid, j.privilege, j.part
        ),
        by_object AS (
          SELECT l.kind, l.object, l.grantee, l.is_grantable, l.is_direct, l.may, min(l.cause) AS cause,
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
               b.may, b.is_direct, min(b.cause)
        FROM batched AS b
        GROUP BY b.kind, b.privileges, b.grantee, b.is_grantable, b.is_direct, b.may, b.part;
    END
  `;
}

/**
 * The changes that grant others again what they would lose with privileges that are revoked; what the caller cannot
 * grant is skipped
 * @volatility stable
 */
export function plan_kept(ended: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      IF ${ended} IS NULL THEN
        RETURN;
      END IF;
      RETURN QUERY
        SELECT 'grant_privilege', g.target, g.statement, NULL::text, array_remove(ARRAY[g.target], 'public'),
               CASE WHEN NOT g.may THEN ${text(sqlstates.dependent_objects_still_exist)} END,
               CASE WHEN g.may THEN format('"%s" granted it', g.cause)
                    ELSE format('this ends with what role "%s" granted, and the caller cannot grant it', g.cause) END
        FROM rolecall_internal.given_privileges(ARRAY(
          SELECT DISTINCT x.role FROM jsonb_to_recordset(${ended}) AS x(role oid)
        ), ${ended}) AS g
        WHERE g.is_direct OR NOT g.may
        ORDER BY g.statement COLLATE "C";
    END
  `;
}

/**
 * Whether a REVOKE of the caller revokes what a grantor granted: the owner, if the caller has the owner's rights,
 * otherwise the caller itself.
 */
export const isRevocable = (grantor: Sql, owner: Sql): Sql => sql`
  ${grantor} = CASE WHEN pg_has_role(${owner}, 'USAGE') THEN ${owner}
    ELSE ${caller} END
`;

/**
 * The grant options that roles have and that can be revoked, in the form of plan_kept(); null where there are none
 * @volatility stable
 */
export function ended_options(roles: Oids): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT jsonb_agg(DISTINCT jsonb_build_object(
                 'kind', e.kind, 'objid', e.objid::bigint, 'objsubid', e.objsubid, 'role', e.grantee::bigint,
                 'grantor', e.grantor::bigint, 'privilege', e.privilege, 'option', true
               ))
        FROM unnest(${roles}) AS r(oid)
        CROSS JOIN LATERAL rolecall_internal.acl_entries(r.oid) AS e
        WHERE e.grantee = r.oid AND e.is_grantable
          AND ${isRevocable(sql`e.grantor`, sql`e.owner`)}
      );
    END
  `;
}
