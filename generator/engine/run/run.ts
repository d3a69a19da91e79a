/**
 * The engine: plan, lock, execute, plan again until nothing is left.
 */
import type { Bool, Jsonb, Returns, Steps, Texts } from '../../model/types.ts';
import { recordedMark } from '../../model/sections.ts';
import { conditions } from '../../sql/conditions.ts';
import { raiseAgain } from '../../sql/raise.ts';
import { raw, sql, text } from '../../sql/template.ts';
import { toRemember } from '../plan/elsewhere.ts';
import { gaining, mayAdopt } from './adopting.ts';
import { isToCheck, remarkable, rounds } from './changes.ts';
import { mayConnect } from './connecting.ts';

/** How often a call starts over because of another transaction. Usually once is enough. */
const starts = 10;

/** How often an error that seems to say that a change is not necessary is ignored before it is raised. */
const repeats = 20;

/**
 * Establishes the desired state and returns the steps, as an array so that it is called without a query
 *
 * If passwords are given, by the names of the roles, the document has the mask in their place; otherwise the document
 * can contain them. If another transaction prevents something, everything is undone, with all locks, and starts over.
 * A role that others keep locked is left out if the document comes from the record; otherwise the call fails.
 */
export function run(document: Jsonb, dry_run: Bool, passwords: Jsonb | null = null): Returns<Steps> {
  return sql`
    DECLARE
      v_document jsonb := CASE WHEN ${passwords} IS NULL
                                 THEN rolecall_internal.masked(${document}) ELSE ${document} END;
      v_passwords jsonb;
      v_known text[];
      v_steps rolecall.step[];
      v_failures integer;
      v_seen text;
      v_detail text;
      v_hint text;
      v_held text;
    BEGIN
      PERFORM rolecall_internal.check_document(v_document);
      v_passwords := coalesce(${passwords}, rolecall_internal.passwords_of(${document}));
      LOOP
        v_seen := pg_current_snapshot()::text;
        BEGIN
          IF ${dry_run} THEN
            RETURN rolecall_internal.planned_steps(
              rolecall_internal.with_waiting(rolecall_internal.plan(v_document, v_passwords), v_document)
            );
          END IF;
          v_steps := rolecall_internal.attempt(v_document, v_passwords, v_known);
          IF NOT ${mayConnect} AND cardinality(v_steps) > 0 THEN
            PERFORM rolecall_internal.note_no_connect(v_steps);
          END IF;
          RETURN v_steps;
        EXCEPTION
          WHEN SQLSTATE 'RC002' THEN
            GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
            v_known := v_detail;
          WHEN ${conditions('lock_not_available')} THEN
            GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT, v_held = TABLE_NAME;
            IF v_held = '' OR NOT v_document ? ${text(recordedMark)}
              OR v_document -> 'held' @> jsonb_build_array(jsonb_build_object('role', v_held))
            THEN
              ${raiseAgain}
            END IF;
            v_document := rolecall_internal.leaving_out(v_document, v_held);
            v_known := array_remove(v_known, v_held);
            PERFORM rolecall_internal.refresh_caches();
          WHEN ${conditions('undefined_object', 'invalid_parameter_value', 'deadlock_detected')} THEN
            GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
            v_failures := coalesce(v_failures, 0) + 1;
            IF v_failures = ${starts} OR NOT rolecall_internal.is_passing(SQLSTATE, v_seen) THEN
              ${raiseAgain}
            END IF;
            PERFORM rolecall_internal.refresh_caches();
        END;
      END LOOP;
    END
  `;
}

/**
 * Establishes the desired state in rounds: plans, creates missing roles, locks the others, changes them, and plans
 * again
 *
 * No two calls wait for each other: roles are created in name order, before any role is locked, and are locked in
 * name order. If that order cannot be kept, because other transactions have changed what has to be done, the call
 * starts over with the roles that are known by then.
 * @long what one round leaves to the next
 */
export function attempt(document: Jsonb, passwords: Jsonb, known: Texts): Returns<Steps> {
  return sql`
    DECLARE
      v_document jsonb := ${document};
      v_changes rolecall_internal.change[];
      v_missing rolecall_internal.change[];
      v_steps rolecall.step[] := '{}'::rolecall.step[];
      v_new rolecall.step[];
      v_done text[]; -- This and the next three are null in the first round.
      v_last text;
      v_locked text[];
      v_is_whole boolean;
      v_locks text[];
      v_again boolean;
      v_is_ignored boolean;
      v_repeated integer;
      v_seen text := pg_current_snapshot()::text;
      v_left text;
    BEGIN
      FOR v_round IN 1 .. ${rounds} LOOP
        v_changes := rolecall_internal.plan(v_document, ${passwords});
        v_changes := CASE
          WHEN v_done IS NOT NULL THEN rolecall_internal.with_waiting(
            rolecall_internal.left_to_do(v_changes, v_done, v_steps), v_document
          )
          WHEN to_jsonb(v_changes) @? '$[*] ? (@.operation == "revoke_role" || @.sqlstate == "42501")'
            THEN rolecall_internal.with_waiting(v_changes, v_document)
          ELSE v_changes END;
        EXIT WHEN cardinality(v_changes) = 0;
        IF ${isToCheck(raw('v_changes'), raw('v_repeated'), raw('v_round'))} THEN
          PERFORM rolecall_internal.check_changes(v_changes, v_repeated, v_round);
        END IF;
        v_missing := rolecall_internal.missing_roles(v_changes);
        -- A role that existed before can be missing in a later round.
        IF v_missing[1].target COLLATE "C" < v_last OR cardinality(v_locked) > 0 AND cardinality(v_missing) > 0 THEN
          -- Everything was done, and another transaction has dropped a role since, as it could after the call.
          -- Whoever waits for what starting over would undo would keep it from being done again.
          EXIT WHEN v_is_whole;
          PERFORM rolecall_internal.start_over(${known} || v_locked);
        END IF;
        v_new := rolecall_internal.create_missing(v_missing, v_changes, ${passwords}, v_repeated > ${repeats});
        -- A role that another call has created has to be locked and compared before anything is done to it.
        IF to_jsonb(v_new) @? '$[*] ? (@.status == "ignored")' THEN
          IF rolecall_internal.is_established(${document}) THEN
            RETURN v_steps || rolecall_internal.reported(v_new, v_steps); -- Another call for the same came first.
          END IF;
          v_locks := '{}';
          v_again := true;
        ELSE
          v_locks := rolecall_internal.locks_of(v_changes, ${known}, v_locked, v_steps);
          v_again := cardinality(v_locks) > 0 AND rolecall_internal.lock_roles(v_locks, v_locked);
          IF NOT v_again THEN
            v_new := v_new || rolecall_internal.change_present(v_changes, ${passwords}, v_document, v_repeated > ${repeats});
          END IF;
        END IF;
        IF to_jsonb(v_new) @? ${text(remarkable)} THEN
          v_steps := v_steps || rolecall_internal.reported(v_new, v_steps);
          v_is_ignored := cardinality(rolecall_internal.done_by(v_new)) < cardinality(v_new);
          v_document := v_document || rolecall_internal.learned(v_new);
        ELSE
          v_steps := v_steps || v_new;
        END IF;
        v_left := pg_current_snapshot()::text;
        -- Nothing is left if nobody else has committed anything since the plan; else the next round finds it.
        EXIT WHEN (v_again OR v_is_ignored) IS NOT TRUE AND v_left = v_seen
          AND current_setting('transaction_isolation') = 'read committed';
        v_is_whole := (v_again OR v_is_ignored) IS NOT TRUE;
        v_last := coalesce(v_missing[cardinality(v_missing)].target, v_last);
        v_locked := v_locked || v_locks;
        v_done := coalesce(v_done, '{}') || rolecall_internal.done_by(coalesce(v_new, '{}'));
        v_seen := pg_current_snapshot()::text;
        v_repeated := CASE WHEN v_is_ignored AND v_seen = v_left THEN coalesce(v_repeated, 0) + 1 END;
        v_is_ignored := NULL;
      END LOOP;
      IF ${document} ?| ${gaining} AND ${mayAdopt(document, raw('v_steps'))} THEN
        PERFORM rolecall_internal.warn_about_adopted(${document}, v_steps);
      END IF;
      PERFORM rolecall_internal.remember(
        ${toRemember(document)}, v_steps
      );
      RETURN v_steps;
    END
  `;
}
