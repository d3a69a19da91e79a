/**
 * Powers that a membership would pass on to others than the member: whoever can become the member, or administers it, can
 * take what it is granted.
 */
import type { Changes, Oid, Returns, Table, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { isAskedFor, takers } from '../catalogs/edges.ts';

/**
 * The changes, with the memberships skipped by which others would gain a power of the granted role
 *
 * Reading and writing of tables is not a power in this sense: whoever may grant a role decides who reads and writes.
 * @volatility stable
 */
export function withhold_powers(changes: Changes): Returns<Changes> {
  return sql`
    DECLARE
      v_change rolecall_internal.change;
      v_changes rolecall_internal.change[] := '{}'::rolecall_internal.change[];
      v_takers record;
    BEGIN
      FOREACH v_change IN ARRAY ${changes} LOOP
        -- Nobody can become or administer a member that is yet to be created.
        IF v_change.operation = 'grant_role' AND v_change.sqlstate IS NULL
          AND to_regrole(quote_ident(v_change.locks[1])) IS NOT NULL
        THEN
          SELECT t.* INTO v_takers
          FROM rolecall_internal.power_takers(
            to_regrole(quote_ident(v_change.locks[2]))::oid, to_regrole(quote_ident(v_change.locks[1]))::oid
          ) AS t;
          IF v_takers.names IS NOT NULL THEN
            v_change.sqlstate := '42501';
            v_change.note := format('the powers of role "%s" could be taken by %s, by membership or ADMIN OPTION',
                                    v_change.locks[2], v_takers.names);
            v_change.statement := concat_ws('; ', v_takers.revokes, v_change.statement);
          END IF;
        END IF;
        v_changes := v_changes || v_change;
      END LOOP;
      RETURN v_changes;
    END
  `;
}

/**
 * Those who could take through a member what attributes, predefined roles or the rights of an operator give a role, and do
 * not have it; no row or nulls where there is nobody
 * @volatility stable
 * @probes
 */
export function power_takers(role_oid: Oid, member_oid: Oid): Table<{ names: Text; revokes: Text }> {
  return sql`
    DECLARE
      -- Mostly there are none. All roles are read once for them, not again for each who could take them.
      v_powers pg_roles[] := ARRAY(
        SELECT g FROM pg_roles AS g
        WHERE pg_has_role(${role_oid}, g.oid, 'MEMBER')
          AND (g.rolsuper OR g.rolcreaterole OR g.rolcreatedb OR g.rolreplication OR g.rolbypassrls
               OR starts_with(g.rolname, 'pg_') OR has_table_privilege(g.oid, 'rolecall_internal.secret', 'SELECT'))
      );
    BEGIN
      IF cardinality(v_powers) > 0 THEN
        RETURN QUERY
          ${takers(member_oid, () => sql`(NOT ${gains})`, isAskedFor)};
      END IF;
    END
  `;
}

/** Whether there is a power that the role r does not have. */
const gains = sql`EXISTS (
      SELECT FROM unnest(v_powers) AS g
      WHERE NOT pg_has_role(r.oid, g.oid, 'MEMBER')
        AND (g.rolsuper OR (g.rolcreaterole AND NOT r.rolcreaterole) OR (g.rolcreatedb AND NOT r.rolcreatedb)
             OR (g.rolreplication AND NOT r.rolreplication) OR (g.rolbypassrls AND NOT r.rolbypassrls)
             OR starts_with(g.rolname, 'pg_')
             OR (has_table_privilege(g.oid, 'rolecall_internal.secret', 'SELECT')
                 AND NOT has_table_privilege(r.oid, 'rolecall_internal.secret', 'SELECT')))
    )`;
