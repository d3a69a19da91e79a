/**
 * The printer node by node, quoting against PostgreSQL's own parser, and the indentation of templates.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { loadModule, parseSync } from 'libpg-query';
import type { Node } from '../../generator/sql/nodes.ts';
import { print } from '../../generator/sql/print.ts';
import { dollarQuoted, identifier, literal, wrapped } from '../../generator/sql/quote.ts';
import { join, raw, sql, text } from '../../generator/sql/template.ts';
import { nodesIn, type Tree } from '../../generator/verify/problem.ts';

await loadModule();

const printed: Record<string, { node: Node; text: string }> = {
  schema: {
    node: { kind: 'schema', name: 'things', comment: "a schema's comment" },
    text: `CREATE SCHEMA things;

COMMENT ON SCHEMA things IS 'a schema''s comment';`,
  },
  type: {
    node: {
      kind: 'type',
      schema: 'rolecall',
      name: 'pair',
      comment: 'Two',
      columns: [{ name: 'order', type: 'text', comment: 'one' }],
    },
    text: `CREATE TYPE rolecall.pair AS (
  "order" text
);

COMMENT ON TYPE rolecall.pair IS 'Two';

COMMENT ON COLUMN rolecall.pair."order" IS 'one';`,
  },
  table: {
    node: {
      kind: 'table',
      schema: 'rolecall',
      name: 'kept',
      comment: 'Kept',
      columns: [
        { name: 'key', type: 'text', constraint: 'NOT NULL', comment: 'key' },
        { name: 'value', type: 'jsonb', comment: 'value' },
      ],
      indexes: [{ on: 'key' }, { on: 'value', where: 'value IS NOT NULL' }],
      dumped: true,
    },
    text: `CREATE TABLE rolecall.kept (
  key text NOT NULL,
  value jsonb
);

COMMENT ON TABLE rolecall.kept IS 'Kept';

COMMENT ON COLUMN rolecall.kept.key IS 'key';
COMMENT ON COLUMN rolecall.kept.value IS 'value';

CREATE INDEX ON rolecall.kept (key);

CREATE INDEX ON rolecall.kept (value) WHERE value IS NOT NULL;

REVOKE ALL ON TABLE rolecall.kept FROM PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('rolecall.kept', '');`,
  },
  view: {
    node: {
      kind: 'view',
      schema: 'rolecall',
      name: 'seen',
      comment: 'Seen',
      query: 'SELECT 1 AS one',
      columns: [{ name: 'one', type: 'integer', comment: 'one' }],
    },
    text: `CREATE VIEW rolecall.seen WITH (security_barrier) AS
SELECT 1 AS one;

COMMENT ON VIEW rolecall.seen IS 'Seen';

COMMENT ON COLUMN rolecall.seen.one IS 'one';

REVOKE ALL ON TABLE rolecall.seen FROM PUBLIC;`,
  },
  function: {
    node: {
      kind: 'function',
      schema: 'rolecall',
      name: 'twice',
      arguments: [
        { name: 'word', type: 'text' },
        { name: 'words', type: 'text[]', default: `'{}'` },
      ],
      returns: 'text',
      volatility: 'IMMUTABLE',
      strict: true,
      parallel: 'SAFE',
      settings: [{ search_path: 'pg_catalog, pg_temp' }, { datestyle: 'ISO', jit: 'off' }],
      body: 'BEGIN\n  RETURN word || word;\nEND',
      comment: 'Twice',
      remarks: 'Not thrice.\n\nAnd why.',
    },
    text: `-- Not thrice.
--
-- And why.
CREATE FUNCTION rolecall.twice(word text, words text[] DEFAULT '{}') RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
SET datestyle = ISO SET jit = off
AS $twice$
BEGIN
  RETURN word || word;
END
$twice$;

COMMENT ON FUNCTION rolecall.twice(text, text[]) IS 'Twice';
REVOKE ALL ON FUNCTION rolecall.twice(text, text[]) FROM PUBLIC;`,
  },
};

for (const [kind, { node, text: expected }] of Object.entries(printed)) {
  test(`a ${kind} is printed with its comment`, () => {
    assert.equal(print(node), expected);
    assert.doesNotThrow(() => parseSync(print(node)));
  });
}

test('a table that is not dumped is not marked, a function without arguments has none', () => {
  const { table, function: made } = printed;
  assert.ok(table?.node.kind === 'table' && made?.node.kind === 'function');
  assert.doesNotMatch(print({ ...table.node, dumped: false }), /pg_extension_config_dump/);
  assert.match(print({ ...made.node, arguments: [] }), /^CREATE FUNCTION rolecall\.twice\(\) RETURNS text\n/m);
  const long = { name: 'w'.repeat(60), type: 'text' };
  assert.match(
    print({ ...made.node, arguments: [long, long] }),
    /^CREATE FUNCTION rolecall\.twice\(\n {2}w+ text,\n {2}w+ text\n\)\nRETURNS text\n/m,
  );
});

/** The first selected value and its alias, as PostgreSQL's parser reads them. */
function selected(query: string): Tree {
  const { stmts = [] } = parseSync(query);
  assert.equal(stmts.length, 1, query);
  const [target] = nodesIn(stmts, 'ResTarget');
  assert.ok(target, query);
  return target;
}

const hostile = [
  "'",
  "''",
  '\\',
  "\\'",
  "'; DROP ROLE x; --",
  '$$',
  '$a$',
  '"',
  '%s',
  '%',
  '/*',
  '--',
  '\n',
  'ü',
  '🙂',
  '',
];

test('any text survives as a literal', () => {
  const survives = (value: string): void => {
    const constant = (selected(`SELECT ${literal(value)}`).val as Tree).A_Const as Tree;
    assert.equal((constant.sval as Tree).sval ?? '', value);
  };
  hostile.forEach(survives);
  // PostgreSQL has no text with a zero byte, and none that is not Unicode.
  const texts = fc.string({ unit: fc.oneof(fc.constantFrom(...hostile), fc.string({ unit: 'binary', maxLength: 1 })) });
  fc.assert(
    fc.property(
      texts.filter((value) => !value.includes('\0')),
      survives,
    ),
    { numRuns: 300 },
  );
});

test('any text survives as an identifier', () => {
  const survives = (name: string): void => assert.equal(selected(`SELECT 1 AS ${identifier(name)}`).name, name);
  hostile.filter((name) => name !== '').forEach(survives);
  ['user', 'default', 'order', 'Mixed', '1st', 'with space', 'plain_1'].forEach(survives);
  const names = fc.string({ minLength: 1, maxLength: 15 }).filter((name) => !name.includes('\0'));
  fc.assert(fc.property(names, survives), { numRuns: 300 });
});

test('identifiers are quoted only where they must be', () => {
  assert.equal(identifier('plain_1'), 'plain_1');
  assert.equal(identifier('user'), '"user"');
  assert.equal(identifier('Mixed'), '"Mixed"');
  assert.equal(identifier('a"b'), '"a""b"');
});

test('numbers, truth values and null are literals', () => {
  assert.deepEqual([1, -2, true, false, null].map(literal), ['1', '-2', 'true', 'false', 'NULL']);
});

test('a long text is a literal of several lines, and still the same text', () => {
  const survives = (value: string): void => {
    const constant = (selected(`SELECT ${wrapped(value, 20)}`).val as Tree).A_Const as Tree;
    assert.equal((constant.sval as Tree).sval ?? '', value);
  };
  hostile.filter((value) => !value.includes('\\')).forEach(survives);
  const words = fc.array(fc.constantFrom("it's", 'a', ' ', '  ', 'longerthanthewidthofaline', '%s', '\n', 'ü'));
  fc.assert(
    fc.property(
      words.map((list) => list.join(' ')),
      survives,
    ),
    { numRuns: 300 },
  );
  assert.equal(wrapped('one two three four five', 12), "'one two '\n'three four '\n'five'");
});

test('a long comment begins on a line of its own', () => {
  const text = `Twice ${'and again '.repeat(15)}`.trim();
  const { function: made } = printed;
  assert.ok(made?.node.kind === 'function');
  const lines = print({ ...made.node, comment: text }).split('\n');
  assert.deepEqual(
    lines.filter((line) => line.length > 120),
    [],
  );
  assert.match(lines.join('\n'), /^COMMENT ON FUNCTION rolecall\.twice\(text, text\[\]\)\n  IS 'Twice /m);
  assert.equal(nodesIn(parseSync(lines.join('\n')), 'CommentStmt')[0]?.comment, text);
});

test('remarks are filled to the width, paragraph by paragraph and item by item', () => {
  const { function: made } = printed;
  assert.ok(made?.node.kind === 'function');
  const remarks = `${'word '.repeat(24)}word\nand\nmore.\n\n* an item\n  of two lines\n* another one`;
  const [text = ''] = print({ ...made.node, remarks }).split('CREATE FUNCTION');
  assert.deepEqual(text.trim().split('\n'), [
    `-- ${'word '.repeat(23)}`.trim(),
    '-- word word and more.',
    '--',
    '-- * an item of two lines',
    '-- * another one',
  ]);
});

test('a dollar-quoted body is read back as it is, and one with its own delimiter is refused', () => {
  const body = "it's $$ and $other$ and \\";
  const constant = (selected(`SELECT ${dollarQuoted('tag', body)}`).val as Tree).A_Const as Tree;
  assert.equal((constant.sval as Tree).sval, `\n${body}\n`);
  assert.throws(() => dollarQuoted('tag', 'a $tag$ b'), /contains its own delimiter \$tag\$/);
});

test('a template loses its margin and the blank first and last lines', () => {
  const made = sql`
    BEGIN
      RETURN 1;

    END
  `;
  assert.equal(made.text, 'BEGIN\n  RETURN 1;\n\nEND');
  assert.equal(sql`SELECT 1`.text, 'SELECT 1');
});

test('a part of several lines keeps the indentation of its place', () => {
  const inner = sql`
    IF true THEN
      NULL;
    END IF;
  `;
  const made = sql`
    BEGIN
      ${inner}
      ${[raw('one;'), raw('two;')]}
    END
  `;
  assert.equal(made.text, 'BEGIN\n  IF true THEN\n    NULL;\n  END IF;\n  one;\n  two;\nEND');
});

test('a template quotes values, keeps backslashes and refuses a bare string', () => {
  assert.equal(sql`f(${1}, ${true}, ${null}, ${text("o'clock")})`.text, "f(1, true, NULL, 'o''clock')");
  assert.equal(sql`E'\n'`.text, "E'\\n'");
  assert.equal(join([raw('a'), raw('b')]).text, 'a, b');
  assert.throws(() => sql`SELECT ${'x'}`, /a bare string in a template: x/);
  assert.throws(() => sql`SELECT ${[raw('a'), 'x']}`, /a bare string in a template: x/);
});
