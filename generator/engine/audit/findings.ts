/**
 * The findings of audit_role(), one function for each kind. Each reads catalogs that everybody may read, and joins
 * them with the principals: the role, the roles whose privileges it can use, and PUBLIC.
 *
 * An ACL is expanded once for all tables that share it. The objects of a role are found from pg_shdepend, by its
 * index on roles.
 */
import { accepted } from '../../model/record.ts';
import type { Bool, FindingRow, Jsonb, Oid, Oids, Principals, Returns, SetOf, Text } from '../../model/types.ts';
import { Sql, sql } from '../../sql/template.ts';
import { thisDatabase } from '../catalogs/server.ts';
import { hasNone } from '../reading/citus.ts';
import { reportingSecret } from '../secrets/reporting.ts';
import {
  aboutTheRole,
  grantableObjects,
  owned,
  parameterPrivileges,
  plainOwnerToChoose,
} from '../catalogs/grantable.ts';
import { publishingSecrets } from '../catalogs/server.ts';

const systemSchemas = sql`('pg_catalog'::regnamespace, 'information_schema'::regnamespace)`;
/** The server's own objects have oids below this one. */
const firstNormal = sql`16384`;

/** A remedy: it ends the membership that leads there, or else revokes what the grantor, usually the owner, granted. */
const revoke = (principal: Sql, what: Sql, grantor: Sql, owner: Sql, grantable: Sql) => sql`
  coalesce(${principal}.remedy, format(
    CASE WHEN ${grantor} = ${owner} THEN '%2$s' ELSE 'SET ROLE %1$I; %2$s; RESET ROLE' END,
    pg_get_userbyid(${grantor}),
    concat(
      'REVOKE ', ${what},
      ' FROM ', ${principal}.grantee, CASE WHEN ${grantable} THEN ' CASCADE' END
    )
  ))
`;

/** Whether an entry of an ACL is one of the server's initial privileges. */
const initial = (entry: Sql, catalog: Sql, object: Sql, column: Sql) => sql`
  EXISTS (
    SELECT FROM pg_init_privs AS i CROSS JOIN LATERAL aclexplode(i.initprivs) AS y
    WHERE i.classoid = ${catalog}::regclass AND i.objoid = ${object} AND i.objsubid = ${column}
      AND i.privtype = 'i' AND y.grantee = ${entry}.grantee AND y.privilege_type = ${entry}.privilege_type
  )
`;

/** Whether an ACL is another one than the server set up; mostly none is, which is found before more is planned. */
const isChanged = (acl: Sql, catalog: Sql, object: Sql, column: Sql) => sql`
  ${acl} IS DISTINCT FROM (
    SELECT i.initprivs FROM pg_init_privs AS i
    WHERE i.classoid = ${catalog}::regclass AND i.objoid = ${object} AND i.objsubid = ${column} AND i.privtype = 'i'
  )
`;

/**
 * Powerful attributes, memberships, and what the server lets any login do to itself
 * @volatility stable
 */
export function audit_roles(principals: Principals, withholding: Oids): SetOf<FindingRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT a.severity, p.path || ' -> attribute', p.grantee, a.detail,
               coalesce(p.remedy, format('ALTER ROLE %s NO%s', p.grantee, a.word))
        FROM unnest(${principals}) AS p
        JOIN pg_roles AS r ON r.oid = p.role_oid AND p.becomes
        CROSS JOIN LATERAL (
          VALUES ('critical', 'SUPERUSER', r.rolsuper, 'SUPERUSER: no privilege is checked'),
                 ('critical', 'CREATEROLE', r.rolcreaterole, 'CREATEROLE: creates roles, and alters and grants others'),
                 ('critical', 'REPLICATION', r.rolreplication,
                  'REPLICATION: copies the whole cluster, with what is withheld'),
                 ('critical', 'BYPASSRLS', r.rolbypassrls, 'BYPASSRLS: row-level security does not hold for it'),
                 ('warning', 'CREATEDB', r.rolcreatedb, 'CREATEDB: creates databases, and writes in them')
        ) AS a(severity, word, present, detail)
        WHERE a.present
        UNION ALL
        SELECT 'info', p.path || ' -> itself', p.grantee, 'may change its own password and settings',
               CASE WHEN rolecall_internal.newest_record('read_access', jsonb_build_array(r.rolname)) IS NOT NULL
                 THEN 'SELECT * FROM rolecall.converge()' END
        FROM unnest(${principals}) AS p
        JOIN pg_roles AS r ON r.oid = p.role_oid AND r.rolcanlogin AND p.options IS NULL;
      RETURN QUERY
        SELECT CASE WHEN k.grantee = 'pg_read_all_data' AND p.audited = ANY (${withholding}) THEN 'critical'
                    ELSE coalesce(k.severity, 'warning') END, p.path || ' -> membership', p.grantee,
               concat(coalesce(k.detail, 'has what the role has'), ' (', p.options, ')'), p.remedy
        FROM unnest(${principals}) AS p
        LEFT JOIN (
          VALUES ('pg_read_all_data', 'warning', 'reads every table, also one that is withheld'),
                 ('pg_write_all_data', 'critical', 'writes every table'),
                 ('pg_read_server_files', 'critical', 'reads files of the server, and so all data'),
                 ('pg_write_server_files', 'critical', 'writes files of the server'),
                 ('pg_execute_server_program', 'critical', 'runs programs as the operating-system user of the server'),
                 ('pg_signal_backend', 'warning', 'cancels and ends sessions of others'),
                 ('pg_maintain', 'warning', 'locks, reindexes and refreshes every table'),
                 ('pg_create_subscription', 'warning', 'creates subscriptions, which write what another server sends'),
                 ('pg_monitor', 'warning', 'sees the statements of others, with the data in them'),
                 ('pg_read_all_stats', 'warning', 'sees the statements of others, with the data in them'),
                 ('pg_stat_scan_tables', 'warning', 'locks tables while it monitors them'),
                 ('pg_read_all_settings', 'info', 'reads every setting of the server'),
                 ('pg_checkpoint', 'info', 'runs CHECKPOINT'),
                 ('pg_use_reserved_connections', 'info', 'connects where others cannot any more'),
                 ('pg_signal_autovacuum_worker', 'info', 'cancels automatic vacuums'),
                 ('pg_database_owner', 'warning', 'has what the owner of the database has')
        ) AS k(grantee, severity, detail) ON k.grantee = p.grantee
        WHERE p.options IS NOT NULL;
    END
  `;
}

/**
 * What the principals own: here, in the whole cluster, and in other databases
 * @volatility stable
 */
export function audit_ownership(principals: Principals): SetOf<FindingRow> {
  return sql`
    DECLARE
      v_here boolean;
      v_elsewhere boolean;
    BEGIN
      SELECT bool_or(d.deptype = 'o'), bool_or(d.dbid NOT IN (0, ${thisDatabase})) INTO v_here, v_elsewhere
      FROM pg_shdepend AS d
      WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype IN ('o', 'a')
        AND d.refobjid = ANY (ARRAY(SELECT p.role_oid FROM unnest(${principals}) AS p));
      IF v_here THEN
        RETURN QUERY SELECT * FROM rolecall_internal.audit_owned(${principals});
      END IF;
      IF v_elsewhere THEN
        RETURN QUERY SELECT * FROM rolecall_internal.audit_elsewhere(${principals});
      END IF;
    END
  `;
}

/**
 * What the principals own here, and in the whole cluster
 * @volatility stable
 */
export function audit_owned(principals: Principals): SetOf<FindingRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT 'critical', p.path || ' -> ownership', i.identity, 'owns this ' || i.type,
               coalesce(p.remedy, CASE
                 WHEN i.type = 'extension'
                   THEN format('REASSIGN OWNED BY %s TO ${plainOwnerToChoose}', p.grantee)
                 ELSE format(
                   'ALTER %s %s OWNER TO ${plainOwnerToChoose}',
                   CASE i.type
                     WHEN 'foreign-data wrapper' THEN 'FOREIGN DATA WRAPPER'
                     WHEN 'composite type' THEN 'TYPE'
                     WHEN 'statistics object' THEN 'STATISTICS'
                     ELSE upper(i.type COLLATE "C")
                   END,
                   i.identity
                 )
               END)
        FROM unnest(${principals}) AS p
        JOIN pg_shdepend AS d
          ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = p.role_oid
          AND ${owned(sql`d`)}
        CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) AS i
        WHERE d.dbid IN (0, ${thisDatabase})
          AND coalesce(i.schema, '') !~ '^pg_(toast_)?temp'
          -- The sequence of a column goes with its table.
          AND NOT EXISTS (
            SELECT FROM pg_depend AS o
            WHERE d.classid = 'pg_class'::regclass AND o.classid = d.classid AND o.objid = d.objid
              AND o.refclassid = d.classid AND o.deptype IN ('a', 'i')
          );
    END
  `;
}

/**
 * What the principals own in other databases, and have privileges on
 * @volatility stable
 */
export function audit_elsewhere(principals: Principals): SetOf<FindingRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT CASE d.deptype WHEN 'o' THEN 'critical' ELSE 'warning' END,
               p.path || CASE d.deptype WHEN 'o' THEN ' -> ownership' ELSE ' -> grants' END,
               quote_ident(b.datname),
               format(
                 CASE d.deptype
                   WHEN 'o' THEN 'owns objects in that database (%s): run the remedy there'
                   ELSE 'has privileges on objects in that database (%s): audit it there'
                 END,
                 count(DISTINCT (d.classid, d.objid))
               ),
               coalesce(p.remedy, CASE d.deptype
                 WHEN 'o' THEN format('REASSIGN OWNED BY %s TO ${plainOwnerToChoose}', p.grantee)
               END)
        FROM unnest(${principals}) AS p
        JOIN pg_shdepend AS d
          ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = p.role_oid AND d.deptype IN ('o', 'a')
        JOIN pg_database AS b ON b.oid = d.dbid AND b.datname <> current_database()
        WHERE d.classid NOT IN ${aboutTheRole}
        GROUP BY p.path, p.grantee, p.remedy, d.deptype, b.datname;
    END
  `;
}

/** The severity of a privilege on a table, on one of its columns, or on a sequence. */
const tableSeverity = (privilege: Sql, isSequence?: Sql) => {
  const writes = sql`${privilege} IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')`;
  if (isSequence === undefined) return sql`bool_or(${writes})`;
  return sql`
    bool_or(
      ${writes}
      OR (${isSequence} AND ${privilege} = 'USAGE')
    )
  `;
};

/**
 * Privileges on tables and sequences beyond reading them
 * @volatility stable
 */
export function audit_tables(principals: Principals): SetOf<FindingRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH acl AS MATERIALIZED (
          SELECT c.relnamespace, c.relowner, c.relacl, c.relkind = 'S' AS is_sequence, array_agg(c.oid) AS tables
          FROM pg_class AS c
          WHERE c.relacl IS NOT NULL AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
            AND c.oid >= ${firstNormal}
          GROUP BY 1, 2, 3, 4
        )
        SELECT CASE WHEN h.writes AND u.usable THEN 'critical' ELSE 'warning' END,
               p.path || CASE WHEN a.is_sequence THEN ' -> sequence grant' ELSE ' -> table grant' END,
               o.object,
               concat(CASE WHEN h.reads THEN 'grants SELECT on' ELSE 'may ' || h.privileges END,
                      CASE WHEN NOT u.usable THEN ', once it has USAGE on the schema' END),
               ${revoke(
                 sql`p`,
                 sql`
                   CASE WHEN h.reads THEN 'GRANT OPTION FOR SELECT' ELSE h.privileges END,
                   ' ON ', CASE WHEN a.is_sequence THEN 'SEQUENCE ' END, o.object
                 `,
                 sql`h.grantor`,
                 sql`a.relowner`,
                 sql`h.grantable`,
               )}
        FROM acl AS a
        CROSS JOIN LATERAL (
          SELECT x.grantee, x.grantor, x.privilege_type = 'SELECT' AS reads, bool_or(x.is_grantable) AS grantable,
                 string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type) AS privileges,
                 ${tableSeverity(sql`x.privilege_type`, sql`a.is_sequence`)} AS writes
          FROM aclexplode(a.relacl) AS x
          WHERE x.grantee <> a.relowner AND (x.privilege_type <> 'SELECT' OR x.is_grantable)
          GROUP BY 1, 2, 3
        ) AS h
        JOIN unnest(${principals}) AS p ON p.role_oid = h.grantee
        CROSS JOIN LATERAL (SELECT a.relnamespace = ANY (p.usable)) AS u(usable)
        CROSS JOIN LATERAL unnest(a.tables) AS t(oid)
        JOIN pg_class AS c ON c.oid = t.oid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname)) AS o(object);
    END
  `;
}

/**
 * Privileges on columns beyond reading them
 * @volatility stable
 */
export function audit_columns(principals: Principals): SetOf<FindingRow> {
  return sql`
    DECLARE
      -- Few columns have an ACL, and most of those are the server's own. The query is in an expression, so that it
      -- starts no parallel workers.
      v_columns tid[] := ARRAY(
        SELECT a.ctid FROM pg_attribute AS a
        WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
          AND ${isChanged(sql`a.attacl`, sql`'pg_class'`, sql`a.attrelid`, sql`a.attnum`)}
      );
    BEGIN
      IF cardinality(v_columns) = 0 THEN
        RETURN;
      END IF;
      RETURN QUERY
        SELECT CASE WHEN h.writes AND u.usable THEN 'critical' ELSE 'warning' END,
               p.path || ' -> column grant', o.object,
               concat('may ', h.privileges, CASE WHEN NOT u.usable THEN ', once it has USAGE on the schema' END),
               ${revoke(sql`p`, sql`h.privileges, ' ON ', o.object`, sql`h.grantor`, sql`c.relowner`, sql`h.grantable`)}
        FROM (
          SELECT g.attrelid, g.grantee, g.grantor, bool_or(g.grantable) AS grantable, bool_or(g.writes) AS writes,
                 string_agg(format('%s (%s)', g.privilege_type, g.columns), ', ' ORDER BY g.privilege_type) AS privileges
          FROM (
            SELECT a.attrelid, x.grantee, x.grantor, x.privilege_type, bool_or(x.is_grantable) AS grantable,
                   ${tableSeverity(sql`x.privilege_type`)} AS writes,
                   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
            FROM pg_attribute AS a
            CROSS JOIN LATERAL aclexplode(a.attacl) AS x
            WHERE a.ctid = ANY (v_columns)
              AND (x.privilege_type <> 'SELECT' OR a.attrelid < ${firstNormal})
              AND NOT (a.attrelid < ${firstNormal} AND ${initial(sql`x`, sql`'pg_class'`, sql`a.attrelid`, sql`a.attnum`)})
            GROUP BY 1, 2, 3, 4
          ) AS g
          GROUP BY 1, 2, 3
        ) AS h
        JOIN unnest(${principals}) AS p ON p.role_oid = h.grantee
        JOIN pg_class AS c ON c.oid = h.attrelid AND c.relowner <> h.grantee
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (SELECT c.relnamespace = ANY (p.usable)) AS u(usable)
        CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname)) AS o(object);
    END
  `;
}

/**
 * Privileges on the catalogs beyond the server's initial ones
 * @volatility stable
 */
export function audit_catalogs(principals: Principals): SetOf<FindingRow> {
  return sql`
    BEGIN
      IF NOT EXISTS (
        SELECT FROM pg_class AS c
        WHERE c.oid < ${firstNormal} AND c.relacl IS NOT NULL
          AND ${isChanged(sql`c.relacl`, sql`'pg_class'`, sql`c.oid`, sql`0`)}
          AND (c.relnamespace <> 'information_schema'::regnamespace OR EXISTS (
            SELECT FROM aclexplode(c.relacl) AS x
            WHERE x.grantee <> c.relowner AND (x.grantee <> 0 OR x.privilege_type <> 'SELECT')
          ))
      ) THEN
        RETURN;
      END IF;
      RETURN QUERY
        SELECT CASE WHEN h.writes OR h.relname IN ('pg_authid', 'pg_statistic', 'pg_user_mapping', 'pg_largeobject')
                 THEN 'critical' ELSE 'warning' END,
               p.path || ' -> table grant', h.object, 'may ' || h.privileges,
               ${revoke(sql`p`, sql`h.privileges, ' ON ', h.object`, sql`h.grantor`, sql`h.relowner`, sql`h.grantable`)}
        FROM (
          SELECT format('%I.%I', n.nspname, c.relname) AS object, c.relname, c.relowner, x.grantee, x.grantor,
                 bool_or(x.is_grantable) AS grantable,
                 ${tableSeverity(sql`x.privilege_type`)} AS writes,
                 string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type) AS privileges
          FROM pg_class AS c
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL aclexplode(c.relacl) AS x
          WHERE c.oid < ${firstNormal} AND c.relacl IS NOT NULL AND x.grantee <> c.relowner
            AND NOT ${initial(sql`x`, sql`'pg_class'`, sql`c.oid`, sql`0`)}
            -- For the information schema no initial privileges are recorded.
            AND NOT (x.grantee = 0 AND x.privilege_type = 'SELECT' AND n.nspname = 'information_schema')
          GROUP BY 1, 2, 3, 4, 5
        ) AS h
        JOIN unnest(${principals}) AS p ON p.role_oid = h.grantee;
    END
  `;
}

/**
 * Whether there can be a way to read withheld tables: one of them is a partition or a parent, has a view, or somebody
 * has SELECT on it
 *
 * If only the secrets are withheld, there is usually none, and the next query takes long to plan.
 * @volatility stable
 */
export function is_reachable(withheld: Jsonb): Returns<Bool> {
  return sql`
    BEGIN
      -- With OFFSET each lookup uses an index for each table; otherwise whole catalogs would be hashed.
      RETURN EXISTS (
        SELECT FROM jsonb_to_recordset(${withheld}) AS w(table_oid oid)
        WHERE EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = w.table_oid OR i.inhparent = w.table_oid OFFSET 0)
          OR EXISTS (
            SELECT FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = w.table_oid AND d.classid = 'pg_rewrite'::regclass
              AND r.ev_class NOT IN (w.table_oid, 'rolecall_watch.reporting_role'::regclass)
            OFFSET 0
          )
          OR EXISTS (
            SELECT FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS x
            WHERE c.oid = w.table_oid AND x.privilege_type = 'SELECT' AND x.grantee <> c.relowner
            OFFSET 0
          )
          OR EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = w.table_oid AND a.attacl IS NOT NULL OFFSET 0)
      );
    END
  `;
}

/**
 * Ways to read what is withheld from the role: the tables and columns themselves, their partitions and parents, and
 * views over them
 *
 * A view reads as its owner, unless it has security_invoker (15 and newer); a materialized view holds the rows that its
 * owner could read. A materialized view with withheld columns counts by itself.
 * @volatility stable
 */
export function audit_reading(principals: Principals, withheld: Jsonb): SetOf<FindingRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH RECURSIVE origin AS (
          SELECT w.table_oid, w.column_name
          FROM jsonb_to_recordset(${withheld}) AS w(table_oid oid, column_name text)
        ),
        kin AS (
          SELECT o.table_oid AS origin, o.column_name, o.table_oid AS oid, 0 AS direction FROM origin AS o
          UNION
          SELECT k.origin, k.column_name, CASE d.direction WHEN 1 THEN i.inhparent ELSE i.inhrelid END, d.direction
          FROM kin AS k
          CROSS JOIN (VALUES (1), (-1)) AS d(direction)
          JOIN pg_inherits AS i ON k.oid = CASE d.direction WHEN 1 THEN i.inhrelid ELSE i.inhparent END
          WHERE k.direction IN (0, d.direction)
        ),
        reader AS (
          SELECT k.origin, k.column_name AS of_column, k.oid, a.attnum, true AS reveals,
                 CASE k.direction WHEN 0 THEN '' WHEN 1 THEN 'parent of ' ELSE 'part of ' END AS relation
          FROM kin AS k
          LEFT JOIN pg_attribute AS a
            ON a.attrelid = k.oid AND a.attname = k.column_name AND a.attnum > 0 AND NOT a.attisdropped
          WHERE k.column_name IS NULL OR a.attnum IS NOT NULL
          UNION
          SELECT r.origin, r.of_column, c.oid, NULL,
                 c.relkind = 'm' OR (NOT o.invoker AND r.reveals AND has_any_column_privilege(c.relowner, r.oid, 'SELECT')),
                 CASE c.relkind WHEN 'm' THEN 'materialized view of ' ELSE 'view of ' END
          FROM reader AS r
          JOIN pg_depend AS d
            ON d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid AND d.classid = 'pg_rewrite'::regclass
          -- The extension's own view over the secrets shows only whose the roles are.
          JOIN pg_rewrite AS w ON w.oid = d.objid AND w.ev_type = '1'
            AND w.ev_class NOT IN (r.oid, 'rolecall_watch.reporting_role'::regclass)
            AND w.ev_class NOT IN (
              SELECT o.table_oid FROM origin AS o
              JOIN pg_attribute AS a ON a.attrelid = o.table_oid AND a.attname = o.column_name
            )
          JOIN pg_class AS c ON c.oid = w.ev_class
          CROSS JOIN LATERAL (
            SELECT coalesce(bool_or(s.option_value::boolean), false)
            FROM pg_options_to_table(c.reloptions) AS s WHERE s.option_name = 'security_invoker'
          ) AS o(invoker)
          -- A reference to a whole row leaves no dependency on a column.
          WHERE r.attnum IS NULL OR d.refobjsubid = r.attnum OR strpos(w.ev_action::text, ':varattno 0 ') > 0
        ),
        hidden AS (
          SELECT r.oid, g.attnum,
                 string_agg(DISTINCT concat(r.relation, r.origin::regclass, '.' || quote_ident(r.of_column)), ', ') AS what
          FROM reader AS r
          CROSS JOIN LATERAL (
            SELECT 0
            UNION ALL
            SELECT a.attnum FROM pg_attribute AS a
            WHERE a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
              AND (r.attnum IS NULL OR a.attnum = r.attnum)
          ) AS g(attnum)
          WHERE r.reveals
          GROUP BY r.oid, g.attnum
        )
        SELECT DISTINCT CASE WHEN u.usable THEN 'critical' ELSE 'warning' END,
               p.path || CASE WHEN h.attnum = 0 THEN ' -> table grant' ELSE ' -> column grant' END, o.object,
               concat('reads what is withheld: ', h.what,
                      CASE WHEN NOT u.usable THEN ', once it has USAGE on the schema' END),
               ${revoke(
                 sql`p`,
                 sql`'SELECT', ' (' || quote_ident(a.attname) || ')', ' ON ', o.object`,
                 sql`x.grantor`,
                 sql`c.relowner`,
                 sql`x.is_grantable`,
               )}
        FROM hidden AS h
        JOIN pg_class AS c ON c.oid = h.oid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = h.attnum AND h.attnum <> 0
        CROSS JOIN LATERAL aclexplode(CASE h.attnum WHEN 0 THEN c.relacl ELSE a.attacl END) AS x
        JOIN unnest(${principals}) AS p ON p.role_oid = x.grantee
        CROSS JOIN LATERAL (SELECT c.relnamespace = ANY (p.usable)) AS u(usable)
        CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname)) AS o(object)
        WHERE x.privilege_type = 'SELECT' AND x.grantee <> c.relowner;
    END
  `;
}

/**
 * What is withheld from a role: the tables and columns that its definition names, and the secrets kept here
 * @volatility stable
 */
export function audit_withheld(definition: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_secrets jsonb := jsonb_build_array(
        jsonb_build_object('table_oid', 'rolecall_internal.secret'::regclass::oid::bigint)
      );
    BEGIN
      IF ${definition} -> 'withheld' -> 0 IS NULL THEN
        RETURN v_secrets;
      END IF;
      RETURN v_secrets || coalesce((
        SELECT jsonb_agg(jsonb_build_object('table_oid', w.table_oid::bigint, 'column_name', w.column_name))
        FROM (SELECT jsonb_build_array(${definition})) AS d(list)
        CROSS JOIN LATERAL (
          SELECT m.table_oid, m.column_name FROM rolecall_internal.meant(d.list) AS m WHERE m.named
          UNION
          SELECT k.table_oid, k.column_name FROM rolecall_internal.withheld_tables(d.list) AS k WHERE NOT k.named
        ) AS w
      ), '[]');
    END
  `;
}

/** The principals that may execute a function, f. */
const executable = (principals: Principals) => sql`
  CROSS JOIN LATERAL aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS x
  JOIN unnest(${principals}) AS p ON p.role_oid = x.grantee
`;
const function_ = sql`f.oid::regprocedure::text`;
const execution = sql`
  'EXECUTE ON ', CASE f.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END,
  ${function_}
`;

/** Functions that run as their owner, or whose language reaches out of the database; usually there are none. */
const powerfulFunctions = sql`
  SELECT f.* FROM pg_proc AS f
  WHERE (f.prosecdef OR f.prolang IN (
    SELECT l.oid FROM pg_language AS l WHERE NOT (l.lanpltrusted OR l.lanname IN ('internal', 'c'))
  ))
    AND f.pronamespace NOT IN ${systemSchemas}
    AND f.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
`;

/**
 * Functions that run with the rights of somebody else, that are closed to others, or that reach out of the database
 * @volatility stable
 */
export function audit_functions(principals: Principals): SetOf<FindingRow> {
  return sql`
    BEGIN
      IF EXISTS (${powerfulFunctions}) THEN
        RETURN QUERY SELECT * FROM rolecall_internal.audit_powerful(${principals});
      END IF;
      IF EXISTS (
        SELECT FROM pg_init_privs AS i JOIN pg_proc AS f ON f.oid = i.objoid
        WHERE i.classoid = 'pg_proc'::regclass AND i.privtype = 'i' AND f.proacl IS DISTINCT FROM i.initprivs
      ) THEN
        RETURN QUERY
          SELECT 'critical', p.path || ' -> function grant', ${function_},
                 'only a superuser can execute it, unless somebody grants it',
                 ${revoke(sql`p`, execution, sql`x.grantor`, sql`f.proowner`, sql`x.is_grantable`)}
          FROM pg_proc AS f
          ${executable(principals)}
          WHERE f.pronamespace IN ${systemSchemas}
            AND f.proacl IS NOT NULL AND x.grantee <> f.proowner
            AND EXISTS (
              SELECT FROM pg_init_privs AS i
              WHERE i.classoid = 'pg_proc'::regclass AND i.objoid = f.oid AND i.privtype = 'i'
            )
            AND NOT ${initial(sql`x`, sql`'pg_proc'`, sql`f.oid`, sql`0`)};
      END IF;
      IF EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'dblink') THEN
        RETURN QUERY SELECT * FROM rolecall_internal.audit_dblink(${principals});
      END IF;
    END
  `;
}

/**
 * Functions that run with the rights of somebody else, or that reach out of the database
 * @volatility stable
 */
export function audit_powerful(principals: Principals): SetOf<FindingRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT CASE WHEN m.extension IS NOT NULL THEN 'info'
                    WHEN f.prosecdef AND r.rolsuper THEN 'critical'
                    ELSE 'warning' END,
               p.path || ' -> function grant', ${function_},
               CASE WHEN f.prosecdef
                 THEN concat('runs as its owner ', quote_ident(r.rolname), CASE WHEN r.rolsuper THEN ', a superuser' END,
                             CASE WHEN c.fixed IS NULL THEN ', with the search_path of the caller' END,
                             ', as extension ' || quote_ident(m.extension) || ' means it to')
                 ELSE concat('is written in the untrusted language ', quote_ident(l.lanname))
               END,
               CASE WHEN m.extension IS NULL
                 THEN ${revoke(sql`p`, execution, sql`x.grantor`, sql`f.proowner`, sql`x.is_grantable`)} END
        FROM (${powerfulFunctions}) AS f
        JOIN pg_roles AS r ON r.oid = f.proowner
        JOIN pg_language AS l ON l.oid = f.prolang
        LEFT JOIN LATERAL (
          SELECT true FROM unnest(f.proconfig) AS s(entry) WHERE starts_with(s.entry, 'search_path=') LIMIT 1
        ) AS c(fixed) ON true
        ${executable(principals)}
        CROSS JOIN LATERAL (
          -- If it were revoked from PUBLIC, the function would fail for everybody who uses the extension.
          SELECT CASE WHEN f.prosecdef AND x.grantee = 0
                      THEN rolecall_internal.pinned_by(f.oid, p.audited, ${principals}) END
        ) AS m(extension)
        WHERE f.pronamespace = ANY (p.usable)
          -- A role's own function gives it nothing that it may not do anyway.
          AND NOT EXISTS (
            SELECT FROM unnest(${principals}) AS o WHERE o.audited = p.audited AND o.role_oid = f.proowner
          );
    END
  `;
}

/**
 * What dblink allows a role, in one row for all of its functions
 * @volatility stable
 */
export function audit_dblink(principals: Principals): SetOf<FindingRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT CASE WHEN bool_or(f.proname = 'dblink_connect_u') THEN 'critical' ELSE 'warning' END,
               p.path || ' -> function grant', 'dblink',
               CASE
                 WHEN bool_or(f.proname = 'dblink_connect_u') THEN 'connects as the operating-system user of the server'
                 ELSE 'connects to other servers and databases, and to this one with another login'
               END,
               coalesce(p.remedy, format(
                 'REVOKE EXECUTE ON FUNCTION %s FROM %s', string_agg(DISTINCT ${function_}, ', '), p.grantee
               ))
        FROM pg_extension AS e
        JOIN pg_depend AS d
          ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
          AND d.classid = 'pg_proc'::regclass
        JOIN pg_proc AS f ON f.oid = d.objid
        ${executable(principals)}
        WHERE e.extname = 'dblink' AND f.proname LIKE 'dblink%' AND x.grantee <> f.proowner
          AND f.pronamespace = ANY (p.usable)
        GROUP BY p.path, p.grantee, p.remedy;
    END
  `;
}

/**
 * The extension to which a function that safely runs as its owner for everybody belongs; null: none, or a role that
 * is not a superuser could have changed the function
 *
 * The function has to be a member of an extension of a superuser, with the ACL that its script gave it, and a
 * search_path of schemas in which the role cannot create anything, with temporary objects last.
 * @volatility stable
 */
export function pinned_by(function_oid: Oid, audited: Oid, principals: Principals): Returns<Text> {
  return sql`
    BEGIN
      RETURN (
        SELECT e.extname::text
        FROM pg_proc AS f
        JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e'
        JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
        JOIN pg_roles AS r ON r.oid = e.extowner AND r.rolsuper
        CROSS JOIN unnest(f.proconfig) AS s(entry)
        WHERE f.oid = ${function_oid}
          AND (f.proacl IS NULL OR EXISTS (
            SELECT FROM pg_init_privs AS i
            WHERE i.classoid = 'pg_proc'::regclass AND i.objoid = f.oid AND i.privtype = 'e' AND i.initprivs = f.proacl
          ))
          AND s.entry ~ '^search_path=(.*, )?pg_temp$'
          AND NOT EXISTS (
            SELECT FROM string_to_table(substr(s.entry, length('search_path=') + 1), ', ') AS n(name)
            LEFT JOIN pg_namespace AS p ON quote_ident(p.nspname) = n.name
            WHERE n.name <> 'pg_temp' AND (p.oid IS NULL OR EXISTS (
              SELECT FROM unnest(${principals}) AS q
              WHERE q.audited = pinned_by.audited AND q.role_oid <> 0 AND has_schema_privilege(q.role_oid, p.oid, 'CREATE')
            ))
          )
      );
    END
  `;
}

/**
 * Privileges on schemas, the database, large objects, foreign servers and the like, and on future objects
 * @volatility stable
 */
export function audit_objects(principals: Principals): SetOf<FindingRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT CASE WHEN p.role_oid = 0 THEN k.to_public ELSE k.severity END,
               concat(p.path, ' -> ', lower(g.kind COLLATE "C"), ' grant'), g.object, k.detail,
               ${revoke(sql`p`, sql`x.privilege_type, ' ON ', g.kind, ' ', g.object`, sql`x.grantor`, sql`g.owner`, sql`x.is_grantable`)}
        FROM (
          ${grantableObjects}
        ) AS g
        CROSS JOIN LATERAL aclexplode(coalesce(g.acl, CASE g.kind WHEN 'DATABASE' THEN acldefault('d', g.owner) END)) AS x
        JOIN unnest(${principals}) AS p ON p.role_oid = x.grantee
        JOIN (
          VALUES ('SCHEMA', 'CREATE', 'critical', 'warning', 'creates objects in this schema'),
                 ('DATABASE', 'CREATE', 'critical', 'warning', 'creates schemas in this database'),
                 ('DATABASE', 'TEMPORARY', 'warning', 'info', 'creates temporary tables'),
                 ('LARGE OBJECT', 'UPDATE', 'critical', 'critical', 'writes this large object'),
                 ('FOREIGN DATA WRAPPER', 'USAGE', 'warning', 'warning', 'creates foreign servers, and connects to them'),
                 ('FOREIGN SERVER', 'USAGE', 'warning', 'warning', 'creates user mappings and foreign tables for it'),
                 ('TABLESPACE', 'CREATE', 'warning', 'warning', 'places tables there'),
                 ('LANGUAGE', 'USAGE', 'info', NULL, 'writes functions in this language')
        ) AS k(kind, privilege_type, severity, to_public, detail) ON k.kind = g.kind AND k.privilege_type = x.privilege_type
        WHERE x.grantee <> g.owner AND CASE WHEN p.role_oid = 0 THEN k.to_public ELSE k.severity END IS NOT NULL
          -- An audit in another database lists what PUBLIC may do there.
          AND (g.kind <> 'DATABASE' OR p.role_oid <> 0 OR g.oid = ${thisDatabase});
      RETURN QUERY
        SELECT 'warning', p.path || ' -> default privileges', g.object,
               format('gets %s when %I creates one', g.privileges, pg_get_userbyid(g.defaclrole)),
               coalesce(p.remedy, format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE %s ON %s FROM %s',
                 pg_get_userbyid(g.defaclrole), g.place, g.privileges, g.kind, p.grantee))
        FROM (
          SELECT d.defaclrole, x.grantee, k.kind, ' IN SCHEMA ' || quote_ident(n.nspname) AS place,
                 lower(k.kind COLLATE "C") || coalesce(' in schema ' || quote_ident(n.nspname), '') AS object,
                 string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type) AS privileges
          FROM pg_default_acl AS d
          JOIN (
            VALUES ('r', 'TABLES'), ('S', 'SEQUENCES'), ('n', 'SCHEMAS'), ('L', 'LARGE OBJECTS')
          ) AS k(code, kind) ON k.code::"char" = d.defaclobjtype
          CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
          LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
          WHERE x.grantee <> d.defaclrole AND x.privilege_type <> 'SELECT'
            AND (d.defaclobjtype <> 'n' OR x.privilege_type = 'CREATE')
          GROUP BY 1, 2, 3, 4, 5
        ) AS g
        JOIN unnest(${principals}) AS p ON p.role_oid = g.grantee;
    END
  `;
}

/**
 * The rest: large objects in general, other databases, configuration parameters
 * @volatility stable
 */
export function audit_server(principals: Principals): SetOf<FindingRow> {
  return sql`
    BEGIN
      IF current_setting('lo_compat_privileges')::boolean THEN
        RETURN QUERY
          SELECT 'critical', p.path || ' -> lo_compat_privileges', 'large objects', 'writes every large object',
                 'ALTER SYSTEM SET lo_compat_privileges = off; SELECT pg_reload_conf()'
          FROM unnest(${principals}) AS p WHERE p.role_oid = 0;
      END IF;
      RETURN QUERY
        SELECT 'info', p.path || ' -> function grant', 'large objects', 'creates large objects',
               coalesce(p.remedy, format(
                 'REVOKE EXECUTE ON FUNCTION %s FROM %s',
                 string_agg(f.oid::regprocedure::text, ', ' ORDER BY f.proname), p.grantee
               ))
        FROM pg_proc AS f
        CROSS JOIN LATERAL aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS x
        JOIN unnest(${principals}) AS p ON p.role_oid = x.grantee
        WHERE f.pronamespace = 'pg_catalog'::regnamespace AND f.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea')
          AND x.grantee <> f.proowner
        GROUP BY p.path, p.grantee, p.remedy;
      RETURN QUERY
        SELECT 'info', p.path || ' -> database grant', quote_ident(d.datname),
               'logs in to that database, and does there what PUBLIC may',
               ${revoke(sql`p`, sql`'CONNECT ON DATABASE ', quote_ident(d.datname)`, sql`x.grantor`, sql`d.datdba`, sql`x.is_grantable`)}
        FROM pg_database AS d
        CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS x
        JOIN unnest(${principals}) AS p ON p.role_oid = x.grantee
        WHERE d.datname <> current_database() AND d.datallowconn AND x.privilege_type = 'CONNECT' AND x.grantee <> d.datdba;
      RETURN QUERY
        SELECT CASE x.privilege_type WHEN 'SET' THEN 'warning' ELSE 'critical' END,
               p.path || ' -> parameter grant', x.parameter,
               CASE x.privilege_type
                 WHEN 'SET' THEN 'sets this parameter in its sessions'
                 ELSE 'sets this parameter for the server'
               END,
               coalesce(p.remedy, format('REVOKE %s ON PARAMETER %s FROM %s', x.privilege_type, x.parameter, p.grantee))
        FROM ${parameterPrivileges(sql`x`)}
        JOIN unnest(${principals}) AS p ON p.role_oid = x.grantee
        WHERE x.grantee <> 10; -- the bootstrap superuser, which owns them all
    END
  `;
}

/**
 * Settings of the role that differ from what was asked for, and those that nobody asked for here
 * @volatility stable
 */
export function audit_settings(role_name: Text, settings: Jsonb): SetOf<FindingRow> {
  return sql`
    DECLARE
      v_wanted jsonb;
    BEGIN
      SELECT coalesce(jsonb_agg(s.resource), '[]') INTO v_wanted
      FROM ${accepted(sql`r.section = 'settings' AND r.key ->> 0 = ${role_name}`)} AS s;
      RETURN QUERY
        SELECT 'warning', quote_ident(${role_name}) || ' -> setting', w.setting ->> 'name',
               'is not as it was asked for', c.statement
        FROM jsonb_array_elements(v_wanted) AS w(setting)
        CROSS JOIN LATERAL rolecall_internal.plan_settings(
          jsonb_build_object('settings', jsonb_build_array(w.setting))
        ) AS c;
      IF rolecall_internal.newest_record('roles', jsonb_build_array(${role_name})) IS NULL THEN
        RETURN;
      END IF;
      RETURN QUERY
        SELECT 'info', quote_ident(${role_name}) || ' -> setting', c.name,
               concat('is ', c.value, ', which nobody asked for here'),
               format('ALTER ROLE %I%s RESET %I',
                      ${role_name}, ' IN DATABASE ' || quote_ident(e.database), c.name)
        FROM jsonb_to_recordset(${settings}) AS e(entry text, database text)
        CROSS JOIN LATERAL (SELECT split_part(e.entry, '=', 1), substr(e.entry, strpos(e.entry, '=') + 1)) AS c(name, value)
        WHERE NOT v_wanted @> jsonb_build_array(jsonb_build_object('name', c.name));
    END
  `;
}

/**
 * Publications that send the secret from which the password of a reporting role is derived, in clear text
 * @volatility stable
 */
export function audit_publications(role_name: Text): SetOf<FindingRow> {
  return sql`
    BEGIN
      IF NOT EXISTS (SELECT FROM pg_publication)
        OR EXISTS (SELECT FROM rolecall_internal.secret AS s WHERE s.key = ${reportingSecret} AND s.encrypted)
      THEN
        RETURN;
      END IF;
      RETURN QUERY
        SELECT 'warning', quote_ident(${role_name}) || ' -> publication', quote_ident(p.pubname),
               'sends the secret that the password is derived from to subscribers',
               CASE
                 WHEN p.puballtables THEN format('DROP PUBLICATION %I', p.pubname)
                 WHEN EXISTS (
                   SELECT FROM pg_publication_rel AS r
                   WHERE r.prpubid = p.oid AND r.prrelid = 'rolecall_internal.secret'::regclass
                 ) THEN format('ALTER PUBLICATION %I DROP TABLE rolecall_internal.secret', p.pubname)
                 ELSE format('ALTER PUBLICATION %I DROP TABLES IN SCHEMA rolecall_internal', p.pubname)
               END
        FROM ${publishingSecrets};
    END
  `;
}

/**
 * Shards of Citus that a role can read although their tables are withheld from it
 * @volatility stable
 */
export function audit_shards(role_name: Text, role_oid: Oid, definition: Jsonb): SetOf<FindingRow> {
  return sql`
    BEGIN
      IF ${hasNone} THEN
        RETURN;
      END IF;
      RETURN QUERY
        SELECT 'critical', quote_ident(${role_name}) || ' -> table grant', min(s.shard::regclass::text),
               format('reads what is withheld: %s of %s', CASE count(*) WHEN 1 THEN 'a shard' ELSE 'shards' END,
                      s.table_oid::regclass),
               format('REVOKE SELECT ON %s FROM %I', s.table_oid::regclass, ${role_name})
        FROM rolecall_internal.shards() AS s
        WHERE has_table_privilege(${role_oid}, s.shard, 'SELECT') AND s.table_oid IN (
          SELECT w.table_oid FROM rolecall_internal.withheld_tables(jsonb_build_array(${definition})) AS w
        )
        GROUP BY s.table_oid;
    END
  `;
}
