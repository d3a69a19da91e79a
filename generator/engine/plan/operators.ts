/**
 * What is missing for operators: roles that may call every function of the extension without being superusers.
 */
import { schemas } from '../../model/objects.ts';
import type { ChangeRow, Jsonb, Nothing, SetOf, Text } from '../../model/types.ts';
import { raiseNoRole } from '../../sql/raise.ts';
import { join, sql, text } from '../../sql/template.ts';

/**
 * Privileges on the extension's own objects that operators are missing
 * @volatility stable
 */
export function plan_operators(document: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH extension AS (
          SELECT n.oid, n.nspowner, pg_has_role(n.nspowner, 'USAGE') AS owned,
                 coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl
          FROM pg_namespace AS n WHERE n.nspname IN (${join(Object.values(schemas).map(text))})
        ),
        -- Each statement grants on all objects of one kind. One privilege that one of them lacks is reason enough.
        privilege AS (
          SELECT 1 AS phase, e.nspowner, e.owned, 'USAGE' AS needed,
                 'GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO %I' AS statement, e.acl
          FROM extension AS e
          UNION ALL
          SELECT DISTINCT 2, e.nspowner, e.owned, 'EXECUTE',
                 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO %I',
                 coalesce(p.proacl, acldefault('f', p.proowner))
          FROM extension AS e JOIN pg_proc AS p ON p.pronamespace = e.oid
          UNION ALL
          SELECT DISTINCT 3, e.nspowner, e.owned, w.privilege,
                 'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO %I',
                 coalesce(c.relacl, acldefault('r', c.relowner))
          FROM extension AS e
          JOIN pg_class AS c ON c.relnamespace = e.oid AND c.relkind IN ('r', 'v')
          CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS w(privilege)
        )
        SELECT 'grant_privilege', o.role, format(p.statement, o.role), NULL::text, ARRAY[o.role],
               CASE WHEN r.absent THEN '42704' WHEN NOT p.owned THEN '42501' END,
               CASE WHEN r.absent THEN 'the role does not exist'
                    WHEN NOT p.owned
                      THEN format('the objects of the extension are owned by %I', pg_get_userbyid(p.nspowner)) END
        FROM ROWS FROM (jsonb_to_recordset(${document} -> 'operators') AS (role text))
             WITH ORDINALITY AS o(role, position)
        CROSS JOIN LATERAL (
          SELECT i.role_oid, i.role_oid IS NULL AND NOT coalesce(
                   ${document} -> 'roles' @> jsonb_build_array(jsonb_build_object('name', o.role)), false
                 ) AS absent
          FROM (SELECT to_regrole(quote_ident(o.role))::oid) AS i(role_oid)
        ) AS r
        CROSS JOIN privilege AS p
        WHERE NOT EXISTS (
          SELECT FROM aclexplode(p.acl) AS a WHERE a.grantee = r.role_oid AND a.privilege_type = p.needed
        )
        GROUP BY o.position, o.role, r.role_oid, r.absent, p.phase, p.statement, p.owned, p.nspowner
        ORDER BY o.position, p.phase;
    END
  `;
}

/**
 * Refuses an operator that does not exist or only reads, and a caller that could not grant it anything
 * @volatility stable
 */
export function check_operator(role_name: Text): Nothing {
  return sql`
    DECLARE
      v_owner oid := (SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = 'rolecall');
    BEGIN
      IF to_regrole(quote_ident(${role_name})) IS NULL THEN
        ${raiseNoRole(role_name)}
      ELSIF rolecall_internal.newest_record('read_access', jsonb_build_array(${role_name})) IS NOT NULL
            OR rolecall_internal.other_database(${role_name}) IS NOT NULL THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('role "%s" is a reporting role', ${role_name}),
          HINT = 'Choose another role: an operator reads the secret that the passwords of reporting roles are '
                 'derived from.';
      ELSIF NOT pg_has_role(v_owner, 'USAGE') THEN
        RAISE EXCEPTION USING
          ERRCODE = 'insufficient_privilege',
          MESSAGE = 'only the owner of the extension''s objects can add an operator',
          HINT = format('Have "%s", or a superuser, make the call.', pg_get_userbyid(v_owner));
      END IF;
    END
  `;
}
