/**
 * What there is without a database: help, completions, mistakes of usage, and what is loaded to show it.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { commands } from '../../package/cli/commands/index.ts';
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
