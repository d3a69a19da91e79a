/** What a handler catches: errors are named here by the table of the model alone, so that a misspelt one is a type error. */
import type { Condition } from '../model/sqlstates.ts';
import { join, raw, type Sql } from '../sql/template.ts';

export function conditions(...names: readonly Condition[]): Sql {
  return join(names.map(raw), ' OR ');
}
