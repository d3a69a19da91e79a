/**
 * Errors for which a call starts over: another transaction has caused them, and they end with it.
 */
import { schemas } from '../../model/objects.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Nothing, Returns, Text, Texts } from '../../model/types.ts';
import { sql, text } from '../../sql/template.ts';
import { marker } from '../catalogs/advisory.ts';

/**
 * Makes the call start over, and hands over the roles that are known to be locked, because the variables of the
 * attempt are lost
 * @volatility immutable
 */
export function start_over(known: Texts): Nothing {
  return sql`
    BEGIN
      RAISE EXCEPTION USING ERRCODE = 'RC002', MESSAGE = 'start over', DETAIL = ${known}::text;
    END
  `;
}

/**
 * Whether it may help to start over after an error; it is called when everything is undone
 *
 * A role that is missing, or seems to belong to another database, may have been dropped during the call; under an
 * older snapshot this cannot be seen. After a deadlock it helps if the other transaction waits for nothing that was
 * locked before the call.
 */
export function is_passing(code: Text, seen: Text): Returns<Bool> {
  return sql`
    BEGIN
      IF ${code} = ${text(sqlstates.deadlock_detected)} THEN
        RETURN NOT rolecall_internal.holds_locks();
      END IF;
      RETURN pg_current_snapshot()::text <> ${seen}
        OR current_setting('transaction_isolation') <> 'read committed';
    END
  `;
}

/**
 * Whether this transaction holds a lock from before the call that others could wait for
 */
export function holds_locks(): Returns<Bool> {
  return sql`
    BEGIN
      RETURN EXISTS (
        SELECT FROM pg_locks AS l
        -- Nobody waits for a predicate lock, which a serializable transaction takes on what it reads.
        WHERE l.pid = pg_backend_pid() AND l.granted AND l.mode <> 'SIReadLock'
          AND CASE l.locktype
                WHEN 'relation' THEN
                  l.mode NOT IN ('AccessShareLock', 'RowShareLock') AND NOT EXISTS (
                    -- Locks on what the call itself has written by then.
                    SELECT FROM pg_class AS c
                    WHERE c.oid = l.relation
                      AND c.relnamespace IN (${text(schemas.internal)}::regnamespace, 'pg_toast'::regnamespace)
                  )
                WHEN 'advisory' THEN l.classid NOT IN (42, ${marker})
                WHEN 'object' THEN l.mode <> 'AccessShareLock'
                ELSE false
              END
      );
    END
  `;
}
