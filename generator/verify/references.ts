/**
 * The functions, tables and types that SQL refers to in schemas other than the server's.
 */
import { parseFunction, parseSql } from './parse.ts';
import { nameParts, objectsIn, type Tree } from './problem.ts';
import type { FunctionSource } from './statements.ts';

export interface Reference {
  /** A mention is the name of a function in a literal: in a hint, or in a statement that is run later. */
  readonly kind: 'call' | 'mention' | 'relation' | 'type';
  /** With its schema. */
  readonly name: string;
  /** For a call: the number of arguments by position, and the names of the others. */
  readonly positional: number;
  readonly named: readonly string[];
  /** In bytes; from the start of what was parsed. */
  readonly offset: number;
}

/** As `Reference`, in a body, with the line there: from 1 at the opening delimiter, as plpgsql counts. */
export type BodyReference = Reference & { readonly line: number };

/** How parseMode of PLpgSQL_expr says that a text is an expression, or an assignment to a variable. */
const expressionMode = 2;
const assignmentMode = 3;

export function references(tree: unknown): Reference[] {
  return objectsIn(tree).flatMap((entry) => [
    ...calls(entry.FuncCall as Tree | undefined),
    ...relations(entry.RangeVar as Tree | undefined),
    ...types((entry.TypeName ?? entry.typeName ?? entry.argType ?? entry.returnType) as Tree | undefined),
    ...literals(entry.A_Const as Tree | undefined),
    ...regclasses(entry.TypeCast as Tree | undefined),
    ...triggers(entry.CreateTrigStmt as Tree | undefined),
  ]);
}

function reference(kind: Reference['kind'], parts: readonly string[], location: unknown): Reference[] {
  if (parts.length !== 2 || parts[0] === 'pg_catalog') return [];
  return [{ kind, name: parts.join('.'), positional: 0, named: [], offset: Number(location ?? 0) }];
}

function calls(node: Tree | undefined): Reference[] {
  if (node === undefined) return [];
  const given = (node.args ?? []) as Tree[];
  const named = given.flatMap(({ NamedArgExpr: one }) => (one === undefined ? [] : [String((one as Tree).name)]));
  const [call] = reference('call', nameParts(node.funcname), node.location);
  return call === undefined ? [] : [{ ...call, named, positional: given.length - named.length }];
}

function triggers(node: Tree | undefined): Reference[] {
  return node === undefined ? [] : reference('call', nameParts(node.funcname), node.location);
}

function relations(node: Tree | undefined): Reference[] {
  if (node?.schemaname === undefined) return [];
  return reference('relation', [String(node.schemaname), String(node.relname)], node.location);
}

function types(node: Tree | undefined): Reference[] {
  return node === undefined ? [] : reference('type', nameParts(node.names), node.location);
}

const textOf = (constant: Tree | undefined) => String((constant?.sval as Tree | undefined)?.sval ?? '');

function literals(constant: Tree | undefined): Reference[] {
  if (constant === undefined) return [];
  const named = (kind: Reference['kind'], pattern: RegExp) =>
    [...textOf(constant).matchAll(pattern)].flatMap((match) => reference(kind, match.slice(1), constant.location));
  return [
    ...named('mention', /(?<![\w%])(\w+)\.(\w+)\(/g),
    // Literals are statements for format(), or privileges as they are shown.
    ...named('relation', /\b(?:FROM|JOIN|INTO|UPDATE|ON) (\w+)\.(\w+)\b(?!\()/g),
  ];
}

function regclasses(node: Tree | undefined): Reference[] {
  if (node === undefined) return [];
  const constant = (node.arg as Tree | undefined)?.A_Const as Tree | undefined;
  const isRegclass = nameParts((node.typeName as Tree | undefined)?.names).at(-1) === 'regclass';
  return isRegclass ? reference('relation', textOf(constant).split('.'), constant?.location) : [];
}

/** References in the body of a function. */
export function bodyReferences({ statement, body }: FunctionSource): BodyReference[] {
  return [statement, ...declarations(statement, body)].flatMap((one) => {
    const tree = parseFunction(one);
    const named = [...expressionsIn(tree, 1)].flatMap(([{ query, parseMode }, line]) =>
      inExpression(String(query), Number(parseMode), line, body),
    );
    return [...named, ...declaredTypes(tree)];
  });
}

/**
 * The declarations of a body, as functions of their own, because the parser leaves out the initial value of a
 * variable whose type it does not know. The lines stay the same.
 */
function declarations(statement: string, body: string): string[] {
  return [...body.matchAll(/^( *)DECLARE\n[\s\S]*?^\1BEGIN$/gm)].map(([block]) => {
    const before = body.slice(0, body.indexOf(block)).replaceAll(/[^\n]/g, '');
    const known = block.replaceAll(/^( *\w+) \w+\.\w+(?:\[\])?(?= :=)/gm, '$1 text');
    return statement.replace(body, () => `${before}${known} NULL; END\n`);
  });
}

function declaredTypes(tree: unknown): BodyReference[] {
  return objectsIn(tree).flatMap((entry) => {
    const node = (entry.PLpgSQL_var ?? entry.PLpgSQL_rec) as Tree | undefined;
    const type = ((node?.datatype as Tree | undefined)?.PLpgSQL_type as Tree | undefined)?.typname;
    const [, schema, name] = /^(\w+)\.(\w+)(?:\[\]|%rowtype)?$/.exec(String(type)) ?? [];
    if (schema === undefined || name === undefined) return [];
    return reference('type', [schema, name], 0).map((one) => ({ ...one, line: Number(node?.lineno ?? 1) }));
  });
}

/** Every expression, with the line of its innermost statement. */
function* expressionsIn(value: unknown, line: number): Generator<[expression: Tree, line: number]> {
  if (typeof value !== 'object' || value === null) return;
  const { lineno, PLpgSQL_expr: expression } = value as Tree;
  if (expression !== undefined) yield [expression as Tree, line];
  else for (const inner of Object.values(value)) yield* expressionsIn(inner, Number(lineno ?? line));
}

function inExpression(query: string, mode: number, line: number, body: string): BodyReference[] {
  const text = mode >= assignmentMode ? query.slice(query.indexOf(':=') + 2) : query;
  const found = references(parseSql(mode >= expressionMode ? `SELECT ${text}` : text));
  // The parser rewrites the text of a statement: PERFORM becomes SELECT, and INTO is removed. The name itself stays
  // the same, so it is searched for in the source.
  const from = body.split('\n', line - 1).join('\n').length;
  return found.map((one, index) => {
    const earlier = found.slice(0, index).filter(({ name }) => name === one.name).length;
    const before = body
      .slice(from)
      .split(one.name, earlier + 1)
      .join(one.name);
    return { ...one, line: line + before.split('\n').length - (line > 1 ? 2 : 1) };
  });
}
