/**
 * Runs a command in one database or in many, and returns the outcome for each.
 */
import {
  type Command,
  type Database,
  hasStatements,
  Interrupted,
  NotInstalled,
  type Person,
  type Row,
  UsageError,
} from './command.ts';
import { Connection, Passwords, type Target } from './connection.ts';
import { describe, failure } from './failure.ts';
import { json, line, lines } from './escape.ts';
import {
  jsonText,
  namesOf,
  notInstalled,
  onError,
  plainText,
  type Result,
  rowsOf,
  sqlText,
  type Status,
  summary,
  tableText,
} from './output.ts';
import { agrees, person } from './person.ts';
import { findTargets, isSeveral, type Where } from './targets.ts';

/** The options that every command has. */
export interface Common extends Where {
  readonly concurrency: string | undefined;
  readonly installedOnly: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly sql: boolean;
  readonly quiet: boolean;
  readonly yes: boolean;
}

type Given = Readonly<Record<string, never>>;
type InDatabases = Extract<Command, { where: 'databases' }>;
export type ExitStatus = 0 | 1 | 2 | 3;

/** Every open connection, which Ctrl-C and other signals end. */
const open = new Set<Connection>();
let interrupted = false;

export function interrupt(): void {
  if (interrupted) process.exit(1); // The second time does not wait: the server undoes what was not committed.
  interrupted = true;
  for (const connection of open) void connection.interrupt();
}

async function connected<T>(target: Target, passwords: Passwords, work: (to: Connection) => Promise<T>): Promise<T> {
  const connection = await Connection.open(target, passwords);
  open.add(connection);
  if (interrupted) await connection.interrupt();
  try {
    return await work(connection);
  } finally {
    open.delete(connection);
    await connection.close();
  }
}

interface Run {
  readonly command: Exclude<Command, { where: 'nowhere' }>;
  readonly given: Given;
  readonly common: Common;
  readonly prepared: unknown;
  readonly passwords: Passwords;
}

async function isInstalled(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query("SELECT pg_catalog.to_regnamespace('rolecall') IS NOT NULL AS found");
  return (rows as { found: boolean }[])[0]?.found === true;
}

/** Runs the command in a transaction of its own in one database. */
async function inTarget(
  run: Run,
  target: Target,
  dryRun: boolean,
): Promise<{ rows: readonly Row[]; text: string; notices: Connection['notices'] }> {
  const { command, given, prepared } = run;
  const { Rolecall } = await import('../index.ts');
  const changes = command.where === 'databases' && command.changes === true;
  const undo = command.where === 'databases' && command.undo === true;
  return connected(target, run.passwords, async (connection) => {
    const database: Database = {
      rolecall: new Rolecall(connection),
      dryRun,
      query: (text, values) => connection.query(text, values),
    };
    const mode = changes && (undo || !dryRun) ? 'READ WRITE' : 'READ ONLY';
    const work = async (): Promise<{ rows: readonly Row[]; text: string }> => {
      if (run.common.installedOnly && !(await isInstalled(connection))) throw new NotInstalled();
      return command.where === 'databases'
        ? { rows: await command.run(database, given, prepared), text: '' }
        : { rows: [], text: await command.run(database, given, prepared) };
    };
    const found = await connection.transaction(work, mode, !dryRun);
    return { ...found, notices: connection.notices };
  });
}

async function resultOf(run: Run, target: Target, dryRun: boolean): Promise<Result & { text: string }> {
  const { command, given } = run;
  try {
    if (interrupted) throw new Interrupted();
    const found = await inTarget(run, target, dryRun);
    const differs = command.where === 'databases' ? command.differs : undefined;
    const different = differs !== undefined && found.rows.some((row) => differs(row, given));
    return { database: target.name, status: different ? 'different' : 'done', ...found };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const none = { database: target.name, rows: [], text: '', notices: [] };
    if (error instanceof NotInstalled) return { ...none, status: 'skipped' };
    if (!(error instanceof Interrupted)) return { ...none, status: 'failed', error: failure(error) };
    const message = 'interrupted: everything done in this database was rolled back';
    return { ...none, status: 'interrupted', error: { message, sqlstate: null, detail: null, hint: null } };
  }
}

type Pass = (dryRun: boolean) => Promise<(Result & { text: string })[]>;

/** Runs the command in each database. If there are several, a terminal shows a list of them. */
async function inTargets(
  run: Run,
  targets: readonly Target[],
  several: boolean,
  dryRun: boolean,
): Promise<(Result & { text: string })[]> {
  if (!several) return Promise.all(targets.map((target) => resultOf(run, target, dryRun)));
  const { Listr, ListrLogger, ProcessOutput } = await import('listr2');
  const results: (Result & { text: string })[] = [];
  const shows = process.stderr.isTTY && !run.common.quiet;
  const logger = new ListrLogger({ processOutput: new ProcessOutput(process.stderr, process.stderr) });
  // If the list is longer than the screen, print a line for each database that is done.
  const fits = targets.length < (process.stderr.rows || 24) - 2;
  const renderer = !shows ? 'silent' : fits ? 'default' : 'simple';
  const tasks = targets.map((target, index) => ({
    title: line(target.name),
    task: async (_: unknown, task: { skip(message: string): void }): Promise<void> => {
      const result = await resultOf(run, target, dryRun);
      results[index] = result;
      if (result.error !== undefined) throw new Error(lines(result.error.message));
      if (result.status === 'skipped') task.skip(`${line(target.name)}: ${notInstalled}`);
    },
  }));
  const options = {
    concurrent: Number(run.common.concurrency ?? 4),
    exitOnError: false,
    registerSignalListeners: false,
    renderer,
    rendererOptions: { logger, showErrorMessage: false },
  } as const;
  await new Listr(tasks, options as never).run();
  return results;
}

/** Asks for confirmation where a command requires it. Without a terminal, --yes is required. */
async function agreed(run: Run, pass: Pass, several: boolean): Promise<boolean> {
  const { command, common } = run;
  if (command.where !== 'databases' || command.confirm === undefined || common.dryRun || common.yes) return true;
  const planned = await pass(true);
  if (planned.some(({ status }) => status === 'failed' || status === 'interrupted')) return true; // It is told once it is run.
  const { confirm } = command;
  const rows = rowsOf(planned, several).filter((row) => confirm(row));
  if (rows.length === 0) return true;
  if (!person.isThere)
    throw new UsageError(
      `this would run ${rows.length === 1 ? 'a statement that revokes, drops or ends' : `${rows.length} statements that revoke, drop or end`} something: look with --dry-run, then run it with --yes`,
    );
  person.say(await tableText(namesOf(command.columns, several), rows));
  return agrees('Continue?');
}

function tell(results: readonly Result[], several: boolean, quiet: boolean): void {
  for (const { database, status, notices, error } of results) {
    const where = several ? database : undefined;
    for (const { severity, message, detail, hint } of quiet ? [] : notices) {
      const text = describe({ message, detail, hint, sqlstate: null }, where).replace(/^error/, severity.toLowerCase());
      person.say(severity === 'WARNING' ? onError.yellow(text) : onError.dim(text));
    }
    if (error !== undefined) person.say(onError.red(describe(error, where)));
    // On a terminal, the table shows it.
    if (status === 'skipped' && !quiet && !process.stdout.isTTY)
      person.say(`skipped: ${line(database)}: ${notInstalled}`);
  }
}

async function show(command: InDatabases, results: readonly Result[], run: Run, several: boolean): Promise<string> {
  const { common, given } = run;
  const { folded = (rows) => rows } = command;
  const clean = results.map(({ database, status, rows, notices, error }) => ({
    database,
    status,
    rows,
    notices,
    ...(error === undefined ? {} : { error }),
  }));
  if (common.json) return jsonText(clean);
  if (common.quiet) return '';
  if (common.sql) return sqlText(clean, several);
  const rows = rowsOf(
    clean.map((one) => ({ ...one, rows: folded(one.rows) })),
    several,
  );
  if (command.text !== undefined && (process.stdout.isTTY || !several)) return command.text(rows, given);
  if (!process.stdout.isTTY) return plainText(namesOf(command.columns, several), rows);
  const parts = [
    ...(rows.length > 0 ? [await tableText(namesOf(command.columns, several), rows)] : []),
    ...(several ? [await tableText(['database', 'result', 'rows', 'note'], summary(clean))] : []),
  ];
  if (parts.length === 0 && results.every(({ error }) => error === undefined))
    return hasStatements(command.columns) ? 'Nothing to do.' : 'Nothing found.';
  return parts.join('\n');
}

const worst = (statuses: readonly Status[]): ExitStatus =>
  statuses.some((status) => status === 'failed' || status === 'interrupted')
    ? 1
    : statuses.includes('different')
      ? 3
      : 0;

const print = (text: string): void =>
  void (text === '' || process.stdout.write(text.endsWith('\n') ? text : `${text}\n`));

function checked(command: Command, common: Common): void {
  if (!/^[1-9]\d{0,2}$/.test(common.concurrency ?? '4'))
    throw new UsageError('--concurrency must be a number from 1 to 999');
  if (common.json && common.sql) throw new UsageError('--json and --sql cannot be used together');
  if (common.sql && !(command.where === 'databases' && hasStatements(command.columns)))
    throw new UsageError('this command has no SQL to show');
}

export async function runCommand(
  command: Command,
  given: Given,
  common: Common,
  from: Person = person,
): Promise<ExitStatus> {
  if (command.where === 'nowhere') {
    const { status, text, rows } = await command.run(given, from);
    const columns = Object.keys(command.columns ?? {});
    if (common.json) print(json(rows ?? text ?? null));
    else if (!common.quiet && text !== undefined) print(text);
    else if (!common.quiet && rows !== undefined && rows.length > 0)
      print(process.stdout.isTTY ? await tableText(columns, rows) : plainText(columns, rows));
    return status;
  }
  checked(command, common);
  const several = isSeveral(common);
  if (several && command.where === 'database') throw new UsageError(`"rolecall ${command.name}" works in one database`);
  const prepared = await command.prepare?.(given, from);
  const run: Run = { command, given, common, prepared, passwords: new Passwords(from) };
  const targets = await findTargets(common, (target) => Connection.open(target, run.passwords));
  // Ask for the password before the list of databases is drawn.
  if (several && from.isThere && targets[0] !== undefined)
    await connected(targets[0], run.passwords, async () => undefined).catch(() => undefined);
  const pass: Pass = (dryRun) => inTargets(run, targets, several, dryRun);
  if (!(await agreed(run, pass, several))) {
    from.say('Nothing was changed.');
    return 1;
  }
  const results = await pass(common.dryRun);
  tell(results, several, common.quiet);
  print(
    command.where === 'databases'
      ? await show(command, results, run, several)
      : results.map(({ text }) => text).join(''),
  );
  if (results.length > 0 && results.every(({ status }) => status === 'skipped'))
    throw new Error(`${notInstalled} in any of the databases`);
  return worst(results.map(({ status }) => status));
}
