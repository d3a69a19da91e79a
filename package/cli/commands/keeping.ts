/**
 * The state of roles and access, and how it differs from what was asked for.
 */
import { type Command, inDatabases, inOneDatabase, type Row, stepColumns, stepRows } from '../command.ts';
import { json } from '../escape.ts';

const severities = ['info', 'warning', 'critical'] as const;

const formats = ['mermaid', 'dot', 'json'] as const;

/**
 * One row instead of one for each role that has the privilege through PUBLIC. Superusers have it anyway.
 */
function ofEveryRole(rows: readonly Row[]): Row[] {
  const own = rows.filter(({ path }) => path !== 'PUBLIC');
  const grantors = new Set(rows.filter((row) => !own.includes(row)).map(({ grantor = null }) => grantor));
  return [...[...grantors].map((grantor) => ({ role: '(every role)', login: null, path: 'PUBLIC', grantor })), ...own];
}

export const keeping: readonly Command[] = [
  inDatabases({
    name: 'drift',
    summary: "Show what differs from what this database's calls and policies asked for",
    details: 'Changes nothing. The exit status is 3 if there is something to restore.',
    examples: { drift: 'the steps that would restore it', 'drift --quiet': 'in a job that should fail on drift' },
    columns: stepColumns,
    differs: () => true,
    run: async ({ rolecall }) => stepRows(await rolecall.drift()),
  }),
  inDatabases({
    name: 'converge',
    summary: 'Restore what "rolecall drift" shows',
    examples: {
      'converge --dry-run --sql': 'prints the statements',
      'converge --all-databases --installed-only': 'in every database that has rolecall',
    },
    changes: true,
    columns: stepColumns,
    run: async ({ rolecall, dryRun }) => stepRows(await rolecall.converge({ dry_run: dryRun })),
  }),
  inDatabases({
    name: 'audit',
    summary: 'List every way in which roles can write, gain power or read what is withheld from them',
    options: {
      role: { about: 'a role', takes: 'ROLE', many: true, otherwise: 'every role that is not a superuser' },
      severity: {
        about: 'only findings of this severity or higher',
        takes: 'SEVERITY',
        choices: severities,
        otherwise: 'info',
      },
      failOn: {
        about: 'exit with 3 if there is a finding of this severity or higher',
        takes: 'SEVERITY',
        choices: severities,
      },
    },
    examples: {
      'audit --severity warning': 'without findings that are only for information',
      'audit --role app_reports --fail-on critical': 'in a job that should fail',
    },
    columns: {
      role: 'the role that the finding is about',
      severity: 'info, warning or critical',
      path: 'how the role can do it',
      object: 'the object that it can do it to',
      detail: 'what it can do',
      remedy: 'the statement that ends it, or null; a comment in it says what to replace',
    },
    differs: ({ severity }, { failOn }) => failOn !== undefined && isAtLeast(severity, failOn),
    run: async ({ rolecall }, { role, severity = 'info' }) =>
      ((await rolecall.audit({ roles: role.length > 0 ? role : null })) as Row[]).filter((row) =>
        isAtLeast(row['severity'], severity),
      ),
  }),
  inDatabases({
    name: 'who-can',
    summary: 'List who has a privilege on an object, and how',
    details: 'What every role has through PUBLIC is one line; with --json it is a row for each role.',
    arguments: {
      privilege: { about: 'SELECT, INSERT, USAGE, ...' },
      object: {
        about: 'a table, column, sequence, function with its argument types, schema or database, written as in SQL',
      },
    },
    examples: { 'who-can SELECT billing.invoices': 'who can read the table' },
    columns: {
      role: 'who has the privilege',
      login: 'whether the role can log in',
      path: 'how: superuser, owner, itself, PUBLIC or member of ROLE',
      grantor: 'who granted it',
    },
    folded: ofEveryRole,
    run: async ({ rolecall }, values) => (await rolecall.who_can(values)) as Row[],
  }),
  inDatabases({
    name: 'undeclared',
    summary: 'List roles, memberships and privileges that no call or policy asked for',
    details: 'The exit status is 3 if there are any.',
    examples: { undeclared: 'each with the statement that removes it' },
    columns: {
      kind: 'role, membership, setting or privilege',
      role: 'the role that has it',
      object: 'the object or role that it is on',
      detail: 'what it is',
      remedy: 'the statement that removes it',
    },
    differs: () => true,
    run: async ({ rolecall }) => (await rolecall.undeclared()) as Row[],
  }),
  inDatabases({
    name: 'orphans',
    summary: 'List the reporting roles of databases that no longer exist',
    details:
      'The exit status is 3 if there are any. Such roles are recognized by their settings alone, so look at each before you run its remedy.',
    examples: { orphans: 'one database is enough: roles belong to the cluster' },
    columns: {
      role: 'the role',
      database: 'the database that its name contains',
      remedy: 'the statement that drops it',
    },
    differs: () => true,
    run: async ({ rolecall }) => (await rolecall.orphans()) as Row[],
  }),
  inOneDatabase({
    name: 'graph',
    summary: 'Print roles, memberships, and what each role reads and writes, as a graph',
    options: {
      format: { about: 'format of the graph', takes: 'FORMAT', choices: formats, otherwise: 'mermaid' },
      role: { about: 'a role', takes: 'ROLE', many: true, otherwise: 'all but predefined roles' },
      json: { about: 'print JSON, the same as --format json: roles, memberships and access' },
    },
    examples: {
      'graph > roles.mmd': 'for a Markdown page',
      'graph --format dot --role app | dot -Tsvg > app.svg': 'one role, drawn by Graphviz',
    },
    run: async ({ rolecall }, { format, role, json: asJson }) =>
      rolecall.role_graph({ format: asJson ? 'json' : format, roles: role.length > 0 ? role : null }),
  }),
  inOneDatabase({
    name: 'report',
    summary: 'Write an HTML page that shows who can do what',
    details:
      'The page is one file that needs no network. It shows roles and memberships as a graph and as tables, what each role can do in each schema, the findings of the audit with their remedies, drift, and what was never asked for.',
    options: {
      out: { about: 'the file to write', takes: 'FILE', otherwise: 'standard output' },
      json: {
        about:
          'print what the page shows as JSON: database, server, at, and roles, memberships, access, findings, drift and undeclared, each a list of rows with the columns of the page',
      },
    },
    examples: { 'report --out access.html': 'then open the file in a browser' },
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
