/**
 * The guard: a lock on the role itself, seen from every database of the cluster.
 *
 * COMMENT ON ROLE takes a ShareUpdateExclusiveLock on the role, which conflicts with itself and lasts to the end of
 * the transaction, but it also writes the comment. The comment written must be the present one, so:
 * - the comment is read right before, and the first attempt does not wait;
 * - where it would have waited, only a holder that is one of our own calls (they mark themselves with an advisory
 *   lock, and never change a comment) may be waited for with a comment already in hand; anybody else may be changing
 *   the comment, and is waited for with an attempt that is rolled back;
 * - under REPEATABLE READ and above the present comment cannot be read at all, so that the lock is only waited for.
 *   Within a database the advisory lock keeps such calls apart instead; between databases the retries carry the rest.
 */
import type { Bool, Nothing, Oid, Returns, Text } from '../model/types.ts';
import { raw, sql } from '../sql/template.ts';

/** First half of the advisory key that marks our own calls; the second half is the role's oid. */
export const marker = raw('1919904099');

/**
 * Locks one role for the rest of the transaction; true where it had to wait, or the role is gone
 */
export function _lock_role(role_name: Text): Returns<Bool> {
  return sql`
    DECLARE
      v_role oid := to_regrole(quote_ident(${role_name}))::oid;
      v_snapshot boolean := current_setting('transaction_isolation') <> 'read committed';
      v_timeout text := current_setting('lock_timeout');
    BEGIN
      IF v_snapshot THEN
        PERFORM pg_advisory_xact_lock((${marker}::bigint << 32) | v_role::bigint);
      ELSE
        PERFORM pg_advisory_xact_lock_shared((${marker}::bigint << 32) | v_role::bigint);
      END IF;
      PERFORM set_config('lock_timeout', '1ms', true);
      BEGIN
        PERFORM rolecall._comment_lock(${role_name}, v_role, v_snapshot);
        PERFORM set_config('lock_timeout', v_timeout, true);
        RETURN false;
      EXCEPTION
        WHEN lock_not_available THEN
          PERFORM set_config('lock_timeout', v_timeout, true);
      END;
      WHILE v_snapshot OR rolecall._locked_by_others(v_role) LOOP
        PERFORM rolecall._comment_lock(${role_name}, v_role, true);
        EXIT WHEN v_snapshot;
      END LOOP;
      IF NOT v_snapshot THEN
        PERFORM rolecall._comment_lock(${role_name}, v_role, false);
      END IF;
      PERFORM rolecall._refresh_caches();
      RETURN true;
    END
  `;
}

/**
 * Waits for the lock on a role by commenting on it with its present comment, and keeps it unless told to release it
 */
export function _comment_lock(role_name: Text, role_oid: Oid, release: Bool): Nothing {
  return sql`
    BEGIN
      EXECUTE format('COMMENT ON ROLE %I IS %L', ${role_name}, shobj_description(${role_oid}, 'pg_authid'));
      IF ${release} THEN
        RAISE EXCEPTION USING ERRCODE = 'RC001', MESSAGE = 'released';
      END IF;
    EXCEPTION
      WHEN SQLSTATE 'RC001' THEN
        NULL; -- rolled back to the start of this block, and the lock with it
      WHEN insufficient_privilege THEN
        NULL; -- who may change a membership but not the member goes without, and relies on the retries
      WHEN undefined_object OR internal_error THEN
        PERFORM rolecall._refresh_caches(); -- dropped meanwhile: planning again will tell
    END
  `;
}

/**
 * Whether a session that is not one of our own calls holds, or waits for, the lock on a role
 */
export function _locked_by_others(role_oid: Oid): Returns<Bool> {
  return sql`
    BEGIN
      RETURN EXISTS (
        SELECT FROM pg_locks AS l
        WHERE l.locktype = 'object'
          AND l.database = 0
          AND l.classid = 'pg_catalog.pg_authid'::regclass
          AND l.objid = ${role_oid}
          AND l.mode IN ('ShareUpdateExclusiveLock', 'AccessExclusiveLock')
          AND l.pid <> pg_backend_pid()
          AND NOT EXISTS (
            SELECT FROM pg_locks AS m
            WHERE m.pid = l.pid
              AND m.locktype = 'advisory'
              AND m.classid::bigint = ${marker}
              AND m.objid = ${role_oid}
              AND m.objsubid = 1
          )
      );
    END
  `;
}
