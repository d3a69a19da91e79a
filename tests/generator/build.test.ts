/**
 * The build and its --check, run in a copy of what they read and write.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const copy = mkdtempSync(join(tmpdir(), 'rolecall-build-'));

before(() => {
  for (const path of ['generator', 'sql', 'extension', 'docs', 'tests', 'META.json', 'package.json', 'tsconfig.json']) {
    cpSync(join(root, path), join(copy, path), {
      recursive: true,
      filter: (source) => !source.endsWith('node_modules'),
    });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
});
after(() => rmSync(copy, { recursive: true }));

function build(...options: readonly string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', join(copy, 'generator/build.ts'), ...options],
    { cwd: copy, encoding: 'utf8' },
  );
  return { status, output: stdout + stderr };
}

const file = join(copy, 'sql/6-functions/create_user.sql');

test('what is committed is what the generator makes', () => {
  assert.deepEqual(build('--check'), { status: 0, output: '' });
});

test('--check finds one changed byte and a file that nothing generates, and writes nothing', () => {
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace('BEGIN', 'BEGiN'));
  const extra = join(copy, 'sql/6-functions/left_over.sql');
  writeFileSync(extra, '');
  const stray = join(copy, 'extension/rolecall--.sql');
  writeFileSync(stray, '');
  const kept = ['0.0.1', '0.0.1--0.0.2'].map((version) => join(copy, `extension/rolecall--${version}.sql`));
  for (const path of kept) writeFileSync(path, '');
  const page = join(copy, 'docs/architecture.md');
  const written = readFileSync(page, 'utf8');
  writeFileSync(page, written.replace('-->|', '-->|1'));
  const { status, output } = build('--check');
  assert.equal(status, 1);
  assert.deepEqual(output.trim().split('\n'), [
    'sql/6-functions/create_user.sql: differs from what the generator makes; run "make build"',
    // It has the update paths between the versions that there are.
    'extension/rolecall-tle.sql: differs from what the generator makes; run "make build"',
    'docs/architecture.md: differs from what the generator makes; run "make build"',
    'sql/6-functions/left_over.sql: nothing generates this file',
    'extension/rolecall--.sql: nothing generates this file',
  ]);
  assert.ok(readFileSync(file, 'utf8').includes('BEGiN'));

  assert.match(build().output, /, 3 written, 2 removed/);
  assert.equal(readFileSync(file, 'utf8'), text);
  assert.equal(readFileSync(page, 'utf8'), written);
  assert.deepEqual([extra, stray, ...kept].map(existsSync), [false, false, true, true]);
});

test('a problem that the checks find is reported with its place, and nothing is written', () => {
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
  for (const options of [[], ['--check']]) {
    const { status, output } = build(...options);
    assert.equal(status, 1);
    assert.match(
      output,
      /^sql\/5-internal\/run\/anything\.sql:11: rolecall_internal\.anything\(text\): EXECUTE of anything\.word: /m,
    );
    assert.equal(readFileSync(file, 'utf8'), '');
  }
});
