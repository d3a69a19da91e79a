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
 * Wraps the body of a public function, so that the function itself raises the errors of what it calls. CONTEXT is
 * then one line; otherwise it would list every internal call and the statement that failed.
 */
function raisingAfresh({ body, returns }: FunctionSpec): string {
  const [, declared = '', statements = ''] = /^(?:DECLARE\n(.*?)\n)?BEGIN\n(.*)\nEND$/s.exec(body) ?? [];
  // A handler does not catch errors in the DECLARE of its own block, so a body with a DECLARE becomes an inner block.
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

/** A body that reads something or calls one of our functions can fail, if only because the statement is cancelled. */
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
    // The remarks of a public function are in the reference; those of an internal function stand above its code.
    remarks: spec.room === null ? '' : spec.remarks,
  };
}

/**
 * Settings of the functions where calls begin; they hold for everything that a call runs.
 *
 * Dates are compared as text with what is stored, and become part of statements. Every style but ISO writes an
 * abbreviation of the time zone, and several zones can share one.
 *
 * The planner overestimates the rows of a jsonb list that it cannot look into, and the cost of a scan that
 * `enable_seqscan` discourages. JIT would then compile for seconds a plan that runs for milliseconds, so it is off.
 * No plan is better for one argument than for another, so the generic plan is kept from the first execution instead
 * of the sixth: the second call of a session takes half the time.
 */
const session = {
  datestyle: 'ISO',
  quote_all_identifiers: 'off',
  jit: 'off',
  plan_cache_mode: 'force_generic_plan',
};
