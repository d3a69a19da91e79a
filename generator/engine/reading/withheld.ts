/**
 * What the entries of a list of withheld tables mean.
 */
import type { Bool, ChangeRow, Integer, Jsonb, Nothing, Oid, SetOf, Table, Text } from '../../model/types.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import { conditions } from '../../sql/conditions.ts';
import { type Sql, sql, text } from '../../sql/template.ts';

/** The name of the table in the parts of a withheld name. */
export const tableOf = (parts: Sql) => sql`${parts}[cardinality(${parts})]`;

/** Whether the parts of a withheld name mean a table of that schema; a name without a schema means one in each. */
export const isOfSchema = (parts: Sql, schema: Sql) =>
  sql`(cardinality(${parts}) = 1 OR ${parts}[cardinality(${parts}) - 1] = ${schema})`;

const byOwnership = sql`
  d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
`;

/** What is withheld with a table: its children, which hold its rows, and the sequences that belong to it. */
export const belongings = (table: Sql) => sql`
  SELECT i.inhrelid AS oid FROM pg_inherits AS i WHERE i.inhparent = ${table}
  UNION ALL
  SELECT d.objid
  FROM pg_depend AS d
  JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
  WHERE d.refobjid = ${table}
    AND ${byOwnership}
`;

/** What a table, or a sequence, is withheld with: the other way round. */
export const belongsTo = (table: Sql) => sql`
  SELECT i.inhparent AS parent FROM pg_inherits AS i WHERE i.inhrelid = ${table}
  UNION ALL
  SELECT d.refobjid
  FROM pg_depend AS d
  JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
  WHERE d.objid = ${table}
    AND ${byOwnership}
`;

/**
 * The tables that each resource withholds, and what belongs to them, by each entry; named: the entry names it, or what it
 * belongs to, as it is called now, else that was so once
 * @volatility stable
 * @probes
 */
export function withheld_tables(
  resources: Jsonb,
): Table<{ number: Integer; role: Text; entry: Text; table_oid: Oid; named: Bool }> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH RECURSIVE listed AS (
          SELECT t.position::integer AS position, t.role, t.schemas, w.name, parse_ident(w.name) AS parts
          FROM ROWS FROM (jsonb_to_recordset(${resources}) AS (role text, schemas jsonb, withheld jsonb))
               WITH ORDINALITY AS t(role, schemas, withheld, position)
          CROSS JOIN LATERAL jsonb_array_elements_text(t.withheld) AS w(name)
        ),
        seed AS (
          SELECT l.position, l.role, l.name, c.oid AS table_oid, true AS named
          FROM listed AS l
          CROSS JOIN LATERAL (
            SELECT n.oid, n.relnamespace FROM pg_class AS n WHERE n.relname = ${tableOf(sql`l.parts`)} OFFSET 0
          ) AS c
          CROSS JOIN LATERAL (SELECT n.nspname FROM pg_namespace AS n WHERE n.oid = c.relnamespace OFFSET 0) AS n
          WHERE l.schemas ? n.nspname::text
            AND ${isOfSchema(sql`l.parts`, sql`n.nspname`)}
          UNION ALL
          SELECT l.position, l.role, l.name, k.relation::oid, false
          FROM listed AS l JOIN rolecall_internal.withheld AS k ON k.role = l.role AND k.name = l.name
        ),
        found AS (
          SELECT s.* FROM seed AS s
          UNION
          -- Its partitions hold its rows, and its sequences tell how many they are.
          SELECT f.position, f.role, f.name, b.oid, f.named
          FROM found AS f
          CROSS JOIN LATERAL (
            ${belongings(sql`f.table_oid`)}
          ) AS b
        )
        SELECT f.position, f.role, f.name, f.table_oid, bool_or(f.named)
        FROM found AS f
        GROUP BY f.position, f.role, f.name, f.table_oid;
    END
  `;
}

/**
 * Tables that are withheld under a name that is no longer theirs: a skipped row for each, until the list says which it means
 * @volatility stable
 */
export function plan_renamed(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      IF NOT EXISTS (SELECT FROM rolecall_internal.withheld) THEN
        RETURN;
      END IF;
      RETURN QUERY
        SELECT 'grant_privilege', t.name,
               format('SELECT * FROM rolecall.provision_reporting_role(%L, %L, %L)',
                      w.role, r.schemas, r.withheld || t.name),
               NULL::text, '{}'::text[], ${text(sqlstates.object_not_in_prerequisite_state)},
               format('withheld as %s, which it was, or belonged to: name it among the withheld tables, '
                      'or remove %s from them', w.entry, w.entry)
        FROM (
          SELECT f.number, f.role, f.table_oid, min(f.entry) AS entry
          FROM rolecall_internal.withheld_tables(${resources}) AS f
          GROUP BY f.number, f.role, f.table_oid
          HAVING NOT bool_or(f.named)
        ) AS w
        JOIN pg_class AS c ON c.oid = w.table_oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname)) AS t(name)
        CROSS JOIN LATERAL (
          SELECT ARRAY(SELECT jsonb_array_elements_text(d.resource -> 'schemas')),
                 ARRAY(SELECT jsonb_array_elements_text(d.resource -> 'withheld'))
          FROM (SELECT ${resources} -> (w.number - 1)) AS d(resource)
        ) AS r(schemas, withheld)
        WHERE n.nspname = ANY (r.schemas)
        ORDER BY w.number, t.name COLLATE "C";
    END
  `;
}

/**
 * Remembers the tables that resources withhold, so that they stay withheld under other names while the entry is in the list
 * @probes
 */
export function remember_withheld(resources: Jsonb): Nothing {
  return sql`
    DECLARE
      v_new rolecall_internal.withheld[] := ARRAY(
        SELECT ROW(w.role, w.entry, w.table_oid)::rolecall_internal.withheld
        FROM rolecall_internal.withheld_tables(${resources}) AS w
        JOIN pg_class AS c ON c.oid = w.table_oid AND c.relkind <> 'S'
        WHERE NOT EXISTS (
          SELECT FROM rolecall_internal.withheld AS k
          WHERE k.role = w.role AND k.name = w.entry AND k.relation = w.table_oid
        )
      );
      v_old rolecall_internal.withheld[] := ARRAY(
        SELECT k
        FROM jsonb_to_recordset(${resources}) AS r(role text, withheld jsonb)
        JOIN rolecall_internal.withheld AS k ON k.role = r.role
        WHERE NOT r.withheld ? k.name OR NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = k.relation)
      );
    BEGIN
      IF cardinality(v_new) > 0 THEN
        INSERT INTO rolecall_internal.withheld SELECT n.* FROM unnest(v_new) AS n ON CONFLICT DO NOTHING;
      END IF;
      IF cardinality(v_old) > 0 THEN
        DELETE FROM rolecall_internal.withheld AS k
        USING unnest(v_old) AS o
        WHERE k.role = o.role AND k.name = o.name AND k.relation = o.relation;
      END IF;
    EXCEPTION
      WHEN ${conditions('serialization_failure')} THEN
        NULL; -- another transaction has remembered, or forgotten, the same since this one's snapshot
    END
  `;
}
