import type { Bool, Interval, SetOf, StepRow, Text, Texts } from '../model/types.ts';
import { type Sql, sql } from '../sql/template.ts';
import { provisioned } from './_shared.ts';

/**
 * Creates the usual pair of read-only roles: one for the reporting schema, one for the raw data
 *
 * Each role is what provision_reporting_role() creates.
 *
 * @group reporting
 * @param reporting_role role that reads the reporting schema; null: the name of the database followed by
 *   `_reporting`; if that is too long, it is shortened and ends in a hash
 * @param raw_role role that reads the raw schema; null: the name of the database followed by `_raw`, likewise
 * @param reporting_schema schema of the reporting role, created where it is missing
 * @param raw_schema schema of the raw role
 * @param withheld_tables tables and columns withheld from both roles, as in SQL: quoted where needed, with or without
 *   the schema; null: those that an earlier call withheld, if any
 * @param table_owners roles whose future tables the roles read; null: every role that owns a table there, and the
 *   caller; one that does not exist is a skipped row with 42704
 * @param rotate_after age at which the secret, and with it the password of every reporting role, is replaced; null:
 *   never
 * @param realign_password where the caller cannot read the stored verifier: true sets the passwords with every call,
 *   false trusts that they are right
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; what the caller may not grant or revoke is skipped with 42501 and a WARNING, and what
 *   is withheld under another name with 55000
 * @throws null_value_not_allowed - a name in a list, or of a schema, is null
 * @throws invalid_name - a name is empty, longer than 63 bytes or, in the list, of more than three parts
 * @throws reserved_name - a name belongs to PostgreSQL or to rolecall
 * @throws invalid_parameter_value - the two roles have the same name, or one is a superuser, the caller, or the
 *   reporting role of another database; an entry of the list is not written as in SQL; rotate_after is negative; or
 *   the secret is encrypted and the session has no key
 * @throws object_not_in_prerequisite_state - the session has an encryption key, and the database has no pgcrypto; or
 *   this is a worker node of Citus
 * @throws insufficient_privilege - the caller may not create roles or schemas, or revoke an attribute or a membership
 *   of a role
 * @example SELECT operation, target, status FROM rolecall.provision_reporting_roles(withheld_tables => ARRAY['tokens']);
 */
export function provision_reporting_roles(
  reporting_role: Text | null = null,
  raw_role: Text | null = null,
  reporting_schema: Text = 'reporting',
  raw_schema: Text = 'public',
  withheld_tables: Texts | null = [],
  table_owners: Texts | null = null,
  rotate_after: Interval | null = '90 days',
  realign_password: Bool = true,
  dry_run: Bool = false,
): SetOf<StepRow> {
  const definition = (role: Sql, schema: Text) => sql`
    rolecall_internal.read_access(
      ${role}, ARRAY[${schema}],
      ${withheld_tables}, ${table_owners}
    )
  `;
  return sql`
    DECLARE
      v_reporting text := coalesce(
        ${reporting_role}, rolecall_internal.fitted_name(current_database(), '_reporting')
      );
      v_raw text := coalesce(
        ${raw_role}, rolecall_internal.fitted_name(current_database(), '_raw')
      );
    BEGIN
      IF num_nulls(
        ${reporting_role}, ${raw_role}
      ) > 0 AND starts_with(current_database(), 'pg_') THEN
        RAISE EXCEPTION USING
          ERRCODE = 'reserved_name',
          MESSAGE = format('the default names of the roles would start with "pg_", as database "%s" does',
                           current_database()),
          HINT = 'Pass the names of both roles, as reporting_role and raw_role.';
      ELSIF v_reporting = v_raw THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = 'the reporting and the raw role must have two different names';
      END IF;
      ${provisioned(
        [definition(sql`v_reporting`, reporting_schema), definition(sql`v_raw`, raw_schema)],
        rotate_after,
        realign_password,
        dry_run,
      )}
    END
  `;
}
