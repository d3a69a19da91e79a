import type { Bool, SetOf, StepRow } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { rows } from './_shared.ts';

/**
 * Locks every user whose password has expired
 *
 * VALID UNTIL alone stops the login by password, and no session. This gives NOLOGIN to each role that calls and policies of this
 * database have made or changed, and whose VALID UNTIL has passed, and ends its sessions, as lock_user() does. Superusers, the
 * caller and reporting roles are left out. It is meant to be called at intervals, by pg_cron or the like.
 *
 * @group users
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per step; none where no password has expired
 * @throws insufficient_privilege - the caller may not alter one of the roles, or may not end its sessions
 * @example SELECT count(*) AS locked FROM rolecall.expire_users();
 */
export function expire_users(dry_run: Bool = false): SetOf<StepRow> {
  return sql`
    DECLARE
      v_users jsonb := rolecall_internal.expired_users();
    BEGIN
      IF v_users IS NOT NULL THEN
        ${rows(sql`rolecall_internal.run(v_users, ${dry_run})`)}
      END IF;
    END
  `;
}
