/**
 * Differences in passwords, and in VALID UNTIL.
 */
import { mask } from '../../model/resources.ts';
import type { Changes, Jsonb, Returns } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * Passwords that differ from the stored verifier, or that the caller cannot compare with it, and VALID UNTIL
 *
 * The document has the mask where there is a password, and the passwords are beside it: see run().
 * @volatility stable
 * @probes
 */
export function plan_passwords(document: Jsonb, passwords: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_changes rolecall_internal.change[] := '{}'::rolecall_internal.change[];
      v_readable boolean := has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT');
      v_resource jsonb;
      v_name text;
      v_role oid;
      v_until timestamptz;
      v_present timestamptz;
      v_stored text;
      v_wanted boolean;
    BEGIN
      FOR v_position IN 0 .. jsonb_array_length(${document} -> 'passwords') - 1 LOOP
        v_resource := ${document} -> 'passwords' -> v_position;
        v_name := v_resource ->> 'role';
        v_role := to_regrole(quote_ident(v_name))::oid;
        v_until := (v_resource ->> 'valid_until')::timestamptz;
        -- The role may have been dropped meanwhile, or the same call creates it, with its password.
        CONTINUE WHEN v_role IS NULL;
        -- The database to which such a role belongs is unknown, but it was not created here.
        IF (v_resource -> 'first')::boolean AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = v_role) THEN
          PERFORM rolecall_internal.refuse_other_database(v_name, 'another database, or was made at the same moment');
        END IF;
        IF v_readable THEN
          SELECT a.rolpassword, a.rolvaliduntil INTO v_stored, v_present FROM pg_authid AS a WHERE a.oid = v_role;
          v_wanted := NOT rolecall_internal.password_matches(${passwords} ->> v_name, v_stored);
        ELSE
          SELECT r.rolvaliduntil INTO v_present FROM pg_roles AS r WHERE r.oid = v_role;
          v_wanted := coalesce((v_resource -> 'realign')::boolean, true);
        END IF;
        CONTINUE WHEN NOT v_wanted AND (v_until IS NULL OR v_until = v_present);
        -- If the password is right, it is left out, because a new verifier of it would break poolers that keep the
        -- present one.
        v_changes := v_changes || ROW(
          CASE WHEN v_wanted THEN 'set_password' ELSE 'alter_role' END, v_name,
          concat_ws(' ', format('ALTER ROLE %I', v_name), 'VALID UNTIL ' || quote_literal(v_until),
                    CASE WHEN v_wanted THEN format('PASSWORD %L', ${mask}) END),
          CASE WHEN v_wanted THEN ${mask} END, ARRAY[v_name], NULL, NULL
        )::rolecall_internal.change;
      END LOOP;
      RETURN v_changes;
    END
  `;
}
