/**
 * Each refusal of the checks, by the smallest change of a sound function that triggers it.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import { loadModule } from 'libpg-query';
import type { FunctionSpec } from '../../generator/model/inspect.ts';
import { messageProblems } from '../../generator/verify/messages.ts';
import { specProblems } from '../../generator/verify/specs.ts';
import { sqlProblems } from '../../generator/verify/statements.ts';
import { testProblems } from '../../generator/verify/tests.ts';
import { longLines } from '../../generator/verify/verify.ts';

await loadModule();

const sound = `-- ünïcode before the statement: the parser counts bytes

CREATE FUNCTION rolecall.sound(
  word text
)
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS $sound$
BEGIN
  EXECUTE format('COMMENT ON ROLE %I IS %L', word, word);
  RAISE EXCEPTION USING ERRCODE = 'invalid_name', MESSAGE = 'no';
EXCEPTION
  WHEN undefined_object OR SQLSTATE '42000' THEN
    RETURN NEXT NULL;
END
$sound$;

COMMENT ON FUNCTION rolecall.sound(text) IS 'Sound';

REVOKE ALL ON FUNCTION rolecall.sound(text) FROM PUBLIC;
`;
const execute = "EXECUTE format('COMMENT ON ROLE %I IS %L', word, word)";
const raise = "RAISE EXCEPTION USING ERRCODE = 'invalid_name', MESSAGE = 'no'";

const refused: Record<string, [from: string, to: string, line: number, message: RegExp]> = {
  'SQL that does not parse': ['CREATE FUNCTION', 'CREATE FUNKTION', 3, /syntax error at or near "FUNKTION"/],
  'a body that does not parse': ['RETURN NEXT NULL;', 'LOOP;', 3, /syntax error/],
  'an expression that does not parse': ['RETURN NEXT NULL;', 'RETURN NEXT 1 +;', 3, /syntax error/],
  'no search_path': ['SET search_path = pg_catalog, pg_temp\n', '', 3, /no SET search_path/],
  'another search_path': ['pg_catalog, pg_temp', 'public, pg_catalog', 3, /no SET search_path/],
  'a search_path whose temporary schema comes first': ['pg_catalog, pg_temp', 'pg_catalog', 3, /no SET search_path/],
  'no comment': ["COMMENT ON FUNCTION rolecall.sound(text) IS 'Sound';", '', 3, /no COMMENT/],
  'an empty comment': ["IS 'Sound'", "IS ''", 3, /no COMMENT/],
  'a comment on another signature': ['sound(text) IS', 'sound(text[]) IS', 3, /no COMMENT/],
  'no REVOKE': ['REVOKE ALL ON FUNCTION rolecall.sound(text) FROM PUBLIC;', '', 3, /no REVOKE/],
  'a REVOKE from someone else': ['FROM PUBLIC', 'FROM someone', 3, /no REVOKE/],
  'a GRANT in place of the REVOKE': [
    'REVOKE ALL ON FUNCTION rolecall.sound(text) FROM',
    'GRANT ALL ON FUNCTION rolecall.sound(text) TO',
    3,
    /no REVOKE/,
  ],
  'OR REPLACE': ['CREATE FUNCTION', 'CREATE OR REPLACE FUNCTION', 3, /OR REPLACE/],
  'another language': ['LANGUAGE plpgsql', 'LANGUAGE sql', 3, /LANGUAGE sql/],
  'SECURITY DEFINER': ['SECURITY INVOKER', 'SECURITY DEFINER', 3, /SECURITY DEFINER/],
  'an argument of type name': ['word text', 'word text, other pg_catalog.name', 3, /argument other is of type name/],
  'WHEN OTHERS': ["SQLSTATE '42000'", 'OTHERS', 10, /WHEN OTHERS/],
  'a condition that the server does not know': ['undefined_object', 'undefined_objekt', 3, /undefined_objekt/],
  'a bare RAISE': ['RETURN NEXT NULL', 'RAISE', 15, /a bare RAISE/],
  'RAISE without ERRCODE': [raise, "RAISE EXCEPTION 'no'", 12, /without ERRCODE/],
  'an ERRCODE that no one knows': ["'invalid_name'", "'invalid_nome'", 12, /invalid_nome is not in/],
  'EXECUTE of text': [execute, "EXECUTE 'SELECT 1'", 11, /only format\(\.\.\.\)/],
  'EXECUTE of an argument': [execute, 'EXECUTE word', 11, /only format\(\.\.\.\)/],
  'EXECUTE of another function': [execute, 'EXECUTE upper(word)', 11, /only format\(\.\.\.\)/],
  'EXECUTE of joined text': [execute, "EXECUTE format('a') || word", 11, /joined with \|\|/],
  'EXECUTE of a joined template': [execute, "EXECUTE format('a' || word)", 11, /joined with \|\|/],
  'EXECUTE of a template that is an argument': [execute, 'EXECUTE format(word)', 11, /template is not a literal/],
  'EXECUTE with %s': [execute, "EXECUTE format('%% %1$s', word)", 11, /format\(\) with %s/],
  'EXECUTE ... USING': [execute, "EXECUTE format('SELECT 1') USING word", 11, /EXECUTE \.\.\. USING/],
  'EXECUTE of a loop': [execute, 'FOR word IN EXECUTE word LOOP NULL; END LOOP', 11, /only format\(\.\.\.\)/],
  'EXECUTE of a returned query': [execute, 'RETURN QUERY EXECUTE word', 11, /only format\(\.\.\.\)/],
};

test('a sound function has no problem', () => {
  assert.deepEqual(sqlProblems('a.sql', sound), []);
  const statement = sound.replace(execute, 'EXECUTE rolecall_internal.statement_of(word)');
  assert.deepEqual(sqlProblems('a.sql', statement), []);
});

for (const [what, [from, to, line, message]] of Object.entries(refused)) {
  test(`${what} is refused`, () => {
    assert.ok(sound.includes(from));
    const problems = sqlProblems('sql/a.sql', sound.replace(from, to));
    const found = problems.find((problem) => message.test(problem.message));
    assert.ok(found, JSON.stringify(problems));
    assert.equal(`${found.file}:${found.line}`, `sql/a.sql:${line}`);
  });
}

test('a line that is too long is refused', () => {
  assert.deepEqual(longLines('sql/a.sql', `SELECT 1;\n${'x'.repeat(120)}\n`), []);
  assert.deepEqual(longLines('sql/a.sql', `SELECT 1;\n${'x'.repeat(121)}\n`), [
    { file: 'sql/a.sql', line: 2, message: `longer than 120 characters: ${'x'.repeat(121)}` },
  ]);
});

test("psql's own commands are left out, and keep their line", () => {
  const [problem] = sqlProblems('a.sql', '\\echo "Use CREATE EXTENSION" \\quit\nSELEC 1;');
  assert.equal(problem?.line, 2);
});

const spec: FunctionSpec = {
  name: 'sound',
  room: null,
  file: 'generator/functions/sound.ts',
  line: 7,
  arguments: [{ name: 'word', type: 'text', text: 'a word' }],
  returns: 'text',
  volatility: 'VOLATILE',
  strict: false,
  probes: false,
  summary: 'Sound',
  remarks: '',
  result: 'the word',
  errors: [{ name: 'invalid_name', text: 'it is empty' }],
  group: 'users',
  examples: ["SELECT rolecall.sound('a');"],
  body: '',
};

const incomplete: Record<string, [change: Partial<FunctionSpec>, message: string]> = {
  'a condition that is not in the table': [
    { errors: [{ name: 'invalid_nome', text: '' }] },
    '@throws invalid_nome is not in model/sqlstates.ts',
  ],
  'an unreadable @throws': [
    { errors: [{ name: '', text: '' }] },
    '@throws (no condition) is not in model/sqlstates.ts',
  ],
  'a public function elsewhere': [
    { file: 'generator/functions/other.ts' },
    'a public function belongs in generator/functions/sound.ts',
  ],
  'a body that is too long': [
    { body: 'x\n'.repeat(80) },
    'the body has 81 lines, more than 80: split it, or say in @long why it is in one piece',
  ],
  'a long body without a reason': [{ body: 'x\n'.repeat(80), long: '' }, '@long without a reason'],
  'a reason for a body that is not long': [{ long: 'why' }, 'the body has 1 lines, not more than 80: remove @long'],
  'no description': [{ summary: '' }, 'no description'],
  'an argument without text': [{ arguments: [{ name: 'word', type: 'text', text: '' }] }, 'no @param text for word'],
  'no @returns': [{ result: '' }, 'no @returns text'],
  'no group': [{ group: undefined }, 'no @group, which says in which table of README.md it is'],
  'no example': [{ examples: [] }, 'no @example'],
  'an example that does not parse': [{ examples: ['SELEC 1'] }, '@example: syntax error at or near "SELEC"'],
};

test('a documented spec has no problem', () => {
  assert.deepEqual(specProblems(spec), []);
  assert.deepEqual(specProblems({ ...spec, body: 'x\n'.repeat(79) }), []);
  assert.deepEqual(specProblems({ ...spec, body: 'x\n'.repeat(80), long: 'it belongs together' }), []);
  // What only the extension calls is documented in the code.
  const internal = {
    room: 'run' as const,
    file: 'generator/engine/run/a.ts',
    result: '',
    examples: [],
    arguments: [{ name: 'word', type: 'text', text: '' }],
  };
  assert.deepEqual(specProblems({ ...spec, ...internal }), []);
});

for (const [what, [change, message]] of Object.entries(incomplete)) {
  test(`${what} is refused`, () => {
    const { file, line } = { ...spec, ...change };
    assert.deepEqual(specProblems({ ...spec, ...change }), [{ file, line, message: `sound: ${message}` }]);
  });
}

test('a public function without a pgTAP file is refused, with the place of its spec', () => {
  const spec = (name: string, room: string | null) =>
    ({ name, room, file: `generator/functions/${name}.ts`, line: 7 }) as FunctionSpec;
  const specs = [spec('tested', null), spec('untested', null), spec('inner', 'run')];
  assert.deepEqual(
    testProblems(specs, (path) => path === 'tests/pgtap/tested.sql'),
    [
      {
        file: 'generator/functions/untested.ts',
        line: 7,
        message: 'untested: there is no tests/pgtap/untested.sql',
      },
    ],
  );
});

const messages: Record<string, [statement: string, test: string, text: string]> = {
  'a literal': [
    "RAISE EXCEPTION USING MESSAGE = 'it''s no word'",
    "throws_ok('…', '22023', 'it''s no word')",
    "it's no word",
  ],
  'a template': [
    'RAISE WARNING USING MESSAGE = format(\'word "%s" is %1$L too long\', word)',
    String.raw`assert.match(message, /word \"a\" is 'b' too long/)`,
    'word "%s" is %1$L too long',
  ],
  'a template within another': [
    "RAISE NOTICE USING MESSAGE = format('%s', CASE WHEN true THEN format('%s is missing', word) END)",
    "'a is missing'",
    '%s is missing',
  ],
  'the text of RAISE itself': [
    "RAISE EXCEPTION 'no % here', word USING ERRCODE = '22023'",
    "'no one here'",
    'no % here',
  ],
};

for (const [what, [statement, provoking, text]] of Object.entries(messages)) {
  test(`a message that no test provokes is refused: ${what}`, () => {
    const files = [['sql/a.sql', sound.replace(raise, statement)]] as const;
    const problem = { file: 'sql/a.sql', line: 12, message: `no test provokes the message: ${text}` };
    assert.deepEqual(messageProblems(files, ['', 'another test'], new Map()), [problem]);
    assert.deepEqual(messageProblems(files, ['', provoking], new Map()), []);
    assert.deepEqual(messageProblems(files, [], new Map([[text, 'why']])), []);
  });
}

test('what is no text of ours needs no test', () => {
  for (const statement of [
    'RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM',
    "RAISE NOTICE '%', word",
    "RAISE EXCEPTION USING ERRCODE = 'RC001', MESSAGE = 'the engine catches this itself'",
  ]) {
    assert.deepEqual(messageProblems([['sql/a.sql', sound.replace(raise, statement)]], [], new Map()), []);
  }
});

test('an exception for a message that nothing raises is refused', () => {
  const [problem, ...more] = messageProblems([['sql/a.sql', sound]], ["'no'"], new Map([['gone', 'why']]));
  assert.equal(problem?.message, 'nothing raises the message: gone');
  assert.deepEqual(more, []);
});
