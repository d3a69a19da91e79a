/**
 * What others have only because a role granted it. It ends with the role, unless somebody else grants it again first.
 */
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, ChangeRow, Changes, Jsonb, Oid, Returns, SetOf, Table, Text } from '../../model/types.ts';
import { sql, text } from '../../sql/template.ts';
import { serverVersion } from '../catalogs/server.ts';

/**
 * The changes that grant others again what they have from a role that is removed. A grant that was not asked for, or
 * that the caller cannot make, is skipped, and says what somebody loses
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
          FROM rolecall_internal.given_privileges(ARRAY[${role_oid}], NULL) AS p
        ) AS g
        CROSS JOIN LATERAL (SELECT ${regrants} AND g.may) AS k(keeps)
        -- A privilege that was granted to others is kept with the one from which it was granted.
        WHERE g.is_direct OR NOT k.keeps
        ORDER BY g.operation DESC, g.statement COLLATE "C";
    END
  `;
}

/**
 * The memberships that members have only from one grantor, as the statements that grant them, and whether the caller
 * may run these
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

/**
 * The changes of reporting roles, and before them the grants that give others again what ends with the revocations
 *
 * A reporting role grants nothing to others: whatever else is revoked from it, every grant option is.
 * @volatility stable
 */
export function keep_others(resources: Jsonb, changes: Changes): Returns<Changes> {
  return sql`
    DECLARE
      v_roles oid[];
    BEGIN
      IF NOT EXISTS (
        SELECT FROM unnest(${changes}) AS c WHERE c.operation = 'revoke_privilege' AND c.sqlstate IS NULL
      ) THEN
        RETURN ${changes};
      END IF;
      v_roles := ARRAY(
        SELECT DISTINCT o.oid
        FROM jsonb_to_recordset(${resources}) AS r(role text)
        CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(r.role))::oid) AS o(oid)
        WHERE o.oid IS NOT NULL
      );
      RETURN ARRAY(
        SELECT k FROM rolecall_internal.plan_kept(rolecall_internal.ended_options(v_roles)) AS k
        -- What one reporting role has from another one is planned with the rest of its access.
        WHERE to_regrole(quote_ident(k.target))::oid IS NULL
          OR to_regrole(quote_ident(k.target))::oid <> ALL (v_roles)
      ) || ${changes};
    END
  `;
}
