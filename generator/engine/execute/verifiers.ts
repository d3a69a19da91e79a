/**
 * Turns a password into a verifier, right before the statement that sets it.
 */
import type { Bool, Returns, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { newSalt, usualIterations } from '../passwords/scram.ts';

/**
 * The password as a verifier: a plain one is hashed, and a ready-made verifier stays as it is
 */
export function verifier(password: Text): Returns<Text> {
  return sql`
    BEGIN
      IF NOT rolecall_internal.is_scram_verifier(${password}) THEN
        RETURN rolecall_internal.scram(${password}, ${newSalt}, ${usualIterations});
      ELSIF NOT rolecall_internal.sees_passwords()
        AND NOT rolecall_internal.is_kept_verifier(${password})
        AND rolecall_internal.is_empty_verifier(${password})
      THEN
        PERFORM rolecall_internal.refuse_empty_verifier();
      END IF;
      RETURN ${password};
    END
  `;
}

/**
 * Whether this call can see that the server has cleared a password, as it does for a verifier of the empty password
 *
 * Looking costs much less than finding out whether a verifier is one of the empty password.
 * @volatility stable
 */
export function sees_passwords(): Returns<Bool> {
  return sql`
    BEGIN
      -- An older snapshot may show the role as it was before this transaction changed it.
      RETURN current_setting('transaction_isolation') = 'read committed'
        AND has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT');
    END
  `;
}

/**
 * Whether a role has no password although it was just given one
 * @volatility stable
 * @probes
 */
export function is_password_cleared(role_name: Text): Returns<Bool> {
  return sql`
    BEGIN
      IF NOT rolecall_internal.sees_passwords() THEN
        RETURN false;
      END IF;
      -- An older snapshot may show two versions of the role.
      RETURN NOT EXISTS (
        SELECT FROM pg_authid AS a
        WHERE a.oid = to_regrole(quote_ident(${role_name}))::oid AND a.rolpassword IS NOT NULL
      );
    END
  `;
}
