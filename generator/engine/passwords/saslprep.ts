/**
 * Prepares a password for hashing: SASLprep (RFC 4013), as the server and libpq do it.
 */
import type { Bool, Bytea, Integer, Integers, Returns, Text } from '../../model/types.ts';
import { sql, text } from '../../sql/template.ts';
import { classRanges, stableRanges } from './_code-points.ts';

/**
 * The class of a code point in RFC 3454, as far as SASLprep distinguishes them
 *
 * space, nothing (mapped to nothing), forbidden, right_to_left, left_to_right, or null. The first that applies, so the
 * ranges of a later one are joined up across the code points of an earlier one.
 * @volatility immutable
 * @strict
 * @long its lines are data: the ranges of RFC 3454
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
 * Whether NFKC leaves this code point as it is, whatever is next to it
 *
 * Called only for code points that stringprep_class neither maps nor forbids.
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

      -- The server normalizes UTF-8 here too, but normalize() refuses. A guess would store a password that cannot log
      -- in.
      RAISE EXCEPTION 'password cannot be normalized in a database with encoding "%"', getdatabaseencoding()
        USING ERRCODE = 'feature_not_supported',
              HINT = 'Set the password from a database with encoding UTF8, or pass a SCRAM-SHA-256 verifier.';
    END
  `;
}
