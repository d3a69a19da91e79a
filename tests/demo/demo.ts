/**
 * `make demo`: a real server, the extension, an application's migrations, and what each role can and cannot do, tried
 * by logging in as it. Whatever turns out otherwise than expected ends it with an error. The server stays.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Client } from 'pg';
import { password, startCluster, stopCluster } from '../support/cluster.ts';
import { directory } from './directory.ts';

type Row = Record<string, unknown>;

function heading(text: string): void {
  console.log(`\n=== ${text}`);
}

function table(rows: readonly Row[]): void {
  const [first] = rows;
  if (first === undefined) return console.log('(0 rows)');
  const columns = Object.keys(first);
  const cell = (value: unknown): string => String(value ?? '');
  const widths = columns.map((name) =>
    Math.min(96, Math.max(name.length, ...rows.map((row) => cell(row[name]).length))),
  );
  const line = (cells: readonly string[]): string =>
    cells.map((text, i) => (text.length > 96 ? `${text.slice(0, 93)}...` : text).padEnd(widths[i] ?? 0)).join(' | ');
  console.log(line(columns).trimEnd());
  console.log(widths.map((width) => '-'.repeat(width)).join('-+-'));
  for (const row of rows) console.log(line(columns.map((name) => cell(row[name]))).trimEnd());
}

const steps = 'SELECT operation, target, statement, status FROM';
const provision = `rolecall.provision_reporting_roles(withheld_tables => ARRAY['refresh_tokens', 'local_secrets'])`;

await stopCluster(directory);
fs.rmSync(directory, { recursive: true, force: true });
const cluster = await startCluster({ directory, detach: true, settings: { fsync: true, autovacuum: true } });
const database = await cluster.createDatabase('clinic', 'template1');
const admin = await cluster.connect({ database });
console.log(`PostgreSQL ${cluster.version} on ${cluster.host}:${cluster.port}`);

heading('CREATE EXTENSION rolecall, and what a first call would do');
await admin.query('CREATE EXTENSION rolecall');
table((await admin.query(`${steps} rolecall.create_base_roles(dry_run => true)`)).rows);

const migrations = new URL('migrations/', import.meta.url);
for (const file of fs.readdirSync(migrations).sort()) {
  heading(`migrations/${file}`);
  const results = await admin.query(fs.readFileSync(new URL(file, migrations), 'utf8'));
  const rows = (Array.isArray(results) ? results : [results])
    .flatMap((result: { rows: Row[] }) => result.rows)
    .filter((row) => 'operation' in row)
    .map(({ operation, target, statement, status }) => ({ operation, target, statement, status }));
  if (rows.length > 0) table(rows);
}

/** One attempt: the rows it gives, or the SQLSTATE it ends with. */
async function attempt(client: Client, sql: string): Promise<string> {
  try {
    const results = await client.query(sql);
    const last = (Array.isArray(results) ? results : [results]).at(-1) as { rowCount: number | null };
    return `${last.rowCount ?? 0} rows`;
  } catch (error) {
    await client.query('ROLLBACK');
    return `refused: ${(error as { code?: string }).code} ${(error as Error).message}`;
  }
}

async function tryAs(
  user: string,
  secret: string,
  expected: readonly (readonly [sql: string, outcome: string])[],
): Promise<void> {
  heading(`logged in over TCP as ${user}`);
  const client = await cluster.connect({ user, password: secret, database });
  const rows: Row[] = [];
  for (const [sql, outcome] of expected) {
    const result = await attempt(client, sql);
    rows.push({ statement: sql, outcome: result });
    assert.ok(result.startsWith(outcome), `${user}: ${sql}\nexpected ${outcome}\nbut got ${result}`);
  }
  await client.end();
  table(rows);
}

await tryAs('clinic_app', 'clinic-app-password', [
  ['SELECT * FROM public.patients', '2 rows'],
  ['SET ROLE anonymous; SELECT * FROM public.patients', '0 rows'],
  ['RESET ROLE; SELECT * FROM public.refresh_tokens', 'refused: 42501'],
  ['SET ROLE administrator', 'refused: 42501'],
]);
await tryAs('clinic_admin', 'clinic-admin-password', [
  ['SELECT * FROM public.patients', '2 rows'],
  ['SET ROLE administrator; SELECT * FROM public.patients', '3 rows'],
]);

const escapes: readonly (readonly [string, string])[] = [
  ["INSERT INTO public.patients VALUES (9, 'x', true)", 'refused: 25006'],
  ["COMMIT; RESET ROLE; BEGIN READ WRITE; INSERT INTO public.patients VALUES (9, 'x', true)", 'refused: 42501'],
  ['SET ROLE clinic_owner', 'refused: 42501'],
  ['SET SESSION AUTHORIZATION postgres', 'refused: 42501'],
  ['SELECT * FROM public.refresh_tokens', 'refused: 42501'],
  ['SELECT * FROM rolecall.secret', 'refused: 42501'],
  ['SELECT rolecall.reporting_role_password(current_user)', 'refused: 42501'],
  ['BEGIN READ WRITE; CREATE TABLE reporting.mine (id integer)', 'refused: 42501'],
  ["COPY (SELECT 1) TO PROGRAM 'true'", 'refused: 42501'],
];
for (const [role, reads] of [
  ['clinic_reporting', [['SELECT * FROM encounters_per_patient', '3 rows'] as const]],
  ['clinic_raw', [['SELECT * FROM encounters', '3 rows'] as const]],
] as const) {
  const { rows } = await admin.query<{ secret: string }>('SELECT rolecall.reporting_role_password($1) AS secret', [
    role,
  ]);
  await tryAs(role, rows[0]?.secret ?? '', [...reads, ...escapes]);
}

heading('the same provisioning again: nothing to do');
const again = await admin.query(`${steps} ${provision}`);
table(again.rows);
assert.equal(again.rows.length, 0);
await admin.end();

const url = `postgresql://postgres:${password}@${cluster.host}:${cluster.port}/${database}`;
heading('it is yours to look around in');
console.log(`psql '${url}'`);
console.log(`Without psql, in ${fileURLToPath(new URL('../..', import.meta.url))}:`);
console.log(
  `node -e "const c=new (require('pg').Client)('${url}'); c.connect().then(()=>c.query('SELECT * FROM rolecall.create_user(\\'you\\')')).then(r=>console.table(r.rows)).then(()=>c.end())"`,
);
console.log('make demo-stop   stops and removes it');
process.exit(0);
