import assert from 'node:assert/strict';
import test from 'node:test';
import { parseTap, splitStatements } from './tap.ts';

const tap = (text: string) => parseTap(text.trim().split('\n'));

test('counts passed, skipped and unfinished tests', () => {
  const { passed, failed, skipped } = tap(`
1..4
ok 1 - a role
ok 2 # SKIP needs 16
not ok 3 - later # TODO not written
ok 4 - a \\# TODO that is part of the name`);
  assert.deepEqual({ passed, failed, skipped }, { passed: 2, failed: 0, skipped: 2 });
});

test('a plan may come last, and may say that everything is skipped', () => {
  assert.equal(tap('ok 1\nok 2\n1..2').failed, 0);
  assert.deepEqual(tap('1..0 # SKIP no superuser'), { passed: 0, failed: 0, skipped: 1, failures: [] });
});

test('a failed test is reported with the diagnostics that follow it, and no others', () => {
  const { failed, failures } = tap(`
1..3
not ok 1 - is it
# Failed test 1: "is it"
#         have: a
ok 2
# a remark
not ok 3`);
  assert.equal(failed, 2);
  assert.deepEqual(failures, ['not ok 1 - is it\n# Failed test 1: "is it"\n#         have: a', 'not ok 3']);
});

for (const [what, text] of Object.entries({
  'fewer tests than planned': '1..2\nok 1',
  'more tests than planned': '1..1\nok 1\nok 2',
  'no plan': 'ok 1',
  'two plans': '1..1\n1..1\nok 1',
  'a wrong number': '1..2\nok 1\nok 3',
  'nothing at all': 'hello',
  'a bail out': '1..1\nok 1\nBail out! no server',
})) {
  test(`${what} is a failure`, () => assert.equal(tap(text).failed, 1));
}

test('splits a file into statements and knows their lines', async () => {
  const body = "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $do$\nBEGIN\n  RETURN 'é;';\nEND;\n$do$";
  const statements = await splitStatements(
    `-- é: a comment; with a semicolon\nBEGIN;\n${body};\n\nSELECT 'ä;' /* ; */;`,
  );
  assert.deepEqual(statements, [
    { text: 'BEGIN', line: 2 },
    { text: body, line: 3 },
    { text: "SELECT 'ä;' /* ; */", line: 9 },
  ]);
});

test('a file that is not SQL is refused', async () => {
  await assert.rejects(splitStatements('SELECT 1;\nSELEC 2;'), /syntax error at or near "SELEC"/);
});
