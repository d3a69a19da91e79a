/**
 * Users that are locked and unlocked, and their sessions.
 */
import type { ChangeRow, Jsonb, Nothing, SetOf, Text } from '../../model/types.ts';
import { raiseReporting } from '../../sql/raise.ts';
import { type Sql, sql } from '../../sql/template.ts';

/** Whether a role has sessions, other than the one that asks. */
export const hasSessions = (role: Sql) => sql`EXISTS (
  SELECT FROM pg_stat_get_activity(NULL) AS a
  WHERE a.usesysid = ${role} AND a.pid <> pg_backend_pid()
)`;

/** The statement that ends the sessions of a role, other than the one that runs it. */
export const endingSessions = (role: Text) => sql`
  format(
    'SELECT pg_terminate_backend(a.pid, 5000) FROM pg_stat_activity AS a '
    'WHERE a.usesysid = %L::regrole AND a.pid <> pg_backend_pid()',
    quote_ident(${role})
  )
`;

/**
 * The steps that end the sessions of roles that are to have none
 * @volatility stable
 */
export function plan_sessions(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT 'terminate_sessions', s.role, ${endingSessions(sql`s.role`)},
               NULL::text, ARRAY[s.role], NULL::text, NULL::text
        FROM jsonb_to_recordset(${resources}) AS s(role text, state text)
        WHERE s.state = 'absent' AND ${hasSessions(sql`to_regrole(quote_ident(s.role))::oid`)};
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
            @? '$.attributes.createrole' THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('role "%s" is a group role', ${username}),
          HINT = 'Nobody logs in as it: lock or unlock its members.';
      END IF;
    END
  `;
}

/** A reporting role of this database or of another one. */
export const isReporting = (role: Text) => sql`
  rolecall_internal.newest_record('read_access', jsonb_build_array(${role})) IS NOT NULL
  OR rolecall_internal.other_database(${role}) IS NOT NULL
`;
