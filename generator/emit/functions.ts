/**
 * The SQL objects in install order, one file each: schema, types, tables, views, internal functions, public ones,
 * triggers.
 */
import type { FunctionSpec } from '../model/inspect.ts';
import { surfacedClasses } from '../model/sqlstates.ts';
import { anyOf } from '../sql/conditions.ts';
import type { CreateFunction, Node } from '../sql/nodes.ts';
import { print } from '../sql/print.ts';
import { raiseAgain } from '../sql/raise.ts';
import { raw, sql } from '../sql/template.ts';
import { objects, schemas, triggers } from '../model/objects.ts';

export interface SqlFile {
  readonly path: string;
  readonly node: Node;
  readonly text: string;
}

export function sqlFiles(specs: readonly FunctionSpec[]): SqlFile[] {
  const files: SqlFile[] = [];
  const add = (folder: string, node: Node): void => {
    files.push({ path: `sql/${folder}/${node.name}.sql`, node, text: print(node) });
  };
  for (const node of objects) add(folders[node.kind], node);
  for (const spec of specs.filter(({ room }) => room !== null))
    add(`${folders.internal}/${spec.room}`, functionNode(spec));
  for (const spec of specs.filter(({ room }) => room === null)) add(folders.function, functionNode(spec));
  for (const node of triggers) add(folders[node.kind], node);
  return files;
}

const folders = {
  schema: '1-schema',
  type: '2-types',
  table: '3-tables',
  view: '4-views',
  internal: '5-internal',
  function: '6-functions',
  trigger: '7-triggers',
} as const;

/**
 * Around the body of a public function: an error of what it calls is raised by the function itself, so that CONTEXT is one
 * line. Else it would repeat, call by call, what the function is made of, and the statement that failed.
 */
function raisingAfresh({ body, returns }: FunctionSpec): string {
  const [, declared = '', statements = ''] = /^(?:DECLARE\n(.*?)\n)?BEGIN\n(.*)\nEND$/s.exec(body) ?? [];
  // What a DECLARE computes is no part of the block that it belongs to: such a body becomes a block within.
  const computes = declared.includes(':=');
  return sql`
    DECLARE
      ${computes || declared === '' ? [] : [raw(dedented(declared))]}
      ${/\bv_step\b/.test(body) ? [raw('v_step rolecall.step;')] : []}
      v_detail text;
      v_hint text;
    BEGIN
      ${raw(computes ? `${body};` : dedented(statements))}
    EXCEPTION
      -- Raised afresh, so that CONTEXT is this function alone.
      WHEN ${anyOf(surfacedClasses)} THEN
        GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
        ${raiseAgain}
    END
  `.text.replace(/^\n/gm, '');
}

/** A body that reads something or calls one of our functions can fail, if only because it is cancelled. */
const canFail = /\b(SELECT|rolecall_internal)\b/;

const dedented = (text: string): string => text.replaceAll(/^ {2}/gm, '');

export function functionNode(spec: FunctionSpec): CreateFunction {
  return {
    kind: 'function',
    schema: spec.room === null ? schemas.public : schemas.internal,
    name: spec.name,
    arguments: spec.arguments,
    returns: spec.returns,
    volatility: spec.volatility,
    strict: spec.strict,
    parallel: spec.volatility === 'IMMUTABLE' ? 'SAFE' : 'UNSAFE',
    ...(spec.rows === undefined ? {} : { rows: spec.rows }),
    settings: [
      { search_path: 'pg_catalog, pg_temp', ...(spec.probes ? { enable_seqscan: 'off' } : {}) },
      ...(spec.room === null || spec.returns === 'event_trigger' ? [session] : []),
    ],
    body: spec.room === null && canFail.test(spec.body) ? raisingAfresh(spec) : spec.body,
    comment: spec.summary,
    // What users should know is in the reference; what a reader of the code should know stands above it.
    remarks: spec.room === null ? '' : spec.remarks,
  };
}

/**
 * For all that a call runs; where calls begin is enough.
 *
 * What a role or a date is written as is compared with what is stored, and is run: in every style but ISO, a date has the
 * abbreviation of its time zone, which can be that of another one too.
 *
 * The planner expects far too much of a jsonb list that it cannot look into, and of a scan that `enable_seqscan` makes
 * look dear: compiling such a plan takes seconds, running it milliseconds. And as none is better for one argument than
 * for another, the first plan of a query is kept, not the sixth: the second call of a session takes half the time.
 */
const session = {
  datestyle: 'ISO',
  quote_all_identifiers: 'off',
  jit: 'off',
  plan_cache_mode: 'force_generic_plan',
};
