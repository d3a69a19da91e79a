import type { Table, Text } from '../model/types.ts';
import { raiseNoRole } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';

/**
 * Lists what keeps a role from being dropped, in every database of the cluster, and the statement that clears it there
 *
 * `kind` is the kind of an object that the role owns, and begins with `privileges on` where the role has privileges
 * on the object. An operator of the extension is one row. The names of objects in another database are known only
 * there: here `object` is the oid, for which a query such as `SELECT 16384::regclass` there returns the name, and
 * privileges are one row for each kind. Databases, tablespaces and the like belong to no database, and can be cleared
 * from any.
 *
 * Run `remedy` in that database, as a superuser, or as a role that has the privileges of the role and of each owner
 * whose grant it revokes. For a grant in this database that DROP OWNED would not revoke if the caller ran it, the
 * remedy is a REVOKE for the grantor. No remedy drops an object. What the role owns goes to a role that you write in
 * place of `"a plain owner"`: a group that owns objects and has no more rights than the old owner, because functions,
 * views and the like may act as their owner. One statement may clear several rows. A remedy that begins with SET ROLE
 * must be run by that role or a superuser.
 *
 * A remedy also revokes what the role had granted to others; `remove_user(…, reassign_to => …)` grants that again
 * first.
 *
 * It changes nothing, and works in a READ ONLY transaction and on a standby.
 *
 * @group users
 * @param username name of the role
 * @returns one row per object, or for several objects that cannot be told apart here; none if nothing keeps the
 *   role from being dropped
 * @throws null_value_not_allowed - the name is null
 * @throws invalid_name - the name is empty or longer than 63 bytes
 * @throws reserved_name - the name belongs to PostgreSQL
 * @throws undefined_object - the role does not exist
 * @example SELECT database, kind, object, remedy FROM rolecall.user_dependencies('alice');
 * @volatility stable
 */
export function user_dependencies(username: Text): Table<{ database: Text; kind: Text; object: Text; remedy: Text }> {
  return sql`
    DECLARE
      v_role oid;
    BEGIN
      PERFORM rolecall_internal.check_role_name(${username});
      v_role := to_regrole(quote_ident(${username}))::oid;
      IF v_role IS NULL THEN
        ${raiseNoRole(username)}
      END IF;
      RETURN QUERY
        SELECT d.database, d.kind, d.object, d.remedy
        FROM rolecall_internal.dependencies(v_role, false, false) AS d
        ORDER BY d.database COLLATE "C", d.kind COLLATE "C", d.object COLLATE "C";
    END
  `;
}
