import type { Table, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';

/**
 * Lists roles, memberships, settings and privileges that no call and no policy of this database asked for
 *
 * Superusers, predefined roles, the caller and reporting roles are left out, and so are the privileges of PUBLIC.
 * Privileges on objects of the whole cluster, such as tablespaces, are not listed, because another database may have
 * asked for them. Roles and memberships are listed, although they belong to the cluster too. It changes nothing, and
 * works in a READ ONLY transaction and on a standby.
 *
 * @group keeping
 * @returns one row for each, with the statement that ends it, roles last; none if all was asked for
 * @throws insufficient_privilege - the caller may not read what is recorded
 * @example SELECT kind, role, object, detail, remedy FROM rolecall.undeclared();
 * @volatility stable
 */
export function undeclared(): Table<{ kind: Text; role: Text; object: Text; detail: Text; remedy: Text }> {
  return sql`
    DECLARE
      v_roles oid[] := rolecall_internal.inspected_roles(NULL);
    BEGIN
      RETURN QUERY
        SELECT CASE c.operation WHEN 'revoke_role' THEN 'membership' WHEN 'set_config' THEN 'setting'
                                WHEN 'revoke_privilege' THEN 'privilege' ELSE 'default privilege' END,
               c.locks[1], CASE WHEN c.operation = 'revoke_role' THEN c.locks[2]
                                WHEN c.operation = 'revoke_privilege' THEN c.target END,
               CASE c.operation WHEN 'revoke_role' THEN format('member of %I', c.locks[2])
                                WHEN 'set_config' THEN substring(c.statement FROM 'RESET (.*)$')
                                ELSE substring(c.statement FROM 'REVOKE (.*) FROM ') END,
               c.statement
        FROM unnest(rolecall_internal.undeclared_changes(v_roles)) AS c
        ORDER BY 1, 2, 5;
      -- What a role has keeps it from being dropped, so that comes first.
      RETURN QUERY
        SELECT 'role', pg_get_userbyid(r.oid)::text, NULL::text, 'no call and no policy asked for it',
               format('DROP ROLE %I', pg_get_userbyid(r.oid))
        FROM unnest(v_roles) AS r(oid)
        WHERE rolecall_internal.newest_record('roles', jsonb_build_array(pg_get_userbyid(r.oid))) IS NULL
        ORDER BY 2;
    END
  `;
}
