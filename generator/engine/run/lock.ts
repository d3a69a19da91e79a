/**
 * The guard: a lock on the role itself, seen from every database of the cluster.
 *
 * COMMENT ON ROLE takes a ShareUpdateExclusiveLock on the role, which conflicts with itself and lasts to the end of
 * the transaction, but it also writes the comment. The comment written has to be the present one, which can change
 * while the statement waits for the lock. So afterwards the version that was read is looked at again, through a
 * cursor whose snapshot is from before: if another transaction has replaced it, the statement is rolled back, and the
 * lock with it, and the comment is read anew.
 *
 * Under REPEATABLE READ and above the new comment cannot be read. Then the lock has been waited for and is given up,
 * and the retries carry the rest.
 */
import type { Bool, Oid, Returns, Text, Texts } from '../../model/types.ts';
import { conditions } from '../../sql/conditions.ts';
import { sql } from '../../sql/template.ts';
import { marker } from '../catalogs/advisory.ts';

/**
 * Locks one role for the rest of the transaction; true where it is gone
 */
export function lock_role(role_name: Text): Returns<Bool> {
  return sql`
    DECLARE
      v_role oid := to_regrole(quote_ident(${role_name}))::oid;
    BEGIN
      -- The calls of one database queue here, so that few meet at the role itself.
      PERFORM pg_advisory_xact_lock((${marker}::bigint << 32) | v_role::bigint);
      LOOP
        EXIT WHEN rolecall_internal.comment_lock(${role_name}, v_role)
          OR current_setting('transaction_isolation') <> 'read committed';
      END LOOP;
      RETURN to_regrole(quote_ident(${role_name}))::oid IS DISTINCT FROM v_role;
    END
  `;
}

/**
 * Locks a role by commenting on it with its present comment; false where that had changed, and nothing is locked
 * @probes
 */
export function comment_lock(role_name: Text, role_oid: Oid): Returns<Bool> {
  return sql`
    DECLARE
      v_present refcursor;
      v_comment text;
      v_replaced_by xid;
      v_changed boolean;
      v_deleted bigint := pg_stat_get_xact_tuples_deleted('pg_catalog.pg_shdescription'::regclass);
    BEGIN
      OPEN v_present SCROLL FOR
        SELECT d.description, d.xmax FROM pg_shdescription AS d
        WHERE d.objoid = ${role_oid} AND d.classoid = 'pg_catalog.pg_authid'::regclass;
      FETCH FIRST FROM v_present INTO v_comment, v_replaced_by;
      EXECUTE format('COMMENT ON ROLE %I IS %L', ${role_name}, v_comment);
      FETCH FIRST FROM v_present INTO v_comment, v_replaced_by;
      CLOSE v_present;
      -- A comment that was new has no version that the snapshot shows: it has been deleted.
      IF v_comment IS NULL THEN
        v_changed := pg_stat_get_xact_tuples_deleted('pg_catalog.pg_shdescription'::regclass) > v_deleted;
      ELSE
        v_changed := NOT EXISTS (
          SELECT FROM pg_shdescription AS d
          WHERE d.objoid = ${role_oid} AND d.classoid = 'pg_catalog.pg_authid'::regclass
            AND d.xmin = v_replaced_by
        );
      END IF;
      IF v_changed THEN
        RAISE EXCEPTION USING ERRCODE = 'RC001', MESSAGE = 'the comment has changed';
      END IF;
      RETURN true;
    EXCEPTION
      WHEN SQLSTATE 'RC001' THEN
        RETURN false; -- rolled back to the start of this block, and the lock with it
      WHEN ${conditions('insufficient_privilege')} THEN
        RETURN true; -- who may change a membership but not the member goes without, and relies on the retries
      WHEN ${conditions('undefined_object', 'internal_error')} THEN
        PERFORM rolecall_internal.refresh_caches();
        RETURN true; -- dropped meanwhile: planning again will tell
    END
  `;
}

/**
 * Locks roles in name order for the rest of the transaction; true where other transactions have ended meanwhile, or a role
 * is gone
 */
export function lock_roles(role_names: Texts): Returns<Bool> {
  return sql`
    DECLARE
      v_name text;
      v_seen text := pg_current_snapshot()::text;
      v_again boolean := false;
    BEGIN
      -- Callers pass the names sorted in collation "C": databases differ in their default collation.
      FOREACH v_name IN ARRAY ${role_names} LOOP
        IF to_regrole(quote_ident(v_name)) IS NOT NULL THEN
          v_again := rolecall_internal.lock_role(v_name) OR v_again;
        END IF;
      END LOOP;
      RETURN v_again OR pg_current_snapshot()::text <> v_seen;
    END
  `;
}
