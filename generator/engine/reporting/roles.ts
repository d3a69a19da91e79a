/**
 * The reporting roles of this database.
 */
import type { Returns, Texts } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * The reporting roles that exist and are this database's
 * @volatility stable
 */
export function reporting_roles(): Returns<Texts> {
  return sql`
    BEGIN
      RETURN ARRAY(
        SELECT DISTINCT (p.key ->> 0) COLLATE "C"
        FROM rolecall_internal.resource AS p
        WHERE p.section = 'read_access'
          AND rolecall_internal.newest_record(p.section, p.key) IS NOT NULL
          AND to_regrole(quote_ident(p.key ->> 0)) IS NOT NULL
          AND rolecall_internal.other_database(p.key ->> 0) IS NULL
        ORDER BY 1
      );
    END
  `;
}
