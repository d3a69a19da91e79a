/**
 * Runs the tests: `make test`, see tests/README.md. Environment: PG (major versions), ONLY (part of a path),
 * JOBS (how many files at a time). Argument: another folder of tests, for the tests of this file.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import type { Client } from 'pg';
import { type Cluster, prepare, root, runDirectory, startCluster, versions } from './support/cluster.ts';
import { type Failure, inShort } from './support/failures.ts';
import { type Result, runTap } from './support/tap.ts';

/** Folders whose tests need no particular version of PostgreSQL, and those that other commands run. */
const once = ['cli', 'generator', 'package', 'support', 'tools'];
const elsewhere = ['bench', 'container'];
/** Folders of small files, which one process runs: to start one takes as long as what each file does. */
const together = ['reports'];
const fileTimeout = 20 * 60_000;

interface Job {
  version?: number;
  work(report: (path: string, test: () => Promise<Result>) => Promise<void>): Promise<void>;
}

const tests = resolve(process.argv[2] ?? join(root, 'tests'));
const started = Date.now();
const seconds = (since: number) => `${((Date.now() - since) / 1000).toFixed(1)} s`;
/** What the processors have done since the machine was started, in milliseconds. */
function processorTime(): { idle: number; all: number } {
  const times = cpus().map(({ times }) => times);
  const all = times.flatMap((each) => Object.values(each));
  return { idle: sum(times.map(({ idle }) => idle)), all: sum(all) };
}
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
const atStart = processorTime();
/** How long it took, and what tells whether it could be faster: idle processors, a disk. */
function cost(): string {
  const { idle, all } = processorTime();
  const busy = 100 * (1 - (idle - atStart.idle) / (all - atStart.all));
  return `in ${seconds(started)}, the processors ${busy.toFixed(0)} % busy, the servers in ${dirname(runDirectory())}`;
}
const label = (version?: number) => (version === undefined ? 'any version' : `PostgreSQL ${version}`);
type Counts = Pick<Result, 'passed' | 'failed' | 'skipped'>;
const counts = ({ passed, failed, skipped }: Counts) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
const failure = (error: unknown): Result => {
  return { passed: 0, failed: 1, skipped: 0, failures: [typeof error === 'string' ? error : inspect(error)] };
};

function chooseVersions(): number[] {
  const installable = versions();
  const asked = (process.env.PG ?? '').split(/[\s,]+/).filter(Boolean);
  for (const version of asked) {
    if (installable.includes(Number(version))) continue;
    throw new Error(`PG=${version}: the versions for this platform are ${installable.join(' ')}`);
  }
  if (asked.length > 0) return asked.map(Number);
  for (const version of versions(false).filter((each) => !installable.includes(each))) {
    console.log(
      `PostgreSQL ${version} is not tested: npm has no package of it for ${process.platform}-${process.arch}`,
    );
  }
  return installable;
}

const processes = new Set<ChildProcess>();

// A failed test can leave connections open, which would keep its process waiting for ever. (The flag is from 20.14.)
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const forceExit = major > 20 || minor >= 14 ? ['--test-force-exit'] : [];

/** Runs files of node:test, one after the other, in a process group of their own, which is told the version by PG. */
function runNodeTest(files: readonly string[], version: number): Promise<Result> {
  const results = join(runDirectory(), `results-${randomUUID()}`);
  const reporter = [`--test-reporter=${join(root, 'tests/support/reporter.ts')}`, '--test-reporter-destination=stdout'];
  const compiler = pathToFileURL(join(root, 'tests/support/typescript.mjs')).href;
  // Of several all are loaded before the first begins: once the tests that it knows are done, the process ends.
  const imports = files.map((file) => `import ${JSON.stringify(pathToFileURL(file).href)};`).join('');
  const what = files.length === 1 ? files : ['--input-type=module', '--eval', imports];
  const command = ['--import', compiler, ...forceExit, ...reporter, ...what];
  const environment: NodeJS.ProcessEnv = { ...process.env, PG: String(version), RESULTS: results };
  delete environment.NODE_TEST_CONTEXT; // Set where this runner is itself under test; it would silence the inner one.
  const child = spawn(process.execPath, command, { cwd: root, env: environment, detached: true });
  processes.add(child);
  const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGTERM'), fileTimeout);
  let output = '';
  const collect = (text: string) => (output += text);
  child.stdout.setEncoding('utf8').on('data', collect);
  child.stderr.setEncoding('utf8').on('data', collect);
  return new Promise((done) => {
    child.once('error', (error) => done(failure(error)));
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      processes.delete(child);
      const result = readResults(results, output);
      if (result.failed === 0 && code !== 0) Object.assign(result, failure(`exit status ${code ?? signal}\n${output}`));
      else if (result.failed > 0 && output !== '') result.output = output;
      done(result);
    });
  });
}

/**
 * Adds up what the reporter wrote. A file without tests writes nothing, one that ends before its tests no last line.
 */
function readResults(file: string, output: string): Result {
  const result: Result = { passed: 0, failed: 0, skipped: 0, failures: [] };
  const lines = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trimEnd().split('\n') : [];
  for (const line of lines) {
    const { passed = 0, failed = 0, skipped = 0, failures = [] } = JSON.parse(line) as Partial<Result>;
    result.passed += passed;
    result.failed += failed;
    result.skipped += skipped;
    result.failures.push(...failures);
  }
  if (lines.length > 0 && lines.at(-1) !== '{}') {
    result.failed++;
    result.failures.push(`the process ended before its tests did\n${output}`);
  }
  return result;
}

/** Runs one pgTAP file in a database of its own; roles are the cluster's, so it must take its roles back. */
async function runPgTap(cluster: Cluster, superuser: Client, file: string): Promise<Result> {
  const roles = async (): Promise<string[]> => {
    const { rows } = await superuser.query<{ rolname: string }>('SELECT rolname FROM pg_roles');
    return rows.map(({ rolname }) => rolname);
  };
  const before = await roles();
  const client = await cluster.connect({ database: await cluster.createDatabase(undefined, 'pgtap') });
  const timer = setTimeout(() => void client.end(), fileTimeout); // A statement that waits for ever then fails.
  const result = await runTap(client, file);
  clearTimeout(timer);
  await client.end();
  const left = (await roles()).filter((role) => !before.includes(role));
  if (left.length > 0) {
    result.failed++;
    result.failures.push(`${file} left these roles behind: ${left.join(', ')}`);
  }
  return result;
}

const folder = (path: string) => path.split('/')[0] ?? '';

function plan(majors: number[]): Job[] {
  const files = fs
    .readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .filter((path) => relative(root, join(tests, path)).includes(process.env.ONLY ?? ''))
    .filter((path) => !elsewhere.includes(folder(path)) && !path.includes('node_modules/'))
    .sort();
  const pgTap = files.filter((path) => /^pgtap\/.*\.sql$/.test(path) && path !== 'pgtap/helpers.sql');
  const node = files.filter((path) => path.endsWith('.test.ts'));
  const job = (name: string, paths: readonly string[], version?: number): Job => ({
    ...(version === undefined ? {} : { version }),
    work: (report) =>
      report(name, () =>
        runNodeTest(
          paths.map((path) => join(tests, path)),
          version ?? Math.max(...majors),
        ),
      ),
  });
  const isOnce = (path: string) => once.includes(folder(path));
  const jobs = node.filter(isOnce).map((path) => job(path, [path]));
  for (const version of majors) {
    // One after another: uncommitted roles of the same name would wait for each other.
    const work: Job['work'] = async (report) => {
      const cluster = await startCluster({ version });
      const superuser = await cluster.connect();
      for (const path of pgTap) await report(path, () => runPgTap(cluster, superuser, join(tests, path)));
      await superuser.end();
      await cluster.stop();
    };
    if (pgTap.length > 0) jobs.push({ version, work });
    // By the name that they are shown by.
    const groups = new Map<string, string[]>();
    for (const path of node.filter((each) => !isOnce(each))) {
      const name = together.includes(folder(path)) ? folder(path) : path;
      groups.set(name, [...(groups.get(name) ?? []), path]);
    }
    for (const [name, paths] of groups) jobs.push(job(name, paths, version));
  }
  return jobs;
}

async function main(): Promise<boolean> {
  const majors = chooseVersions();
  const jobs = plan(majors);
  // Certificates that Node would read at each start, which takes it longer than the rest of the start.
  delete process.env.NODE_EXTRA_CA_CERTS;
  delete process.env.ROLECALL_RUN_DIRECTORY; // Set if this runner is itself under test: it creates its own.
  runDirectory();
  const totals = new Map<string, Counts>();
  const failures: Failure[] = [];
  const prepared = new Map<number, Promise<boolean>>();

  const report = async (version: number | undefined, path: string, test: () => Promise<Result>) => {
    const begun = Date.now();
    const result = await test().catch(failure);
    if (result.passed + result.failed + result.skipped === 0) Object.assign(result, failure('no test'));
    console.log(`${label(version).padEnd(14)} ${path.padEnd(48)} ${counts(result)}  ${seconds(begun)}`);
    const output = result.output === undefined ? [] : [`output:\n${result.output}`];
    for (const text of [...result.failures, ...output]) console.log(text.trimEnd().replace(/^/gm, '    '));
    failures.push(...result.failures.map((text) => ({ where: `${label(version)} ${path}`, text })));
    const total = totals.get(label(version)) ?? { passed: 0, failed: 0, skipped: 0 };
    for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += result[key];
    totals.set(label(version), total);
  };
  // A version that cannot be prepared (the extension does not install) is one failure, not one for each file.
  const isPrepared = (version: number) => {
    const known = prepared.get(version);
    if (known !== undefined) return known;
    const attempt = prepare(version).then(
      () => true,
      (error: unknown) => report(version, 'CREATE EXTENSION', () => Promise.reject(error)).then(() => false),
    );
    prepared.set(version, attempt);
    return attempt;
  };
  const lane = async () => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      const { version, work } = job;
      if (version !== undefined && !(await isPrepared(version))) continue;
      const forJob = (path: string, test: () => Promise<Result>) => report(version, path, test);
      await work(forJob).catch((error: unknown) => report(version, 'the cluster', () => Promise.reject(error)));
    }
  };
  // One more than there are processors: a file waits for its servers, for locks and for the clock now and then.
  const lanes = Number(process.env.JOBS || Math.min(availableParallelism() + 1, 4));
  await Promise.all(Array.from({ length: lanes }, lane));

  for (const line of ['', ...inShort(failures)]) console.log(line);
  const whole = { passed: 0, failed: 0, skipped: 0 };
  for (const [name, total] of [...totals].sort()) {
    console.log(`${name.padEnd(14)} ${counts(total)}`);
    for (const key of ['passed', 'failed', 'skipped'] as const) whole[key] += total[key];
  }
  console.log(cost());
  if (totals.size === 0) console.log(`no test${process.env.ONLY ? ` has ${process.env.ONLY} in its path` : ''}`);
  console.log(counts(whole));
  return whole.failed === 0 && whole.passed > 0;
}

// The servers go with this process (see cluster.ts); the processes that it started have to be told.
for (const [signal, status] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.on(signal, () => {
    for (const { pid = 0 } of processes) process.kill(-pid, 'SIGTERM');
    process.exit(status);
  });
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
