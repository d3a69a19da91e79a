import type { Bool, SetOf, StepRow } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { rows } from './_shared.ts';

/**
 * Locks every user whose password has expired
 *
 * VALID UNTIL alone only refuses logins by password, and ends no session. This function sets NOLOGIN on each role
 * that calls and policies of this database have created or changed and whose VALID UNTIL has passed, and ends its
 * sessions, as lock_user() does. Superusers, the caller and reporting roles are left out. It is meant to be called at
 * intervals, by pg_cron or the like.
 *
 * @group users
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per step; none if no password has expired. A role that the caller may not alter, whose sessions
 *   it may not end, or that others keep locked for 30 seconds, is skipped with 42501 or 55P03 and a WARNING
 * @throws insufficient_privilege - the caller may not alter any of the roles, or may not end their sessions
 * @throws lock_not_available - others keep every role locked
 * @example SELECT count(*) AS locked FROM rolecall.expire_users();
 */
export function expire_users(dry_run: Bool = false): SetOf<StepRow> {
  return sql`
    DECLARE
      v_users jsonb := rolecall_internal.expired_users();
    BEGIN
      ${rows(sql`rolecall_internal.run_apart(v_users, false, ${dry_run})`)}
    END
  `;
}
