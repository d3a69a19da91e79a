import type { Returns, Text } from '../model/types.ts';
import { raiseNull } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';

/**
 * Returns the name of a base role in this database
 *
 * If create_base_roles() was never called here, the names are `anonymous`, `authenticated` and `administrator`, and
 * the default role is the anonymous one. If the role that recorded a name could not grant it, the name is not used; a
 * WARNING says so, and the name recorded before it counts.
 *
 * @group users
 * @param key `anonymous`, `authenticated`, `administrator` or `default`
 * @returns the name of the role, which may be missing
 * @throws null_value_not_allowed - the key is null
 * @throws invalid_parameter_value - the key is not one of the four
 * @example SELECT rolecall.role_name('authenticated');
 * @volatility stable
 */
export function role_name(key: Text): Returns<Text> {
  return sql`
    BEGIN
      IF ${key} IS NULL THEN
        ${raiseNull('key')}
      ELSIF ${key} NOT IN ('anonymous', 'authenticated', 'administrator', 'default') THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('there is no base role "%s"', ${key}),
          HINT = 'The keys are "anonymous", "authenticated", "administrator" and "default".';
      END IF;
      RETURN coalesce(
        rolecall_internal.recorded_name(${key}, false),
        CASE WHEN ${key} = 'default' THEN rolecall.role_name('anonymous') ELSE ${key} END
      );
    END
  `;
}
