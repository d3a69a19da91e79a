/**
 * The catalog caches of this backend.
 */
import type { Nothing } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * Lets this backend see what other transactions have committed to the catalogs
 */
export function refresh_caches(): Nothing {
  return sql`
    BEGIN
      -- The catalog caches are brought up to date when a lock is newly taken. A shared object's lock always does
      -- that, and nobody can be dropping the role that this session runs as.
      PERFORM pg_get_object_address('role', ARRAY[current_user::text], '{}');
    END
  `;
}
