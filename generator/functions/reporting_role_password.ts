import { reportingSecret } from '../engine/secrets/reporting.ts';
import type { Returns, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';

/**
 * Returns the derived password that a reporting role logs in with
 *
 * @group reporting
 * @param role_name name of a role that was provisioned in this database
 * @returns the password: 64 hexadecimal digits
 * @throws null_value_not_allowed - the name is null
 * @throws invalid_name - the name is empty or longer than 63 bytes
 * @throws reserved_name - the name belongs to PostgreSQL
 * @throws undefined_object - the role was not provisioned in this database, or not since its dump was restored
 * @throws invalid_parameter_value - the secret is encrypted and the session has no encryption key, or another one
 * @throws object_not_in_prerequisite_state - the secret is encrypted, or is to be encrypted, and the database has no
 *   pgcrypto
 * @throws insufficient_privilege - the caller may not read the secret
 * @example SELECT length(rolecall.reporting_role_password('app_reports'));
 */
export function reporting_role_password(role_name: Text): Returns<Text> {
  return sql`
    DECLARE
      v_secret bytea;
    BEGIN
      PERFORM rolecall_internal.check_role_name(${role_name});
      IF rolecall_internal.newest_record('read_access', jsonb_build_array(${role_name})) IS NOT NULL
        AND rolecall_internal.other_database(${role_name}) IS NULL
      THEN
        PERFORM rolecall_internal.encrypt_older(${reportingSecret});
        v_secret := rolecall_internal.read_secret(${reportingSecret}, true);
      END IF;
      IF v_secret IS NULL THEN
        RAISE EXCEPTION USING
          ERRCODE = 'undefined_object',
          MESSAGE = format('reporting role "%s" was not provisioned in database "%s"',
                           ${role_name}, current_database()),
          HINT = 'Call rolecall.provision_reporting_role() or rolecall.provision_reporting_roles() here first.';
      END IF;
      RETURN rolecall_internal.derived_password(v_secret, ${role_name});
    END
  `;
}
