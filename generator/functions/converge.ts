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
 * In a copy of a database, and where a dump was restored beside it, the reporting roles belong to the original: each is a
 * WARNING and a skipped row with 22023.
 *
 * @group keeping
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; none where all is as asked for. What the caller may not do is a WARNING and a skipped row with 42501, a role that does not exist a NOTICE and a skipped row with 42704
 * @throws invalid_parameter_value - a base role, client role or reporting role has become a superuser, or is the caller; or the secret is encrypted and the session has no key
 * @throws insufficient_privilege - the caller may not read what is recorded, create roles or grant one of them
 * @example SELECT operation, target, status FROM rolecall.converge(dry_run => true);
 */
export function converge(dry_run: Bool = false): SetOf<StepRow> {
  return sql`
    BEGIN
      ${rows(sql`rolecall_internal.restore(${dry_run})`)}
    END
  `;
}
