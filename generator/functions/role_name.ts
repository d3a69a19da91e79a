import type { Returns, Text } from '../model/types.ts';
import { raiseNull } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';

/**
 * Returns the name of a base role in this database
 *
 * Where create_base_roles() was never called here, the names are `anonymous`, `authenticated` and `administrator`,
 * and the default role is the anonymous one.
 *
 * @group users
 * @param key `anonymous`, `authenticated`, `administrator` or `default`
 * @returns the name of the role; the role need not exist
 * @throws null_value_not_allowed - the key is null
 * @throws invalid_parameter_value - the key is none of the four
 * @throws reserved_name - the name that is recorded belongs to PostgreSQL
 * @example SELECT rolecall.role_name('authenticated');
 * @volatility stable
 */
export function role_name(key: Text): Returns<Text> {
  return sql`
    DECLARE
      v_name text;
    BEGIN
      IF ${key} IS NULL THEN
        ${raiseNull('key')}
      ELSIF ${key} NOT IN ('anonymous', 'authenticated', 'administrator', 'default') THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('there is no base role "%s"', ${key}),
          HINT = 'The keys are "anonymous", "authenticated", "administrator" and "default".';
      END IF;
      v_name := coalesce(
        rolecall_internal.newest_record('base_roles', jsonb_build_array(${key})) ->> 'name',
        CASE WHEN ${key} = 'default' THEN rolecall.role_name('anonymous') ELSE ${key} END
      );
      IF starts_with(v_name, 'pg_') THEN
        -- Such a role can be granted, but only by its name: whoever can write the record must not choose it for others.
        PERFORM rolecall_internal.check_role_name(v_name);
      END IF;
      RETURN v_name;
    END
  `;
}
