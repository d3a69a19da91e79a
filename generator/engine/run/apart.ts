/**
 * Several desired states, each of which can fail alone.
 */
import type { Bool, Jsonb, Returns, Steps } from '../../model/types.ts';
import { conditions } from '../../sql/conditions.ts';
import { raiseAgain, warnOfSkipped } from '../../sql/raise.ts';
import { sql } from '../../sql/template.ts';

/**
 * Establishes desired states in the given order, each about one role, and returns the steps
 *
 * A role that cannot be changed, such as one that its own session has locked, does not keep the call from changing
 * the others: it becomes a skipped step with the given operation and statement. If no role can be changed, the call
 * fails with the error of the last one, unless lenient.
 */
export function run_apart(states: Jsonb, lenient: Bool, dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_count integer := jsonb_array_length(${states});
      v_failures integer := 0;
      v_state jsonb;
      v_detail text;
      v_hint text;
      v_steps rolecall.step[] := '{}'::rolecall.step[];
    BEGIN
      FOR v_position IN 0 .. v_count - 1 LOOP
        v_state := ${states} -> v_position;
        BEGIN
          v_steps := v_steps || rolecall_internal.run(v_state -> 'state', ${dry_run});
        EXCEPTION
          WHEN ${conditions('insufficient_privilege', 'lock_not_available')} THEN
            GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
            v_failures := v_failures + 1;
            IF v_failures = v_count AND ${lenient} IS NOT TRUE THEN
              ${raiseAgain}
            END IF;
            ${warnOfSkipped(sql`SQLSTATE`, sql`v_state ->> 'role'`, sql`SQLERRM`, sql`v_hint`)}
            v_steps := v_steps || ROW(
              v_state ->> 'operation', v_state ->> 'role', v_state ->> 'statement', 'skipped', SQLSTATE, SQLERRM
            )::rolecall.step;
        END;
      END LOOP;
      RETURN v_steps;
    END
  `;
}
