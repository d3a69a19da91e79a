/**
 * Differences in the read-only access of reporting roles in this database: schemas, tables, default privileges.
 *
 * A `read_access` resource names a role, the schemas it reads, the tables and columns withheld from it (as in SQL:
 * quoted where needed, with or without the schema), and whose future tables it reads (null: every owner of tables
 * there, and the role that asked for it, which is recorded so that a later caller that restores it means the same
 * role). Privileges beyond that are revoked.
 */
import { recordedMark } from '../../model/sections.ts';
import type { Bool, ChangeRow, Jsonb, Places, Returns, SetOf, TableGroups, Text } from '../../model/types.ts';
import { isSuperuser } from '../document/names.ts';
import { raw, type Sql, sql } from '../../sql/template.ts';
import { isOfGroup, numbered, readers, recorderMay } from './tables.ts';
import { withholdAny } from './withheld.ts';

/**
 * Whether a role may lack CONNECT or USAGE. Mostly it has what the owner granted to it or to PUBLIC; a grant by
 * somebody else is found by the queries that this saves.
 */
const mayLackAccess = (places: Places) => {
  const has = (acl: Sql, owner: Sql, privilege: Sql) => sql`
    ${acl} @> makeaclitem(0, ${owner}, ${privilege}, false)
    OR ${acl} @> makeaclitem(p.role_oid, ${owner}, ${privilege}, false)
  `;
  return sql`EXISTS (
    SELECT FROM unnest(${places}) AS p
    LEFT JOIN pg_namespace AS n ON n.oid = p.schema_oid
    CROSS JOIN pg_database AS d
    WHERE d.datname = current_database() AND (
      (${has(sql`n.nspacl`, sql`n.nspowner`, sql`'USAGE'`)}) IS NOT TRUE
      OR (d.datacl IS NULL OR ${has(sql`d.datacl`, sql`d.datdba`, sql`'CONNECT'`)}) IS NOT TRUE
    )
  )`;
};

/**
 * Differences in the read-only access of reporting roles, on request with a statement for each privilege, or only as
 * many as show that there are any
 * @volatility stable
 */
export function plan_read_access(resources: Jsonb, singly: Bool, briefly: Bool): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_withholds boolean := ${withholdAny(resources)};
      v_groups rolecall_internal.table_group[];
      v_places rolecall_internal.place[];
      v_tables record;
      v_missing jsonb;
    BEGIN
      PERFORM rolecall_internal.check_provisioned_here(${resources});
      v_groups := rolecall_internal.table_groups();
      v_places := rolecall_internal.places(${resources}, v_groups);
      IF ${mayLackAccess(sql`v_places`)} THEN
        RETURN QUERY SELECT * FROM rolecall_internal.plan_connect(v_places);
        RETURN QUERY SELECT * FROM rolecall_internal.plan_schemas(v_places);
      END IF;
      SELECT * INTO v_tables FROM rolecall_internal.table_differences(v_places, v_groups);
      IF v_tables.excess THEN
        RETURN QUERY SELECT * FROM rolecall_internal.plan_table_excess(v_places, v_groups);
      END IF;
      IF v_withholds THEN
        RETURN QUERY SELECT * FROM rolecall_internal.plan_shards(v_places);
      END IF;
      IF v_tables.missing THEN
        v_missing := rolecall_internal.missing_groups(v_places, v_groups, ${singly});
        IF ${briefly} AND v_missing IS NOT NULL THEN
          RETURN NEXT NULL;
          RETURN;
        END IF;
        RETURN QUERY SELECT * FROM rolecall_internal.plan_missing_tables(
          v_places, v_groups, v_missing, ${singly}
        );
      END IF;
      IF v_withholds THEN
        RETURN QUERY SELECT * FROM rolecall_internal.plan_missing_columns(v_places, v_missing, ${singly});
      END IF;
      RETURN QUERY SELECT * FROM rolecall_internal.plan_held_otherwise(v_places);
      IF v_withholds THEN
        RETURN QUERY SELECT * FROM rolecall_internal.plan_renamed(${resources});
      END IF;
      IF rolecall_internal.future_differs(v_places, v_groups) THEN
        RETURN QUERY SELECT * FROM rolecall_internal.plan_default_privileges(v_places, v_groups);
      END IF;
    END
  `;
}

/**
 * Each schema of each resource, with the tables in it that are withheld or have withheld columns, and with the groups
 * of tables where these are given
 * @volatility stable
 * @probes
 */
export function places(resources: Jsonb, groups: TableGroups | null): Returns<Places> {
  return sql`
    DECLARE
      v_places rolecall_internal.place[];
    BEGIN
      v_places := ARRAY(
        SELECT ROW(t.position, t.role, o.role_oid, s.place, s.name, to_regnamespace(quote_ident(s.name))::oid,
                   '{}'::oid[], '{}'::integer[], '{}'::jsonb, t.owners IS NULL AND t.watched IS NOT TRUE,
                   coalesce(t.owners, ARRAY(SELECT t.caller WHERE to_regrole(quote_ident(t.caller)) IS NOT NULL)),
                   b.recorder
                  )::rolecall_internal.place
        FROM ROWS FROM (jsonb_to_recordset(${resources})
               AS (role text, schemas jsonb, owners text[], caller text, watched boolean, ${raw(recordedMark)} text))
             WITH ORDINALITY AS t(role, schemas, owners, caller, watched, recorder, position)
        CROSS JOIN LATERAL (SELECT rolecall_internal.bounding_recorder(t.recorder) OFFSET 0) AS b(recorder)
        CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(t.role))::oid OFFSET 0) AS o(role_oid)
        CROSS JOIN LATERAL jsonb_array_elements_text(t.schemas) WITH ORDINALITY AS s(name, place)
        ORDER BY t.position, s.place
      );
      IF NOT ${withholdAny(resources)} THEN
        RETURN v_places;
      END IF;
      RETURN ARRAY(
        WITH withheld AS (
          SELECT w.number AS position, w.table_oid,
                 CASE WHEN bool_and(w.column_number <> 0) THEN jsonb_agg(w.column_name) END AS columns
          FROM rolecall_internal.withheld_tables(${resources}) AS w
          GROUP BY w.number, w.table_oid
        ),
        found AS (
          SELECT w.position, c.relnamespace AS schema, array_agg(w.table_oid ORDER BY w.table_oid) AS tables,
                 array_agg(g.number::integer ORDER BY w.table_oid) AS numbers,
                 jsonb_object_agg(w.table_oid, w.columns) FILTER (WHERE w.columns IS NOT NULL) AS partial
          FROM withheld AS w
          CROSS JOIN LATERAL (
            SELECT c.* FROM pg_class AS c
            WHERE c.oid = w.table_oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            OFFSET 0 -- Table by table, because there are many more tables than withheld ones.
          ) AS c
          LEFT JOIN ${numbered(groups as Sql, sql`g`)} ON (
            ${isOfGroup(sql`c`, sql`g`)}
          )
          WHERE g.number IS NOT NULL OR ${groups as Sql} IS NULL
          GROUP BY w.position, c.relnamespace
        )
        SELECT ROW(p.position, p.role, p.role_oid, p.place, p.schema, p.schema_oid,
                   coalesce(f.tables, '{}'), coalesce(f.numbers, '{}'), coalesce(f.partial, '{}'),
                   p.every_owner, p.owners, p.recorder)::rolecall_internal.place
        FROM unnest(v_places) AS p
        LEFT JOIN found AS f ON f.position = p.position AND f.schema = p.schema_oid
        ORDER BY p.position, p.place
      );
    END
  `;
}

/**
 * The recorder of a definition, if no more may be granted by it than that role may grant; null where only the caller
 * counts. The owner of the database decides who reads what is in it
 * @volatility stable
 * @probes
 */
export function bounding_recorder(recorder: Text): Returns<Text | null> {
  return sql`
    DECLARE
      v_role oid := to_regrole(quote_ident(${recorder}))::oid;
    BEGIN
      IF ${recorder} = current_user OR ${isSuperuser(sql`v_role`)}
        OR (SELECT pg_has_role(v_role, datdba, 'USAGE') FROM pg_database WHERE datname = current_database() LIMIT 1)
      THEN
        RETURN NULL;
      END IF;
      RETURN ${recorder};
    END
  `;
}

/**
 * CONNECT on this database, where the role has it neither itself nor through PUBLIC
 * @volatility stable
 */
export function plan_connect(places: Places): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT 'grant_privilege', d.datname::text, format('GRANT CONNECT ON DATABASE %I TO %I', d.datname, t.role),
               NULL::text, ARRAY[t.role], CASE WHEN NOT a.allowed THEN '42501' END,
               CASE WHEN NOT a.allowed THEN 'only the owner may do this' END
        FROM (
          ${readers(places)}
        ) AS t
        JOIN pg_database AS d ON d.datname = current_database()
        CROSS JOIN LATERAL (
          SELECT has_database_privilege(d.oid, 'CONNECT WITH GRANT OPTION') AND ${recorderMay(
            sql`t.recorder`,
            (role) => sql`has_database_privilege(
              ${role}, d.oid, 'CONNECT WITH GRANT OPTION'
            )`,
          )}
        ) AS a(allowed)
        WHERE NOT EXISTS (
          SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS x
          WHERE x.privilege_type = 'CONNECT' AND (x.grantee = 0 OR x.grantee = t.role_oid)
        )
        ORDER BY t.position;
    END
  `;
}

/**
 * Schemas that are missing, and USAGE on schemas where the role has it neither itself nor through PUBLIC
 * @volatility stable
 */
export function plan_schemas(places: Places): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        -- Each ACL is expanded once, however many roles there are.
        WITH held AS MATERIALIZED (
          SELECT n.oid, x.grantee
          FROM pg_namespace AS n
          CROSS JOIN LATERAL aclexplode(n.nspacl) AS x
          WHERE x.privilege_type = 'USAGE'
            AND (x.grantee = 0 OR x.grantee IN (SELECT p.role_oid FROM unnest(${places}) AS p))
        ),
        found AS (
          SELECT p.position, 1 AS phase, p.place, 'create_schema' AS operation, p.schema AS target,
                 format('CREATE SCHEMA %I', p.schema) AS statement, '{}'::text[] AS locks, true AS allowed
          FROM unnest(${places}) AS p
          WHERE p.schema_oid IS NULL
            AND NOT EXISTS (
              SELECT FROM unnest(${places}) AS e WHERE e.schema = p.schema AND e.position < p.position
            )
          UNION ALL
          SELECT p.position, 2, p.place, 'grant_privilege', p.schema,
                 format('GRANT USAGE ON SCHEMA %I TO %I', p.schema, p.role), ARRAY[p.role],
                 p.schema_oid IS NULL OR has_schema_privilege(p.schema_oid, 'USAGE WITH GRANT OPTION') AND ${recorderMay(
                   sql`p.recorder`,
                   (role) => sql`has_schema_privilege(
                     ${role},
                     p.schema_oid, 'USAGE WITH GRANT OPTION'
                   )`,
                 )}
          FROM unnest(${places}) AS p
          WHERE NOT EXISTS (
            SELECT FROM held AS h WHERE h.oid = p.schema_oid AND (h.grantee = 0 OR h.grantee = p.role_oid)
          )
        )
        SELECT f.operation, f.target, f.statement, NULL::text, f.locks,
               CASE WHEN NOT f.allowed THEN '42501' END,
               CASE WHEN NOT f.allowed THEN 'only the owner may do this' END
        FROM found AS f
        ORDER BY f.position, f.phase, f.place;
    END
  `;
}
