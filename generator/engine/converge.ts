/**
 * The engine: plan, lock, execute, plan again until nothing is left.
 */
import type { Bool, Change, ChangeRow, Jsonb, Nothing, Returns, SetOf, StepRow, Text, Texts } from '../model/types.ts';
import { sql } from '../sql/template.ts';

/**
 * Makes the desired state hold and returns what it did
 */
export function _converge(document: Jsonb, dry_run: Bool): SetOf<StepRow> {
  return sql`
    DECLARE
      v_changes rolecall._change[];
      v_change rolecall._change;
      v_step rolecall.step;
      v_locks text[];
      v_locked text[] := '{}'::text[];
      v_done text[] := '{}'::text[];
      v_again boolean;
    BEGIN
      PERFORM rolecall._check_document(${document});
      IF ${dry_run} THEN
        RETURN QUERY
          SELECT p.operation, p.target, p.statement,
                 CASE WHEN p.sqlstate IS NULL THEN 'planned' ELSE 'skipped' END, p.sqlstate, p.note
          FROM rolecall._plan(${document}) AS p;
        RETURN;
      END IF;
      -- Each round makes progress or waits for a transaction that did; a bound turns a mistake into an error.
      FOR v_round IN 1 .. 1000 LOOP
        v_changes := ARRAY(SELECT p FROM rolecall._plan(${document}) AS p);
        IF cardinality(v_changes) > 0 AND cardinality(v_done) > 0 THEN
          -- What was skipped is still missing, and an older snapshot does not show what was done.
          v_changes := ARRAY(SELECT c FROM unnest(v_changes) AS c WHERE c.statement <> ALL (v_done));
        END IF;
        IF cardinality(v_changes) = 0 THEN
          PERFORM rolecall._remember(${document});
          RETURN;
        END IF;
        v_locks := ARRAY(
          SELECT DISTINCT l.role_name COLLATE "C"
          FROM unnest(v_changes) AS c CROSS JOIN LATERAL unnest(c.locks) AS l(role_name)
          WHERE c.sqlstate IS NULL AND l.role_name <> ALL (v_locked)
          ORDER BY 1
        );
        IF cardinality(v_locks) > 0 THEN
          v_again := rolecall._lock_roles(v_locks);
          v_locked := v_locked || v_locks;
          CONTINUE WHEN v_again;
        END IF;
        FOREACH v_change IN ARRAY v_changes LOOP
          v_step := rolecall._execute(v_change);
          EXIT WHEN v_step IS NULL;
          RETURN NEXT v_step;
          v_done := v_done || v_change.statement;
          -- The role is somebody else's work: it has to be locked, and compared, before anything else is done to it.
          EXIT WHEN v_step.operation = 'create_role' AND v_step.status = 'skipped';
        END LOOP;
      END LOOP;
      RAISE EXCEPTION USING
        ERRCODE = 'serialization_failure',
        MESSAGE = 'could not reach the desired state because other transactions kept changing it',
        HINT = 'Try again.';
    END
  `;
}

/**
 * The differences between the desired state and the catalogs, in the order in which they have to be made
 * @volatility stable
 */
export function _plan(document: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      IF ${document} ? 'roles' THEN
        RETURN QUERY SELECT * FROM rolecall._plan_roles(${document} -> 'roles');
      END IF;
      IF ${document} ? 'passwords' THEN
        RETURN QUERY SELECT * FROM rolecall._plan_passwords(${document});
      END IF;
      IF ${document} ? 'memberships' THEN
        RETURN QUERY SELECT * FROM rolecall._plan_memberships(${document});
      END IF;
      IF ${document} ? 'settings' THEN
        RETURN QUERY SELECT * FROM rolecall._plan_settings(${document} -> 'settings');
      END IF;
      IF ${document} ? 'read_access' THEN
        RETURN QUERY SELECT * FROM rolecall._plan_read_access(${document} -> 'read_access');
      END IF;
      IF ${document} ? 'operators' THEN
        RETURN QUERY SELECT * FROM rolecall._plan_operators(${document});
      END IF;
    END
  `;
}

/**
 * The statement of a change with its password, hashed here and nowhere earlier, in place of the mask
 */
export function _statement(change: Change): Returns<Text> {
  return sql`
    BEGIN
      IF ${change}.password IS NULL THEN
        RETURN ${change}.statement;
      END IF;
      -- The mask ends the statement, so a role whose name looks like the mask does no harm.
      RETURN format('%s%L', left(${change}.statement, -length(quote_literal(rolecall._mask()))),
                    rolecall._verifier(${change}.password));
    END
  `;
}

/**
 * What stands for a password wherever a statement is shown
 * @volatility immutable
 */
export function _mask(): Returns<Text> {
  return sql`
    BEGIN
      RETURN '********';
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
      RETURN ROW(${change}.operation, ${change}.target, ${change}.statement, ${status}, ${code}, ${note})::rolecall.step;
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
 * Locks roles in name order for the rest of the transaction; true where it had to wait, or a role is gone
 */
export function _lock_roles(role_names: Texts): Returns<Bool> {
  return sql`
    DECLARE
      v_name text;
      v_again boolean := false;
    BEGIN
      -- Callers pass the names sorted in collation "C": databases differ in their default collation.
      FOREACH v_name IN ARRAY ${role_names} LOOP
        IF to_regrole(quote_ident(v_name)) IS NOT NULL THEN
          v_again := rolecall._lock_role(v_name) OR v_again;
        END IF;
      END LOOP;
      RETURN v_again;
    END
  `;
}
