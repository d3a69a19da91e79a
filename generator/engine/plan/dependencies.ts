/**
 * What keeps a role from being dropped, in every database of the cluster, and what ends with it.
 */
import type { Bool, Oid, Returns, Table, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { owned, plainOwner } from '../catalogs/grantable.ts';

/**
 * The memberships that end with a role, in words; null where there is none
 * @volatility stable
 * @probes
 */
export function memberships_of(role_oid: Oid): Returns<Text> {
  return sql`
    BEGIN
      RETURN (
        SELECT 'memberships that end: '
               || string_agg(m.membership, ', ' ORDER BY m.membership) FILTER (WHERE m.number <= ${shown})
               || CASE WHEN max(m.number) > ${shown} THEN format(' and %s more', max(m.number) - ${shown}) ELSE '' END
        FROM (
          SELECT e.membership, row_number() OVER (ORDER BY e.membership) AS number
          FROM (
            SELECT format('%I in %I', pg_get_userbyid(e.member), pg_get_userbyid(e.roleid)) AS membership
            FROM pg_auth_members AS e WHERE e.member = ${role_oid}
            UNION
            SELECT format('%I in %I', pg_get_userbyid(e.member), pg_get_userbyid(e.roleid))
            FROM pg_auth_members AS e
            WHERE e.roleid = ${role_oid} AND NOT rolecall_internal.is_creator_edge(to_jsonb(e))
          ) AS e
        ) AS m
      );
    END
  `;
}

/** How many names of one kind a message has. */
const shown = 10;

/**
 * What keeps a role from being dropped, in every database of the cluster, and the statement that clears it there
 *
 * cleared_by is the step that clears it from this database: reassign_owned where something is to be reassigned,
 * drop_owned where it is to be dropped, or to be cleared of privileges after the rest was reassigned; null: neither.
 * @volatility stable
 * @probes
 */
export function dependencies(
  role_oid: Oid,
  reassigns: Bool,
  drops: Bool,
): Table<{ database: Text; kind: Text; object: Text; remedy: Text; cleared_by: Text }> {
  return sql`
    DECLARE
      v_name text := quote_ident(pg_get_userbyid(${role_oid}));
      v_here oid := (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
    BEGIN
      RETURN QUERY
        WITH found AS MATERIALIZED (
          SELECT s.*, s.dbid = 0 AS shared, s.deptype = 'o' AS owned,
                 -- These two are not reassigned but dropped.
                 ${owned(sql`s`)} AS reassignable,
                 s.classid::regclass::text AS catalog
          FROM pg_shdepend AS s
          WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = ${role_oid}
        ),
        owning AS (
          SELECT f.dbid FROM found AS f WHERE f.reassignable AND NOT f.shared GROUP BY 1
        ),
        -- Before 16 the server does not keep who depends on whom, and a membership has no oid.
        given AS (
          SELECT (to_jsonb(e) ->> 'oid')::oid AS oid, format('%I in %I', m.member, m.role) AS object,
                 format('REVOKE %I FROM %I GRANTED BY %s CASCADE', m.role, m.member, v_name) AS remedy
          FROM pg_auth_members AS e
          CROSS JOIN LATERAL (SELECT pg_get_userbyid(e.member), pg_get_userbyid(e.roleid)) AS m(member, role)
          WHERE e.grantor = ${role_oid} AND ${role_oid} NOT IN (e.member, e.roleid)
            AND EXISTS (SELECT FROM found AS f WHERE f.catalog = 'pg_auth_members')
        )
        SELECT coalesce(d.datname, current_database())::text, k.kind, k.object, r.remedy,
               CASE WHEN ${reassigns} AND f.reassignable AND (f.shared OR f.dbid = v_here) THEN 'reassign_owned'
                    WHEN (f.dbid = v_here OR (f.shared AND NOT f.owned))
                         -- A membership that the role gave to somebody ends only where that was asked for by name.
                         AND (${drops} OR (${reassigns} AND g.oid IS NULL)) THEN 'drop_owned' END
        FROM found AS f
        LEFT JOIN given AS g ON g.oid = f.objid AND f.catalog = 'pg_auth_members'
        LEFT JOIN pg_subscription AS u ON u.oid = f.objid AND f.catalog = 'pg_subscription'
        LEFT JOIN pg_database AS d
          ON d.oid = CASE WHEN f.catalog = 'pg_database' THEN f.objid WHEN f.shared THEN u.subdbid ELSE f.dbid END
        LEFT JOIN owning AS o ON o.dbid = f.dbid
        -- The names of what is in another database are known only there.
        CROSS JOIN LATERAL (
          SELECT i.type, i.identity FROM pg_identify_object(f.classid, f.objid, f.objsubid) AS i
          WHERE f.shared OR f.dbid = v_here
          UNION ALL
          SELECT CASE f.catalog
                   WHEN 'pg_class' THEN 'relation'
                   WHEN 'pg_namespace' THEN 'schema'
                   WHEN 'pg_proc' THEN 'function'
                   ELSE replace(substr(f.catalog, length('pg_') + 1), '_', ' ')
                 END, 'oid ' || f.objid
          WHERE NOT (f.shared OR f.dbid = v_here)
        ) AS i
        CROSS JOIN LATERAL (
          SELECT CASE WHEN g.oid IS NOT NULL THEN 'membership'
                      WHEN i.type = 'default acl' THEN 'default privileges'
                      WHEN f.deptype = 'a' THEN 'privileges on ' || i.type
                      WHEN f.deptype = 'i' THEN 'initial privileges on ' || i.type
                      ELSE i.type END,
                 coalesce(g.object, i.identity)
        ) AS k(kind, object)
        CROSS JOIN LATERAL (
          SELECT CASE
                   WHEN g.oid IS NOT NULL THEN g.remedy
                   WHEN f.shared AND f.owned
                     THEN format('ALTER %s %s OWNER TO ${plainOwner}', upper(i.type COLLATE "C"), i.identity)
                   WHEN f.shared THEN format(
                     'REVOKE ALL ON %s %s FROM %s CASCADE',
                     CASE i.type WHEN 'parameter ACL' THEN 'PARAMETER' ELSE upper(i.type COLLATE "C") END,
                     i.identity, v_name
                   )
                   WHEN f.reassignable THEN format('REASSIGN OWNED BY %s TO ${plainOwner}', v_name)
                   -- It drops what is still owned.
                   ELSE concat_ws('; ',
                     CASE WHEN o.dbid IS NOT NULL THEN format('REASSIGN OWNED BY %s TO ${plainOwner}', v_name) END,
                     format('DROP OWNED BY %s', v_name)
                   )
                 END
        ) AS r(remedy)
        -- One that the role gave to itself ends with the role.
        WHERE f.catalog <> 'pg_auth_members' OR g.oid IS NOT NULL;
    END
  `;
}

/**
 * What keeps a role from being dropped and is not cleared on the way, one line per database
 * @volatility stable
 */
export function blocking(role_oid: Oid, reassigns: Bool, drops: Bool): Returns<Text> {
  return sql`
    BEGIN
      RETURN (
        WITH found AS MATERIALIZED (
          SELECT d.* FROM rolecall_internal.dependencies(${role_oid}, ${reassigns}, ${drops}) AS d
          WHERE d.cleared_by IS NULL
        ),
        kind AS (
          SELECT f.database,
                 format('%s (%s%s)', f.kind, array_to_string((array_agg(f.object ORDER BY f.object))[1:${shown}], ', '),
                        ' and ' || nullif(greatest(count(*) - ${shown}, 0), 0) || ' more') AS objects
          FROM found AS f GROUP BY f.database, f.kind
        ),
        remedy AS (
          SELECT DISTINCT f.database, f.remedy FROM found AS f
        )
        SELECT string_agg(
          format('In database %I: %s. To run there: %s', k.database, k.objects, r.statements),
          E'\n' ORDER BY k.database COLLATE "C"
        )
        FROM (SELECT k.database, string_agg(k.objects, ', ' ORDER BY k.objects) AS objects FROM kind AS k GROUP BY 1) AS k
        CROSS JOIN LATERAL (
          SELECT array_to_string((array_agg(r.remedy ORDER BY r.remedy))[1:${shown}], '; ') AS statements
          FROM remedy AS r
          WHERE r.database = k.database
            AND NOT EXISTS (
              SELECT FROM remedy AS o WHERE o.database = r.database AND starts_with(o.remedy, r.remedy || ';')
            )
        ) AS r
      );
    END
  `;
}
