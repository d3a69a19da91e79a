/**
 * Reporting roles, which can only read.
 */
import { inDatabases, stepColumns, stepRows, UsageError, type Command } from '../command.ts';

const role = { role: { about: 'name of the reporting role' } } as const;
const steps = { changes: true, columns: stepColumns } as const;

export const reporting: readonly Command[] = [
  inDatabases({
    name: 'reporting provision',
    summary: 'Create a role that reads the tables of some schemas, including those created later',
    details:
      'Without a name: the usual pair, DATABASE_reporting on the schema reporting and DATABASE_raw on the schema public. What an earlier run withheld stays withheld, unless --withhold or --withhold-nothing is given; --withhold replaces the whole list. Give the other options on each run.',
    arguments: { role: { about: 'name of the role', optional: true } },
    options: {
      schema: { about: 'a schema that the role reads', takes: 'SCHEMA', many: true },
      withholdNothing: { about: 'make everything readable that earlier runs withheld' },
      withhold: { about: 'a table, or a column of one, that the role must not read', takes: 'TABLE', many: true },
      owner: {
        about: 'a role whose future tables the role reads',
        takes: 'ROLE',
        many: true,
        otherwise: 'every owner of a table there',
      },
      searchPath: {
        about: 'a schema of its search_path',
        takes: 'SCHEMA',
        many: true,
        otherwise: 'its schemas and those of extensions',
      },
      rotateAfter: { about: 'the age at which the secret is replaced', takes: 'INTERVAL', otherwise: '90 days' },
      trustRecord: { about: 'do not set the password again where the stored one cannot be read' },
    },
    examples: {
      'reporting provision': 'the usual pair',
      'reporting provision app_reports --schema reporting --withhold tokens': 'one role',
    },
    ...steps,
    async prepare({ role: name, schema, searchPath, withhold, withholdNothing }) {
      if (withholdNothing && withhold.length > 0)
        throw new UsageError('--withhold and --withhold-nothing cannot be used together');
      if (name !== undefined && schema.length === 0) throw new UsageError('a reporting role requires --schema');
      if (name === undefined && schema.length + searchPath.length > 0)
        throw new UsageError('--schema and --search-path require the name of a role');
    },
    async run({ rolecall, dryRun }, values) {
      const common = {
        withheld_tables: values.withhold.length > 0 || values.withholdNothing ? values.withhold : null,
        table_owners: values.owner.length > 0 ? values.owner : undefined,
        rotate_after: values.rotateAfter,
        realign_password: !values.trustRecord,
        dry_run: dryRun,
      };
      if (values.role === undefined) return stepRows(await rolecall.provision_reporting_roles(common));
      const search_path = values.searchPath.length > 0 ? values.searchPath : undefined;
      const own = { role_name: values.role, schemas: values.schema, search_path };
      return stepRows(await rolecall.provision_reporting_role({ ...own, ...common }));
    },
  }),
  inDatabases({
    name: 'reporting password',
    summary: 'Print the password of a reporting role',
    arguments: role,
    examples: { 'reporting password app_reports': 'for the tool that logs in as this role' },
    columns: { password: 'the password' },
    run: async ({ rolecall }, { role: role_name }) => [
      { password: await rolecall.reporting_role_password({ role_name }) },
    ],
    text: (rows) => rows.map(({ password }) => String(password)).join('\n'),
  }),
  inDatabases({
    name: 'reporting rotate',
    summary: 'Give every reporting role of the database a new password',
    examples: { 'reporting rotate --dry-run': 'shows which roles' },
    ...steps,
    run: async ({ rolecall, dryRun }) => stepRows(await rolecall.rotate_reporting_secret({ dry_run: dryRun })),
  }),
];
