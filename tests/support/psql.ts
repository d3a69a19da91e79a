/** What psql prints, without psql: tables, messages, and sessions like the one in README.md, run again. */
import type { EventEmitter } from 'node:events';
import pg from 'pg';
import type { NoticeMessage } from 'pg-protocol/dist/messages.js';
import type { Cluster } from './cluster.ts';
import { splitStatements } from './tap.ts';

/** Types whose values psql aligns to the right: numbers, oids, money. */
const rightAligned = new Set([20, 21, 23, 26, 28, 29, 700, 701, 790, 1700, 5069]);

export interface Column {
  readonly name: string;
  readonly dataTypeID?: number;
}

/** Rows as psql shows them, without the blanks at the ends of lines. */
export function printTable(columns: readonly Column[], rows: readonly (readonly (string | null)[])[]): string {
  const cells = rows.map((row) => row.map((value) => (value ?? '').split('\n')));
  const width = (text: string): number => [...text].length;
  const widths = columns.map(({ name }, at) =>
    Math.max(...[name, ...cells.flatMap((row) => row[at] ?? [])].map(width)),
  );
  const line = (texts: readonly string[]): string => ` ${texts.join('| ')}`.trimEnd();
  const head = columns.map(({ name }, at) => {
    const free = (widths[at] ?? 0) - width(name);
    return `${' '.repeat(free >> 1)}${name}${' '.repeat(free - (free >> 1))} `;
  });
  const lines = cells.flatMap((row) => {
    const height = Math.max(...row.map((texts) => texts.length));
    return Array.from({ length: height }, (_, y) =>
      line(
        row.map((texts, at) => {
          const text = texts[y] ?? '';
          const padding = ' '.repeat((widths[at] ?? 0) - width(text));
          // A plus sign says that the text goes on in the next line.
          const end = y < texts.length - 1 ? '+' : ' ';
          return (rightAligned.has(columns[at]?.dataTypeID ?? 0) ? padding + text : text + padding) + end;
        }),
      ),
    );
  });
  const rule = widths.map((each) => '-'.repeat(each + 2)).join('+');
  return [line(head), rule, ...lines, `(${rows.length} ${rows.length === 1 ? 'row' : 'rows'})`, ''].join('\n');
}

/** A message of the server, an error or a notice, about a statement. */
function printMessage(message: NoticeMessage | pg.DatabaseError, statement: string, context: boolean): string {
  const lines = [`${message.severity}:  ${message.message}`];
  if (message.position) {
    const before = [...statement]
      .slice(0, Number(message.position) - 1)
      .join('')
      .split('\n');
    const label = `LINE ${before.length}: `;
    lines.push(label + statement.split('\n')[before.length - 1]);
    lines.push(`${' '.repeat(label.length + (before.at(-1) ?? '').length)}^`);
  }
  if (message.detail) lines.push(`DETAIL:  ${message.detail}`);
  if (message.hint) lines.push(`HINT:  ${message.hint}`);
  if (context && message.where) lines.push(`CONTEXT:  ${message.where}`);
  return lines.join('\n');
}

/** A connection that is used as psql is. */
export class Session {
  #client: pg.Client | undefined;
  /** Of the prompt: `*` in a transaction, `!` in a failed one. */
  #transaction = '';
  #isSuperuser = false;
  #showsContext = true;
  #output: string[] = [];
  #tag = '';

  private constructor(
    private readonly cluster: Pick<Cluster, 'connect'>,
    private database: string,
    private user: string,
    private readonly passwords: Readonly<Record<string, string>>,
  ) {}

  /** `passwords` are those of the roles that can log in, for this connection and `\c`. */
  static async open(
    cluster: Pick<Cluster, 'connect'>,
    database: string,
    user = 'postgres',
    passwords: Readonly<Record<string, string>> = {},
  ): Promise<Session> {
    const session = new Session(cluster, database, user, passwords);
    await session.#connect();
    return session;
  }

  async close(): Promise<void> {
    await this.#client?.end();
    this.#client = undefined;
  }

  get prompt(): string {
    return `${this.database}=${this.#transaction}${this.#isSuperuser ? '#' : '>'} `;
  }

  async #connect(): Promise<void> {
    const { database, user } = this;
    const password = this.passwords[user];
    const login = { database, user, ...(password === undefined ? {} : { password }) };
    const client = await this.cluster.connect(login);
    await this.close();
    this.#client = client;
    const { rows } = await client.query<{ is_superuser: string }>('SHOW is_superuser');
    this.#isSuperuser = rows[0]?.is_superuser === 'on';
    this.#transaction = '';
    client.on('notice', (notice) => this.#output.push(printMessage(notice, '', false)));
    // node-postgres keeps the first word of a command tag only, and not the state of the transaction.
    const { connection } = client as unknown as { connection: EventEmitter };
    connection.on('commandComplete', ({ text }: { text: string }) => (this.#tag = text));
    connection.on('readyForQuery', ({ status }: { status: string }) => {
      this.#transaction = status === 'T' ? '*' : status === 'E' ? '!' : '';
    });
  }

  /**
   * Runs statements up to the first error, or `\c database user`, or `\set SHOW_CONTEXT never`; returns what psql
   * prints.
   */
  async run(text: string): Promise<string> {
    this.#output = [];
    const [command = '', ...words] = text.trim().split(/\s+/);
    if (command === '\\c') {
      const [database = '-', user = '-'] = words;
      const before = [this.database, this.user] as const;
      if (database !== '-') this.database = database;
      if (user !== '-') this.user = user;
      try {
        await this.#connect();
        return `You are now connected to database "${this.database}" as user "${this.user}".`;
      } catch (error) {
        [this.database, this.user] = before;
        if (!(error instanceof pg.DatabaseError)) throw error;
        return printMessage(error, '', false);
      }
    }
    if (command === '\\set' && words.join(' ') === 'SHOW_CONTEXT never') {
      this.#showsContext = false;
      return '';
    }
    if (command.startsWith('\\')) throw new Error(`${command} is not known here: only SQL and \\c are`);
    // What is not SQL goes to the server as it is, for the server to say so.
    const statements = await splitStatements(text).catch(() => [{ text }]);
    for (const statement of statements) if (!(await this.#query(statement.text))) break;
    return this.#output.join('\n');
  }

  async #query(text: string): Promise<boolean> {
    const types = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;
    try {
      const result = await this.#client?.query<(string | null)[]>({ text, rowMode: 'array', types });
      if (result === undefined) throw new Error('the session is closed');
      this.#output.push(result.fields.length > 0 ? printTable(result.fields, result.rows) : this.#tag);
      return true;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      this.#output.push(printMessage(error, text, this.#showsContext));
      return false;
    }
  }
}

const promptOf = /^\w+=[*!]?[#>] /;
const continuation = /^\w+[-('"][*!]?[#>] /;

/** Whether a block of a page is a session with psql. */
export const isSession = (text: string): boolean => promptOf.test(text);

/** A session with psql, run again: its statements, with what is printed now. */
export async function replay(session: Session, text: string): Promise<string> {
  const printed: string[] = [];
  let statement: string[] = [];
  let echo: string[] = [];
  const run = async () => {
    if (statement.length === 0) return;
    const [first = ''] = statement;
    const prompt = session.prompt;
    const output = await session.run(statement.join('\n'));
    printed.push(`${prompt}${first}`, ...echo.slice(1), ...(output === '' ? [] : [output]));
    [statement, echo] = [[], []];
  };
  for (const line of text.split('\n')) {
    const start = promptOf.exec(line)?.[0];
    if (start !== undefined) await run();
    const prefix = start ?? continuation.exec(line)?.[0];
    if (prefix === undefined) continue;
    statement.push(line.slice(prefix.length));
    echo.push(line);
  }
  await run();
  return printed.join('\n').trimEnd();
}
