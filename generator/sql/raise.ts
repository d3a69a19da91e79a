/** Errors that several functions raise, worded once. */
import type { Text } from '../model/types.ts';
import { join, sql, text, type Sql } from './template.ts';

export const raiseNull = (what: string): Sql =>
  sql`RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = ${text(`${what} must not be null`)};`;

export const raiseEmpty = (what: string, hint?: string, detail?: string): Sql => {
  const options = [sql`ERRCODE = 'invalid_parameter_value'`, sql`MESSAGE = ${text(`${what} must not be empty`)}`];
  if (detail !== undefined) options.push(sql`DETAIL = ${text(detail)}`);
  if (hint !== undefined) options.push(sql`HINT = ${text(hint)}`);
  return sql`
    RAISE EXCEPTION USING
      ${join(options, ',\n')};
  `;
};

/** A number of things, in words: `1 table`, `2 tables`. */
export const counted = (number: Sql, thing: string): Sql =>
  sql`concat(${number}, ${text(` ${thing}`)}, CASE WHEN ${number} <> 1 THEN 's' END)`;

/** The hint of an empty password. */
export const noPassword = 'Null is for a new role without a password; ALTER ROLE with PASSWORD NULL removes one.';

/** The server would truncate a longer name without an error. */
export const isOfWrongLength = (name: Text) => sql`octet_length(${name}) NOT BETWEEN 1 AND 63`;

/** `what` is a template for format() with the first of the arguments. */
export const raiseWrongLength = (what: string, name: Text, ...first: readonly Sql[]): Sql => sql`
  RAISE EXCEPTION USING
    ERRCODE = 'invalid_name',
    MESSAGE = format(
      ${text(`${what} must be 1 to 63 bytes long, not %s`)}, ${join([...first, sql`octet_length(${name})`])}
    ),
    DETAIL = format('The name is %L.', ${name});
`;

export const raiseEncrypted = (key: Text, hint: string): Sql => sql`
  RAISE EXCEPTION USING
    ERRCODE = 'invalid_parameter_value',
    MESSAGE = format('secret "%s" is encrypted, and this session has no key', ${key}),
    HINT = ${text(hint)};
`;

/** The WARNING about a step that is skipped. */
export const warnOfSkipped = (code: Sql, target: Sql, note: Sql, hint: Sql): Sql => sql`
  RAISE WARNING USING
    ERRCODE = ${code}, MESSAGE = format('skipped for "%s": %s', ${target}, ${note}),
    HINT = ${hint};
`;

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

/** Raises the error that a handler caught, without its CONTEXT. Its detail and hint are in v_detail and v_hint. */
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
