/**
 * Secrets: how they are stored, and encrypted where the session has a key; and the secret of a database that the
 * passwords of its reporting roles are derived from.
 *
 * A plain secret, and the encryption key, are only ever plpgsql variables in simple expressions or the values of
 * settings. As a parameter of a query they would be shown by auto_explain: those of EXECUTE ... USING always, those of
 * other statements in its verbose plans.
 */
import type { Bool, Bytea, Nothing, Returns, Text } from '../../model/types.ts';
import { conditions } from '../../sql/conditions.ts';
import { raiseEmpty, raiseEncrypted, raiseNull } from '../../sql/raise.ts';
import { sql, text } from '../../sql/template.ts';
import { writtenBySuperuser } from '../catalogs/functions.ts';
import { publishingSecrets, thisDatabase } from '../catalogs/server.ts';

/** The setting that holds a value for the next statement of this function, which reads it by sealed(). */
const held = text('rolecall.plain');

/**
 * Refuses a key that is null, empty or reserved
 * @volatility stable
 */
export function check_secret_key(secret_key: Text): Nothing {
  return sql`
    BEGIN
      IF ${secret_key} IS NULL THEN
        ${raiseNull('key')}
      ELSIF ${secret_key} = '' THEN
        ${raiseEmpty('key')}
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
export function is_encrypting(): Returns<Bool> {
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
export function pgcrypto_schema(): Returns<Text> {
  return sql`
    DECLARE
      v_schema text;
    BEGIN
      -- Whoever installed the extension can add a function of that name to it, so its author is checked.
      SELECT n.nspname::text INTO v_schema
      FROM pg_extension AS e
      JOIN pg_depend AS d
        ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        AND d.classid = 'pg_catalog.pg_proc'::regclass
      JOIN pg_proc AS p ON p.oid = d.objid
      JOIN pg_namespace AS n ON n.oid = p.pronamespace
      WHERE e.extname = 'pgcrypto' AND p.proname = 'pgp_sym_encrypt_bytea'
        AND oidvectortypes(p.proargtypes) = 'bytea, text, text'
        AND p.prosrc = 'pgp_sym_encrypt_bytea' AND ${writtenBySuperuser};
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
 * The stored form of the value that the calling function holds, plain or encrypted; the setting is cleared
 */
export function sealed(): Returns<Bytea> {
  return sql`
    DECLARE
      v_sealed bytea;
    BEGIN
      IF rolecall_internal.is_encrypting() THEN
        EXECUTE format(
          'SELECT %I.pgp_sym_encrypt_bytea('
            'decode(current_setting(%L), ''hex''), current_setting(%L), ''cipher-algo=aes256''::text)',
          rolecall_internal.pgcrypto_schema(), ${held}, 'rolecall.encryption_key'
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
 * A secret; null where there is none or it belongs to the database that this one is a copy of, and unless strict also
 * where it was encrypted with another key
 * @volatility stable
 */
export function read_secret(secret_key: Text, strict: Bool): Returns<Bytea> {
  return sql`
    DECLARE
      v_value bytea;
      v_encrypted boolean;
    BEGIN
      SELECT s.value, s.encrypted INTO v_value, v_encrypted
      FROM rolecall_internal.secret AS s
      WHERE s.key = ${secret_key} AND (s.made_in IS NULL OR s.made_in = ${thisDatabase});
      IF v_encrypted IS NOT TRUE THEN
        RETURN v_value;
      ELSIF NOT rolecall_internal.is_encrypting() THEN
        ${raiseEncrypted(secret_key, 'Set rolecall.encryption_key to the key that it was encrypted with.')}
      END IF;
      BEGIN
        EXECUTE format(
          'SELECT %I.pgp_sym_decrypt_bytea(s.value, current_setting(%L)) '
          'FROM rolecall_internal.secret AS s WHERE s.key = %L',
          rolecall_internal.pgcrypto_schema(), 'rolecall.encryption_key', ${secret_key}
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
 * Stores a secret; false where one exists that is not to be replaced
 *
 * A secret of the extension belongs to this database. In a copy of a database, that of the original counts as absent.
 */
export function write_secret(secret_key: Text, secret: Bytea, replace: Bool): Returns<Bool> {
  return sql`
    DECLARE
      v_held text := encode(${secret}, 'hex');
    BEGIN
      PERFORM rolecall_internal.check_writable('A secret would be stored.');
      v_held := set_config(${held}, v_held, true);
      INSERT INTO rolecall_internal.secret AS s (key, value, encrypted, made_in)
      VALUES (${secret_key}, rolecall_internal.sealed(), rolecall_internal.is_encrypting(),
              CASE WHEN starts_with(${secret_key}, 'rolecall.') THEN ${thisDatabase} END)
      ON CONFLICT (key) DO UPDATE
        SET value = excluded.value, encrypted = excluded.encrypted, made_at = excluded.made_at, made_in = excluded.made_in
      WHERE ${replace} AND (excluded.encrypted OR NOT s.encrypted OR s.made_in <> excluded.made_in);
      IF NOT FOUND AND ${replace} THEN
        ${raiseEncrypted(secret_key, 'Set rolecall.encryption_key, so that its new value is encrypted too.')}
      ELSIF FOUND AND NOT rolecall_internal.is_encrypting() AND NOT EXISTS (
        SELECT FROM pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = 'rolecall_internal.secret'::regclass AND d.deptype = 'e'
      ) THEN
        -- A dump leaves out the rows only if the table belongs to an extension.
        RAISE WARNING USING
          MESSAGE = format('a dump of this database will have the secret "%s" in clear text', ${secret_key}),
          HINT = 'Dump with --exclude-table-data=rolecall_internal.secret, or set rolecall.encryption_key.';
      END IF;
      RETURN FOUND;
    END
  `;
}

/**
 * Warns of publications that send secrets in clear text to their subscribers
 * @volatility stable
 */
export function warn_about_publications(): Nothing {
  return sql`
    DECLARE
      v_names text;
    BEGIN
      IF NOT EXISTS (SELECT FROM pg_publication) OR rolecall_internal.is_encrypting() THEN
        RETURN;
      END IF;
      SELECT string_agg(quote_ident(p.pubname), ', ' ORDER BY p.pubname) INTO v_names
      FROM ${publishingSecrets};
      IF v_names IS NOT NULL THEN
        RAISE WARNING USING
          MESSAGE = format('secrets go to the subscribers of publication %s in clear text', v_names),
          HINT = 'Have it name its tables, without rolecall_internal.secret, or set rolecall.encryption_key.';
      END IF;
    END
  `;
}

/**
 * Encrypts a secret that was stored before there was a key, where that requires no waiting
 */
export function encrypt_older(secret_key: Text): Nothing {
  return sql`
    DECLARE
      v_held text;
    BEGIN
      IF NOT rolecall_internal.is_encrypting()
        OR current_setting('transaction_read_only')::boolean
        OR NOT has_table_privilege('rolecall_internal.secret', 'UPDATE')
        OR NOT EXISTS (SELECT FROM rolecall_internal.secret AS s WHERE s.key = ${secret_key} AND NOT s.encrypted)
      THEN
        RETURN;
      END IF;
      -- A caller that reads a secret neither waits nor fails because another one is encrypting it.
      BEGIN
        SELECT encode(s.value, 'hex') INTO v_held
        FROM rolecall_internal.secret AS s WHERE s.key = ${secret_key} AND NOT s.encrypted
        FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
          v_held := set_config(${held}, v_held, true);
          UPDATE rolecall_internal.secret AS s SET value = rolecall_internal.sealed(), encrypted = true
          WHERE s.key = ${secret_key};
        END IF;
      EXCEPTION
        WHEN ${conditions('serialization_failure')} THEN
          NULL; -- another transaction has encrypted it since this one's snapshot
      END;
    END
  `;
}
