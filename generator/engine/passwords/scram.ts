/**
 * Verifiers of SCRAM-SHA-256 as the server computes them (RFC 5802, RFC 7677), from core functions only.
 *
 * The caller's plain text is only ever a plpgsql variable in a simple expression, here and in the files beside this
 * one: no query, no dynamic SQL and no message has it, so neither the log, nor auto_explain, nor an error's CONTEXT
 * can. Every text operator that depends on a collation is given "C": the argument may carry a nondeterministic one.
 */
import type { Bytea, Integer, Returns, Text, VarBit } from '../../model/types.ts';
import { join, raw, sql } from '../../sql/template.ts';

/** The number of iterations that the server uses by default. */
export const usualIterations = 4096;

export const newSalt = sql`substring(rolecall_internal.random_bytes() FOR 16)`;

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
 * PostgreSQL has no XOR for bytea, but one for bit strings. substring(varbit_send(bits) FROM 5) is the way back: the
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
 * It is the key, each byte XOR that byte.
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
 * The verifier of a password for a given salt (RFC 5802, RFC 7677)
 * @volatility stable
 * @strict
 */
export function scram(password: Text, salt: Bytea, iterations: Integer): Returns<Text> {
  return sql`
    DECLARE
      v_key CONSTANT bytea := rolecall_internal.saslprep(${password});
      -- A round is HMAC(password, previous digest).  The two pads are the same in every round, so they are computed
      -- once.
      v_inner CONSTANT bytea := rolecall_internal.hmac_pad(v_key, '36');
      v_outer CONSTANT bytea := rolecall_internal.hmac_pad(v_key, '5c');
      -- The server does one round even if the number is smaller.
      v_rounds CONSTANT integer := greatest(${iterations}, 1);
      v_digest bytea := ${salt} || int4send(1);
      ${digests.slice(0, -1).map((digest) => sql`${digest} bytea;`)}
      v_sum bit varying := repeat('0', ${digests.length * 256})::varbit;
      v_salted_password bytea;
      v_stored_key bytea;
      v_server_key bytea;
    BEGIN
      -- PBKDF2: the XOR of all rounds' digests. Bytes have no XOR, and making the bits of a digest costs a third of
      -- its round, so several are turned into one bit string and added together; in the end its parts are.
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

/**
 * The digests of the rounds that are added together; the last one is what the next round begins with. A power of two.
 */
const digests = [1, 2, 3, 4, 5, 6, 7].map((number) => raw(`v_digest_${number}`)).concat(raw('v_digest'));

const round = (digest = raw('')) => sql`sha256(v_outer || sha256(v_inner || ${digest}))`;
