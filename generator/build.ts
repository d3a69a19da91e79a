/**
 * Builds everything that is generated: a map of path to text, then one write. With --check nothing is written, and
 * any difference between the map and the files is an error. Where the checks find a problem nothing is written either.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { architecturePage } from './emit/architecture.ts';
import { clientFile } from './emit/client.ts';
import { commandLinePage } from './emit/command-line.ts';
import { errorTests } from './emit/error-tests.ts';
import { controlFile, installScript } from './emit/extension.ts';
import { sqlFiles } from './emit/functions.ts';
import { executors } from './engine/execute/execute.ts';
import { generatedHeader } from './emit/header.ts';
import { metaFile } from './emit/meta.ts';
import { tleScript, type Upgrade } from './emit/tle.ts';
import { upgradeScript } from './emit/upgrade.ts';
import { stringprepFile } from './emit/stringprep.ts';
import { policyPage } from './emit/policy-page.ts';
import { plainScript, plainUninstall } from './emit/plain.ts';
import { readmePage } from './emit/readme.ts';
import { referencePage } from './emit/reference.ts';
import { signatureTests } from './emit/signature-tests.ts';
import { inspect } from './model/inspect.ts';
import { jsonSchema, readShapes } from './model/policy-shape.ts';
import { product } from './model/product.ts';
import { released } from './model/released.ts';
import { callGraph, callProblems } from './verify/calls.ts';
import { importProblems } from './verify/imports.ts';
import { messageProblems } from './verify/messages.ts';
import type { Problem } from './verify/problem.ts';
import { testProblems } from './verify/tests.ts';
import { verify } from './verify/verify.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Folders in which a file that is not in the map is left over from an earlier build. */
const owned = ['sql', 'extension', 'tests/pgtap/generated'];

const checking = process.argv.includes('--check');

interface Outputs {
  readonly files: ReadonlyMap<string, string>;
  readonly problems: readonly Problem[];
}

async function outputs(): Promise<Outputs> {
  const specs = [...(await inspect(root)), ...executors()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const files = sqlFiles(specs);
  const map = new Map<string, string>();
  for (const file of files) map.set(file.path, `${generatedHeader('--')}\n\n${file.text}\n`);
  map.set(`extension/${product.name}.control`, controlFile());
  map.set(scriptPath(product.version), installScript(files));
  map.set('extension/client/rolecall.ts', clientFile(specs));
  const last = Object.keys(released).at(-1);
  if (last !== undefined && last !== product.version)
    map.set(
      upgradePath(last, product.version),
      upgradeScript(last, readFileSync(join(root, scriptPath(last)), 'utf8'), files),
    );
  map.set(`extension/${product.name}-tle.sql`, tleScript(installScript(files), upgrades(map)));
  map.set(`extension/${product.name}.sql`, plainScript(files));
  map.set(`extension/${product.name}-uninstall.sql`, plainUninstall());
  map.set('extension/client/stringprep.ts', stringprepFile(specs));
  const shapes = readShapes(root);
  map.set('extension/client/policy.schema.json', jsonSchema(shapes));
  const type = readFileSync(join(root, 'generator/model/policy.ts'), 'utf8');
  map.set('extension/client/policy.ts', `${generatedHeader('//')}\n${type}`);
  map.set('docs/policy-format.md', policyPage(shapes));
  map.set('META.json', metaFile());
  map.set('tests/pgtap/generated/error_policy.sql', errorTests());
  map.set('tests/pgtap/generated/signatures.sql', signatureTests(specs));
  map.set('docs/reference.md', referencePage(specs));
  map.set('docs/command-line.md', commandLinePage());
  map.set('README.md', readmePage(readFileSync(join(root, 'README.md'), 'utf8'), specs));
  const problems = await verify(specs, map);
  if (problems.length > 0) return { files: map, problems };
  const sql = [...map].filter(([path]) => path.startsWith('sql/'));
  const graph = callGraph(sql);
  const page = 'docs/architecture.md';
  map.set(page, architecturePage(readFileSync(join(root, page), 'utf8'), graph));
  // A function can be built before it has a test; the check that a commit has to pass requires one.
  const untested = checking
    ? [...testProblems(specs, (path) => existsSync(join(root, path))), ...messageProblems(sql, serverTests())]
    : [];
  const imports = engineFiles().flatMap(([path, text]) => importProblems(path, text));
  return { files: map, problems: [...callProblems(graph), ...imports, ...releaseProblems(map), ...untested] };
}

function engineFiles(): (readonly [path: string, text: string])[] {
  const folder = 'generator/engine';
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => `${folder}/${String(name)}`)
    .filter((path) => path.endsWith('.ts'))
    .map((path) => [path, readFileSync(join(root, path), 'utf8')]);
}

/** The texts of the tests that run on a server. */
function serverTests(folder = join(root, 'tests')): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return ['generator', 'node_modules'].includes(entry.name) ? [] : serverTests(path);
    return /\.(sql|ts)$/.test(path) ? [readFileSync(path, 'utf8')] : [];
  });
}

/** The upgrade scripts in their order: those of released versions, and the one to this version. */
function upgrades(map: ReadonlyMap<string, string>): Upgrade[] {
  const versions = [...new Set([...Object.keys(released), product.version])];
  return versions.slice(1).map((to, at) => {
    const from = versions[at] ?? '';
    const path = upgradePath(from, to);
    return { from, to, text: map.get(path) ?? readFileSync(join(root, path), 'utf8') };
  });
}

const scriptPath = (version: string) => `extension/${product.name}--${version}.sql`;
const upgradePath = (from: string, to: string) => `extension/${product.name}--${from}--${to}.sql`;

function releaseProblems(map: ReadonlyMap<string, string>): Problem[] {
  return Object.entries(released).flatMap(([version, digest]) => {
    const file = scriptPath(version);
    const text = map.get(file) ?? readFileSync(join(root, file), 'utf8');
    if (createHash('sha256').update(text).digest('hex') === digest) return [];
    return [{ file, line: 1, message: `version ${version} is released, and its script has changed` }];
  });
}

/** Scripts of released versions, and upgrades between them, stay as they are. */
function isReleased(path: string): boolean {
  const [, from, to = from] = /^extension\/\w+--([\d.]+?)(?:--([\d.]+))?\.sql$/.exec(path) ?? [];
  return from !== undefined && to !== undefined && from in released && to in released;
}

function leftovers(map: ReadonlyMap<string, string>): string[] {
  return owned
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, String(name))))
    .filter((path) => statSync(join(root, path)).isFile() && !map.has(path) && !isReleased(path));
}

async function main(): Promise<void> {
  const { files: map, problems } = await outputs();
  for (const { file, line, message } of problems) console.error(`${file}:${line}: ${message}`);
  if (problems.length > 0) {
    process.exitCode = 1;
    return;
  }
  const stale = [...map].filter(
    ([path, text]) => !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== text,
  );
  const extra = leftovers(map);
  if (checking) {
    for (const [path] of stale) console.error(`${path}: differs from what the generator makes; run "make build"`);
    for (const path of extra) console.error(`${path}: nothing generates this file`);
    process.exitCode = stale.length + extra.length > 0 ? 1 : 0;
    return;
  }
  for (const [path, text] of stale) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  for (const path of extra) rmSync(join(root, path));
  console.log(`${map.size} files, ${stale.length} written, ${extra.length} removed`);
}

await main();
