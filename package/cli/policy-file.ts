/**
 * A policy in a file: YAML, or JSON, which is YAML too. Mistakes are reported with line and column.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import leven from 'leven';
import {
  type Document,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parse,
  parseDocument,
  stringify,
} from 'yaml';
import { type Row, UsageError } from './command.ts';

export interface Problem {
  readonly path: string;
  readonly problem: string;
}

type Step = string | number;

export interface PolicyFile {
  readonly name: string;
  readonly value: unknown;
  /** The problems of the file, each with its place. */
  readonly problems: readonly Row[];
  place(problem: Problem): Row;
}

/** The path as check_policy() writes it: `$.roles."a b".member_of[0]`. */
export const printPath = (steps: readonly Step[]): string =>
  `$${steps
    .map((step) =>
      typeof step === 'number' ? `[${step}]` : /^[A-Za-z_]\w*$/.test(step) ? `.${step}` : `.${JSON.stringify(step)}`,
    )
    .join('')}`;

export const parsePath = (path: string): Step[] =>
  [...path.matchAll(/\.("(?:[^"\\]|\\.)*")|\.([^."[]+)|\[(\d+)\]/g)].map(([, quoted, plain, index]) =>
    quoted !== undefined ? (JSON.parse(quoted) as string) : (plain ?? Number(index)),
  );

/** The place of a path: its key, its entry in a list, or else the nearest node around it. */
function offsetOf(document: Document, steps: readonly Step[]): number {
  let found = 0;
  let node: unknown = document.contents;
  for (const step of steps) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) break;
      found = (pair.key as Node).range?.[0] ?? found;
      node = pair.value;
    } else {
      const item: unknown = isSeq(node) ? node.items[Number(step)] : undefined;
      if (!isNode(item)) break;
      found = item.range?.[0] ?? found;
      node = item;
    }
  }
  return found;
}

export async function readText(file: string): Promise<string> {
  if (file !== '-')
    return readFile(file, 'utf8').catch((error: Error) => {
      throw new UsageError(`could not read ${file}: ${error.message}`);
    });
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

export async function readPolicy(file: string): Promise<PolicyFile> {
  const text = await readText(file);
  const name = file === '-' ? 'standard input' : file;
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const at = (offset: number, { path, problem }: Problem): Row => {
    const { line, col } = counter.linePos(offset);
    return { file: name, line: Math.max(line, 1), column: Math.max(col, 1), path, problem };
  };
  const place = (problem: Problem): Row => at(offsetOf(document, parsePath(problem.path)), problem);
  const broken = document.errors.map(({ pos, code, message }) =>
    at(pos[0], { path: '$', problem: code === 'MULTIPLE_DOCS' ? 'the file has several documents' : message }),
  );
  if (broken.length > 0) return { name, value: null, problems: broken, place };
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    // Aliases without an anchor, or more of them than any policy has.
    const problem = at(0, { path: '$', problem: (error as Error).message });
    return { name, value: null, problems: [problem], place };
  }
  return { name, value, problems: (await structure(value)).map(place).sort(byPlace), place };
}

export const printProblems = (problems: readonly Row[]): string =>
  problems.map((one) => `${one['file']}:${one['line']}:${one['column']}: ${one['path']}: ${one['problem']}`).join('\n');

const byPlace = (one: Row, other: Row): number =>
  Number(one['line']) - Number(other['line']) || Number(one['column']) - Number(other['column']);

/** What the published schema finds. The server checks what depends on other parts of the document or on itself. */
async function structure(value: unknown): Promise<Problem[]> {
  const { validate } = await import('./validator.ts');
  if (validate(value)) return [];
  const found = (validate.errors ?? []).map((error) => {
    const steps = stepsOf(value, error.instancePath);
    const { additionalProperty } = error.params as { additionalProperty?: string };
    return additionalProperty === undefined
      ? { steps, problem: wording(error) }
      : { steps: [...steps, additionalProperty], problem: unknownKey(additionalProperty, error.parentSchema) };
  });
  // If a place can have several forms, each one reports a problem. The deepest is nearest to the mistake.
  const isAbove = (one: readonly Step[], other: readonly Step[]): boolean =>
    one.length < other.length && one.every((step, index) => step === other[index]);
  const deepest = found.filter(({ steps }) => !found.some((other) => isAbove(steps, other.steps)));
  const unique = new Map(deepest.map(({ steps, problem }) => [printPath(steps), problem]));
  return [...unique].map(([path, problem]) => ({ path, problem }));
}

/** A JSON pointer as steps. Only the value shows whether a step is an index or a key. */
function stepsOf(value: unknown, pointer: string): Step[] {
  let node = value;
  return pointer
    .split('/')
    .slice(1)
    .map((part) => {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
      const step = Array.isArray(node) ? Number(key) : key;
      node = (node as Record<Step, unknown> | undefined)?.[step];
      return step;
    });
}

interface SchemaError {
  readonly keyword: string;
  readonly params: object;
  readonly message?: string;
  readonly data?: unknown;
  readonly parentSchema?: object;
}

const typeOf = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'list' : typeof value === 'object' ? 'object' : typeof value;

function wording({ keyword, params, message = '', data }: SchemaError): string {
  const { type, allowedValues, allowedValue, missingProperty } = params as Record<string, string>;
  if (keyword === 'type') {
    const wanted = [type].flat().join(' or ').replace('array', 'list');
    return `${wanted}, not ${typeOf(data)}${wanted === 'object' && data === null ? '; one without keys is {}' : ''}`;
  }
  if (keyword === 'required') return `the key "${missingProperty}" is missing`;
  if (keyword === 'const') return `${JSON.stringify(data)} is not ${String(allowedValue)}`;
  if (keyword === 'enum') return `${JSON.stringify(data)} is not one of ${String(allowedValues).replaceAll(',', ', ')}`;
  if (keyword === 'anyOf' || keyword === 'oneOf') return `a ${typeOf(data)} does not fit here`;
  return message;
}

function unknownKey(key: string, parent: object | undefined): string {
  const known = Object.keys((parent as { properties?: object } | undefined)?.properties ?? {});
  const [nearest] = known.map((each) => ({ each, distance: leven(each, key) })).sort((a, b) => a.distance - b.distance);
  const hint = nearest !== undefined && nearest.distance <= 2 ? `; did you mean "${nearest.each}"?` : '';
  return `unknown key "${key}"${hint}`;
}

/** A policy as YAML. */
export const printPolicy = (policy: unknown): string =>
  stringify(policy, { lineWidth: 120, aliasDuplicateObjects: false });

/** A file with a text for each name, such as passwords. A parser's message would repeat its contents. */
export async function readTexts(file: string): Promise<Record<string, string>> {
  const text = await readText(file);
  let found: unknown;
  try {
    found = parse(text, { prettyErrors: false, logLevel: 'silent' });
  } catch {
    throw new UsageError(`${file} is not YAML`);
  }
  if (!isObject(found) || Object.values(found).some((value) => typeof value !== 'string'))
    throw new UsageError(`${file} does not have a text for each name`);
  return found as Record<string, string>;
}

/** Updates a file to a policy. What has not changed keeps its place, its form and its comments. */
export async function updateFile(file: string, policy: unknown): Promise<void> {
  const document = parseDocument(await readText(file));
  if (document.errors.length > 0) throw new UsageError(`${file} is not YAML: ${document.errors[0]?.message ?? ''}`);
  if (isMap(document.contents)) merge(document, [], document.toJS(), policy as object);
  else document.contents = document.createNode(policy) as never;
  await writeFile(file, document.toString({ lineWidth: 120 }));
}

const isObject = (value: unknown): value is Record<string, unknown> => typeOf(value) === 'object';

function merge(document: Document, path: readonly Step[], old: Record<string, unknown>, now: object): void {
  for (const key of Object.keys(old)) if (!(key in now)) document.deleteIn([...path, key]);
  for (const [key, value] of Object.entries(now)) {
    const before = old[key];
    if (isDeepStrictEqual(before, value)) continue;
    const place = [...path, key];
    if (isObject(before) && isObject(value)) merge(document, place, before, value);
    else if (Array.isArray(before) && Array.isArray(value)) mergeList(document, place, before, value);
    else document.setIn(place, document.createNode(value));
  }
}

/** What was in the list stays where it is; what is new comes at the end. */
function mergeList(document: Document, path: readonly Step[], old: readonly unknown[], now: readonly unknown[]): void {
  const list = document.getIn(path);
  if (!isSeq(list)) return void document.setIn(path, document.createNode(now));
  const isIn = (some: readonly unknown[], one: unknown): boolean => some.some((each) => isDeepStrictEqual(each, one));
  list.items = list.items.filter((_, index) => isIn(now, old[index]));
  for (const one of now) if (!isIn(old, one)) list.items.push(document.createNode(one));
}
