/**
 * The graph of calls between our functions, and the checks of it: every function that is called exists and takes
 * these arguments, no call goes up, and every internal function is reached from a public one.
 */
import { levelOf, rooms, type Room } from '../model/rooms.ts';
import { parseSql } from './parse.ts';
import { lineAt, nameParts, nodesIn, type Problem, type Tree } from './problem.ts';
import { bodyReferences, references, type Reference } from './references.ts';
import { functionSource, isInput } from './statements.ts';

interface Place {
  readonly file: string;
  readonly line: number;
}

export interface Definition extends Place {
  readonly name: string;
  /** Undefined where the file is in no folder of a room. */
  readonly room: Room | undefined;
  readonly parameters: readonly { readonly name: string; readonly optional: boolean }[];
}

/** A reference, and the function that it is in; null outside of functions, for example in a view. */
export type Use = Reference & Place & { readonly by: string | null };

/** A function that leads to another one, by a call or by naming it in a statement that is run later. */
export interface Call {
  readonly caller: Definition;
  readonly callee: Definition;
  readonly use: Use;
}

export interface CallGraph {
  readonly functions: ReadonlyMap<string, Definition>;
  /** Tables, views and types; a table or view is also a type. */
  readonly relations: ReadonlySet<string>;
  readonly types: ReadonlySet<string>;
  readonly uses: readonly Use[];
}

/** The graph of the files below sql/. `loadModule()` of libpg-query must have been awaited. */
export function callGraph(files: Iterable<readonly [path: string, text: string]>): CallGraph {
  const functions = new Map<string, Definition>();
  const relations = new Set<string>();
  const types = new Set<string>();
  const uses: Use[] = [];
  for (const [file, text] of files) {
    for (const statement of (parseSql(text).stmts ?? []) as unknown as Tree[]) {
      const line = lineAt(text, Number(statement.stmt_location ?? 0));
      const [created] = nodesIn(statement, 'CreateFunctionStmt');
      const by = created === undefined ? null : nameParts(created.funcname).join('.');
      for (const node of [...nodesIn(statement, 'CreateStmt'), ...nodesIn(statement, 'ViewStmt')]) {
        relations.add(relationName(node.relation ?? node.view));
      }
      for (const node of nodesIn(statement, 'CompositeTypeStmt')) types.add(relationName(node.typevar));
      for (const one of references(statement)) uses.push({ ...one, by, file, line: lineAt(text, one.offset) });
      if (created !== undefined && by !== null) {
        functions.set(by, { name: by, room: roomOf(file), file, line, parameters: parametersOf(created) });
        const source = functionSource(text, statement, created);
        for (const one of bodyReferences(source)) uses.push({ ...one, by, file, line: source.before + one.line });
      }
    }
  }
  return { functions, relations, types: new Set([...types, ...relations]), uses };
}

function relationName(node: unknown): string {
  const { schemaname, relname } = node as Tree;
  return `${String(schemaname)}.${String(relname)}`;
}

function roomOf(file: string): Room | undefined {
  if (file.startsWith('sql/6-functions/')) return 'functions';
  const [, folder] = /^sql\/5-internal\/(\w+)\//.exec(file) ?? [];
  return rooms.find(({ name }) => name === folder)?.name;
}

function parametersOf(node: Tree): Definition['parameters'] {
  return nodesIn(node.parameters, 'FunctionParameter')
    .filter(isInput)
    .map(({ name, defexpr }) => ({ name: String(name), optional: defexpr !== undefined }));
}

export function callProblems(graph: CallGraph): Problem[] {
  const reached = reachable(graph);
  const up = callsIn(graph).filter(isUp);
  const found = [
    ...graph.uses.flatMap((use) => useMessages(graph, use).map((message) => ({ ...placed(use), message }))),
    ...up.map(({ caller, callee, use }) => ({
      ...placed(use),
      message: `${caller.name}: a call up, from ${caller.room} to ${callee.name} in ${callee.room}: move one of them, or have the caller pass its result`,
    })),
    ...[...graph.functions.values()]
      .filter(({ name }) => !reached.has(name))
      .map((one) => ({ ...placed(one), message: `no public function leads to ${one.name}: call it, or remove it` })),
  ];
  // A declaration is read twice, so its references occur twice.
  return [...new Map(found.map((problem) => [JSON.stringify(problem), problem])).values()];
}

const placed = ({ file, line }: Place): Place => ({ file, line });

function useMessages(graph: CallGraph, use: Use): string[] {
  const user = use.by === null ? '' : `${use.by}: `;
  if (use.kind === 'relation') {
    return graph.relations.has(use.name) ? [] : [`${user}there is no table or view ${use.name}: see model/objects.ts`];
  }
  if (use.kind === 'type') {
    return graph.types.has(use.name) ? [] : [`${user}there is no type ${use.name}: see model/objects.ts`];
  }
  const callee = graph.functions.get(use.name);
  if (callee === undefined) {
    const [other] = [...graph.functions.keys()].filter((name) => name.split('.')[1] === use.name.split('.')[1]);
    const fix = other === undefined ? 'correct the name, or write the function' : `it is ${other}`;
    return [`${user}there is no function ${use.name}: ${fix}`];
  }
  return argumentMessages(callee, use).map((message) => user + message);
}

function argumentMessages(callee: Definition, use: Use): string[] {
  if (use.kind !== 'call') return [];
  const byName = callee.parameters.slice(use.positional);
  const unknown = use.named.filter((name) => !byName.some((parameter) => parameter.name === name));
  const missing = byName.filter(({ name, optional }) => !optional && !use.named.includes(name));
  const takes = `${callee.name} takes (${callee.parameters
    .map(({ name, optional }) => (optional ? `[${name}]` : name))
    .join(', ')})`;
  if (use.positional > callee.parameters.length) return [`${use.positional} arguments by position, but ${takes}`];
  return [
    ...unknown.map((name) => `argument ${name} is unknown or given twice: ${takes}`),
    ...missing.map(({ name }) => `argument ${name} is missing: ${takes}`),
  ];
}

/** Calls from one function to another. A hint that names a public function is not a call. */
export function callsIn({ functions, uses }: CallGraph): Call[] {
  return uses.flatMap((use) => {
    if (use.kind !== 'call' && use.kind !== 'mention') return [];
    const [caller, callee] = [functions.get(use.by ?? ''), functions.get(use.name)];
    if (caller === undefined || callee === undefined || caller === callee) return [];
    return use.kind === 'mention' && callee.room === 'functions' ? [] : [{ caller, callee, use }];
  });
}

function isUp({ caller, callee }: Call): boolean {
  const [from, to] = [levelOf(caller.room), levelOf(callee.room)];
  return from !== undefined && to !== undefined && from > to;
}

/** Every function that is reached from a public function, a view or a default. */
function reachable(graph: CallGraph): Set<string> {
  const calls = callsIn(graph);
  const reached = new Set<string>();
  const visit = (name: string): void => {
    if (reached.has(name)) return;
    reached.add(name);
    for (const { caller, callee } of calls) if (caller.name === name) visit(callee.name);
  };
  for (const { kind, by, name } of graph.uses) if (by === null && kind === 'call') visit(name);
  for (const { name, room } of graph.functions.values()) if (room === 'functions') visit(name);
  return reached;
}
