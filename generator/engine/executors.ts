/**
 * One executor per operation. Its EXCEPTION block is rendered from the operation's policy. Elsewhere an error is caught
 * only where it says something about a single statement that is no change of a plan: a comment that had to be read
 * again, a secret that cannot be decrypted. The event trigger has a policy of its own, in model/sqlstates.ts.
 */
import {
  hintFormat,
  operations,
  retriedMessages,
  type Ignored,
  type Operation,
  type OperationName,
} from '../model/operations.ts';
import { errorClasses, sqlstates, type Condition } from '../model/sqlstates.ts';
import type { FunctionSpec } from '../model/inspect.ts';
import { wrapped } from '../sql/quote.ts';
import { join, raw, sql, text, type Sql } from '../sql/template.ts';
import { conditions } from './conditions.ts';

/** A lost race is retried this often; each retry waits for the transaction that won, so the bound is generous. */
const attempts = 1000;

export function executors(): FunctionSpec[] {
  return [
    ...Object.entries(operations).map(([name, policy]) => executor(name as OperationName, policy)),
    surface(),
    dispatch(),
  ];
}

function internal(name: string, summary: string, body: Sql, parts: Partial<FunctionSpec>): FunctionSpec {
  return {
    name,
    internal: true,
    file: 'generator/model/operations.ts',
    line: 1,
    arguments: [{ name: 'change', type: 'rolecall._change', text: '' }],
    returns: 'rolecall.step',
    volatility: 'VOLATILE',
    strict: false,
    probes: false,
    summary,
    remarks: '',
    result: '',
    errors: [],
    examples: [],
    body: body.text,
    ...parts,
  };
}

function executor(name: OperationName, policy: Operation): FunctionSpec {
  const retried = policy.retried ?? [];
  return internal(
    `_execute_${name}`,
    `Makes one change: ${policy.summary}`,
    sql`
      DECLARE
        v_attempts integer := 0;
        v_message text;
        v_detail text;
        v_hint text;
      BEGIN
        LOOP
          BEGIN
            ${[...(policy.before ? [policy.before] : []), sql`EXECUTE rolecall._statement(change);`]}
            EXIT;
          EXCEPTION
            ${(policy.ignored ?? []).map(ignoredHandler)}
            WHEN ${conditions('internal_error', ...retried)} THEN
              v_attempts := v_attempts + 1;
              IF v_attempts >= ${attempts} OR NOT (${retryTest(retried)}) THEN
                ${surfaceCall}
              END IF;
              PERFORM rolecall._refresh_caches();
            -- Whole classes of errors: any other one.
            WHEN ${classes()} THEN
              ${surfaceCall}
          END;
        END LOOP;
        RETURN rolecall._step(change, 'applied', NULL, change.note);
      END
    `,
    {},
  );
}

function classes(): Sql {
  return anyOf(Object.values(errorClasses).filter((code) => code !== errorClasses.internal_error)); // retried above
}

/** Of an error in the class of internal errors. */
export const isLostRace = sql`
  SQLERRM LIKE ANY (ARRAY[
    ${join(retriedMessages.map(text), ',\n')}
  ])
`;

/** Errors of whole classes; by their codes, as some classes have no condition name of their own. */
export const anyOf = (codes: readonly string[]): Sql => {
  const lines = Array.from({ length: Math.ceil(codes.length / 4) }, (_, index) =>
    join(
      codes.slice(index * 4, index * 4 + 4).map((code) => sql`SQLSTATE ${text(code)}`),
      ' OR ',
    ),
  );
  return join(lines, '\n  OR ');
};

function retryTest(retried: readonly Condition[]): Sql {
  if (retried.length === 0) return isLostRace;
  return sql`${isLostRace} OR SQLSTATE IN (${join(retried.map((name) => text(sqlstates[name])))})`;
}

function ignoredHandler(ignored: Ignored): Sql {
  const lines: Sql[] = [sql`WHEN ${conditions(...ignored.conditions)} THEN`];
  if (ignored.then === 'again') {
    lines.push(sql`  PERFORM rolecall._refresh_caches();`, sql`  RETURN NULL; -- ${raw(ignored.note)}: plan again`);
    return raw(lines.map((line) => line.text).join('\n'));
  }
  lines.push(sql`  PERFORM rolecall._refresh_caches();`);
  if (ignored.notice) lines.push(sql`  RAISE NOTICE '%', SQLERRM;`);
  lines.push(sql`  RETURN rolecall._step(change, 'skipped', SQLSTATE, ${text(ignored.note)});`);
  return raw(lines.map((line, index) => (index === 0 ? line.text : `  ${line.text.trim()}`)).join('\n'));
}

const surfaceCall = sql`
  GET STACKED DIAGNOSTICS
    v_message = MESSAGE_TEXT,
    v_detail = PG_EXCEPTION_DETAIL,
    v_hint = PG_EXCEPTION_HINT;
  PERFORM rolecall._surface(change, SQLSTATE, v_message, v_detail, v_hint);
`;

function surface(): FunctionSpec {
  const cases = new Map<string, string[]>();
  for (const [name, policy] of Object.entries(operations as Readonly<Record<string, Operation>>)) {
    for (const { condition, hint } of policy.surfaced ?? []) {
      cases.set(hint, [...(cases.get(hint) ?? []), `${name} ${sqlstates[condition]}`]);
    }
  }
  const hints = [...cases].map(
    ([hint, failures]) => sql`
      WHEN v_failure IN (${join(failures.map(text))}) THEN
        ${raw(wrapped(hintFormat(hint), 110))}
    `,
  );
  return internal(
    '_surface',
    'Raises a failed change afresh, with its SQLSTATE, and with a DETAIL and HINT of ours',
    sql`
      DECLARE
        v_failure text := change.operation || ' ' || code;
        v_hint text := CASE
          ${hints}
        END;
        v_role text := CASE
          -- The granted role is the second to be locked; before 16 it is none, and ADMIN OPTION is not what is missing.
          WHEN change.operation IN ('grant_role', 'revoke_role') THEN change.locks[2]
          ELSE change.target
        END;
      BEGIN
        -- A bare RAISE would repeat the failing statement, and with it a verifier, in CONTEXT.
        RAISE EXCEPTION USING
          ERRCODE = code,
          MESSAGE = message,
          DETAIL = concat_ws(E'\n', nullif(detail, ''), 'The statement was: ' || change.statement),
          HINT = coalesce(
            format(v_hint, coalesce(quote_ident(v_role), '...'), quote_ident(current_user)),
            nullif(hint, ''),
            'Nothing was changed: the call is undone as a whole.'
          );
      END
    `,
    {
      volatility: 'STABLE',
      arguments: [
        { name: 'change', type: 'rolecall._change', text: '' },
        { name: 'code', type: 'text', text: '' },
        { name: 'message', type: 'text', text: '' },
        { name: 'detail', type: 'text', text: '' },
        { name: 'hint', type: 'text', text: '' },
      ],
      returns: 'void',
    },
  );
}

function dispatch(): FunctionSpec {
  const branches = Object.keys(operations).map(
    (name) => sql`WHEN ${text(name)} THEN v_step := rolecall.${raw(`_execute_${name}`)}(change);`,
  );
  return internal(
    '_execute',
    'Makes one change by the executor of its operation; null where it has to be planned again',
    sql`
      DECLARE
        v_step rolecall.step;
      BEGIN
        IF change.operation = 'grant_role' AND change.sqlstate = ${text(sqlstates.undefined_object)} THEN
          -- As where the role is dropped at that moment.
          RAISE NOTICE '%', change.note;
          RETURN rolecall._step(change, 'skipped', change.sqlstate, change.note);
        ELSIF change.sqlstate IS NOT NULL THEN
          RAISE WARNING USING
            ERRCODE = change.sqlstate,
            MESSAGE = format('skipped for "%s": %s', change.target, change.note),
            HINT = 'Ask the owner, or a superuser, to run: ' || change.statement;
          RETURN rolecall._step(change, 'skipped', change.sqlstate, change.note);
        END IF;
        -- A statement, as an expression would have all of the calls prepared.
        CASE change.operation
          ${branches}
        END CASE;
        IF change.password IS NOT NULL AND v_step.status = 'applied'
          AND rolecall._is_password_cleared(change.target)
        THEN
          PERFORM rolecall._refuse_empty_password('a verifier of the empty password, for which the server stores none');
        END IF;
        RETURN v_step;
      END
    `,
    {},
  );
}
