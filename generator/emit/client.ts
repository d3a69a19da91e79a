/**
 * extension/client/rolecall.ts: the typed client, with one method per public function.
 */
import type { DocumentedArgument, FunctionSpec } from '../model/inspect.ts';
import { objects, schemas } from '../model/objects.ts';
import { operations, recorded, statuses } from '../model/operations.ts';
import { sqlstates } from '../model/sqlstates.ts';
import { generatedHeader } from './header.ts';

/** The TypeScript type in which drivers return each SQL type. */
const types: Readonly<Record<string, string>> = {
  text: 'string',
  'text[]': 'readonly string[]',
  boolean: 'boolean',
  integer: 'number',
  'integer[]': 'readonly number[]',
  oid: 'number',
  bytea: 'Uint8Array',
  jsonb: 'unknown',
  interval: 'string',
  timestamptz: 'Date',
};

/** The types that the client accepts where they differ from what it returns: 'infinity' is not a Date. */
const argumentTypes: Readonly<Record<string, string>> = {
  jsonb: 'object',
  timestamptz: 'Date | string',
};

/** The SQL types whose values are sent as text, with a cast. */
const castTypes: ReadonlySet<string> = new Set(['jsonb', 'interval', 'timestamptz']);

/** The columns of the type step whose values are a known set. */
const unions: Readonly<Record<string, string>> = { operation: 'Operation', status: 'Status' };

export function clientFile(specs: readonly FunctionSpec[]): string {
  const functions = specs.filter((spec) => spec.room === null);
  return `${generatedHeader('//')}

/** The kind of change that a step makes. */
export type Operation =
${[...Object.keys(operations), ...recorded].map((name) => `  | '${name}'`).join('\n')};

/** The outcome of a step. */
export type Status = ${statuses.map((status) => `'${status}'`).join(' | ')};

${stepInterface()}

/**
 * What the client sends its queries through: a Client, PoolClient or Pool of node-postgres, a PGlite or one of its
 * transactions, or an adapter. The text has the parameters $1, $2, ... once each, in this order.
 */
export interface Queryable {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>;
}

/** SQLSTATE of each condition that ${schemas.public} names. */
export const sqlstates = {
${Object.entries(sqlstates)
  .map(([name, code]) => `  ${name}: '${code}',`)
  .join('\n')}
} as const;

export type Condition = keyof typeof sqlstates;

/** The properties in which libraries keep the server's error that they wrap. */
const wrappings = ['cause', 'original', 'meta', 'driverError', 'driverAdapterError'] as const;

/** Whether a thrown value is, or wraps, an error of the server with the SQLSTATE of this condition. */
export function isCondition(error: unknown, condition: Condition): boolean {
  const seen = new Set<unknown>();
  const found = (value: unknown): boolean => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return false;
    seen.add(value);
    const fields = value as Readonly<Record<string, unknown>>;
    const code = fields['originalCode'] ?? fields['code'];
    return code === sqlstates[condition] || wrappings.some((name) => found(fields[name]));
  };
  return found(error);
}

/** The type of each argument that is sent as text. */
type Cast = Readonly<Record<string, string>>;

function text(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return value instanceof Date ? value.toISOString() : JSON.stringify(value);
}

/**
 * The functions of the schema ${schemas.public}, by their own names; an argument that is left out, or undefined, has
 * its default.
 */
export class Rolecall {
  readonly #database: Queryable;

  constructor(database: Queryable) {
    this.#database = database;
  }

${functions.map(method).join('\n\n')}

  /**
   * The text of the call consists of names from this file; every value is a bind parameter. A value whose type is in
   * \`cast\` is sent as text, because drivers differ in how they send a document, a time or an interval.
   */
  async #rows(name: string, names: readonly string[], values: object, cast: Cast = {}): Promise<unknown[]> {
    const given = new Map<string, unknown>(Object.entries(values));
    const used = names.filter((one) => given.get(one) !== undefined);
    const list = used.map((one, index) => \`\${one} => $\${index + 1}\${one in cast ? \`::text::\${cast[one]}\` : ''}\`);
    const { rows } = await this.#database.query(
      \`SELECT * FROM ${schemas.public}.\${name}(\${list.join(', ')}) AS result\`,
      used.map((one) => (one in cast ? text(given.get(one)) : given.get(one))),
    );
    return rows;
  }

  /** The one value of a function that returns no rows. */
  async #value(name: string, names: readonly string[], values: object, cast: Cast = {}): Promise<unknown> {
    const [row] = (await this.#rows(name, names, values, cast)) as { result: unknown }[];
    return row?.result;
  }
}
`;
}

function stepInterface(): string {
  const step = objects.find((node) => node.kind === 'type' && node.name === 'step');
  if (step?.kind !== 'type') throw new Error('the model has no type step');
  const columns = step.columns.map(({ name, type, comment }) => {
    // A composite type has no NOT NULL, so the comments of its columns say which can be null.
    const nullable = comment.startsWith('null, ') ? ' | null' : '';
    return `${jsdoc('  ', [comment])}\n  ${name}: ${unions[name] ?? typed(type)}${nullable};`;
  });
  return `${jsdoc('', [step.comment])}\nexport interface Step {\n${columns.join('\n')}\n}`;
}

function method(spec: FunctionSpec): string {
  const fields = spec.arguments.map(field);
  const optional = spec.arguments.every((argument) => argument.default !== undefined);
  const parameter =
    fields.length === 0 ? '' : `\n    values: {\n${fields.join('\n')}\n    }${optional ? ' = {}' : ''},\n  `;
  const names = spec.arguments.map(({ name }) => `'${name}'`).join(', ');
  const cast = spec.arguments.filter(({ type }) => castTypes.has(type)).map(({ name, type }) => `${name}: '${type}'`);
  const call = [`'${spec.name}'`, `[${names}]`, fields.length === 0 ? '{}' : 'values'];
  if (cast.length > 0) call.push(`{ ${cast.join(', ')} }`);
  return [
    jsdoc('  ', [
      spec.summary,
      ...(spec.remarks === '' ? [] : ['', ...spec.remarks.split('\n')]),
      '',
      ...(spec.result === '' ? [] : [`@returns ${spec.result}`]),
      ...spec.errors.map(({ name, text }) => `@throws ${name} - ${text}`),
    ]),
    `  async ${spec.name}(${parameter}): Promise<${result(spec)}> {`,
    `    ${body(spec, `(${call.join(', ')})`)}`,
    '  }',
  ].join('\n');
}

/** An argument that is undefined counts as left out, also under exactOptionalPropertyTypes. */
function field({ name, type, default: value, text, nullable }: DocumentedArgument): string {
  const all = [
    argumentTypes[type] ?? typed(type),
    ...(nullable ? ['null'] : []),
    ...(value === undefined ? [] : ['undefined']),
  ];
  return `${jsdoc('      ', [text])}\n      ${name}${value === undefined ? '' : '?'}: ${all.join(' | ')};`;
}

function result({ returns, nullable }: FunctionSpec): string {
  if (returns === 'void') return 'void';
  if (returns === `SETOF ${schemas.public}.step`) return 'Step[]';
  if (returns.startsWith('TABLE')) {
    const columns = returns.split('\n').slice(1, -1);
    const fields = columns.map((column) => {
      const [, name = '', type = ''] = /^ *("?\w+"?) (.*?),?$/.exec(column) ?? [];
      return `${name}: ${typed(type)} | null`;
    });
    return `{ ${fields.join('; ')} }[]`;
  }
  if (returns.startsWith('SETOF ')) return `{ result: ${typed(returns.slice(6))} }[]`;
  return `${typed(returns)}${nullable ? ' | null' : ''}`;
}

function body(spec: FunctionSpec, call: string): string {
  const type = result(spec);
  if (type === 'void') return `await this.#value${call};`;
  return `return (await this.${type.endsWith('}[]') || type === 'Step[]' ? '#rows' : '#value'}${call}) as ${type};`;
}

function typed(type: string): string {
  const known = types[type];
  if (known === undefined) throw new Error(`the client has no type for ${type}`);
  return known;
}

function jsdoc(margin: string, lines: readonly string[]): string {
  const safe = lines.map((line) => line.replaceAll('*/', '*\\/'));
  if (safe.length === 1) return `${margin}/** ${safe[0]} */`;
  return [`${margin}/**`, ...safe.map((line) => `${margin} * ${line}`.trimEnd()), `${margin} */`].join('\n');
}
