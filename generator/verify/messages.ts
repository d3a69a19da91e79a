/**
 * Checks that a test provokes each message: the longest constant part of it occurs in a test.
 */
import { parseFunction, parseSql } from './parse.ts';
import { nameParts, nodesIn, type Problem, type Tree } from './problem.ts';
import { functionSource } from './statements.ts';

/** The messages that no test can provoke, each with the reason. */
const unprovoked: ReadonlyMap<string, string> = new Map([
  [
    'could not reach the desired state because other transactions kept changing it',
    'another transaction would have to come in between a thousand times in a row',
  ],
]);

/** opt_type of USING ERRCODE and USING MESSAGE. */
const [errcodeOption, messageOption] = [0, 1];

/** SQLSTATEs that the engine raises and catches itself; nobody sees the message. */
const internal = /^'RC\d{3}'$/;

interface Message {
  readonly file: string;
  readonly line: number;
  /** The text as in the source, with the placeholders of format() or RAISE. */
  readonly text: string;
}

/** `tests` are the texts of the tests. `loadModule()` of libpg-query must have been awaited. */
export function messageProblems(
  files: Iterable<readonly [path: string, text: string]>,
  tests: Iterable<string>,
  exceptions: ReadonlyMap<string, string> = unprovoked,
): Problem[] {
  const tested = [...tests].map(unquoted).join('\n');
  const messages = [...files].flatMap(([file, text]) => messagesOf(file, text));
  const texts = new Set(messages.map(({ text }) => text));
  return [
    ...messages
      .filter(({ text }) => !exceptions.has(text) && !tested.includes(longestPart(text)))
      .map(({ file, line, text }) => ({ file, line, message: `no test provokes the message: ${text}` })),
    ...[...exceptions.keys()]
      .filter((text) => !texts.has(text))
      .map((text) => ({
        file: 'generator/verify/messages.ts',
        line: 1,
        message: `nothing raises the message: ${text}`,
      })),
  ];
}

function messagesOf(file: string, text: string): Message[] {
  return ((parseSql(text).stmts ?? []) as unknown as Tree[]).flatMap((statement) => {
    const [node] = nodesIn(statement, 'CreateFunctionStmt');
    if (node === undefined) return [];
    const source = functionSource(text, statement, node);
    return nodesIn(parseFunction(source.statement), 'PLpgSQL_stmt_raise').flatMap((raise) =>
      textsOf(raise).map((one) => ({ file, line: source.before + Number(raise.lineno), text: one })),
    );
  });
}

function textsOf(raise: Tree): string[] {
  const options = (type: number) =>
    nodesIn(raise.options, 'PLpgSQL_raise_option')
      .filter(({ opt_type }) => (opt_type ?? 0) === type)
      .map((option) => String(nodesIn(option, 'PLpgSQL_expr')[0]?.query));
  if (options(errcodeOption).some((code) => internal.test(code))) return [];
  const own = typeof raise.message === 'string' ? [raise.message] : [];
  return [...own, ...options(messageOption).flatMap(literals)].filter((text) => longestPart(text) !== '');
}

/**
 * The literal that an expression consists of, or the templates of format() in it; none for a value, such as SQLERRM.
 */
function literals(expression: string): string[] {
  const [target] = nodesIn(parseSql(`SELECT ${expression}`), 'ResTarget');
  const templates = nodesIn(target, 'FuncCall')
    .filter(({ funcname }) => nameParts(funcname).at(-1) === 'format')
    .map(({ args }) => (args as Tree[])[0]);
  return [target?.val as Tree, ...templates].flatMap((node) => {
    const constant = (node?.A_Const as Tree | undefined)?.sval as Tree | undefined;
    return constant === undefined ? [] : [String(constant.sval)];
  });
}

/** The longest part without placeholders. A placeholder of RAISE is a bare %. */
function longestPart(text: string): string {
  const parts = text.split(/%(?:\d+\$)?[sIL]?/).map((part) => part.trim());
  return parts.reduce((longest, part) => (part.length > longest.length ? part : longest));
}

/**
 * A text as a user reads it: without the doubled quotes of SQL, and the backslashes of a string or a regular
 * expression.
 */
function unquoted(text: string): string {
  return text.replaceAll("''", "'").replaceAll(/\\(.)/g, '$1');
}
