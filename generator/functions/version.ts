import { product } from '../model/product.ts';
import type { Returns, Text } from '../model/types.ts';
import { sql, text } from '../sql/template.ts';

/**
 * Returns the version that is installed in this database, as an extension or by the plain script
 *
 * @group keeping
 * @returns the version, such as `1.2.3`
 * @volatility immutable
 * @example SELECT rolecall.version();
 */
export function version(): Returns<Text> {
  return sql`
    BEGIN
      RETURN ${text(product.version)};
    END
  `;
}
