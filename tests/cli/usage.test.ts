/**
 * What there is without a database: help, completions, mistakes of usage, and what is loaded to show it.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { Command as Parser } from 'commander';
import { parse } from 'yaml';
import { commands } from '../../package/cli/commands/index.ts';
import { makeProgram } from '../../package/cli/program.ts';
import { root } from '../support/cluster.ts';
import { built, expectStatus, rolecall } from './support.ts';

const all = Object.values(commands).flat();

test('every command has help with an example, and is in the list', async () => {
  const { stdout: list } = await expectStatus(0, ['--help']);
  await Promise.all(
    all.map(async ({ name, where, examples }) => {
      assert.match(list, new RegExp(`^  ${name.split(' ')[0] ?? ''}\\b`, 'm'));
      const { stdout } = await expectStatus(0, [...name.split(' '), '--help']);
      assert.match(stdout, new RegExp(`^Usage: rolecall ${name} `));
      for (const example of Object.keys(examples)) assert.ok(stdout.includes(`  rolecall ${example}`), name);
      assert.equal(stdout.includes('--url '), where !== 'nowhere', name);
      assert.match(stdout, /^ {2}--json /m, name);
      assert.match(stdout, /^Exit status: 0 done, 1 failed, 2 usage, 3 differences found$/m);
    }),
  );
});

test('names and options of the definitions are not given twice', () => {
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
});

test('a mistake of usage is exit status 2, with nothing on standard output', async () => {
  for (const parameters of [
    [],
    ['no-such'],
    ['user', 'add'],
    ['drift', '--no-such'],
    ['drift', 'too', 'many'],
    ['apply', 'x', '--mode', 'y'],
  ]) {
    const { stdout, stderr, status } = await rolecall(parameters);
    assert.deepEqual([status, stdout], [2, ''], parameters.join(' '));
    assert.notEqual(stderr, '');
  }
});

test('completions', async () => {
  assert.match((await expectStatus(0, ['complete', 'bash'])).stdout, /rolecall/);
  const { stdout } = await expectStatus(0, ['complete', '--', 'us']);
  assert.match(stdout, /^user\t/m);
  assert.match((await expectStatus(0, ['complete', '--', 'apply', '--mode', ''])).stdout, /^additive/m);
});

/** What a file of the bundle loads at once, with what that loads. */
function loaded(name: string, seen = new Set<string>()): Set<string> {
  if (seen.has(name)) return seen;
  seen.add(name);
  const text = readFileSync(join(built, 'cli', name), 'utf8');
  for (const [, other = ''] of text.matchAll(/(?:^|[;}\n])\s*import(?:[^"'()]*from)?\s*["']\.\/([^"']+)["']/g))
    loaded(other, seen);
  return seen;
}

test('it starts with the parser and the definitions alone', () => {
  const names = [...loaded('main.js')];
  const size = names.reduce((sum, name) => sum + readFileSync(join(built, 'cli', name)).length, 0);
  assert.ok(size < 100_000, `${names.join(', ')}: ${size} bytes`);
});

test('--version and --help load that alone', async () => {
  const allowed = loaded('main.js');
  for (const parameters of [['--version'], ['--help'], ['apply', '--help'], ['no-such']]) {
    const folder = mkdtempSync(join(tmpdir(), 'rolecall-cli-'));
    await rolecall(parameters, { env: { NODE_V8_COVERAGE: folder } });
    // It lists each script that was loaded.
    const urls = readdirSync(folder).flatMap((name) => {
      const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as { result: { url: string }[] };
      return result.map(({ url }) => url).filter((url) => url.startsWith('file:'));
    });
    rmSync(folder, { recursive: true });
    const names = urls.map((url) => url.slice(url.lastIndexOf('/') + 1));
    assert.ok(names.includes('main.js'));
    assert.deepEqual(
      names.filter((name) => !allowed.has(name)),
      [],
      parameters.join(' '),
    );
  }
});

/** The command lines of rolecall in a script for a shell: their words. */
function commandLines(script: string): string[][] {
  const found = script.matchAll(/^(?:[ \t$-]*|.*\()(?:npx (?:--yes )?)?rolecall +([a-z-][^|<>&)#\n]*)/gm);
  return [...found].map(([, words = '']) =>
    [...words.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, single, double, bare]) => single ?? double ?? bare ?? ''),
  );
}

/** Parses a command line as the program does, and runs nothing. */
async function understands(words: readonly string[]): Promise<void> {
  let ran = false;
  const program = makeProgram('1.0.0', async () => void (ran = true));
  const quiet = (parser: Parser): void => {
    parser.exitOverride().configureOutput({ writeErr: () => undefined });
    parser.commands.forEach(quiet);
  };
  quiet(program);
  await program.parseAsync(words, { from: 'user' });
  assert.ok(ran, words.join(' '));
}

const block = (language: string) => new RegExp(`^ *\`\`\`${language}\\n(.*?)^ *\`\`\`$`, 'gms');
const documents = ['README.md', 'package/README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)]
  .filter((name) => name.endsWith('.md'))
  .map((name) => readFileSync(join(root, name), 'utf8'));

test('the commands in the documentation exist, with their options', async () => {
  const lines = documents.flatMap((text) =>
    [...text.matchAll(block('sh'))].flatMap(([, code = '']) => commandLines(code)),
  );
  assert.ok(lines.length > all.length, String(lines.length));
  for (const words of lines) if (words[0] !== 'complete') await understands(words);
  await assert.rejects(understands(['drift', '--no-such']));
});

interface Job {
  steps?: { run?: string; uses?: string }[];
  script?: string | string[];
  image?: string;
}

test('the recipes for GitHub Actions and GitLab are YAML, and their commands exist', async () => {
  const recipes = documents
    .flatMap((text) => [...text.matchAll(block('yaml'))].map(([, code = '']) => parse(code) as Record<string, unknown>))
    .filter((recipe) => JSON.stringify(recipe).includes('npx --yes rolecall'));
  assert.deepEqual(
    recipes.map((recipe) => Object.keys(recipe)),
    [
      ['on', 'jobs'],
      ['drift', 'diff'],
    ],
  );
  for (const recipe of recipes) {
    const jobs = Object.entries((recipe['jobs'] ?? recipe) as Record<string, Job>);
    const scripts = jobs.map(([name, { steps, script, image }]) => {
      for (const step of steps ?? []) assert.equal(typeof (step.run ?? step.uses), 'string', name);
      assert.ok(steps !== undefined || (script !== undefined && image !== undefined), name);
      return (steps?.map(({ run = '' }) => run) ?? [script].flat()).join('\n');
    });
    const lines = scripts.flatMap(commandLines);
    assert.deepEqual(
      lines.map(([name]) => name),
      ['drift', 'check', 'diff'],
    );
    for (const words of lines) await understands(words);
  }
});
