/**
 * How results are shown: tables on a terminal, lines with tabs in a pipe, JSON, or SQL.
 */
import picocolors from 'picocolors';
import type { Columns, Row } from './command.ts';
import { json, line } from './escape.ts';
import type { Failure } from './failure.ts';
import type { Notice } from './connection.ts';

export type Status = 'done' | 'different' | 'skipped' | 'failed' | 'interrupted';

/** The reason why a database is skipped. */
export const notInstalled = 'rolecall is not installed';

/** The outcome of a command in one database. */
export interface Result {
  readonly database: string;
  readonly status: Status;
  readonly rows: readonly Row[];
  readonly notices: readonly Notice[];
  readonly error?: Failure;
}

const colours = (stream: NodeJS.WriteStream): ReturnType<typeof picocolors.createColors> =>
  picocolors.createColors(stream.isTTY && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb');

export const onError = colours(process.stderr);
export const onOutput = colours(process.stdout);

const cell = (value: Row[string] | undefined): string =>
  value === null || value === undefined ? '' : line(String(value));

/** The shape that the documentation promises. */
export const jsonText = (results: readonly Result[]): string => json({ databases: results });

/** Statements ready to run. What cannot be run is a comment. */
export function sqlText(results: readonly Result[], several: boolean): string {
  const comment = (text: string): string => text.replaceAll(/^/gm, '-- ').replaceAll('\r', '\n-- ');
  const statement = ({ statement: text, status, note }: Row): string => {
    const sql = `${String(text)};`;
    if (status === 'skipped') return comment(`skipped: ${String(note ?? '')}\n${sql}`);
    return sql.includes("'********'") ? comment(`the password is not shown\n${sql}`) : sql;
  };
  return results
    .filter(({ rows }) => rows.length > 0)
    .flatMap(({ database, rows }) => [
      ...(several ? [comment(`database ${database}`)] : []),
      ...rows.filter((row) => row['statement'] !== null).map(statement),
    ])
    .join('\n');
}

/** Rows for programs such as cut and awk: one line each, separated by tabs. */
export const plainText = (columns: readonly string[], rows: readonly Row[]): string =>
  rows.map((row) => columns.map((column) => cell(row[column])).join('\t')).join('\n');

/** Rows for people, at most as wide as the terminal. */
export async function tableText(columns: readonly string[], rows: readonly Row[]): Promise<string> {
  const [{ default: Table }, { default: wrap }] = await Promise.all([import('cli-table3'), import('wrap-ansi')]);
  // Leave out columns that are empty in every row.
  const shown = columns.filter((column) => rows.some((row) => cell(row[column]) !== ''));
  const natural = shown.map((column) => Math.max(column.length, ...rows.map((row) => cell(row[column]).length)) + 2);
  const widths = fit(natural, (process.stdout.columns || 80) - shown.length - 1);
  const wrapped = (text: string, index: number): string =>
    wrap(text, (widths[index] ?? 0) - 2, { hard: true, trim: false });
  const table = new Table({
    head: shown.map((column, index) => wrapped(onOutput.bold(column.replaceAll('_', ' ')), index)),
    style: { head: [], border: [], compact: true },
    colWidths: widths,
    ...(process.env['TERM'] === 'dumb' ? { chars: asciiBorder } : {}),
  });
  table.push(...rows.map((row) => shown.map((column, index) => wrapped(coloured(column, cell(row[column])), index))));
  return table.toString();
}

const asciiBorder = Object.fromEntries([
  ...['top', 'bottom', 'mid'].flatMap((at) =>
    [at, `${at}-mid`, `${at}-left`, `${at}-right`].map((name) => [name, '-']),
  ),
  ...['left', 'left-mid', 'right', 'right-mid', 'middle'].map((name) => [name, '|']),
]) as Record<string, string>;

/** Narrows the widest columns until all fit. */
function fit(natural: readonly number[], available: number): number[] {
  const widths = [...natural];
  let excess = widths.reduce((sum, width) => sum + width, 0) - available;
  while (excess > 0) {
    const widest = widths.indexOf(Math.max(...widths));
    if ((widths[widest] ?? 0) <= 8) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess--;
  }
  return widths;
}

function coloured(column: string, text: string): string {
  if (text === 'critical') return onOutput.red(text);
  if (column === 'status' || column === 'result') {
    if (/^(applied|done)/.test(text)) return onOutput.green(text);
    if (/^(skipped|different)/.test(text)) return onOutput.yellow(text);
    if (/^(failed|interrupted)/.test(text)) return onOutput.red(text);
  }
  return text;
}

export const namesOf = (columns: Columns, several: boolean): string[] => [
  ...(several ? ['database'] : []),
  ...Object.keys(columns),
];

/** The rows of all databases, each with the name of its database. */
export const rowsOf = (results: readonly Result[], several: boolean): Row[] =>
  results.flatMap(({ database, rows }) => (several ? rows.map((row) => ({ database, ...row })) : [...rows]));

/** The outcome for each database, as rows. */
export const summary = (results: readonly Result[]): Row[] =>
  results.map(({ database, status, rows }) => ({
    database,
    result: status,
    rows: rows.length,
    note: status === 'skipped' ? notInstalled : '',
  }));
