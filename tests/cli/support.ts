/**
 * The command line as users have it: of the package, which is built once for all files of a run.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type Cluster, password, root } from '../support/cluster.ts';
import { madeOnce } from '../support/once.ts';

export const built = await madeOnce('package', (path) => {
  const build = ['--import', './tests/support/typescript.mjs', join(root, 'generator/package.ts'), path];
  const { status, stdout, stderr } = spawnSync(process.execPath, build, { cwd: root, encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}${stderr}`);
});

export const program = join(built, 'cli/main.js');

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

export interface Given {
  env?: NodeJS.ProcessEnv;
  input?: string;
  /** What is done while it runs. */
  meanwhile?: (child: ChildProcess) => void;
}

export interface Databases {
  databases: {
    database: string;
    status: string;
    rows: Record<string, unknown>[];
    notices: { severity: string; message: string }[];
    error?: { message: string; sqlstate: string | null; detail: string | null; hint: string | null };
  }[];
}

/** How a cluster is reached; nothing of the environment that the tests run in counts. */
export function environment(cluster: Cluster, database = 'postgres'): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  const { host: PGHOST, port } = cluster;
  return { PATH, HOME, PGHOST, PGPORT: String(port), PGUSER: 'postgres', PGPASSWORD: password, PGDATABASE: database };
}

export function rolecall(
  parameters: readonly string[],
  { env = {}, input = '', meanwhile }: Given = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, [program, ...parameters], { env, stdio: 'pipe' });
  const outcome: Outcome = { status: null, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (outcome.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (outcome.stderr += text));
  child.stdin.on('error', () => undefined).end(input);
  meanwhile?.(child);
  return new Promise((done) => child.once('close', (status) => done({ ...outcome, status })));
}

/** Runs it, and expects an exit status. */
export async function expectStatus(status: number, parameters: readonly string[], given: Given = {}): Promise<Outcome> {
  const outcome = await rolecall(parameters, given);
  assert.equal(outcome.status, status, `rolecall ${parameters.join(' ')}\n${outcome.stdout}${outcome.stderr}`);
  return outcome;
}

/** The same with --json, for one database: what is documented of it, checked, and the rows. */
export async function jsonRows(
  status: number,
  parameters: readonly string[],
  given: Given = {},
): Promise<Record<string, unknown>[]> {
  const end = parameters.includes('--') ? parameters.indexOf('--') : parameters.length;
  const { stdout } = await expectStatus(status, parameters.toSpliced(end, 0, '--json'), given);
  const { databases } = JSON.parse(stdout) as Databases;
  assert.equal(databases.length, 1);
  assert.deepEqual(Object.keys(databases[0] ?? {}).slice(0, 4), ['database', 'status', 'rows', 'notices']);
  return databases[0]?.rows ?? [];
}
