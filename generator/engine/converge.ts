/**
 * The engine: plan, lock, execute, plan again until nothing is left.
 */
import type {
  Bool,
  Change,
  Changes,
  Jsonb,
  Nothing,
  Returns,
  SetOf,
  StepRow,
  Steps,
  Text,
  Texts,
} from '../model/types.ts';
import { mask } from '../model/resources.ts';
import { madeByAnother } from '../model/operations.ts';
import { sqlstates } from '../model/sqlstates.ts';
import { sql, text } from '../sql/template.ts';
import { marker } from './lock.ts';

/**
 * Makes the desired state hold and returns what it did
 */
export function _converge(document: Jsonb, dry_run: Bool): SetOf<StepRow> {
  return sql`
    DECLARE
      v_steps rolecall.step[] := rolecall._steps(${document}, ${dry_run});
    BEGIN
      RETURN QUERY SELECT * FROM unnest(v_steps);
    END
  `;
}

/**
 * Makes the desired state hold and returns what it did, in a form that can be called without a query
 *
 * The document may hold plain passwords. They are only ever part of simple expressions: as a parameter of a query
 * they would be shown by auto_explain.
 */
export function _steps(document: Jsonb, dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_document jsonb := ${document};
      v_passwords jsonb;
      v_names text[] := '{}'::text[];
      v_values text[] := '{}'::text[];
      v_list jsonb;
      v_masked jsonb[];
      v_resource jsonb;
      v_change rolecall._change;
      v_steps rolecall.step[] := '{}'::rolecall.step[];
      v_section text;
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
            v_resource := jsonb_set(v_resource, '{password}', to_jsonb(${mask}::text));
          END IF;
          v_masked := v_resource || v_masked;
        END LOOP;
        v_document := v_document || jsonb_build_object(v_section, v_masked);
      END LOOP;
      v_passwords := jsonb_object(v_names, v_values);
      PERFORM rolecall._check_document(v_document);
      IF ${dry_run} THEN
        FOREACH v_change IN ARRAY rolecall._plan(v_document, v_passwords) LOOP
          v_steps := v_steps || rolecall._step(
            v_change, CASE WHEN v_change.sqlstate IS NULL THEN 'planned' ELSE 'skipped' END,
            v_change.sqlstate, v_change.note
          );
        END LOOP;
        RETURN v_steps;
      END IF;
      RETURN rolecall._make(v_document, v_passwords);
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
export function _make(document: Jsonb, passwords: Jsonb): Returns<Steps> {
  return sql`
    DECLARE
      v_rounds integer := 0;
      v_known text[] := '{}'::text[];
      v_changes rolecall._change[];
      v_change rolecall._change;
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
            v_changes := rolecall._plan(${document}, ${passwords});
            IF cardinality(v_changes) > 0 AND cardinality(v_done) > 0 THEN
              -- What was skipped is still missing; an older snapshot does not show what was done; and who may not see
              -- passwords does not see that the roles made here have theirs.
              v_changes := ARRAY(
                SELECT ROW(c.operation, c.target, c.statement, c.password, c.locks, c.sqlstate, c.note)::rolecall._change
                FROM unnest(v_changes) WITH ORDINALITY
                  AS c(operation, target, statement, password, locks, sqlstate, note, position)
                WHERE NOT EXISTS (SELECT FROM unnest(v_done) AS d(statement) WHERE d.statement = c.statement)
                  AND NOT (c.operation = 'set_password' AND c.target = ANY (v_own))
                ORDER BY c.position
              );
            END IF;
            IF cardinality(v_changes) = 0 THEN
              PERFORM rolecall._remember(${document}, cardinality(v_steps) > 0);
              EXIT attempts;
            END IF;

            v_created := '{}'::rolecall.step[];
            v_again := false;
            FOREACH v_change IN ARRAY rolecall._missing_roles(v_changes) LOOP
              -- In a later round a role can be missing that was there before.
              IF cardinality(v_locked) > 0 OR v_change.target COLLATE "C" < v_last THEN
                ${startOver}
              END IF;
              v_last := v_change.target;
              v_step := rolecall._create_role(v_change, ${passwords});
              v_created := v_created || v_step;
              IF v_step.status = 'applied' THEN
                v_done := v_done || v_change.statement;
                v_own := v_own || v_change.target;
              ELSE
                -- The role is somebody else's work: it has to be locked, and compared, before anything is done to it.
                v_again := true;
              END IF;
            END LOOP;
            v_steps := v_steps || rolecall._in_plan_order(v_created, v_changes);
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
              v_again := rolecall._lock_roles(v_locks);
              v_locked := v_known;
              CONTINUE WHEN v_again;
            END IF;

            FOREACH v_change IN ARRAY v_changes LOOP
              CONTINUE WHEN v_change.operation = 'create_role';
              IF v_change.password IS NOT NULL THEN
                -- Hashed here and nowhere earlier, and once: the statement may have to be tried again.
                v_change.password := rolecall._verifier(${passwords} ->> v_change.target);
              END IF;
              v_step := rolecall._execute(v_change);
              EXIT WHEN v_step IS NULL;
              v_steps := v_steps || v_step;
              v_done := v_done || v_change.statement;
            END LOOP;
            -- Nothing can be left where nobody else has committed anything since the plan.
            IF NOT v_step IS NULL AND pg_current_snapshot()::text = v_seen
              AND current_setting('transaction_isolation') = 'read committed'
            THEN
              PERFORM rolecall._remember(${document}, true);
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

const startOver = sql`RAISE EXCEPTION USING ERRCODE = 'RC002', MESSAGE = 'start over';`;

/**
 * Makes a role, and then gives it its password
 *
 * The calls of one database queue for its name. Of many who try at once those who find the role made have hashed
 * nothing, nor has the server, which hashes too with every verifier that it is given. Nor has a statement that can wait
 * a verifier in it: where it is cancelled, or waits for long, the log shows it.
 */
export function _create_role(change: Change, passwords: Jsonb): Returns<StepRow> {
  return sql`
    DECLARE
      v_change rolecall._change := ${change};
      v_step rolecall.step;
      v_queue bigint := hashtextextended(v_change.target, ${marker});
    BEGIN
      IF NOT pg_try_advisory_xact_lock(v_queue) THEN
        PERFORM pg_advisory_xact_lock(v_queue);
        PERFORM rolecall._refresh_caches();
        IF to_regrole(quote_ident(v_change.target)) IS NOT NULL THEN
          RETURN rolecall._step(${change}, 'skipped', ${text(sqlstates.duplicate_object)}, ${text(madeByAnother)});
        END IF;
      END IF;
      IF v_change.password IS NULL THEN
        RETURN rolecall._execute(v_change);
      END IF;
      v_change.statement := left(v_change.statement, -length(' PASSWORD ' || quote_literal(${mask})));
      v_change.password := NULL;
      v_step := rolecall._execute(v_change);
      IF v_step.status = 'applied' THEN
        v_change.operation := 'set_password';
        v_change.statement := format('ALTER ROLE %I PASSWORD %L', v_change.target, ${mask});
        v_change.password := rolecall._verifier(${passwords} ->> v_change.target);
        -- An assignment: auto_explain would show the verifier in a query. The note is the same.
        v_step.note := (rolecall._execute(v_change)).note;
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
export function _missing_roles(changes: Changes): Returns<Changes> {
  return sql`
    DECLARE
      v_change rolecall._change;
      v_missing rolecall._change[] := '{}'::rolecall._change[];
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
export function _in_plan_order(steps: Steps, changes: Changes): Returns<Steps> {
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

/**
 * The differences between the desired state and the catalogs, in the order in which they have to be made
 *
 * The document has the mask where there is a password; the passwords are beside it, by the name of the role.
 * @volatility stable
 */
export function _plan(document: Jsonb, passwords: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_changes rolecall._change[] := '{}'::rolecall._change[];
    BEGIN
      IF ${document} ? 'roles' THEN
        v_changes := v_changes || rolecall._plan_roles(${document} -> 'roles');
      END IF;
      IF ${document} ? 'passwords' THEN
        v_changes := v_changes || rolecall._plan_passwords(${document}, ${passwords});
      END IF;
      IF ${document} ? 'memberships' THEN
        v_changes := v_changes || rolecall._plan_memberships(${document});
      END IF;
      IF ${document} ? 'settings' THEN
        v_changes := v_changes || ARRAY(SELECT p FROM rolecall._plan_settings(${document} -> 'settings') AS p);
      END IF;
      IF ${document} ? 'read_access' THEN
        v_changes := v_changes || ARRAY(SELECT p FROM rolecall._plan_read_access(${document} -> 'read_access') AS p);
      END IF;
      IF ${document} ? 'watch' THEN
        v_changes := v_changes || ARRAY(SELECT p FROM rolecall._plan_watch(${document} -> 'watch') AS p);
      END IF;
      IF ${document} ? 'operators' THEN
        v_changes := v_changes || ARRAY(SELECT p FROM rolecall._plan_operators(${document}) AS p);
      END IF;
      IF ${document} @? '$.roles[*] ? (@.state == "absent")' THEN
        v_changes := v_changes || ARRAY(SELECT p FROM rolecall._plan_removals(${document} -> 'roles') AS p);
      END IF;
      RETURN v_changes;
    END
  `;
}

/**
 * The statement of a change with its password, which is a verifier by now, in place of the mask
 * @volatility stable
 */
export function _statement(change: Change): Returns<Text> {
  return sql`
    BEGIN
      IF ${change}.password IS NULL THEN
        RETURN ${change}.statement;
      END IF;
      -- The mask ends the statement, so a role whose name looks like the mask does no harm.
      RETURN format('%s%L', left(${change}.statement, -length(quote_literal(${mask}))),
                    ${change}.password);
    END
  `;
}

/**
 * A change as a row for the caller
 * @volatility immutable
 */
export function _step(
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

/**
 * Lets this backend see what other transactions have committed to the catalogs
 */
export function _refresh_caches(): Nothing {
  return sql`
    BEGIN
      -- The catalog caches are brought up to date when a lock is newly taken. A shared object's lock always does
      -- that, and nobody can be dropping the role that this session runs as.
      PERFORM pg_get_object_address('role', ARRAY[current_user::text], '{}');
    END
  `;
}

/**
 * Locks roles in name order for the rest of the transaction; true where other transactions have ended meanwhile, or a role
 * is gone
 */
export function _lock_roles(role_names: Texts): Returns<Bool> {
  return sql`
    DECLARE
      v_name text;
      v_seen text := pg_current_snapshot()::text;
      v_again boolean := false;
    BEGIN
      -- Callers pass the names sorted in collation "C": databases differ in their default collation.
      FOREACH v_name IN ARRAY ${role_names} LOOP
        IF to_regrole(quote_ident(v_name)) IS NOT NULL THEN
          v_again := rolecall._lock_role(v_name) OR v_again;
        END IF;
      END LOOP;
      RETURN v_again OR pg_current_snapshot()::text <> v_seen;
    END
  `;
}
