/**
 * Resolves the entries of a list of withheld tables.
 */
import type { Bool, ChangeRow, Integer, Jsonb, Nothing, Oid, SetOf, Table, Text, Withheld } from '../../model/types.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import { conditions } from '../../sql/conditions.ts';
import { type Sql, sql, text } from '../../sql/template.ts';

/**
 * The meanings of an entry: a path to a table, or to a column of one. What exists decides; an entry that is the name
 * of both a table and a column withholds both.
 */
export const meanings = (entry: Sql) => sql`
  SELECT i.parts AS path, NULL::name AS column_name
  FROM (SELECT parse_ident(${entry})) AS i(parts) WHERE cardinality(i.parts) <= 2
  UNION ALL
  SELECT i.parts[:cardinality(i.parts) - 1], i.parts[cardinality(i.parts)]::name
  FROM (SELECT parse_ident(${entry})) AS i(parts) WHERE cardinality(i.parts) > 1
`;

/** Whether definitions of reporting roles withhold anything. */
export const withholdAny = (resources: Sql) => sql`jsonb_path_exists(${resources}, '$[*].withheld[*]')`;

/** The name of the table at the end of a path. */
export const tableOf = (path: Sql) => sql`${path}[cardinality(${path})]`;

/** Whether a path leads to a table of that schema; one without a schema leads to a table in each. */
export const isOfSchema = (path: Sql, schema: Sql) =>
  sql`(cardinality(${path}) = 1 OR ${path}[cardinality(${path}) - 1] = ${schema})`;

/** The present name of a remembered column; null: the whole table, also if the column can no longer be identified. */
export const rememberedColumn = (known: Sql) => sql`
  SELECT a.attname FROM pg_attribute AS a
  WHERE ${known}.number <> 0 AND a.attrelid = ${known}.relation
    AND CASE WHEN ${known}.table_oid = ${known}.relation::oid THEN a.attnum = ${known}.number
             ELSE a.attname = ${known}.column_name AND NOT a.attisdropped END
  LIMIT 1
`;

/** Whether an entry is the one by which something is remembered, with or without the schema, in any spelling. */
const isSameEntry = (known: Sql, entry: Sql) => sql`(
  ${known}.name = ${entry} OR EXISTS (
    SELECT FROM (SELECT parse_ident(${known}.name), parse_ident(${entry})) AS i(was, parts)
    CROSS JOIN LATERAL (SELECT least(cardinality(i.was), cardinality(i.parts))) AS l(shorter)
    WHERE i.was[cardinality(i.was) - l.shorter + 1:] = i.parts[cardinality(i.parts) - l.shorter + 1:]
      AND (${known}.number = 0 OR l.shorter > 1)
  )
)`;

const byOwnership = (d: Sql) => sql`
  ${d}.classid = 'pg_class'::regclass AND ${d}.refclassid = 'pg_class'::regclass AND ${d}.deptype IN ('a', 'i')
`;

/**
 * What is withheld together with a table, or a column of it: its children, which contain its rows, and the sequences
 * that belong to it.
 */
export const belongings = (table: Sql, column: Sql) => sql`
  SELECT i.inhrelid AS oid, ${column} AS column_name FROM pg_inherits AS i WHERE i.inhparent = ${table}
  UNION ALL
  SELECT d.objid, NULL
  FROM pg_depend AS d
  JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
  WHERE d.refobjid = ${table} AND (${column} IS NULL OR ${column} = (
    SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = d.refobjid AND a.attnum = d.refobjsubid LIMIT 1
  ))
    AND ${byOwnership(sql`d`)}
`;

/** The reverse: the parents with which a table or a sequence is withheld. A sequence belongs to one column. */
export const belongsTo = (table: Sql) => sql`
  SELECT i.inhparent AS parent, NULL::name AS column_name FROM pg_inherits AS i WHERE i.inhrelid = ${table}
  UNION ALL
  SELECT d.refobjid, (
    SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = d.refobjid AND a.attnum = d.refobjsubid LIMIT 1
  )
  FROM pg_depend AS d
  JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
  WHERE d.objid = ${table}
    AND ${byOwnership(sql`d`)}
`;

/**
 * The tables and columns that the entries of each resource mean; named: whether they have that name now, or had it once
 *
 * A column is given by name, and may be missing; null: the whole table is withheld.
 * @volatility stable
 * @probes
 * @rows 10
 */
export function meant(
  resources: Jsonb,
): Table<{ number: Integer; role: Text; entry: Text; table_oid: Oid; column_name: Text; named: Bool }> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH listed AS (
          SELECT t.position::integer AS position, t.role, t.schemas, w.name
          FROM ROWS FROM (jsonb_to_recordset(${resources}) AS (role text, schemas jsonb, withheld jsonb))
               WITH ORDINALITY AS t(role, schemas, withheld, position)
          CROSS JOIN LATERAL jsonb_array_elements_text(t.withheld) AS w(name)
        )
        SELECT l.position, l.role, l.name, c.oid, m.column_name::text, true
        FROM listed AS l
        CROSS JOIN LATERAL (
          ${meanings(sql`l.name`)}
        ) AS m
        CROSS JOIN LATERAL (
          SELECT n.oid, n.relnamespace FROM pg_class AS n WHERE n.relname = ${tableOf(sql`m.path`)} OFFSET 0
        ) AS c
        CROSS JOIN LATERAL (SELECT n.nspname FROM pg_namespace AS n WHERE n.oid = c.relnamespace OFFSET 0) AS n
        WHERE l.schemas ? n.nspname::text
          AND ${isOfSchema(sql`m.path`, sql`n.nspname`)}
        UNION ALL
        SELECT l.position, l.role, l.name, k.relation::oid, (
                 ${rememberedColumn(sql`k`)}
               )::text, false
        FROM listed AS l
        JOIN rolecall_internal.withheld AS k
          ON k.role = l.role AND ${isSameEntry(sql`k`, sql`l.name`)};
    END
  `;
}

/**
 * The tables and columns that each entry of each resource withholds, and what belongs to them; named: whether the
 * entry is the present name, or was the name once
 *
 * The number of a column is 0, and its name null, where the whole table is withheld.
 * @volatility stable
 * @probes
 * @rows 10
 */
export function withheld_tables(resources: Jsonb): Table<{
  number: Integer;
  role: Text;
  entry: Text;
  table_oid: Oid;
  column_number: Integer;
  column_name: Text;
  named: Bool;
}> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH RECURSIVE found AS (
          SELECT m.number, m.role, m.entry, m.table_oid, m.column_name, m.named
          FROM rolecall_internal.meant(${resources}) AS m
          UNION
          -- Its partitions contain its rows, and its sequences tell how many there are.
          SELECT f.number, f.role, f.entry, b.oid, b.column_name, f.named
          FROM found AS f
          CROSS JOIN LATERAL (
            ${belongings(sql`f.table_oid`, sql`f.column_name`)}
          ) AS b
        )
        SELECT f.number, f.role, f.entry, f.table_oid, coalesce(a.attnum, 0)::integer, f.column_name, bool_or(f.named)
        FROM found AS f
        LEFT JOIN LATERAL (
          SELECT a.attnum FROM pg_attribute AS a
          WHERE a.attrelid = f.table_oid AND a.attname = f.column_name AND a.attnum > 0 AND NOT a.attisdropped
          OFFSET 0
        ) AS a ON true
        WHERE f.column_name IS NULL OR a.attnum IS NOT NULL
        GROUP BY f.number, f.role, f.entry, f.table_oid, a.attnum, f.column_name;
    END
  `;
}

/**
 * A skipped step for each table or column that is withheld under a name which is no longer its own, until the list
 * says what it means
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
          SELECT f.number, f.role, f.table_oid, f.column_name, min(f.entry) AS entry
          FROM rolecall_internal.withheld_tables(${resources}) AS f
          GROUP BY f.number, f.role, f.table_oid, f.column_name
          HAVING NOT bool_or(f.named)
        ) AS w
        JOIN pg_class AS c ON c.oid = w.table_oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (
          SELECT concat(format('%I.%I', n.nspname, c.relname), '.' || quote_ident(w.column_name))
        ) AS t(name)
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
 * Remembers the tables and columns that resources withhold, so that they stay withheld under other names while the
 * entry is in the list
 * @probes
 */
export function remember_withheld(resources: Jsonb): Nothing {
  return sql`
    DECLARE
      v_wanted rolecall_internal.withheld[] := '{}'::rolecall_internal.withheld[];
      v_present rolecall_internal.withheld[];
    BEGIN
      -- A call that may not write gets here only if nothing else differs; the next call remembers it.
      IF current_setting('transaction_read_only')::boolean THEN
        RETURN;
      END IF;
      v_present := ARRAY(
        SELECT k FROM rolecall_internal.withheld AS k
        WHERE k.role IN (SELECT r ->> 'role' FROM jsonb_array_elements(${resources}) AS r)
      );
      IF ${withholdAny(resources)} THEN
        v_wanted := ARRAY(
          SELECT ROW(
                   w.role, w.entry, w.table_oid, w.column_number, w.column_name, w.table_oid
                 )::rolecall_internal.withheld
          FROM rolecall_internal.withheld_tables(${resources}) AS w
          JOIN pg_class AS c ON c.oid = w.table_oid AND c.relkind <> 'S'
        );
      ELSIF cardinality(v_present) = 0 THEN
        RETURN;
      END IF;
      PERFORM rolecall_internal.replace_withheld(v_present, v_wanted);
    END
  `;
}

/**
 * Replaces what is remembered as withheld
 * @probes
 */
export function replace_withheld(present: Withheld, wanted: Withheld): Nothing {
  return sql`
    DECLARE
      v_new rolecall_internal.withheld[] := ARRAY(
        SELECT unnest(${wanted}) EXCEPT SELECT unnest(${present})
      );
      v_old rolecall_internal.withheld[] := ARRAY(
        SELECT unnest(${present}) EXCEPT SELECT unnest(${wanted})
      );
    BEGIN
      IF cardinality(v_old) > 0 THEN
        DELETE FROM rolecall_internal.withheld AS k
        USING unnest(v_old) AS o
        WHERE k.role = o.role AND k.name = o.name AND k.relation = o.relation AND k.number = o.number;
      END IF;
      IF cardinality(v_new) > 0 THEN
        INSERT INTO rolecall_internal.withheld SELECT n.* FROM unnest(v_new) AS n ON CONFLICT DO NOTHING;
      END IF;
    EXCEPTION
      WHEN ${conditions('serialization_failure')} THEN
        NULL; -- another transaction has remembered, or forgotten, the same since this one's snapshot
    END
  `;
}
