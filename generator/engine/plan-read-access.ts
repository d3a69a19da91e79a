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

/** Tables named in one statement. From PostgreSQL 18 each is locked, so a very long list goes by schema instead. */
const batch = 500;
const longList = 1000;

/** Each resource with its oid, and each of its schemas. */
const targets = (resources: Jsonb) => sql`
  target AS (
    SELECT t.*, to_regrole(quote_ident(t.role))::oid AS role_oid
    FROM ROWS FROM (jsonb_to_recordset(${resources}) AS (role text, schemas jsonb, withheld jsonb, owners jsonb, caller text))
         WITH ORDINALITY AS t(role, schemas, withheld, owners, caller, position)
  ),
  place AS (
    SELECT t.position, t.role, t.role_oid, s.name AS schema, s.place,
           to_regnamespace(quote_ident(s.name))::oid AS schema_oid
    FROM target AS t
    CROSS JOIN LATERAL jsonb_array_elements_text(t.schemas) WITH ORDINALITY AS s(name, place)
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
 * The role could set the setting for any database, but not give itself a privilege there.
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
        MESSAGE = format('reporting role "%s" belongs to %s', ${role_name}, ${owner}),
        HINT = 'Roles belong to the whole cluster: give the role of each database a name of its own, such as one that starts with the name of the database.';
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
      RETURN QUERY SELECT * FROM rolecall._plan_default_privileges(${resources});
    END
  `;
}

/**
 * Schemas that are missing, USAGE that is missing on them, and CREATE or TEMP that the role must not have
 * @volatility stable
 */
export function _plan_schemas(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH ${targets(resources)},
        -- Each ACL is taken apart once, however many roles there are.
        held AS MATERIALIZED (
          SELECT n.oid, x.grantee, bool_or(x.privilege_type = 'USAGE') AS uses, bool_or(x.privilege_type = 'CREATE') AS creates
          FROM pg_namespace AS n
          CROSS JOIN LATERAL aclexplode(n.nspacl) AS x
          WHERE x.grantee IN (SELECT t.role_oid FROM target AS t)
          GROUP BY 1, 2
        ),
        found AS (
          SELECT p.position, 1 AS phase, p.place::text AS detail, 'create_schema' AS operation, p.schema AS target,
                 format('CREATE SCHEMA %I', p.schema) AS statement, '{}'::text[] AS locks, true AS allowed
          FROM place AS p WHERE p.schema_oid IS NULL
          UNION ALL
          SELECT p.position, 2, p.place::text, 'grant_privilege', p.schema,
                 format('GRANT USAGE ON SCHEMA %I TO %I', p.schema, p.role), ARRAY[p.role],
                 p.schema_oid IS NULL OR has_schema_privilege(p.schema_oid, 'USAGE WITH GRANT OPTION')
          FROM place AS p
          WHERE NOT EXISTS (SELECT FROM held AS h WHERE h.oid = p.schema_oid AND h.grantee = p.role_oid AND h.uses)
          UNION ALL
          SELECT t.position, 3, n.nspname, 'revoke_privilege', n.nspname,
                 format('REVOKE CREATE ON SCHEMA %I FROM %I CASCADE', n.nspname, t.role), ARRAY[t.role],
                 pg_has_role(n.nspowner, 'USAGE')
          FROM target AS t
          JOIN held AS h ON h.grantee = t.role_oid AND h.creates
          JOIN pg_namespace AS n ON n.oid = h.oid
          UNION ALL
          SELECT t.position, 4, d.datname, 'revoke_privilege', d.datname,
                 format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM %I CASCADE', d.datname, t.role), ARRAY[t.role],
                 pg_has_role(d.datdba, 'USAGE')
          FROM pg_database AS d
          JOIN target AS t ON t.role_oid IN (
            SELECT a.grantee FROM aclexplode(d.datacl) AS a WHERE a.privilege_type IN ('CREATE', 'TEMPORARY')
          )
          WHERE d.datname = current_database()
        )
        SELECT f.operation, f.target, f.statement, NULL::text, f.locks,
               CASE WHEN NOT f.allowed THEN '42501' END,
               CASE WHEN NOT f.allowed THEN 'only the owner may do this' END
        FROM found AS f
        ORDER BY f.position, f.phase, f.detail;
    END
  `;
}

/**
 * Privileges on tables that are missing, and those that the role must not have
 * @volatility stable
 */
export function _plan_tables(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH RECURSIVE ${targets(resources)},
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
        ),
        -- Few ACLs are shared by many tables: each distinct one is taken apart once, however many roles there are.
        acl AS MATERIALIZED (
          SELECT row_number() OVER () AS number, a.*
          FROM (
            SELECT c.relnamespace, c.relacl, c.relkind = 'S' AS is_sequence, array_agg(c.oid) AS tables
            FROM pg_class AS c
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            GROUP BY 1, 2, 3
          ) AS a
        ),
        entry AS MATERIALIZED (
          SELECT a.number, x.grantee,
                 bool_or(x.privilege_type = 'SELECT') AS reads,
                 bool_or(x.privilege_type = 'SELECT' AND x.is_grantable) AS passes_on,
                 string_agg(DISTINCT x.privilege_type, ', ') FILTER (WHERE x.privilege_type <> 'SELECT') AS writes
          FROM acl AS a
          CROSS JOIN LATERAL aclexplode(a.relacl) AS x
          WHERE x.grantee IN (SELECT t.role_oid FROM target AS t)
          GROUP BY 1, 2
        ),
        held AS MATERIALIZED (
          SELECT p.position, p.role, a.number, a.is_sequence, a.tables, p.schema, p.place,
                 coalesce(e.reads, false) AS reads, coalesce(e.passes_on, false) AS passes_on, e.writes
          FROM place AS p
          JOIN acl AS a ON a.relnamespace = p.schema_oid
          LEFT JOIN entry AS e ON e.number = a.number AND e.grantee = p.role_oid
          UNION ALL
          SELECT t.position, t.role, a.number, a.is_sequence, a.tables, NULL, NULL, e.reads, e.passes_on, e.writes
          FROM entry AS e
          JOIN acl AS a USING (number)
          JOIN target AS t ON t.role_oid = e.grantee
          WHERE NOT EXISTS (SELECT FROM place AS p WHERE p.position = t.position AND p.schema_oid = a.relnamespace)
        ),
        missing AS (
          SELECT h.position, h.role, h.schema, h.place, u.oid, c.relname, c.relowner,
                 has_table_privilege(u.oid, 'SELECT WITH GRANT OPTION') AS allowed
          FROM held AS h
          CROSS JOIN LATERAL unnest(h.tables) AS u(oid)
          JOIN pg_class AS c ON c.oid = u.oid
          WHERE h.schema IS NOT NULL AND NOT h.is_sequence AND NOT h.reads
            AND NOT EXISTS (SELECT FROM withheld AS w WHERE w.position = h.position AND w.table_oid = u.oid)
        ),
        -- How to grant in each schema: to all tables at once where that is right, and cheaper than to name them.
        manner AS (
          SELECT m.position, m.schema, m.allowed AND (m.missing > ${longList} OR m.missing = h.present) AS whole
          FROM (
            SELECT m.position, m.schema, bool_and(m.allowed) AS allowed, count(*) AS missing
            FROM missing AS m GROUP BY m.position, m.schema
          ) AS m
          JOIN (
            SELECT h.position, h.schema, sum(cardinality(h.tables)) AS present
            FROM held AS h WHERE NOT h.is_sequence GROUP BY h.position, h.schema
          ) AS h USING (position, schema)
        ),
        granted AS (
          SELECT m.position, 2 AS phase, m.place, 0::bigint AS part, 'grant_privilege' AS operation, m.schema AS target,
                 format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', m.schema, m.role) AS statement,
                 m.role, NULL::oid AS relowner
          FROM missing AS m JOIN manner AS n USING (position, schema)
          WHERE n.whole
          GROUP BY m.position, m.place, m.schema, m.role
          UNION ALL
          SELECT m.position, 2, m.place, m.part, 'grant_privilege', m.schema,
                 format('GRANT SELECT ON %s TO %I', string_agg(format('%I.%I', m.schema, m.relname), ', ' ORDER BY m.relname), m.role),
                 m.role, NULL
          FROM (
            SELECT m.*, (row_number() OVER (PARTITION BY m.position, m.schema ORDER BY m.relname) - 1) / ${batch} AS part
            FROM missing AS m JOIN manner AS n USING (position, schema)
            WHERE NOT n.whole AND m.allowed
          ) AS m
          GROUP BY m.position, m.place, m.part, m.schema, m.role
          UNION ALL
          SELECT m.position, 2, m.place, m.oid::bigint, 'grant_privilege', format('%I.%I', m.schema, m.relname),
                 format('GRANT SELECT ON %I.%I TO %I', m.schema, m.relname, m.role), m.role, m.relowner
          FROM missing AS m WHERE NOT m.allowed
        ),
        -- Of the tables that a role may read those are looked at one by one that share their ACL with a withheld one.
        mixed AS (
          SELECT DISTINCT w.position, a.number
          FROM withheld AS w
          JOIN acl AS a ON a.relnamespace = w.relnamespace AND w.table_oid = ANY (a.tables)
        ),
        excess AS (
          SELECT h.position, h.role, h.is_sequence, u.oid, c.relname, c.relowner, n.nspname, d.privileges
          FROM held AS h
          CROSS JOIN LATERAL unnest(h.tables) AS u(oid)
          JOIN pg_class AS c ON c.oid = u.oid
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL (
            SELECT h.schema IS NOT NULL AND NOT h.is_sequence
                   AND NOT EXISTS (SELECT FROM withheld AS w WHERE w.position = h.position AND w.table_oid = u.oid)
          ) AS r(readable)
          CROSS JOIN LATERAL (
            SELECT nullif(concat_ws(', ', CASE WHEN h.reads AND NOT r.readable THEN 'SELECT' END, h.writes), '')
            UNION ALL SELECT 'GRANT OPTION FOR SELECT' WHERE h.passes_on AND r.readable
          ) AS d(privileges)
          WHERE d.privileges IS NOT NULL
            AND (h.writes IS NOT NULL OR h.passes_on
                 OR (h.reads AND (h.schema IS NULL OR h.is_sequence OR (h.position, h.number) IN (SELECT m.position, m.number FROM mixed AS m))))
        ),
        revoked AS (
          SELECT e.position, 1, 0::bigint, e.part, 'revoke_privilege', e.nspname,
                 format('REVOKE %s ON %s%s FROM %I CASCADE', e.privileges, CASE WHEN e.is_sequence THEN 'SEQUENCE ' END,
                        string_agg(format('%I.%I', e.nspname, e.relname), ', ' ORDER BY e.relname), e.role),
                 e.role, e.held_by
          FROM (
            SELECT e.*, CASE WHEN pg_has_role(e.relowner, 'USAGE') THEN NULL ELSE e.relowner END AS held_by,
                   (row_number() OVER (PARTITION BY e.position, e.nspname, e.privileges ORDER BY e.relname) - 1) / ${batch} AS part
            FROM excess AS e
          ) AS e
          GROUP BY e.position, e.part, e.nspname, e.privileges, e.is_sequence, e.role, e.held_by
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
               CASE WHEN c.relowner IS NOT NULL THEN '42501' END,
               CASE WHEN c.relowner IS NOT NULL THEN format('owned by %I, whose grant it is', pg_get_userbyid(c.relowner)) END
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
          SELECT t.position, to_regrole(quote_ident(o.name))::oid AS owner_oid
          FROM target AS t CROSS JOIN LATERAL jsonb_array_elements_text(nullif(t.owners, 'null')) AS o(name)
          UNION
          SELECT p.position, o.relowner
          FROM place AS p
          JOIN target AS t USING (position)
          JOIN (SELECT DISTINCT c.relnamespace, c.relowner FROM pg_class AS c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')) AS o
            ON o.relnamespace = p.schema_oid
          WHERE coalesce(t.owners, 'null') = 'null'
          UNION
          SELECT t.position, to_regrole(quote_ident(t.caller))::oid
          FROM target AS t WHERE coalesce(t.owners, 'null') = 'null'
        ),
        present AS (
          SELECT t.position, d.defaclrole, d.defaclnamespace, d.defaclobjtype, x.privilege_type
          FROM pg_default_acl AS d
          CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
          JOIN target AS t ON t.role_oid = x.grantee
        ),
        change AS (
          SELECT p.position, 1 AS phase, p.role, o.owner_oid,
                 format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %s GRANT SELECT ON TABLES TO %I',
                        pg_get_userbyid(o.owner_oid), string_agg(quote_ident(p.schema), ', ' ORDER BY p.place), p.role) AS statement
          FROM place AS p
          JOIN owner AS o USING (position)
          WHERE o.owner_oid IS NOT NULL
            AND NOT EXISTS (
              SELECT FROM present AS d
              WHERE d.position = p.position AND d.defaclrole = o.owner_oid AND d.defaclnamespace = p.schema_oid
                AND d.defaclobjtype = 'r' AND d.privilege_type = 'SELECT'
            )
          GROUP BY p.position, p.role, o.owner_oid
          UNION ALL
          SELECT t.position, 2, t.role, d.defaclrole,
                 format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE %s ON %s FROM %I CASCADE',
                        pg_get_userbyid(d.defaclrole), ' IN SCHEMA ' || quote_ident(n.nspname), d.privilege_type,
                        CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                             WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END, t.role)
          FROM present AS d
          JOIN target AS t USING (position)
          LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
          WHERE NOT (d.defaclobjtype = 'r' AND d.privilege_type = 'SELECT'
                     AND EXISTS (SELECT FROM place AS p WHERE p.position = d.position AND p.schema_oid = d.defaclnamespace))
        )
        SELECT 'default_privilege', c.role, c.statement, NULL::text, ARRAY[c.role],
               CASE WHEN NOT pg_has_role(c.owner_oid, 'USAGE') THEN '42501' END,
               CASE WHEN NOT pg_has_role(c.owner_oid, 'USAGE')
                    THEN format('takes membership in %I, which makes the tables', pg_get_userbyid(c.owner_oid)) END
        FROM change AS c
        ORDER BY c.position, c.phase, c.statement;
    END
  `;
}
