/**
 * The databases of a command, and how to connect to them.
 */
import { readFile } from 'node:fs/promises';
import type { ClientConfig } from 'pg';
import { UsageError } from './command.ts';
import type { Connection, Target } from './connection.ts';
import { line } from './escape.ts';

/** The options for connections. */
export interface Where {
  readonly url?: string | undefined;
  readonly database: readonly string[];
  readonly allDatabases: boolean;
  readonly excludeDatabase: readonly string[];
  readonly urls?: string | undefined;
}

/** Whether the results name the database. */
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
    // Do not repeat the text: it can contain a password.
    throw new UsageError('a connection URL has the form postgresql://USER@HOST:PORT/DATABASE');
  }
}

/** One URL per line. Empty lines and those that begin with # are skipped. */
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
  // If it were ignored, the command would connect to another server.
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
