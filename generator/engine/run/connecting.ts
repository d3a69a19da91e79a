/**
 * The check that users whom a call has changed can connect to this database.
 */
import type { Nothing, Steps } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/** Whether every role can connect to this database. */
export const mayConnect = sql`has_database_privilege('public', current_database(), 'CONNECT')`;

/**
 * Warns of users that a call has created, changed or made members of roles, and that have no CONNECT on this
 * database, neither their own nor by membership nor through PUBLIC
 *
 * A user whose CONNECT the call itself has skipped is left out, because a WARNING has named it.
 * @probes
 */
export function note_no_connect(steps: Steps): Nothing {
  return sql`
    DECLARE
      v_name text;
      v_grant text;
    BEGIN
      FOR v_name, v_grant IN
        SELECT DISTINCT r.rolname::text, g.statement
        FROM unnest(${steps}) AS s
        JOIN pg_roles AS r ON r.oid = to_regrole(quote_ident(s.target))::oid
        CROSS JOIN LATERAL (
          SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), r.rolname)
        ) AS g(statement)
        WHERE s.status = 'applied' AND s.operation IN ('create_role', 'alter_role', 'grant_role') AND r.rolcanlogin
          AND NOT has_database_privilege(r.oid, current_database(), 'CONNECT')
          AND NOT EXISTS (SELECT FROM unnest(${steps}) AS c WHERE c.statement = g.statement)
        ORDER BY 1
      LOOP
        RAISE NOTICE USING
          MESSAGE = format('role "%s" cannot connect to database "%s"', v_name, current_database()),
          DETAIL = 'CONNECT is revoked from PUBLIC, and neither the role nor one that it inherits from has it.',
          HINT = 'Ask the owner, or a superuser, to run: ' || v_grant;
      END LOOP;
    END
  `;
}
