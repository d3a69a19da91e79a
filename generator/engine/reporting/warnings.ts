/**
 * What a provisioning run says without being able to change it.
 */
import type { Jsonb, Nothing } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { takers } from '../catalogs/edges.ts';
import { handler } from '../reading/watch.ts';

/**
 * Says where PUBLIC may create objects, and so may a role that is to write nothing: that is the owner's to change
 */
export function warn_about_public(): Nothing {
  return sql`
    DECLARE
      v_schemas text;
    BEGIN
      SELECT string_agg(quote_ident(n.nspname), ', ' ORDER BY n.nspname) INTO v_schemas
      FROM pg_namespace AS n
      WHERE n.nspacl IS NOT NULL
        AND EXISTS (SELECT FROM aclexplode(n.nspacl) AS x WHERE x.grantee = 0 AND x.privilege_type = 'CREATE');
      IF v_schemas IS NOT NULL THEN
        RAISE WARNING USING
          MESSAGE = format('reporting roles can create objects in schema %s, because PUBLIC can', v_schemas),
          HINT = format('Ask the owner, or a superuser, to run: REVOKE CREATE ON SCHEMA %s FROM PUBLIC', v_schemas);
      END IF;
    END
  `;
}

/**
 * Says who could read what a role is to read, where the role is there already and did not become a reporting role here
 *
 * Those are left alone, as somebody may have wanted them. But whoever may create roles can make one of a name that
 * is to be expected, before it is provisioned, and keep ADMIN OPTION on it or let others into it.
 * @volatility stable
 */
export function warn_about_members(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_found record;
    BEGIN
      FOR v_found IN
        SELECT d.role, t.names, t.revokes
        FROM jsonb_to_recordset(${definitions}) AS d(role text)
        CROSS JOIN LATERAL (
          ${takers(sql`to_regrole(quote_ident(d.role))::oid`, sql`false`)}
        ) AS t
        WHERE t.names IS NOT NULL
          AND NOT EXISTS (SELECT FROM rolecall_watch.reporting_role AS o WHERE o.role = d.role AND o.ours)
        ORDER BY d.role
      LOOP
        RAISE WARNING USING
          MESSAGE = format(
            'role "%s" is there already, and its members can read what it reads: %s', v_found.role, v_found.names
          ),
          DETAIL = 'So can who has ADMIN OPTION on it, as the role that created it has from PostgreSQL 16 on.',
          HINT = 'What is not wanted ends by: ' || v_found.revokes;
      END LOOP;
    END
  `;
}

/**
 * Says which withheld tables do not exist yet, where default privileges would have them readable once they do
 * @volatility stable
 */
export function note_unwatched(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_names text;
    BEGIN
      IF EXISTS (
        SELECT FROM pg_event_trigger AS t
        WHERE t.evtfoid = ${handler} AND t.evtenabled IN ('O', 'A')
      ) THEN
        RETURN;
      END IF;
      SELECT string_agg(a.name, ', ' ORDER BY a.name) INTO v_names
      FROM (
        -- Of several roles that have it withheld one may have no schema where it could be.
        SELECT w.name
        FROM jsonb_to_recordset(${definitions}) AS d(schemas jsonb, withheld jsonb)
        CROSS JOIN LATERAL jsonb_array_elements_text(d.withheld) AS w(name)
        CROSS JOIN LATERAL (SELECT parse_ident(w.name) AS parts) AS i
        LEFT JOIN LATERAL (
          SELECT true AS found
          FROM pg_class AS c
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
          WHERE c.relname = i.parts[cardinality(i.parts)] AND d.schemas ? n.nspname::text
            AND (cardinality(i.parts) = 1 OR i.parts[cardinality(i.parts) - 1] = n.nspname)
          LIMIT 1
        ) AS c ON true
        GROUP BY w.name
        HAVING bool_and(c.found IS NULL)
      ) AS a(name);
      IF v_names IS NOT NULL THEN
        RAISE NOTICE USING
          MESSAGE = format('withheld tables that do not exist yet: %s', v_names),
          DETAIL = 'Where a table owner makes one of them, or makes it again, it is readable until the next '
                   'provisioning run.',
          HINT = 'A superuser can close that gap by rolecall.watch_new_tables().';
      END IF;
    END
  `;
}
