/**
 * What keeps a role from being dropped, in every database of the cluster, and what others lose with it.
 */
import { schemaNames, schemas } from '../../model/objects.ts';
import type { Bool, Integer, Oid, Returns, Table, Text } from '../../model/types.ts';
import { type Sql, sql, text } from '../../sql/template.ts';
import { owned, plainOwner } from '../catalogs/grantable.ts';
import { caller, thisDatabase } from '../catalogs/server.ts';

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

/** The most names of one kind in a message. */
const shown = 10;

/** An aggregate of names: only the first ones where there are many. */
const listed = (name: Sql) => sql`
  concat(
    array_to_string((array_agg(DISTINCT ${name} ORDER BY ${name}))[1:${shown}], ', '),
    ' and ' || nullif(greatest(count(DISTINCT ${name}) - ${shown}, 0), 0) || ' more'
  )
`;

/**
 * The rows of pg_shdepend about a role, with the names that this database can know
 * @volatility stable
 * @probes
 */
export function depending(role_oid: Oid): Table<{
  classid: Oid;
  objid: Oid;
  objsubid: Integer;
  how: Text;
  database: Text;
  is_here: Bool;
  is_shared: Bool;
  is_reassignable: Bool;
  type: Text;
  identity: Text;
  is_ours: Bool;
}> {
  return sql`
    DECLARE
      v_here oid := ${thisDatabase};
    BEGIN
      RETURN QUERY
        SELECT s.classid, s.objid, s.objsubid, s.deptype::text, coalesce(d.datname, current_database())::text,
               p.here, s.dbid = 0, o.owned, i.type, i.identity, i.is_ours AND s.deptype IN ('a', 'i')
        FROM pg_shdepend AS s
        LEFT JOIN pg_subscription AS u ON u.oid = s.objid AND s.classid = 'pg_subscription'::regclass
        LEFT JOIN pg_database AS d
          ON d.oid = CASE WHEN s.classid = 'pg_database'::regclass THEN s.objid
                          WHEN s.dbid = 0 THEN u.subdbid ELSE s.dbid END
        CROSS JOIN LATERAL (SELECT s.dbid = v_here) AS p(here)
        CROSS JOIN LATERAL (SELECT ${owned(sql`s`)}) AS o(owned)
        CROSS JOIN LATERAL (
          SELECT i.type, i.identity, coalesce(
                   CASE i.type WHEN 'schema' THEN i.name ELSE i.schema END
                     IN (${schemaNames}),
                   false
                 )
          FROM pg_identify_object(s.classid, s.objid, s.objsubid) AS i
          WHERE p.here OR s.dbid = 0
          UNION ALL
          -- Only the other database knows the names of its objects.
          SELECT CASE s.classid
                   WHEN 'pg_class'::regclass THEN 'relation'
                   WHEN 'pg_namespace'::regclass THEN 'schema'
                   WHEN 'pg_proc'::regclass THEN 'function'
                   ELSE replace(substr(s.classid::regclass::text, length('pg_') + 1), '_', ' ')
                 END, 'oid ' || s.objid, false
          WHERE NOT (p.here OR s.dbid = 0)
        ) AS i(type, identity, is_ours)
        -- Before 15, predefined roles have a row without an object.
        WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = ${role_oid} AND s.deptype <> 'p';
    END
  `;
}

/**
 * The privileges that DROP OWNED does not revoke, by object, as the statements that revoke them
 *
 * DROP OWNED revokes what the owner granted if the role that runs it has the rights of the owner, and otherwise what
 * that role itself granted. Here that role is the caller.
 * @volatility stable
 */
export function left_by_drop_owned(
  role_oid: Oid,
): Table<{ classid: Oid; objid: Oid; objsubid: Integer; remedy: Text }> {
  return sql`
    DECLARE
      v_caller oid := ${caller};
    BEGIN
      RETURN QUERY
        WITH entry AS MATERIALIZED (
          SELECT e.* FROM rolecall_internal.acl_entries(${role_oid}) AS e
        )
        SELECT l.classid, l.objid, l.objsubid, string_agg(l.statement, '; ' ORDER BY l.statement)
        FROM (
          SELECT e.classid, e.objid, e.objsubid, format(
                   'SET ROLE %I; REVOKE %s ON %s %s FROM %I%s; RESET ROLE', pg_get_userbyid(e.grantor),
                   string_agg(concat(e.privilege, ' (' || e.part || ')'), ', ' ORDER BY e.privilege),
                   e.kind, e.object, pg_get_userbyid(e.grantee), CASE WHEN bool_or(e.is_grantable) THEN ' CASCADE' END
                 ) AS statement
          FROM entry AS e
          WHERE e.grantee = ${role_oid} AND e.grantor <> CASE
              WHEN pg_has_role(e.owner, 'USAGE') THEN e.owner
              ELSE v_caller
            END
            -- On a column, the grantor may have granted by its grant option on the table.
            OR e.grantor = ${role_oid} AND e.grantee <> 0 AND NOT EXISTS (
              SELECT FROM entry AS o
              WHERE o.grantee = e.grantor AND o.is_grantable AND o.privilege = e.privilege
                AND o.classid = e.classid AND o.objid = e.objid AND o.objsubid = e.objsubid
            )
          GROUP BY e.classid, e.objid, e.objsubid, e.kind, e.object, e.grantor, e.grantee
        ) AS l
        GROUP BY l.classid, l.objid, l.objsubid;
    END
  `;
}

/**
 * What keeps a role from being dropped, in every database of the cluster, and the statement that clears it there
 *
 * cleared_by is the step that clears it from this database: reassign_owned if it is reassigned, drop_owned if it is
 * dropped, or if privileges are revoked after the rest was reassigned; null: no step.
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
    BEGIN
      RETURN QUERY
        WITH found AS MATERIALIZED (
          SELECT d.* FROM rolecall_internal.depending(${role_oid}) AS d
        ),
        owning AS (
          SELECT f.database FROM found AS f WHERE f.is_reassignable AND NOT f.is_shared GROUP BY 1
        ),
        -- Before 16 the server does not record dependencies between memberships, and a membership has no oid.
        given AS (
          SELECT (to_jsonb(e) ->> 'oid')::oid AS oid, format('%I in %I', m.member, m.role) AS object,
                 format('REVOKE %I FROM %I GRANTED BY %s CASCADE', m.role, m.member, v_name) AS remedy
          FROM pg_auth_members AS e
          CROSS JOIN LATERAL (SELECT pg_get_userbyid(e.member), pg_get_userbyid(e.roleid)) AS m(member, role)
          WHERE e.grantor = ${role_oid} AND ${role_oid} NOT IN (e.member, e.roleid)
            AND EXISTS (SELECT FROM found AS f WHERE f.classid = 'pg_auth_members'::regclass)
        ),
        judged AS (
          SELECT f.*, g.object AS membership, f.how <> 'o' AND NOT (f.is_here OR f.is_shared) AS is_far,
                 CASE WHEN f.is_ours AND f.how = 'a'
                        THEN format('SELECT rolecall.remove_operator(%L)', pg_get_userbyid(${role_oid}))
                      ELSE coalesce(g.remedy, l.remedy) END AS remedy,
                 CASE WHEN ${reassigns} AND f.is_reassignable AND (f.is_shared OR f.is_here) THEN 'reassign_owned'
                      WHEN (f.is_here OR (f.is_shared AND f.how <> 'o')) AND (${drops} OR ${reassigns})
                           AND l.remedy IS NULL THEN 'drop_owned' END AS cleared_by
          FROM found AS f
          LEFT JOIN given AS g ON g.oid = f.objid AND f.classid = 'pg_auth_members'::regclass
          LEFT JOIN rolecall_internal.left_by_drop_owned(${role_oid}) AS l
            ON l.classid = f.classid AND l.objid = f.objid AND l.objsubid = f.objsubid AND f.how = 'a'
               AND (f.is_here OR f.is_shared)
          -- A membership that the role granted to itself ends with the role.
          WHERE f.classid <> 'pg_auth_members'::regclass OR g.oid IS NOT NULL
        )
        SELECT j.database, k.kind, ${listed(sql`k.object`)}, k.remedy, j.cleared_by
        FROM judged AS j
        LEFT JOIN owning AS o ON o.database = j.database AND NOT j.is_shared
        CROSS JOIN LATERAL (
          SELECT CASE WHEN j.is_ours AND j.how = 'a' THEN 'operator'
                      WHEN j.is_ours THEN 'initial privileges on extension'
                      WHEN j.membership IS NOT NULL THEN 'membership'
                      WHEN j.type = 'default acl' THEN 'default privileges'
                      WHEN j.how = 'a' THEN 'privileges on ' || j.type
                      WHEN j.how = 'i' THEN 'initial privileges on ' || j.type
                      ELSE j.type END,
                 CASE WHEN j.is_ours THEN ${text(schemas.public)} ELSE coalesce(j.membership, j.identity) END,
                 coalesce(j.remedy, CASE
                   WHEN j.is_shared AND j.how = 'o'
                     THEN format('ALTER %s %s OWNER TO ${plainOwner}', upper(j.type COLLATE "C"), j.identity)
                   WHEN j.is_shared THEN format(
                     'REVOKE ALL ON %s %s FROM %s CASCADE',
                     CASE j.type WHEN 'parameter ACL' THEN 'PARAMETER' ELSE upper(j.type COLLATE "C") END,
                     j.identity, v_name
                   )
                   WHEN j.is_reassignable THEN format('REASSIGN OWNED BY %s TO ${plainOwner}', v_name)
                   -- DROP OWNED would drop the objects that the role still owns.
                   ELSE concat_ws('; ',
                     CASE WHEN o.database IS NOT NULL THEN format('REASSIGN OWNED BY %s TO ${plainOwner}', v_name) END,
                     format('DROP OWNED BY %s', v_name)
                   )
                 END)
        ) AS k(kind, object, remedy)
        -- One row for objects that are the same here, or have no name here.
        GROUP BY j.database, k.kind, k.remedy, j.cleared_by, CASE WHEN NOT j.is_far THEN k.object END;
    END
  `;
}

/**
 * What keeps a role from being dropped and no step clears, one line per database, and what others would lose
 * @volatility stable
 */
export function blocking(role_oid: Oid, reassigns: Bool, drops: Bool): Returns<Text> {
  return sql`
    DECLARE
      v_objects text;
      v_losses text;
    BEGIN
      v_objects := (
        WITH found AS MATERIALIZED (
          SELECT d.* FROM rolecall_internal.dependencies(${role_oid}, ${reassigns}, ${drops}) AS d
          WHERE d.cleared_by IS NULL
        ),
        kind AS (
          SELECT f.database,
                 format('%s (%s)', f.kind, ${listed(sql`f.object`)}) AS objects
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
      IF NOT ${drops} THEN
        v_losses := (
          SELECT array_to_string((array_agg(g.statement))[1:${shown}], '; ')
          FROM rolecall_internal.plan_regrants(${role_oid}, ${reassigns}) AS g WHERE g.sqlstate IS NOT NULL
        );
      END IF;
      RETURN concat_ws(
        E'\n', v_objects, 'Others lose what the role granted, unless it is granted again first: ' || v_losses
      );
    END
  `;
}
