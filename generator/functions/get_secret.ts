import type { Returns, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';

/**
 * Returns a secret that was stored by set_secret() or set_secret_if_absent()
 *
 * A secret that was stored before there was an encryption key is encrypted when it is read by a session that has one,
 * unless the transaction is READ ONLY or the caller may only read.
 *
 * @group secrets
 * @param key name of the secret
 * @returns the secret; null if the key has none
 * @throws null_value_not_allowed - the key is null
 * @throws invalid_parameter_value - the key is empty, or the secret is encrypted and the session has no encryption
 *   key, or another one
 * @throws reserved_name - the key starts with `rolecall.`
 * @throws object_not_in_prerequisite_state - the secret is encrypted, or is to be encrypted, and the database has no
 *   pgcrypto
 * @throws insufficient_privilege - the caller may not read the secrets
 * @example SELECT rolecall.get_secret('smtp');
 */
export function get_secret(key: Text): Returns<Text | null> {
  return sql`
    BEGIN
      PERFORM rolecall_internal.check_secret_key(${key});
      PERFORM rolecall_internal.encrypt_older(${key});
      RETURN convert_from(rolecall_internal.read_secret(${key}, true), 'UTF8');
    END
  `;
}
