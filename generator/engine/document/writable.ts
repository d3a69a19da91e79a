/**
 * Transactions that cannot change anything.
 */
import type { Nothing, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * Refuses a change in a read-only transaction; on a standby every transaction is read-only
 * @volatility stable
 */
export function check_writable(detail: Text): Nothing {
  return sql`
    BEGIN
      IF current_setting('transaction_read_only')::boolean THEN
        RAISE EXCEPTION USING
          ERRCODE = 'read_only_sql_transaction',
          MESSAGE = CASE WHEN pg_is_in_recovery() THEN 'this call would change something, and the server is a standby'
                         ELSE 'this call would change something, and the transaction is read-only' END,
          DETAIL = ${detail},
          HINT = CASE WHEN pg_is_in_recovery() THEN 'Connect to the primary server'
                      ELSE 'Make the call in a READ WRITE transaction' END
                 || ', or see by dry_run => true, or rolecall.drift(), what would change.';
      END IF;
    END
  `;
}
