/**
 * The changes of one round: which are left, which roles they create and lock, and how they are made.
 */
import { madeByAnother, privileges } from '../../model/operations.ts';
import { mask } from '../../model/resources.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Changes, Integer, Jsonb, Nothing, Returns, Steps, Texts } from '../../model/types.ts';
import { join, raw, type Sql, sql, text } from '../../sql/template.ts';
import { serverVersion } from '../catalogs/server.ts';
import { created } from '../document/lists.ts';
import { toRemember } from '../plan/elsewhere.ts';
import { acting } from '../plan/handover.ts';
import { afterRevokes, isWaiting } from '../plan/powers.ts';

/**
 * The changes of a later plan that this call has not dealt with already
 *
 * A plan lists again what was skipped, under an older snapshot also what was done, and for a caller that may not see
 * passwords those of the roles created here.
 * @volatility stable
 */
export function left_to_do(changes: Changes, done: Texts, steps: Steps): Returns<Changes> {
  return sql`
    BEGIN
      RETURN ARRAY(
        SELECT ROW(
                 c.operation, c.target, c.statement, c.password, c.locks, c.sqlstate, c.note
               )::rolecall_internal.change
        FROM unnest(${changes}) WITH ORDINALITY
          AS c(operation, target, statement, password, locks, sqlstate, note, position)
        WHERE (c.statement <> ALL (${done})
               -- What the role was given since then.
               OR c.operation IN ('reassign_owned', 'drop_owned')
                  AND current_setting('transaction_isolation') = 'read committed')
          AND NOT (c.operation = 'set_password' AND c.target IN (${created(steps)}))
        ORDER BY c.position
      );
    END
  `;
}

/**
 * The changes that create a role, in name order
 * @volatility immutable
 */
export function missing_roles(changes: Changes): Returns<Changes> {
  return sql`
    DECLARE
      v_change rolecall_internal.change;
      v_missing rolecall_internal.change[] := '{}'::rolecall_internal.change[];
    BEGIN
      FOREACH v_change IN ARRAY ${changes} LOOP
        IF v_change.operation = 'create_role' THEN
          v_missing := v_missing || v_change;
        END IF;
      END LOOP;
      IF cardinality(v_missing) > 1 THEN
        -- Not by the default collation, in which databases differ.
        v_missing := ARRAY(SELECT c FROM unnest(v_missing) AS c ORDER BY c.target COLLATE "C");
      END IF;
      RETURN v_missing;
    END
  `;
}

/**
 * The steps of a dry run
 * @volatility stable
 */
export function planned_steps(changes: Changes): Returns<Steps> {
  return sql`
    DECLARE
      v_change rolecall_internal.change;
      v_steps rolecall.step[] := '{}'::rolecall.step[];
    BEGIN
      FOREACH v_change IN ARRAY ${changes} LOOP
        CONTINUE WHEN v_change.operation = 'leave_mark';
        v_steps := v_steps || rolecall_internal.step_of(
          v_change, CASE WHEN v_change.sqlstate IS NULL THEN 'planned' ELSE 'skipped' END,
          v_change.sqlstate,
          CASE WHEN v_change.sqlstate IS NULL
               THEN nullif(concat_ws('; ', v_change.note,
                                     'the caller lacks ' || rolecall_internal.lacking(v_change)), '')
               ELSE v_change.note END
        );
      END LOOP;
      RETURN v_steps;
    END
  `;
}

/**
 * Creates the roles that are missing, in name order, each with its password; the steps are in the order of the plan,
 * null for none
 *
 * The calls of one database queue for the name, so that a call that finds the role then does not hash the password,
 * nor does the server, which also hashes for each verifier. A statement that can wait contains no verifier, because
 * the log shows a statement that is cancelled or waits for long.
 */
export function create_missing(missing: Changes, changes: Changes, passwords: Jsonb, strict: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_change rolecall_internal.change;
      v_step rolecall.step;
      v_steps rolecall.step[];
    BEGIN
      FOREACH v_change IN ARRAY ${missing} LOOP
        IF rolecall_internal.wait_in_queue(v_change.target) THEN
          PERFORM rolecall_internal.refresh_caches();
        END IF;
        IF to_regrole(quote_ident(v_change.target)) IS NOT NULL THEN
          v_step := rolecall_internal.step_of(
            v_change, 'ignored', ${text(sqlstates.duplicate_object)}, ${text(madeByAnother)}
          );
        ELSE
          v_step := rolecall_internal.execute_change(ROW(
            v_change.operation, v_change.target,
            CASE WHEN v_change.password IS NULL THEN v_change.statement
                 ELSE left(v_change.statement, ${raw(String(-' PASSWORD '.length - mask.text.length))}) END,
            NULL, v_change.locks, v_change.sqlstate, v_change.note
          )::rolecall_internal.change, false, ${strict});
          IF v_change.password IS NOT NULL THEN
            IF v_step.status = 'applied' THEN
              -- An assignment, because auto_explain would show the verifier in a query. The note is the same.
              v_step.note := (rolecall_internal.execute_change(ROW(
                'set_password', v_change.target, format('ALTER ROLE %I PASSWORD %L', v_change.target, ${mask}),
                rolecall_internal.verifier(${passwords} ->> v_change.target),
                v_change.locks, v_change.sqlstate, v_change.note
              )::rolecall_internal.change, false, ${strict})).note;
            END IF;
            v_step.statement := v_change.statement;
          END IF;
        END IF;
        v_steps := v_steps || v_step;
      END LOOP;
      RETURN CASE WHEN cardinality(v_steps) > 1 THEN rolecall_internal.in_plan_order(v_steps, ${changes})
                  ELSE v_steps END;
    END
  `;
}

/** Whether a change is one of privileges, so that it can be made together with others. */
const isTogether = (change: Sql) => sql`(
  ${change}.sqlstate IS NULL AND ${change}.operation IN (${join(privileges.map(text))})
  AND ${change}.note IS DISTINCT FROM ${afterRevokes}
)`;

/**
 * Makes the changes of existing roles, up to the first that has to be planned again; null for none
 *
 * A change that waits for memberships to end has to be planned again, after those that the document asks for are
 * recorded. Consecutive changes of privileges are tried together first, because each subtransaction slows down the
 * rest of the transaction, and the queries of others. If a statement about several objects fails for a reporting
 * role, one of the objects may be the cause: then it is planned again for each object alone, and the one that fails
 * is skipped.
 */
export function change_present(changes: Changes, passwords: Jsonb, document: Jsonb, strict: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_last integer;
      v_change rolecall_internal.change;
      v_next rolecall_internal.change;
      v_together rolecall.step[];
      v_is_alone boolean; -- Whether changes could not be made together.
      v_step rolecall.step;
      v_steps rolecall.step[];
      v_waiting rolecall.step[];
      v_is_waiting boolean;
      v_acting text[];
    BEGIN
      FOREACH v_change IN ARRAY ${changes} LOOP
        IF ${isWaiting(sql`v_change`)} THEN
          v_is_waiting := true;
        END IF;
      END LOOP;
      FOR v_position IN 1 .. cardinality(${changes}) LOOP
        CONTINUE WHEN v_position <= v_last;
        v_change := ${changes}[v_position];
        CONTINUE WHEN v_change.operation = 'create_role';
        -- New members wait too, because it is not recorded yet that they are asked for.
        IF ${isWaiting(sql`v_change`)}
          OR v_is_waiting AND v_change.operation = 'grant_role' AND v_change.sqlstate IS NULL
        THEN
          v_waiting := v_waiting || rolecall_internal.step_of(v_change, 'again');
          CONTINUE;
        ELSIF ${isTogether(sql`v_change`)} AND v_is_alone IS NULL THEN
          v_last := v_position;
          LOOP
            v_next := ${changes}[v_last + 1];
            EXIT WHEN ${isTogether(sql`v_next`)} IS NOT TRUE;
            v_last := v_last + 1;
          END LOOP;
          IF v_last > v_position THEN
            v_together := rolecall_internal.execute_together(${changes}[v_position:v_last]);
            v_steps := v_steps || v_together;
            CONTINUE WHEN v_together IS NOT NULL;
            v_is_alone := true;
            v_last := v_position;
          END IF;
        END IF;
        IF v_change.password IS NOT NULL THEN
          -- The password is hashed here and not earlier, and only once, because the statement may have to be tried
          -- again.
          v_change.password := rolecall_internal.verifier(${passwords} ->> v_change.target);
        ELSIF v_change.operation = 'reassign_owned' THEN
          v_acting := rolecall_internal.acting_as_heir(v_change.locks);
        END IF;
        v_step := rolecall_internal.execute_change(
          v_change, ${document} ? 'read_access', ${strict}
        );
        IF v_acting IS NOT NULL THEN
          -- A session of the role may have created something since the plan that would act as the new owner.
          PERFORM rolecall_internal.refuse_handover(v_change.locks[1], v_change.locks[2], ARRAY(
            SELECT unnest(rolecall_internal.acting_as_heir(v_change.locks)) EXCEPT SELECT unnest(v_acting)
          ));
          v_acting := NULL;
        END IF;
        IF v_step.status IN ('again', 'failed') THEN
          IF v_step.status = 'again' OR NOT ${document} ? 'singly' THEN
            RETURN v_steps || v_step; -- What waits is not due yet.
          END IF;
          v_change.sqlstate := v_step.sqlstate;
          v_change.note := v_step.note;
          v_step := rolecall_internal.execute_change(v_change, false, ${strict});
        END IF;
        v_steps := v_steps || v_step;
      END LOOP;
      IF v_is_waiting THEN
        PERFORM rolecall_internal.remember_memberships(${document}, v_steps);
      END IF;
      RETURN v_steps || v_waiting;
    END
  `;
}

/**
 * Records the memberships of a document before all else, so that the next plan knows who is to have what waits
 */
export function remember_memberships(document: Jsonb, steps: Steps): Nothing {
  return sql`
    BEGIN
      IF ${document} ? 'memberships' THEN
        PERFORM rolecall_internal.remember(jsonb_build_object(
          'memberships', ${toRemember(document)} -> 'memberships'
        ), ${steps});
      END IF;
    END
  `;
}

/**
 * What the steps of a round add to the document for the next plan: whether privileges are planned singly, and whether
 * the memberships are recorded
 * @volatility immutable
 */
export function learned(round: Steps): Returns<Jsonb> {
  return sql`
    DECLARE
      v_step rolecall.step;
      v_learned jsonb := '{}';
    BEGIN
      FOREACH v_step IN ARRAY ${round} LOOP
        IF v_step.status = 'failed' THEN
          v_learned := v_learned || '{"singly": true}';
        ELSIF v_step.status = 'again' AND v_step.note = ${afterRevokes} THEN
          v_learned := v_learned || '{"asked": true}';
        END IF;
      END LOOP;
      RETURN v_learned;
    END
  `;
}

/**
 * The objects of the second of two roles that act as their owner, if that role has rights that the first one does not
 * have; null if it has none
 */
export function acting_as_heir(roles: Texts): Returns<Texts> {
  return sql`
    DECLARE
      v_heir oid := to_regrole(quote_ident(${roles}[2]))::oid;
    BEGIN
      IF rolecall_internal.has_more_rights(v_heir, to_regrole(quote_ident(${roles}[1]))::oid) THEN
        RETURN ARRAY(
          ${acting(sql`v_heir`, sql`v_heir`)}
        );
      END IF;
      RETURN NULL;
    END
  `;
}

/**
 * The roles to lock before changes are made, in name order, together with those that are already known
 * @volatility stable
 */
export function locks_of(changes: Changes, known: Texts, held: Texts, steps: Steps): Returns<Texts> {
  return sql`
    DECLARE
      v_of_both boolean := ${serverVersion} >= 16;
    BEGIN
      RETURN ARRAY(
        SELECT l.role_name COLLATE "C"
        FROM (
          -- Before 16 GRANT and REVOKE do not lock the granted role, and do not have to.
          (SELECT unnest(CASE WHEN v_of_both OR c.operation NOT IN ('grant_role', 'revoke_role')
                              THEN c.locks ELSE c.locks[1:1] END)
           FROM unnest(${changes}) AS c WHERE c.sqlstate IS NULL
           UNION ALL SELECT unnest(${known}))
          EXCEPT (
            SELECT unnest(${held})
            UNION ALL ${created(steps)}
            UNION ALL SELECT c.target FROM unnest(${changes}) AS c WHERE c.operation = 'create_role'
          )
        ) AS l(role_name)
        WHERE to_regrole(quote_ident(l.role_name)) IS NOT NULL
        ORDER BY 1
      );
    END
  `;
}

/**
 * The steps in the order of their changes
 * @volatility immutable
 */
export function in_plan_order(steps: Steps, changes: Changes): Returns<Steps> {
  return sql`
    BEGIN
      RETURN ARRAY(
        SELECT s FROM unnest(${steps}) AS s
        JOIN (
          SELECT c.target, min(c.position) AS position
          FROM unnest(${changes}) WITH ORDINALITY
            AS c(operation, target, statement, password, locks, sqlstate, note, position)
          WHERE c.operation = 'create_role' GROUP BY c.target
        ) AS p ON p.target = s.target
        ORDER BY p.position
      );
    END
  `;
}

/**
 * The most rounds of a call. Each round makes progress, or waits for a transaction that did; the bound turns a
 * mistake into an error.
 */
export const rounds = 1000;

/** Whether check_changes() has anything to do. Usually it has not, and this condition costs less than the call. */
export const isToCheck = (changes: Sql, repeated: Sql, round: Sql) => sql`
  current_setting('transaction_read_only')::boolean OR ${repeated} > 1 OR ${round} = ${rounds}
    OR ${changes}[1].operation = 'terminate_sessions'
`;

/**
 * Refuses to make changes in a read-only transaction, in the last round, or if sessions would end in vain; and waits
 * a moment before a round that repeats another
 */
export function check_changes(changes: Changes, repeated: Integer, round: Integer): Nothing {
  return sql`
    DECLARE
      v_change rolecall_internal.change;
    BEGIN
      IF ${round} = ${rounds} THEN
        RAISE EXCEPTION USING
          ERRCODE = 'serialization_failure',
          MESSAGE = 'could not reach the desired state because other transactions kept changing it',
          HINT = 'Try again.';
      END IF;
      FOREACH v_change IN ARRAY ${changes} LOOP
        IF v_change.sqlstate IS NULL THEN
          PERFORM rolecall_internal.check_writable('The first change would be: ' || v_change.statement);
          EXIT;
        END IF;
      END LOOP;
      IF ${changes}[1].operation = 'terminate_sessions' THEN
        -- Nothing brings a session back, so no session is ended by a call that then fails.
        FOREACH v_change IN ARRAY ${changes} LOOP
          IF v_change.operation = 'alter_role' THEN
            PERFORM rolecall_internal.check_rights(v_change, 'permission denied to alter role');
          END IF;
        END LOOP;
      END IF;
      IF ${repeated} > 1 THEN
        PERFORM pg_sleep(0.01); -- The caches may need a moment to learn what others have committed.
      END IF;
    END
  `;
}

/**
 * The statements of the steps of a round, except those that ended with an error which says that they were not
 * necessary; the next plan confirms that or not
 *
 * Under an older snapshot a plan shows neither what another transaction has granted nor what it has created, and
 * still shows an event trigger that another one has dropped; for roles it shows the present state.
 * @volatility stable
 */
export function done_by(steps: Steps): Returns<Texts> {
  return sql`
    DECLARE
      v_step rolecall.step;
      v_done text[] := '{}'::text[];
    BEGIN
      FOREACH v_step IN ARRAY ${steps} LOOP
        CONTINUE WHEN v_step.status IN ('again', 'failed')
          OR v_step.status = 'ignored' AND (
            current_setting('transaction_isolation') = 'read committed'
            OR v_step.operation = 'create_role'
            OR v_step.sqlstate = ${text(sqlstates.undefined_object)} AND v_step.operation <> 'drop_event_trigger'
          );
        v_done := v_done || v_step.statement;
      END LOOP;
      RETURN v_done;
    END
  `;
}

/** A jsonpath for the steps of a round that are not reported as they are, or may be doubtful. */
export const remarkable = '$[*] ? (@.status != "applied" || @.operation == "leave_mark")';

/**
 * The steps of a round as the caller gets them, without those that have to be planned again or were reported before
 * @volatility immutable
 */
export function reported(round: Steps, steps: Steps): Returns<Steps> {
  return sql`
    DECLARE
      v_step rolecall.step;
      v_reported rolecall.step[] := '{}'::rolecall.step[];
    BEGIN
      FOREACH v_step IN ARRAY ${round} LOOP
        CONTINUE WHEN v_step.status IN ('again', 'failed') OR v_step.operation = 'leave_mark';
        IF v_step.status = 'ignored' THEN
          v_step.status := 'skipped';
        END IF;
        CONTINUE WHEN v_step.status = 'skipped' AND EXISTS (
          SELECT FROM unnest(${steps} || v_reported) AS s
          WHERE s.statement = v_step.statement AND s.note IS NOT DISTINCT FROM v_step.note
        );
        v_reported := v_reported || v_step;
      END LOOP;
      RETURN v_reported;
    END
  `;
}
