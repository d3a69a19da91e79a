/**
 * What differs about the read-only access of reporting roles in this database: schemas, tables, default privileges.
 *
 * A `read_access` resource names a role, the schemas it reads, the tables withheld from it (as in SQL: quoted where
 * needed, with or without the schema), and whose future tables it reads (null: every owner of tables there, and the
 * role that asked for it, which is recorded so that whoever restores it means the same one). Privileges beyond that
 * are taken away.
 */
import type { ChangeRow, Jsonb, Nothing, Places, Returns, SetOf, TableGroups, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { isOfGroup, numbered, readers } from './plan-tables.ts';

/**
 * The setting that shows in all databases which of them a reporting role belongs to: the one where it has it again for
 * that database alone. Every caller that may alter the role may set it, and a dump of the cluster carries it.
 */
export const ownership = sql`'{"name": "default_transaction_read_only", "value": "on", "here": true}'::jsonb`;

/**
 * Name of the other database of the cluster that a reporting role belongs to; null where it is this one's, or nobody's
 *
 * The role could set the setting for any database, but not give itself a privilege there. Another login could, on large
 * objects, temporary tables and whatever else everybody may make; not on a schema, nor on what a role has made that may
 * provision.
 * @volatility stable
 */
export function _other_database(role_name: Text): Returns<Text> {
  return sql`
    BEGIN
      RETURN (
        SELECT nullif(d.datname, current_database())::text
        FROM pg_db_role_setting AS s
        JOIN pg_database AS d ON d.oid = s.setdatabase
        WHERE s.setrole = to_regrole(quote_ident(${role_name}))::oid
          AND 'default_transaction_read_only=on' = ANY (s.setconfig)
          AND (d.datname = current_database() OR EXISTS (
            SELECT FROM pg_shdepend AS g
            WHERE g.dbid = d.oid AND g.refclassid = 'pg_authid'::regclass AND g.refobjid = s.setrole AND g.deptype = 'a'
              AND (g.classid = 'pg_namespace'::regclass OR NOT EXISTS (
                SELECT FROM pg_shdepend AS o
                JOIN pg_roles AS r ON r.oid = o.refobjid AND NOT r.rolsuper AND NOT r.rolcreaterole
                WHERE o.dbid = g.dbid AND o.classid = g.classid AND o.objid = g.objid AND o.deptype = 'o'
              ))
          ))
        ORDER BY d.datname = current_database() DESC, d.datname
        LIMIT 1
      );
    END
  `;
}

/**
 * Refuses a reporting role that belongs to another database of the cluster
 * @volatility stable
 */
export function _check_provisioned_here(resources: Jsonb): Nothing {
  return sql`
    DECLARE
      v_role text;
      v_other text;
    BEGIN
      -- As a rule no role has a setting for another database.
      FOR v_role IN
        SELECT DISTINCT r.role
        FROM jsonb_to_recordset(${resources}) AS r(role text)
        JOIN pg_db_role_setting AS s ON s.setrole = to_regrole(quote_ident(r.role))::oid
        JOIN pg_database AS d ON d.oid = s.setdatabase
        WHERE d.datname <> current_database()
      LOOP
        v_other := rolecall._other_database(v_role);
        IF v_other IS NOT NULL THEN
          PERFORM rolecall._refuse_other_database(v_role, format('database "%s"', v_other));
        END IF;
      END LOOP;
    END
  `;
}

/**
 * Refuses a reporting role of another database
 * @volatility stable
 */
export function _refuse_other_database(role_name: Text, owner: Text): Nothing {
  return sql`
    BEGIN
      RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = format('reporting role "%s" belongs to %s',
                         ${role_name}, ${owner}),
        HINT = 'Roles belong to the whole cluster: give the role of each database a name of its own, such as one that '
               'starts with the name of the database.';
    END
  `;
}

/**
 * Differences in the read-only access of reporting roles
 * @volatility stable
 */
export function _plan_read_access(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_groups rolecall._table_group[];
      v_places rolecall._place[];
    BEGIN
      PERFORM rolecall._check_provisioned_here(${resources});
      v_groups := rolecall._table_groups();
      v_places := rolecall._places(${resources}, v_groups);
      RETURN QUERY SELECT * FROM rolecall._plan_schemas(v_places);
      RETURN QUERY SELECT * FROM rolecall._plan_excess(v_places, v_groups);
      RETURN QUERY SELECT * FROM rolecall._plan_missing(v_places, v_groups);
      RETURN QUERY SELECT * FROM rolecall._plan_privileges(v_places);
      RETURN QUERY SELECT * FROM rolecall._plan_default_privileges(v_places, v_groups);
    END
  `;
}

/**
 * Each schema of each resource, with the tables in it that are withheld, and the groups that these are in
 * @volatility stable
 * @probes
 */
export function _places(resources: Jsonb, groups: TableGroups): Returns<Places> {
  return sql`
    DECLARE
      v_places rolecall._place[];
    BEGIN
      v_places := ARRAY(
        SELECT ROW(t.position, t.role, o.role_oid, s.place, s.name, to_regnamespace(quote_ident(s.name))::oid,
                   '{}'::oid[], '{}'::integer[], t.owners IS NULL,
                   coalesce(t.owners, ARRAY(SELECT t.caller WHERE to_regrole(quote_ident(t.caller)) IS NOT NULL))
                  )::rolecall._place
        FROM ROWS FROM (jsonb_to_recordset(${resources}) AS (role text, schemas jsonb, owners text[], caller text))
             WITH ORDINALITY AS t(role, schemas, owners, caller, position)
        CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(t.role))::oid OFFSET 0) AS o(role_oid)
        CROSS JOIN LATERAL jsonb_array_elements_text(t.schemas) WITH ORDINALITY AS s(name, place)
        ORDER BY t.position, s.place
      );
      IF NOT jsonb_path_exists(${resources}, '$[*].withheld[*]') THEN
        RETURN v_places;
      END IF;
      RETURN ARRAY(
        WITH RECURSIVE withheld AS (
          SELECT p.position, c.oid AS table_oid
          FROM ROWS FROM (jsonb_to_recordset(${resources}) AS (withheld jsonb))
               WITH ORDINALITY AS t(withheld, position)
          CROSS JOIN LATERAL jsonb_array_elements_text(t.withheld) AS w(name)
          CROSS JOIN LATERAL (SELECT parse_ident(w.name) AS parts) AS i
          CROSS JOIN LATERAL (
            SELECT n.oid, n.relnamespace FROM pg_class AS n WHERE n.relname = i.parts[cardinality(i.parts)] OFFSET 0
          ) AS c
          JOIN unnest(v_places) AS p ON p.position = t.position AND p.schema_oid = c.relnamespace
          WHERE cardinality(i.parts) = 1 OR i.parts[cardinality(i.parts) - 1] = p.schema
          UNION
          -- Its partitions hold its rows.
          SELECT w.position, i.inhrelid FROM withheld AS w JOIN pg_inherits AS i ON i.inhparent = w.table_oid
        ),
        found AS (
          SELECT w.position, g.schema, array_agg(w.table_oid ORDER BY w.table_oid) AS tables,
                 array_agg(g.number::integer ORDER BY w.table_oid) AS numbers
          FROM withheld AS w
          JOIN pg_class AS c ON c.oid = w.table_oid
          JOIN ${numbered(groups)} ON (
            ${isOfGroup}
          )
          GROUP BY w.position, g.schema
        )
        SELECT ROW(p.position, p.role, p.role_oid, p.place, p.schema, p.schema_oid,
                   coalesce(f.tables, '{}'), coalesce(f.numbers, '{}'), p.every_owner, p.owners)::rolecall._place
        FROM unnest(v_places) AS p
        LEFT JOIN found AS f ON f.position = p.position AND f.schema = p.schema_oid
        ORDER BY p.position, p.place
      );
    END
  `;
}

/**
 * Schemas that are missing, and USAGE that is missing on them
 * @volatility stable
 */
export function _plan_schemas(places: Places): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        -- Each ACL is taken apart once, however many roles there are.
        WITH held AS MATERIALIZED (
          SELECT n.oid, x.grantee
          FROM pg_namespace AS n
          CROSS JOIN LATERAL aclexplode(n.nspacl) AS x
          WHERE x.grantee IN (SELECT p.role_oid FROM unnest(${places}) AS p) AND x.privilege_type = 'USAGE'
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
                 p.schema_oid IS NULL OR has_schema_privilege(p.schema_oid, 'USAGE WITH GRANT OPTION')
          FROM unnest(${places}) AS p
          WHERE NOT EXISTS (SELECT FROM held AS h WHERE h.oid = p.schema_oid AND h.grantee = p.role_oid)
        )
        SELECT f.operation, f.target, f.statement, NULL::text, f.locks,
               CASE WHEN NOT f.allowed THEN '42501' END,
               CASE WHEN NOT f.allowed THEN 'only the owner may do this' END
        FROM found AS f
        ORDER BY f.position, f.phase, f.place;
    END
  `;
}

/**
 * Default privileges that are missing for future tables, and those that the role must not have
 * @volatility stable
 */
export function _plan_default_privileges(places: Places, groups: TableGroups): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH owner AS (
          SELECT p.position, o.name AS owner, to_regrole(quote_ident(o.name))::oid AS owner_oid
          FROM unnest(${places}) AS p
          CROSS JOIN LATERAL unnest(p.owners) AS o(name)
          UNION
          SELECT p.position, pg_get_userbyid(g.owner)::text, g.owner
          FROM unnest(${places}) AS p
          JOIN unnest(${groups}) AS g ON g.schema = p.schema_oid AND g.kind <> 'S'
          WHERE p.every_owner
        ),
        present AS (
          SELECT t.position, t.role, d.defaclrole, d.defaclnamespace, d.defaclobjtype, x.privilege_type, x.is_grantable,
                 d.defaclobjtype = 'r' AND x.privilege_type = 'SELECT'
                   AND EXISTS (
                     SELECT FROM unnest(${places}) AS p
                     WHERE p.position = t.position AND p.schema_oid = d.defaclnamespace
                   ) AS wanted
          FROM pg_default_acl AS d
          CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
          JOIN (
            ${readers(places)}
          ) AS t ON t.role_oid = x.grantee
        ),
        change AS (
          SELECT p.position, 1 AS phase, p.role, o.owner, o.owner_oid,
                 format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %s GRANT SELECT ON TABLES TO %I',
                        o.owner, string_agg(quote_ident(p.schema), ', ' ORDER BY p.place), p.role) AS statement
          FROM unnest(${places}) AS p
          JOIN owner AS o USING (position)
          WHERE o.owner <> p.role
            AND NOT EXISTS (
              SELECT FROM present AS d
              WHERE d.wanted AND d.position = p.position AND d.defaclrole = o.owner_oid
                AND d.defaclnamespace = p.schema_oid
            )
          GROUP BY p.position, p.role, o.owner, o.owner_oid
          UNION ALL
          SELECT d.position, 2, d.role, pg_get_userbyid(d.defaclrole), d.defaclrole,
                 format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE %s ON %s FROM %I CASCADE',
                        pg_get_userbyid(d.defaclrole), ' IN SCHEMA ' || quote_ident(n.nspname),
                        concat(CASE WHEN d.wanted THEN 'GRANT OPTION FOR ' END, d.privilege_type),
                        CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                             WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END, d.role)
          FROM present AS d
          LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
          WHERE NOT d.wanted OR d.is_grantable
        )
        SELECT 'default_privilege', c.role, c.statement, NULL::text, ARRAY[c.role],
               CASE WHEN c.owner_oid IS NULL THEN '42704' WHEN NOT pg_has_role(c.owner_oid, 'USAGE') THEN '42501' END,
               CASE WHEN c.owner_oid IS NULL THEN format('role "%s" does not exist', c.owner)
                    WHEN NOT pg_has_role(c.owner_oid, 'USAGE')
                      THEN format('takes membership in %I, which makes the tables', c.owner) END
        FROM change AS c
        ORDER BY c.position, c.phase, c.statement;
    END
  `;
}
