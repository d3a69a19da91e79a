import { setApart } from '../engine/reporting/roles.ts';
import { reportingSecret } from '../engine/secrets/reporting.ts';
import type { Bool, SetOf, StepRow } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { rows } from './_shared.ts';

/**
 * Replaces the secret that the passwords of reporting roles are derived from, and sets all of those passwords
 *
 * That includes every role that was provisioned in this database and still exists. Open sessions continue; new logins
 * require the password that reporting_role_password() returns once the transaction is committed. The new secret is
 * encrypted if the session has the setting `rolecall.encryption_key`; the old one does not have to be readable.
 *
 * Provisioning runs and rotations wait for each other. Under REPEATABLE READ it does not see a role that was
 * provisioned since the snapshot; that role's password is set by its next provisioning run.
 *
 * @group reporting
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row for the secret and one per role; none if nothing was ever provisioned. A role is skipped if it
 *   cannot be changed and keeps its password (42501, 55P03), if it belongs to another database, or if its record is
 *   not acted on
 * @throws insufficient_privilege - the caller may not write the secrets, or may not set the password of any of the
 *   roles; nothing is changed
 * @throws lock_not_available - others hold locks on all of the roles for 30 seconds, or for lock_timeout; nothing is
 *   changed
 * @throws invalid_parameter_value - the present secret is encrypted and the session has no key
 * @throws object_not_in_prerequisite_state - the session has an encryption key, and the database has no pgcrypto; or
 *   this is a worker node of Citus
 * @throws serialization_failure - under REPEATABLE READ: another transaction has replaced the secret since the snapshot
 * @example SELECT operation, target, status FROM rolecall.rotate_reporting_secret();
 */
export function rotate_reporting_secret(dry_run: Bool = false): SetOf<StepRow> {
  return sql`
    DECLARE
      v_roles text[];
      v_left rolecall.step[];
      v_set rolecall.step[];
      v_secret bytea;
      v_passwords jsonb;
    BEGIN
      PERFORM rolecall_internal.check_coordinator();
      IF ${dry_run} IS NOT TRUE THEN
        PERFORM rolecall_internal.lock_reporting_secret(true);
      END IF;
      v_roles := rolecall_internal.reporting_roles(true);
      v_left := rolecall_internal.left_out(${dry_run});
      v_left := v_left || rolecall_internal.refused_steps('read_access', v_left, ${dry_run});
      -- A copy of a database has the secret of the original, which this replaces.
      IF cardinality(v_roles) > 0
        OR EXISTS (SELECT FROM rolecall_internal.secret AS s WHERE s.key = ${reportingSecret})
      THEN
        RETURN NEXT rolecall_internal.rotate_secret(${dry_run});
      END IF;
      ${rows(sql`v_left`)}
      IF cardinality(v_roles) = 0 THEN
        RETURN;
      END IF;
      v_secret := CASE
        WHEN ${dry_run} THEN rolecall_internal.random_bytes()
        ELSE rolecall_internal.read_secret(${reportingSecret}, true)
      END;
      v_passwords := rolecall_internal.reporting_passwords(v_secret, v_roles, true);
      IF ${dry_run} IS NOT TRUE THEN
        v_passwords := rolecall_internal.keep_verifiers(v_passwords, rolecall_internal.role_oids(v_roles));
      END IF;
      ${setApart(sql`v_set`, sql`v_passwords`, false, dry_run)}
      ${rows(sql`v_set`)}
    END
  `;
}
