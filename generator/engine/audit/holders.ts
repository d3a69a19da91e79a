/**
 * The roles that have a privilege on one object, and how.
 */
import { kindRows, objectsOfKinds, privilegesOfKinds } from '../../model/kinds.ts';
import type { Bool, Integer, Oid, Returns, Table, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { serverVersion } from '../catalogs/server.ts';

/**
 * The object that a name as in SQL means: a function, a table or sequence, a column, a schema, or a database
 * @volatility stable
 */
export function named_object(name: Text): Table<{ kind: Text; object_oid: Oid; attnum: Integer }> {
  return sql`
    DECLARE
      v_parts text[];
    BEGIN
      IF strpos(${name}, '(') > 0 THEN
        RETURN QUERY SELECT 'function', o.oid, NULL::integer
          FROM (SELECT rolecall_internal.object_in_schema('function', ${name})) AS o(oid) WHERE o.oid IS NOT NULL;
        RETURN;
      END IF;
      v_parts := parse_ident(${name});
      RETURN QUERY
        SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, c.oid, a.attnum::integer
        FROM pg_namespace AS n
        JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = v_parts[2]
          AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = v_parts[3] AND NOT a.attisdropped
        WHERE n.nspname = v_parts[1] AND CASE cardinality(v_parts) WHEN 2 THEN true WHEN 3 THEN a.attnum IS NOT NULL END
        UNION ALL
        SELECT 'schema', n.oid, NULL FROM pg_namespace AS n
        WHERE cardinality(v_parts) = 1 AND n.nspname = v_parts[1]
        UNION ALL
        SELECT 'database', d.oid, NULL FROM pg_database AS d
        WHERE cardinality(v_parts) = 1 AND d.datname = v_parts[1]
          AND NOT EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = v_parts[1]);
    END
  `;
}

/**
 * The roles that have a privilege on an object themselves, including PUBLIC (0), and the grantors; for a predefined
 * role, which has it without a grant, none
 * @long one SELECT for each kind of object
 * @volatility stable
 */
export function privilege_holders(
  kind: Text,
  object_oid: Oid,
  attnum: Integer,
  privilege: Text,
): Table<{ holder: Oid; grantor: Oid; owner: Oid }> {
  return sql`
    DECLARE
      -- Only superusers write to catalogs, whatever others are granted on a whole one.
      v_refused boolean := ${kind} = 'table' AND ${object_oid} < 12000
        AND ${privilege} IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE');
    BEGIN
      RETURN QUERY
        SELECT x.grantee, x.grantor, o.owner
        FROM (
          ${objectsOfKinds(sql`ARRAY[privilege_holders.kind]`)}
        ) AS o
        JOIN ${kindRows} USING (kind)
        CROSS JOIN LATERAL (
          SELECT * FROM aclexplode(coalesce(o.acl, acldefault(k.letter, o.owner))) WHERE NOT v_refused
          UNION ALL
          SELECT e.* FROM pg_attribute AS a CROSS JOIN LATERAL aclexplode(a.attacl) AS e
          WHERE privilege_holders.kind = 'table' AND a.attrelid = o.oid AND a.attnum = ${attnum}
        ) AS x
        WHERE o.kind = privilege_holders.kind AND o.oid = ${object_oid}
          AND x.privilege_type = privilege_holders.privilege
        UNION ALL
        SELECT r.oid, NULL, NULL FROM pg_roles AS r
        JOIN (VALUES ('pg_read_all_data', 'table', 'SELECT'), ('pg_read_all_data', 'sequence', 'SELECT'),
                     ('pg_read_all_data', 'schema', 'USAGE'), ('pg_write_all_data', 'schema', 'USAGE'),
                     ('pg_write_all_data', 'table', 'INSERT'), ('pg_write_all_data', 'table', 'UPDATE'),
                     ('pg_write_all_data', 'table', 'DELETE'), ('pg_write_all_data', 'sequence', 'UPDATE'),
                     ('pg_maintain', 'table', 'MAINTAIN')) AS p(role, kind, privilege) ON p.role = r.rolname
        WHERE p.kind = privilege_holders.kind AND p.privilege = privilege_holders.privilege AND NOT v_refused;
    END
  `;
}

/**
 * Whether a kind of object, or a column of a table, has a privilege of that name on this server
 * @volatility stable
 */
export function has_such_privilege(kind: Text, privilege: Text): Returns<Bool> {
  return sql`
    DECLARE
      v_kinds jsonb := ${privilegesOfKinds};
    BEGIN
      RETURN coalesce(
        (v_kinds -> ${kind} ->> ${privilege})::integer
          <= ${serverVersion}, false
      );
    END
  `;
}
