/**
 * Errors for people: what the server reports, without anything that would show a password.
 */
import { line, lines } from './escape.ts';

export interface Failure {
  readonly message: string;
  readonly sqlstate: string | null;
  readonly detail: string | null;
  readonly hint: string | null;
}

const textOf = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

/** The hint for a call in a database without rolecall. */
const missing = (message: string): boolean =>
  /schema "rolecall" does not exist|function rolecall\.\w+\(.*\) does not exist/.test(message);

export function failure(error: unknown): Failure {
  if (!(error instanceof Error)) return { message: String(error), sqlstate: null, detail: null, hint: null };
  const { code, detail, hint, errors } = error as Error & Record<string, unknown>;
  // If a host has several addresses, and none answers, the message is empty.
  const first = Array.isArray(errors) ? (errors[0] as unknown) : undefined;
  const message = error.message || (first instanceof Error ? first.message : '') || (textOf(code) ?? error.name);
  const sqlstate = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : null;
  if (missing(message) && (sqlstate === '3F000' || sqlstate === '42883'))
    return {
      message: sqlstate === '3F000' ? 'rolecall is not installed in this database' : message,
      sqlstate,
      detail: null,
      hint:
        sqlstate === '3F000'
          ? 'Install it with "rolecall install", or leave such databases out with --installed-only.'
          : 'An older version is installed: update it with "rolecall install".',
    };
  return { message, sqlstate, detail: textOf(detail), hint: textOf(hint) };
}

/** An error as psql shows one; `where` is the database, if there are several. */
export function describe(found: Failure, where?: string): string {
  const state = found.sqlstate === null ? '' : ` (SQLSTATE ${found.sqlstate})`;
  const extra = (label: string, text: string | null): string[] =>
    text === null ? [] : [`${label}:  ${lines(text).replaceAll('\n', '\n         ')}`];
  const first = `error: ${where === undefined ? '' : `${line(where)}: `}${lines(found.message)}${state}`;
  return [first, ...extra('DETAIL', found.detail), ...extra('HINT', found.hint)].join('\n');
}
