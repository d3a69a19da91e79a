/**
 * `make demo`: a real server, the extension, an application's migrations, and what each role can and cannot do, tried
 * by logging in as it. Whatever turns out otherwise than expected ends it with an error. The server stays.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import type { Client, QueryResult } from 'pg';
import { password, startCluster } from '../support/cluster.ts';
import { reportScript } from '../../generator/emit/bundle.ts';
import { Rolecall } from '../../package/index.ts';
import { readReport } from '../../package/report/data.ts';
import { printReport } from '../../package/report/page.ts';
import { printTable } from '../support/psql.ts';
import { reportFile, vacate, writeNote } from './directory.ts';

type Row = Readonly<Record<string, string | null>>;

const started = Date.now();

function heading(text: string, explanation = ''): void {
  console.log(`\n=== ${text}`);
  if (explanation !== '') console.log(explanation);
}

function table(rows: readonly Row[]): void {
  const names = Object.keys(rows[0] ?? {});
  const lines = rows.map((row) => names.map((name) => row[name] ?? null));
  console.log(
    rows.length === 0
      ? '(0 rows)'
      : printTable(
          names.map((name) => ({ name })),
          lines,
        ).trimEnd(),
  );
}

const cluster = await startCluster({
  directory: await vacate(),
  detach: true,
  settings: { fsync: true, full_page_writes: true, autovacuum: true },
});
const database = await cluster.createDatabase('clinic', 'template1');
const admin = await cluster.connect({ database });
console.log(
  `PostgreSQL ${cluster.version} is running on ${cluster.host}:${cluster.port}, with the database ${database}.`,
);

/** Runs what calls the extension, and shows the steps: what was done, or is planned. */
async function showSteps(client: Client, sql: string): Promise<number> {
  const results = (await client.query(sql)) as unknown as QueryResult<Row> | QueryResult<Row>[];
  const steps = [results]
    .flat()
    .flatMap(({ rows }) => rows)
    .flatMap(({ status = null, statement = null }) => (status === null ? [] : { status, statement }));
  table(steps);
  return steps.length;
}

heading('CREATE EXTENSION rolecall', 'What a first call would do, by dry_run => true:\n');
await admin.query('CREATE EXTENSION rolecall');
await showSteps(admin, 'SELECT * FROM rolecall.create_base_roles(dry_run => true)');

const migrations = new URL('migrations/', import.meta.url);
const migration = (file: string) => fs.readFileSync(new URL(file, migrations), 'utf8');
for (const file of fs.readdirSync(migrations).sort()) {
  const sql = migration(file);
  heading(`migrations/${file}`, /^-- (.*)/.exec(sql)?.[1]);
  if (!sql.includes('rolecall.')) {
    await admin.query(sql);
    continue;
  }
  console.log();
  await showSteps(admin, sql);
}

/** One attempt: the rows it gives, or the SQLSTATE it ends with. */
async function attempt(client: Client, sql: string): Promise<string> {
  try {
    const results = (await client.query(sql)) as unknown as QueryResult | QueryResult[];
    return `${[results].flat().at(-1)?.rowCount ?? 0} rows`;
  } catch (error) {
    await client.query('ROLLBACK');
    return `refused: ${(error as { code?: string }).code} ${(error as Error).message}`;
  }
}

const passwords: Record<string, string> = { postgres: password };

async function tryAs(
  user: string,
  explanation: string,
  expected: readonly (readonly [sql: string, outcome: string])[],
): Promise<void> {
  heading(`Logged in over TCP, with its password, as ${user}`, `${explanation}\n`);
  const client = await cluster.connect({ user, password: passwords[user] ?? '', database });
  const rows: Row[] = [];
  for (const [sql, outcome] of expected) {
    const result = await attempt(client, sql);
    rows.push({ statement: sql, outcome: result });
    assert.ok(result.startsWith(outcome), `${user}: ${sql}\nexpected ${outcome}\nbut got ${result}`);
  }
  await client.end();
  table(rows);
}

passwords.clinic_app = 'clinic-app-password';
await tryAs(
  'clinic_app',
  'A user of the application. Row-level security shows it two of three patients, and anonymous visitors none.',
  [
    ['SELECT * FROM patients', '2 rows'],
    ['SET ROLE anonymous; SELECT * FROM patients', '0 rows'],
    ['RESET ROLE; SELECT * FROM refresh_tokens', 'refused: 42501'],
    ['SET ROLE administrator', 'refused: 42501'],
  ],
);
passwords.clinic_admin = 'clinic-admin-password';
await tryAs('clinic_admin', 'Its administrator, whose base role bypasses row-level security.', [
  ['SELECT * FROM patients', '2 rows'],
  ['SET ROLE administrator; SELECT * FROM patients', '3 rows'],
]);

const escapes: readonly (readonly [string, string])[] = [
  ["INSERT INTO public.patients VALUES (9, 'x', true)", 'refused: 25006'],
  ["COMMIT; RESET ROLE; BEGIN READ WRITE; INSERT INTO public.patients VALUES (9, 'x', true)", 'refused: 42501'],
  ['BEGIN READ WRITE; CREATE TABLE reporting.mine (id integer)', 'refused: 42501'],
  ['SET ROLE clinic_owner', 'refused: 42501'],
  ['SET SESSION AUTHORIZATION postgres', 'refused: 42501'],
  ['SELECT * FROM public.refresh_tokens', 'refused: 42501'],
  ['SELECT * FROM rolecall_internal.secret', 'refused: 42501'],
  ['SELECT rolecall.reporting_role_password(current_user)', 'refused: 42501'],
  ["COPY (SELECT 1) TO PROGRAM 'true'", 'refused: 42501'],
];
const derived = 'Its password is derived: reporting_role_password() tells it. It reads, and every way out is refused.';
for (const [role, reads] of [
  ['clinic_reporting', [['SELECT * FROM encounters_per_patient', '3 rows'] as const]],
  [
    'clinic_raw',
    [['SELECT * FROM encounters', '3 rows'] as const, ['SELECT * FROM invoices -- made later', '2 rows'] as const],
  ],
] as const) {
  const query = 'SELECT rolecall.reporting_role_password($1) AS password';
  const { rows } = await admin.query<{ password: string }>(query, [role]);
  passwords[role] = rows[0]?.password ?? '';
  await tryAs(role, derived, [...reads, ...escapes]);
}

heading('The same migration again', 'There is nothing to do, so there are no steps:\n');
const provisioning = migration('3-reporting.sql').replace(/^CREATE VIEW[^]*/m, '');
assert.equal(await showSteps(admin, provisioning), 0);

heading(
  'Somebody changes the roles by hand: GRANT clinic_owner TO clinic_raw; REVOKE authenticated FROM clinic_app',
  'What drift() says, and what converge() does about it:\n',
);
await admin.query('GRANT clinic_owner TO clinic_raw; REVOKE authenticated FROM clinic_app');
assert.equal(await showSteps(admin, 'SELECT * FROM rolecall.drift()'), 2);
assert.equal(await showSteps(admin, 'SELECT * FROM rolecall.converge()'), 2);
const report = await readReport({
  rolecall: new Rolecall(admin),
  query: (text, values) => admin.query(text, values),
  dryRun: false,
});
fs.writeFileSync(reportFile, printReport(report, (await reportScript()).text));
await admin.end();
writeNote({ version: cluster.version, port: cluster.port, database, passwords });

heading('It is yours to look around in', `All of that took ${Math.round((Date.now() - started) / 1000)} s.\n`);
table(Object.entries(passwords).map(([login, secret]) => ({ login, password: secret })));
const url = `postgresql://postgres:${password}@${cluster.host}:${cluster.port}/${database}`;
console.log(`
make demo-sql                 a prompt for SQL, as the superuser postgres
make demo-sql AS=clinic_raw   the same as another of these roles
psql ${url}
                              or any other client of PostgreSQL
make demo-stop                stops the server and removes it

To begin with:
  SELECT * FROM rolecall.create_user('you', 'a password', dry_run => true);
  SELECT severity, path, object FROM rolecall.audit_role('clinic_app');

Who can do what there, as a page for a browser (by "rolecall report"):
  ${reportFile}`);
process.exit(0);
