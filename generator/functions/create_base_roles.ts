import { desired, type DesiredState } from '../model/resources.ts';
import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { raw, type Sql, sql, text } from '../sql/template.ts';
import { groupRole, refusingReporting, rows, unlessEstablished } from './_shared.ts';

/**
 * Creates the three group roles anonymous, authenticated and administrator, and remembers their names for this database
 *
 * The roles cannot log in and have no powerful attribute, except that the administrator bypasses row-level security.
 * Roles of these names that exist already get these attributes. If the names change, the roles of the earlier names
 * stay as they are.
 *
 * A role does not get BYPASSRLS if a role without it, such as the one that created it, could take it by membership or
 * ADMIN OPTION. If the caller cannot give BYPASSRLS, the administrator is created without it. A WARNING and a skipped
 * row then contain the statement for a role that can give it.
 *
 * @group users
 * @param anonymous name of the role for unauthenticated access; null: the remembered name, else `anonymous`
 * @param authenticated name of the role for authenticated access; null: the remembered name, else `authenticated`
 * @param administrator name of the role that bypasses row-level security; null: the remembered name, else
 *   `administrator`
 * @param default_role name of the role that applications use by default, which is not created; null: the remembered
 *   name, else the anonymous role
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; none if nothing differs; a skipped row with 42501 where the caller cannot give
 *   BYPASSRLS, or others could take it
 * @throws invalid_parameter_value - two of the first three names are the same, one of the four is a superuser or the
 *   caller, one of the first three is a reporting role, or one of them is null and the name recorded for it is not
 *   acted on
 * @throws invalid_name - a name is empty or longer than 63 bytes
 * @throws reserved_name - a name belongs to PostgreSQL
 * @throws insufficient_privilege - the caller may not create or change the roles
 * @example SELECT operation, target, status FROM rolecall.create_base_roles();
 */
export function create_base_roles(
  anonymous: Text | null = null,
  authenticated: Text | null = null,
  administrator: Text | null = null,
  default_role: Text | null = null,
  dry_run: Bool = false,
): SetOf<StepRow> {
  const names = {
    anonymous: raw('v_anonymous'),
    authenticated: raw('v_authenticated'),
    administrator: raw('v_administrator'),
  };
  const recorded = (key: string) => sql`rolecall_internal.recorded_name(${text(key)}, true)`;
  const group = (bypassrls: boolean) => ({ attributes: { ...groupRole, bypassrls }, protected: true }) as const;
  const state: DesiredState = {
    roles: [
      { name: names.anonymous, ...group(false) },
      { name: names.authenticated, ...group(false) },
      { name: names.administrator, ...group(true) },
    ],
    base_roles: [
      { key: 'anonymous', name: names.anonymous },
      { key: 'authenticated', name: names.authenticated },
      { key: 'administrator', name: names.administrator },
      // Not named, it is left as it is recorded; never named, it follows the anonymous role.
      { key: 'default', name: default_role as Sql },
    ],
  };
  return sql`
    DECLARE
      v_anonymous text := coalesce(
        ${anonymous}, ${recorded('anonymous')}, 'anonymous'
      );
      v_authenticated text := coalesce(
        ${authenticated}, ${recorded('authenticated')}, 'authenticated'
      );
      v_administrator text := coalesce(
        ${administrator}, ${recorded('administrator')}, 'administrator'
      );
      v_state jsonb := ${desired(state)}
        #- CASE WHEN ${default_role} IS NULL THEN '{base_roles,3}' ELSE '{}' END::text[];
    BEGIN
      IF v_anonymous = v_authenticated OR v_authenticated = v_administrator OR v_administrator = v_anonymous THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = 'the anonymous, authenticated and administrator roles must have three different names';
      END IF;
      IF ${default_role} IS NOT NULL THEN
        PERFORM rolecall_internal.check_role_name(${default_role});
        PERFORM rolecall_internal.check_protected(${default_role});
      END IF;
      ${unlessEstablished(raw('v_state'))}
      ${refusingReporting(state)}
      PERFORM rolecall_internal.note_default_role(v_state);
      ${rows(sql`rolecall_internal.run(v_state, ${dry_run}, '{}')`)}
    END
  `;
}
