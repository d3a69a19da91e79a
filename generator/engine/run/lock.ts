/**
 * The guard: a lock on the role itself, seen from every database of the cluster.
 *
 * COMMENT ON ROLE takes a ShareUpdateExclusiveLock on the role, which conflicts with itself and lasts to the end of
 * the transaction, but it also writes the comment. It has to write the present comment, which can change while the
 * statement waits for the lock. So the version of the row that was read is checked again afterwards, through a cursor
 * with the earlier snapshot. If another transaction has replaced it, the statement is rolled back, together with the
 * lock, and the comment is read again.
 *
 * Under REPEATABLE READ and above the new comment cannot be read. Then the call has waited for the lock and gives it
 * up, and the retries of changes do the rest.
 */
import type { Bool, Oid, Returns, Text, Texts } from '../../model/types.ts';
import { conditions } from '../../sql/conditions.ts';
import { sql, text } from '../../sql/template.ts';
import { marker } from '../catalogs/advisory.ts';

/** How long a call waits in a queue. It is short because anybody can compute the key, and hold the lock. */
const patience = '1s';

/**
 * Waits for other calls of this database about the same role; returns whether there were any
 *
 * This only saves work, because fewer calls then collide at the role itself. Safety does not depend on it.
 */
export function wait_in_queue(what: Text): Returns<Bool> {
  return sql`
    DECLARE
      v_key bigint := hashtextextended(${what}, ${marker});
      v_timeout text := current_setting('lock_timeout');
    BEGIN
      IF pg_try_advisory_xact_lock(v_key) THEN
        RETURN false;
      END IF;
      BEGIN
        IF v_timeout::interval = '0' OR v_timeout::interval > ${text(patience)} THEN
          PERFORM set_config('lock_timeout', ${text(patience)}, true);
        END IF;
        PERFORM pg_advisory_xact_lock(v_key);
        PERFORM set_config('lock_timeout', v_timeout, true);
      EXCEPTION
        WHEN ${conditions('lock_not_available')} THEN
          NULL; -- the setting is what it was
      END;
      RETURN true;
    END
  `;
}

/**
 * Locks a role by commenting on it with its present comment; false if that had changed, and then nothing is locked
 *
 * A role that may change the role, or grant it, can hold the same lock for as long as it likes.
 * @probes
 */
export function comment_lock(role_name: Text, role_oid: Oid): Returns<Bool> {
  return sql`
    DECLARE
      v_present refcursor;
      v_comment text;
      v_replaced_by xid;
      v_deleted bigint := pg_stat_get_xact_tuples_deleted('pg_catalog.pg_shdescription'::regclass);
      v_propagates text := current_setting(${citus}, true);
      v_timeout text := current_setting('lock_timeout');
    BEGIN
      OPEN v_present SCROLL FOR
        SELECT d.description, d.xmax FROM pg_shdescription AS d
        WHERE d.objoid = ${role_oid} AND d.classoid = 'pg_catalog.pg_authid'::regclass;
      FETCH FIRST FROM v_present INTO v_comment, v_replaced_by;
      IF v_propagates IS NOT NULL THEN
        -- Otherwise Citus would send the comment to every node, and keep all others from the role.
        PERFORM set_config(${citus}, 'off', true);
      END IF;
      PERFORM set_config('lock_timeout', rolecall_internal.patience('set_comment'), true);
      EXECUTE format('COMMENT ON ROLE %I IS %L', ${role_name}, v_comment);
      PERFORM set_config('lock_timeout', v_timeout, true);
      IF v_propagates IS NOT NULL THEN
        PERFORM set_config(${citus}, v_propagates, true);
      END IF;
      FETCH FIRST FROM v_present INTO v_comment, v_replaced_by;
      CLOSE v_present;
      -- If the snapshot shows no version of the comment, it was new then, and has been deleted.
      IF v_comment IS NULL THEN
        IF pg_stat_get_xact_tuples_deleted('pg_catalog.pg_shdescription'::regclass) = v_deleted THEN
          RETURN true;
        END IF;
      ELSIF EXISTS (
        SELECT FROM pg_shdescription AS d
        WHERE d.objoid = ${role_oid} AND d.classoid = 'pg_catalog.pg_authid'::regclass
          AND d.xmin = v_replaced_by
      ) THEN
        RETURN true;
      END IF;
      RAISE EXCEPTION USING ERRCODE = 'RC001', MESSAGE = 'the comment has changed';
    EXCEPTION
      WHEN SQLSTATE 'RC001' THEN
        RETURN false; -- the block is rolled back, and the lock is released with it
      WHEN ${conditions('lock_not_available')} THEN
        PERFORM rolecall_internal.surface(ROW(
          'set_comment', ${role_name}, format('COMMENT ON ROLE %I IS %L', ${role_name}, v_comment),
          NULL, ARRAY[${role_name}], NULL, NULL
        )::rolecall_internal.change, SQLSTATE, SQLERRM, NULL, NULL);
      WHEN ${conditions('insufficient_privilege')} THEN
        RETURN true; -- a caller that may change a membership but not the member gets no lock, and relies on the retries
      WHEN ${conditions('undefined_object', 'internal_error')} THEN
        PERFORM rolecall_internal.refresh_caches();
        RETURN true; -- dropped meanwhile: the next plan will show it
    END
  `;
}

/** The setting by which Citus sends a statement to the other nodes; it does not exist where Citus is not installed. */
const citus = text('citus.enable_ddl_propagation');

/**
 * Locks roles in name order for the rest of the transaction; true if other transactions have ended meanwhile, or a
 * role no longer exists or another one has its name
 */
export function lock_roles(role_names: Texts, held: Texts): Returns<Bool> {
  return sql`
    DECLARE
      v_name text;
      v_role oid;
      v_first oid;
      v_seen text := pg_current_snapshot()::text;
      v_again boolean;
    BEGIN
      -- Callers pass the names sorted in collation "C": databases differ in their default collation.
      IF ${role_names}[1] COLLATE "C" < ${held}[cardinality(${held})] THEN
        PERFORM rolecall_internal.start_over(${held} || ${role_names});
      END IF;
      FOREACH v_name IN ARRAY ${role_names} LOOP
        v_role := to_regrole(quote_ident(v_name))::oid;
        v_first := v_role;
        WHILE v_role IS NOT NULL LOOP
          PERFORM rolecall_internal.wait_in_queue(v_role::text);
          LOOP
            EXIT WHEN rolecall_internal.comment_lock(v_name, v_role)
              OR current_setting('transaction_isolation') <> 'read committed';
          END LOOP;
          EXIT WHEN to_regrole(quote_ident(v_name))::oid = v_role;
          v_role := to_regrole(quote_ident(v_name))::oid;
        END LOOP;
        v_again := v_role IS NULL OR v_role <> v_first OR v_again;
      END LOOP;
      RETURN v_again IS TRUE OR pg_current_snapshot()::text <> v_seen;
    END
  `;
}
