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
      'rolecall is installed as an extension if the server has its files, else through pg_tle if the database has that, else by a plain script, which requires only CREATE on the database. An existing installation is updated the way it was made.',
    options: { via: { about: 'install this way only', takes: 'WAY', choices: ways } },
    examples: {
      install: 'in the database that PGDATABASE or DATABASE_URL names',
      'install --all-databases --dry-run': 'show what would be done in every database',
    },
    changes: true,
    undo: true,
    columns: {
      via: 'extension, pg_tle or plain',
      version: 'the version that is installed now, or would be',
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
    summary: 'Remove rolecall and everything that it has recorded; the roles stay',
    details: 'Asks for confirmation: the records and the secret of the reporting roles cannot be restored.',
    examples: { 'uninstall --yes': 'without confirmation' },
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
    summary: 'Show whether rolecall is installed and up to date, and whether there is drift',
    details: 'The exit status is 3 if rolecall is missing or not up to date, or there is drift.',
    examples: { 'status --all-databases': 'in every database' },
    differs: ({ version, current, drift }) => version === null || current === false || drift !== 0,
    columns: {
      server: 'the version of the server',
      via: 'extension, pg_tle or plain; null if rolecall is missing',
      version: 'the version of rolecall that is installed',
      available: 'the version that "rolecall install" would install',
      current: 'whether "rolecall install" would change nothing',
      drift: 'how many steps "rolecall converge" would take; null if rolecall is missing',
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
    summary: 'Print one of the SQL scripts of the package',
    details: 'For psql and for tools that run SQL. "rolecall install" runs the same scripts.',
    arguments: { which: { about: 'plain (the default), pg_tle or uninstall', optional: true } },
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
