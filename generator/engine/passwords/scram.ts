/**
 * SCRAM-SHA-256 verifiers made in the database, from core functions only.
 *
 * The caller's plain text is only ever a plpgsql variable in a simple expression: no query, no dynamic SQL and no
 * message has it, so neither the log, nor auto_explain, nor an error's CONTEXT can. Every text operator that depends on
 * a collation is given "C": the argument may carry a nondeterministic one.
 */
import type { Bool, Bytea, Integer, Integers, Nothing, Returns, Text, Texts, VarBit } from '../../model/types.ts';
import { join, raw, sql, text } from '../../sql/template.ts';
import { classRanges, stableRanges } from './_code-points.ts';

/**
 * 32 bytes that no one can guess
 *
 * gen_random_uuid() draws 122 bits from the server's strong random source, three of them 366.
 */
export function random_bytes(): Returns<Bytea> {
  return sql`
    BEGIN
      RETURN sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
    END
  `;
}

/**
 * The bits of a bytea
 *
 * There is no XOR of bytea, there is one of bit strings. substring(varbit_send(bits) FROM 5) is the way back: the
 * binary form of a bit string is its length in four bytes, then the bits.
 * @volatility immutable
 * @strict
 */
export function bits(bytes: Bytea): Returns<VarBit> {
  return sql`
    BEGIN
      RETURN ('x' || encode(${bytes}, 'hex'))::varbit;
    END
  `;
}

/**
 * The 64 bytes that HMAC-SHA256 puts before its inner (pad 36) or outer (5c) message
 *
 * It is the key, XOR that byte throughout.
 * @volatility immutable
 * @strict
 */
export function hmac_pad(key: Bytea, pad: Text): Returns<Bytea> {
  return sql`
    DECLARE
      v_key bytea := ${key};
    BEGIN
      IF length(v_key) > 64 THEN
        v_key := sha256(v_key);
      END IF;
      v_key := v_key || decode(repeat('00', 64 - length(v_key)), 'hex');
      RETURN substring(varbit_send(rolecall_internal.bits(v_key) # ('x' || repeat(${pad}, 64))::varbit) FROM 5);
    END
  `;
}

/**
 * HMAC-SHA256
 * @volatility immutable
 * @strict
 */
export function hmac_sha256(key: Bytea, data: Bytea): Returns<Bytea> {
  return sql`
    BEGIN
      RETURN sha256(
        rolecall_internal.hmac_pad(${key}, '5c')
        || sha256(rolecall_internal.hmac_pad(${key}, '36') || ${data})
      );
    END
  `;
}

/**
 * What RFC 3454 says of a code point, as far as SASLprep asks
 *
 * space, nothing (mapped to nothing), forbidden, right_to_left, left_to_right, or null. The first that applies, so the
 * ranges of a later one are joined up across the code points of an earlier one.
 * @volatility immutable
 * @strict
 */
export function stringprep_class(code_point: Integer): Returns<Text> {
  return sql`
    BEGIN
      RETURN CASE
        ${classRanges.map(({ name, ranges }) => sql`WHEN ${code_point} <@ ${ranges} THEN ${text(name)}`)}
      END;
    END
  `;
}

/**
 * Whether NFKC leaves this code point alone, whatever stands beside it
 *
 * Asked only of code points that stringprep_class neither maps nor forbids.
 * @volatility immutable
 * @strict
 */
export function is_nfkc_stable(code_point: Integer): Returns<Bool> {
  return sql`
    BEGIN
      RETURN ${code_point} <@ ${stableRanges};
    END
  `;
}

/**
 * The code points of a UTF-8 string; null where the bytes are not UTF-8
 * @volatility immutable
 * @strict
 */
export function utf8_code_points(bytes: Bytea): Returns<Integers> {
  return sql`
    DECLARE
      v_code_points integer[] := '{}'::integer[];
      v_code_point integer;
      v_byte integer;
    BEGIN
      -- Overlong forms, surrogates and what lies beyond U+10FFFF are not UTF-8.
      IF encode(${bytes}, 'hex') COLLATE "C" !~ (
          '^(?:[0-7].|c[2-9a-f][89ab].|d.[89ab].|e0[ab].[89ab].|e[1-9a-cef][89ab].[89ab].'
          || '|ed[89].[89ab].|f0[9ab].[89ab].[89ab].|f[123][89ab].[89ab].[89ab].|f48.[89ab].[89ab].)*$') THEN
        RETURN NULL;
      END IF;

      FOR v_position IN 0..length(${bytes}) - 1 LOOP
        v_byte := get_byte(${bytes}, v_position);
        IF v_byte < 128 THEN
          v_code_points := v_code_points || v_byte;
        ELSIF v_byte < 192 THEN
          v_code_point := v_code_point << 6 | (v_byte & 63);
          v_code_points[cardinality(v_code_points)] := v_code_point;
        ELSE
          v_code_point := v_byte & CASE WHEN v_byte < 224 THEN 31 WHEN v_byte < 240 THEN 15 ELSE 7 END;
          v_code_points := v_code_points || v_code_point;
        END IF;
      END LOOP;
      RETURN v_code_points;
    END
  `;
}

/**
 * The bytes that are hashed for a password
 *
 * SASLprep (RFC 4013) as the server and libpq do it. Both take the password as it is where preparation fails
 * (bytes that are not UTF-8, a forbidden code point, a breach of the rule on right-to-left text, nothing left),
 * and both look for forbidden code points before normalization, not after.
 * @volatility stable
 * @strict
 */
export function saslprep(password: Text): Returns<Bytea> {
  return sql`
    DECLARE
      v_raw CONSTANT bytea := convert_to(${password}, getdatabaseencoding());
      v_prepared bytea := ''::bytea;
      v_code_points integer[];
      v_code_point integer;
      v_class text;
      v_position integer := 1;
      v_width integer;
      v_left_to_right boolean := false;
      v_right_to_left boolean := false;
      v_starts_right_to_left boolean;
      v_ends_right_to_left boolean;
      v_stable boolean := true;
    BEGIN
      IF ${password} COLLATE "C" !~ E'[^\\x01-\\x7f]' THEN
        RETURN v_raw;
      END IF;

      v_code_points := rolecall_internal.utf8_code_points(v_raw);
      IF v_code_points IS NULL THEN
        RETURN v_raw;
      END IF;

      FOREACH v_code_point IN ARRAY v_code_points LOOP
        v_width := CASE
          WHEN v_code_point < 128 THEN 1 WHEN v_code_point < 2048 THEN 2 WHEN v_code_point < 65536 THEN 3 ELSE 4
        END;
        v_class := rolecall_internal.stringprep_class(v_code_point);
        IF v_class = 'forbidden' THEN
          RETURN v_raw;
        ELSIF v_class = 'space' THEN
          v_prepared := v_prepared || ' '::bytea;
        ELSIF v_class IS DISTINCT FROM 'nothing' THEN
          v_prepared := v_prepared || substring(v_raw FROM v_position FOR v_width);
          v_stable := v_stable AND rolecall_internal.is_nfkc_stable(v_code_point);
        END IF;
        v_position := v_position + v_width;

        IF v_class IS DISTINCT FROM 'nothing' THEN
          v_left_to_right := v_left_to_right OR v_class IS NOT DISTINCT FROM 'left_to_right';
          v_ends_right_to_left := v_class IS NOT DISTINCT FROM 'right_to_left';
          v_right_to_left := v_right_to_left OR v_ends_right_to_left;
          v_starts_right_to_left := coalesce(v_starts_right_to_left, v_ends_right_to_left);
        END IF;
      END LOOP;

      IF v_prepared = ''
        OR v_right_to_left AND (v_left_to_right OR NOT v_starts_right_to_left OR NOT v_ends_right_to_left)
      THEN
        RETURN v_raw;
      ELSIF v_stable THEN
        RETURN v_prepared;
      ELSIF getdatabaseencoding() = 'UTF8' THEN
        RETURN convert_to(normalize(convert_from(v_prepared, 'UTF8'), NFKC), 'UTF8');
      END IF;

      -- The server normalizes UTF-8 here too, but normalize() refuses. A guess would be a password that cannot log in.
      RAISE EXCEPTION 'password cannot be normalized in a database with encoding "%"', getdatabaseencoding()
        USING ERRCODE = 'feature_not_supported',
              HINT = 'Set the password from a database with encoding UTF8, or pass a SCRAM-SHA-256 verifier.';
    END
  `;
}

/**
 * The verifier of a password for a given salt (RFC 5802, RFC 7677)
 * @volatility stable
 * @strict
 */
export function scram(password: Text, salt: Bytea, iterations: Integer): Returns<Text> {
  return sql`
    DECLARE
      v_key CONSTANT bytea := rolecall_internal.saslprep(${password});
      -- A round is HMAC(password, previous digest).  The two pads are the same in every round, so they are made once.
      v_inner CONSTANT bytea := rolecall_internal.hmac_pad(v_key, '36');
      v_outer CONSTANT bytea := rolecall_internal.hmac_pad(v_key, '5c');
      -- The server does one whatever the number.
      v_rounds CONSTANT integer := greatest(${iterations}, 1);
      v_digest bytea := ${salt} || int4send(1);
      ${digests.slice(0, -1).map((digest) => sql`${digest} bytea;`)}
      v_sum bit varying := repeat('0', ${digests.length * 256})::varbit;
      v_salted_password bytea;
      v_stored_key bytea;
      v_server_key bytea;
    BEGIN
      -- PBKDF2: the XOR of all rounds' digests. Bytes have no XOR, and making the bits of a digest costs a third of its
      -- round, so several are turned into one bit string and added together; in the end its parts are.
      FOR v_step IN 1..v_rounds / ${digests.length} LOOP
        ${digests.map((digest, index) => sql`${digest} := ${round(digests.at(index - 1))};`)}
        v_sum := v_sum # ('x' || encode(
          ${join(digests, ' || ')}, 'hex'
        ))::varbit;
      END LOOP;
      WHILE length(v_sum) > 256 LOOP
        v_sum := substring(v_sum FOR length(v_sum) / 2) # substring(v_sum FROM length(v_sum) / 2 + 1);
      END LOOP;
      FOR v_round IN 1..v_rounds % ${digests.length} LOOP
        v_digest := ${round(raw('v_digest'))};
        v_sum := v_sum # rolecall_internal.bits(v_digest);
      END LOOP;
      v_salted_password := substring(varbit_send(v_sum) FROM 5);

      v_stored_key := sha256(rolecall_internal.hmac_sha256(v_salted_password, 'Client Key'));
      v_server_key := rolecall_internal.hmac_sha256(v_salted_password, 'Server Key');
      -- encode() breaks lines after 76 characters; only a long salt gets there.
      RETURN 'SCRAM-SHA-256$' || ${iterations}::text || ':' || replace(encode(${salt}, 'base64'), chr(10), '')
        || '$' || encode(v_stored_key, 'base64') || ':' || encode(v_server_key, 'base64');
    END
  `;
}

/** The digests of the rounds that are added together; the last one is what the next round begins with. A power of two. */
const digests = [1, 2, 3, 4, 5, 6, 7].map((number) => raw(`v_digest_${number}`)).concat(raw('v_digest'));

const round = (digest = raw('')) => sql`sha256(v_outer || sha256(v_inner || ${digest}))`;

/**
 * How many bytes the server's strict base64 decoder makes of a text; null where it refuses
 *
 * It wants whole groups of four and a first "=" in the third or fourth place of its group. From there on anything
 * of the alphabet is let through, and each group gives as many bytes as the one with that "=".
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
 * It reads with strtok() and strtol(), and so do we: separators before a field are skipped, blanks and a sign before the
 * iterations too, and their value is not looked at.
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
 * Whether the server would store this text as it is, being a SCRAM-SHA-256 verifier
 *
 * Anything else, "SCRAM-SHA-256$" with a mistake after it included, it hashes as a plain password.
 * @volatility immutable
 */
export function is_scram_verifier(verifier: Text): Returns<Bool> {
  return sql`
    DECLARE
      v_fields text[];
    BEGIN
      -- As they are written everywhere, which is told in a fraction of the time.
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

/** Not every verifier: the server allows for odd spellings. */
const isUsualVerifier = (verifier: Text) => sql`
  ${verifier} COLLATE "C"
    ~ '^SCRAM-SHA-256[$][1-9][0-9]{0,8}:[A-Za-z0-9+/]+={0,2}[$][A-Za-z0-9+/]+=:[A-Za-z0-9+/]+=$'
  AND length(split_part(split_part(${verifier}, '$', 2), ':', 2)) % 4 = 0
  AND length(split_part(split_part(${verifier}, '$', 3), ':', 1)) = 44
  AND length(split_part(split_part(${verifier}, '$', 3), ':', 2)) = 44
`;

/**
 * Whether a password is a hash that cannot be stored: an MD5 hash as the server knows it, or what begins like a
 * SCRAM-SHA-256 verifier but is none. Taken for plain text, it would let nobody in who has the password.
 */
export const isHash = (password: Text) => sql`(
  ${password} COLLATE "C" ~ '^md5[0-9a-f]{32}$'
  OR starts_with(${password} COLLATE "C", 'SCRAM-SHA-256$')
    AND NOT rolecall_internal.is_scram_verifier(${password})
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
 * The server compares the server key alone. A salt or key in an odd spelling counts as one, as it cannot be told.
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
        -- An int gets the lower half of what strtol() read.
        rolecall_internal.scram(
          '', decode(v_fields[3], 'base64'), ((v_fields[1] || v_fields[2])::bigint << 32 >> 32)::integer
        ),
        ':', 3
      ), 'base64');
    END
  `;
}

/**
 * Whether this stored verifier stands for this password
 *
 * Never null. A password that is itself a verifier stands for itself alone, as the server stores it. A verifier
 * with a hundred thousand iterations or more, or in a spelling that no one generates, is no match rather than a way for
 * a role to keep its administrator's session busy: it can set its own.
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
