/**
 * Fragments for queries on the record, to which rows are only added, and where the newest row of a key counts.
 */
import { type Sql, sql } from '../sql/template.ts';
import { here, thisDatabase } from '../engine/catalogs/server.ts';

/** The newest record of each resource among the rows, r, that meet a condition. */
export const newest = (condition: Sql, columns = sql`r.*`): Sql => sql`(
  SELECT DISTINCT ON (r.section, r.key) ${columns}
  FROM rolecall_internal.resource AS r
  WHERE ${condition}
  ORDER BY r.section DESC, r.key DESC, r.recorded_at DESC
)`;

/** The same without the records that are refused, or no longer asked for. */
export const accepted = (condition: Sql): Sql => sql`(
  SELECT p.* FROM ${newest(condition)} AS p
  WHERE p.resource IS NOT NULL AND rolecall_internal.refusal(p::rolecall_internal.resource) IS NULL
)`;

/**
 * A row for `written()` that comes after the newest one of its key, p. The trigger signs it unless it has a
 * signature.
 */
export const row = (
  section: Sql,
  key: Sql,
  resource: Sql,
  signature = sql`NULL, NULL, NULL, NULL, NULL, NULL`,
  last = sql`p`,
): Sql => sql`
  ROW(
    ${section}, ${key}, ${resource},
    greatest(clock_timestamp(), ${last}.recorded_at + interval '1 microsecond'), gen_random_uuid(),
    ${signature}
  )::rolecall_internal.resource
`;

/** The statements that write rows, and remove what they supersede. */
export const written = (rows: Sql): readonly Sql[] => [
  sql`INSERT INTO rolecall_internal.resource SELECT n.* FROM unnest(${rows}) AS n;`,
  sql`PERFORM rolecall_internal.remove_superseded(${rows});`,
];

/**
 * The role that recorded a row. Its oid counts, because another role may have the name by now; in another database,
 * for example after a dump, the name counts.
 */
export const recorderOf = (row: Sql): Sql => sql`(CASE
  WHEN ${row}.recorder_oid IS NOT NULL AND ${row}.made_in = ${thisDatabase}
    THEN pg_get_userbyid(${row}.recorder_oid)::text
  ELSE ${row}.recorder END)`;

/** The oid of that role; null where no role has the name. */
export const recorderOid = (row: Sql): Sql => sql`
  CASE WHEN ${row}.recorder_oid IS NOT NULL AND ${row}.made_in = ${here}
    THEN ${row}.recorder_oid
    ELSE to_regrole(quote_ident(${row}.recorder))::oid END
`;

/** The signature of a row, p, that is written anew in this database, about these roles: who recorded it stays. */
export const signature = (roles: Sql): Sql => sql`
  p.recorder, p.sqlstate, p.note, ${roles}, ${thisDatabase},
  CASE p.made_in WHEN ${thisDatabase} THEN p.recorder_oid
    ELSE to_regrole(quote_ident(p.recorder))::oid END
`;
