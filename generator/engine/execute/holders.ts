/**
 * Who keeps a role from being dropped.
 */
import type { Nothing, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * Raises a NOTICE with the sessions that hold a lock on a role for a while, because DROP ROLE waits for them
 */
export function note_holders(role_name: Text): Nothing {
  return sql`
    DECLARE
      v_role oid := to_regrole(quote_ident(${role_name}))::oid;
      v_holders text;
    BEGIN
      FOR v_look IN 1 .. 50 LOOP
        v_holders := (
          SELECT string_agg(DISTINCT coalesce(
                   format('process %s (role "%s", database "%s")', l.pid, a.usename, a.datname),
                   'a prepared transaction'
                 ), ', ')
          FROM pg_locks AS l
          LEFT JOIN pg_stat_get_activity(l.pid) AS s ON true
          LEFT JOIN LATERAL (
            SELECT pg_get_userbyid(s.usesysid), d.datname FROM pg_database AS d WHERE d.oid = s.datid
          ) AS a(usename, datname) ON true
          WHERE l.locktype = 'object' AND l.classid = 'pg_authid'::regclass AND l.objid = v_role
            AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
        );
        IF v_holders IS NULL THEN
          RETURN;
        END IF;
        PERFORM pg_sleep(0.02);
      END LOOP;
      RAISE NOTICE USING
        MESSAGE = format('waiting to drop role "%s", which other transactions use: %s', ${role_name}, v_holders),
        HINT = 'To go on at once, end them with pg_terminate_backend(), or cancel this call.';
    END
  `;
}
