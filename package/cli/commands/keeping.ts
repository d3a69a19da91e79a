/**
 * What is there, and whether it is as it was asked for.
 */
import { type Command, inDatabases, inOneDatabase, type Row, stepColumns, stepRows } from '../command.ts';

const severities = ['info', 'warning', 'critical'] as const;

/** One role, or all that are no superusers and not of the server. */
const audit = `SELECT r.rolname AS role, a.severity, a.path, a.object, a.detail, a.remedy
FROM pg_catalog.pg_roles AS r CROSS JOIN LATERAL rolecall.audit_role(r.rolname) AS a
WHERE CASE WHEN $1::text[] IS NULL THEN NOT r.rolsuper AND r.rolname !~ '^pg_' ELSE r.rolname = ANY ($1::text[]) END
ORDER BY array_position('{critical,warning,info}', a.severity), r.rolname, a.path, a.object, a.detail`;

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
    async run({ query }, { role, severity = 'info' }) {
      const { rows } = await query(audit, [role.length > 0 ? role : null]);
      return (rows as Row[]).filter((row) => isAtLeast(row['severity'], severity));
    },
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
  inOneDatabase({
    name: 'report',
    summary: 'Write a page that shows who can do what',
    details:
      'One file to look at in a browser, without a network: roles and memberships as a graph and as tables, what each role has in each schema, findings with their remedies, drift, and what nobody asked for.',
    options: { out: { about: 'the file', takes: 'FILE', otherwise: 'standard output' } },
    examples: { 'report --out access.html': 'then open the file' },
    async run(database, { out }) {
      const [{ readReport }, { printReport }, { readScript }, { writeFile }] = await Promise.all([
        import('../../report/data.ts'),
        import('../../report/page.ts'),
        import('../../report/script.ts'),
        import('node:fs/promises'),
      ]);
      const page = printReport(await readReport(database, audit), readScript());
      if (out === undefined) return page;
      await writeFile(out, page);
      return '';
    },
  }),
];

const isAtLeast = (severity: unknown, least: string): boolean =>
  severities.findIndex((each) => each === severity) >= severities.findIndex((each) => each === least);
