/** Runs a pgTAP file on a connection, as `pg_prove` would by way of psql, and judges the TAP that it prints. */
import { readFileSync } from 'node:fs';
import { loadModule, parseSync, type SqlError } from 'libpg-query';
import pg from 'pg';

/** What a test file came to; a failure is a text that is fit to be printed. */
export interface Result {
  passed: number;
  failed: number;
  skipped: number;
  failures: string[];
  /** What a process with a failed test has printed besides. */
  output?: string;
}

export interface Statement {
  text: string;
  /** Of its first word, in the file. */
  line: number;
}

const lineAfter = (text: string) => text.split('\n').length;

/** Cuts a file at the ends of its statements. Throws libpg-query's `SqlError` where it is not SQL. */
export async function splitStatements(sql: string): Promise<Statement[]> {
  await loadModule();
  const bytes = Buffer.from(sql);
  return (parseSync(sql).stmts ?? []).map(({ stmt_location: start = 0, stmt_len: length }) => ({
    text: bytes.toString('utf8', start, length ? start + length : undefined),
    line: lineAfter(bytes.toString('utf8', 0, start)),
  }));
}

/** Judges TAP. `stopped` says that no line followed because of an error that is reported elsewhere. */
export function parseTap(lines: readonly string[], stopped = false): Result {
  const result: Result = { passed: 0, failed: 0, skipped: 0, failures: [] };
  const fail = (message: string) => {
    result.failed++;
    result.failures.push(message);
  };
  let planned: number | undefined;
  let seen = 0;
  let failing = false; // The diagnostics that follow a failed test belong to it.
  for (const line of lines) {
    const plan = /^1\.\.(\d+)(?:\s*#\s*skip\b.*)?\s*$/i.exec(line);
    const test = /^(not )?ok\b(?:\s+(\d+))?(.*)$/.exec(line);
    if (plan) {
      if (planned !== undefined) fail(`a second plan: ${line}`);
      planned ??= Number(plan[1]);
      if (planned === 0) result.skipped++;
    } else if (test) {
      const [, not, number, rest = ''] = test;
      const directive = /(?<!\\)#\s*(skip|todo)\b/i.exec(rest)?.[1]?.toLowerCase();
      seen++;
      failing = false;
      if (number !== undefined && Number(number) !== seen) fail(`test ${seen} has the number ${number}: ${line}`);
      else if (directive === 'skip' || (directive === 'todo' && not)) result.skipped++;
      else if (not) {
        fail(line);
        failing = true;
      } else result.passed++;
    } else if (/^Bail out!/i.test(line)) {
      fail(line);
      return result;
    } else if (failing && line.startsWith('#')) {
      result.failures.push(`${result.failures.pop()}\n${line}`);
    }
  }
  if (stopped) return result;
  if (planned === undefined) fail('no plan');
  else if (planned !== seen) fail(`planned ${planned} tests, ran ${seen}`);
  return result;
}

function describe(file: string, line: number, error: Error): string {
  const { code, detail, hint, where } = error as pg.DatabaseError;
  const more = { DETAIL: detail, HINT: hint, CONTEXT: where };
  const fields = Object.entries(more).flatMap(([label, text]) => (text ? `\n${label}: ${text}` : []));
  return `${file}:${line}: ${code ? `${code} ` : ''}${error.message}${fields.join('')}`;
}

/** Runs the file's statements one by one; the first error ends it, as ON_ERROR_STOP does. */
export async function runTap(client: pg.Client, file: string): Promise<Result> {
  const sql = readFileSync(file, 'utf8');
  let statements: Statement[];
  try {
    statements = await splitStatements(sql);
  } catch (error) {
    const line = lineAfter(sql.slice(0, (error as SqlError).sqlDetails?.cursorPosition ?? 0));
    return { passed: 0, failed: 1, skipped: 0, failures: [describe(file, line, error as Error)] };
  }
  const lines: string[] = [];
  for (const { text, line } of statements) {
    try {
      const { rows } = await client.query<unknown[]>({ text, rowMode: 'array' });
      lines.push(...rows.flatMap(([first]) => String(first ?? '').split('\n')));
    } catch (error) {
      const position = Number((error as pg.DatabaseError).position ?? 1);
      const result = parseTap(lines, true);
      result.failed++;
      result.failures.push(describe(file, line + lineAfter(text.slice(0, position - 1)) - 1, error as Error));
      return result;
    }
  }
  return parseTap(lines);
}
