/**
 * What the entries of a list of withheld tables mean.
 */
import { type Sql, sql } from '../../sql/template.ts';

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
