/**
 * install, uninstall, status.
 */
import { inDatabases, nowhere, type Command, UsageError } from '../command.ts';

const ways = ['extension', 'pg_tle', 'plain'] as const;

export const installation: readonly Command[] = [
  inDatabases({
    name: 'install',
    summary: 'Install rolecall, or update it',
    details:
      'As an extension where the server has its files, else by pg_tle where that is there, else by a plain script, which takes CREATE on the database alone. Where it is there already, it stays what it is.',
    options: { via: { about: 'this way and no other', takes: 'WAY', choices: ways } },
    examples: {
      install: 'in the database that PGDATABASE or DATABASE_URL names',
      'install --all-databases --dry-run': 'what would be done in every database',
    },
    changes: true,
    undo: true,
    columns: {
      via: 'extension, pg_tle or plain',
      version: 'the version that is there now, or would be',
      changed: 'whether anything was changed, or would be',
    },
    async run({ query }, { via }) {
      const { install } = await import('../../install.ts');
      const done = await install({ query }, { via: ways.find((way) => way === via) });
      return [{ via: done.via, version: done.version, changed: done.changed }];
    },
  }),
  inDatabases({
    name: 'uninstall',
    summary: 'Remove rolecall and all that it remembers; the roles stay',
    details: 'Asks first: what is remembered, and the secret of the reporting roles, cannot be brought back.',
    examples: { 'uninstall --yes': 'without asking' },
    changes: true,
    undo: true,
    confirm: () => true,
    columns: { via: 'how it was installed', version: 'the version that was removed' },
    async run({ query }) {
      const { uninstall } = await import('../../install.ts');
      const { via, version } = await uninstall({ query });
      return via === null ? [] : [{ via, version }];
    },
  }),
  inDatabases({
    name: 'status',
    summary: 'Show whether rolecall is installed, and what there is to do',
    details: 'Exit status 3 where it is missing or not up to date, or something is not as it was asked for.',
    examples: { 'status --all-databases': 'in every database' },
    differs: ({ version, current, drift }) => version === null || current === false || drift !== 0,
    columns: {
      server: 'version of the server',
      via: 'extension, pg_tle or plain; null where it is missing',
      version: 'version of rolecall that is installed',
      available: 'version that "rolecall install" would leave there',
      current: 'whether "rolecall install" would change nothing',
      drift: 'how many steps "rolecall converge" would take; null where rolecall is missing',
    },
    async run({ query, rolecall }) {
      const { installed } = await import('../../install.ts');
      const { via, version, available, current } = await installed({ query });
      const [row] = (await query('SHOW server_version')).rows as { server_version: string }[];
      const drift = via === null ? null : (await rolecall.drift()).length;
      return [{ server: row?.server_version.split(' ')[0] ?? '', via, version, available, current, drift }];
    },
  }),
  nowhere({
    name: 'script',
    summary: 'Print a script of the package',
    details: 'For psql, and for tools that run SQL. "rolecall install" runs the same.',
    arguments: { which: { about: 'plain, which is the default, pg_tle or uninstall', optional: true } },
    examples: {
      'script > rolecall.sql': 'for a migration',
      'script pg_tle | psql app': 'then CREATE EXTENSION rolecall',
    },
    async run({ which = 'plain' }) {
      const { readScript, scripts } = await import('../../install.ts');
      if (!Object.hasOwn(scripts, which)) throw new UsageError(`the scripts are ${Object.keys(scripts).join(', ')}`);
      return { status: 0, text: await readScript(which as keyof typeof scripts) };
    },
  }),
];
