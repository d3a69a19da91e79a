import { isMark } from '../engine/catalogs/server.ts';
import type { Table, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';

/**
 * Lists the reporting roles of databases of this cluster that no longer exist
 *
 * DROP DATABASE leaves roles behind: a shadow database or a database for tests leaves two if it was provisioned. The
 * record goes with the database, so a reporting role is recognized by its properties: it is a login without any
 * power, is a member of no role, has no privileges or objects in any database, and has the settings of a reporting
 * role except those for a single database. Any other login of that kind is listed too, so check before you run a
 * remedy.
 *
 * Users and base roles are not listed: nothing tells them apart from roles that somebody else created.
 *
 * It changes nothing, and works in a READ ONLY transaction and on a standby.
 *
 * @group keeping
 * @returns `database` is the one that the name of the role suggests, or null; `remedy` drops
 *   the role
 * @example SELECT role, database, remedy FROM rolecall.orphans();
 * @volatility stable
 */
export function orphans(): Table<{ role: Text; database: Text; remedy: Text }> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT n.role, nullif(n.database, n.role), format('DROP ROLE %I', n.role)
        FROM pg_roles AS r
        JOIN pg_db_role_setting AS s ON s.setrole = r.oid AND s.setdatabase = 0
        CROSS JOIN LATERAL (
          SELECT r.rolname::text, regexp_replace(r.rolname::text, '_(reporting|raw)$', '')
        ) AS n(role, database)
        WHERE r.rolcanlogin
          AND NOT (r.rolsuper OR r.rolcreatedb OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls)
          AND 'default_transaction_read_only=on' = ANY (s.setconfig)
          AND EXISTS (SELECT FROM unnest(s.setconfig) AS c(setting) WHERE starts_with(c.setting, 'search_path='))
          AND NOT EXISTS (
            SELECT FROM pg_db_role_setting AS o CROSS JOIN LATERAL unnest(o.setconfig) AS c(setting)
            WHERE o.setrole = r.oid AND o.setdatabase <> 0 AND NOT ${isMark(sql`c.setting`)}
          )
          AND NOT EXISTS (SELECT FROM pg_auth_members AS m WHERE m.member = r.oid)
          AND NOT EXISTS (
            SELECT FROM pg_shdepend AS d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid
              AND d.classid <> 'pg_auth_members'::regclass
          )
          AND NOT EXISTS (SELECT FROM pg_database AS d WHERE d.datname::text = nullif(n.database, n.role))
        ORDER BY n.role COLLATE "C";
    END
  `;
}
