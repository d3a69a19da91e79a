/**
 * Which databases a command is for, and how they are reached.
 */
import { readFile } from 'node:fs/promises';
import type { ClientConfig } from 'pg';
import { UsageError } from './command.ts';
import type { Connection, Target } from './connection.ts';
import { line } from './escape.ts';

/** What the options for connections were given. */
export interface Where {
  readonly url?: string | undefined;
  readonly database: readonly string[];
  readonly allDatabases: boolean;
  readonly excludeDatabase: readonly string[];
  readonly urls?: string | undefined;
}

/** Whether the results are told apart by database. */
export const isSeveral = (where: Where): boolean =>
  where.allDatabases || where.urls !== undefined || where.database.length > 1;

async function configOf(url: string): Promise<ClientConfig> {
  const { parseIntoClientConfig } = await import('pg-connection-string');
  try {
    if (!/^(postgres|postgresql|socket):\/\//.test(url)) throw new TypeError();
    return parseIntoClientConfig(url) as ClientConfig;
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    if (code !== undefined && path !== undefined)
      throw new UsageError(`could not read ${line(path)}, which the connection URL names (${code})`);
    // What it is must not be repeated: it can have a password.
    throw new UsageError('a connection URL has the form postgresql://USER@HOST:PORT/DATABASE');
  }
}

/** One URL a line; empty lines and those that begin with # are left out. */
async function listed(file: string): Promise<Target[]> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new UsageError(`could not read the file of --urls: ${error.message}`);
  });
  const urls = text
    .split(/\r?\n/)
    .map((each) => each.trim())
    .filter((each) => each !== '' && !each.startsWith('#'));
  if (urls.length === 0) throw new UsageError('the file of --urls contains no URL');
  return Promise.all(
    urls.map(async (url) => {
      const config = await configOf(url);
      return { config, name: `${config.host ?? ''}:${config.port ?? 5432}/${config.database ?? ''}` };
    }),
  );
}

const every = `SELECT d.datname AS name FROM pg_catalog.pg_database AS d
WHERE d.datallowconn AND NOT d.datistemplate ORDER BY d.datname`;

export async function findTargets(
  where: Where,
  connect: (target: Target) => Promise<Connection>,
): Promise<readonly Target[]> {
  const ways = [where.database.length > 0, where.allDatabases, where.urls !== undefined];
  if (ways.filter(Boolean).length > 1)
    throw new UsageError('--database, --all-databases and --urls cannot be used together');
  if (where.excludeDatabase.length > 0 && !where.allDatabases)
    throw new UsageError('--exclude-database requires --all-databases');
  if (where.urls !== undefined) {
    if (where.url !== undefined) throw new UsageError('--url and --urls cannot be used together');
    return listed(where.urls);
  }
  const url = where.url ?? process.env['DATABASE_URL'];
  const hasUrl = url !== undefined && url !== '';
  // Ignored, it would lead to another server than the one that is meant.
  if (!hasUrl && process.env['PGSERVICE'])
    throw new UsageError('PGSERVICE is not supported: use the other PG* variables or a URL');
  const config = hasUrl ? await configOf(url) : {};
  const named = (name: string): Target => ({ name, config: { ...config, database: name } });
  if (where.database.length > 0) return [...new Set(where.database)].map(named);
  const { PGDATABASE, PGUSER, USER } = process.env;
  const own: Target = { name: config.database ?? PGDATABASE ?? config.user ?? PGUSER ?? USER ?? '', config };
  if (!where.allDatabases) return [own];
  const connection = await connect(own);
  try {
    const { rows } = await connection.query(every);
    const names = (rows as { name: string }[]).map(({ name }) => name);
    return names.filter((name) => !where.excludeDatabase.includes(name)).map(named);
  } finally {
    await connection.close();
  }
}
