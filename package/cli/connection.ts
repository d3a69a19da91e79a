/**
 * One connection, and the one transaction in it.
 */
import type { Client, ClientConfig, QueryResult } from 'pg';
import { Interrupted, type Person } from './command.ts';

/** Messages of the server other than the result. */
export interface Notice {
  readonly severity: string;
  readonly message: string;
  readonly detail: string | null;
  readonly hint: string | null;
}

type Phase = 'working' | 'committing' | 'done';

/** The password that the server requires is missing or wrong. */
const needsPassword = (error: unknown): boolean =>
  error instanceof Error && /client password must be a (non-empty )?string/.test(error.message);

/** A database in which a command runs. */
export interface Target {
  /** Its name in the results: that of the database, with the server if there are several. */
  readonly name: string;
  readonly config: ClientConfig;
}

export class Connection {
  readonly notices: Notice[] = [];
  readonly #client: Client;
  readonly #config: ClientConfig;
  #phase: Phase = 'working';
  #interrupted = false;
  #pid: number | undefined;

  private constructor(client: Client, config: ClientConfig) {
    this.#client = client;
    this.#config = config;
    client.on('error', () => undefined); // A connection that is lost between statements; the next one says it.
    client.on('notice', (notice) => {
      this.notices.push({
        severity: notice.severity ?? '',
        message: notice.message ?? '',
        detail: notice.detail ?? null,
        hint: notice.hint ?? null,
      });
    });
  }

  /** Connects. Asks for a missing password once for all databases. */
  static async open(target: Target, passwords: Passwords): Promise<Connection> {
    const { default: pg } = await import('pg');
    const attempt = async (password?: string): Promise<Connection> => {
      const config: ClientConfig = {
        connectionTimeoutMillis: Number(process.env['PGCONNECT_TIMEOUT'] ?? 30) * 1000,
        application_name: process.env['PGAPPNAME'] ?? 'rolecall',
        ...target.config,
        ...(password === undefined ? {} : { password }),
      };
      const client = new pg.Client(config);
      try {
        await client.connect();
      } catch (error) {
        // Otherwise it, and this process, would wait until the server gives up waiting for a password.
        void client.end().catch(() => undefined);
        throw error;
      }
      return new Connection(client, config);
    };
    return attempt(passwords.known).catch(async (error: unknown) => {
      if (!needsPassword(error)) throw error;
      const password = await passwords.ask();
      if (password === undefined)
        throw new Error('the server asks for a password: set PGPASSWORD, or use a password file');
      return attempt(password);
    });
  }

  async query(text: string, values: unknown[] = []): Promise<{ rows: unknown[] }> {
    if (this.#interrupted) throw new Interrupted();
    // Several statements at once, as in a script, cannot have parameters.
    return values.length > 0 ? this.#client.query(text, values) : this.#client.query(text);
  }

  /** Runs the work in a transaction, which is committed only if it succeeds and `keep` says so. */
  async transaction<T>(work: () => Promise<T>, mode: 'READ WRITE' | 'READ ONLY', keep: boolean): Promise<T> {
    try {
      await this.#begin(mode);
      const result = await work();
      if (this.#interrupted) throw new Interrupted();
      this.#phase = 'committing';
      await this.#client.query(keep ? 'COMMIT' : 'ROLLBACK');
      return result;
    } catch (error) {
      await this.#client.query('ROLLBACK').catch(() => undefined);
      throw this.#interrupted && this.#phase === 'working' ? new Interrupted() : error;
    } finally {
      this.#phase = 'done';
    }
  }

  /** Read the process in the transaction, because a pooler can use another one for each. */
  async #begin(mode: string): Promise<void> {
    const results: unknown = await this.query(`BEGIN ${mode}; SELECT pg_catalog.pg_backend_pid() AS pid`);
    const [, found] = results as [QueryResult, QueryResult<{ pid: number }>];
    this.#pid = found.rows[0]?.pid;
  }

  /** Cancels what is running, except a COMMIT, which can no longer be cancelled. */
  async interrupt(): Promise<void> {
    if (this.#phase !== 'working') return;
    this.#interrupted = true;
    if (this.#pid === undefined) return;
    const { default: pg } = await import('pg');
    const canceller = new pg.Client(this.#config);
    canceller.on('error', () => undefined);
    try {
      await canceller.connect();
      await canceller.query('SELECT pg_catalog.pg_cancel_backend($1)', [this.#pid]);
    } catch {
      await this.close(); // What was not committed is undone all the same, when the server notices.
    } finally {
      await canceller.end().catch(() => undefined);
    }
  }

  close(): Promise<void> {
    return this.#client.end().catch(() => undefined);
  }
}

/** The password of the connections, if the user types it. */
export class Passwords {
  known: string | undefined;
  #asked: Promise<string> | undefined;
  readonly #person: Person;

  constructor(person: Person) {
    this.#person = person;
  }

  /** Asks once, even if several connections need it at the same moment. */
  async ask(): Promise<string | undefined> {
    if (!this.#person.isThere) return undefined;
    this.#asked ??= this.#person.password('Password for the connection');
    return (this.known = await this.#asked);
  }
}
