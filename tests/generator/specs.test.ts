/**
 * Reading specs: signature, defaults and documentation, from a folder with one spec written for the purpose.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { functionNode } from '../../generator/emit/functions.ts';
import { inspect, type FunctionSpec } from '../../generator/model/inspect.ts';
import { print } from '../../generator/sql/print.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The specs of one source; they import what the real ones import. */
async function read(t: TestContext, source: string): Promise<FunctionSpec[]> {
  const folder = mkdtempSync(join(tmpdir(), 'rolecall-specs-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'generator/functions'), { recursive: true });
  for (const name of ['model', 'sql']) symlinkSync(join(root, 'generator', name), join(folder, 'generator', name));
  for (const name of ['tsconfig.json', 'package.json', 'node_modules'])
    symlinkSync(join(root, name), join(folder, name));
  writeFileSync(join(folder, 'generator/functions/spec.ts'), source);
  return inspect(folder);
}

const imports = `import type { Bool, Integer, Interval, Nothing, Returns, SetOf, StepRow, Table, Text, Texts } from '../model/types.ts';
import { sql } from '../sql/template.ts';
`;

test('the signature, its defaults and the documentation are read', async (t) => {
  const [spec, ...more] = await read(
    t,
    `${imports}
/**
 * Does a thing
 *
 * In this way,
 * and no other.
 *
 * @param first the first, over
 * two lines
 * @param words \`words\`
 * @volatility stable
 * @strict
 * @returns a row
 * @throws invalid_name - the name is bad
 * @throws reserved_name the name is not ours
 * @example SELECT 1;
 * @example SELECT 2;
 */
export function thing(
  first: Text,
  words: Texts = [],
  maybe: Text | null = null,
  name: Text = 'o\\'clock',
  age: Interval = '90 days',
  on: Bool = true,
  off: Bool = false,
  count: Integer = 3,
): SetOf<StepRow> {
  return sql\`BEGIN PERFORM \${first}, \${on}; END\`;
}
function hidden(): Nothing { return sql\`BEGIN END\`; }
`,
  );
  assert.deepEqual(more, []);
  assert.ok(spec);
  assert.deepEqual(
    spec.arguments.map(({ name, type, default: value, text }) => [name, type, value, text]),
    [
      ['first', 'text', undefined, 'the first, over two lines'],
      ['words', 'text[]', "'{}'", '`words`'],
      ['maybe', 'text', 'NULL', ''],
      ['name', 'text', "'o''clock'", ''],
      ['age', 'interval', "'90 days'", ''],
      ['on', 'boolean', 'true', ''],
      ['off', 'boolean', 'false', ''],
      ['count', 'integer', '3', ''],
    ],
  );
  assert.equal(spec.name, 'thing');
  assert.equal(spec.room, null);
  assert.equal(spec.file, 'generator/functions/spec.ts');
  assert.equal(spec.returns, 'SETOF rolecall.step');
  assert.deepEqual([spec.volatility, spec.strict], ['STABLE', true]);
  assert.deepEqual([spec.summary, spec.remarks, spec.result], ['Does a thing', 'In this way,\nand no other.', 'a row']);
  assert.deepEqual(spec.errors, [
    { name: 'invalid_name', text: 'the name is bad' },
    { name: 'reserved_name', text: 'the name is not ours' },
  ]);
  assert.deepEqual(spec.examples, ['SELECT 1;', 'SELECT 2;']);
  assert.equal(spec.body, 'BEGIN PERFORM thing.first, thing.on; END');
  assert.match(print(functionNode(spec)), /  name text DEFAULT 'o''clock',\n/);
});

test('the return types are those of SQL', async (t) => {
  const body = '{ return sql`BEGIN END`; }';
  const specs = await read(
    t,
    `${imports}
/** a */ export function _a(): Nothing ${body}
/** b */ export function b(): Returns<Text> ${body}
/** c */ export function c(): Table<{ word: Text; user: Bool }> ${body}
`,
  );
  assert.deepEqual(
    specs.map(({ name, returns }) => [name, returns]),
    [
      ['_a', 'void'],
      ['b', 'text'],
      ['c', 'TABLE (\n  word text,\n  "user" boolean\n)'],
    ],
  );
});

const refused: Record<string, [source: string, message: RegExp]> = {
  'a type that SQL does not have': ['(a: string): Nothing', /spec\.ts:4: a: no SQL type is called "string"/],
  'a default that is not a literal': ['(a: Text = sql`now()`): Nothing', /spec\.ts:4: a: default is not a literal/],
  'no return type': ['()', /spec\.ts:4: bad has no return type/],
  'a returned type that SQL does not have': [
    '(): Returns<string>',
    /spec\.ts:4: no SQL type is called "Returns<string>"/,
  ],
};

for (const [what, [signature, message]] of Object.entries(refused)) {
  test(`${what} is refused with its place`, async (t) => {
    const source = `${imports}/** Bad */\nexport function bad${signature} { return sql\`BEGIN END\`; }\n`;
    await assert.rejects(read(t, source), { message });
  });
}

const wrongDocs: Record<string, [docs: string, message: RegExp]> = {
  'no JSDoc': ['', /spec\.ts:4: bad has no JSDoc/],
  'a @param that is no parameter': ['/** Bad\n * @param wrod a word */', /spec\.ts:5: bad: .* unknown wrod$/],
  'a tag that nobody reads': ['/** Bad\n * @retuns a word */', /spec\.ts:5: bad: .* unknown retuns$/],
};

for (const [what, [docs, message]] of Object.entries(wrongDocs)) {
  test(`${what} is refused with its place`, async (t) => {
    const source = `${imports}${docs}\nexport function bad(word: Text): Returns<Text> { return sql\`BEGIN END\`; }\n`;
    await assert.rejects(read(t, source), { message });
  });
}
