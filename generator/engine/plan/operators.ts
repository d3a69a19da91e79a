/**
 * Privileges of operators, which may call every function of the extension without being superusers: those that are
 * missing, and those of a role that is no longer to be an operator.
 *
 * The objects belong to the bootstrap superuser. Whoever installed the extension has the privileges WITH GRANT
 * OPTION, and so can add operators too.
 */
import { schemaNames, schemas } from '../../model/objects.ts';
import type { ChangeRow, Jsonb, Nothing, Oid, SetOf, Table, Text } from '../../model/types.ts';
import { raiseNoRole, raiseReporting } from '../../sql/raise.ts';
import { join, raw, type Sql, sql, text } from '../../sql/template.ts';
import { wrapped } from '../../sql/quote.ts';
import { takers } from '../catalogs/edges.ts';
import { caller, serverVersion } from '../catalogs/server.ts';
import { isIn } from '../document/lists.ts';
import { isReporting } from './users.ts';

/** If one privilege is missing on one object, the statement grants it on all objects of the kind. */
const kinds = [
  { privileges: ['USAGE'], on: `SCHEMA ${Object.values(schemas).join(', ')}` },
  { privileges: ['EXECUTE'], on: `ALL FUNCTIONS IN SCHEMA ${schemas.public}, ${schemas.internal}` },
  {
    privileges: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
    on: `ALL TABLES IN SCHEMA ${schemas.internal}, ${schemas.watch}`,
  },
];

/** Templates of the statements that grant an operator its privileges. */
export const operatorGrants = kinds.map(({ privileges, on }) => `GRANT ${privileges.join(', ')} ON ${on} TO %I`);

const kindRows = join(
  kinds.map(
    ({ privileges, on }, at) => sql`
      (${at + 1}, ${text(`{${privileges.join()}}`)}::text[],
       ${raw(wrapped(operatorGrants[at] as string, 90))},
       ${text(`REVOKE ALL ON ${on} FROM %I`)})
    `,
  ),
  ',\n',
);

/** What operators use, by kind, owner and ACL. */
const objects = sql`
  SELECT DISTINCT o.kind, o.owner,
         coalesce(o.acl, acldefault((ARRAY['n', 'f', 'r'])[o.kind]::"char", o.owner)) AS acl
  FROM pg_namespace AS n
  CROSS JOIN LATERAL (
    SELECT 1, n.nspowner, n.nspacl
    UNION ALL
    SELECT 2, p.proowner, p.proacl FROM pg_proc AS p WHERE p.pronamespace = n.oid
    UNION ALL
    SELECT 3, c.relowner, c.relacl FROM pg_class AS c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'v')
  ) AS o(kind, owner, acl)
  WHERE n.nspname IN (${schemaNames})
`;

/**
 * Privileges on the extension's own objects that operators are missing, and those that are to be revoked
 * @volatility stable
 */
export function plan_operators(document: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH object AS MATERIALIZED (
          ${objects}
        ),
        missing AS (
          SELECT w.position, w.role, r.role_oid, k.kind, k.grant_format,
                 bool_and(m.may) AS may, min(pg_get_userbyid(o.owner)::text) AS owner
          FROM ROWS FROM (jsonb_to_recordset(${document} -> 'operators') AS (role text, state text))
               WITH ORDINALITY AS w(role, state, position)
          CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(w.role))::oid) AS r(role_oid)
          CROSS JOIN (
            VALUES ${kindRows}
          ) AS k(kind, privileges, grant_format)
          JOIN object AS o ON o.kind = k.kind
          CROSS JOIN unnest(k.privileges) AS p(privilege)
          CROSS JOIN LATERAL (
            SELECT coalesce(bool_or(a.grantee = r.role_oid), false),
                   pg_has_role(o.owner, 'USAGE') OR coalesce(bool_or(
                     a.is_grantable AND CASE WHEN a.grantee <> 0 THEN pg_has_role(a.grantee, 'USAGE') END
                   ), false)
            FROM aclexplode(o.acl) AS a WHERE a.privilege_type = p.privilege
          ) AS m(present, may)
          WHERE w.state IS NULL AND NOT m.present
          GROUP BY w.position, w.role, r.role_oid, k.kind, k.grant_format
        )
        SELECT 'grant_privilege', m.role, concat_ws('; ', t.revokes, format(m.grant_format, m.role)), NULL::text,
               ARRAY[m.role],
               CASE WHEN a.absent THEN '42704' WHEN NOT m.may OR t.names IS NOT NULL THEN '42501' END,
               CASE WHEN a.absent THEN 'the role does not exist'
                    WHEN t.names IS NOT NULL THEN format('the role could be taken by %s', t.names)
                    WHEN NOT m.may THEN format('the objects of the extension are owned by %I', m.owner) END
        FROM missing AS m
        CROSS JOIN LATERAL (
          SELECT m.role_oid IS NULL AND NOT ${isIn(document, 'roles', sql`m.role`)}
        ) AS a(absent)
        CROSS JOIN LATERAL rolecall_internal.operator_takers(m.role_oid) AS t
        ORDER BY m.position, m.kind;
      RETURN QUERY SELECT * FROM rolecall_internal.plan_former_operators(${document} -> 'operators');
    END
  `;
}

/**
 * The steps that revoke the privileges of operators whose state is absent
 * @volatility stable
 */
export function plan_former_operators(operators: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_caller oid := ${caller};
      -- A caller that has used SET ROLE continues in that role afterwards.
      v_back text := coalesce(quote_ident(nullif(current_setting('role'), 'none')), 'NONE');
      v_become text := CASE WHEN ${serverVersion} < 16 THEN 'MEMBER' ELSE 'SET' END;
    BEGIN
      RETURN QUERY
        SELECT 'revoke_privilege', e.role,
               CASE WHEN e.delegated
                      THEN format('SET LOCAL ROLE %I; %s; SET LOCAL ROLE %s', e.grantor, e.statement, v_back)
                    ELSE e.statement END,
               NULL::text, ARRAY[e.role],
               CASE WHEN e.delegated AND NOT e.may THEN '42501' END,
               CASE WHEN e.delegated THEN format('granted by %I', e.grantor) END
        FROM (
          SELECT DISTINCT w.role, k.kind, format(k.revoke_format, w.role) AS statement,
                 pg_get_userbyid(a.grantor)::text AS grantor, pg_has_role(a.grantor, v_become) AS may,
                 -- REVOKE revokes what the owner granted if the caller has the owner's rights, else what the caller
                 -- granted.
                 a.grantor <> CASE WHEN pg_has_role(o.owner, 'USAGE') THEN o.owner ELSE v_caller END AS delegated
          FROM jsonb_to_recordset(${operators}) AS w(role text, state text)
          CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(w.role))::oid) AS r(role_oid)
          CROSS JOIN (
            VALUES ${kindRows}
          ) AS k(kind, privileges, grant_format, revoke_format)
          JOIN (
            ${objects}
          ) AS o ON o.kind = k.kind AND o.owner <> r.role_oid
          CROSS JOIN LATERAL aclexplode(o.acl) AS a
          WHERE w.state = 'absent' AND a.grantee = r.role_oid
        ) AS e
        ORDER BY e.role, e.kind, e.grantor;
    END
  `;
}

/**
 * The roles that could take the rights of a new operator and are not operators; nulls where there is none
 * @volatility stable
 */
export function operator_takers(role_oid: Oid): Table<{ names: Text; revokes: Text }> {
  return sql`
    BEGIN
      IF NOT ${isOperator(role_oid)} THEN
        RETURN QUERY
          ${takers(role_oid, (member) => isOperator(sql`${member}.oid`))};
      END IF;
      IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::text, NULL::text;
      END IF;
    END
  `;
}

/** Whether a role has the rights of an operator: it reads the secrets. */
export const isOperator = (oid: Sql) => sql`has_table_privilege(${oid}, 'rolecall_internal.secret', 'SELECT')`;

/**
 * Refuses an operator that does not exist or is a reporting role, and a caller that could not grant it anything
 * @volatility stable
 */
export function check_operator(role_name: Text): Nothing {
  return sql`
    DECLARE
      v_takers record;
    BEGIN
      IF to_regrole(quote_ident(${role_name})) IS NULL THEN
        ${raiseNoRole(role_name)}
      ELSIF ${isReporting(role_name)} THEN
        ${raiseReporting(
          role_name,
          sql`
          'Choose another role: an operator reads the secret that the passwords of reporting roles come from.'
        `,
        )}
      END IF;
      PERFORM rolecall_internal.check_may_add_operators();
      SELECT t.* INTO v_takers
      FROM rolecall_internal.operator_takers(to_regrole(quote_ident(${role_name}))::oid) AS t;
      IF v_takers.names IS NOT NULL THEN
        RAISE EXCEPTION USING
          ERRCODE = 'insufficient_privilege',
          MESSAGE = format('the rights of operator "%s" could be taken by %s', ${role_name}, v_takers.names),
          DETAIL = 'They are members of the role, or have ADMIN OPTION on it, and are not operators.',
          HINT = 'Have a superuser run: ' || v_takers.revokes;
      END IF;
    END
  `;
}

/**
 * Refuses a caller that can neither add nor remove operators
 * @volatility stable
 */
export function check_may_add_operators(): Nothing {
  return sql`
    BEGIN
      IF NOT has_schema_privilege('rolecall', 'USAGE WITH GRANT OPTION') THEN
        RAISE EXCEPTION USING
          ERRCODE = 'insufficient_privilege',
          MESSAGE = 'only the installer of the extension and the owner of its objects can add or remove operators',
          HINT = format('Have "%s", or another superuser, make the call.', (
            SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace AS n WHERE n.nspname = 'rolecall'
          ));
      END IF;
    END
  `;
}

/**
 * Refuses to remove an operator that has added others, who would lose their privileges with it
 * @volatility stable
 */
export function check_no_operators_of(role_name: Text): Nothing {
  return sql`
    DECLARE
      v_role oid := to_regrole(quote_ident(${role_name}))::oid;
      v_others text;
    BEGIN
      SELECT string_agg(DISTINCT pg_get_userbyid(a.grantee)::text, ', ') INTO v_others
      FROM (
        ${objects}
      ) AS o
      CROSS JOIN LATERAL aclexplode(o.acl) AS a
      WHERE a.grantor = v_role AND a.grantee NOT IN (0, v_role) AND o.owner <> v_role;
      IF v_others IS NOT NULL THEN
        RAISE EXCEPTION USING
          ERRCODE = 'dependent_objects_still_exist',
          MESSAGE = format('role "%s" has added other operators', ${role_name}),
          DETAIL = format('Their privileges would end with its own: %s.', v_others),
          HINT = 'Remove those operators first with rolecall.remove_operator(), and add them again afterwards.';
      END IF;
    END
  `;
}
