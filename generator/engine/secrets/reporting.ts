/**
 * The secret of a database that the passwords of its reporting roles are derived from, and the verifiers of those
 * passwords, which are kept beside it.
 */
import type { Bool, Bytea, Interval, Jsonb, Nothing, Returns, StepRow, Text, Texts } from '../../model/types.ts';
import { conditions } from '../../sql/conditions.ts';
import { sql, text } from '../../sql/template.ts';
import { thisDatabase } from '../catalogs/server.ts';
import { usualIterations } from '../passwords/scram.ts';

/** The key of the secret that the passwords of reporting roles are derived from. */
export const reportingSecret = text('rolecall.reporting');

/** The prefix of the keys of verifiers; the name of a reporting role follows it. */
export const verifierPrefix = text('rolecall.verifier.');

/**
 * Lets a call that replaces the reporting secret and calls that set passwords derived from it wait for each other
 *
 * The lock lasts until the end of the transaction, and comes before any lock on a role. The table exists only for
 * that. A role that may not write the secrets cannot lock it.
 */
export function lock_reporting_secret(exclusive: Bool): Nothing {
  return sql`
    BEGIN
      IF ${exclusive} THEN
        PERFORM rolecall_internal.check_writable('The secret would be replaced.');
        LOCK TABLE rolecall_internal.turn IN EXCLUSIVE MODE;
      ELSE
        LOCK TABLE rolecall_internal.turn IN ROW SHARE MODE;
      END IF;
    END
  `;
}

/**
 * Whether this database has no reporting secret of its own, or the secret is older than rotate_after
 */
export function is_rotation_due(rotate_after: Interval): Returns<Bool> {
  return sql`
    BEGIN
      IF ${rotate_after} < '0' THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('rotate_after must not be negative: %s', ${rotate_after}),
          HINT = 'Pass null to keep the secret for good, or 0 to replace it with every call.';
      END IF;
      RETURN NOT EXISTS (
        SELECT FROM rolecall_internal.secret AS s
        WHERE s.key = ${reportingSecret} AND s.made_in = ${thisDatabase}
          AND (${rotate_after} IS NULL OR s.made_at + ${rotate_after} > clock_timestamp())
      );
    END
  `;
}

/**
 * Creates a new reporting secret
 */
export function rotate_secret(dry_run: Bool): Returns<StepRow> {
  return sql`
    BEGIN
      IF ${dry_run} IS NOT TRUE THEN
        PERFORM rolecall_internal.write_secret(${reportingSecret}, rolecall_internal.random_bytes(), true);
        -- Verifiers from the original of a copied database stay, because they say whose the roles are.
        DELETE FROM rolecall_internal.secret AS s
        WHERE starts_with(s.key, ${verifierPrefix}) AND s.made_in = ${thisDatabase};
      END IF;
      RETURN ROW('rotate_secret', current_database(), 'SELECT * FROM rolecall.rotate_reporting_secret()',
                 CASE WHEN ${dry_run} THEN 'planned' ELSE 'applied' END, NULL, NULL)::rolecall.step;
    END
  `;
}

/**
 * Refuses to use a reporting secret that was replaced after this transaction's snapshot
 */
export function check_secret_is_current(): Nothing {
  return sql`
    BEGIN
      -- In READ COMMITTED the lock is enough: the secret is read after it, and nobody can replace it.
      IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM FROM rolecall_internal.secret AS s WHERE s.key = ${reportingSecret} FOR SHARE;
      END IF;
    END
  `;
}

/**
 * The password of a reporting role
 * @volatility stable
 * @strict
 */
export function derived_password(secret: Bytea, role_name: Text): Returns<Text> {
  return sql`
    BEGIN
      RETURN encode(
        rolecall_internal.hmac_sha256(
          ${secret}, convert_to('rolecall:' || ${role_name}, 'UTF8')
        ),
        'hex'
      );
    END
  `;
}

/**
 * The salt of the verifier of a reporting role's password
 *
 * The salt is derived too. Every caller computes the same verifier, and the salt says whether a verifier comes from
 * this secret.
 * @volatility stable
 * @strict
 */
export function derived_salt(secret: Bytea, role_name: Text): Returns<Bytea> {
  return sql`
    BEGIN
      RETURN substring(
        rolecall_internal.hmac_sha256(
          ${secret}, convert_to('rolecall.salt:' || ${role_name}, 'UTF8')
        ) FOR 16
      );
    END
  `;
}

/**
 * Password resources of reporting roles: for each the verifier of its derived password
 *
 * Computing a verifier takes milliseconds, so an earlier one is used again. Where there is none, the password has
 * never been set, so it is set also where the record would be trusted.
 * @volatility stable
 */
export function reporting_passwords(secret: Bytea, role_names: Texts, realign: Bool): Returns<Jsonb> {
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
        FROM rolecall_internal.secret AS s
        WHERE s.key = ${verifierPrefix} || v_name AND s.made_in = ${thisDatabase};
        v_salt := rolecall_internal.derived_salt(${secret}, v_name);
        v_kept := coalesce(split_part(split_part(v_verifier, '$', 2), ':', 2) = encode(v_salt, 'base64'), false);
        IF NOT v_kept THEN
          v_verifier := rolecall_internal.scram(
            rolecall_internal.derived_password(${secret}, v_name), v_salt, ${usualIterations}
          );
        END IF;
        v_passwords := v_passwords || jsonb_build_object(
          'role', v_name, 'password', v_verifier, 'realign', ${realign} OR NOT v_kept,
          -- A reporting role has to be able to log in, so an expired password becomes valid again. An end in the
          -- future is somebody's intention, and stays.
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
 * Keeps the verifiers of reporting roles for the next call, and returns the passwords with a mark on those that are
 * the first of their role
 *
 * The verifiers also say, by oids, which roles belong to this database. Only verifiers of roles that are known to
 * belong to it are kept. Another database could create a missing role meanwhile, so a role that this call creates has
 * none until it exists.
 */
export function keep_verifiers(passwords: Jsonb, role_oids: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_passwords jsonb := ${passwords};
      v_password jsonb;
      v_position integer;
      v_here oid := ${thisDatabase};
      v_kept text;
      v_role oid;
      v_kept_role oid;
    BEGIN
      -- In order, so that no two calls wait for each other. A loop over an array, because auto_explain can log the
      -- parameters of a cursor.
      FOREACH v_position IN ARRAY ARRAY(
        SELECT p.position::integer - 1
        FROM jsonb_array_elements(${passwords}) WITH ORDINALITY AS p(password, position)
        ORDER BY (p.password ->> 'role') COLLATE "C"
      ) LOOP
        v_password := ${passwords} -> v_position;
        SELECT convert_from(s.value, 'UTF8'), s.role INTO v_kept, v_kept_role
        FROM rolecall_internal.secret AS s
        WHERE s.key = ${verifierPrefix} || (v_password ->> 'role') AND s.made_in = v_here;
        v_role := coalesce((${role_oids} ->> (v_password ->> 'role'))::oid, v_kept_role);
        IF v_kept IS DISTINCT FROM v_password ->> 'password' OR v_kept_role IS DISTINCT FROM v_role THEN
          PERFORM rolecall_internal.check_writable(format('A password of role "%s" would be kept.', v_password ->> 'role'));
          BEGIN
            -- pg_authid has the same text, so encrypting it would protect nothing.
            INSERT INTO rolecall_internal.secret AS s (key, value, encrypted, made_in, role)
            VALUES (${verifierPrefix} || (v_password ->> 'role'), convert_to(v_password ->> 'password', 'UTF8'), false,
                    v_here, v_role)
            ON CONFLICT (key) DO UPDATE
              SET value = excluded.value, made_at = excluded.made_at, made_in = excluded.made_in, role = excluded.role;
            v_passwords := jsonb_set(v_passwords, ARRAY[v_position::text, 'first'], to_jsonb(v_kept IS NULL));
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
 * Whether a verifier is kept as that of a reporting role, so that it does not have to be checked
 * @volatility stable
 */
export function is_kept_verifier(verifier: Text): Returns<Bool> {
  return sql`
    BEGIN
      IF NOT has_table_privilege('rolecall_internal.secret', 'SELECT') THEN
        RETURN false;
      END IF;
      RETURN EXISTS (
        SELECT FROM rolecall_internal.secret AS s
        WHERE starts_with(s.key, ${verifierPrefix}) AND s.value = convert_to(${verifier}, 'UTF8')
      );
    END
  `;
}

/**
 * The oids of the roles with these names, by name; roles that do not exist are left out
 * @volatility stable
 */
export function role_oids(role_names: Texts): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT jsonb_strip_nulls(coalesce(
                 jsonb_object_agg(n.name, to_regrole(quote_ident(n.name))::oid::bigint), '{}'
               ))
        FROM unnest(${role_names}) AS n(name)
      );
    END
  `;
}
