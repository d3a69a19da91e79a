/**
 * Checks of texts that are given or stored as passwords: whether a text is a verifier, or a hash that cannot be
 * stored, and whether a verifier is one of the empty password, or of a given one.
 */
import type { Bool, Integer, Nothing, Returns, Text, Texts } from '../../model/types.ts';
import { noPassword, raiseEmpty } from '../../sql/raise.ts';
import { raw, sql, text } from '../../sql/template.ts';

/**
 * The number of bytes into which the server's strict base64 decoder decodes a text; null where it refuses it
 *
 * It requires whole groups of four, and the first "=" in the third or fourth place of its group. From there on it
 * accepts anything of the alphabet, and each group gives as many bytes as the one with that "=".
 * @volatility immutable
 * @strict
 */
export function base64_length(base64: Text): Returns<Integer> {
  return sql`
    DECLARE
      v_groups CONSTANT integer := length(${base64}) / 4;
      v_padding CONSTANT integer := strpos(${base64} COLLATE "C", '=') - 1;
    BEGIN
      IF ${base64} COLLATE "C" ~ '[^A-Za-z0-9+/=]'
        OR length(${base64}) % 4 <> 0
        OR v_padding % 4 IN (0, 1)
      THEN
        RETURN NULL;
      ELSIF v_padding < 0 THEN
        RETURN 3 * v_groups;
      END IF;
      RETURN 3 * (v_padding / 4) + (v_padding % 4 - 1) * (v_groups - v_padding / 4);
    END
  `;
}

/**
 * The fields of a text that looks like a SCRAM-SHA-256 verifier to the server: sign and digits of the iterations, salt,
 * stored key, server key
 *
 * The server reads them with strtok() and strtol(), so separators before a field are skipped, as are blanks and a
 * sign before the iterations, and the value of the iterations does not matter.
 * @volatility immutable
 */
export function scram_fields(verifier: Text): Returns<Texts> {
  return sql`
    BEGIN
      RETURN regexp_match(${verifier} COLLATE "C",
        E'^[$]*SCRAM-SHA-256[$]:*[ \t\n\x0b\f\r]*([+-]?)0*([0-9]{1,19}):[$]*([^$]+)[$]:*([^:]+):(.+)$');
    END
  `;
}

/**
 * Whether the server would store this text unchanged because it is a SCRAM-SHA-256 verifier
 *
 * Anything else, "SCRAM-SHA-256$" with a mistake after it included, it hashes as a plain password.
 * @volatility immutable
 */
export function is_scram_verifier(verifier: Text): Returns<Bool> {
  return sql`
    DECLARE
      v_fields text[];
    BEGIN
      -- The usual spelling, which takes a fraction of the time to recognize.
      IF ${isUsualVerifier(verifier)} THEN
        RETURN true;
      END IF;
      v_fields := rolecall_internal.scram_fields(${verifier});
      -- strtol() refuses what a long cannot hold.
      RETURN v_fields IS NOT NULL
        AND (v_fields[1] || v_fields[2])::numeric BETWEEN -9223372036854775808 AND 9223372036854775807
        AND rolecall_internal.base64_length(v_fields[3]) IS NOT NULL
        AND rolecall_internal.base64_length(v_fields[4]) IS NOT DISTINCT FROM 32
        AND rolecall_internal.base64_length(v_fields[5]) IS NOT DISTINCT FROM 32;
    END
  `;
}

/**
 * The usual spelling of a verifier; the server accepts others too. The places of the separators are compared, and that
 * there is nothing else but digits of base64: to compile a regular expression takes a hundred times as long.
 */
const isUsualVerifier = (verifier: Text) => sql`
  ${verifier} LIKE 'SCRAM-SHA-256$4096:${raw('_'.repeat(22))}==$'
                   '${raw('_'.repeat(43))}=:${raw('_'.repeat(43))}='
  AND translate(
    ${verifier}, ${text(base64Digits)}, ''
  ) = '--$:==$=:='
`;

const base64Digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/**
 * Whether a password is a hash that cannot be stored: an MD5 hash as the server recognizes it, or a text that begins
 * like a SCRAM-SHA-256 verifier but is none. If it were taken for plain text, nobody could log in with the password
 * itself.
 */
export const isHash = (password: Text) => sql`(
  starts_with(${password}, 'md5')
  AND ${password} COLLATE "C" ~ '^md5[0-9a-f]{32}$'
  -- Where there is no password, nothing is called.
  OR CASE WHEN starts_with(${password} COLLATE "C", 'SCRAM-SHA-256$')
       THEN NOT rolecall_internal.is_scram_verifier(${password})
       ELSE false END
)`;

/**
 * Refuses a password that is a hash which cannot be stored
 * @volatility stable
 */
export function refuse_hash(): Nothing {
  return sql`
    BEGIN
      RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = 'password must not be an MD5 hash or an incomplete SCRAM-SHA-256 verifier',
        HINT = 'Pass the password itself, or a complete SCRAM-SHA-256 verifier of it.';
    END
  `;
}

/**
 * Whether this verifier is one of the empty password
 *
 * The server compares only the server key. A salt or key in an unusual spelling counts as one of the empty password,
 * because that cannot be ruled out.
 * @volatility stable
 */
export function is_empty_verifier(verifier: Text): Returns<Bool> {
  return sql`
    DECLARE
      v_fields CONSTANT text[] := rolecall_internal.scram_fields(${verifier});
    BEGIN
      IF v_fields[3] COLLATE "C" !~ '^[A-Za-z0-9+/]*={0,2}$' OR v_fields[5] COLLATE "C" !~ '^[A-Za-z0-9+/]{43}=$' THEN
        RETURN true;
      END IF;
      RETURN decode(v_fields[5], 'base64') = decode(split_part(
        -- The server assigns what strtol() read to an int, which keeps the lower half.
        rolecall_internal.scram(
          '', decode(v_fields[3], 'base64'), ((v_fields[1] || v_fields[2])::bigint << 32 >> 32)::integer
        ),
        ':', 3
      ), 'base64');
    END
  `;
}

/**
 * Whether this stored verifier is one of this password
 *
 * Never null. A password that is itself a verifier matches only itself, because the server stores it unchanged. A
 * verifier with a hundred thousand iterations or more, or in an unusual spelling, is no match: a role can set its own
 * verifier, and could otherwise keep the session of its administrator busy.
 * @volatility stable
 */
export function password_matches(password: Text, verifier: Text): Returns<Bool> {
  return sql`
    DECLARE
      v_fields text[];
    BEGIN
      IF ${password} IS NULL OR NOT rolecall_internal.is_scram_verifier(${verifier}) THEN
        RETURN false;
      ELSIF ${password} COLLATE "C" = ${verifier} COLLATE "C" THEN
        RETURN true;
      ELSIF rolecall_internal.is_scram_verifier(${password}) THEN
        RETURN false;
      END IF;
      v_fields := regexp_match(
        ${verifier} COLLATE "C", '^SCRAM-SHA-256[$]([1-9][0-9]{0,4}):([A-Za-z0-9+/]+={0,2})[$]'
      );
      IF v_fields IS NULL THEN
        RETURN false;
      END IF;
      RETURN ${verifier} COLLATE "C"
        = rolecall_internal.scram(
          ${password}, decode(v_fields[2], 'base64'), v_fields[1]::integer
        ) COLLATE "C";
    END
  `;
}

/**
 * Refuses a verifier of the empty password, for which the server stores none
 * @volatility stable
 */
export function refuse_empty_verifier(): Nothing {
  return sql`
    BEGIN
      ${raiseEmpty('password', noPassword, 'It is a verifier of the empty password, for which the server stores none.')}
    END
  `;
}
