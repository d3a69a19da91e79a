/**
 * The conditions that a handler catches. Their names come from the table of the model, so that a misspelt one is a
 * type error.
 */
import type { Condition } from '../model/sqlstates.ts';
import { join, raw, sql, text, type Sql } from './template.ts';

export function conditions(...names: readonly Condition[]): Sql {
  return join(names.map(raw), ' OR ');
}

/** Whole classes of errors, by their codes, because some classes have no condition name of their own. */
export const anyOf = (codes: readonly string[]): Sql => {
  const lines = Array.from({ length: Math.ceil(codes.length / 5) }, (_, index) =>
    join(
      codes.slice(index * 5, index * 5 + 5).map((code) => sql`SQLSTATE ${text(code)}`),
      ' OR ',
    ),
  );
  return join(lines, '\n  OR ');
};
