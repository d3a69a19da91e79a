/**
 * extension/client/rolecall.ts: a typed client for node-postgres, with one method per public function.
 */
import type { FunctionSpec } from '../model/inspect.ts';
import { objects } from '../model/objects.ts';
import { sqlstates } from '../model/sqlstates.ts';
import { schema } from '../sql/print.ts';
import { generatedHeader } from './header.ts';

/** What node-postgres gives for each SQL type. */
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

/** What it takes, where that is something else: 'infinity' is no Date, and an array would become an array of SQL. */
const argumentTypes: Readonly<Record<string, string>> = {
  jsonb: 'Readonly<Record<string, unknown>>',
  timestamptz: 'Date | string',
};

export function clientFile(specs: readonly FunctionSpec[]): string {
  const functions = specs.filter((spec) => !spec.internal);
  return `${generatedHeader('//')}

${stepInterface()}

/** A Client, PoolClient or Pool of node-postgres, or anything that is called like them. */
export interface Queryable {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>;
}

/** SQLSTATE of each condition that ${schema} names. */
export const sqlstates = {
${Object.entries(sqlstates)
  .map(([name, code]) => `  ${name}: '${code}',`)
  .join('\n')}
} as const;

export type Condition = keyof typeof sqlstates;

/** Whether what was thrown is an error of the server with the SQLSTATE of this condition. */
export function isCondition(error: unknown, condition: Condition): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === sqlstates[condition];
}

/** The functions of the schema ${schema}, by their own names; an argument that is left out has its default. */
export class Rolecall {
  readonly #database: Queryable;

  constructor(database: Queryable) {
    this.#database = database;
  }

${functions.map(method).join('\n\n')}

  /** The text of the call is made of names known here alone; every value is a bind parameter. */
  async #rows(name: string, names: readonly string[], values: object): Promise<unknown[]> {
    const given = new Map(Object.entries(values));
    const used = names.filter((one) => given.get(one) !== undefined);
    const list = used.map((one, index) => \`\${one} => $\${index + 1}\`).join(', ');
    const text = \`SELECT * FROM ${schema}.\${name}(\${list}) AS result\`;
    const { rows } = await this.#database.query(
      text,
      used.map((one) => given.get(one)),
    );
    return rows;
  }

  /** The one value of a function that returns no rows. */
  async #value(name: string, names: readonly string[], values: object): Promise<unknown> {
    const [row] = (await this.#rows(name, names, values)) as { result: unknown }[];
    return row?.result;
  }
}
`;
}

function stepInterface(): string {
  const step = objects.find((node) => node.kind === 'type' && node.name === 'step');
  if (step?.kind !== 'type') throw new Error('the model has no type step');
  const columns = step.columns.map(({ name, type, comment }) => {
    // A composite type has no NOT NULL: which columns can be null is said in their comments.
    const nullable = comment.startsWith('null, ') ? ' | null' : '';
    return `${jsdoc('  ', [comment])}\n  ${name}: ${typed(type)}${nullable};`;
  });
  return `${jsdoc('', [step.comment])}\nexport interface Step {\n${columns.join('\n')}\n}`;
}

function method(spec: FunctionSpec): string {
  const fields = spec.arguments.map(
    ({ name, type, default: value, text }) =>
      `${jsdoc('      ', [text])}\n      ${name}${value === undefined ? '' : '?'}: ${argumentTypes[type] ?? typed(type)}${value === 'NULL' ? ' | null' : ''};`,
  );
  const optional = spec.arguments.every((argument) => argument.default !== undefined);
  const parameter =
    fields.length === 0 ? '' : `\n    values: {\n${fields.join('\n')}\n    }${optional ? ' = {}' : ''},\n  `;
  const names = spec.arguments.map(({ name }) => `'${name}'`).join(', ');
  const call = `('${spec.name}', [${names}], ${fields.length === 0 ? '{}' : 'values'})`;
  return [
    jsdoc('  ', [
      spec.summary,
      ...(spec.remarks === '' ? [] : ['', ...spec.remarks.split('\n')]),
      '',
      ...(spec.result === '' ? [] : [`@returns ${spec.result}`]),
      ...spec.errors.map(({ name, text }) => `@throws ${name} - ${text}`),
    ]),
    `  async ${spec.name}(${parameter}): Promise<${result(spec)}> {`,
    `    ${body(spec, call)}`,
    '  }',
  ].join('\n');
}

function result({ returns }: FunctionSpec): string {
  if (returns === 'void') return 'void';
  if (returns === `SETOF ${schema}.step`) return 'Step[]';
  if (returns.startsWith('TABLE')) {
    const columns = returns.split('\n').slice(1, -1);
    const fields = columns.map((column) => {
      const [, name = '', type = ''] = /^ *("?\w+"?) (.*?),?$/.exec(column) ?? [];
      return `${name}: ${typed(type)} | null`;
    });
    return `{ ${fields.join('; ')} }[]`;
  }
  return returns.startsWith('SETOF ') ? `{ result: ${typed(returns.slice(6))} }[]` : typed(returns);
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
