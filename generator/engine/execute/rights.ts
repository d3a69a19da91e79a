/**
 * The rights that a change requires of the caller, as far as the catalogs tell.
 */
import type { OperationName } from '../../model/operations.ts';
import { type Condition, sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Change, Changes, Nothing, Oid, Returns, Text } from '../../model/types.ts';
import { join, type Sql, sql, text } from '../../sql/template.ts';
import { isAdministered, leadsToSuperuser, ungivable } from '../catalogs/edges.ts';
import { serverVersion } from '../catalogs/server.ts';

/**
 * The role on which a change requires rights: the granted one, the altered one, or the new owner if the caller
 * already has the rights of the old one
 * @volatility stable
 */
export function role_in_question(change: Change): Returns<Text> {
  return sql`
    BEGIN
      IF ${change}.operation IN ('grant_role', 'revoke_role')
        OR ${change}.operation = 'reassign_owned'
           AND pg_has_role(to_regrole(quote_ident(${change}.target)), 'USAGE')
      THEN
        RETURN coalesce(${change}.locks[2], ${change}.target);
      END IF;
      RETURN ${change}.target;
    END
  `;
}

/**
 * Whether a member of a role can become a superuser
 * @volatility stable
 */
export function leads_to_superuser(role_oid: Oid): Returns<Bool> {
  return sql`
    BEGIN
      RETURN ${leadsToSuperuser(role_oid as Sql)};
    END
  `;
}

/**
 * What the caller lacks for a change, in words; null: nothing that the catalogs show
 *
 * It also reads the rows of the catalogs, because the server's cache of memberships can be older than a role.
 * @volatility stable
 */
export function lacking(change: Change): Returns<Text> {
  return sql`
    DECLARE
      v_name text := rolecall_internal.role_in_question(${change});
      v_role oid := to_regrole(quote_ident(v_name))::oid;
      v_caller record;
      v_is_admin boolean;
      -- Any caller can create a role without an attribute, but only one that could give the attribute can revoke it.
      v_clauses text := CASE ${change}.operation
        WHEN 'create_role' THEN substr(${change}.statement, length(format('CREATE ROLE %I', v_name)) + 1)
        WHEN 'alter_role'
          THEN replace(substr(${change}.statement, length(format('ALTER ROLE %I', v_name)) + 1), ' NO', ' ')
      END;
      v_by_admin boolean := ${serverVersion} >= 16;
    BEGIN
      SELECT r.rolsuper, r.rolcreaterole, r.rolreplication, r.rolbypassrls, r.rolcreatedb INTO v_caller
      FROM pg_roles AS r WHERE r.rolname = current_user;
      IF v_caller.rolsuper THEN
        RETURN NULL;
      END IF;
      IF ${change}.operation IN ('reassign_owned', 'drop_owned') THEN
        -- The statement of a removal can begin with a GRANT of the role to the caller.
        RETURN CASE WHEN NOT pg_has_role(v_role, 'USAGE') AND NOT starts_with(${change}.statement, 'GRANT ')
                    THEN 'the privileges of role ' || quote_ident(v_name) END;
      ELSIF ${change}.operation = 'terminate_sessions' THEN
        RETURN CASE WHEN rolecall_internal.leads_to_superuser(v_role) THEN 'SUPERUSER'
                    WHEN NOT pg_has_role(v_role, 'USAGE') AND NOT pg_has_role('pg_signal_backend', 'USAGE')
                    THEN 'the privileges of role ' || quote_ident(v_name) END;
      ELSIF ${change}.operation = 'create_schema' THEN
        RETURN CASE WHEN NOT has_database_privilege(current_database(), 'CREATE') THEN 'CREATE on the database' END;
      ELSIF NOT rolecall_internal.is_about_roles(${change}.operation)
        OR v_name = current_user AND ${change}.operation IN ('set_password', 'set_config')
      THEN
        RETURN NULL;
      END IF;
      -- The caller has ADMIN OPTION on a role that the same call creates. An older snapshot does not show a newer
      -- role.
      v_is_admin := v_role IS NULL OR pg_has_role(v_role, 'MEMBER WITH ADMIN OPTION')
        OR ${isAdministered(sql`v_role`)};
      RETURN CASE
        WHEN EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = v_role AND r.rolsuper) THEN 'SUPERUSER'
        WHEN v_clauses ~ ' SUPERUSER' THEN 'SUPERUSER'
        ${ungivable(sql`v_caller`, sql`v_by_admin`).map(({ attribute, condition }) => {
          const word = attribute.toUpperCase();
          return sql`WHEN v_clauses ~ ${text(` ${word}`)} AND ${condition} THEN ${text(word)}`;
        })}
        WHEN NOT v_caller.rolcreaterole AND NOT (${change}.operation IN ('grant_role', 'revoke_role') AND v_is_admin)
        THEN 'CREATEROLE'
        WHEN v_by_admin AND NOT v_is_admin
        THEN 'ADMIN OPTION on role ' || quote_ident(v_name)
      END;
    END
  `;
}

/** Whether the catalogs say that the caller may make such a change of a role, which for a grant is the granted role. */
export const mayMake = (operation: OperationName, role: Sql, statement = sql`''`) => sql`
  rolecall_internal.lacking(ROW(
    ${text(operation)}, ${role}, ${statement}, NULL, NULL, NULL, NULL
  )::rolecall_internal.change) IS NULL
`;

/**
 * Refuses a change that requires more than the caller has
 * @volatility stable
 */
export function check_rights(change: Change, message: Text): Nothing {
  return sql`
    BEGIN
      IF rolecall_internal.lacking(${change}) IS NOT NULL THEN
        PERFORM rolecall_internal.surface(
          ${change}, ${text(sqlstates.insufficient_privilege)}, ${message}, NULL, NULL
        );
      END IF;
    END
  `;
}

/**
 * The changes, with those skipped that are about an existing role and require more than the caller has
 * @volatility stable
 */
export function left_to_others(changes: Changes): Returns<Changes> {
  return sql`
    DECLARE
      v_change rolecall_internal.change;
      v_lacking text;
      v_changes rolecall_internal.change[] := '{}'::rolecall_internal.change[];
    BEGIN
      FOREACH v_change IN ARRAY ${changes} LOOP
        IF v_change.sqlstate IS NULL AND rolecall_internal.is_about_roles(v_change.operation)
          AND to_regrole(quote_ident(rolecall_internal.role_in_question(v_change))) IS NOT NULL
        THEN
          v_lacking := rolecall_internal.lacking(v_change);
          IF v_lacking IS NOT NULL THEN
            v_change.sqlstate := ${text(sqlstates.insufficient_privilege)};
            v_change.note := concat_ws('; ', v_change.note, 'the caller lacks ' || v_lacking);
          END IF;
        END IF;
        v_changes := v_changes || v_change;
      END LOOP;
      RETURN v_changes;
    END
  `;
}

/**
 * Whether the server refuses a change although the catalogs say that the caller may make it: from 16 on the server can
 * know a new role before it knows who has ADMIN OPTION on it
 * @volatility stable
 */
export function is_early_refusal(change: Change, code: Text): Returns<Bool> {
  return sql`
    BEGIN
      RETURN ${code} = ${text(sqlstates.insufficient_privilege)}
        AND ${serverVersion} >= 16
        AND rolecall_internal.is_about_roles(${change}.operation)
        AND NOT current_setting('is_superuser')::boolean AND rolecall_internal.lacking(${change}) IS NULL;
    END
  `;
}

/**
 * Whether an operation requires CREATEROLE, or from 16 on ADMIN OPTION
 * @volatility immutable
 */
export function is_about_roles(operation: Text): Returns<Bool> {
  return sql`
    BEGIN
      RETURN ${operation} IN (
        'create_role', 'rename_role', 'alter_role', 'set_password', 'set_comment', 'set_config', 'grant_role',
        'revoke_role', 'drop_role'
      );
    END
  `;
}

const codes = (...conditions: readonly Condition[]) => conditions.map((condition) => text(sqlstates[condition]));

/** SQLSTATEs of something that does not exist. */
const missing = codes(
  'undefined_object',
  'undefined_table',
  'undefined_column',
  'undefined_function',
  'invalid_schema_name',
  'undefined_database',
);
const inTheWay = codes('duplicate_object', 'object_not_in_prerequisite_state');

/**
 * The hint of a change that is skipped because the catalogs forbid it
 * @volatility stable
 */
export function skipped_hint(change: Change): Returns<Text> {
  return sql`
    BEGIN
      RETURN CASE
        WHEN ${change}.sqlstate IN (${join(missing)})
          THEN 'Create what is missing, then repeat the call.'
        WHEN ${change}.sqlstate IN (${join(inTheWay)})
          THEN 'Resolve this, then repeat the call.'
        WHEN ${change}.sqlstate = ${text(sqlstates.invalid_grant_operation)} THEN
          format('Revoke the membership that leads back, or forget this one: SELECT * FROM rolecall.revoke_role(%L, %L)',
                 ${change}.locks[2], ${change}.locks[1])
        WHEN ${change}.sqlstate = ${text(sqlstates.dependent_objects_still_exist)}
          THEN 'To give it back, run: ' || ${change}.statement
        WHEN ${change}.sqlstate = ${text(sqlstates.invalid_parameter_value)} AND ${change}.note LIKE 'the policy of database%'
          THEN 'Leave it out of one of the two policies, or have both say the same.'
        WHEN ${change}.sqlstate = ${text(sqlstates.lock_not_available)}
          THEN 'End the session that holds the lock, by pg_terminate_backend(), and repeat the call.'
        WHEN ${change}.operation = 'grant_role' AND ${change}.note LIKE 'recorded by %'
          THEN format('If that is wanted, have a superuser call rolecall.grant_role(%1$L, %2$L); else forget it: '
                      'SELECT * FROM rolecall.revoke_role(%1$L, %2$L)',
                      ${change}.locks[2], ${change}.locks[1])
        ELSE CASE WHEN ${change}.operation = 'alter_role' THEN 'Ask a superuser to run: '
                  ELSE 'Ask the owner, or a superuser, to run: ' END || ${change}.statement
      END;
    END
  `;
}
