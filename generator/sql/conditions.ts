/** What a handler catches: errors are named here by the table of the model alone, so that a misspelt one is a type error. */
import type { Condition } from '../model/sqlstates.ts';
import { join, raw, sql, text, type Sql } from './template.ts';

export function conditions(...names: readonly Condition[]): Sql {
  return join(names.map(raw), ' OR ');
}

/** Errors of whole classes; by their codes, as some classes have no condition name of their own. */
export const anyOf = (codes: readonly string[]): Sql => {
  const lines = Array.from({ length: Math.ceil(codes.length / 5) }, (_, index) =>
    join(
      codes.slice(index * 5, index * 5 + 5).map((code) => sql`SQLSTATE ${text(code)}`),
      ' OR ',
    ),
  );
  return join(lines, '\n  OR ');
};
