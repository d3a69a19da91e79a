import type { Bool, Table, Text } from '../model/types.ts';
import { raiseNull } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';

/**
 * Lists who has a privilege on an object, and how
 *
 * `path` says how a role has the privilege: `superuser`; `owner`; `itself`, if it was granted to the role; `PUBLIC`;
 * or `member of` a role that has it, which is the owner, a grantee, or a predefined role such as `pg_read_all_data`.
 * What a role could get only with SET ROLE is not listed: see audit_role(). It changes nothing, and works in a READ
 * ONLY transaction and on a standby.
 *
 * @group keeping
 * @param privilege name of the privilege
 * @param object table, sequence, column (`schema.table.column`) or function with its arguments, as in SQL and with
 *   the schema; schema or database
 * @returns one row for each role and each way in which it has the privilege, with the grantor; ordered by the role
 * @throws null_value_not_allowed - an argument is null
 * @throws undefined_object - there is no such object
 * @throws invalid_parameter_value - the kind of object has no such privilege, or the object is not written as in SQL
 * @example SELECT role, login, path, grantor FROM rolecall.who_can('USAGE', 'public');
 * @volatility stable
 */
export function who_can(privilege: Text, object: Text): Table<{ role: Text; login: Bool; path: Text; grantor: Text }> {
  return sql`
    DECLARE
      -- TEMP is the server's other name for it.
      v_privilege text := coalesce(nullif(upper(${privilege}), 'TEMP'), 'TEMPORARY');
      v_found record;
    BEGIN
      IF ${privilege} IS NULL OR ${object} IS NULL THEN
        ${raiseNull('privilege and object')}
      END IF;
      SELECT o.* INTO v_found FROM rolecall_internal.named_object(${object}) AS o;
      IF v_found.object_oid IS NULL THEN
        RAISE EXCEPTION USING
          ERRCODE = 'undefined_object',
          MESSAGE = format('there is no object %s', ${object}),
          HINT = 'Write tables, sequences and functions with their schema, functions with their argument types, '
                 'and columns as schema.table.column.';
      ELSIF NOT rolecall_internal.has_such_privilege(
        CASE WHEN v_found.attnum IS NULL THEN v_found.kind ELSE 'column' END, v_privilege
      ) THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('a %s has no privilege %s',
                           CASE WHEN v_found.attnum IS NULL THEN v_found.kind ELSE 'column' END, v_privilege);
      END IF;
      RETURN QUERY
        WITH holder AS MATERIALIZED (
          SELECT * FROM rolecall_internal.privilege_holders(
            v_found.kind, v_found.object_oid, v_found.attnum, v_privilege
          )
        )
        SELECT DISTINCT r.rolname::text, r.rolcanlogin, w.path, w.grantor
        FROM pg_roles AS r
        CROSS JOIN LATERAL (
          SELECT 'superuser', NULL::text WHERE r.rolsuper
          UNION ALL
          SELECT CASE WHEN h.holder = 0 THEN 'PUBLIC'
                      WHEN h.holder <> r.oid THEN format('member of %I', pg_get_userbyid(h.holder))
                      WHEN h.holder = h.owner THEN 'owner' ELSE 'itself' END,
                 pg_get_userbyid(h.grantor)::text
          FROM holder AS h
          WHERE NOT r.rolsuper AND CASE h.holder WHEN 0 THEN true WHEN r.oid THEN true
                                                 ELSE pg_has_role(r.oid, h.holder, 'USAGE') END
        ) AS w(path, grantor)
        ORDER BY 1, 3, 4;
    END
  `;
}
