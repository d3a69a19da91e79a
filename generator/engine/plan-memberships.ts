/**
 * What differs about memberships. PostgreSQL 16 and newer keep one row per grantor, with INHERIT and SET options;
 * older servers one row, which inherits as the member's own attribute says.
 */
import type { ChangeRow, Integer, Jsonb, Returns, SetOf } from '../model/types.ts';
import { sql, text, type Sql } from '../sql/template.ts';

/**
 * The major version of the server
 * @volatility stable
 */
export function _server_version(): Returns<Integer> {
  return sql`
    BEGIN
      RETURN current_setting('server_version_num')::integer / 10000;
    END
  `;
}

/**
 * Memberships to revoke, then memberships to grant
 * @volatility stable
 * @probes
 */
export function _plan_memberships(document: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_by_grantor boolean := current_setting('server_version_num')::integer >= 160000;
    BEGIN
      IF NOT v_by_grantor
         AND jsonb_path_exists(${document}, '$.memberships[*] ? (@.inherit != null || @.set != null)') THEN
        RAISE EXCEPTION USING
          ERRCODE = 'feature_not_supported',
          MESSAGE = 'the INHERIT and SET options of a membership need PostgreSQL 16 or newer';
      END IF;
      RETURN QUERY
        SELECT c.operation, w.member, c.statement, NULL::text,
               -- From 16 the statement itself locks the granted role too: take both in the one order.
               CASE WHEN v_by_grantor THEN ARRAY[w.member, c.role] ELSE ARRAY[w.member] END, NULL::text, NULL::text
        FROM ROWS FROM (jsonb_to_recordset(${document} -> 'memberships')
               AS (role text, member text, admin boolean, inherit boolean, set boolean, state text))
             WITH ORDINALITY AS w(role, member, admin, inherit, set, state, position)
        CROSS JOIN LATERAL (
          SELECT to_regrole(quote_ident(w.role))::oid, to_regrole(quote_ident(w.member))::oid OFFSET 0
        ) AS o(role_oid, member_oid)
        CROSS JOIN LATERAL (
          ${revoked}
          UNION ALL
          ${granted}
        ) AS c(phase, operation, role, grantor, statement)
        ORDER BY c.phase, w.position, c.grantor, c.statement;
    END
  `;
}

/** The two options are columns from 16 only, so they are read by name from the row. Before, all of it is inherited. */
const option = (edge: Sql, name: 'inherit_option' | 'set_option') =>
  sql`coalesce((to_jsonb(${edge}) -> ${text(name)})::boolean, true)`;

const revoked = sql`
  SELECT 1, 'revoke_role', pg_get_userbyid(e.roleid)::text, e.grantor::bigint,
         format('REVOKE %s%I FROM %I%s',
                CASE WHEN w.state = 'absent' THEN '' ELSE r.option || ' OPTION FOR ' END,
                pg_get_userbyid(e.roleid), w.member,
                CASE WHEN v_by_grantor THEN format(' GRANTED BY %I', pg_get_userbyid(e.grantor)) END)
  FROM pg_auth_members AS e
  CROSS JOIN LATERAL (
    SELECT 'ALL' WHERE w.state = 'absent'
    UNION ALL SELECT 'ADMIN' WHERE w.state IS NULL AND NOT w.admin AND e.admin_option
    UNION ALL SELECT 'INHERIT' WHERE w.state IS NULL AND NOT w.inherit AND ${option(sql`e`, 'inherit_option')}
    UNION ALL SELECT 'SET' WHERE w.state IS NULL AND NOT w.set AND ${option(sql`e`, 'set_option')}
  ) AS r(option)
  WHERE (w.state = 'absent' OR NOT w.admin OR NOT w.inherit OR NOT w.set)
    AND e.member = o.member_oid
    AND (e.roleid = o.role_oid OR w.role = '*')
    AND NOT rolecall._is_creator_edge(to_jsonb(e))
`;

const granted = sql`
  SELECT 2, 'grant_role', w.role, 0,
         format('GRANT %I TO %I%s', w.role, w.member, nullif(' WITH ' || concat_ws(', ',
                CASE WHEN w.admin THEN 'ADMIN OPTION' END,
                CASE WHEN p.known OR w.inherit IS NOT NULL THEN 'INHERIT ' || upper(i.inherit::text) END,
                CASE WHEN p.known OR w.set IS NOT NULL THEN 'SET ' || upper(i.set::text) END),
                ' WITH '))
  FROM (
    SELECT count(*) > 0, bool_or(e.admin_option), bool_or(${option(sql`e`, 'inherit_option')}), bool_or(${option(sql`e`, 'set_option')})
    FROM pg_auth_members AS e
    WHERE e.member = o.member_oid AND e.roleid = o.role_oid
  ) AS p(known, admin, inherit, set)
  CROSS JOIN LATERAL (
    -- What is not asked for is what a plain GRANT gives. Before 16 no membership has options to differ in.
    SELECT coalesce(w.inherit, (SELECT r.rolinherit FROM pg_roles AS r WHERE r.oid = o.member_oid), true),
           coalesce(w.set, true)
  ) AS i(inherit, set)
  WHERE w.state IS NULL
    AND (NOT p.known
         OR (w.admin AND NOT p.admin)
         OR (v_by_grantor AND ((i.inherit AND NOT p.inherit) OR (i.set AND NOT p.set))))
`;
