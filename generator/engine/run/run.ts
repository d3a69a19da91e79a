/**
 * The engine: plan, lock, execute, plan again until nothing is left.
 */
import { madeByAnother } from '../../model/operations.ts';
import { mask } from '../../model/resources.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Change, Changes, Jsonb, Returns, StepRow, Steps } from '../../model/types.ts';
import { sql, text } from '../../sql/template.ts';
import { marker } from '../catalogs/advisory.ts';
import { isHash } from '../passwords/verifiers.ts';

/**
 * Establishes the desired state and returns the steps, as an array: it is called without a query
 *
 * The document may hold plain passwords. They are only ever part of simple expressions: as a parameter of a query
 * they would be shown by auto_explain.
 */
export function run(document: Jsonb, dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_document jsonb := ${document};
      v_passwords jsonb;
      v_names text[] := '{}'::text[];
      v_values text[] := '{}'::text[];
      v_list jsonb;
      v_masked jsonb[];
      v_resource jsonb;
      v_change rolecall_internal.change;
      v_steps rolecall.step[] := '{}'::rolecall.step[];
      v_section text;
      v_is_hash boolean := false;
    BEGIN
      -- Backwards, so that of two passwords for one role the first counts. In arrays, as jsonb would be copied each time.
      FOREACH v_section IN ARRAY ARRAY['passwords', 'roles'] LOOP
        v_list := ${document} -> v_section;
        CONTINUE WHEN v_list IS NULL;
        v_masked := '{}'::jsonb[];
        FOR v_position IN REVERSE jsonb_array_length(v_list) - 1 .. 0 LOOP
          v_resource := v_list -> v_position;
          IF v_resource ->> 'password' <> '' THEN
            v_names := v_names || coalesce(v_resource ->> 'role', v_resource ->> 'name', '');
            v_values := v_values || (v_resource ->> 'password');
            v_is_hash := v_is_hash OR ${isHash(sql`(v_resource ->> 'password')`)};
            v_resource := jsonb_set(v_resource, '{password}', to_jsonb(${mask}::text));
          END IF;
          v_masked := v_resource || v_masked;
        END LOOP;
        v_document := v_document || jsonb_build_object(v_section, v_masked);
      END LOOP;
      v_passwords := jsonb_object(v_names, v_values);
      PERFORM rolecall_internal.check_document(v_document);
      IF v_is_hash THEN
        PERFORM rolecall_internal.refuse_hash();
      END IF;
      IF ${dry_run} THEN
        FOREACH v_change IN ARRAY rolecall_internal.plan(v_document, v_passwords) LOOP
          v_steps := v_steps || rolecall_internal.step_of(
            v_change, CASE WHEN v_change.sqlstate IS NULL THEN 'planned' ELSE 'skipped' END,
            v_change.sqlstate, v_change.note
          );
        END LOOP;
        RETURN v_steps;
      END IF;
      RETURN rolecall_internal.run_rounds(v_document, v_passwords);
    END
  `;
}

/**
 * Makes the desired state hold: plans, makes the roles that are missing, locks the others, changes them, plans again
 *
 * No two calls wait for each other. Roles are made in name order, and while no role is locked; roles are locked in name
 * order. Where that cannot be kept, because other transactions have changed what is needed, all is undone, and started
 * over with what is known by then.
 */
export function run_rounds(document: Jsonb, passwords: Jsonb): Returns<Steps> {
  return sql`
    DECLARE
      v_rounds integer := 0;
      v_known text[] := '{}'::text[];
      v_changes rolecall_internal.change[];
      v_change rolecall_internal.change;
      v_step rolecall.step;
      v_steps rolecall.step[];
      v_created rolecall.step[];
      v_done text[];
      v_own text[];
      v_last text;
      v_locks text[];
      v_locked text[];
      v_again boolean;
      v_seen text;
      v_document jsonb := ${document};
    BEGIN
      <<attempts>>
      LOOP
        v_steps := '{}'::rolecall.step[];
        v_done := '{}'::text[];
        v_own := '{}'::text[];
        v_last := '';
        v_locked := '{}'::text[];
        BEGIN
          LOOP
            -- Each round makes progress or waits for a transaction that did; a bound turns a mistake into an error.
            v_rounds := v_rounds + 1;
            IF v_rounds > 1000 THEN
              RAISE EXCEPTION USING
                ERRCODE = 'serialization_failure',
                MESSAGE = 'could not reach the desired state because other transactions kept changing it',
                HINT = 'Try again.';
            END IF;
            v_seen := pg_current_snapshot()::text;
            v_changes := rolecall_internal.plan(v_document, ${passwords});
            IF cardinality(v_changes) > 0 AND cardinality(v_done) > 0 THEN
              -- What was skipped is still missing; an older snapshot does not show what was done; and who may not see
              -- passwords does not see that the roles made here have theirs.
              v_changes := ARRAY(
                SELECT ROW(
                         c.operation, c.target, c.statement, c.password, c.locks, c.sqlstate, c.note
                       )::rolecall_internal.change
                FROM unnest(v_changes) WITH ORDINALITY
                  AS c(operation, target, statement, password, locks, sqlstate, note, position)
                WHERE NOT EXISTS (SELECT FROM unnest(v_done) AS d(statement) WHERE d.statement = c.statement)
                  AND NOT (c.operation = 'set_password' AND c.target = ANY (v_own))
                ORDER BY c.position
              );
            END IF;
            IF cardinality(v_changes) = 0 THEN
              PERFORM rolecall_internal.remember(${document}, cardinality(v_steps) > 0);
              EXIT attempts;
            END IF;
            v_created := '{}'::rolecall.step[];
            v_again := false;
            FOREACH v_change IN ARRAY rolecall_internal.missing_roles(v_changes) LOOP
              -- In a later round a role can be missing that was there before.
              IF cardinality(v_locked) > 0 OR v_change.target COLLATE "C" < v_last THEN
                ${startOver}
              END IF;
              v_last := v_change.target;
              v_step := rolecall_internal.create_missing_role(v_change, ${passwords});
              v_created := v_created || v_step;
              IF v_step.status = 'applied' THEN
                v_done := v_done || v_change.statement;
                v_own := v_own || v_change.target;
              ELSE
                -- The role is somebody else's work: it has to be locked, and compared, before anything is done to it.
                v_again := true;
              END IF;
            END LOOP;
            v_steps := v_steps || rolecall_internal.in_plan_order(v_created, v_changes);
            CONTINUE WHEN v_again;

            v_locks := ARRAY(
              SELECT l.role_name COLLATE "C"
              FROM (
                (SELECT unnest(c.locks) FROM unnest(v_changes) AS c WHERE c.sqlstate IS NULL
                 UNION ALL SELECT unnest(v_known))
                EXCEPT SELECT unnest(v_locked || v_own)
              ) AS l(role_name)
              ORDER BY 1
            );
            IF cardinality(v_locks) > 0 THEN
              v_known := v_locked || v_locks;
              IF v_locks[1] COLLATE "C" < v_locked[cardinality(v_locked)] THEN
                ${startOver}
              END IF;
              v_again := rolecall_internal.lock_roles(v_locks);
              v_locked := v_known;
              CONTINUE WHEN v_again;
            END IF;

            FOREACH v_change IN ARRAY v_changes LOOP
              CONTINUE WHEN v_change.operation = 'create_role';
              v_step := rolecall_internal.execute_planned(v_change, ${passwords}, v_document);
              IF v_step.status = 'failed' THEN
                v_document := v_document || '{"singly": true}';
                v_step := NULL;
              END IF;
              EXIT WHEN v_step IS NULL;
              v_steps := v_steps || v_step;
              v_done := v_done || v_change.statement;
            END LOOP;
            -- Nothing can be left where nobody else has committed anything since the plan.
            IF NOT v_step IS NULL AND pg_current_snapshot()::text = v_seen
              AND current_setting('transaction_isolation') = 'read committed'
            THEN
              PERFORM rolecall_internal.remember(${document}, true);
              EXIT attempts;
            END IF;
          END LOOP;
        EXCEPTION
          WHEN SQLSTATE 'RC002' THEN
            NULL; -- rolled back to the start of this block, and the locks with it
        END;
      END LOOP;
      RETURN v_steps;
    END
  `;
}

/**
 * Makes one change of a plan; null where it has to be planned again
 *
 * One object of several may be to blame where a privilege for a reporting role cannot be given or taken: the step has
 * failed, and is to be planned for each object alone. Then the one that fails is skipped.
 */
export function execute_planned(change: Change, passwords: Jsonb, document: Jsonb): Returns<StepRow> {
  return sql`
    DECLARE
      v_change rolecall_internal.change := ${change};
      v_step rolecall.step;
    BEGIN
      IF v_change.password IS NOT NULL THEN
        -- Hashed here and nowhere earlier, and once: the statement may have to be tried again.
        v_change.password := rolecall_internal.verifier(${passwords} ->> v_change.target);
      END IF;
      v_step := rolecall_internal.execute_change(v_change, ${document} ? 'read_access');
      IF v_step.status = 'failed' AND ${document} ? 'singly' THEN
        v_change.sqlstate := v_step.sqlstate;
        v_change.note := v_step.note;
        RETURN rolecall_internal.execute_change(v_change, false);
      END IF;
      RETURN v_step;
    END
  `;
}

const startOver = sql`RAISE EXCEPTION USING ERRCODE = 'RC002', MESSAGE = 'start over';`;

/**
 * Makes a role, and then gives it its password
 *
 * The calls of one database queue for its name. Of many who try at once those who find the role made have hashed
 * nothing, nor has the server, which hashes too with every verifier that it is given. Nor has a statement that can wait
 * a verifier in it: where it is cancelled, or waits for long, the log shows it.
 */
export function create_missing_role(change: Change, passwords: Jsonb): Returns<StepRow> {
  return sql`
    DECLARE
      v_change rolecall_internal.change := ${change};
      v_step rolecall.step;
      v_queue bigint := hashtextextended(v_change.target, ${marker});
    BEGIN
      IF NOT pg_try_advisory_xact_lock(v_queue) THEN
        PERFORM pg_advisory_xact_lock(v_queue);
        PERFORM rolecall_internal.refresh_caches();
        IF to_regrole(quote_ident(v_change.target)) IS NOT NULL THEN
          RETURN rolecall_internal.step_of(
            ${change}, 'skipped', ${text(sqlstates.duplicate_object)}, ${text(madeByAnother)}
          );
        END IF;
      END IF;
      IF v_change.password IS NULL THEN
        RETURN rolecall_internal.execute_change(v_change, false);
      END IF;
      v_change.statement := left(v_change.statement, -length(' PASSWORD ' || quote_literal(${mask})));
      v_change.password := NULL;
      v_step := rolecall_internal.execute_change(v_change, false);
      IF v_step.status = 'applied' THEN
        v_change.operation := 'set_password';
        v_change.statement := format('ALTER ROLE %I PASSWORD %L', v_change.target, ${mask});
        v_change.password := rolecall_internal.verifier(${passwords} ->> v_change.target);
        -- An assignment: auto_explain would show the verifier in a query. The note is the same.
        v_step.note := (rolecall_internal.execute_change(v_change, false)).note;
      END IF;
      v_step.statement := ${change}.statement;
      RETURN v_step;
    END
  `;
}

/**
 * The changes that make a role, in name order
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
        -- Databases differ in their default collation.
        v_missing := ARRAY(SELECT c FROM unnest(v_missing) AS c ORDER BY c.target COLLATE "C");
      END IF;
      RETURN v_missing;
    END
  `;
}

/**
 * Steps in the order of the changes that they are about
 * @volatility immutable
 */
export function in_plan_order(steps: Steps, changes: Changes): Returns<Steps> {
  return sql`
    BEGIN
      IF cardinality(${steps}) < 2 THEN
        RETURN ${steps};
      END IF;
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
