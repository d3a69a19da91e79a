/**
 * The objects of an installation as the catalogs have them, to compare two ways of making them.
 */
import type { Client } from 'pg';

/**
 * Every object of the three schemas, with triggers, constraints and indexes; but for who owns it, and who may use it.
 */
export async function objects(client: Client): Promise<unknown[]> {
  const { rows } = await client.query(`
    SELECT n.nspname || '.' || o.name AS object, o.definition, obj_description(o.oid, o.catalog) AS comment
    FROM pg_namespace AS n
    JOIN (
      SELECT p.oid, 'pg_proc' AS catalog, p.pronamespace AS namespace, p.proname AS name,
             -- Not of an aggregate, which has none, whatever the plan of the query.
             CASE WHEN p.prokind = 'f' THEN pg_get_functiondef(p.oid) END AS definition
      FROM pg_proc AS p
      UNION ALL
      SELECT c.oid, 'pg_class', c.relnamespace, c.relname, c.relkind::text || coalesce(pg_get_viewdef(c.oid), '') || (
        SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
          col_description(c.oid, a.attnum), pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attname)
        FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      )
      FROM pg_class AS c
      UNION ALL
      SELECT t.oid, 'pg_trigger', c.relnamespace, c.relname || '.' || t.tgname, pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text
      FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
      UNION ALL
      SELECT k.oid, 'pg_constraint', k.connamespace, concat_ws('.', c.relname, k.conname), pg_get_constraintdef(k.oid)
      FROM pg_constraint AS k LEFT JOIN pg_class AS c ON c.oid = k.conrelid
      UNION ALL
      SELECT i.indexrelid, 'pg_index', c.relnamespace, c.relname, pg_get_indexdef(i.indexrelid)
      FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    ) AS o ON o.namespace = n.oid
    WHERE n.nspname LIKE 'rolecall%'
    ORDER BY 1, 2, 3
  `);
  return rows;
}

/** Owner, privileges and membership in the extension, object by object; a grant counts once, whoever the grantor is. */
export async function holders(client: Client): Promise<unknown[]> {
  const { rows } = await client.query(`
    SELECT o.name AS object, o.owner::regrole::text AS owner, d.deptype AS member,
           ARRAY(
             SELECT DISTINCT concat_ws(' ', CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                                       a.privilege_type, a.is_grantable)
             FROM aclexplode(o.acl) AS a WHERE a.grantee <> o.owner ORDER BY 1
           ) AS privileges,
           array_position(e.extconfig, o.oid) IS NOT NULL AS dumped
    FROM (
      SELECT n.oid, 'pg_namespace'::regclass AS catalog, n.nspname::text AS name, n.nspowner AS owner, n.nspacl AS acl, n.nspname AS schema
      FROM pg_namespace AS n
      UNION ALL
      SELECT p.oid, 'pg_proc'::regclass, p.oid::regprocedure::text, p.proowner, p.proacl, n.nspname
      FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
      UNION ALL
      SELECT c.oid, 'pg_class'::regclass, c.oid::regclass::text, c.relowner, c.relacl, n.nspname
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v')
    ) AS o
    LEFT JOIN pg_depend AS d ON d.classid = o.catalog AND d.objid = o.oid AND d.deptype = 'e'
    LEFT JOIN pg_extension AS e ON e.oid = d.refobjid
    WHERE o.schema LIKE 'rolecall%'
    ORDER BY 1
  `);
  return rows;
}
