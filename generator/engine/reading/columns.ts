/**
 * Differences in the privileges of reporting roles on columns.
 *
 * A table of which some columns are withheld counts as withheld: the role has no privilege on the table, but SELECT
 * on each of the other columns.
 */
import type { Bool, ChangeRow, Jsonb, Places, SetOf } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { batch, revoking } from '../catalogs/grantable.ts';
import { recorderMay, withholds } from './tables.ts';

/**
 * Missing SELECT on the other columns of tables with withheld columns, grouped by equal lists of columns
 *
 * A REVOKE of SELECT on the table, which comes first, takes what the same grantor has granted on its columns too.
 * @volatility stable
 */
export function plan_missing_columns(places: Places, missing: Jsonb, singly: Bool): SetOf<ChangeRow> {
  return sql`
    BEGIN
      IF NOT EXISTS (SELECT FROM unnest(${places}) AS p WHERE p.partial <> '{}') THEN
        RETURN;
      END IF;
      RETURN QUERY
        WITH shard AS MATERIALIZED (
          SELECT r.number, r.table_oid FROM rolecall_internal.readable_shards(${places}) AS r
        ),
        partial AS MATERIALIZED (
          SELECT p.position, p.place, p.role, p.role_oid, p.schema, p.recorder, t.columns, c.oid AS table_oid, c.relname,
                 c.relowner, c.relacl,
                 has_table_privilege(c.oid, 'SELECT WITH GRANT OPTION') AND ${recorderMay(
                   sql`p.recorder`,
                   (role) => sql`has_table_privilege(
                     ${role},
                     c.oid, 'SELECT WITH GRANT OPTION'
                   )`,
                 )} AS allowed,
                 coalesce(${missing} @> jsonb_build_array(jsonb_build_object(
                   'position', p.position, 'place', p.place, 'kind', 'TABLES', 'whole', true
                 )), false) OR EXISTS (
                   SELECT FROM shard AS s WHERE s.number = p.position AND s.table_oid = c.oid
                 ) AS whole
          FROM unnest(${places}) AS p
          CROSS JOIN LATERAL jsonb_each(p.partial) AS t(oid, columns)
          CROSS JOIN LATERAL (
            SELECT c.oid, c.relname, c.relowner, c.relacl FROM pg_class AS c WHERE c.oid = t.oid::oid OFFSET 0
          ) AS c
          WHERE c.relowner IS DISTINCT FROM p.role_oid
        ),
        lacking AS (
          SELECT p.position, p.place, p.role, p.schema, p.recorder, p.table_oid, p.relname, p.relowner, p.allowed,
                 string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
          FROM partial AS p
          CROSS JOIN LATERAL (
            SELECT a.attname, a.attnum, a.attacl FROM pg_attribute AS a
            WHERE a.attrelid = p.table_oid AND a.attnum > 0 AND NOT a.attisdropped
            OFFSET 0 -- By the index, whatever the planner thinks of the number of tables.
          ) AS a
          WHERE NOT p.columns ? a.attname::text
            -- SELECT that PUBLIC has does not count as missing if the caller cannot grant it.
            AND (p.allowed OR NOT EXISTS (
              SELECT FROM aclexplode(p.relacl || a.attacl) AS x WHERE x.grantee = 0 AND x.privilege_type = 'SELECT'
            ))
            AND (p.whole OR a.attacl IS NULL OR NOT EXISTS (
              SELECT FROM aclexplode(a.attacl) AS x
              WHERE x.grantee = p.role_oid AND x.privilege_type = 'SELECT' AND NOT EXISTS (
                SELECT FROM aclexplode(p.relacl) AS t
                WHERE t.grantee = x.grantee AND t.grantor = x.grantor AND t.privilege_type = 'SELECT'
              )
            ))
          GROUP BY p.position, p.place, p.role, p.schema, p.recorder, p.table_oid, p.relname, p.relowner, p.allowed
        ),
        part AS (
          SELECT l.*, s.single, CASE WHEN s.single THEN l.table_oid::bigint ELSE (row_number() OVER (
                   PARTITION BY l.position, l.place, l.columns, s.single ORDER BY l.relname COLLATE "C"
                 ) - 1) / ${batch} END AS part
          FROM lacking AS l
          CROSS JOIN LATERAL (SELECT ${singly} OR NOT l.allowed) AS s(single)
        )
        SELECT 'grant_privilege',
               CASE WHEN p.single THEN min(format('%I.%I', p.schema, p.relname)) ELSE p.schema END,
               format('GRANT SELECT (%s) ON %s TO %I', p.columns,
                      string_agg(format('%I.%I', p.schema, p.relname), ', ' ORDER BY p.relname COLLATE "C"), p.role),
               NULL::text, ARRAY[p.role], CASE WHEN NOT p.allowed THEN '42501' END,
               CASE WHEN NOT p.allowed
                    THEN rolecall_internal.table_refusal(min(p.table_oid), min(p.relowner), min(p.recorder)) END
        FROM part AS p
        GROUP BY p.position, p.place, p.role, p.schema, p.columns, p.allowed, p.single, p.part
        ORDER BY p.position, p.place, min(p.relname COLLATE "C");
    END
  `;
}

/**
 * Privileges on columns that a role must not have: what writes, the grant option, and SELECT where it is withheld
 * @volatility stable
 * @probes
 */
export function plan_column_excess(places: Places): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH held AS MATERIALIZED (
          SELECT h.number AS position, h.role, h.role_oid, h.objid, h.column_number
          FROM rolecall_internal.held_otherwise(${places}) AS h WHERE h.column_number <> 0
        ),
        entry AS (
          SELECT h.position, h.role, n.nspname, c.relname, c.relowner, x.grantor, x.privilege_type, r.readable,
                 string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
          FROM held AS h
          JOIN pg_attribute AS a ON a.attrelid = h.objid AND a.attnum = h.column_number
          JOIN pg_class AS c ON c.oid = a.attrelid
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL aclexplode(a.attacl) AS x
          LEFT JOIN unnest(${places}) AS p ON p.position = h.position AND p.schema_oid = c.relnamespace
          CROSS JOIN LATERAL (
            SELECT x.privilege_type = 'SELECT' AND coalesce(
              CASE WHEN p.partial ? c.oid::text THEN NOT p.partial -> c.oid::text ? a.attname::text
                   ELSE p.place IS NOT NULL AND NOT ${withholds(places, sql`p`, sql`c.oid`)} END, false
            )
          ) AS r(readable)
          WHERE x.grantee = h.role_oid AND x.grantee <> c.relowner AND (x.is_grantable OR NOT r.readable)
          GROUP BY h.position, h.role, n.nspname, c.oid, c.relname, c.relowner, x.grantor, x.privilege_type, r.readable
        ),
        excess AS (
          SELECT e.position, e.role, '' AS kind, e.nspname AS target, format('%I.%I', e.nspname, e.relname) AS object,
                 e.relowner AS owner, e.grantor,
                 concat(CASE WHEN e.readable THEN 'GRANT OPTION FOR ' END,
                        string_agg(format('%s (%s)', e.privilege_type, e.columns), ', ' ORDER BY e.privilege_type)
                       ) AS privileges
          FROM entry AS e
          GROUP BY e.position, e.role, e.nspname, e.relname, e.relowner, e.grantor, e.readable
        )
        ${revoking(sql`excess`)};
    END
  `;
}
