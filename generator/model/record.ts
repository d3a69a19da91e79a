/**
 * What is remembered: rows are only added, and the newest of a key counts.
 */
import { type Sql, sql } from '../sql/template.ts';

/** The newest record of each resource, of those that a condition on the rows, r, holds for. */
export const newest = (condition: Sql): Sql => sql`(
  SELECT DISTINCT ON (r.section, r.key) r.*
  FROM rolecall_internal.resource AS r
  WHERE ${condition}
  ORDER BY r.section DESC, r.key DESC, r.recorded_at DESC
)`;

/** The same without those that are no longer asked for, and those that are refused. */
export const accepted = (condition: Sql): Sql => sql`(
  SELECT p.* FROM ${newest(condition)} AS p
  WHERE p.resource IS NOT NULL AND rolecall_internal.refusal(p::rolecall_internal.resource) IS NULL
)`;
