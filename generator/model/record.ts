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

/** Who recorded a row, by its oid: another role may have the name by now. In another database, as after a dump, the name counts. */
export const recorderOf = (row: Sql): Sql => sql`(CASE
  WHEN ${row}.recorder_oid IS NOT NULL AND ${row}.made_in = ${thisDatabase}
    THEN pg_get_userbyid(${row}.recorder_oid)::text
  ELSE ${row}.recorder END)`;

/** The oid to write beside the name of who recorded a row that is written anew in this database. */
export const recorderOid = (row: Sql): Sql => sql`CASE ${row}.made_in
  WHEN ${thisDatabase} THEN ${row}.recorder_oid
  ELSE to_regrole(quote_ident(${row}.recorder))::oid END`;
