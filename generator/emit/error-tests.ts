/**
 * tests/pgtap/generated/error_policy.sql: every executor meets every condition, and does what the policy says. The
 * change is a DO block that raises the condition, because most conditions are hard to cause for real.
 */
import { operations, retriedMessages, type Operation } from '../model/operations.ts';
import { errorClasses, sqlstates, type Condition } from '../model/sqlstates.ts';
import { literal } from '../sql/quote.ts';
import { generatedHeader } from './header.ts';

export function errorTests(): string {
  const tests = Object.entries(operations as Readonly<Record<string, Operation>>).flatMap(([name, policy]) => [
    ...(Object.keys(sqlstates) as Condition[]).map((condition) => conditionTest(name, policy, condition)),
    ...retriedMessages.map((message) => retryTest(name, 'internal_error', message)),
  ]);
  return `${generatedHeader('--')}

BEGIN;
SELECT plan(${tests.length});

${helpers}

${tests.join('\n')}

SELECT * FROM finish();
ROLLBACK;
`;
}

const helpers = `-- What an executor makes of a change that fails with this condition: always, or at the first attempt alone.
CREATE SEQUENCE pg_temp.attempts;

CREATE FUNCTION pg_temp.outcome(operation text, code text, message text, once boolean) RETURNS text
LANGUAGE plpgsql AS $outcome$
DECLARE
  v_step rolecall.step;
  v_hint text;
BEGIN
  PERFORM setval('pg_temp.attempts', 1, false);
  SELECT s.* INTO v_step FROM rolecall_internal.execute_change(ROW(
    operation, 'target', format(
      'DO $do$ BEGIN IF nextval(''pg_temp.attempts'') = 1 OR NOT %L THEN RAISE EXCEPTION USING ERRCODE = %L, MESSAGE = %L; END IF; END $do$',
      once, code, message
    ), NULL, ARRAY['target', 'granted'], NULL, NULL
  )::rolecall_internal.change, false, false) AS s;
  RETURN coalesce(concat_ws(' ', v_step.status, v_step.sqlstate) || coalesce(': ' || v_step.note, ''), '');
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS v_hint = PG_EXCEPTION_HINT;
  RETURN format('raised %s %s: %s', SQLSTATE, SQLERRM, v_hint);
END
$outcome$;`;

function conditionTest(name: string, policy: Operation, condition: Condition): string {
  if (policy.retried?.includes(condition)) return retryTest(name, condition, 'lost');
  const code = sqlstates[condition];
  const outcome = call(name, condition, 'failed', false);
  const ignored = policy.ignored?.find(({ conditions }) => conditions.includes(condition));
  if (ignored?.then === 'again')
    return is(outcome, `again ${code}: failed`, `${name} is planned again after ${condition}`);
  if (ignored) return is(outcome, `ignored ${code}: ${ignored.note}`, `${name} is ignored after ${condition}`);
  const caught = Object.values(errorClasses).some((one) => one.slice(0, 2) === code.slice(0, 2));
  if (!caught) return is(outcome, `raised ${code} failed: `, `${name} lets ${condition} pass as it is`);
  const hint = policy.surfaced?.find((one) => one.condition === condition)?.hint;
  if (hint) {
    const role = name === 'grant_role' || name === 'revoke_role' ? 'granted' : 'target';
    const expected = (one: string) => literal(`raised ${code} failed: ${one.replaceAll('{role}', role)}`);
    const ofVersion =
      typeof hint === 'string'
        ? expected(hint)
        : `CASE WHEN current_setting('server_version_num')::integer < 160000 THEN ${expected(hint.before16)} ELSE ${expected(hint.since16)} END`;
    return `SELECT is(${outcome}, replace(${ofVersion}, '{caller}', quote_ident(current_user)), ${literal(`${name} surfaces ${condition} with its hint`)});`;
  }
  return `SELECT alike(${outcome}, ${literal(`raised ${code} failed: _%`)}, ${literal(`${name} surfaces ${condition}`)});`;
}

function retryTest(name: string, condition: Condition, message: string): string {
  return is(call(name, condition, message, true), 'applied', `${name} is tried again after ${condition}: ${message}`);
}

function call(name: string, condition: Condition, message: string, once: boolean): string {
  return `pg_temp.outcome(${[name, sqlstates[condition], message, once].map(literal).join(', ')})`;
}

function is(outcome: string, expected: string, description: string): string {
  return `SELECT is(${outcome}, ${literal(expected)}, ${literal(description)});`;
}
