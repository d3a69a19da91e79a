import type { Returns, Text } from '../model/types.ts';
import { raiseNull } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';

/**
 * Stores a secret unless the key already has one, and returns the secret that the key has afterwards
 *
 * If several callers call it at once, the first one stores its secret; the others wait until its transaction ends,
 * and return that secret. It is stored as set_secret() stores it.
 *
 * @group secrets
 * @param key name of the secret
 * @param value the secret, if there is none yet
 * @returns the secret that is stored in the end
 * @throws null_value_not_allowed - an argument is null
 * @throws invalid_parameter_value - the key is empty, or the secret is encrypted and the session has no encryption
 *   key, or another one
 * @throws reserved_name - the key starts with `rolecall.`
 * @throws object_not_in_prerequisite_state - the session has an encryption key, and the database has no pgcrypto
 * @throws insufficient_privilege - the caller may not write the secrets
 * @throws serialization_failure - under REPEATABLE READ: another transaction has stored the secret since the
 *   snapshot, which does not show it
 * @example SELECT rolecall.set_secret_if_absent('cookie', rolecall.generate_password()) IS NOT NULL;
 */
export function set_secret_if_absent(key: Text, value: Text): Returns<Text> {
  return sql`
    DECLARE
      v_value bytea := convert_to(${value}, 'UTF8');
      v_stored bytea;
    BEGIN
      PERFORM rolecall_internal.check_secret_key(${key});
      IF v_value IS NULL THEN
        ${raiseNull('value')}
      END IF;
      PERFORM rolecall_internal.encrypt_older(${key});
      LOOP
        v_stored := rolecall_internal.read_secret(${key}, true);
        EXIT WHEN v_stored IS NOT NULL;
        IF rolecall_internal.write_secret(${key}, v_value, false) THEN
          v_stored := v_value;
          PERFORM rolecall_internal.warn_about_publications();
        END IF;
        -- Otherwise another caller stored its secret first, and it can be read now.
      END LOOP;
      RETURN convert_from(v_stored, 'UTF8');
    END
  `;
}
