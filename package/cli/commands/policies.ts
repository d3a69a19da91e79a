/**
 * Policies: the access control of a whole database as one file.
 */
import {
  type Command,
  type Database,
  inDatabases,
  inOneDatabase,
  nowhere,
  type Row,
  stepColumns,
  stepRows,
} from '../command.ts';
import { json, line, lines } from '../escape.ts';
import { hashed } from '../person.ts';
import type { PolicyFile } from '../policy-file.ts';

const file = { file: { about: 'the policy, in YAML or JSON; - is standard input' } } as const;
const modes = ['additive', 'adopt', 'authoritative'] as const;
const policyOptions = {
  mode: {
    about: 'what happens to what is there and not in the policy',
    takes: 'MODE',
    choices: modes,
    otherwise: 'adopt',
  },
  passwords: {
    about: 'a YAML or JSON file that maps roles to passwords; they are hashed before they are sent',
    takes: 'FILE',
  },
} as const;

interface Prepared {
  readonly policy: PolicyFile;
  readonly passwords: Record<string, string> | null;
}

async function prepare(values: { readonly file: string; readonly passwords: string | undefined }): Promise<Prepared> {
  const { readPolicy, printProblems } = await import('../policy-file.ts');
  const policy = await readPolicy(values.file);
  if (policy.problems.length > 0) throw new Error(printProblems(policy.problems));
  return { policy, passwords: values.passwords === undefined ? null : await readPasswords(values.passwords) };
}

async function readPasswords(file: string): Promise<Record<string, string>> {
  const { readTexts } = await import('../policy-file.ts');
  const entries = Object.entries(await readTexts(file));
  return Object.fromEntries(
    await Promise.all(entries.map(async ([role, password]) => [role, await hashed(password)] as const)),
  );
}

async function apply(database: Database, mode: string | undefined, { policy, passwords }: Prepared): Promise<Row[]> {
  const { rolecall, dryRun } = database;
  const document = policy.value as object;
  const problems = await rolecall.check_policy({ policy: document });
  const { printProblems } = await import('../policy-file.ts');
  if (problems.length > 0)
    throw new Error(
      printProblems(problems.map(({ path, problem }) => policy.place({ path: path ?? '$', problem: problem ?? '' }))),
    );
  return stepRows(await rolecall.apply({ policy: document, mode, passwords, dry_run: dryRun }));
}

/** Operations by which a role loses something. */
const takesAway = ({ operation, status, statement }: Row): boolean =>
  status !== 'skipped' &&
  (/^(revoke_|drop_|terminate_|reassign_)/.test(String(operation)) ||
    /^ALTER DEFAULT PRIVILEGES .*REVOKE/.test(String(statement)));

/** Steps, grouped by role or object. */
function grouped(rows: readonly Row[]): string {
  const targets = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${row['database'] === undefined ? '' : `${String(row['database'])}: `}${String(row['target'])}`;
    targets.set(key, [...(targets.get(key) ?? []), row]);
  }
  const sign = (row: Row): string => (row['status'] === 'skipped' ? '!' : takesAway(row) ? '-' : '+');
  const note = (row: Row): string => (row['note'] === null ? '' : `  -- ${String(row['note'])}`);
  return [...targets]
    .map(([target, steps]) =>
      [line(target), ...steps.map((row) => `  ${sign(row)} ${line(`${String(row['statement'])}${note(row)}`)}`)].join(
        '\n',
      ),
    )
    .join('\n');
}

const output = {
  json: { about: 'print JSON instead of YAML' },
  update: { about: 'update this file in place, and keep its comments', takes: 'FILE' },
} as const;

async function give(
  policy: unknown,
  values: { readonly json: boolean; readonly update: string | undefined },
): Promise<string> {
  const { printPolicy, updateFile } = await import('../policy-file.ts');
  if (values.update === undefined) return values.json ? `${json(policy)}\n` : printPolicy(policy);
  await updateFile(values.update, policy);
  return '';
}

export const policies: readonly Command[] = [
  nowhere({
    name: 'check',
    summary: 'Find mistakes in a policy, without a database',
    details:
      'The exit status is 1 if there are any. Mistakes that depend on other parts of the policy or on the server, such as a role that is named twice, are found by "rolecall diff".',
    arguments: file,
    examples: { 'check policy.yaml': 'prints each mistake with its line and column' },
    columns: {
      file: 'the file',
      line: 'the line, from 1',
      column: 'the column, from 1',
      path: 'the JSON path of the mistake',
      problem: 'what is wrong',
    },
    async run(values) {
      const { readPolicy, printProblems } = await import('../policy-file.ts');
      const { problems } = await readPolicy(values.file);
      return { status: problems.length > 0 ? 1 : 0, rows: problems, text: lines(printProblems(problems)) };
    },
  }),
  inDatabases({
    name: 'diff',
    summary: 'Show what "rolecall apply" would do',
    details: 'Changes nothing. The exit status is 3 if there is something to do.',
    arguments: file,
    options: policyOptions,
    examples: { 'diff policy.yaml': 'grouped by role', 'diff policy.yaml --sql': 'the statements, ready to run' },
    columns: stepColumns,
    differs: () => true,
    prepare,
    run: (database, { mode }, prepared) => apply({ ...database, dryRun: true }, mode, prepared),
    text: grouped,
  }),
  inDatabases({
    name: 'apply',
    summary: 'Change roles and privileges to what a policy says',
    details:
      'Asks for confirmation before it revokes, drops or reassigns anything, or ends sessions; without a terminal, that requires --yes.',
    arguments: file,
    options: policyOptions,
    examples: {
      'apply policy.yaml': 'asks before it revokes or drops',
      'apply policy.yaml --mode additive --yes': 'in a script',
    },
    changes: true,
    confirm: takesAway,
    columns: stepColumns,
    prepare,
    run: (database, { mode }, prepared) => apply(database, mode, prepared),
  }),
  inOneDatabase({
    name: 'export',
    summary: 'Print what calls and policies have established, as a policy',
    options: output,
    examples: {
      'export > policy.yaml': 'to a new file',
      'export --update policy.yaml': 'to an existing file with comments',
    },
    run: async ({ rolecall }, values) => give(await rolecall.policy(), values),
  }),
  inOneDatabase({
    name: 'inspect',
    summary: 'Print the roles as they are, whoever created them, as a policy',
    options: {
      role: { about: 'a role', takes: 'ROLE', many: true, otherwise: 'all' },
      suggestProfiles: { about: 'write privileges that repeat in several schemas as profiles' },
      ...output,
    },
    examples: {
      'inspect --suggest-profiles > policy.yaml': 'a policy to start from',
      'inspect --role app --json': 'one role, as JSON',
    },
    run: async ({ rolecall }, { role, suggestProfiles: suggest_profiles, ...values }) =>
      give(await rolecall.inspect({ roles: role.length > 0 ? role : null, suggest_profiles }), values),
  }),
];
