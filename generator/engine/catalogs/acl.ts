/**
 * The ACLs in which a role occurs, as grantee or as grantor, taken apart.
 */
import type { Bool, Integer, Oid, Table, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { grantableObjects, parameterPrivileges } from './grantable.ts';
import { thisDatabase } from './server.ts';

/**
 * Every entry of the ACLs in which a role occurs: those of objects that it does not own, in this database and shared
 * ones
 *
 * The ACL of a column comes with that of its table, because grant options on the table count for the columns too.
 * @volatility stable
 * @probes
 */
export function acl_entries(role_oid: Oid): Table<{
  classid: Oid;
  objid: Oid;
  objsubid: Integer;
  kind: Text;
  object: Text;
  part: Text;
  owner: Oid;
  grantor: Oid;
  grantee: Oid;
  privilege: Text;
  is_grantable: Bool;
}> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH held AS MATERIALIZED (
          SELECT DISTINCT d.classid, d.objid, s.objsubid
          FROM pg_shdepend AS d
          CROSS JOIN LATERAL (VALUES (0), (d.objsubid)) AS s(objsubid)
          WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = ${role_oid} AND d.deptype = 'a'
            AND d.dbid IN (0, ${thisDatabase})
        ),
        object AS (
          SELECT h.*, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, c.oid::regclass::text AS object,
                 NULL::text AS part, c.relowner AS owner, c.relacl AS acl
          FROM held AS h
          JOIN pg_class AS c ON h.classid = 'pg_class'::regclass AND c.oid = h.objid
          WHERE h.objsubid = 0
          UNION ALL
          SELECT h.*, 'TABLE', c.oid::regclass::text, quote_ident(a.attname), c.relowner, a.attacl
          FROM held AS h
          JOIN pg_class AS c ON h.classid = 'pg_class'::regclass AND c.oid = h.objid
          JOIN pg_attribute AS a ON a.attrelid = h.objid AND a.attnum = h.objsubid
          WHERE h.objsubid <> 0
          UNION ALL
          SELECT h.*, 'ROUTINE', f.oid::regprocedure::text, NULL, f.proowner, f.proacl
          FROM held AS h
          JOIN pg_proc AS f ON h.classid = 'pg_proc'::regclass AND f.oid = h.objid
          UNION ALL
          SELECT h.*, 'TYPE', y.oid::regtype::text, NULL, y.typowner, y.typacl
          FROM held AS h
          JOIN pg_type AS y ON h.classid = 'pg_type'::regclass AND y.oid = h.objid
          UNION ALL
          SELECT h.*, g.kind, g.object, NULL, g.owner, g.acl
          FROM held AS h
          JOIN (
            ${grantableObjects}
          ) AS g ON g.classid = h.classid AND g.oid = h.objid
        )
        SELECT o.classid, o.objid, o.objsubid, o.kind, o.object, o.part, o.owner,
               x.grantor, x.grantee, x.privilege_type, x.is_grantable
        FROM object AS o
        CROSS JOIN LATERAL aclexplode(o.acl) AS x
        UNION ALL
        SELECT h.classid, h.objid, 0, 'PARAMETER', i.identity, NULL, 10::oid, -- the bootstrap superuser
               x.grantor, x.grantee, x.privilege_type, x.is_grantable
        FROM held AS h
        CROSS JOIN LATERAL pg_identify_object(h.classid, h.objid, 0) AS i
        JOIN ${parameterPrivileges(sql`x`)}
          ON x.parameter = i.identity
        WHERE h.classid = to_regclass('pg_catalog.pg_parameter_acl');
    END
  `;
}
