/**
 * Locking and unlocking users, their sessions, and renaming roles.
 */
import { accepted } from '../../model/record.ts';
import type { Bool, ChangeRow, Jsonb, Nothing, Returns, SetOf, Text } from '../../model/types.ts';
import { raiseNoRole, raiseReporting } from '../../sql/raise.ts';
import { type Sql, sql, text } from '../../sql/template.ts';
import { isProtected } from '../document/names.ts';

/** Whether a role has sessions, other than the one that asks. */
export const hasSessions = (role: Sql) => sql`EXISTS (
  SELECT FROM pg_stat_get_activity(NULL) AS a
  WHERE a.usesysid = ${role} AND a.pid <> pg_backend_pid()
)`;

/**
 * The statement that ends the sessions of a role, other than the one that runs it, and waits for each, or does not
 * wait.
 */
export const endingSessions = (role: Text, waits = true) => sql`
  format(
    ${text(`SELECT pg_terminate_backend(a.pid${waits ? ', 5000' : ''}) FROM pg_stat_activity AS a `)}
    'WHERE a.usesysid = %L::regrole AND a.pid <> pg_backend_pid()',
    quote_ident(${role})
  )
`;

/**
 * The steps that end the sessions of roles that are to have none; first: before NOLOGIN, for roles that can log in
 *
 * A session that has changed its own role keeps others from changing it. The first step does not wait: ALTER ROLE
 * itself waits for such a session, so it precedes the changes of any later session, which the last step ends.
 * @volatility stable
 */
export function plan_sessions(resources: Jsonb, first: Bool): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT 'terminate_sessions', s.role,
               CASE WHEN ${first} THEN ${endingSessions(sql`s.role`, false)} ELSE ${endingSessions(sql`s.role`)} END,
               NULL::text, ARRAY[s.role], NULL::text, NULL::text
        FROM jsonb_to_recordset(${resources}) AS s(role text, state text)
        JOIN pg_roles AS r ON r.rolname = s.role
        WHERE s.state = 'absent' AND (r.rolcanlogin OR NOT ${first}) AND ${hasSessions(sql`r.oid`)};
    END
  `;
}

/**
 * Refuses to lock or unlock a reporting role, which logs in by definition, or a group role
 * @volatility stable
 */
export function check_user(username: Text): Nothing {
  return sql`
    BEGIN
      IF ${isReporting(username)} THEN
        ${raiseReporting(
          username,
          sql`
          'To keep it out, call rolecall.remove_user(), or rotate_reporting_secret(), which changes its password.'
        `,
        )}
      ELSIF rolecall_internal.newest_record('roles', jsonb_build_array(${username}))
            @? '$.attributes.createrole'
        -- A policy sets the attributes of every role that it describes.
        AND rolecall_internal.newest_record('declared', jsonb_build_array(${username})) IS NULL THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('role "%s" is a group role', ${username}),
          HINT = 'Nobody logs in as it: lock or unlock its members.';
      END IF;
    END
  `;
}

/**
 * Whether a role is a reporting role of this database. Whether it is one of another database does not count, because
 * a role can look like one by its own settings.
 */
export const isReporting = (role: Text) =>
  sql`(rolecall_internal.newest_record('read_access', jsonb_build_array(${role})) IS NOT NULL)`;

/**
 * The users whose VALID UNTIL has passed, each with the desired state in which it is locked, as run_apart() takes them
 * @volatility stable
 */
export function expired_users(): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                 'role', r.rolname, 'operation', 'alter_role', 'statement', format('ALTER ROLE %I NOLOGIN', r.rolname),
                 'state', jsonb_build_object(
                   'roles', jsonb_build_array(jsonb_build_object(
                     'name', r.rolname, 'state', 'existing', 'attributes', '{"login": false}'::jsonb, 'protected', true
                   )),
                   'sessions', jsonb_build_array(jsonb_build_object('role', r.rolname, 'state', 'absent'))
                 )
               ) ORDER BY r.rolname COLLATE "C"), '[]')
        FROM pg_roles AS r
        JOIN ${accepted(sql`r.section = 'roles'`)} AS p ON p.key = jsonb_build_array(r.rolname)
        WHERE r.rolcanlogin AND r.rolvaliduntil <= now()
          AND NOT ${isProtected(sql`r.rolname::text`, sql`r.oid`)}
          AND NOT ${isReporting(sql`r.rolname::text`)}
      );
    END
  `;
}

/**
 * The statements that rename roles
 * @volatility stable
 * @probes
 */
export function plan_renames(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_rename record;
    BEGIN
      FOR v_rename IN
        SELECT r.role, r.new_name, to_regrole(quote_ident(r.role)) AS role_oid,
               to_regrole(quote_ident(r.new_name)) AS new_oid
        FROM jsonb_to_recordset(${resources}) AS r(role text, new_name text)
      LOOP
        IF v_rename.role_oid IS NULL AND v_rename.new_oid IS NULL THEN
          ${raiseNoRole(sql`v_rename.role`)}
        ELSIF v_rename.role_oid IS NULL THEN
          CONTINUE;
        ELSIF v_rename.new_oid IS NOT NULL THEN
          RAISE EXCEPTION USING
            ERRCODE = 'duplicate_object',
            MESSAGE = format('role "%s" exists', v_rename.new_name),
            HINT = 'Choose another name, or remove one of the two roles.';
        END IF;
        PERFORM rolecall_internal.check_protected(v_rename.role);
        RETURN QUERY SELECT 'rename_role', v_rename.role,
          format('ALTER ROLE %I RENAME TO %I', v_rename.role, v_rename.new_name),
          NULL::text, ARRAY[v_rename.role], NULL::text, NULL::text;
      END LOOP;
    END
  `;
}

/**
 * Refuses to give a reporting role what the next provisioning run would take from it
 * @volatility stable
 * @probes
 */
export function check_not_reporting(role_name: Text): Nothing {
  return sql`
    BEGIN
      -- Few roles are reporting roles, and one look by index tells.
      IF NOT EXISTS (
        SELECT FROM rolecall_internal.resource AS r
        WHERE r.section = 'read_access' AND r.key = jsonb_build_array(${role_name})
      ) THEN
        RETURN;
      END IF;
      IF ${isReporting(role_name)} THEN
        ${raiseReporting(
          role_name,
          sql`
          'It reads, and nothing else. Choose another name, or remove the role first by rolecall.remove_user().'
        `,
        )}
      END IF;
    END
  `;
}
