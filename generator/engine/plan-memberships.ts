/**
 * What differs about memberships. PostgreSQL 16 and newer keep one row per grantor, with INHERIT and SET options;
 * older servers one row, which inherits as the member's own attribute says.
 */
import type { ChangeRow, Integer, Jsonb, Returns, SetOf } from '../model/types.ts';
import { sql } from '../sql/template.ts';

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
        WITH wanted AS (
          SELECT m.*, to_regrole(quote_ident(m.role))::oid AS role_oid,
                 to_regrole(quote_ident(m.member))::oid AS member_oid
          FROM ROWS FROM (jsonb_to_recordset(${document} -> 'memberships')
                 AS (role text, member text, admin boolean, inherit boolean, set boolean, state text))
               WITH ORDINALITY AS m(role, member, admin, inherit, set, state, position)
        ),
        edge AS (
          -- The two options are columns from 16 only, so they are read by name from the row.
          SELECT w.position, e.roleid, e.grantor, e.admin_option AS admin, o.inherit, o.set,
                 rolecall._is_creator_edge(o.edge) AS is_creator
          FROM wanted AS w
          CROSS JOIN LATERAL (
            SELECT e.* FROM pg_auth_members AS e
            WHERE e.member = w.member_oid AND (e.roleid = w.role_oid OR w.role = '*')
            OFFSET 0
          ) AS e
          CROSS JOIN LATERAL (SELECT to_jsonb(e) AS edge) AS j
          CROSS JOIN LATERAL (
            SELECT j.edge, coalesce((j.edge -> 'inherit_option')::boolean, true),
                   coalesce((j.edge -> 'set_option')::boolean, true)
          ) AS o(edge, inherit, set)
        ),
        revoke AS (
          SELECT w.position, 1 AS phase, 'revoke_role' AS operation, w.member, e.grantor::bigint AS detail,
                 g.role,
                 format('REVOKE %s%I FROM %I%s',
                        CASE WHEN w.state = 'absent' THEN '' ELSE o.option || ' OPTION FOR ' END,
                        g.role, w.member,
                        CASE WHEN v_by_grantor THEN format(' GRANTED BY %I', pg_get_userbyid(e.grantor)) END) AS statement
          FROM wanted AS w
          JOIN edge AS e USING (position)
          CROSS JOIN LATERAL (SELECT pg_get_userbyid(e.roleid)::text AS role) AS g
          CROSS JOIN LATERAL (
            SELECT 'ALL' WHERE w.state = 'absent'
            UNION ALL SELECT 'ADMIN' WHERE w.state IS NULL AND NOT w.admin AND e.admin
            UNION ALL SELECT 'INHERIT' WHERE w.state IS NULL AND NOT w.inherit AND e.inherit
            UNION ALL SELECT 'SET' WHERE w.state IS NULL AND NOT w.set AND e.set
          ) AS o(option)
          WHERE NOT e.is_creator
        ),
        present AS (
          SELECT e.position, bool_or(e.admin) AS admin, bool_or(e.inherit) AS inherit, bool_or(e.set) AS set
          FROM edge AS e GROUP BY e.position
        ),
        missing AS (
          SELECT w.position, 2 AS phase, 'grant_role' AS operation, w.member, 0::bigint AS detail, w.role,
                 format('GRANT %I TO %I%s', w.role, w.member, nullif(' WITH ' || concat_ws(', ',
                        CASE WHEN w.admin THEN 'ADMIN OPTION' END,
                        CASE WHEN p.position IS NOT NULL OR w.inherit IS NOT NULL THEN 'INHERIT ' || upper(i.inherit::text) END,
                        CASE WHEN p.position IS NOT NULL OR w.set IS NOT NULL THEN 'SET ' || upper(i.set::text) END),
                        ' WITH ')) AS statement
          FROM wanted AS w
          LEFT JOIN present AS p USING (position)
          LEFT JOIN LATERAL (
            SELECT r.rolinherit FROM pg_roles AS r WHERE r.oid = w.member_oid LIMIT 1
          ) AS r ON true
          CROSS JOIN LATERAL (
            -- What is not asked for is what a plain GRANT gives. Before 16 no edge has options to differ in.
            SELECT coalesce(w.inherit, r.rolinherit, true), coalesce(w.set, true)
          ) AS i(inherit, set)
          WHERE w.state IS NULL
            AND (p.position IS NULL
                 OR (w.admin AND NOT p.admin)
                 OR (v_by_grantor AND ((i.inherit AND NOT p.inherit) OR (i.set AND NOT p.set))))
        )
        SELECT c.operation, c.member, c.statement, NULL::text,
               -- From 16 the statement itself locks the granted role too: take both in the one order.
               CASE WHEN v_by_grantor THEN ARRAY[c.member, c.role] ELSE ARRAY[c.member] END, NULL::text, NULL::text
        FROM (SELECT * FROM revoke UNION ALL SELECT * FROM missing) AS c
        ORDER BY c.phase, c.position, c.detail, c.statement;
    END
  `;
}
