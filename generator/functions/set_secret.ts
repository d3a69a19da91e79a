import type { SetOf, StepRow, Text } from '../model/types.ts';
import { mask } from '../model/resources.ts';
import { raiseNull } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';

/**
 * Stores a secret, and replaces the one that the key has
 *
 * No reporting role can read it, and no dump contains it. Where the session has the setting
 * `rolecall.encryption_key`, it is encrypted with pgcrypto (AES-256). If the present secret was encrypted with
 * another key, the new one replaces it and is encrypted with the present key. Pass the value as a bind parameter: a
 * literal would be in the server's log if statements are logged.
 *
 * @group secrets
 * @param key name of the secret
 * @param value the secret; it may be empty
 * @returns one row, or none if that value is stored already
 * @throws null_value_not_allowed - an argument is null
 * @throws invalid_parameter_value - the key is empty, or the present secret is encrypted and the session has no key
 * @throws reserved_name - the key starts with `rolecall.`
 * @throws object_not_in_prerequisite_state - the session has an encryption key, and the database has no pgcrypto
 * @throws insufficient_privilege - the caller may not write the secrets
 * @throws serialization_failure - under REPEATABLE READ: another transaction has stored the secret since the snapshot
 * @example SELECT operation, target, status FROM rolecall.set_secret('smtp', 'open sesame');
 */
export function set_secret(key: Text, value: Text): SetOf<StepRow> {
  return sql`
    DECLARE
      v_value bytea := convert_to(${value}, 'UTF8');
    BEGIN
      PERFORM rolecall_internal.check_secret_key(${key});
      IF v_value IS NULL THEN
        ${raiseNull('value')}
      END IF;
      PERFORM rolecall_internal.encrypt_older(${key});
      IF rolecall_internal.read_secret(${key}, false) IS NOT DISTINCT FROM v_value THEN
        RETURN;
      END IF;
      IF rolecall_internal.write_secret(${key}, v_value, true) THEN
        PERFORM rolecall_internal.warn_about_publications();
        RETURN NEXT ROW(
          'set_secret', ${key},
          format('SELECT * FROM rolecall.set_secret(%L, %L)', ${key}, ${mask}),
          'applied', NULL, NULL
        )::rolecall.step;
      END IF;
    END
  `;
}
