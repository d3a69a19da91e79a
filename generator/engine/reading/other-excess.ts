/**
 * What a reporting role must not have beside privileges on tables and columns: privileges on anything else, and
 * objects that it owns.
 *
 * Privileges that write or give other rights are revoked. Privileges that reading may require are left, without the
 * grant option: USAGE on schemas, CONNECT, SELECT on large objects, and EXECUTE on functions that do no more than the
 * role itself could.
 */
import type { Bool, ChangeRow, Integer, Oid, Places, SetOf, Table, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import {
  grantableObjects,
  owned,
  parameterPrivileges,
  plainOwner,
  quotedParameter,
  revocations,
} from '../catalogs/grantable.ts';
import { thisDatabase } from '../catalogs/server.ts';
import { readers } from './tables.ts';

/**
 * Privileges that the role must not have, other than on tables, and objects that it owns, which only a new owner can
 * take from it
 *
 * Usually there are none, and one short query finds that out before the long one has to be planned.
 * @volatility stable
 */
export function plan_held_otherwise(places: Places): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_objects boolean;
      v_columns boolean;
    BEGIN
      SELECT bool_or(h.column_number = 0), bool_or(h.column_number <> 0) INTO v_objects, v_columns
      FROM rolecall_internal.held_otherwise(${places}) AS h;
      IF v_objects THEN
        RETURN QUERY SELECT * FROM rolecall_internal.plan_other_excess(${places});
      END IF;
      IF v_columns THEN
        RETURN QUERY SELECT * FROM rolecall_internal.plan_column_excess(${places});
      END IF;
    END
  `;
}

/**
 * Privileges that the role must not have on anything but tables and columns, and objects that it owns
 * @volatility stable
 * @probes
 */
export function plan_other_excess(places: Places): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH excess AS (
          SELECT e.number AS position, e.role, e.kind, e.target, e.object, e.owner, e.grantor,
                 concat(CASE WHEN e.harmless THEN 'GRANT OPTION FOR ' END,
                        string_agg(e.privilege, ', ' ORDER BY e.privilege)) AS privileges
          FROM rolecall_internal.privileges_on_objects(${places}) AS e
          WHERE e.is_grantable OR NOT e.harmless
          GROUP BY e.number, e.role, e.kind, e.target, e.object, e.owner, e.grantor, e.harmless
        ),
        revoked AS (
          ${revocations(sql`excess`)}
        ),
        possession AS (
          SELECT h.number AS position, 2, 0::bigint, 0::bigint, 'reassign_owned', h.role,
                 format('REASSIGN OWNED BY %I TO ${plainOwner}', h.role), h.role,
                 format('owns objects%s, which it can write and change: %s',
                        ' in database ' || quote_ident(d.datname), count(DISTINCT (h.classid, h.objid)))
          FROM rolecall_internal.held_otherwise(${places}) AS h
          LEFT JOIN pg_database AS d ON d.oid = h.dbid AND d.datname <> current_database()
          WHERE h.owns
            AND (d.oid IS NOT NULL
                 OR coalesce((pg_identify_object(h.classid, h.objid, 0)).schema, '') !~ '^pg_(toast_)?temp')
          GROUP BY h.number, h.role, d.datname
        )
        SELECT c.operation, c.target, c.statement, NULL::text, ARRAY[c.role],
               CASE WHEN c.note IS NOT NULL THEN '42501' END, c.note
        FROM (SELECT * FROM revoked UNION ALL SELECT * FROM possession) AS c
        ORDER BY c.position, c.phase, c.statement;
    END
  `;
}

/**
 * What the roles that are to read have beside privileges on whole tables, USAGE on schemas, and default privileges
 *
 * All of it is found from pg_shdepend, by its index on roles.
 * @volatility stable
 * @probes
 */
export function held_otherwise(places: Places): Table<{
  number: Integer;
  role: Text;
  role_oid: Oid;
  dbid: Oid;
  classid: Oid;
  objid: Oid;
  column_number: Integer;
  owns: Bool;
}> {
  return sql`
    DECLARE
      v_here oid := ${thisDatabase};
    BEGIN
      RETURN QUERY
        SELECT t.position::integer, t.role, t.role_oid, d.dbid, d.classid, d.objid, d.objsubid, d.deptype = 'o'
        FROM (
          ${readers(places)}
        ) AS t
        CROSS JOIN LATERAL (
          SELECT d.* FROM pg_shdepend AS d
          WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = t.role_oid
            AND (d.classid <> 'pg_class'::regclass OR d.deptype <> 'a' OR d.objsubid <> 0)
          OFFSET 0 -- Otherwise it would become a join, which reads the rows of every role of the cluster.
        ) AS d
        WHERE (${owned(sql`d`)})
           OR (d.deptype = 'a' AND d.dbid IN (0, v_here) AND CASE d.classid
                 WHEN 'pg_default_acl'::regclass THEN false
                 WHEN 'pg_namespace'::regclass THEN EXISTS (
                   SELECT FROM pg_namespace AS n CROSS JOIN LATERAL aclexplode(n.nspacl) AS x
                   WHERE n.oid = d.objid AND x.grantee = d.refobjid AND (x.privilege_type <> 'USAGE' OR x.is_grantable)
                 )
                 ELSE true
               END);
    END
  `;
}

/**
 * The privileges that the roles that are to read have on objects other than tables, and on parameters
 *
 * EXECUTE is harmless except on a function that runs as its owner, reaches out of the database, or is kept from PUBLIC.
 * @volatility stable
 * @probes
 */
export function privileges_on_objects(places: Places): Table<{
  number: Integer;
  role: Text;
  kind: Text;
  target: Text;
  object: Text;
  owner: Oid;
  grantor: Oid;
  privilege: Text;
  is_grantable: Bool;
  harmless: Bool;
}> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH held AS MATERIALIZED (
          SELECT h.* FROM rolecall_internal.held_otherwise(${places}) AS h
          WHERE NOT h.owns AND h.column_number = 0
        ),
        object AS (
          SELECT h.number, h.role, h.role_oid, g.kind,
                 CASE g.kind WHEN 'LARGE OBJECT' THEN 'large objects' ELSE g.object END AS target,
                 g.object, g.owner, g.acl, g.harmless
          FROM held AS h
          JOIN (
            ${grantableObjects}
          ) AS g ON g.classid = h.classid AND g.oid = h.objid
          UNION ALL
          SELECT h.number, h.role, h.role_oid, 'TYPE', n.nspname, y.oid::regtype::text, y.typowner, y.typacl, NULL
          FROM held AS h
          JOIN pg_type AS y ON h.classid = 'pg_type'::regclass AND y.oid = h.objid
          JOIN pg_namespace AS n ON n.oid = y.typnamespace
          UNION ALL
          SELECT h.number, h.role, h.role_oid, 'ROUTINE', n.nspname, f.oid::regprocedure::text, f.proowner, f.proacl,
                 CASE WHEN NOT f.prosecdef AND (l.lanpltrusted OR l.lanname IN ('internal', 'c')) AND NOT EXISTS (
                   SELECT FROM pg_init_privs AS i
                   WHERE i.classoid = h.classid AND i.objoid = f.oid
                     AND NOT EXISTS (SELECT FROM aclexplode(i.initprivs) AS x WHERE x.grantee = 0)
                 ) THEN 'EXECUTE' END
          FROM held AS h
          JOIN pg_proc AS f ON h.classid = 'pg_proc'::regclass AND f.oid = h.objid
          JOIN pg_language AS l ON l.oid = f.prolang
          JOIN pg_namespace AS n ON n.oid = f.pronamespace
        )
        SELECT o.number, o.role, o.kind || ' ', o.target::text, o.object, o.owner, x.grantor,
               x.privilege_type, x.is_grantable, coalesce(x.privilege_type = o.harmless, false)
        FROM object AS o
        CROSS JOIN LATERAL aclexplode(o.acl) AS x
        WHERE x.grantee = o.role_oid AND x.grantee <> o.owner
        UNION ALL
        SELECT t.position::integer, t.role, 'PARAMETER ', x.parameter, ${quotedParameter(sql`x.parameter`)}, 10, x.grantor, x.privilege_type,
               x.is_grantable, false
        FROM ${parameterPrivileges(sql`x`)}
        JOIN (
          ${readers(places)}
        ) AS t ON t.role_oid = x.grantee;
    END
  `;
}
