/**
 * The build and its --check, run in a copy of what they read and write.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { installScript } from '../../generator/emit/extension.ts';
import { sqlFiles } from '../../generator/emit/functions.ts';
import { upgradeScript } from '../../generator/emit/upgrade.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const copy = mkdtempSync(join(tmpdir(), 'rolecall-build-'));

before(() => {
  for (const path of [
    'generator',
    'sql',
    'extension',
    'docs',
    'package',
    'tests',
    'META.json',
    'README.md',
    'package.json',
    'tsconfig.json',
  ]) {
    cpSync(join(root, path), join(copy, path), {
      recursive: true,
      filter: (source) => !source.endsWith('node_modules'),
    });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
});
after(() => rmSync(copy, { recursive: true }));

interface Outcome {
  status: number;
  output: string;
}

/**
 * Runs the build as often as it is told to, in one process: to load what it needs takes longer than the build itself.
 * What build.ts imports is loaded once, so after a change there another process is needed.
 */
const runs = `
  let output = '';
  for (const log of ['log', 'error']) console[log] = (text) => (output += text + '\\n');
  let build = 0;
  process.on('message', async (options) => {
    process.argv = [process.execPath, 'build.ts', ...options];
    [output, process.exitCode] = ['', 0];
    await import('${pathToFileURL(copy).href}/generator/build.ts?' + ++build);
    process.send({ status: process.exitCode, output });
  });`;
const command = ['--import', './tests/support/typescript.mjs', '--input-type=module', '--eval', runs];

let builder: ChildProcess | undefined;
const startOver = (): unknown => builder?.disconnect();
after(startOver);

function build(...options: readonly string[]): Promise<Outcome> {
  const running = builder?.connected
    ? builder
    : spawn(process.execPath, command, { cwd: copy, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  builder = running;
  return new Promise((done, failed) => {
    running.removeAllListeners().once('message', done);
    running.once('exit', () => failed(new Error('the build has ended its process')));
    running.send(options);
  });
}

const file = join(copy, 'sql/6-functions/create_user.sql');

test('what is committed is what the generator makes', async () => {
  assert.deepEqual(await build('--check'), { status: 0, output: '' });
});

test('--check finds one changed byte and a file that nothing generates, and writes nothing', async () => {
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace('BEGIN', 'BEGiN'));
  const extra = join(copy, 'sql/6-functions/left_over.sql');
  writeFileSync(extra, '');
  const stray = join(copy, 'extension/rolecall--.sql');
  writeFileSync(stray, '');
  const page = join(copy, 'docs/architecture.md');
  const written = readFileSync(page, 'utf8');
  writeFileSync(page, written.replace('-->|', '-->|1'));
  const { status, output } = await build('--check');
  assert.equal(status, 1);
  assert.deepEqual(output.trim().split('\n'), [
    'sql/6-functions/create_user.sql: differs from what the generator makes; run "make build"',
    'docs/architecture.md: differs from what the generator makes; run "make build"',
    'sql/6-functions/left_over.sql: nothing generates this file',
    'extension/rolecall--.sql: nothing generates this file',
  ]);
  assert.ok(readFileSync(file, 'utf8').includes('BEGiN'));

  assert.match((await build()).output, /, 2 written, 2 removed/);
  assert.equal(readFileSync(file, 'utf8'), text);
  assert.equal(readFileSync(page, 'utf8'), written);
  assert.deepEqual([extra, stray].map(existsSync), [false, false]);
});

test('a released script stays, an upgrade script leads from the last one, and a change in a released one is found', async () => {
  const list = join(copy, 'generator/model/released.ts');
  const text = readFileSync(list, 'utf8');
  const script = (name: string) => join(copy, `extension/rolecall--${name}.sql`);
  const { version } = JSON.parse(readFileSync(join(copy, 'package.json'), 'utf8')) as { version: string };
  const old = `-- sql/1-schema/rolecall.sql\nCREATE SCHEMA rolecall;\n`;
  const digest = createHash('sha256').update(old).digest('hex');
  for (const name of ['0.0.1', '0.0.1--0.0.2', '0.0.2']) writeFileSync(script(name), old);
  writeFileSync(
    list,
    `export const released: Readonly<Record<string, string>> = { '0.0.1': '${digest}', '0.0.2': '${digest}' };\n`,
  );
  startOver();
  assert.equal((await build()).status, 0);
  assert.equal((await build('--check')).output, '');
  for (const name of ['0.0.1', '0.0.1--0.0.2', '0.0.2']) assert.equal(readFileSync(script(name), 'utf8'), old);
  const upgrade = readFileSync(script(`0.0.2--${version}`), 'utf8');
  assert.match(upgrade, /CREATE FUNCTION rolecall\.create_user\(/);
  assert.doesNotMatch(upgrade, /CREATE SCHEMA rolecall;/);
  assert.ok(readFileSync(join(copy, 'extension/rolecall-tle.sql'), 'utf8').includes(upgrade.trimEnd()));

  writeFileSync(script('0.0.1'), `${old}--`);
  assert.match(
    (await build('--check')).output,
    /rolecall--0\.0\.1\.sql:1: version 0\.0\.1 is released, and its script has changed/,
  );
  writeFileSync(list, text);
  // The scripts of versions that were not in the list for a while are gone.
  rmSync(join(copy, 'extension'), { recursive: true });
  cpSync(join(root, 'extension'), join(copy, 'extension'), { recursive: true });
});

test('what becomes of the rows of a table is not guessed', async () => {
  const files = sqlFiles([]);
  const install = installScript(files);
  const without = (pattern: RegExp, by: string) => () => upgradeScript('0.0.1', install.replace(pattern, by), files);
  assert.throws(
    without(/(CREATE TABLE rolecall_internal\.turn \(\n)/, '$1  more text,\n'),
    /say what becomes of its rows/,
  );
  assert.throws(without(/CREATE INDEX ON rolecall_internal\.resource.*;\n/, ''), /say what becomes of its rows/);
  assert.throws(without(/(?<=TABLE rolecall_internal\.)turn\b/, 'gone'), /say what becomes of their rows/);
});

test('a problem that the checks find is reported with its place, and nothing is written', async () => {
  writeFileSync(file, '');
  writeFileSync(
    join(copy, 'generator/engine/run/anything.ts'),
    `import { raw } from '../../sql/template.ts';
import type { SetOf, StepRow, Text } from '../../model/types.ts';

/** Runs anything */
export function anything(word: Text): SetOf<StepRow> {
  return raw('BEGIN\\n  EXECUTE anything.word;\\nEND');
}
`,
  );
  startOver();
  for (const options of [[], ['--check']]) {
    const { status, output } = await build(...options);
    assert.equal(status, 1);
    assert.match(
      output,
      /^sql\/5-internal\/run\/anything\.sql:8: rolecall_internal\.anything\(text\): EXECUTE of anything\.word: /m,
    );
    assert.equal(readFileSync(file, 'utf8'), '');
  }
});
