/**
 * The audit of several roles at once: each catalog is read once for all of them.
 */
import type { Jsonb, Oid, Oids, Table, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { isMark } from '../catalogs/server.ts';

/**
 * The definition of each role as a reporting role, what is withheld from it, and its settings with the databases that
 * they are for, all read at once
 * @volatility stable
 */
export function audited_roles(
  roles: Oids,
): Table<{ role_oid: Oid; name: Text; definition: Jsonb; withheld: Jsonb; settings: Jsonb }> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH recorded AS MATERIALIZED (
          SELECT DISTINCT p.key ->> 0 AS name FROM rolecall_internal.resource AS p WHERE p.section = 'settings'
        ),
        present AS MATERIALIZED (
          SELECT s.setrole, jsonb_agg(jsonb_build_object('entry', e.entry, 'database', d.datname)) AS entries
          FROM pg_db_role_setting AS s
          CROSS JOIN LATERAL unnest(s.setconfig) AS e(entry)
          LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
          WHERE s.setrole = ANY (${roles}) AND NOT ${isMark(sql`e.entry`)}
          GROUP BY s.setrole
        )
        SELECT r.oid, r.rolname::text, d.definition, rolecall_internal.audit_withheld(d.definition),
               coalesce(t.entries, CASE WHEN r.rolname IN (SELECT s.name FROM recorded AS s) THEN '[]' END::jsonb)
        FROM pg_roles AS r
        LEFT JOIN present AS t ON t.setrole = r.oid
        CROSS JOIN LATERAL (
          SELECT rolecall_internal.newest_record('read_access', jsonb_build_array(r.rolname)) OFFSET 0
        ) AS d(definition)
        WHERE r.oid = ANY (${roles});
    END
  `;
}

/**
 * The findings about roles, the most serious first
 *
 * A path begins with the role, so it says whose finding it is.
 * @volatility stable
 */
export function audit_findings(
  roles: Oids,
): Table<{ role: Text; severity: Text; path: Text; object: Text; detail: Text; remedy: Text }> {
  return sql`
    DECLARE
      v_principals rolecall_internal.principal[] := ARRAY(
        SELECT p FROM rolecall_internal.audit_principals(${roles}) AS p
      );
    BEGIN
      RETURN QUERY
        WITH audited AS MATERIALIZED (
          SELECT * FROM rolecall_internal.audited_roles(${roles})
        ),
        alike AS (
          SELECT a.withheld, array_agg(p) AS principals
          FROM audited AS a JOIN unnest(v_principals) AS p ON p.audited = a.role_oid
          -- With OFFSET the following is evaluated once for each group, not for each role.
          GROUP BY a.withheld OFFSET 0
        )
        SELECT a.name, f.severity, f.path, f.object, f.detail, f.remedy
        FROM (
          SELECT * FROM rolecall_internal.audit_roles(v_principals, ARRAY(
            SELECT a.role_oid FROM audited AS a WHERE jsonb_array_length(a.withheld) > 1
          ))
          UNION ALL SELECT * FROM rolecall_internal.audit_ownership(v_principals)
          UNION ALL SELECT * FROM rolecall_internal.audit_tables(v_principals)
          UNION ALL SELECT * FROM rolecall_internal.audit_columns(v_principals)
          UNION ALL SELECT * FROM rolecall_internal.audit_catalogs(v_principals)
          UNION ALL
          SELECT r.* FROM alike AS k CROSS JOIN LATERAL rolecall_internal.audit_reading(k.principals, k.withheld) AS r
          WHERE rolecall_internal.is_reachable(k.withheld)
          UNION ALL SELECT * FROM rolecall_internal.audit_functions(v_principals)
          UNION ALL SELECT * FROM rolecall_internal.audit_objects(v_principals)
          UNION ALL SELECT * FROM rolecall_internal.audit_server(v_principals)
          UNION ALL
          SELECT r.* FROM audited AS a CROSS JOIN LATERAL rolecall_internal.audit_settings(a.name, a.settings) AS r
          WHERE a.settings IS NOT NULL
          UNION ALL
          SELECT r.* FROM audited AS a
          CROSS JOIN LATERAL rolecall_internal.audit_takers(a.name, a.role_oid, a.definition) AS r
          UNION ALL
          SELECT r.*
          FROM (SELECT a.name, a.role_oid, a.definition FROM audited AS a WHERE a.definition IS NOT NULL OFFSET 0) AS a
          CROSS JOIN LATERAL (
            SELECT * FROM rolecall_internal.audit_search_path(a.name, a.role_oid, a.definition)
            UNION ALL SELECT * FROM rolecall_internal.audit_publications(a.name)
            UNION ALL SELECT * FROM rolecall_internal.audit_shards(a.name, a.role_oid, a.definition)
          ) AS r
        ) AS f
        JOIN audited AS a ON quote_ident(a.name) = substring(f.path FROM '^("(?:[^"]|"")*"|[^ ]+)')
        ORDER BY array_position('{critical,warning,info}', f.severity),
                 f.path COLLATE "C", f.object COLLATE "C", f.detail COLLATE "C";
    END
  `;
}
