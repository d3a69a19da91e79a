/**
 * generate: plain SQL that contains the names.
 */
import type { Policy } from '../../../generator/model/policy.ts';
import { type Command, nowhere, UsageError } from '../command.ts';

const details =
  'The SQL requires no function in the database. It can be run repeatedly, and by several sessions at once; begin and commit the transaction yourself. By contrast, what "rolecall diff FILE --sql" prints is for the present state of one database.';

export const generate: readonly Command[] = [
  nowhere({
    name: 'generate base-roles',
    summary: 'Print SQL that creates the three group roles',
    details,
    options: {
      anonymous: { about: 'name of the anonymous role', takes: 'ROLE', otherwise: 'anonymous' },
      authenticated: { about: 'name of the role of authenticated users', takes: 'ROLE', otherwise: 'authenticated' },
      administrator: { about: 'name of the role with BYPASSRLS', takes: 'ROLE', otherwise: 'administrator' },
    },
    examples: { 'generate base-roles > roles.sql': 'for a migration' },
    async run({ anonymous = 'anonymous', authenticated = 'authenticated', administrator = 'administrator' }) {
      const { baseRoles, checkName, script } = await import('../plain-sql.ts');
      const names = [anonymous, authenticated, administrator].map(checkName);
      if (new Set(names).size < 3) throw new UsageError('the three roles must have three different names');
      return { status: 0, text: script('base-roles', baseRoles(anonymous, authenticated, administrator)) };
    },
  }),
  nowhere({
    name: 'generate user',
    summary: 'Print SQL that creates a user without a password',
    details: `${details} Set the password with "rolecall user password" or psql's \\password.`,
    arguments: { name: { about: 'name of the user' } },
    options: {
      grant: {
        about: 'a role to grant to the user',
        takes: 'ROLE',
        many: true,
        otherwise: 'anonymous and authenticated',
      },
    },
    examples: { 'generate user app --grant inventory_reader': 'a member of that role only' },
    async run({ name, grant }) {
      const { checkName, script, user } = await import('../plain-sql.ts');
      const groups = grant.length > 0 ? grant : ['anonymous', 'authenticated'];
      return { status: 0, text: script('user', user(checkName(name), groups)) };
    },
  }),
  nowhere({
    name: 'generate reporting',
    summary: 'Print SQL that creates a role that reads the tables of some schemas',
    details: `${details} The role has no password.`,
    arguments: { role: { about: 'name of the role' } },
    options: {
      schema: { about: 'a schema that the role reads', takes: 'SCHEMA', many: true },
      withhold: {
        about: 'a table that the role must not read, written as in SQL with its schema',
        takes: 'TABLE',
        many: true,
      },
      owner: { about: 'a role whose future tables the role reads', takes: 'ROLE', many: true },
    },
    examples: {
      'generate reporting app_reports --schema reporting --owner app_owner': 'also tables that app_owner creates later',
    },
    async run({ role, schema, withhold, owner }) {
      const { checkName, reporting, script } = await import('../plain-sql.ts');
      if (schema.length === 0) throw new UsageError('a reporting role requires --schema');
      return { status: 0, text: script('reporting', reporting(checkName(role), schema, withhold, owner)) };
    },
  }),
  nowhere({
    name: 'generate policy',
    summary: 'Print SQL that adds what a policy says',
    details: `${details} Nothing is revoked: roles keep what the policy does not mention. Passwords in the policy are left out, and so are columns withheld from reporting roles, because only the database knows the columns of a table.`,
    arguments: { file: { about: 'the policy, in YAML or JSON; - is standard input' } },
    examples: { 'generate policy policy.yaml > roles.sql': 'for a migration' },
    async run({ file }) {
      const [{ readPolicy, printProblems }, { policySteps }, { script }] = await Promise.all([
        import('../policy-file.ts'),
        import('../plain-policy.ts'),
        import('../plain-sql.ts'),
      ]);
      const { value, problems } = await readPolicy(file);
      if (problems.length > 0) throw new Error(printProblems(problems));
      return { status: 0, text: script('policy', policySteps(value as Policy)) };
    },
  }),
];
