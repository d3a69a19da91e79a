/**
 * What is there, and whether it is as it was asked for.
 */
import { type Command, inDatabases, inOneDatabase, type Row, stepColumns, stepRows } from '../command.ts';
import { json } from '../escape.ts';

const severities = ['info', 'warning', 'critical'] as const;

const formats = ['mermaid', 'dot', 'json'] as const;

export const keeping: readonly Command[] = [
  inDatabases({
    name: 'drift',
    summary: "Show what is not as this database's calls and policies asked for",
    details: 'Changes nothing. Exit status 3 where there is something to restore.',
    examples: { drift: 'for people', 'drift --quiet': 'for a job that is to fail' },
    columns: stepColumns,
    differs: () => true,
    run: async ({ rolecall }) => stepRows(await rolecall.drift()),
  }),
  inDatabases({
    name: 'converge',
    summary: 'Restore what drift shows',
    examples: { 'converge --dry-run --sql': 'the statements', 'converge --all-databases': 'in every database' },
    changes: true,
    columns: stepColumns,
    run: async ({ rolecall, dryRun }) => stepRows(await rolecall.converge({ dry_run: dryRun })),
  }),
  inDatabases({
    name: 'audit',
    summary: 'List every way by which roles can write, gain power or read what is withheld',
    options: {
      role: { about: 'a role', takes: 'ROLE', many: true, otherwise: 'every role that is no superuser' },
      severity: { about: 'this severity and higher ones', takes: 'SEVERITY', choices: severities, otherwise: 'info' },
      failOn: { about: 'exit status 3 for this severity and higher ones', takes: 'SEVERITY', choices: severities },
    },
    examples: {
      'audit --severity warning': 'without what is only to be known',
      'audit --role app_reports --fail-on critical': 'for a job that is to fail',
    },
    columns: {
      role: 'the role that can do it',
      severity: 'info, warning or critical',
      path: 'how it comes by it',
      object: 'what it can do it to',
      detail: 'what it can do',
      remedy: 'the statement that ends it, or null',
    },
    differs: ({ severity }, { failOn }) => failOn !== undefined && isAtLeast(severity, failOn),
    run: async ({ rolecall }, { role, severity = 'info' }) =>
      ((await rolecall.audit({ roles: role.length > 0 ? role : null })) as Row[]).filter((row) =>
        isAtLeast(row['severity'], severity),
      ),
  }),
  inDatabases({
    name: 'who-can',
    summary: 'List who has a privilege on an object, and by which way',
    arguments: {
      privilege: { about: 'SELECT, INSERT, USAGE, ...' },
      object: { about: 'table, column, sequence, function with arguments, schema or database, as in SQL' },
    },
    examples: { 'who-can SELECT billing.invoices': 'who reads the table' },
    columns: {
      role: 'who has it',
      login: 'whether the role can log in',
      path: 'superuser, owner, itself, PUBLIC or member of ROLE',
      grantor: 'who granted it',
    },
    run: async ({ rolecall }, values) => (await rolecall.who_can(values)) as Row[],
  }),
  inDatabases({
    name: 'undeclared',
    summary: 'List roles, memberships and privileges that no call and no policy asked for',
    details: 'Exit status 3 where there are some.',
    examples: { undeclared: 'each with the statement that ends it' },
    columns: {
      kind: 'role, membership, setting or privilege',
      role: 'whose it is',
      object: 'on what',
      detail: 'what it is',
      remedy: 'the statement that ends it',
    },
    differs: () => true,
    run: async ({ rolecall }) => (await rolecall.undeclared()) as Row[],
  }),
  inDatabases({
    name: 'orphans',
    summary: 'List the reporting roles of databases that no longer exist',
    details: 'Exit status 3 where there are some. Look before you run a remedy: they are recognized by what they are.',
    examples: { orphans: 'in one database: roles belong to the cluster' },
    columns: { role: 'the role', database: 'what its name says', remedy: 'the statement that drops it' },
    differs: () => true,
    run: async ({ rolecall }) => (await rolecall.orphans()) as Row[],
  }),
  inOneDatabase({
    name: 'graph',
    summary: 'Print roles, memberships, and what each reads and writes, as a graph',
    options: {
      format: { about: 'its notation', takes: 'FORMAT', choices: formats, otherwise: 'mermaid' },
      role: { about: 'a role', takes: 'ROLE', many: true, otherwise: 'all that are not of the server' },
      json: { about: 'the same as --format json: roles, memberships and access' },
    },
    examples: {
      'graph > roles.mmd': 'for a page in Markdown',
      'graph --format dot --role app | dot -Tsvg > app.svg': 'one role, by Graphviz',
    },
    run: async ({ rolecall }, { format, role, json: asJson }) =>
      rolecall.role_graph({ format: asJson ? 'json' : format, roles: role.length > 0 ? role : null }),
  }),
  inOneDatabase({
    name: 'report',
    summary: 'Write a page that shows who can do what',
    details:
      'One file to look at in a browser, without a network: roles and memberships as a graph and as tables, what each role has in each schema, findings with their remedies, drift, and what nobody asked for.',
    options: {
      out: { about: 'the file', takes: 'FILE', otherwise: 'standard output' },
      json: {
        about:
          'what the page shows as JSON: database, server, at, and roles, memberships, access, findings, drift and undeclared, each a list of rows with the columns of the page',
      },
    },
    examples: { 'report --out access.html': 'then open the file' },
    async run(database, { out, json: asJson }) {
      const [{ readReport }, { printReport }, { readScript }, { writeFile }] = await Promise.all([
        import('../../report/data.ts'),
        import('../../report/page.ts'),
        import('../../report/script.ts'),
        import('node:fs/promises'),
      ]);
      const report = await readReport(database);
      const page = asJson ? `${json(report)}\n` : printReport(report, readScript());
      if (out === undefined) return page;
      await writeFile(out, page);
      return '';
    },
  }),
];

const isAtLeast = (severity: unknown, least: string): boolean =>
  severities.findIndex((each) => each === severity) >= severities.findIndex((each) => each === least);
