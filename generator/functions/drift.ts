import type { SetOf, StepRow } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { rows } from './_shared.ts';

/**
 * Lists the steps that would restore everything that the calls of this database have established
 *
 * It covers base roles, client roles, users with their memberships, reporting roles with all their privileges, and
 * operators, as the newest call about each of them left them. It changes nothing, and works in a READ ONLY
 * transaction and on a standby.
 *
 * Where the caller cannot read the stored verifiers, the passwords of reporting roles count as right. The passwords
 * of users are not recorded, so drift() does not compare them. A missing user would be created without a password,
 * which `note` says.
 *
 * In a copy of a database, and in a restored dump on the same cluster, the reporting roles belong to the original:
 * each is skipped with 22023.
 *
 * @group keeping
 * @returns one row per step, planned or skipped; none if nothing differs. These are skipped: what the caller may not
 *   do, or what would pass a power on to others (42501); what is withheld under another name (55000); and a record
 *   that is not acted on, whose `note` says why (0A000, 0LP01, 22023, 42501, 42704 or 42710)
 * @throws invalid_parameter_value - a base role, client role or reporting role is the caller; or the secret is
 *   encrypted and the session has no key
 * @throws object_not_in_prerequisite_state - the session has an encryption key, and the database has no pgcrypto; or
 *   the call is about reporting roles, and this is a worker node of Citus
 * @throws insufficient_privilege - the caller may not read what is recorded
 * @example SELECT operation, target, statement FROM rolecall.drift();
 */
export function drift(): SetOf<StepRow> {
  return sql`
    BEGIN
      ${rows(sql`rolecall_internal.restore(true)`)}
    END
  `;
}
