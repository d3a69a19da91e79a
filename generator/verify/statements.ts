/**
 * Checks of emitted SQL: it parses, and every function follows the rules of this project.
 */
import { hasSqlDetails } from 'libpg-query';
import { bodyProblems } from './body.ts';
import { parseFunction, parseSql } from './parse.ts';
import { lineAt, nameParts, nodesIn, type Problem, type Tree } from './problem.ts';

/** The problems of one file. Commands of psql are not SQL and are left out. `loadModule()` must have been awaited. */
export function sqlProblems(file: string, source: string): Problem[] {
  const text = source.replaceAll(/^\\.*$/gm, '');
  let statements: Tree[];
  try {
    statements = (parseSql(text).stmts ?? []) as unknown as Tree[];
  } catch (error) {
    const line = hasSqlDetails(error) ? lineAt(text, error.sqlDetails?.cursorPosition ?? 0) : 1;
    return [{ file, line, message: error instanceof Error ? error.message : String(error) }];
  }
  const commented = new Set(nodesIn(statements, 'CommentStmt').filter(hasText).flatMap(signatures));
  const revoked = new Set(nodesIn(statements, 'GrantStmt').filter(isRevokeFromPublic).flatMap(signatures));
  return statements.flatMap((statement) => {
    const [node] = nodesIn(statement, 'CreateFunctionStmt');
    if (node === undefined) return [];
    const offset = Number(statement.stmt_location ?? 0);
    const line = lineAt(text, offset);
    const signature = signatureOf(nameParts(node.funcname), node.parameters);
    const messages = declarationMessages(node);
    if (!commented.has(signature)) messages.push('no COMMENT ON FUNCTION');
    if (!revoked.has(signature)) messages.push('no REVOKE ALL ... FROM PUBLIC');
    const own = messages.map((message) => ({ file, line, message: `${signature}: ${message}` }));
    return [...own, ...inBody(file, line, signature, functionSource(text, statement, node))];
  });
}

export interface FunctionSource {
  /** CREATE FUNCTION as the parser takes it. */
  readonly statement: string;
  readonly body: string;
  /** The offset of line numbers in the body, which plpgsql counts from the opening delimiter. */
  readonly before: number;
}

/** The text of a CREATE FUNCTION, which is one statement of a file. */
export function functionSource(text: string, statement: Tree, node: Tree): FunctionSource {
  const offset = Number(statement.stmt_location ?? 0);
  const end = statement.stmt_len === undefined ? undefined : offset + Number(statement.stmt_len);
  const source = Buffer.from(text).subarray(offset, end).toString();
  const body = option(node, 'as').flatMap(nameParts)[0] ?? '';
  return {
    // The parser knows only the server's own types, and accepts no other type for an array that is returned.
    statement: `${source.replace(/\bRETURNS [\w.]+\[\]$/m, 'RETURNS text[]')};`,
    body,
    before: lineAt(text, offset) + lineOf(source.trimStart(), body),
  };
}

function inBody(file: string, line: number, signature: string, { statement, before }: FunctionSource): Problem[] {
  try {
    return bodyProblems(parseFunction(statement)).map((problem) => ({
      file,
      line: before + problem.line,
      message: `${signature}: ${problem.message}`,
    }));
  } catch (error) {
    return [{ file, line, message: `${signature}: ${error instanceof Error ? error.message : String(error)}` }];
  }
}

/**
 * The lines before the body, less one because plpgsql counts from 1. `line` includes the comments before the
 * statement.
 */
function lineOf(statement: string, body: string): number {
  const create = statement.search(/^CREATE\b/im);
  return statement.slice(Math.max(create, 0), statement.indexOf(body)).split('\n').length - 2;
}

function declarationMessages(node: Tree): string[] {
  const messages: string[] = [];
  if (node.replace === true) messages.push('CREATE OR REPLACE');
  const language = option(node, 'language').flatMap(nameParts)[0];
  if (language !== 'plpgsql') messages.push(`LANGUAGE ${language}`);
  if (option(node, 'security').some((arg) => nodesIn(arg, 'Boolean').some(({ boolval }) => boolval === true))) {
    messages.push('SECURITY DEFINER');
  }
  const path = option(node, 'set')
    .flatMap((arg) => nodesIn(arg, 'VariableSetStmt'))
    .find(({ name }) => name === 'search_path');
  const schemas = nodesIn(path?.args, 'A_Const').map(({ sval }) => (sval as Tree | undefined)?.sval);
  if (schemas.join() !== 'pg_catalog,pg_temp') messages.push('no SET search_path = pg_catalog, pg_temp');
  for (const parameter of nodesIn(node.parameters, 'FunctionParameter')) {
    const type = nameParts((parameter.argType as Tree).names).at(-1);
    // The server would truncate a longer text to 63 bytes without an error, and it would name another role.
    if (type === 'name' && isInput(parameter)) messages.push(`argument ${String(parameter.name)} is of type name`);
  }
  return messages;
}

/** The values of the options with one name in CREATE FUNCTION. */
function option(node: Tree, name: string): unknown[] {
  return nodesIn(node.options, 'DefElem')
    .filter(({ defname }) => defname === name)
    .map(({ arg }) => arg);
}

function hasText(node: Tree): boolean {
  return typeof node.comment === 'string' && node.comment.trim() !== '';
}

function isRevokeFromPublic(node: Tree): boolean {
  return (
    node.is_grant !== true &&
    node.privileges === undefined &&
    nodesIn(node.grantees, 'RoleSpec').some(({ roletype }) => roletype === 'ROLESPEC_PUBLIC')
  );
}

function signatures(node: Tree): string[] {
  return nodesIn(node.object ?? node.objects, 'ObjectWithArgs').map((object) =>
    signatureOf(nameParts(object.objname), object.objfuncargs),
  );
}

function signatureOf(name: readonly string[], parameters: unknown): string {
  const types = nodesIn(parameters, 'FunctionParameter')
    .filter(isInput)
    .map(({ argType }) => {
      const type = argType as Tree;
      return nameParts(type.names).join('.') + (type.arrayBounds === undefined ? '' : '[]');
    });
  return `${name.join('.')}(${types.join(', ')})`;
}

export function isInput(parameter: Tree): boolean {
  return !['FUNC_PARAM_TABLE', 'FUNC_PARAM_OUT'].includes(String(parameter.mode));
}
