import type { Returns, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';

/**
 * Generates a random password of 24 letters and digits
 *
 * It has 142 bits of randomness from the server's strong random source, and requires no quoting in SQL, in a shell,
 * in a connection string or in a password file.
 *
 * @group users
 * @returns the password; it is not stored anywhere
 * @example SELECT length(rolecall.generate_password());
 */
export function generate_password(): Returns<Text> {
  return sql`
    DECLARE
      v_symbols CONSTANT text := 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
      v_password text := '';
      v_bytes bytea;
      v_byte integer;
    BEGIN
      WHILE length(v_password) < 24 LOOP
        v_bytes := rolecall_internal.random_bytes();
        FOR v_position IN 0 .. 31 LOOP
          v_byte := get_byte(v_bytes, v_position);
          -- 256 is not a multiple of 62, so bytes from 248 up would favour the first letters.
          IF v_byte < 248 THEN
            v_password := v_password || substr(v_symbols, v_byte % 62 + 1, 1);
          END IF;
        END LOOP;
      END LOOP;
      RETURN left(v_password, 24);
    END
  `;
}
