/** Errors that several functions raise, worded once. */
import type { Text } from '../model/types.ts';
import { sql, text, type Sql } from './template.ts';

export const raiseNull = (what: string): Sql =>
  sql`RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = ${text(`${what} must not be null`)};`;

export const raiseNoRole = (name: Text): Sql => sql`
  RAISE EXCEPTION USING
    ERRCODE = 'undefined_object',
    MESSAGE = format('role "%s" does not exist', ${name});
`;
