/**
 * Durations as the server reads them.
 */
import type { Bool, Returns, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * Whether the server rounds a statement_timeout that is greater than 0 to 0, which means no limit
 *
 * The rounding depends on the unit: 5us, 0.5ms and 0.01d become 0. So the function sets the value, reads what the
 * server made of it, and restores the timeout of the session.
 */
export function is_rounded_off(statement_timeout: Text): Returns<Bool> {
  return sql`
    DECLARE
      v_kept CONSTANT text := current_setting('statement_timeout');
      v_read text;
    BEGIN
      IF ${statement_timeout} !~ '[1-9]' THEN
        RETURN false;
      END IF;
      v_read := set_config('statement_timeout', ${statement_timeout}, true);
      PERFORM set_config('statement_timeout', v_kept, true);
      RETURN v_read = '0';
    END
  `;
}
