import type { Bool, SetOf, StepRow, Text, TimestampTz } from '../model/types.ts';
import { raiseNull } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';
import { establish } from './_shared.ts';

/**
 * Sets the password of a role
 *
 * The password is hashed in the database before any statement is built from it, always by SCRAM-SHA-256. If the
 * caller can read the stored verifier and it is one of this password, the verifier stays, and only valid_until is set
 * where it differs. A verifier of a hundred thousand iterations or more would take long to compare, so it counts as
 * one of another password.
 *
 * @group users
 * @param username name of the role
 * @param password plain text, or a ready-made `SCRAM-SHA-256$...` verifier
 * @param valid_until when the password stops working for new logins; null: it stays as it is
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row, or none if nothing differs
 * @throws null_value_not_allowed - an argument other than valid_until is null
 * @throws invalid_name - the name is empty or longer than 63 bytes
 * @throws reserved_name - the name belongs to PostgreSQL
 * @throws invalid_parameter_value - the password is empty, a verifier of the empty one, an MD5 hash or an incomplete
 *   verifier
 * @throws undefined_object - the role does not exist
 * @throws insufficient_privilege - the caller may not alter the role
 * @example SELECT operation, statement, status FROM rolecall.set_password('alice', 'a new one', 'infinity');
 */
export function set_password(
  username: Text,
  password: Text,
  valid_until: TimestampTz | null = null,
  dry_run: Bool = false,
): SetOf<StepRow> {
  return establish(
    { roles: [{ name: username, state: 'existing' }], passwords: [{ role: username, password, valid_until }] },
    dry_run,
    sql`
      IF ${password} IS NULL THEN
        ${raiseNull('password')}
      END IF;
    `,
  );
}
