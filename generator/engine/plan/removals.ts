/**
 * The steps that drop a role, and what prevents that.
 *
 * DROP ROLE itself ends the memberships of the role and of its members. Separate REVOKEs would require rights on the
 * other roles, and would lock those while the role is locked, so that two calls could wait for each other.
 */
import type { Bool, Change, ChangeRow, Jsonb, Returns, SetOf, Text } from '../../model/types.ts';
import { raiseNoRole } from '../../sql/raise.ts';
import { Sql, sql, text } from '../../sql/template.ts';
import { serverVersion } from '../catalogs/server.ts';
import { endingSessions, hasSessions } from './users.ts';

/**
 * The steps that remove the roles whose state is absent; it raises an error, before anything is changed, if one
 * cannot be dropped
 * @volatility stable
 */
export function plan_removals(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_wanted record;
    BEGIN
      FOR v_wanted IN
        SELECT r.name, r.reassign_to, coalesce(r.drop_owned, false) AS drops,
               coalesce(r.terminate_sessions, false) AS terminates
        FROM jsonb_to_recordset(${resources})
          AS r(name text, state text, reassign_to text, drop_owned boolean, terminate_sessions boolean)
        WHERE r.state = 'absent'
      LOOP
        IF v_wanted.reassign_to = v_wanted.name THEN
          RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('what role "%s" owns cannot be reassigned to the role itself', v_wanted.name);
        END IF;
        CONTINUE WHEN to_regrole(quote_ident(v_wanted.name)) IS NULL;
        IF v_wanted.terminates AND ${hasSessions(sql`to_regrole(quote_ident(v_wanted.name))::oid`)} THEN
          -- First, because what a session has locked can be neither altered, reassigned nor dropped.
          RETURN QUERY
            SELECT 'terminate_sessions', v_wanted.name, ${endingSessions(sql`v_wanted.name`)},
                   NULL::text, array_remove(ARRAY[v_wanted.name, v_wanted.reassign_to], NULL), NULL::text, NULL::text;
        END IF;
        IF rolecall_internal.newest_record(
          'settings', jsonb_build_array(v_wanted.name, 'statement_timeout')
        ) IS NOT NULL THEN
          RETURN QUERY SELECT * FROM rolecall_internal.plan_left_timeouts(
            jsonb_build_array(jsonb_build_object('role', v_wanted.name, 'state', 'absent'))
          );
        END IF;
        RETURN QUERY SELECT * FROM rolecall_internal.plan_removal(
          v_wanted.name, v_wanted.reassign_to, v_wanted.drops, v_wanted.terminates
        );
      END LOOP;
    END
  `;
}

/**
 * The steps that remove one role; it raises an error if the role cannot be dropped after them
 * @volatility stable
 */
export function plan_removal(
  role_name: Text,
  reassign_to: Text | null,
  drops: Bool,
  terminates: Bool,
): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_role oid := to_regrole(quote_ident(${role_name}))::oid;
      v_heir oid := to_regrole(quote_ident(${reassign_to}))::oid;
      v_found record;
      -- The new owner is locked too: otherwise two calls that each reassign to the other's role would wait for each
      -- other.
      v_locks text[] := array_remove(ARRAY[${role_name}, ${reassign_to}], NULL);
      v_drop rolecall_internal.change := ${change(
        'drop_role',
        sql`format('DROP ROLE %I', ${role_name})`,
        sql`rolecall_internal.memberships_of(v_role)`,
      )};
      v_steps rolecall_internal.change[] := '{}'::rolecall_internal.change[];
      v_regrants rolecall_internal.change[] := '{}'::rolecall_internal.change[];
    BEGIN
      IF ${role_name} IN (current_user, session_user) THEN
        PERFORM rolecall_internal.surface(
          v_drop, '55006', format('role "%s" makes this call', ${role_name}), NULL, NULL
        );
      ELSIF ${reassign_to} IS NOT NULL THEN
        IF v_heir IS NULL THEN
          ${raiseNoRole(sql`${reassign_to}`)}
        END IF;
        PERFORM rolecall_internal.check_handover(v_role, v_heir);
      END IF;
      SELECT coalesce(bool_or(d.cleared_by IS NULL), false) AS blocked,
             coalesce(bool_or(d.cleared_by = 'reassign_owned'), false) AS reassigns,
             coalesce(bool_or(d.cleared_by = 'drop_owned'), false) AS drops
        INTO v_found
        FROM rolecall_internal.dependencies(v_role, v_heir IS NOT NULL, ${drops}) AS d;
      IF v_found.drops THEN
        v_regrants := ARRAY(SELECT g FROM rolecall_internal.plan_regrants(v_role, v_heir IS NOT NULL) AS g);
      END IF;
      IF v_found.blocked
        OR NOT ${drops} AND EXISTS (SELECT FROM unnest(v_regrants) AS g WHERE g.sqlstate IS NOT NULL)
      THEN
        PERFORM rolecall_internal.surface(
          v_drop, '2BP01', format('role "%s" cannot be dropped because some objects depend on it', ${role_name}),
          rolecall_internal.blocking(v_role, v_heir IS NOT NULL, ${drops}), NULL
        );
      END IF;

      IF v_found.reassigns THEN
        v_steps := v_steps || ${change(
          'reassign_owned',
          sql`format('REASSIGN OWNED BY %I TO %I', ${role_name}, ${reassign_to})`,
        )};
      END IF;
      IF v_found.drops THEN
        v_steps := v_steps || ${change(
          'drop_owned',
          sql`concat(rolecall_internal.taking(v_drop), format('DROP OWNED BY %I', ${role_name}))`,
        )};
      END IF;
      v_steps := v_steps || v_drop;
      IF ${terminates} AND ${hasSessions(sql`v_role`)} THEN
        -- Nothing brings a session back, so no session is ended by a call that then fails.
        PERFORM rolecall_internal.check_rights(v_drop, 'permission denied to drop role');
        PERFORM rolecall_internal.check_rights(v_steps[1], 'permission denied to reassign or drop objects');
      END IF;
      RETURN QUERY SELECT * FROM unnest(v_regrants || v_steps);
    END
  `;
}

const change = (operation: string, statement: Sql, note: Sql = sql`NULL`) =>
  sql`
    ROW(
      ${text(operation)}, role_name,
      ${statement},
      NULL, v_locks, NULL, ${note}
    )::rolecall_internal.change
  `;

/**
 * The GRANT that gives the caller the rights that DROP OWNED requires; null if it has them, or may not grant itself
 * the role
 *
 * It is null also if the role owns something: DROP OWNED would drop that, which somebody has to decide.
 * @volatility stable
 */
export function taking(removal: Change): Returns<Text> {
  return sql`
    DECLARE
      v_name text := ${removal}.target;
      v_role oid := to_regrole(quote_ident(v_name))::oid;
    BEGIN
      IF pg_has_role(v_role, 'USAGE') OR rolecall_internal.lacking(${removal}) IS NOT NULL
        OR EXISTS (
          SELECT FROM pg_shdepend AS d
          WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = v_role AND d.deptype = 'o'
        )
      THEN
        RETURN NULL;
      END IF;
      RETURN format(
        'GRANT %I TO %I%s; ', v_name, current_user,
        CASE WHEN ${serverVersion} >= 16 THEN ' WITH INHERIT TRUE, SET FALSE' END
      );
    END
  `;
}
