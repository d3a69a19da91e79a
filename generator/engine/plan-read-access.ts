/**
 * What differs about the read-only access of reporting roles in this database: schemas, tables, default privileges.
 *
 * A `read_access` resource names a role, the schemas it reads, the tables withheld from it (as in SQL: quoted where
 * needed, with or without the schema), and whose future tables it reads (null: every owner of tables there, and the
 * role that asked for it, which is recorded so that whoever restores it means the same one). Privileges beyond that
 * are taken away.
 */
import type { ChangeRow, Jsonb, Nothing, Returns, SetOf, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { batch, revocations } from './grantable.ts';

/**
 * From PostgreSQL 18 each table that a statement names is locked, so no call names more than about that many: beyond, it
 * goes by schema, first where nearly every table is to be granted.
 */
const longList = 1000;

/** Each resource with its oid, and each of its schemas. */
export const targets = (resources: Jsonb) => sql`
  target AS (
    SELECT t.*, to_regrole(quote_ident(t.role))::oid AS role_oid
    FROM ROWS FROM (jsonb_to_recordset(${resources})
           AS (role text, schemas jsonb, withheld jsonb, owners jsonb, caller text))
         WITH ORDINALITY AS t(role, schemas, withheld, owners, caller, position)
  ),
  place AS (
    SELECT t.position, t.role, t.role_oid, s.name AS schema, s.place,
           to_regnamespace(quote_ident(s.name))::oid AS schema_oid
    FROM target AS t
    CROSS JOIN LATERAL jsonb_array_elements_text(t.schemas) WITH ORDINALITY AS s(name, place)
  )
`;

/** The tables withheld from each resource's role; recursive. */
export const withheld = sql`
  withheld AS (
    SELECT p.position, c.oid AS table_oid, c.relnamespace
    FROM target AS t
    CROSS JOIN LATERAL jsonb_array_elements_text(t.withheld) AS w(name)
    CROSS JOIN LATERAL (SELECT parse_ident(w.name) AS parts) AS i
    JOIN pg_class AS c ON c.relname = i.parts[cardinality(i.parts)]
    JOIN place AS p ON p.position = t.position AND p.schema_oid = c.relnamespace
    WHERE cardinality(i.parts) = 1 OR i.parts[cardinality(i.parts) - 1] = p.schema
    UNION
    -- Its partitions hold its rows.
    SELECT w.position, i.inhrelid, c.relnamespace
    FROM withheld AS w
    JOIN pg_inherits AS i ON i.inhparent = w.table_oid
    JOIN pg_class AS c ON c.oid = i.inhrelid
  )
`;

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
      v_other record;
    BEGIN
      SELECT r.role, o.datname INTO v_other
      FROM jsonb_to_recordset(${resources}) AS r(role text)
      CROSS JOIN LATERAL (SELECT rolecall._other_database(r.role) AS datname) AS o
      WHERE o.datname IS NOT NULL;
      IF FOUND THEN
        PERFORM rolecall._refuse_other_database(v_other.role, format('database "%s"', v_other.datname));
      END IF;
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
    BEGIN
      PERFORM rolecall._check_provisioned_here(${resources});
      RETURN QUERY SELECT * FROM rolecall._plan_schemas(${resources});
      RETURN QUERY SELECT * FROM rolecall._plan_tables(${resources});
      RETURN QUERY SELECT * FROM rolecall._plan_privileges(${resources});
      RETURN QUERY SELECT * FROM rolecall._plan_default_privileges(${resources});
    END
  `;
}

/**
 * Schemas that are missing, and USAGE that is missing on them
 * @volatility stable
 */
export function _plan_schemas(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH ${targets(resources)},
        -- Each ACL is taken apart once, however many roles there are.
        held AS MATERIALIZED (
          SELECT n.oid, x.grantee
          FROM pg_namespace AS n
          CROSS JOIN LATERAL aclexplode(n.nspacl) AS x
          WHERE x.grantee IN (SELECT t.role_oid FROM target AS t) AND x.privilege_type = 'USAGE'
        ),
        found AS (
          SELECT p.position, 1 AS phase, p.place::text AS detail, 'create_schema' AS operation, p.schema AS target,
                 format('CREATE SCHEMA %I', p.schema) AS statement, '{}'::text[] AS locks, true AS allowed
          FROM place AS p
          WHERE p.schema_oid IS NULL
            AND NOT EXISTS (SELECT FROM place AS e WHERE e.schema = p.schema AND e.position < p.position)
          UNION ALL
          SELECT p.position, 2, p.place::text, 'grant_privilege', p.schema,
                 format('GRANT USAGE ON SCHEMA %I TO %I', p.schema, p.role), ARRAY[p.role],
                 p.schema_oid IS NULL OR has_schema_privilege(p.schema_oid, 'USAGE WITH GRANT OPTION')
          FROM place AS p
          WHERE NOT EXISTS (SELECT FROM held AS h WHERE h.oid = p.schema_oid AND h.grantee = p.role_oid)
        )
        SELECT f.operation, f.target, f.statement, NULL::text, f.locks,
               CASE WHEN NOT f.allowed THEN '42501' END,
               CASE WHEN NOT f.allowed THEN 'only the owner may do this' END
        FROM found AS f
        ORDER BY f.position, f.phase, f.detail;
    END
  `;
}

/** The name of a table, m.oid: few are asked for, and a join would read the whole catalog. */
const nameOf = sql`(SELECT c.relname FROM pg_class AS c WHERE c.oid = m.oid LIMIT 1) AS c`;

/**
 * Privileges on tables that are missing, and those that the role must not have
 * @volatility stable
 */
export function _plan_tables(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH RECURSIVE ${targets(resources)},
        ${withheld},
        -- Few ACLs are shared by many tables: each distinct one is taken apart once, however many roles there are.
        acl AS MATERIALIZED (
          SELECT row_number() OVER () AS number, a.*
          FROM (
            SELECT c.relnamespace, c.relowner, c.relacl, c.relkind = 'S' AS is_sequence, array_agg(c.oid) AS tables
            FROM pg_class AS c
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            GROUP BY 1, 2, 3, 4
          ) AS a
        ),
        entry AS MATERIALIZED (
          SELECT a.number, x.grantee, x.grantor,
                 bool_or(x.privilege_type = 'SELECT') AS reads,
                 bool_or(x.privilege_type = 'SELECT' AND x.is_grantable) AS passes_on,
                 string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type)
                   FILTER (WHERE x.privilege_type <> 'SELECT') AS writes
          FROM acl AS a
          CROSS JOIN LATERAL aclexplode(a.relacl) AS x
          WHERE x.grantee IN (SELECT t.role_oid FROM target AS t)
          GROUP BY 1, 2, 3
        ),
        held AS MATERIALIZED (
          SELECT p.position, p.role, p.role_oid, a.tables, a.relowner, p.schema, p.place, e.number IS NOT NULL AS reads
          FROM place AS p
          JOIN acl AS a ON a.relnamespace = p.schema_oid AND NOT a.is_sequence
          LEFT JOIN (SELECT DISTINCT e.number, e.grantee FROM entry AS e WHERE e.reads) AS e
            ON e.number = a.number AND e.grantee = p.role_oid
        ),
        -- Names are looked up only where they are needed, and rights once for what has one owner and one ACL.
        missing AS (
          SELECT h.position, h.role, h.schema, h.place, u.oid, h.relowner, g.allowed
          FROM held AS h
          CROSS JOIN LATERAL (SELECT has_table_privilege(h.tables[1], 'SELECT WITH GRANT OPTION') OFFSET 0) AS g(allowed)
          CROSS JOIN LATERAL unnest(h.tables) AS u(oid)
          WHERE NOT h.reads AND h.relowner IS DISTINCT FROM h.role_oid
            AND NOT EXISTS (SELECT FROM withheld AS w WHERE w.position = h.position AND w.table_oid = u.oid)
        ),
        -- How to grant in each schema: to all tables at once where that is right, and cheaper than to name them.
        manner AS (
          SELECT m.position, m.schema,
                 m.allowed AND (
                   m.missing = h.present
                   OR sum(m.missing) OVER (ORDER BY m.missing::real / h.present, m.position, m.schema) > ${longList}
                 ) AS whole
          FROM (
            SELECT m.position, m.schema, bool_and(m.allowed) AS allowed, count(*) AS missing
            FROM missing AS m GROUP BY m.position, m.schema
          ) AS m
          JOIN (
            SELECT h.position, h.schema, sum(cardinality(h.tables)) AS present
            FROM held AS h GROUP BY h.position, h.schema
          ) AS h USING (position, schema)
        ),
        granted AS (
          SELECT m.position, 2 AS phase, m.place, 0::bigint AS part, 'grant_privilege' AS operation, m.schema AS target,
                 format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', m.schema, m.role) AS statement,
                 m.role, NULL::text AS note
          FROM missing AS m JOIN manner AS n USING (position, schema)
          WHERE n.whole
          GROUP BY m.position, m.place, m.schema, m.role
          UNION ALL
          SELECT m.position, 2, m.place, m.part, 'grant_privilege', m.schema,
                 format('GRANT SELECT ON %s TO %I',
                        string_agg(format('%I.%I', m.schema, m.relname), ', ' ORDER BY m.relname), m.role),
                 m.role, NULL
          FROM (
            SELECT m.*, c.relname,
                   (row_number() OVER (PARTITION BY m.position, m.schema ORDER BY c.relname) - 1) / ${batch} AS part
            FROM missing AS m JOIN manner AS n USING (position, schema)
            CROSS JOIN LATERAL ${nameOf}
            WHERE NOT n.whole AND m.allowed
          ) AS m
          GROUP BY m.position, m.place, m.part, m.schema, m.role
          UNION ALL
          SELECT m.position, 2, m.place, m.oid::bigint, 'grant_privilege', format('%I.%I', m.schema, c.relname),
                 format('GRANT SELECT ON %I.%I TO %I', m.schema, c.relname, m.role), m.role,
                 format('owned by %I, whose grant it is', pg_get_userbyid(m.relowner))
          FROM missing AS m
          CROSS JOIN LATERAL ${nameOf}
          WHERE NOT m.allowed
        ),
        -- Of the tables that a role may read those are looked at one by one that share their ACL with a withheld one.
        mixed AS (
          SELECT DISTINCT w.position, a.number
          FROM withheld AS w
          JOIN acl AS a ON a.relnamespace = w.relnamespace AND w.table_oid = ANY (a.tables)
        ),
        suspect AS MATERIALIZED (
          SELECT t.position, t.role, t.role_oid, a.number, a.is_sequence, a.tables, r.reported,
                 e.reads, e.passes_on, e.writes, e.grantor
          FROM entry AS e
          JOIN acl AS a USING (number)
          JOIN target AS t ON t.role_oid = e.grantee
          CROSS JOIN LATERAL (
            SELECT NOT a.is_sequence
                   AND EXISTS (SELECT FROM place AS p WHERE p.position = t.position AND p.schema_oid = a.relnamespace)
          ) AS r(reported)
          WHERE e.writes IS NOT NULL OR e.passes_on OR NOT r.reported
             OR (t.position, a.number) IN (SELECT m.position, m.number FROM mixed AS m)
        ),
        excess AS (
          SELECT s.position, s.role, CASE WHEN s.is_sequence THEN 'SEQUENCE ' ELSE '' END AS kind, n.nspname AS target,
                 format('%I.%I', n.nspname, c.relname) AS object, c.relowner AS owner, s.grantor, d.privileges
          FROM suspect AS s
          CROSS JOIN LATERAL unnest(s.tables) AS u(oid)
          JOIN pg_class AS c ON c.oid = u.oid AND c.relowner <> s.role_oid
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL (
            SELECT s.reported
                   AND NOT EXISTS (SELECT FROM withheld AS w WHERE w.position = s.position AND w.table_oid = u.oid)
          ) AS r(readable)
          CROSS JOIN LATERAL (
            SELECT nullif(concat_ws(', ', CASE WHEN s.reads AND NOT r.readable THEN 'SELECT' END, s.writes), '')
            UNION ALL SELECT 'GRANT OPTION FOR SELECT' WHERE s.passes_on AND r.readable
          ) AS d(privileges)
          WHERE d.privileges IS NOT NULL
        ),
        revoked AS (
          ${revocations(sql`excess`)}
          UNION ALL
          -- ALL TABLES includes the withheld ones; nobody sees them between the two statements of one transaction.
          SELECT w.position, 3, 0, 0, 'revoke_privilege', n.schema,
                 format('REVOKE SELECT ON %s FROM %I', string_agg(w.table_oid::regclass::text, ', '), t.role), t.role, NULL
          FROM withheld AS w
          JOIN target AS t USING (position)
          JOIN place AS p ON p.position = w.position AND p.schema_oid = w.relnamespace
          JOIN manner AS n ON n.position = w.position AND n.schema = p.schema AND n.whole
          GROUP BY w.position, n.schema, t.role
        )
        SELECT c.operation, c.target::text, c.statement, NULL::text, ARRAY[c.role],
               CASE WHEN c.note IS NOT NULL THEN '42501' END, c.note
        FROM (SELECT * FROM granted UNION ALL SELECT * FROM revoked) AS c
        ORDER BY c.position, c.phase, c.place, c.part, c.statement;
    END
  `;
}

/**
 * Default privileges that are missing for future tables, and those that the role must not have
 * @volatility stable
 */
export function _plan_default_privileges(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH ${targets(resources)},
        owner AS (
          SELECT t.position, o.name AS owner, to_regrole(quote_ident(o.name))::oid AS owner_oid
          FROM target AS t CROSS JOIN LATERAL jsonb_array_elements_text(nullif(t.owners, 'null')) AS o(name)
          UNION
          SELECT p.position, pg_get_userbyid(o.relowner)::text, o.relowner
          FROM place AS p
          JOIN target AS t USING (position)
          JOIN (
            SELECT DISTINCT c.relnamespace, c.relowner
            FROM pg_class AS c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
          ) AS o ON o.relnamespace = p.schema_oid
          WHERE coalesce(t.owners, 'null') = 'null'
          UNION
          SELECT t.position, t.caller, to_regrole(quote_ident(t.caller))::oid
          FROM target AS t WHERE coalesce(t.owners, 'null') = 'null' AND to_regrole(quote_ident(t.caller)) IS NOT NULL
        ),
        present AS (
          SELECT t.position, d.defaclrole, d.defaclnamespace, d.defaclobjtype, x.privilege_type, x.is_grantable,
                 d.defaclobjtype = 'r' AND x.privilege_type = 'SELECT'
                   AND EXISTS (
                     SELECT FROM place AS p WHERE p.position = t.position AND p.schema_oid = d.defaclnamespace
                   ) AS wanted
          FROM pg_default_acl AS d
          CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
          JOIN target AS t ON t.role_oid = x.grantee
        ),
        change AS (
          SELECT p.position, 1 AS phase, p.role, o.owner, o.owner_oid,
                 format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %s GRANT SELECT ON TABLES TO %I',
                        o.owner, string_agg(quote_ident(p.schema), ', ' ORDER BY p.place), p.role) AS statement
          FROM place AS p
          JOIN owner AS o USING (position)
          WHERE o.owner <> p.role
            AND NOT EXISTS (
              SELECT FROM present AS d
              WHERE d.position = p.position AND d.defaclrole = o.owner_oid AND d.defaclnamespace = p.schema_oid
                AND d.defaclobjtype = 'r' AND d.privilege_type = 'SELECT'
            )
          GROUP BY p.position, p.role, o.owner, o.owner_oid
          UNION ALL
          SELECT t.position, 2, t.role, pg_get_userbyid(d.defaclrole), d.defaclrole,
                 format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE %s ON %s FROM %I CASCADE',
                        pg_get_userbyid(d.defaclrole), ' IN SCHEMA ' || quote_ident(n.nspname),
                        concat(CASE WHEN d.wanted THEN 'GRANT OPTION FOR ' END, d.privilege_type),
                        CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                             WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END, t.role)
          FROM present AS d
          JOIN target AS t USING (position)
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
