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
      -- Taking a new lock updates the catalog caches. A lock on a shared object always does, and nobody can drop the
      -- role that this session runs as.
      PERFORM pg_get_object_address('role', ARRAY[current_user::text], '{}');
    END
  `;
}
