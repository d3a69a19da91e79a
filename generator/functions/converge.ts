import type { Bool, SetOf, StepRow } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { rows } from './_shared.ts';

/**
 * Restores everything that the calls of this database have established
 *
 * Executes the steps that drift() lists. After a dump is restored into another cluster, it creates the roles again: the
 * reporting roles with a new secret and the passwords derived from it, users without a password, because passwords
 * are not recorded.
 *
 * In a copy of a database, and in a restored dump on the same cluster, the reporting roles belong to the original:
 * each is skipped with 22023 and a WARNING.
 *
 * @group keeping
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; none if nothing differs. These are skipped, with a WARNING: what the caller may not do,
 *   or what would pass a power on to others (42501); what is withheld under another name (55000); a change of a role
 *   that others keep locked for 30 seconds, or for lock_timeout (55P03); and a record that is not acted on, whose
 *   `note` says why (0A000, 0LP01, 22023, 42501, 42704 or 42710). A role that does not exist is a NOTICE and a skipped
 *   row with 42704
 * @throws invalid_parameter_value - a base role, client role or reporting role is the caller; or the secret is
 *   encrypted and the session has no key
 * @throws object_not_in_prerequisite_state - the session has an encryption key, and the database has no pgcrypto; or
 *   the call is about reporting roles, and this is a worker node of Citus
 * @throws insufficient_privilege - the caller may not read what is recorded, create roles or grant one of them
 * @throws serialization_failure - other transactions kept changing the roles, or under REPEATABLE READ changed them
 *   since the snapshot
 * @example SELECT operation, target, status FROM rolecall.converge(dry_run => true);
 */
export function converge(dry_run: Bool = false): SetOf<StepRow> {
  return sql`
    BEGIN
      ${rows(sql`rolecall_internal.restore(${dry_run})`)}
    END
  `;
}
