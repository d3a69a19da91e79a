/** The runner, on a folder of tests of which it must see every kind of failure. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { makeDirectory, root, versions } from './cluster.ts';
import { inShort } from './failures.ts';

const newest = String(process.env.PG ?? versions().at(-1));

function run(files: Record<string, string>, more: NodeJS.ProcessEnv = {}) {
  const directory = makeDirectory();
  for (const [path, text] of Object.entries(files)) {
    fs.mkdirSync(join(directory, dirname(path)), { recursive: true });
    fs.writeFileSync(join(directory, path), text);
  }
  const { stdout, status } = spawnSync(
    process.execPath,
    ['--import', './tests/support/typescript.mjs', 'tests/run.ts', directory],
    {
      cwd: root,
      env: { ...process.env, PG: newest, ONLY: '', ...more },
      encoding: 'utf8',
    },
  );
  return { stdout, status, last: stdout.trimEnd().split('\n').at(-1) };
}

const nodeTest = (body: string) => `import test from 'node:test';\nimport assert from 'node:assert';\n${body}`;
const passing = nodeTest("test('fine', () => {});");
const pgTap = (plan: number, body: string) =>
  `BEGIN;\nSELECT plan(${plan});\n${body}\nSELECT * FROM finish();\nROLLBACK;\n`;

test('passed and skipped tests of both kinds are counted', () => {
  const { last, status } = run({
    'pgtap/good.sql': pgTap(2, "CREATE ROLE x; SELECT has_role('x'); SELECT skip('not now');"),
    'security/good.test.ts': `${passing} test('later', { todo: true }, () => assert.fail());
      test.describe('group', () => test('inner', () => assert.equal(process.env.PG, '${newest}')));`,
    // One process runs these.
    'reports/one.test.ts': `${passing} test('first', (t) => void (globalThis.met = t.name));`,
    'reports/two.test.ts': nodeTest("test('second', () => assert.equal(globalThis.met, 'first'));"),
    'bench/not-a-test.test.ts': nodeTest("test('x', () => assert.fail());"),
  });
  assert.equal(last, '6 passed, 0 failed, 2 skipped');
  assert.equal(status, 0);
});

test('every kind of failure is one, and shown', () => {
  const { stdout, last, status } = run({
    'pgtap/plan.sql': pgTap(2, "SELECT ok(true, 'one');"),
    'pgtap/not-ok.sql': pgTap(1, "SELECT is(1, 2, 'sum');"),
    'pgtap/error.sql': pgTap(1, 'SELECT ok(true);\nSELECT 1,\n  no_such_column;'),
    'pgtap/syntax.sql': 'SELECT 1;\nSELEC 2;',
    'pgtap/role.sql': 'CREATE ROLE left_behind; SELECT plan(1); SELECT ok(true);',
    'security/assert.test.ts': nodeTest("test('a', (t) => t.test('b', () => assert.equal('have', 'want')));"),
    'security/crash.test.ts': `${passing} test('never', () => new Promise(() => setTimeout(() => process.exit(3))));`,
    'security/open.test.ts': nodeTest(`import { startCluster } from '${join(root, 'tests/support/cluster.ts')}';
      test('left open', async () => {
        await (await startCluster()).connect();
        throw new Error('no stop');
      });`),
    'security/empty.test.ts': '',
    'generator/broken.test.ts': "import './missing.ts';",
  });
  for (const pattern of [
    /planned 2 tests, ran 1/,
    /not ok 1 - sum\n\s+# Failed test 1: "sum"/,
    /error\.sql:5: 42703 column "no_such_column" does not exist/,
    /syntax\.sql:2: syntax error at or near "SELEC"/,
    /role\.sql left these roles behind: left_behind/,
    /actual: 'have',\s+expected: 'want'/,
    /left open\n\s+Error: no stop\n.*open\.test\.ts:6:15/,
    /empty\.test\.ts +0 passed, 1 failed .*\n +no test/,
    /Cannot find module .*missing\.ts/,
  ]) {
    assert.match(stdout, pattern);
  }
  assert.equal(last, '4 passed, 10 failed');
  assert.equal(status, 1);

  const end = stdout.trimEnd().split('\n').slice(stdout.split('\n').lastIndexOf('Failed:'));
  assert.ok(end.length <= 40 + 4, `${end.length} lines`);
  const named = (version: string, file: string, test: string, error: string) =>
    assert.match(end.join('\n'), new RegExp(`^${version} ${file}: ${test}\n    .*${error}`, 'm'));
  named('any version', 'generator/broken.test.ts', 'exit status 1', '');
  named(`PostgreSQL ${newest}`, 'pgtap/not-ok.sql', 'not ok 1 - sum', '# Failed test 1: "sum"');
  named(`PostgreSQL ${newest}`, 'security/assert.test.ts', 'b', "AssertionError .*'have' == 'want'");
  named(`PostgreSQL ${newest}`, 'security/open.test.ts', 'left open', 'Error: no stop');
});

test('of many failures, and of long ones, the end has a part that fits on a screen', () => {
  assert.deepEqual(inShort([]), []);
  const text = (lines: number) => Array.from({ length: lines }, (_, i) => `line ${i}\n`).join('');
  const many = inShort(Array.from({ length: 100 }, (_, i) => ({ where: `file ${i}`, text: text(9) })));
  assert.deepEqual(many.slice(0, 5), ['Failed:', 'file 0: line 0', '    line 1', '    line 2', 'file 1: line 0']);
  assert.deepEqual(many.slice(-2), ['and 88 more', '']);
  assert.ok(many.length <= 40);
  const one = inShort([{ where: 'file', text: `${'x'.repeat(1000)}\n\n${text(1000)}` }]);
  assert.ok(one.length <= 40 && one.every((line) => line.length <= 160));
  assert.deepEqual(one.slice(-2), ['    line 999', '']);
});

test('.ci/run repeats at its end what failed in each of its commands', () => {
  const directory = makeDirectory();
  const stub = (name: string, text: string) =>
    fs.writeFileSync(join(directory, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  for (const name of /need (\S+)/g[Symbol.matchAll](fs.readFileSync(join(root, '.ci/run'), 'utf8'))) {
    stub(name[1] ?? '', 'exit 0');
  }
  stub('npm', 'exit 0');
  const failures = inShort([{ where: 'PostgreSQL 14 a.sql', text: 'not ok 1 - sum' }]).join('\n');
  const much = 'seq -f "line %g" 100';
  stub(
    'make',
    `case $1 in
      check) ${much}; echo wrong; exit 2;;
      test) echo '${failures}'; echo; echo '3 passed, 1 failed, 2 skipped'; ${much} 1>&2; exit 2;;
      *) ${much};;
    esac`,
  );
  const environment = { ...process.env, PATH: `${directory}:${process.env.PATH}` };
  const { stdout, stderr, status } = spawnSync(join(root, '.ci/run'), { env: environment, encoding: 'utf8' });
  assert.equal(status, 1, stderr);
  const end = stdout.trimEnd().split('\n').slice(-70).join('\n');
  assert.match(end, /== make check\n(line \d+\n){14}wrong\n/);
  assert.match(end, /== make test\nFailed:\nPostgreSQL 14 a\.sql: not ok 1 - sum\n/);
  assert.match(end, /\nmake test +3 passed, 1 failed, 2 skipped\n/);
  assert.match(end, /\n6 passed, 2 failed, 2 skipped$/);
});

test('a version on which the extension does not install is one failure', () => {
  const extension = makeDirectory();
  fs.writeFileSync(join(extension, 'rolecall.control'), "default_version = '1'\n");
  fs.writeFileSync(join(extension, 'rolecall--1.sql'), 'SELECT 1/0;');
  const files = { 'pgtap/a.sql': pgTap(1, 'SELECT ok(true);'), 'security/a.test.ts': passing };
  const { stdout, last, status } = run(files, { ROLECALL_EXTENSION: extension });
  assert.match(stdout, /division by zero/);
  assert.equal(last, '0 passed, 1 failed');
  assert.equal(status, 1);
});

test('no test at all is a failure; ONLY selects by path', () => {
  const files = { 'generator/one.test.ts': passing, 'generator/two.test.ts': `${passing}${passing.split('\n')[2]}` };
  assert.deepEqual(run(files, { ONLY: 'tw' }).last, '2 passed, 0 failed');
  const { last, status } = run(files, { ONLY: 'three' });
  assert.equal(last, '0 passed, 0 failed');
  assert.equal(status, 1);
});
