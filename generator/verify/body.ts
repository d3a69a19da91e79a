/**
 * Checks of a plpgsql body on its parse tree: what it may catch, raise and execute.
 */
import { sqlstates } from '../model/sqlstates.ts';
import { parseSql } from './parse.ts';
import { nameParts, nodesIn, objectsIn, type Tree } from './problem.ts';

export interface BodyProblem {
  /** Counted from 1 at the opening delimiter, as plpgsql does. */
  readonly line: number;
  readonly message: string;
}

/** elog_level of RAISE EXCEPTION, the only one that aborts. */
const exceptionLevel = 21;

/** opt_type of USING ERRCODE. */
const errcodeOption = 0;

export function bodyProblems(tree: unknown): BodyProblem[] {
  const problems: BodyProblem[] = [];
  for (const entry of objectsIn(tree)) {
    for (const [kind, value] of Object.entries(entry)) {
      if (!kind.startsWith('PLpgSQL_')) continue;
      const node = value as Tree;
      const messages = [...catching(kind, node), ...raising(kind, node), ...executing(kind, node)];
      problems.push(...messages.map((message) => ({ line: Number(node.lineno ?? 1), message })));
    }
  }
  return problems;
}

function catching(kind: string, node: Tree): string[] {
  // A condition has no line of its own, so the line is that of its block.
  if (kind !== 'PLpgSQL_stmt_block') return [];
  const handlers = (node.exceptions as Tree | undefined)?.PLpgSQL_exception_block as Tree | undefined;
  const caught = ((handlers?.exc_list ?? []) as Tree[]).flatMap((handler) =>
    nodesIn((handler.PLpgSQL_exception as Tree).conditions, 'PLpgSQL_condition'),
  );
  return caught.some(({ condname }) => condname === 'others') ? ['WHEN OTHERS'] : [];
}

function raising(kind: string, node: Tree): string[] {
  if (kind !== 'PLpgSQL_stmt_raise') return [];
  if (node.condname === undefined && node.message === undefined && node.options === undefined) {
    return ['a bare RAISE repeats the failed statement in CONTEXT'];
  }
  const codes = nodesIn(node.options, 'PLpgSQL_raise_option')
    .filter(({ opt_type }) => (opt_type ?? 0) === errcodeOption)
    .map((option) => String(nodesIn(option, 'PLpgSQL_expr')[0]?.query));
  if (node.elog_level === exceptionLevel && codes.length === 0) return ['RAISE EXCEPTION without ERRCODE'];
  // plpgsql looks up a condition name only when it raises it; an unknown name would then be another error.
  const [name] = codes.flatMap((code) => /^'([a-z_]+)'$/.exec(code)?.[1] ?? []);
  return name === undefined || name in sqlstates ? [] : [`ERRCODE ${name} is not in model/sqlstates.ts`];
}

/** EXECUTE, FOR ... IN EXECUTE, RETURN QUERY EXECUTE and OPEN ... FOR EXECUTE. */
function executing(kind: string, node: Tree): string[] {
  const isDynamic = kind === 'PLpgSQL_stmt_dynexecute' || kind === 'PLpgSQL_stmt_dynfors';
  const query = node.dynquery ?? (isDynamic ? node.query : undefined);
  if (query === undefined) return [];
  const messages: string[] = [];
  if (node.params !== undefined) messages.push('EXECUTE ... USING: DDL takes no parameters');
  const expression = String(nodesIn(query, 'PLpgSQL_expr')[0]?.query);
  // The statement of a change, from a query of the same function.
  if (/^\w+ ->> 'statement'$/.test(expression)) return messages;
  const tree = parseSql(`SELECT ${expression}`);
  if (nodesIn(tree, 'A_Expr').some(({ name }) => nameParts(name).join('.') === '||')) {
    messages.push('EXECUTE of text joined with ||');
  }
  const [target] = nodesIn(nodesIn(tree, 'SelectStmt')[0]?.targetList, 'ResTarget');
  const call = (target?.val as Tree | undefined)?.FuncCall as Tree | undefined;
  const callee = nameParts(call?.funcname).join('.');
  if (callee === 'rolecall_internal.statement_of') return messages;
  if (callee !== 'format' && callee !== 'pg_catalog.format') {
    return [
      ...messages,
      `EXECUTE of ${expression}: only format(...), rolecall_internal.statement_of(...) and the statement of a change are executed`,
    ];
  }
  const [template] = (call?.args ?? []) as Tree[];
  const text = ((template?.A_Const as Tree | undefined)?.sval as Tree | undefined)?.sval;
  if (typeof text !== 'string') messages.push('EXECUTE of format() whose template is not a literal');
  else if (/%[^ILs%]*s/.test(text.replaceAll('%%', ''))) messages.push('EXECUTE of format() with %s: use %I or %L');
  return messages;
}
