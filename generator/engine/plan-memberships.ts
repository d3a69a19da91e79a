/**
 * What differs about memberships. PostgreSQL 16 and newer keep one row per grantor, with INHERIT and SET options;
 * older servers one row, which inherits as the member's own attribute says.
 */
import type { Changes, Jsonb, Returns } from '../model/types.ts';
import { sql, text, type Sql } from '../sql/template.ts';

/** The major version of the server. */
export const serverVersion = sql`current_setting('server_version_num')::integer / 10000`;

/**
 * Memberships to revoke, then memberships to grant
 * @volatility stable
 * @probes
 */
export function _plan_memberships(document: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_changes rolecall._change[] := '{}'::rolecall._change[];
      v_missing record;
      v_made jsonb;
      v_absent text;
      v_options text;
      v_by_grantor boolean := ${serverVersion} >= 16;
    BEGIN
      IF NOT v_by_grantor
         AND jsonb_path_exists(${document}, '$.memberships[*] ? (@.inherit != null || @.set != null)') THEN
        RAISE EXCEPTION USING
          ERRCODE = 'feature_not_supported',
          MESSAGE = 'the INHERIT and SET options of a membership need PostgreSQL 16 or newer';
      END IF;
      -- Most calls ask for nothing to be taken away.
      IF jsonb_path_exists(
        ${document},
        '$.memberships[*] ? (@.state == "absent" || @.admin == false || @.inherit == false || @.set == false)'
      ) THEN
        v_changes := ARRAY(
          SELECT ROW(
                   'revoke_role', w.member,
                   ${revoke},
                   NULL, ${locks(sql`w.member`, sql`g.role`)}, NULL, NULL
                 )::rolecall._change
          FROM ${wanted(document)}
          CROSS JOIN LATERAL (
            SELECT e.* FROM pg_auth_members AS e
            WHERE e.member = o.member_oid AND (e.roleid = o.role_oid OR w.every)
            OFFSET 0 -- Member by member, by the index on them.
          ) AS e
          CROSS JOIN LATERAL (SELECT pg_get_userbyid(e.roleid)::text) AS g(role)
          CROSS JOIN LATERAL (
            SELECT 'ALL' WHERE w.state = 'absent'
            UNION ALL SELECT 'ADMIN' WHERE w.state IS NULL AND NOT w.admin AND e.admin_option
            UNION ALL
            SELECT 'INHERIT' WHERE w.state IS NULL AND NOT w.inherit
              AND ${has('inherit_option')}
            UNION ALL
            SELECT 'SET' WHERE w.state IS NULL AND NOT w.set
              AND ${has('set_option')}
          ) AS r(option)
          WHERE NOT rolecall._is_creator_edge(to_jsonb(e))
          ORDER BY w.position, e.grantor, r.option, g.role
        );
      END IF;
      FOR v_missing IN
        SELECT w.*, p.known, p.admin AS administers, o.*, d.inherits, d.sets
        FROM ${wanted(document)}
        CROSS JOIN LATERAL (
          SELECT count(*) > 0, bool_or(e.admin_option),
                 bool_or(${has('inherit_option')}),
                 bool_or(${has('set_option')})
          FROM pg_auth_members AS e
          WHERE e.member = o.member_oid AND e.roleid = o.role_oid
        ) AS p(known, admin, inherit, set)
        CROSS JOIN LATERAL (
          -- An option that is not asked for is as a plain GRANT gives it. A snapshot can show a row in two versions: the
          -- one that another transaction has replaced meanwhile, and the one by which this transaction replaced that.
          SELECT coalesce(w.inherit, (SELECT r.rolinherit FROM pg_roles AS r WHERE r.oid = o.member_oid LIMIT 1), true),
                 coalesce(w.set, true)
        ) AS d(inherits, sets)
        WHERE w.state IS NULL
          AND (NOT p.known
               OR (w.admin AND NOT p.admin)
               -- Before 16 no membership has options to differ in.
               OR (v_by_grantor AND NOT p.inherit AND d.inherits)
               OR (v_by_grantor AND NOT p.set AND d.sets))
        ORDER BY w.position
      LOOP
        v_absent := NULL;
        IF v_missing.role_oid IS NULL OR v_missing.member_oid IS NULL THEN
          v_made := coalesce(v_made, (
            SELECT jsonb_object_agg(n.name, true)
            FROM jsonb_to_recordset(${document} -> 'roles') AS n(name text)
          ), '{}');
          v_absent := CASE WHEN v_missing.role_oid IS NULL AND NOT v_made ? v_missing.role THEN v_missing.role
                           WHEN v_missing.member_oid IS NULL AND NOT v_made ? v_missing.member THEN v_missing.member END;
        END IF;
        v_options := concat_ws(', ',
          CASE WHEN v_missing.admin AND v_missing.administers IS NOT TRUE THEN 'ADMIN OPTION' END,
          CASE WHEN v_by_grantor AND v_missing.known OR v_missing.inherit IS NOT NULL
            THEN 'INHERIT ' || upper(v_missing.inherits::text COLLATE "C") END,
          CASE WHEN v_by_grantor AND v_missing.known OR v_missing.set IS NOT NULL
            THEN 'SET ' || upper(v_missing.sets::text COLLATE "C") END
        );
        v_changes := v_changes || ROW(
          'grant_role', v_missing.member,
          format('GRANT %I TO %I%s%s', v_missing.role, v_missing.member, ' WITH ' || nullif(v_options, ''),
                 -- Who made the role has an edge of the same grantor as what a superuser grants: they would become one.
                 CASE WHEN v_missing.known AND (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user LIMIT 1)
                           AND EXISTS (
                             SELECT FROM pg_auth_members AS e
                             WHERE e.member = v_missing.member_oid AND e.roleid = v_missing.role_oid
                               AND rolecall._is_creator_edge(to_jsonb(e))
                           )
                      THEN format(' GRANTED BY %I', v_missing.member) END),
          NULL, ${locks(sql`v_missing.member`, sql`v_missing.role`)},
          CASE WHEN v_absent IS NOT NULL THEN '42704' END, 'role "' || v_absent || '" does not exist'
        )::rolecall._change;
      END LOOP;
      RETURN v_changes;
    END
  `;
}

/** Each membership asked for, w, with the oids of its two roles, o. */
const wanted = (document: Jsonb) => sql`
  ROWS FROM (jsonb_to_recordset(${document} -> 'memberships')
    AS (role text, member text, admin boolean, inherit boolean, set boolean, state text, every boolean))
    WITH ORDINALITY AS w(role, member, admin, inherit, set, state, every, position)
  CROSS JOIN LATERAL (
    SELECT to_regrole(quote_ident(w.role))::oid, to_regrole(quote_ident(w.member))::oid
    OFFSET 0 -- Each name is looked up once, not wherever its oid is used.
  ) AS o(role_oid, member_oid)
`;

/** The two options are columns from 16 only, so they are read by name from the row. Before, all of it is inherited. */
const has = (option: 'inherit_option' | 'set_option') => sql`coalesce((to_jsonb(e) -> ${text(option)})::boolean, true)`;

/** From 16 the statement itself locks the granted role too: take both in the one order. */
const locks = (member: Sql, role: Sql) =>
  sql`CASE WHEN v_by_grantor THEN ARRAY[${member}, ${role}] ELSE ARRAY[${member}] END`;

const revoke = sql`
  format('REVOKE %s%I FROM %I%s',
         CASE WHEN w.state = 'absent' THEN '' ELSE r.option || ' OPTION FOR ' END, g.role, w.member,
         CASE WHEN v_by_grantor THEN format(' GRANTED BY %I', pg_get_userbyid(e.grantor)) END)
`;
