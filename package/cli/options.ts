/**
 * The options that several commands share.
 */
import { type Command, hasStatements, type Options } from './command.ts';

export const connectionOptions = {
  url: { about: 'connection URL', takes: 'URL', otherwise: 'DATABASE_URL, else the PG* variables' },
  database: { about: 'a database of that server', takes: 'NAME', many: true, short: 'd' },
  allDatabases: { about: 'every database of that server that allows connections and is not a template' },
  excludeDatabase: { about: 'with --all-databases: leave out this one', takes: 'NAME', many: true },
  urls: { about: 'a file with one connection URL per line', takes: 'FILE' },
  installedOnly: { about: 'leave out databases in which rolecall is not installed' },
  concurrency: { about: 'how many databases to run in at a time', takes: 'N', otherwise: '4' },
} as const satisfies Options;

export const commonOptions = {
  dryRun: { about: 'show what would be done, and change nothing', short: 'n' },
  yes: { about: 'do not ask for confirmation', short: 'y' },
  json: { about: 'print JSON' },
  sql: { about: 'print only the SQL statements' },
  quiet: { about: 'print only errors', short: 'q' },
} as const satisfies Options;

/** Those that a command has, by heading. */
export function optionsOf(command: Command): [string, Options][] {
  const { url, ...others } = connectionOptions;
  const { dryRun, yes, json, sql, quiet } = commonOptions;
  if (command.where === 'nowhere') return [['Output:', { json, quiet }]];
  if (command.where === 'database')
    return [['Connection:', { url, database: { ...others.database, about: 'a database of that server' } }]];
  const changes = command.changes === true ? { dryRun } : {};
  const asks = command.confirm === undefined ? {} : { yes };
  const statements = hasStatements(command.columns) ? { sql } : {};
  return [
    ['Changes:', { ...changes, ...asks }],
    ['Output:', { json, ...statements, quiet }],
    ['Connection:', connectionOptions],
  ];
}
