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

export const raiseReporting = (role: Text, hint: Sql): Sql => sql`
  RAISE EXCEPTION USING
    ERRCODE = 'invalid_parameter_value',
    MESSAGE = format('role "%s" is a reporting role', ${role}),
    HINT = ${hint};
`;

/** In a handler: raises the error that it caught, whose detail and hint are in v_detail and v_hint, without its CONTEXT. */
export const raiseAgain = sql`
  IF v_detail <> '' AND v_hint <> '' THEN
    RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, DETAIL = v_detail, HINT = v_hint;
  ELSIF v_detail <> '' THEN
    RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, DETAIL = v_detail;
  ELSIF v_hint <> '' THEN
    RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, HINT = v_hint;
  END IF;
  RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM;
`;
