/**
 * The checks of the call graph, by the smallest change of sound files that triggers each; and that nothing is
 * overlooked in what is really emitted.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadModule } from 'libpg-query';
import { architecturePage } from '../../generator/emit/architecture.ts';
import { callGraph, callProblems, callsIn } from '../../generator/verify/calls.ts';

await loadModule();

const files: Record<string, string> = {
  'sql/2-types/pair.sql': 'CREATE TYPE lower.pair AS (a text, b text);',
  'sql/3-tables/word.sql': 'CREATE TABLE lower.word (word text, said_at timestamptz DEFAULT lower.now());',
  'sql/4-views/said.sql': 'CREATE VIEW lower.said AS\nSELECT lower.spell(w.word) AS spelled FROM lower.word AS w;',
  'sql/5-internal/record/now.sql': body('lower.now()', 'timestamptz', 'BEGIN RETURN now(); END'),
  'sql/5-internal/record/spell.sql': body('lower.spell(a text, b int DEFAULT 1)', 'text', 'BEGIN RETURN $1; END'),
  'sql/5-internal/run/run.sql': body(
    'lower.run(a text)',
    'lower.pair[]',
    `DECLARE
  v_pair lower.pair := lower.first(a);
  v_row lower.word%ROWTYPE;
BEGIN
  PERFORM
    lower.spell(a);
  IF lower.spell(a, b => 2) = 'a' THEN
    EXECUTE format('CREATE EVENT TRIGGER %I ON ddl_command_end '
                   'EXECUTE FUNCTION lower.fire()', a);
  ELSIF 'lower.word'::regclass = 1 OR a = 'other.word' THEN
    v_pair.a := lower.spell(b => 3, a => a);
  END IF;
  FOR v_row IN
    SELECT w.* FROM lower.word AS w
  LOOP
    RAISE EXCEPTION USING MESSAGE = 'no', HINT = 'Call upper.say().';
  END LOOP;
  RETURN ARRAY(SELECT ROW(a, a)::lower.pair);
END`,
  ),
  'sql/5-internal/run/fire.sql': body('lower.fire()', 'event_trigger', 'BEGIN NULL; END'),
  'sql/5-internal/record/first.sql': body('lower.first(a text)', 'lower.pair', 'BEGIN RETURN NULL; END'),
  'sql/6-functions/say.sql': body(
    'upper.say(a text DEFAULT lower.fallback())',
    'SETOF lower.pair',
    'BEGIN\n  RETURN QUERY SELECT * FROM unnest(lower.run(a));\nEND',
  ),
  'sql/5-internal/record/fallback.sql': body('lower.fallback()', 'text', "BEGIN RETURN ''; END"),
};

function body(signature: string, returns: string, text: string): string {
  return `CREATE FUNCTION ${signature}\nRETURNS ${returns}\nLANGUAGE plpgsql AS $body$\n${text}\n$body$;\n`;
}

function problems(change: readonly [file: string, from: string, to: string]): string[] {
  const [file, from, to] = change;
  const text = files[file] ?? '';
  assert.ok(text.includes(from), `${file} has ${from}`);
  const changed = { ...files, [file]: text.replace(from, to) };
  return callProblems(callGraph(Object.entries(changed))).map((one) => `${one.file}:${one.line}: ${one.message}`);
}

const run = 'sql/5-internal/run/run.sql';
const spell = 'sql/5-internal/record/spell.sql';
const say = 'sql/6-functions/say.sql';

const refused: Record<string, [change: [file: string, from: string, to: string], problem: string]> = {
  'a function that does not exist': [
    [run, 'lower.spell(a);', 'lower.spel(a);'],
    `${run}:9: lower.run: there is no function lower.spel: correct the name, or write the function`,
  ],
  'a function of the other schema': [
    [run, 'lower.spell(a);', 'upper.spell(a);'],
    `${run}:9: lower.run: there is no function upper.spell: it is lower.spell`,
  ],
  'a function that does not exist, in an initial value': [
    [run, 'lower.first(a)', 'lower.last(a)'],
    `${run}:5: lower.run: there is no function lower.last: correct the name, or write the function`,
  ],
  'a function that does not exist, in a view': [
    ['sql/4-views/said.sql', 'lower.spell(', 'lower.spel('],
    'sql/4-views/said.sql:2: there is no function lower.spel: correct the name, or write the function',
  ],
  'a function that does not exist, in the default of a column': [
    ['sql/3-tables/word.sql', 'lower.now(', 'lower.then('],
    'sql/3-tables/word.sql:1: there is no function lower.then: correct the name, or write the function',
  ],
  'a function that does not exist, in the default of an argument': [
    [say, 'lower.fallback()', 'lower.fall()'],
    `${say}:1: upper.say: there is no function lower.fall: correct the name, or write the function`,
  ],
  'a hint that names a function that does not exist': [
    [run, 'Call upper.say()', 'Call upper.tell()'],
    `${run}:19: lower.run: there is no function upper.tell: correct the name, or write the function`,
  ],
  'a statement that names a function that does not exist': [
    [run, 'FUNCTION lower.fire()', 'FUNCTION lower.burn()'],
    `${run}:12: lower.run: there is no function lower.burn: correct the name, or write the function`,
  ],
  'too few arguments': [
    [run, 'lower.spell(a);', 'lower.spell();'],
    `${run}:9: lower.run: argument a is missing: lower.spell takes (a, [b])`,
  ],
  'too many arguments': [
    [run, 'lower.spell(a);', 'lower.spell(a, 1, 2);'],
    `${run}:9: lower.run: 3 arguments by position, but lower.spell takes (a, [b])`,
  ],
  'an argument by a name that is unknown': [
    [run, 'b => 2', 'c => 2'],
    `${run}:10: lower.run: argument c is unknown or given twice: lower.spell takes (a, [b])`,
  ],
  'an argument by position and by name': [
    [run, 'lower.spell(a, b => 2)', 'lower.spell(a, a => 2)'],
    `${run}:10: lower.run: argument a is unknown or given twice: lower.spell takes (a, [b])`,
  ],
  'an argument that others are given by name beside': [
    [run, 'b => 3, a => a', 'b => 3'],
    `${run}:14: lower.run: argument a is missing: lower.spell takes (a, [b])`,
  ],
  'a table that does not exist': [
    [run, 'FROM lower.word', 'FROM lower.words'],
    `${run}:17: lower.run: there is no table or view lower.words: see model/objects.ts`,
  ],
  'a table that does not exist, in a literal': [
    [run, 'ON ddl_command_end', 'FROM lower.words'],
    `${run}:11: lower.run: there is no table or view lower.words: see model/objects.ts`,
  ],
  'a table that does not exist, as regclass': [
    [run, "'lower.word'::regclass", "'lower.words'::regclass"],
    `${run}:13: lower.run: there is no table or view lower.words: see model/objects.ts`,
  ],
  'a type that does not exist, of a variable': [
    [run, 'lower.pair :=', 'lower.pear :='],
    `${run}:5: lower.run: there is no type lower.pear: see model/objects.ts`,
  ],
  'a row of a table that does not exist': [
    [run, 'lower.word%ROWTYPE', 'lower.words%ROWTYPE'],
    `${run}:6: lower.run: there is no type lower.words: see model/objects.ts`,
  ],
  'a type that does not exist, of a cast': [
    [run, '::lower.pair', '::lower.pear'],
    `${run}:21: lower.run: there is no type lower.pear: see model/objects.ts`,
  ],
  'a type that does not exist, of a result': [
    [say, 'SETOF lower.pair', 'SETOF lower.pear'],
    `${say}:2: upper.say: there is no type lower.pear: see model/objects.ts`,
  ],
  'a function that nobody calls': [
    [run, 'EXECUTE FUNCTION lower.fire()', 'EXECUTE FUNCTION other'],
    'sql/5-internal/run/fire.sql:1: no public function leads to lower.fire: call it, or remove it',
  ],
  'a function that only itself calls': [
    [say, 'unnest(lower.run(a))', 'unnest(NULL::lower.pair[])'],
    `${run}:1: no public function leads to lower.run: call it, or remove it`,
  ],
  'a call up': [
    [spell, 'RETURN $1', 'RETURN lower.run(a)'],
    `${spell}:4: lower.spell: a call up, from record to lower.run in run: move one of them, or have the caller pass its result`,
  ],
  'a call of what users call': [
    [spell, 'RETURN $1', 'RETURN upper.say(a)'],
    `${spell}:4: lower.spell: a call up, from record to upper.say in functions: move one of them, or have the caller pass its result`,
  ],
};

test('sound files have no problem', () => {
  assert.deepEqual(problems([run, 'BEGIN', 'BEGIN']), []);
});

for (const [what, [change, problem]] of Object.entries(refused)) {
  test(`${what} is refused`, () => {
    const found = problems(change);
    assert.ok(found.includes(problem), found.join('\n'));
  });
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const emitted = readdirSync(`${root}sql`, { recursive: true })
  .map((name) => `sql/${String(name)}`)
  .filter((path) => path.endsWith('.sql'))
  .map((path) => [path, readFileSync(root + path, 'utf8')] as const);

const graph = callGraph(emitted);

test('no call in what is emitted is overlooked, and each is found at its line', () => {
  const { functions, uses } = graph;
  for (const [path, text] of emitted) {
    const own = uses.filter(({ kind, file }) => file === path && (kind === 'call' || kind === 'mention'));
    const lines = text.split('\n');
    for (const { name, line } of own) {
      // The parser does not say where in its statement the function of a trigger is.
      const found = lines[line - 1]?.startsWith('CREATE TRIGGER ') ? text : lines[line - 1];
      assert.ok(found?.includes(name), `${path}:${line} has ${name}`);
    }
    const written = /\$(\w+)\$([^]*)\$\1\$/.exec(text)?.[2]?.replaceAll(/--.*$/gm, '') ?? '';
    for (const name of functions.keys()) {
      const times = written.split(`${name}(`).length - 1;
      const found = new Set(own.filter((use) => use.name === name).map(({ line, offset }) => `${line} ${offset}`)).size;
      assert.ok(found >= times, `${path}: ${name} is written ${times} times, found ${found} times`);
    }
  }
});

/** The most functions that a call passes until one runs the statement of a change, itself and that one included. */
function longestWay(name: string): number {
  const calls = callsIn(graph);
  const runsChanges = new Set(
    calls.filter(({ callee }) => callee.name === 'rolecall_internal.statement_of').map(({ caller }) => caller.name),
  );
  const from = (one: string, before: readonly string[]): number => {
    assert.ok(!before.includes(one), `a circle: ${[...before, one].join(' > ')}`);
    if (runsChanges.has(one)) return before.length + 1;
    const callees = calls.filter(({ caller }) => caller.name === one).map(({ callee }) => callee.name);
    return Math.max(0, ...[...new Set(callees)].map((callee) => from(callee, [...before, one])));
  };
  return from(name, []);
}

for (const [name, most] of [
  ['create_user', 5],
  ['provision_reporting_role', 7],
] as const) {
  test(`at most ${most} functions lie between ${name}() and its statements, both ends included`, () => {
    const way = longestWay(`rolecall.${name}`);
    assert.ok(way > 1 && way <= most, `${way}`);
  });
}

test('the picture has every call between groups once, and the rest of the page stays', () => {
  const page = [
    'before',
    '<!-- begin of the picture that "make build" draws -->',
    'an older picture',
    '<!-- end of the picture -->',
    'after',
  ].join('\n');
  const drawn = architecturePage(page, callGraph(Object.entries(files)));
  assert.equal(architecturePage(drawn, callGraph(Object.entries(files))), drawn);
  assert.ok(drawn.startsWith('before\n') && drawn.endsWith('\nafter') && !drawn.includes('older'));
  assert.deepEqual(
    drawn.split('\n').filter((line) => line.includes('-->|')),
    ['  functions -->|1| run', '  functions -->|1| record', '  run -->|2| record'],
  );
  assert.throws(() => architecturePage('before', callGraph([])), /no line <!-- begin/);
});
