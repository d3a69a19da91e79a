import type { Table, Text } from '../model/types.ts';
import { raiseNoRole } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';

/**
 * Lists every way that a role can write, gain power, or read what is withheld from it
 *
 * Works for any role, also for one that no call here has created. From such a role only the table of secrets is
 * withheld. It looks at the attributes of the role and of those that it can become, at memberships however many steps
 * away, at what it owns here and in other databases, at privileges on tables, columns, sequences, schemas, databases,
 * large objects, functions, languages, foreign servers, tablespaces and parameters, its own or through PUBLIC, at
 * functions that run as their owner, at views, partitions and parents of withheld tables and columns, and at
 * settings.
 *
 * For a reporting role, a role with BYPASSRLS and an operator it also lists who can become it or administers it. For
 * a reporting role it lists who owns a schema of its search_path or may create objects in one, and the publications
 * that send the secret of its password.
 *
 * A row says how serious it is:
 *
 * * `critical`: the role can change what is not its own, take on the rights of somebody else, or read what is withheld;
 * * `warning`: it has a right that a role which only reads should not require, or that leads further together with
 *   another one;
 * * `info`: what the server lets every login do; members that a call has asked for; and functions that run as their
 *   owner and that everybody may execute, if they belong to an extension of a superuser, have the ACL that the
 *   extension gave them, and a search_path of schemas in which the role cannot create anything.
 *
 * `path` begins with the role, names each membership on the way (`SET ROLE` or `ADMIN OPTION` in parentheses where
 * the privileges are not simply inherited), or PUBLIC, and ends with the kind of right. `remedy` is a statement to
 * run. It revokes the first membership of the path or, without one, the right; it is null if nothing can be done.
 * In it, replace `"a plain owner"` by a role that has no more rights than the old owner. The next provisioning run
 * grants SELECT on a view over a withheld table or column again, unless the view is among the withheld tables too.
 *
 * It changes nothing, and works in a READ ONLY transaction and on a standby.
 *
 * @group keeping
 * @param role_name name of the role
 * @returns one row per finding, the most serious first
 * @throws null_value_not_allowed - the name is null
 * @throws invalid_name - the name is empty or longer than 63 bytes
 * @throws undefined_object - the role does not exist
 * @throws insufficient_privilege - the caller may not read what is recorded
 * @example SELECT severity, path, object, detail FROM rolecall.audit_role('app_reports');
 * @volatility stable
 */
export function audit_role(role_name: Text): Table<{
  severity: Text;
  path: Text;
  object: Text;
  detail: Text;
  remedy: Text;
}> {
  return sql`
    DECLARE
      v_role oid := to_regrole(quote_ident(${role_name}))::oid;
    BEGIN
      IF octet_length(${role_name}) BETWEEN 1 AND 63 IS NOT TRUE THEN
        PERFORM rolecall_internal.check_role_name(${role_name});
      ELSIF v_role IS NULL THEN
        ${raiseNoRole(role_name)}
      END IF;
      RETURN QUERY
        SELECT f.severity, f.path, f.object, f.detail, f.remedy
        FROM rolecall_internal.audit_findings(ARRAY[v_role]) AS f;
    END
  `;
}
