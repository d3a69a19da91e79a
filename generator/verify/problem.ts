/**
 * The problems that a check reports, and functions that several checks use to walk parse trees.
 */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

export type Tree = Readonly<Record<string, unknown>>;

/** Every object below a value, itself included, outermost first. */
export function objectsIn(value: unknown, found: Tree[] = []): Tree[] {
  if (typeof value !== 'object' || value === null) return found;
  if (!Array.isArray(value)) found.push(value as Tree);
  for (const inner of Object.values(value)) objectsIn(inner, found);
  return found;
}

/** The results of walks: nodesIn() is called for many kinds of the same tree, which does not change. */
const walked = new WeakMap<object, Tree[]>();

/** Every node of one kind below a value. */
export function nodesIn(value: unknown, kind: string): Tree[] {
  if (typeof value !== 'object' || value === null) return [];
  const objects = walked.get(value) ?? objectsIn(value);
  walked.set(value, objects);
  return objects.map((one) => one[kind] as Tree).filter((node) => node !== undefined);
}

/** The parts of a qualified name: a list of String nodes. */
export function nameParts(value: unknown): string[] {
  return nodesIn(value, 'String').map((node) => String(node.sval));
}

/** The line of a byte offset, from 1, after white space and comments before the statement. */
export function lineAt(text: string, offset: number): number {
  const bytes = Buffer.from(text);
  const before = bytes.subarray(0, offset).toString();
  const skipped = /^(?:\s|--[^\n]*(?:\n|$))*/.exec(bytes.subarray(offset).toString())?.[0] ?? '';
  return (before + skipped).split('\n').length;
}
