/**
 * Secrets: how they are stored, and encrypted where the session has a key; and the secret of a database that the
 * passwords of its reporting roles are derived from.
 *
 * A plain secret, and the encryption key, are only ever plpgsql variables in simple expressions or the values of
 * settings. As a parameter of a query they would be shown by auto_explain: those of EXECUTE ... USING always, those of
 * other statements in its verbose plans.
 */
import type { Bool, Bytea, Interval, Jsonb, Nothing, Returns, StepRow, Text, Texts } from '../model/types.ts';
import { sql, text } from '../sql/template.ts';
import { conditions } from './conditions.ts';
import { marker } from './lock.ts';

/** Key of the secret that the passwords of reporting roles are derived from. */
export const reportingSecret = text('rolecall.reporting');
/** Before the name of a reporting role: key of the verifier of its password. */
export const verifierPrefix = text('rolecall.verifier.');

/** Holds a value for the next statement of this function, which reads it by _sealed(). */
const held = text('rolecall.plain');

/**
 * Refuses a key that no secret of a user can have
 * @volatility stable
 */
export function _check_secret_key(secret_key: Text): Nothing {
  return sql`
    BEGIN
      IF ${secret_key} IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'key must not be null';
      ELSIF ${secret_key} = '' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'key must not be empty';
      ELSIF starts_with(${secret_key}, 'rolecall.') THEN
        RAISE EXCEPTION USING
          ERRCODE = 'reserved_name',
          MESSAGE = format('key "%s" is reserved', ${secret_key}),
          HINT = 'Keys that start with "rolecall." belong to the extension.';
      END IF;
    END
  `;
}

/**
 * Whether this session encrypts secrets
 * @volatility stable
 */
export function _is_encrypting(): Returns<Bool> {
  return sql`
    BEGIN
      RETURN coalesce(current_setting('rolecall.encryption_key', true), '') <> '';
    END
  `;
}

/**
 * The schema of pgcrypto's functions, wherever the extension was put
 * @volatility stable
 */
export function _pgcrypto_schema(): Returns<Text> {
  return sql`
    DECLARE
      v_schema text;
    BEGIN
      -- A function of that name that is not a member of the extension is somebody else's.
      SELECT n.nspname::text INTO v_schema
      FROM pg_extension AS e
      JOIN pg_depend AS d
        ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        AND d.classid = 'pg_catalog.pg_proc'::regclass
      JOIN pg_proc AS p ON p.oid = d.objid
      JOIN pg_namespace AS n ON n.oid = p.pronamespace
      WHERE e.extname = 'pgcrypto' AND p.proname = 'pgp_sym_encrypt_bytea';
      IF v_schema IS NULL THEN
        RAISE EXCEPTION USING
          ERRCODE = 'object_not_in_prerequisite_state',
          MESSAGE = 'secrets are to be encrypted, but the extension pgcrypto is not installed in this database',
          HINT = 'Run CREATE EXTENSION pgcrypto, or RESET rolecall.encryption_key to store secrets as they are.';
      END IF;
      RETURN v_schema;
    END
  `;
}

/**
 * The stored form of the value that the calling function holds: as it is, or encrypted; it is held no longer then
 */
export function _sealed(): Returns<Bytea> {
  return sql`
    DECLARE
      v_sealed bytea;
    BEGIN
      IF rolecall._is_encrypting() THEN
        EXECUTE format(
          'SELECT %I.pgp_sym_encrypt_bytea('
            'decode(current_setting(%L), ''hex''), current_setting(%L), ''cipher-algo=aes256'')',
          rolecall._pgcrypto_schema(), ${held}, 'rolecall.encryption_key'
        ) INTO v_sealed;
      ELSE
        v_sealed := decode(current_setting(${held}), 'hex');
      END IF;
      PERFORM set_config(${held}, '', true);
      RETURN v_sealed;
    END
  `;
}

/**
 * A secret; null where there is none, and unless strict also where it was encrypted with another key
 * @volatility stable
 */
export function _read_secret(secret_key: Text, strict: Bool): Returns<Bytea> {
  return sql`
    DECLARE
      v_value bytea;
      v_encrypted boolean;
    BEGIN
      SELECT s.value, s.encrypted INTO v_value, v_encrypted FROM rolecall.secret AS s WHERE s.key = ${secret_key};
      IF v_encrypted IS NOT TRUE THEN
        RETURN v_value;
      ELSIF NOT rolecall._is_encrypting() THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('secret "%s" is encrypted, and this session has no key', ${secret_key}),
          HINT = 'Set rolecall.encryption_key to the key that it was encrypted with.';
      END IF;
      BEGIN
        EXECUTE format(
          'SELECT %I.pgp_sym_decrypt_bytea(s.value, current_setting(%L)) FROM rolecall.secret AS s WHERE s.key = %L',
          rolecall._pgcrypto_schema(), 'rolecall.encryption_key', ${secret_key}
        ) INTO v_value;
        RETURN v_value;
      EXCEPTION
        WHEN ${conditions('external_routine_invocation_exception')} THEN
          IF ${strict} THEN
            RAISE EXCEPTION USING
              ERRCODE = 'invalid_parameter_value',
              MESSAGE = format('secret "%s" was encrypted with another key', ${secret_key}),
              HINT = 'Set rolecall.encryption_key to the key that it was encrypted with.';
          END IF;
          RETURN NULL;
      END;
    END
  `;
}

/**
 * Stores a secret; false where there is one that is not to be replaced
 */
export function _write_secret(secret_key: Text, secret: Bytea, replace: Bool): Returns<Bool> {
  return sql`
    DECLARE
      v_held text := encode(${secret}, 'hex');
    BEGIN
      v_held := set_config(${held}, v_held, true);
      INSERT INTO rolecall.secret AS s (key, value, encrypted)
      VALUES (${secret_key}, rolecall._sealed(), rolecall._is_encrypting())
      ON CONFLICT (key) DO UPDATE SET value = excluded.value, encrypted = excluded.encrypted, made_at = excluded.made_at
      WHERE ${replace} AND (excluded.encrypted OR NOT s.encrypted);
      IF NOT FOUND AND ${replace} THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('secret "%s" is encrypted, and this session has no key', ${secret_key}),
          HINT = 'Set rolecall.encryption_key, so that its new value is encrypted too.';
      END IF;
      RETURN FOUND;
    END
  `;
}

/**
 * Encrypts a secret that was stored before there was a key, where that can be done in passing
 */
export function _encrypt_older(secret_key: Text): Nothing {
  return sql`
    DECLARE
      v_held text;
    BEGIN
      IF NOT rolecall._is_encrypting()
        OR current_setting('transaction_read_only')::boolean
        OR NOT has_table_privilege('rolecall.secret', 'UPDATE')
        OR NOT EXISTS (SELECT FROM rolecall.secret AS s WHERE s.key = ${secret_key} AND NOT s.encrypted)
      THEN
        RETURN;
      END IF;
      -- Somebody who reads a secret neither waits nor fails because somebody else is encrypting it.
      BEGIN
        SELECT encode(s.value, 'hex') INTO v_held
        FROM rolecall.secret AS s WHERE s.key = ${secret_key} AND NOT s.encrypted
        FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
          v_held := set_config(${held}, v_held, true);
          UPDATE rolecall.secret AS s SET value = rolecall._sealed(), encrypted = true
          WHERE s.key = ${secret_key};
        END IF;
      EXCEPTION
        WHEN ${conditions('serialization_failure')} THEN
          NULL; -- another transaction has encrypted it since this one's snapshot
      END;
    END
  `;
}

/**
 * Serializes those who replace the reporting secret with those who set passwords that are derived from it
 *
 * Until the end of the transaction, and before any lock on a role. The secret belongs to this database, as an
 * advisory lock does.
 */
export function _lock_reporting_secret(exclusive: Bool): Nothing {
  return sql`
    BEGIN
      IF ${exclusive} THEN
        PERFORM pg_advisory_xact_lock(${marker}, 0);
      ELSE
        PERFORM pg_advisory_xact_lock_shared(${marker}, 0);
      END IF;
    END
  `;
}

/**
 * Whether there is no reporting secret, or it is older than it may be
 */
export function _is_rotation_due(rotate_after: Interval): Returns<Bool> {
  return sql`
    BEGIN
      RETURN NOT EXISTS (
        SELECT FROM rolecall.secret AS s
        WHERE s.key = ${reportingSecret}
          AND (${rotate_after} IS NULL OR s.made_at + ${rotate_after} > clock_timestamp())
      );
    END
  `;
}

/**
 * Makes a new reporting secret
 */
export function _rotate_secret(dry_run: Bool): Returns<StepRow> {
  return sql`
    BEGIN
      IF ${dry_run} IS NOT TRUE THEN
        PERFORM rolecall._write_secret(${reportingSecret}, rolecall._random_bytes(), true);
        DELETE FROM rolecall.secret AS s WHERE starts_with(s.key, ${verifierPrefix});
      END IF;
      RETURN ROW('rotate_secret', current_database(), 'SELECT * FROM rolecall.rotate_reporting_secret()',
                 CASE WHEN ${dry_run} THEN 'planned' ELSE 'applied' END, NULL, NULL)::rolecall.step;
    END
  `;
}

/**
 * Refuses to go on with a reporting secret that was replaced since this transaction's snapshot
 */
export function _check_secret_is_current(): Nothing {
  return sql`
    BEGIN
      -- In READ COMMITTED the lock is enough: nobody can have replaced the secret since it was read.
      IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM FROM rolecall.secret AS s WHERE s.key = ${reportingSecret} FOR SHARE;
      END IF;
    END
  `;
}

/**
 * The reporting roles that exist and are this database's
 * @volatility stable
 */
export function _reporting_roles(): Returns<Texts> {
  return sql`
    BEGIN
      RETURN ARRAY(
        SELECT DISTINCT (p.key ->> 0) COLLATE "C"
        FROM rolecall.resource AS p
        WHERE p.section = 'read_access'
          AND rolecall._recorded(p.section, p.key) IS NOT NULL
          AND to_regrole(quote_ident(p.key ->> 0)) IS NOT NULL
          AND rolecall._other_database(p.key ->> 0) IS NULL
        ORDER BY 1
      );
    END
  `;
}

/**
 * The password of a reporting role
 * @volatility stable
 * @strict
 */
export function _derived_password(secret: Bytea, role_name: Text): Returns<Text> {
  return sql`
    BEGIN
      RETURN encode(
        rolecall._hmac_sha256(${secret}, convert_to('rolecall:' || ${role_name}, 'UTF8')),
        'hex'
      );
    END
  `;
}

/**
 * The salt of the verifier of a reporting role's password
 *
 * Derived too: every caller makes the same verifier, and the salt tells whether one was made from this secret.
 * @volatility stable
 * @strict
 */
export function _derived_salt(secret: Bytea, role_name: Text): Returns<Bytea> {
  return sql`
    BEGIN
      RETURN substring(
        rolecall._hmac_sha256(${secret}, convert_to('rolecall.salt:' || ${role_name}, 'UTF8')) FOR 16
      );
    END
  `;
}

/**
 * Password resources of reporting roles: for each the verifier of its derived password
 *
 * Making a verifier takes milliseconds, so one that was made before is used again. Where there is none the password has
 * never been set, so it is set also where the record would be trusted.
 * @volatility stable
 */
export function _reporting_passwords(secret: Bytea, role_names: Texts, realign: Bool): Returns<Jsonb> {
  return sql`
    DECLARE
      v_passwords jsonb[] := '{}'::jsonb[];
      v_name text;
      v_salt bytea;
      v_verifier text;
      v_kept boolean;
    BEGIN
      FOREACH v_name IN ARRAY ${role_names} LOOP
        SELECT convert_from(s.value, 'UTF8') INTO v_verifier
        FROM rolecall.secret AS s WHERE s.key = ${verifierPrefix} || v_name;
        v_salt := rolecall._derived_salt(${secret}, v_name);
        v_kept := coalesce(split_part(split_part(v_verifier, '$', 2), ':', 2) = encode(v_salt, 'base64'), false);
        IF NOT v_kept THEN
          v_verifier := rolecall._scram(rolecall._derived_password(${secret}, v_name), v_salt, 4096);
        END IF;
        v_passwords := v_passwords || jsonb_build_object(
          'role', v_name, 'password', v_verifier, 'realign', ${realign} OR NOT v_kept,
          -- It is to log in. An end that is yet to come is somebody's intention.
          'valid_until', (
            SELECT 'infinity' FROM pg_roles AS r
            WHERE r.oid = to_regrole(quote_ident(v_name))::oid AND r.rolvaliduntil <= now()
          )
        );
      END LOOP;
      RETURN to_jsonb(v_passwords);
    END
  `;
}

/**
 * Keeps the verifiers of reporting roles for the next call, and returns the passwords with those marked that are the first
 */
export function _keep_verifiers(passwords: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_passwords jsonb := ${passwords};
      v_password jsonb;
      v_position bigint;
      v_kept text;
    BEGIN
      -- Sorted, so that no two calls wait for each other's.
      FOR v_password, v_position IN
        SELECT p.password, p.position
        FROM jsonb_array_elements(${passwords}) WITH ORDINALITY AS p(password, position)
        ORDER BY (p.password ->> 'role') COLLATE "C"
      LOOP
        SELECT convert_from(s.value, 'UTF8') INTO v_kept
        FROM rolecall.secret AS s WHERE s.key = ${verifierPrefix} || (v_password ->> 'role');
        IF v_kept IS DISTINCT FROM v_password ->> 'password' THEN
          BEGIN
            -- The server has the same text in pg_authid, so there is nothing to encrypt.
            INSERT INTO rolecall.secret AS s (key, value, encrypted)
            VALUES (${verifierPrefix} || (v_password ->> 'role'), convert_to(v_password ->> 'password', 'UTF8'), false)
            ON CONFLICT (key) DO UPDATE SET value = excluded.value, made_at = excluded.made_at;
            v_passwords := jsonb_set(v_passwords, ARRAY[(v_position - 1)::text, 'first'], to_jsonb(v_kept IS NULL));
          EXCEPTION
            WHEN ${conditions('serialization_failure')} THEN
              NULL; -- another transaction has kept the same one since this one's snapshot
          END;
        END IF;
      END LOOP;
      RETURN v_passwords;
    END
  `;
}

/**
 * Whether a verifier is kept as that of a reporting role, so that it needs no checking
 * @volatility stable
 */
export function _is_kept_verifier(verifier: Text): Returns<Bool> {
  return sql`
    BEGIN
      IF NOT has_table_privilege('rolecall.secret', 'SELECT') THEN
        RETURN false;
      END IF;
      RETURN EXISTS (
        SELECT FROM rolecall.secret AS s
        WHERE starts_with(s.key, ${verifierPrefix}) AND s.value = convert_to(${verifier}, 'UTF8')
      );
    END
  `;
}
