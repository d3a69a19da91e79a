/**
 * Empty passwords, which no role can have.
 */
import type { Nothing } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * Refuses a verifier of the empty password, for which the server stores none
 * @volatility stable
 */
export function refuse_empty_verifier(): Nothing {
  return sql`
    BEGIN
      RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = 'password must not be empty',
        DETAIL = 'It is a verifier of the empty password, for which the server stores none.',
        HINT = 'Use null for a role without a password.';
    END
  `;
}
