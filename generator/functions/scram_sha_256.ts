import { newSalt } from '../engine/passwords/scram.ts';
import { isHash } from '../engine/passwords/verifiers.ts';
import type { Integer, Returns, Text } from '../model/types.ts';
import { raiseEmpty, raiseNull } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';

/**
 * Computes a SCRAM-SHA-256 verifier of a password, in the form in which PostgreSQL stores it
 *
 * It uses core functions only, and a random salt of 16 bytes. A password that is not ASCII is prepared as the server
 * and libpq prepare it (SASLprep), so that it works for logins through any of them.
 *
 * @group users
 * @param password plain text
 * @param iterations rounds of hashing; more make guessing slower, and logging in too
 * @returns `SCRAM-SHA-256$iterations:salt$stored key:server key`
 * @throws null_value_not_allowed - an argument is null
 * @throws invalid_parameter_value - the password is empty, an MD5 hash or an incomplete verifier, or iterations is
 *   less than 1
 * @example SELECT left(rolecall.scram_sha_256('correct horse battery staple'), 19);
 */
export function scram_sha_256(password: Text, iterations: Integer = 4096): Returns<Text> {
  return sql`
    BEGIN
      IF ${password} IS NULL THEN
        ${raiseNull('password')}
      ELSIF octet_length(${password}) = 0 THEN
        ${raiseEmpty('password')}
      ELSIF ${isHash(password)} THEN
        PERFORM rolecall_internal.refuse_hash();
      ELSIF ${iterations} IS NULL THEN
        ${raiseNull('iteration count')}
      ELSIF ${iterations} < 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'iteration count must be at least 1';
      END IF;
      RETURN rolecall_internal.scram(
        ${password}, ${newSalt}, ${iterations}
      );
    END
  `;
}
