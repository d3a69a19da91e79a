/**
 * What a command is. The program, its help, the completions and docs/command-line.md are all built from these
 * definitions. So this file and those of commands/ load nothing that takes time: a command imports what it needs when
 * it runs.
 */
import type { Rolecall, Step } from '../index.ts';

export interface Argument {
  readonly about: string;
  readonly optional?: true;
}

export interface Option {
  readonly about: string;
  /** The name of the value in the help. An option without it is a flag. */
  readonly takes?: string;
  /** Whether it may be given several times. */
  readonly many?: true;
  readonly choices?: readonly string[];
  /** The default, for the help only. */
  readonly otherwise?: string;
  /** One letter. */
  readonly short?: string;
}

export type Arguments = Readonly<Record<string, Argument>>;
export type Options = Readonly<Record<string, Option>>;

type ArgumentValue<A> = A extends { optional: true } ? string | undefined : string;
type OptionValue<O> = O extends { takes: string; many: true }
  ? string[]
  : O extends { takes: string }
    ? string | undefined
    : boolean;
/** What the user gave, by the names in the definition. */
export type Values<A, O> = { [K in keyof A]: ArgumentValue<A[K]> } & { [K in keyof O]: OptionValue<O[K]> };

export type Cell = string | number | boolean | null;
export type Row = Readonly<Record<string, Cell>>;
/** The columns of the rows, in order, with their meanings. */
export type Columns = Readonly<Record<string, string>>;

/** One database that a command is run in, within a transaction that the caller of the command ends. */
export interface Database {
  readonly rolecall: Rolecall;
  readonly dryRun: boolean;
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/** How a command asks the user, and where it prints what is not its result. */
export interface Person {
  readonly isThere: boolean;
  say(line: string): void;
  password(question: string): Promise<string>;
  input(): Promise<string>;
}

interface Definition<A, O> {
  /** As the user types it: `user add`. */
  readonly name: string;
  readonly summary: string;
  readonly details?: string;
  readonly arguments?: A;
  readonly options?: O;
  /** Command lines without `rolecall`, and what they do. */
  readonly examples: Readonly<Record<string, string>>;
}

interface InDatabases<A, O, P> extends Definition<A, O> {
  readonly where: 'databases';
  readonly columns: Columns;
  /** Whether it changes something, and so has a dry run. */
  readonly changes?: true;
  /** For a command whose functions have no dry run: the changes are rolled back. */
  readonly undo?: true;
  /** Whether rows are differences, for which the exit status is 3. */
  readonly differs?: (row: Row, values: Values<A, O>) => boolean;
  /** The rows that require confirmation. */
  readonly confirm?: (row: Row) => boolean;
  /** Runs once, before the first database: reads files, prompts and the environment. */
  prepare?(values: Values<A, O>, person: Person): Promise<P>;
  run(database: Database, values: Values<A, O>, prepared: P): Promise<readonly Row[]>;
  /** The rows for people, if these are fewer. */
  readonly folded?: (rows: readonly Row[]) => readonly Row[];
  /** The text for people, if they need something other than a table. */
  text?(rows: readonly Row[], values: Values<A, O>): string;
}

interface InOneDatabase<A, O, P> extends Definition<A, O> {
  readonly where: 'database';
  prepare?(values: Values<A, O>, person: Person): Promise<P>;
  /** What is printed as it is. */
  run(database: Database, values: Values<A, O>, prepared: P): Promise<string>;
}

interface Nowhere<A, O> extends Definition<A, O> {
  readonly where: 'nowhere';
  readonly columns?: Columns;
  run(values: Values<A, O>, person: Person): Promise<Outcome>;
}

/** What a command without a database gives. */
export interface Outcome {
  readonly status: 0 | 1 | 3;
  readonly text?: string;
  readonly rows?: readonly Row[];
}

export type Command = (
  InDatabases<Arguments, Options, unknown> | InOneDatabase<Arguments, Options, unknown> | Nowhere<Arguments, Options>
) & { readonly arguments?: Arguments; readonly options?: Options };

/** The same definition without the types of its arguments and options, which have been checked. */
export function inDatabases<const A extends Arguments, const O extends Options, P = undefined>(
  definition: Omit<InDatabases<A, O, P>, 'where'>,
): Command {
  return { where: 'databases', ...definition } as unknown as Command;
}
export function inOneDatabase<const A extends Arguments, const O extends Options, P = undefined>(
  definition: Omit<InOneDatabase<A, O, P>, 'where'>,
): Command {
  return { where: 'database', ...definition } as unknown as Command;
}
export function nowhere<const A extends Arguments, const O extends Options>(
  definition: Omit<Nowhere<A, O>, 'where'>,
): Command {
  return { where: 'nowhere', ...definition } as unknown as Command;
}

/** The columns of steps. */
export const stepColumns = {
  status: 'planned (dry run), applied or skipped',
  operation: 'the kind of change: create_role, grant_role, set_password, ...',
  target: 'the role or object that is changed',
  statement: 'the SQL; a password is shown as asterisks',
  sqlstate: 'the SQLSTATE of the reason for which it was skipped, or null',
  note: 'why it was skipped, or null',
} satisfies { [K in keyof Step]: string };

/** Steps as rows, with the columns in the order above. */
export const stepRows = (steps: readonly Step[]): Row[] =>
  steps.map(({ status, operation, target, statement, sqlstate, note }) => ({
    status,
    operation,
    target,
    statement,
    sqlstate,
    note,
  }));

/** Whether the columns are those of steps, which have SQL. */
export const hasStatements = (columns: Columns): boolean => 'statement' in columns;

/** A mistake of the caller: exit status 2. */
export class UsageError extends Error {}
/** The user declined, or pressed Ctrl-C: exit status 1. */
export class Interrupted extends Error {}
/** A database without rolecall, which is skipped. */
export class NotInstalled extends Error {}
