import type { Table, Text, Texts } from '../model/types.ts';
import { raiseNoRole } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';

/**
 * Lists every way that roles can write, gain power, or read what is withheld from them
 *
 * Does what audit_role() does for many roles at once, and reads each catalog once for all of them. It changes
 * nothing, and works in a READ ONLY transaction and on a standby.
 *
 * @group keeping
 * @param roles names of roles; null: every role that is neither a superuser nor predefined
 * @returns one row per finding, the most serious first, as audit_role() describes them
 * @throws null_value_not_allowed - a name is null
 * @throws invalid_name - a name is empty or longer than 63 bytes
 * @throws undefined_object - a role does not exist
 * @throws insufficient_privilege - the caller may not read what is recorded
 * @example SELECT role, severity, path, object FROM rolecall.audit();
 * @volatility stable
 */
export function audit(
  roles: Texts | null = null,
): Table<{ role: Text; severity: Text; path: Text; object: Text; detail: Text; remedy: Text }> {
  return sql`
    DECLARE
      v_name text;
    BEGIN
      FOREACH v_name IN ARRAY coalesce(${roles}, '{}') LOOP
        IF octet_length(v_name) BETWEEN 1 AND 63 IS NOT TRUE THEN
          PERFORM rolecall_internal.check_role_name(v_name);
        ELSIF to_regrole(quote_ident(v_name)) IS NULL THEN
          ${raiseNoRole(sql`v_name`)}
        END IF;
      END LOOP;
      RETURN QUERY
        SELECT f.* FROM rolecall_internal.audit_findings(ARRAY(
          SELECT r.oid FROM pg_roles AS r
          WHERE r.rolname = ANY (${roles})
            OR ${roles} IS NULL AND NOT r.rolsuper AND NOT starts_with(r.rolname, 'pg_')
        )) AS f;
    END
  `;
}
