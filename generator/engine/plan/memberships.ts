/**
 * Differences in memberships. PostgreSQL 16 and newer keep one row per grantor, with INHERIT and SET options; older
 * servers keep one row, and the member's own INHERIT attribute counts.
 */
import { circular } from '../../model/operations.ts';
import { recordedMark } from '../../model/sections.ts';
import type { Bool, Changes, Integer, Jsonb, Oid, Returns, Table, Text } from '../../model/types.ts';
import { raw, Sql, sql, text } from '../../sql/template.ts';
import { caller, serverVersion } from '../catalogs/server.ts';
import { isSuperuser } from '../document/names.ts';
import { mayMake } from '../execute/rights.ts';

/**
 * Memberships to revoke, then memberships to grant
 * @long what each membership lacks, one after the other
 * @volatility stable
 * @probes
 */
export function plan_memberships(document: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_changes rolecall_internal.change[] := '{}'::rolecall_internal.change[];
      v_list jsonb := CASE WHEN ${document} ? 'declared'
        THEN rolecall_internal.with_excess(${document}) ELSE ${document} -> 'memberships' END;
      v_asked jsonb;
      v_wanted jsonb;
      v_role text;
      v_member text;
      v_role_oid oid;
      v_member_oid oid;
      v_first text := ${document} #>> '{roles,0,name}'; -- usually the role that is created
      v_absent text;
      v_edges jsonb[]; -- null where no present member is granted anything
      v_made jsonb;
      v_granted jsonb; -- null where a call asks for the memberships
      v_is_circular boolean;
    BEGIN
      -- Most calls revoke nothing and ask for no options, so other memberships of the role are not read for them.
      IF v_list @? ${text(`$[*] ? (@.state == "absent" || @.admin == false || @.inherit != null || @.set != null
        || exists(@.${recordedMark}))`)} THEN
        IF ${serverVersion} < 16
          AND v_list @? '$[*] ? (@.inherit != null || @.set != null)' THEN
          RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = 'the INHERIT and SET options of a membership require PostgreSQL 16 or newer';
        END IF;
        v_changes := rolecall_internal.plan_revokes(jsonb_path_query_array(
          v_list, '$[*] ? (@.state == "absent" || @.admin == false || @.inherit == false || @.set == false)'));
        v_edges := '{}';
        v_granted := CASE WHEN v_list @? ${text(`$[*].${recordedMark}`)} THEN '{}' END;
      END IF;
      FOR v_position IN 0 .. coalesce(jsonb_array_length(v_list), 0) - 1 LOOP
        v_asked := v_list -> v_position;
        CONTINUE WHEN v_asked ->> 'state' = 'absent';
        v_role := v_asked ->> 'role';
        v_member := v_asked ->> 'member';
        IF v_role = v_member AND NOT v_asked ? ${text(recordedMark)} THEN
          RAISE EXCEPTION USING
            ERRCODE = 'invalid_grant_operation',
            MESSAGE = format('role "%s" is a member of role "%s"', v_role, v_member),
            HINT = ${text(circular)};
        END IF;
        v_wanted := v_asked;
        v_role_oid := to_regrole(quote_ident(v_role))::oid;
        v_member_oid := to_regrole(quote_ident(v_member))::oid;
        v_absent := CASE WHEN v_role_oid IS NULL AND v_role IS DISTINCT FROM v_first THEN v_role
                         WHEN v_member_oid IS NULL AND v_member IS DISTINCT FROM v_first THEN v_member END;
        IF v_absent IS NOT NULL THEN
          v_made := coalesce(v_made, (
            SELECT jsonb_object_agg(n.name, true)
            FROM jsonb_to_recordset(${document} -> 'roles') AS n(name text)
          ), '{}');
          v_absent := CASE WHEN v_role_oid IS NULL AND NOT v_made ? v_role THEN v_role
                           WHEN v_member_oid IS NULL AND NOT v_made ? v_member THEN v_member END;
        ELSIF v_role_oid IS NOT NULL AND v_member_oid IS NOT NULL THEN
          v_edges := ARRAY(
            SELECT to_jsonb(e) FROM pg_auth_members AS e WHERE e.member = v_member_oid AND e.roleid = v_role_oid
          );
          CONTINUE WHEN cardinality(v_edges) > 0
            AND rolecall_internal.missing_options(v_wanted, to_jsonb(v_edges), v_member_oid) IS NULL;
          v_wanted := rolecall_internal.with_recorded_options(v_wanted);
          IF cardinality(v_edges) > 0 THEN
            v_wanted := rolecall_internal.missing_options(v_wanted, to_jsonb(v_edges), v_member_oid);
            CONTINUE WHEN v_wanted IS NULL;
          END IF;
        END IF;
        IF v_granted IS NOT NULL THEN -- where a call asks for it, the server raises the error
          v_is_circular := v_asked ? ${text(recordedMark)}
            AND (v_granted ? v_member OR EXISTS (SELECT FROM pg_auth_members AS e WHERE e.roleid = v_member_oid))
            AND rolecall_internal.would_be_circular(v_role, v_member, v_changes);
          v_granted := CASE WHEN v_granted ? v_role THEN v_granted ELSE v_granted || jsonb_build_object(v_role, true) END;
        END IF;
        v_changes := v_changes || ROW(
          'grant_role', v_member, ${grantStatement(sql`v_role`, sql`v_member`, sql`v_wanted`)},
          NULL, ${locks(sql`v_member`, sql`v_role`)},
          CASE WHEN v_absent IS NOT NULL THEN '42704' WHEN v_is_circular THEN '0LP01' END,
          CASE WHEN v_absent IS NOT NULL THEN format('role "%s" does not exist', v_absent)
               WHEN v_is_circular THEN 'the role would be a member of itself' END
        )::rolecall_internal.change;
      END LOOP;
      IF v_edges IS NOT NULL THEN
        RETURN rolecall_internal.withhold_powers(v_changes, ${document} -> 'memberships');
      END IF;
      RETURN v_changes;
    END
  `;
}

/** The statement that grants a membership, with its options. */
const grantStatement = (role: Sql, member: Sql, options: Sql) => sql`
  format(
    'GRANT %I TO %I%s%s', ${role}, ${member},
    ' WITH ' || nullif(concat_ws(', ',
      CASE WHEN (${options} ->> 'admin')::boolean THEN 'ADMIN OPTION' END,
      'INHERIT ' || upper(${options} ->> 'inherit' COLLATE "C"),
      'SET ' || upper(${options} ->> 'set' COLLATE "C")
    ), ''),
    ' GRANTED BY ' || quote_ident(${options} ->> 'grantor')
  )
`;

/**
 * Whether a membership would make a role a member of itself, together with the present and the planned ones
 * @volatility stable
 * @probes
 */
export function would_be_circular(role_name: Text, member: Text, changes: Changes): Returns<Bool> {
  return sql`
    BEGIN
      RETURN EXISTS (
        WITH RECURSIVE above AS (
          SELECT ${role_name} COLLATE "C" AS name
          UNION
          SELECT n.name
          FROM above AS a
          CROSS JOIN LATERAL (
            SELECT pg_get_userbyid(e.roleid)::text FROM pg_auth_members AS e
            WHERE e.member = to_regrole(quote_ident(a.name))::oid
            UNION ALL
            SELECT c.locks[2] FROM unnest(${changes}) AS c
            WHERE c.operation = 'grant_role' AND c.sqlstate IS NULL AND c.target = a.name
          ) AS n(name)
        )
        SELECT FROM above AS a WHERE a.name = ${member}
      );
    END
  `;
}

/**
 * A membership with the options that the present edges lack, and the grantor for these; null where they lack nothing
 *
 * Options that neither it nor an earlier call asks for stay as they are if the edges give the member anything;
 * otherwise they are those of a plain GRANT.
 * @volatility stable
 * @probes
 */
export function missing_options(membership: Jsonb, edges: Jsonb, member: Oid): Returns<Jsonb> {
  return sql`
    DECLARE
      v_has_admin boolean := ${having(edges, 'admin')};
      v_inherits boolean := ${having(edges, 'inherit')};
      v_sets boolean := ${having(edges, 'set')};
      v_admin boolean := (${membership} ->> 'admin')::boolean AND NOT v_has_admin;
      v_inherit boolean := (${membership} ->> 'inherit')::boolean;
      v_set boolean := (${membership} ->> 'set')::boolean;
    BEGIN
      -- Before 16 memberships have no such options.
      IF ${serverVersion} >= 16 THEN
        IF v_inherits AND v_inherit IS NOT FALSE OR v_sets AND v_set IS NOT FALSE THEN
          v_inherit := coalesce(v_inherit, v_inherits);
          v_set := coalesce(v_set, v_sets);
        ELSE
          v_inherit := coalesce(
            v_inherit, (SELECT r.rolinherit FROM pg_roles AS r WHERE r.oid = ${member} LIMIT 1), true
          );
          v_set := coalesce(v_set, true);
        END IF;
      END IF;
      IF v_admin IS NOT TRUE AND (v_inherits OR v_inherit IS NOT TRUE) AND (v_sets OR v_set IS NOT TRUE) THEN
        RETURN NULL;
      END IF;
      RETURN jsonb_build_object(
        'admin', v_admin, 'inherit', v_inherit, 'set', v_set,
        -- The creator of the role has an edge from the same grantor that a superuser's grant would have, so the two
        -- would become one.
        'grantor', (
          SELECT ${membership} ->> 'member' FROM jsonb_array_elements(${edges}) AS e(edge)
          WHERE rolecall_internal.is_creator_edge(e.edge)
            AND ${isSuperuser(caller)}
          LIMIT 1
        )
      );
    END
  `;
}

/**
 * A membership with the options that an earlier call asked for, if it names none itself
 * @volatility stable
 */
export function with_recorded_options(membership: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_recorded jsonb := coalesce(rolecall_internal.newest_record(
        'memberships', rolecall_internal.record_key('memberships', ${membership})
      ), '{}');
    BEGIN
      RETURN v_recorded || jsonb_strip_nulls(${membership});
    END
  `;
}

/** Whether one of the edges has the option. */
const having = (edges: Sql, option: 'admin' | 'inherit' | 'set') =>
  sql`${edges} @> ${text(`[{"${option}_option": true}]`)}`;

/**
 * Memberships and options to revoke
 *
 * If every membership of a role ends, so does the one that it has because it created the other role; otherwise it
 * could grant itself the rest again. A membership that the caller may not revoke, or on which another one depends
 * that it may not revoke, is skipped then, so that its grantor cannot stop the call. If a call names the role, a
 * membership that leads to a predefined role or a superuser is not skipped but an error, because a role that writes
 * every table is not a reporting role, and few roles can grant that.
 * @volatility stable
 * @probes
 */
export function plan_revokes(memberships: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_by_grantor boolean := ${serverVersion} >= 16;
    BEGIN
      IF NOT EXISTS (
        SELECT FROM jsonb_array_elements(${memberships}) AS w(membership)
        JOIN pg_auth_members AS e ON e.member = to_regrole(quote_ident(w.membership ->> 'member'))::oid
      ) THEN
        RETURN '{}'::rolecall_internal.change[];
      END IF;
      RETURN rolecall_internal.plan_lost_grants(${memberships}) || ARRAY(
        SELECT ROW(
                 'revoke_role', w.member,
                 format('REVOKE %s%I FROM %I%s',
                        CASE WHEN w.state = 'absent' THEN '' ELSE r.option || ' OPTION FOR ' END, g.role, w.member,
                        CASE WHEN v_by_grantor THEN format(' GRANTED BY %I', pg_get_userbyid(e.grantor)) END
                          || CASE WHEN c.is_creator THEN ' CASCADE' ELSE '' END),
                 NULL, ${locks(sql`w.member`, sql`g.role`)},
                 CASE WHEN k.note IS NOT NULL THEN '42501' END,
                 CASE WHEN k.note IS NOT NULL THEN k.note
                      WHEN c.is_creator THEN 'with what the role granted: it created the other one' END
               )::rolecall_internal.change
        FROM ROWS FROM (jsonb_to_recordset(${memberships})
               AS (role text, member text, admin boolean, inherit boolean, set boolean, state text, every boolean,
                   declared boolean, ${raw(recordedMark)} text))
             WITH ORDINALITY AS w(role, member, admin, inherit, set, state, every, declared, recorder, position)
        CROSS JOIN LATERAL (
          SELECT to_regrole(quote_ident(w.role))::oid, to_regrole(quote_ident(w.member))::oid
          OFFSET 0 -- Each name is looked up once, not at each use of its oid.
        ) AS o(role_oid, member_oid)
        CROSS JOIN LATERAL (
          SELECT e.* FROM pg_auth_members AS e
          WHERE e.member = o.member_oid AND (e.roleid = o.role_oid OR w.every)
          OFFSET 0 -- Member by member, by the index on members.
        ) AS e
        CROSS JOIN LATERAL (SELECT pg_get_userbyid(e.roleid)::text) AS g(role)
        CROSS JOIN LATERAL (
          SELECT 'ALL' WHERE w.state = 'absent'
          UNION ALL SELECT 'ADMIN' WHERE w.state IS NULL AND NOT w.admin AND e.admin_option
          UNION ALL
          SELECT 'INHERIT' WHERE w.state IS NULL AND NOT w.inherit
            AND ${has(sql`e`, 'inherit_option')}
          UNION ALL
          SELECT 'SET' WHERE w.state IS NULL AND NOT w.set
            AND ${has(sql`e`, 'set_option')}
        ) AS r(option)
        CROSS JOIN LATERAL (SELECT rolecall_internal.is_creator_edge(to_jsonb(e))) AS c(is_creator)
        LEFT JOIN LATERAL (
          SELECT CASE WHEN NOT rolecall_internal.may_revoke(e.roleid, e.grantor) THEN CASE
                        WHEN c.is_creator
                        THEN 'the role created the other one, and only a superuser can revoke its ADMIN OPTION'
                        ELSE 'the caller may not revoke what ' || quote_ident(pg_get_userbyid(e.grantor)) || ' granted'
                      END
                      WHEN e.admin_option AND EXISTS (
                        SELECT FROM rolecall_internal.lost_grants(e.roleid, e.member) AS l WHERE NOT l.allowed
                      ) THEN 'it granted the role to others, and the caller may not revoke that' END
        ) AS k(note) ON w.declared OR w.every AND (w.recorder IS NOT NULL OR NOT EXISTS (
          SELECT FROM pg_roles AS p WHERE p.oid < 16384 AND pg_has_role(e.roleid, p.oid, 'MEMBER')
        ))
        WHERE w.every OR NOT c.is_creator
        ORDER BY w.position, c.is_creator, e.grantor, r.option, g.role
      );
    END
  `;
}

/**
 * The memberships that a role granted to others and that end with its ADMIN OPTION when all its memberships end, the
 * latest grants first; for a role of a policy, only after they are granted again
 * @volatility stable
 * @probes
 */
export function plan_lost_grants(memberships: Jsonb): Returns<Changes> {
  return sql`
    BEGIN
      IF ${serverVersion} < 16
        OR NOT ${memberships} @? '$[*] ? (@.every == true || @.declared == true)' THEN
        RETURN '{}'::rolecall_internal.change[];
      END IF;
      RETURN ARRAY(
        SELECT ROW(
                 s.operation, n.member, s.statement,
                 NULL, ${locks(sql`n.member`, sql`n.role`)}, CASE WHEN NOT l.all_allowed THEN '42501' END,
                 CASE WHEN l.all_allowed THEN format('granted by role "%s", whose ADMIN OPTION ends', n.grantor)
                      WHEN l.declared THEN 'the caller may not revoke all that depends on the ADMIN OPTION of the role'
                      ELSE 'the caller may not revoke all that depends on the ADMIN OPTION of a reporting role' END
               )::rolecall_internal.change
        FROM (
          SELECT w.roleid, w.declared, l.member, l.grantor, l.depth,
                 bool_and(l.allowed) OVER (PARTITION BY w.roleid) AS all_allowed,
                 row_number() OVER (PARTITION BY w.roleid, l.member ORDER BY l.depth) AS number
          FROM (
            SELECT e.roleid, e.member, bool_or(w.declared) AS declared
            FROM jsonb_to_recordset(${memberships})
              AS w(role text, member text, every boolean, declared boolean, state text)
            JOIN pg_auth_members AS e ON e.member = to_regrole(quote_ident(w.member))::oid AND e.admin_option
            WHERE w.every OR w.declared AND w.state = 'absent' AND e.roleid = to_regrole(quote_ident(w.role))::oid
            GROUP BY e.roleid, e.member
          ) AS w
          CROSS JOIN LATERAL rolecall_internal.lost_grants(w.roleid, w.member) AS l
        ) AS l
        CROSS JOIN LATERAL (
          SELECT pg_get_userbyid(l.roleid)::text, pg_get_userbyid(l.member)::text, pg_get_userbyid(l.grantor)::text
        ) AS n(role, member, grantor)
        CROSS JOIN LATERAL (
          SELECT 1 AS phase, 'grant_role' AS operation, ${grantStatement(sql`n.role`, sql`n.member`, sql`o.options`)}
                   AS statement
          FROM (
            SELECT jsonb_build_object(
                     'admin', bool_or(e.admin_option) AND NOT ${memberships} @> jsonb_build_array(
                       jsonb_build_object('member', n.member, 'role', n.role, 'admin', false)
                     ),
                     'inherit', bool_or((to_jsonb(e) -> 'inherit_option')::boolean),
                     'set', bool_or((to_jsonb(e) -> 'set_option')::boolean)
                   ) AS options
            FROM pg_auth_members AS e WHERE e.roleid = l.roleid AND e.member = l.member
          ) AS o
          WHERE l.declared AND l.number = 1 AND l.all_allowed
          UNION ALL
          SELECT 2, 'revoke_role', format('REVOKE %I FROM %I GRANTED BY %I', n.role, n.member, n.grantor)
        ) AS s
        -- A membership that is to end itself is in the list already.
        WHERE NOT coalesce(l.declared, false) OR NOT ${memberships} @> jsonb_build_array(
          jsonb_build_object('member', n.member, 'role', n.role, 'state', 'absent')
        )
        ORDER BY s.phase, l.depth DESC, n.role, n.member, n.grantor
      );
    END
  `;
}

/**
 * The memberships of a document, and as absent those that its roles of a policy have beyond it, each before the one
 * on which it depends
 * @volatility stable
 */
export function with_excess(document: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        WITH exact AS MATERIALIZED (
          SELECT d.role, to_regrole(quote_ident(d.role))::oid AS oid
          FROM jsonb_to_recordset(${document} -> 'declared') AS d(role text, exact boolean) WHERE d.exact
        ),
        said AS MATERIALIZED (
          SELECT m.resource, m.position
          FROM jsonb_array_elements(${document} -> 'memberships') WITH ORDINALITY AS m(resource, position)
          WHERE NOT m.resource ? 'state' OR m.resource ->> 'member' NOT IN (SELECT x.role FROM exact AS x)
        ),
        excess AS (
          SELECT DISTINCT e.member, e.roleid, x.role AS member_name, pg_get_userbyid(e.roleid)::text AS role_name
          FROM exact AS x
          JOIN pg_auth_members AS e ON e.member = x.oid
          WHERE (x.role, pg_get_userbyid(e.roleid)::text) NOT IN (
            SELECT s.resource ->> 'member', s.resource ->> 'role' FROM said AS s
          ) AND (
            ${document} -> 'theirs' -> x.role -> 'memberships' ? pg_get_userbyid(e.roleid)::text
          ) IS NOT TRUE
            -- A record gives nobody a superuser's rights, but does not take what a policy gave.
            AND NOT (${document} ? ${text(recordedMark)} AND ${isSuperuser(sql`e.roleid`)}
                     AND rolecall_internal.was_asked_for(x.role, pg_get_userbyid(e.roleid)))
        )
        SELECT coalesce(jsonb_agg(a.resource ORDER BY a.depth, a.position), '[]')
        FROM (
          SELECT jsonb_build_object('member', e.member_name, 'role', e.role_name, 'state', 'absent', 'declared', true),
                 (SELECT count(*) FROM rolecall_internal.lost_grants(e.roleid, e.member)), e.roleid::bigint
          FROM excess AS e
          UNION ALL
          SELECT s.resource, 0, s.position FROM said AS s
        ) AS a(resource, depth, position)
      );
    END
  `;
}

/**
 * The memberships that depend on the ADMIN OPTION of one role on another, and whether the caller may revoke them;
 * none before 16, or if the role keeps the option because the caller may not revoke it
 * @volatility stable
 */
export function lost_grants(
  role_oid: Oid,
  member_oid: Oid,
): Table<{ member: Oid; grantor: Oid; depth: Integer; allowed: Bool }> {
  return sql`
    BEGIN
      IF ${serverVersion} < 16 OR EXISTS (
        SELECT FROM pg_auth_members AS e
        WHERE e.roleid = ${role_oid} AND e.member = ${member_oid} AND e.admin_option
          AND NOT rolecall_internal.may_revoke(e.roleid, e.grantor)
      ) THEN
        RETURN;
      END IF;
      RETURN QUERY
        WITH RECURSIVE lost AS (
          SELECT l.member, l.grantor, l.admin_option, 1 AS depth
          FROM pg_auth_members AS l WHERE l.roleid = ${role_oid} AND l.grantor = ${member_oid}
          UNION
          SELECT n.member, n.grantor, n.admin_option, l.depth + 1
          FROM lost AS l
          JOIN pg_auth_members AS n ON n.roleid = ${role_oid} AND n.grantor = l.member
          WHERE l.admin_option
        )
        SELECT l.member, l.grantor, max(l.depth), rolecall_internal.may_revoke(${role_oid}, l.grantor)
        FROM lost AS l GROUP BY l.member, l.grantor;
    END
  `;
}

/**
 * Whether the caller may revoke a role that somebody has granted
 * @volatility stable
 */
export function may_revoke(role_oid: Oid, grantor: Oid): Returns<Bool> {
  return sql`
    DECLARE
      v_role text := pg_get_userbyid(${role_oid});
    BEGIN
      RETURN ${mayMake('revoke_role', sql`v_role`)}
        AND (${serverVersion} < 16 OR pg_has_role(${grantor}, 'USAGE'));
    END
  `;
}

/** The two options are columns only from 16 on, so they are read by name from the row. Before 16 they count as true. */
const has = (edge: Sql, option: 'inherit_option' | 'set_option') =>
  sql`coalesce((to_jsonb(${edge}) -> ${text(option)})::boolean, true)`;

/** The granted role is the second one. */
const locks = (member: Sql, role: Sql) => sql`ARRAY[${member}, ${role}]`;
