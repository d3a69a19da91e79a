/**
 * The options that several commands have.
 */
import { type Command, hasStatements, type Options } from './command.ts';

export const connectionOptions = {
  url: { about: 'connection URL', takes: 'URL', otherwise: 'DATABASE_URL, else the PG* variables' },
  database: { about: 'a database of that server; can be repeated', takes: 'NAME', many: true, short: 'd' },
  allDatabases: { about: 'every database of that server that allows connections; rolecall has to be in each' },
  urls: { about: 'a file with one connection URL a line', takes: 'FILE' },
  concurrency: { about: 'how many databases at a time', takes: 'N', otherwise: '4' },
} as const satisfies Options;

export const commonOptions = {
  dryRun: { about: 'show what would be done, and change nothing', short: 'n' },
  yes: { about: 'do not ask', short: 'y' },
  json: { about: 'print JSON' },
  sql: { about: 'print the statements' },
  quiet: { about: 'print errors alone', short: 'q' },
} as const satisfies Options;

/** Those of them that a command has, by heading. */
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
