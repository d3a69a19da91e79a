/**
 * The executor of changes, whose EXCEPTION blocks are rendered from the table of operations. Elsewhere an error is
 * caught only from a single statement that is not a change of a plan: a comment that has to be read again, or a
 * secret that cannot be decrypted. The event trigger has a policy of its own, in model/sqlstates.ts.
 */
import type { FunctionSpec } from '../../model/inspect.ts';
import {
  type Hint,
  type Operation,
  hintFormat,
  operations,
  patience as longest,
  privileges,
  retriedMessages,
  circular,
  superuserAlone,
} from '../../model/operations.ts';
import { mask } from '../../model/resources.ts';
import { type Condition, errorClasses, sqlstates } from '../../model/sqlstates.ts';
import type { Change, Changes, Returns, StepRow, Steps, Text } from '../../model/types.ts';
import { anyOf } from '../../sql/conditions.ts';
import { wrapped } from '../../sql/quote.ts';
import { warnOfSkipped } from '../../sql/raise.ts';
import { Sql, join, raw, sql, text } from '../../sql/template.ts';
import { serverVersion } from '../catalogs/server.ts';

const bounded = Object.entries(operations as Readonly<Record<string, Operation>>).flatMap(([name, { surfaced }]) =>
  surfaced?.some(({ condition }) => condition === 'lock_not_available') ? [name] : [],
);

/**
 * The lock_timeout for a change
 *
 * The wait is bounded if a role that may not make the change can hold the lock that it requires.
 * @volatility stable
 */
export function patience(operation: Text): Returns<Text> {
  return sql`
    BEGIN
      RETURN CASE
        WHEN current_setting('lock_timeout') = '0' AND ${operation} IN (
          ${lines(bounded)}
        ) THEN ${text(longest)}
        ELSE current_setting('lock_timeout')
      END;
    END
  `;
}

/** How often a lost race is retried. Each retry waits for the transaction that won, so the bound is generous. */
const attempts = 1000;

/**
 * How often a refusal is retried although the catalogs say that the caller may make the change: from 16 on the server
 * can know a new role before it knows who has ADMIN OPTION on it. The last attempt comes a fifth of a second after
 * the first.
 */
const looks = 20;

export function executors(): FunctionSpec[] {
  return [execute(), verdict(), hintOf(), surface()];
}

function internal(name: string, summary: string, body: Sql, parts: Partial<FunctionSpec>): FunctionSpec {
  return {
    name,
    room: 'execute',
    file: 'generator/model/operations.ts',
    line: 1,
    arguments: [{ name: 'change', type: 'rolecall_internal.change', text: '' }],
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

/** The handling of an error in the class of internal errors. */
const isLostRaceOf = (message: Sql) => sql`
  ${message} LIKE ANY (ARRAY[
    ${join(retriedMessages.map(text), ',\n')}
  ])
`;
export const isLostRace = isLostRaceOf(sql`SQLERRM`);

/**
 * An older snapshot cannot show what has to be planned again, so the error is 40001: in a new transaction the plan
 * will differ.
 */
const surfaceCall = sql`
  GET STACKED DIAGNOSTICS
    v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
  PERFORM rolecall_internal.surface(
    change,
    CASE WHEN v_verdict = 'again' AND current_setting('transaction_isolation') <> 'read committed'
      THEN ${text(sqlstates.serialization_failure)} ELSE SQLSTATE END,
    v_message, v_detail, v_hint
  );
`;

function hintOf(): FunctionSpec {
  const cases = new Map<string, { hint: Hint; failures: string[] }>();
  for (const [name, policy] of policies) {
    for (const { condition, hint } of policy.surfaced ?? []) {
      const key = JSON.stringify(hint);
      const failures = [...(cases.get(key)?.failures ?? []), `${name} ${sqlstates[condition]}`];
      cases.set(key, { hint, failures });
    }
  }
  const format = (hint: string) => raw(wrapped(hintFormat(hint), 110));
  const hints = [...cases.values()].map(
    ({ hint, failures }) => sql`
      WHEN v_failure IN (${lines(failures)}) THEN
        ${
          typeof hint === 'string'
            ? format(hint)
            : sql`
              CASE WHEN ${serverVersion} >= 16 THEN
                ${format(hint.since16)}
              ELSE
                ${format(hint.before16)}
              END
            `
        }
    `,
  );
  return internal(
    'hint_of',
    'The hint for a failed change on this version of the server, as a format of the role and the caller; null: none',
    sql`
      DECLARE
        v_failure text := operation || ' ' || code;
      BEGIN
        RETURN CASE
          ${hints}
        END;
      END
    `,
    {
      long: 'a case for each hint',
      volatility: 'STABLE',
      arguments: [
        { name: 'operation', type: 'text', text: '' },
        { name: 'code', type: 'text', text: '' },
      ],
      returns: 'text',
    },
  );
}

function surface(): FunctionSpec {
  return internal(
    'surface',
    'Raises a failed change afresh, with its SQLSTATE, and with a DETAIL and HINT of ours',
    sql`
      DECLARE
        -- The server has no SQLSTATE for an ADMIN OPTION that comes by a membership without INHERIT.
        v_hint text := rolecall_internal.hint_of(
          change.operation,
          CASE WHEN message = 'no possible grantors' THEN ${text(sqlstates.insufficient_privilege)} ELSE code END
        );
        v_role text := rolecall_internal.role_in_question(change);
        v_oid oid := to_regrole(quote_ident(v_role))::oid;
        v_members text;
      BEGIN
        IF change.operation = 'revoke_role' AND code = ${text(sqlstates.dependent_objects_still_exist)} THEN
          v_members := (
            SELECT string_agg(quote_ident(pg_get_userbyid(e.member)), ', ' ORDER BY pg_get_userbyid(e.member) COLLATE "C")
            FROM pg_auth_members AS e
            WHERE e.roleid = v_oid AND e.grantor = to_regrole(quote_ident(change.target))::oid
          );
        END IF;
        -- No hint proposes to grant a superuser, to grant a role to itself, or to get rights for what nobody may do.
        IF change.operation = 'grant_role' AND NOT coalesce(rolecall_internal.leads_to_superuser(v_oid), true)
          AND pg_has_role(v_oid, to_regrole(quote_ident(change.target))::oid, 'MEMBER')
        THEN
          v_hint := ${text(circular)};
        ELSIF strpos(v_hint, 'GRANT %1$s') > 0 AND (
          v_role = current_user OR rolecall_internal.leads_to_superuser(v_oid)
        ) THEN
          v_hint := ${text(superuserAlone)};
        END IF;
        -- A bare RAISE would repeat the failing statement, and with it a verifier, in CONTEXT.
        RAISE EXCEPTION USING
          ERRCODE = code,
          MESSAGE = message,
          -- The role that run() may leave out.
          TABLE = CASE WHEN code = ${text(sqlstates.lock_not_available)} AND rolecall_internal.is_about_roles(change.operation)
                         THEN coalesce(change.locks[1], '') ELSE '' END,
          DETAIL = concat_ws(
            E'\n', nullif(detail, ''), 'It granted the role to: ' || v_members, 'The statement was: ' || change.statement
          ),
          HINT = coalesce(
            format(v_hint, quote_ident(v_role), quote_ident(current_user)),
            nullif(hint, ''),
            'Nothing was changed: the call is undone as a whole.'
          );
      END
    `,
    {
      volatility: 'STABLE',
      arguments: [
        { name: 'change', type: 'rolecall_internal.change', text: '' },
        { name: 'code', type: 'text', text: '' },
        { name: 'message', type: 'text', text: '' },
        { name: 'detail', type: 'text', text: '' },
        { name: 'hint', type: 'text', text: '' },
      ],
      returns: 'void',
    },
  );
}

/** The policy for each condition that is neither internal nor surfaced, by operation and SQLSTATE. */
function verdict(): FunctionSpec {
  const cases = new Map<string, string[]>();
  for (const [name, policy] of policies) {
    const add = (what: string, condition: Condition) =>
      cases.set(what, [...(cases.get(what) ?? []), `${name} ${sqlstates[condition]}`]);
    for (const condition of policy.retried ?? []) add('retry', condition);
    for (const { conditions: names, then, note, notice } of policy.ignored ?? [])
      for (const condition of names)
        add(then === 'again' ? 'again' : `${notice ? 'notice' : 'skip'}: ${note}`, condition);
  }
  return internal(
    'verdict',
    'What becomes of a change that failed: retry, again (plan anew), skip or notice with a note; null: the error is surfaced',
    sql`
      BEGIN
        RETURN CASE
          WHEN code = ${text(sqlstates.internal_error)} THEN CASE WHEN ${isLostRaceOf(sql`message`)} THEN 'retry' END
          ${[...cases].map(
            ([what, failures]) => sql`
            WHEN operation || ' ' || code IN (
              ${lines(failures)}
            ) THEN ${text(what)}
          `,
          )}
        END;
      END
    `,
    {
      volatility: 'IMMUTABLE',
      arguments: [
        { name: 'operation', type: 'text', text: '' },
        { name: 'code', type: 'text', text: '' },
        { name: 'message', type: 'text', text: '' },
      ],
      returns: 'text',
    },
  );
}

const policies = Object.entries(operations as Readonly<Record<string, Operation>>);

function lines(values: readonly string[]): Sql {
  const rows = Array.from({ length: Math.ceil(values.length / 4) }, (_, at) =>
    join(values.slice(at * 4, at * 4 + 4).map(text)),
  );
  return join(rows, ',\n');
}

function execute(): FunctionSpec {
  const prepared = policies.flatMap(([name, { before }]) => (before === undefined ? [] : [[name, before] as const]));
  const before = prepared.map(
    ([name, statement]) => sql`WHEN ${text(name)} THEN
  ${statement}`,
  );
  return internal(
    'execute_change',
    'Makes one change, by the error policy of its operation: applied, skipped as planned, ignored because of an error, or to be planned again; strict: no error is ignored. A privilege that cannot be given or taken is an error or, where lenient, a step that has failed',
    sql`
      DECLARE
        v_attempts integer;
        v_timeout text := current_setting('lock_timeout');
        v_verdict text;
        v_message text;
        v_detail text;
        v_hint text;
      BEGIN
        IF change.sqlstate IS NOT NULL THEN
          IF change.operation = 'grant_role' AND change.sqlstate = ${text(sqlstates.undefined_object)} THEN
            -- For example, another transaction is dropping the role at that moment.
            RAISE NOTICE '%', change.note;
          ELSE
            ${warnOfSkipped(
              sql`change.sqlstate`,
              sql`change.target`,
              sql`change.note`,
              sql`rolecall_internal.skipped_hint(change)`,
            )}
          END IF;
          RETURN rolecall_internal.step_of(change, 'skipped', change.sqlstate, change.note);
        END IF;
        LOOP
          BEGIN
            v_message := set_config('lock_timeout', rolecall_internal.patience(change.operation), true);
            IF change.operation IN (${join(prepared.map(([name]) => text(name)))}) THEN
              CASE change.operation
                ${before}
              END CASE;
            END IF;
            EXECUTE rolecall_internal.statement_of(change);
            v_message := set_config('lock_timeout', v_timeout, true);
            EXIT;
          EXCEPTION
            -- Whole classes, without cancellations, deadlocks and serialization failures: those are the caller's.
            WHEN ${anyOf(Object.values(errorClasses))} THEN
              PERFORM rolecall_internal.refresh_caches();
              v_attempts := coalesce(v_attempts, 0) + 1;
              v_verdict := rolecall_internal.verdict(change.operation, SQLSTATE, SQLERRM);
              IF v_attempts < ${looks} AND rolecall_internal.is_early_refusal(change, SQLSTATE) THEN
                v_verdict := 'retry';
                PERFORM pg_sleep(0.001 * v_attempts);
              END IF;
              IF lenient AND (v_verdict IS NULL OR strict AND v_verdict = 'again')
                AND change.operation IN (${join(privileges.map(text))})
              THEN
                RETURN rolecall_internal.step_of(change, 'failed', SQLSTATE, SQLERRM);
              ELSIF v_verdict IS NULL OR strict AND v_verdict <> 'retry' OR v_attempts >= ${attempts} THEN
                ${surfaceCall}
              END IF;
              IF v_verdict = 'again' THEN
                RETURN rolecall_internal.step_of(change, 'again', SQLSTATE, SQLERRM);
              ELSIF v_verdict <> 'retry' THEN
                IF starts_with(v_verdict, 'notice') THEN
                  RAISE NOTICE '%', SQLERRM;
                END IF;
                RETURN rolecall_internal.step_of(
                  change, 'ignored', SQLSTATE, substr(v_verdict, strpos(v_verdict, ': ') + 2)
                );
              END IF;
          END;
        END LOOP;
        IF change.password IS NOT NULL AND rolecall_internal.is_password_cleared(change.target) THEN
          PERFORM rolecall_internal.refuse_empty_verifier();
        END IF;
        RETURN ${applied(sql`change`)};
      END
    `,
    {
      arguments: [
        { name: 'change', type: 'rolecall_internal.change', text: '' },
        { name: 'lenient', type: 'boolean', text: '' },
        { name: 'strict', type: 'boolean', text: '' },
      ],
    },
  );
}

/** The step of a change that was made, as step_of() returns it; most changes are. */
const applied = (change: Sql) => sql`
  ROW(${change}.operation, ${change}.target, ${change}.statement, 'applied', NULL, ${change}.note)::rolecall.step
`;

/**
 * Makes changes of privileges in one subtransaction; null where one of them fails, and then none is made, and
 * execute_change() finds out which one
 */
export function execute_together(changes: Changes): Returns<Steps | null> {
  return sql`
    DECLARE
      v_change rolecall_internal.change;
      v_timeout text := current_setting('lock_timeout');
      v_steps rolecall.step[] := '{}'::rolecall.step[];
    BEGIN
      IF v_timeout = '0' OR v_timeout::interval > '1 second' THEN
        PERFORM set_config('lock_timeout', '1s', true); -- A longer wait is for execute_change().
      END IF;
      FOREACH v_change IN ARRAY ${changes} LOOP
        EXECUTE rolecall_internal.statement_of(v_change);
        v_steps := v_steps
          || ${applied(sql`v_change`)};
      END LOOP;
      PERFORM set_config('lock_timeout', v_timeout, true);
      RETURN v_steps;
    EXCEPTION
      WHEN ${anyOf(Object.values(errorClasses))} THEN
        PERFORM rolecall_internal.refresh_caches();
        RETURN NULL;
    END
  `;
}

/**
 * The statement of a change with its password, which is a verifier by now, in place of the mask
 * @volatility stable
 */
export function statement_of(change: Change): Returns<Text> {
  return sql`
    BEGIN
      -- The mask is at the end of the statement, so a role whose name looks like the mask does no harm.
      RETURN CASE WHEN ${change}.password IS NULL THEN ${change}.statement
        ELSE format('%s%L', left(${change}.statement, ${raw(String(-mask.text.length))}),
                    ${change}.password) END;
    END
  `;
}

/**
 * A change as a row for the caller
 * @volatility immutable
 */
export function step_of(
  change: Change,
  status: Text,
  code: Text | null = null,
  note: Text | null = null,
): Returns<StepRow> {
  return sql`
    BEGIN
      RETURN ROW(
        ${change}.operation, ${change}.target, ${change}.statement,
        ${status}, ${code}, ${note}
      )::rolecall.step;
    END
  `;
}
