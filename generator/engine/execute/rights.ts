/**
 * What a change requires of the caller, as far as the catalogs tell.
 */
import { type Condition, sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Change, Oid, Returns, Text } from '../../model/types.ts';
import { join, sql, text } from '../../sql/template.ts';
import { isAdministered } from '../catalogs/edges.ts';
import { serverVersion } from '../catalogs/server.ts';

/**
 * The role that a change requires rights on: the granted one, the one that is altered, or the new owner where the caller has
 * the old one's rights already
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
 * Whether whoever is a member of a role can become a superuser
 * @volatility stable
 */
export function leads_to_superuser(role_oid: Oid): Returns<Bool> {
  return sql`
    BEGIN
      RETURN EXISTS (
        SELECT FROM pg_roles AS r WHERE r.rolsuper AND pg_has_role(${role_oid}, r.oid, 'MEMBER')
      );
    END
  `;
}

/**
 * What the caller lacks for a change, in words; null: nothing that can be seen
 *
 * From the rows of the catalogs too: what the server keeps about memberships can be older than a role.
 * @volatility stable
 */
export function lacking(change: Change): Returns<Text> {
  return sql`
    DECLARE
      v_name text := rolecall_internal.role_in_question(${change});
      v_role oid := to_regrole(quote_ident(v_name))::oid;
      v_caller record;
      v_is_admin boolean;
    BEGIN
      SELECT r.rolsuper, r.rolcreaterole, r.rolbypassrls INTO v_caller FROM pg_roles AS r WHERE r.rolname = current_user;
      IF v_caller.rolsuper THEN
        RETURN NULL;
      END IF;
      IF ${change}.operation IN ('reassign_owned', 'drop_owned') THEN
        -- The statement of a removal can begin with a GRANT to the caller.
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
      -- A role that the same call creates is the caller's to administer. An older snapshot shows no role that is newer.
      v_is_admin := v_role IS NULL OR pg_has_role(v_role, 'MEMBER WITH ADMIN OPTION')
        OR ${isAdministered(sql`v_role`)};
      RETURN CASE
        WHEN EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = v_role AND r.rolsuper) THEN 'SUPERUSER'
        WHEN ${change}.operation IN ('create_role', 'alter_role')
          AND substr(${change}.statement, length(format('ALTER ROLE %I', v_name))) ~ ' BYPASSRLS'
          AND NOT (v_caller.rolbypassrls AND ${serverVersion} >= 16)
        THEN 'BYPASSRLS'
        WHEN NOT v_caller.rolcreaterole AND NOT (${change}.operation IN ('grant_role', 'revoke_role') AND v_is_admin)
        THEN 'CREATEROLE'
        WHEN ${serverVersion} >= 16 AND NOT v_is_admin
        THEN 'ADMIN OPTION on role ' || quote_ident(v_name)
      END;
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
        'create_role', 'alter_role', 'set_password', 'set_comment', 'set_config', 'grant_role', 'revoke_role', 'drop_role'
      );
    END
  `;
}

const codes = (...conditions: readonly Condition[]) => conditions.map((condition) => text(sqlstates[condition]));

/** That something does not exist. */
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
 * What to do about a change that is skipped because the catalogs forbid it
 * @volatility stable
 */
export function skipped_hint(change: Change): Returns<Text> {
  return sql`
    BEGIN
      RETURN CASE
        WHEN ${change}.sqlstate IN (${join(missing)})
          THEN 'Create what is missing, then make the call again.'
        WHEN ${change}.sqlstate IN (${join(inTheWay)})
          THEN 'Clear that up, then make the call again.'
        WHEN ${change}.sqlstate = ${text(sqlstates.dependent_objects_still_exist)}
          THEN 'To give it back, run: ' || ${change}.statement
        ELSE CASE WHEN ${change}.operation = 'alter_role' THEN 'Ask a superuser to run: '
                  ELSE 'Ask the owner, or a superuser, to run: ' END || ${change}.statement
      END;
    END
  `;
}
