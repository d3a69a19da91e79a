/**
 * What differs about the settings of roles.
 */
import type { ChangeRow, Jsonb, SetOf } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * Settings of a role that differ, and settings for single databases that would override them
 * @volatility stable
 * @probes
 */
export function plan_settings(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_here oid := (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
    BEGIN
      RETURN QUERY
        SELECT 'set_config', s.role, c.statement, NULL::text, ARRAY[s.role], NULL::text, NULL::text
        FROM ROWS FROM (jsonb_to_recordset(${resources}) AS (role text, name text, value jsonb, here boolean))
             WITH ORDINALITY AS s(role, name, value, here, position)
        CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(s.role))::oid AS role_oid) AS o
        CROSS JOIN LATERAL (
          -- A list of names is stored, and written, as quoted identifiers; any other value as one literal.
          SELECT CASE jsonb_typeof(s.value)
                   WHEN 'array' THEN (
                     SELECT string_agg(quote_ident(e.name), ', ' ORDER BY e.position)
                     FROM jsonb_array_elements_text(s.value) WITH ORDINALITY AS e(name, position)
                   )
                   ELSE s.value #>> '{}'
                 END AS stored
        ) AS v
        CROSS JOIN LATERAL (
          SELECT 1, NULL::name,
                 format('ALTER ROLE %I%s SET %I = %s', s.role,
                        CASE WHEN s.here THEN format(' IN DATABASE %I', current_database()) END, s.name,
                        CASE WHEN s.value = '[""]' THEN '''''' -- which is how an empty list is written
                             WHEN jsonb_typeof(s.value) = 'array' THEN v.stored
                             ELSE quote_literal(v.stored) END)
          WHERE NOT EXISTS (
            SELECT FROM pg_db_role_setting AS p
            WHERE p.setdatabase = CASE WHEN s.here THEN v_here ELSE 0 END AND p.setrole = o.role_oid
              AND (s.name || '=' || v.stored) = ANY (p.setconfig)
          )
          UNION ALL
          SELECT 2, d.datname, format('ALTER ROLE %I IN DATABASE %I RESET %I', s.role, d.datname, s.name)
          FROM pg_db_role_setting AS p
          JOIN pg_database AS d ON d.oid = p.setdatabase
          WHERE p.setrole = o.role_oid AND s.here IS NULL
            AND EXISTS (
              SELECT FROM unnest(p.setconfig) AS e(entry)
              WHERE starts_with(e.entry, s.name || '=') AND e.entry <> s.name || '=' || v.stored
            )
        ) AS c(kind, database, statement)
        ORDER BY s.position, c.kind, c.database;
    END
  `;
}
