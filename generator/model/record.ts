/**
 * What is remembered: rows are only added, and the newest of a key counts.
 */
import { type Sql, sql } from '../sql/template.ts';
import { thisDatabase } from '../engine/catalogs/server.ts';

/** The newest record of each resource, of those that a condition on the rows, r, holds for. */
export const newest = (condition: Sql, columns = sql`r.*`): Sql => sql`(
  SELECT DISTINCT ON (r.section, r.key) ${columns}
  FROM rolecall_internal.resource AS r
  WHERE ${condition}
  ORDER BY r.section DESC, r.key DESC, r.recorded_at DESC
)`;

/** The same without those that are no longer asked for, and those that are refused. */
export const accepted = (condition: Sql): Sql => sql`(
  SELECT p.* FROM ${newest(condition)} AS p
  WHERE p.resource IS NOT NULL AND rolecall_internal.refusal(p::rolecall_internal.resource) IS NULL
)`;

/** A row that comes after the newest one of its key, p, for `written()`. Without a signature of its own the trigger signs it. */
export const row = (
  section: Sql,
  key: Sql,
  resource: Sql,
  signature = sql`NULL, NULL, NULL, NULL, NULL, NULL`,
): Sql => sql`
  ROW(
    ${section}, ${key}, ${resource},
    greatest(clock_timestamp(), p.recorded_at + interval '1 microsecond'), gen_random_uuid(),
    ${signature}
  )::rolecall_internal.resource
`;

/** The statements that write rows, and remove what they supersede. */
export const written = (rows: Sql): readonly Sql[] => [
  sql`INSERT INTO rolecall_internal.resource SELECT n.* FROM unnest(${rows}) AS n;`,
  sql`PERFORM rolecall_internal.remove_superseded(${rows});`,
];

/** Who recorded a row, by its oid: another role may have the name by now. In another database, as after a dump, the name counts. */
export const recorderOf = (row: Sql): Sql => sql`(CASE
  WHEN ${row}.recorder_oid IS NOT NULL AND ${row}.made_in = ${thisDatabase}
    THEN pg_get_userbyid(${row}.recorder_oid)::text
  ELSE ${row}.recorder END)`;

/** The signature of a row, p, that is written anew in this database, about these roles: who recorded it stays. */
export const signature = (roles: Sql): Sql => sql`
  p.recorder, p.sqlstate, p.note, ${roles}, ${thisDatabase},
  CASE p.made_in WHEN ${thisDatabase} THEN p.recorder_oid
    ELSE to_regrole(quote_ident(p.recorder))::oid END
`;
