/**
 * Watching new tables: an event trigger applies what is defined for the reporting roles to a table as soon as anyone
 * has made or moved it.
 *
 * The trigger's function runs as whoever made the table, as it is that role's to grant. All that this role may use of
 * the extension is the view `reporting_role`; so the function calls nothing else of ours, and whoever owns what it
 * uses has to be a superuser: the owner of a schema, view or function decides what others run when they use it.
 */
import { catalogOf, columnPrivileges, kindList, query, union } from '../../model/kinds.ts';
import { operations } from '../../model/operations.ts';
import { sqlstates, watchedClasses } from '../../model/sqlstates.ts';
import type { Bool, ChangeRow, EventTrigger, Jsonb, Nothing, Returns, SetOf, Text } from '../../model/types.ts';
import { anyOf } from '../../sql/conditions.ts';
import { wrapped } from '../../sql/quote.ts';
import { raiseNull } from '../../sql/raise.ts';
import { join, raw, type Sql, sql, text } from '../../sql/template.ts';
import { caller } from '../catalogs/server.ts';
import { isSuperuser, routineName } from '../document/names.ts';
import { isLostRace } from '../execute/execute.ts';
import { belongings, belongsTo, isOfSchema, meanings, rememberedColumn, tableOf } from './withheld.ts';

const trigger = text('rolecall_watch_new_tables');
export const handler = sql`'rolecall_internal.apply_to_new_tables()'::regprocedure`;

/** Privileges that a column has too. */
const ofColumns = text(`{${Object.keys(columnPrivileges).join()}}`);

/** Whether new tables are watched now. */
export const isWatching = sql`EXISTS (
  SELECT FROM pg_event_trigger AS t
  WHERE t.evtfoid = ${handler} AND t.evtenabled IN ('O', 'A')
)`;

/**
 * Commands that make an object or a column, move an object to another schema or under another parent, or rename
 * either.
 */
const tags = [
  'ALTER AGGREGATE',
  'ALTER DOMAIN',
  'ALTER EXTENSION',
  'ALTER FOREIGN TABLE',
  'ALTER FUNCTION',
  'ALTER MATERIALIZED VIEW',
  'ALTER PROCEDURE',
  'ALTER ROUTINE',
  'ALTER SCHEMA',
  'ALTER SEQUENCE',
  'ALTER TABLE',
  'ALTER TYPE',
  'ALTER VIEW',
  'CREATE AGGREGATE',
  'CREATE DOMAIN',
  'CREATE EXTENSION',
  'CREATE FOREIGN TABLE',
  'CREATE FUNCTION',
  'CREATE MATERIALIZED VIEW',
  'CREATE PROCEDURE',
  'CREATE SCHEMA',
  'CREATE SEQUENCE',
  'CREATE TABLE',
  'CREATE TABLE AS',
  'CREATE TYPE',
  'CREATE VIEW',
  'IMPORT FOREIGN SCHEMA',
  'SELECT INTO',
] as const;

/** How often a change that lost a race is made again; a change alone, so that none is undone by another one. */
const attempts = 100;
const retried = ['internal_error', ...operations.grant_privilege.retried] as const;

/**
 * Whether a row that ties a table to its schema, or is a column of it, was written by the command that the trigger is
 * at, or at least by its transaction: as the table's own row was, and by no subtransaction that has ended.
 *
 * Equal xmins alone stay so for every later command that does not touch the table's row. Of a transaction of ours
 * none is older than the transaction itself; which subtransactions are open shows in the locks that they hold on
 * themselves.
 */
const isThisCommands = (tie: string, table: string) => sql`
  CASE WHEN ${raw(tie)}.xmin = ${raw(table)}.xmin AND age(${raw(tie)}.xmin) <= 0
       THEN ${raw(tie)}.xmin = v_transaction OR EXISTS (
              SELECT FROM pg_locks AS l
              WHERE l.locktype = 'transactionid' AND l.transactionid = ${raw(tie)}.xmin
                AND l.mode = 'ExclusiveLock' AND l.pid = pg_backend_pid()
            )
  END
`;

/**
 * The kinds of objects that are watched: what a policy says of all of a kind in a schema is kept for each that is
 * made.
 */
const watched = kindList.filter(([, { schema }]) => schema !== undefined);
/** Their catalogs, each with its column of the schema. */
const catalogs = [...new Map(watched.map(([, kind]) => [catalogOf(kind), String(kind.schema)]))];
const classes = join(catalogs.map(([catalog]) => sql`${text(catalog)}::regclass`));
const isTable = (alias: Sql) => sql`${alias}.classid = 'pg_class'::regclass`;

/**
 * Who is to have what, by its number: reporting roles that exist, and what policies say of v_names. A reporting role
 * has nothing but SELECT, whatever a policy says of it.
 */
const readers = sql`
  reader AS MATERIALIZED (
    SELECT r.*, row_number() OVER () AS number
    FROM (
      SELECT o.role_oid, r.role, coalesce(quote_ident(r.role), 'PUBLIC') AS grantee, r.schemas, r.withheld, r.known,
             r.ours, r.kind IS NULL AS sole, coalesce(r.privilege, 'SELECT') AS privilege,
             CASE r.kind WHEN 'column' THEN 'table' ELSE r.kind END AS kind, r.means, r.object,
             r.column_name AS shown, r.grantable, r.revoked, r.exact,
             bool_or(r.kind IS NULL) OVER (PARTITION BY o.role_oid) AS reports
      FROM rolecall_watch.reporting_role AS r
      CROSS JOIN LATERAL (
        SELECT CASE WHEN r.role IS NULL THEN 0 ELSE to_regrole(quote_ident(r.role))::oid END
      ) AS o(role_oid)
      WHERE coalesce(r.object = ANY (v_names), true) AND o.role_oid IS NOT NULL
    ) AS r
    WHERE r.sole OR NOT r.reports
  )
`;

/** What the command has made or altered, by itself, with its extension or with its schema. */
const commands = sql`
  command AS MATERIALIZED (
    SELECT k.classid, k.objid, k.command_tag NOT LIKE 'ALTER %' AS makes
    FROM pg_event_trigger_ddl_commands() AS k
    -- What a script of an extension makes has its turn when CREATE EXTENSION ends: a grant from within the script
    -- would become part of the extension.
    WHERE NOT k.in_extension AND k.schema_name IS DISTINCT FROM 'pg_temp'
  )
`;

const touchedObjects = sql`
  -- Each list in an ARRAY() of its own, and below each row in a subquery of its own (OFFSET 0): found by an index,
  -- whatever the statistics say, and not at all where there is nothing to find it for.
  named AS (
    SELECT k.classid, k.objid AS oid, k.makes, false AS by_schema
    FROM command AS k WHERE k.classid IN (${classes})
    UNION ALL
    SELECT d.classid, d.objid, k.makes, false
    FROM command AS k
    CROSS JOIN LATERAL (
      SELECT d.classid, d.objid FROM pg_depend AS d
      WHERE d.refclassid = k.classid AND d.refobjid = k.objid AND d.deptype = 'e'
        AND d.classid IN (${classes})
      OFFSET 0
    ) AS d
    WHERE k.classid = 'pg_extension'::regclass
    ${catalogs.map(
      ([catalog, schema]) => sql`
        UNION ALL
        SELECT ${text(catalog)}::regclass, m.oid, k.makes, true
        FROM command AS k
        CROSS JOIN LATERAL unnest(ARRAY(
          SELECT o.oid FROM ${raw(catalog)} AS o WHERE ${raw(schema)} = k.objid
        )) AS m(oid)
        WHERE k.classid = 'pg_namespace'::regclass
      `,
    )}
  ),
  touched AS MATERIALIZED (
    SELECT n.classid, n.oid, bool_or(n.makes) AS made, bool_or(n.by_schema) AS by_schema
    FROM named AS n GROUP BY n.classid, n.oid
  )
`;

/**
 * What is withheld from each reader of those tables, and of what belongs to them; no column: the whole table. A
 * policy names what it excepts with the schema, and sequences by themselves.
 */
const withheldTables = sql`
  lineage AS (
    SELECT t.oid AS table_oid, t.oid AS ancestor, NULL::name AS sequence_of FROM touched AS t
    WHERE ${isTable(sql`t`)}
    UNION
    SELECT l.table_oid, i.parent, coalesce(l.sequence_of, i.column_name)
    FROM lineage AS l
    CROSS JOIN LATERAL (
      ${belongsTo(sql`l.ancestor`)}
      OFFSET 0
    ) AS i
  ),
  meant AS (
    SELECT r.number, l.table_oid, l.sequence_of, m.column_name
    FROM lineage AS l
    CROSS JOIN LATERAL (SELECT c.relname, c.relnamespace FROM pg_class AS c WHERE c.oid = l.ancestor OFFSET 0) AS c
    CROSS JOIN LATERAL (SELECT n.nspname FROM pg_namespace AS n WHERE n.oid = c.relnamespace OFFSET 0) AS n
    JOIN reader AS r
      ON CASE WHEN r.sole THEN n.nspname = ANY (r.schemas)
              ELSE l.sequence_of IS NULL END
    CROSS JOIN LATERAL unnest(CASE WHEN r.sole OR r.kind IN ('table', 'sequence') THEN r.withheld END) AS w(name)
    CROSS JOIN LATERAL (
      ${meanings(sql`w.name`)}
    ) AS m
    WHERE c.relname = ${tableOf(sql`m.path`)}
      AND ${isOfSchema(sql`m.path`, sql`n.nspname`)}
      AND (r.sole OR cardinality(m.path) = 2)
    UNION ALL
    SELECT r.number, l.table_oid, l.sequence_of, (
             ${rememberedColumn(sql`k`)}
           )
    FROM reader AS r
    CROSS JOIN LATERAL jsonb_to_recordset(r.known)
      AS k(relation oid, table_oid oid, number smallint, column_name text)
    JOIN lineage AS l ON l.ancestor = k.relation AND (r.sole OR l.sequence_of IS NULL)
  ),
  withheld AS (
    SELECT m.number, m.table_oid, CASE WHEN m.sequence_of IS NULL THEN m.column_name END AS column_name
    FROM meant AS m WHERE m.sequence_of IS NULL OR m.column_name IS NULL OR m.column_name = m.sequence_of
    UNION
    SELECT w.number, i.oid, i.column_name
    FROM withheld AS w
    CROSS JOIN LATERAL (
      ${belongings(sql`w.table_oid`, sql`w.column_name`)}
      OFFSET 0
    ) AS i
  )
`;

/** An object, s, as its catalog has it, and its schema. */
const described = sql`
  CROSS JOIN LATERAL (
    ${union(
      watched.map(([name, kind]) =>
        query(
          kind,
          sql`
            ${text(name)} AS kind, ${text(kind.keyword)} AS keyword, o.xmin, ${raw(String(kind.schema))} AS schema,
                   ${raw(kind.owner)} AS owner,
                   coalesce(${raw(kind.acl)}, acldefault(${text(kind.letter)}, ${raw(kind.owner)})) AS acl,
                   ${raw(kind.name)} AS name
          `,
          [sql`${raw(kind.oid)} = s.oid AND s.classid = ${text(catalogOf(kind))}::regclass`],
        ),
      ),
    )}
    OFFSET 0
  ) AS o
  CROSS JOIN LATERAL (
    SELECT n.nspname, n.nspacl FROM pg_namespace AS n WHERE n.oid = o.schema OFFSET 0
  ) AS n
`;

/** What may change hands, and whether it is new: made, or moved to where it is, by this command. */
const subjects = sql`
  object AS MATERIALIZED (
    SELECT s.*, o.*, n.nspname, n.nspacl, pg_has_role(o.owner, 'USAGE') AS allowed, coalesce((
             SELECT ${isThisCommands('d', 'o')} FROM pg_depend AS d
             WHERE d.classid = s.classid AND d.objid = s.oid AND d.objsubid = 0
               AND d.refclassid = 'pg_namespace'::regclass
             LIMIT 1
           ), false) AS tied
    FROM (
      SELECT t.*, row_number() OVER () AS place
      FROM (
        TABLE touched
        UNION ALL
        SELECT DISTINCT 'pg_class'::regclass::oid, w.table_oid, false, false
        FROM withheld AS w
        WHERE w.table_oid NOT IN (SELECT t.oid FROM touched AS t WHERE ${isTable(sql`t`)})
      ) AS t
    ) AS s
    ${described}
  )
`;

/**
 * Whether the exception of a policy is a function or type, o; a name that no function has means all that are called
 * so.
 */
const isExcepted = (entry: Sql) => sql`(
  ${entry} = o.name OR o.kind = 'function' AND o.name LIKE '%(%'
    AND ${routineName(entry)}
      = ${routineName(sql`o.name`)}
    AND NOT EXISTS (
      SELECT FROM pg_proc AS f WHERE f.pronamespace = o.schema AND f.oid::regprocedure::text = ${entry}
    )
)`;

/**
 * What is said of each object, one by one: hidden are the columns that it is not about, or the whole, which has no
 * name.
 */
const sayings = sql`
  about AS (
    SELECT r.number, o.place, o.nspname = ANY (r.schemas) AS covers
    FROM object AS o JOIN reader AS r ON r.sole AND ${isTable(sql`o`)}
    UNION ALL
    SELECT r.number, o.place, true
    FROM object AS o JOIN reader AS r ON r.kind = o.kind AND r.schemas[1] = o.nspname AND r.means = 'all'
    UNION ALL
    SELECT r.number, o.place, true
    FROM object AS o JOIN reader AS r ON r.kind = o.kind AND r.object = o.name AND r.means = 'one'
  ),
  said AS (
    SELECT r.role_oid, o.place, r.privilege, r.sole, r.exact, r.ours, r.grantable, r.revoked, r.shown,
           h.columns AS hidden,
           NOT v_shards AND a.covers AND r.shown IS NULL AND (h.columns = '{}' OR h.columns[1] IS NOT NULL) AS given
    FROM about AS a
    JOIN reader AS r USING (number)
    JOIN object AS o USING (place)
    -- The columns, the whole table, which has no name, before them; of columns only those that it has.
    CROSS JOIN LATERAL (
      SELECT coalesce(array_agg(w.column_name ORDER BY w.column_name NULLS FIRST), '{}')
      FROM (
        SELECT w.column_name FROM withheld AS w
        WHERE w.number = r.number AND w.table_oid = o.oid AND ${isTable(sql`o`)}
          AND (w.column_name IS NULL OR EXISTS (
            SELECT FROM pg_attribute AS a
            WHERE r.privilege = ANY (${ofColumns})
              AND a.attrelid = w.table_oid AND a.attname = w.column_name AND a.attnum > 0 AND NOT a.attisdropped
          ))
        UNION ALL
        SELECT NULL FROM unnest(r.withheld) AS w(name)
        WHERE r.kind IN ('function', 'type') AND ${isExcepted(sql`w.name`)}
      ) AS w
    ) AS h(columns)
  ),
  held AS (
    SELECT x.grantee AS role_oid, o.place, x.privilege_type AS privilege, bool_or(x.is_grantable) AS option
    FROM object AS o
    CROSS JOIN LATERAL aclexplode(o.acl) AS x
    WHERE x.grantee IN (SELECT r.role_oid FROM reader AS r)
    GROUP BY x.grantee, o.place, x.privilege_type
  )
`;

/**
 * What each role has of each privilege on what may change hands, and what it is to have. Only a reporting role, and
 * one that a policy says everything of, loses what it had before the command.
 */
const examinedObjects = sql`
  role AS (
    SELECT r.role_oid, r.grantee, r.role, bool_or(r.sole) AS sole, bool_or(r.exact) AS exact
    FROM reader AS r GROUP BY r.role_oid, r.grantee, r.role
  ),
  known AS (
    SELECT o.*, r.grantee, r.role, r.role_oid, r.sole, r.exact, s.privilege, s.held, s.option, s.gives, s.grantable,
           s.revoked, s.ours, s.hidden, s.shown, s.excepted, s.whole AND NOT s.revoked AS whole,
           CASE WHEN o.by_schema THEN o.made OR NOT EXISTS (
                  SELECT FROM aclexplode(o.nspacl) AS x
                  WHERE x.grantee IN (0, r.role_oid) AND x.privilege_type = 'USAGE'
                )
                ELSE o.made OR o.tied END AS new
    FROM (
      SELECT u.role_oid, u.place, u.privilege,
             coalesce(bool_or(u.held), false) AS held, coalesce(bool_or(u.option), false) AS option,
             coalesce(bool_or(u.given AND u.hidden = '{}'), false) AS whole,
             coalesce(bool_or(u.given AND u.hidden = '{}' AND u.ours), false) AS gives,
             coalesce(bool_or(u.given AND u.hidden = '{}' AND u.grantable), false) AS grantable,
             coalesce(bool_or(u.given AND u.hidden = '{}' AND u.revoked), false) AS revoked,
             coalesce(bool_or(u.ours), false) AS ours, coalesce(bool_or(u.hidden <> '{}'), false) AS excepted,
             jsonb_agg(to_jsonb(u.hidden)) FILTER (WHERE u.given AND NOT u.revoked) AS hidden,
             array_agg(u.shown) FILTER (WHERE u.shown IS NOT NULL) AS shown
      FROM (
        SELECT s.role_oid, s.place, s.privilege, NULL::boolean AS held, NULL::boolean AS option,
               s.given, s.hidden, s.ours, s.grantable, s.revoked, s.shown
        FROM said AS s
        UNION ALL
        SELECT h.role_oid, h.place, h.privilege, true, h.option, NULL, NULL, NULL, NULL, NULL, NULL FROM held AS h
      ) AS u
      GROUP BY u.role_oid, u.place, u.privilege
    ) AS s
    JOIN object AS o USING (place)
    JOIN role AS r USING (role_oid)
    WHERE o.owner <> s.role_oid
  ),
  -- In a copy of its database a reporting role reads what it read, but nothing more, and less where it must not.
  examined AS (
    SELECT k.*, a.held_columns, a.lacking_columns,
           a.excess AND (k.sole OR k.exact OR k.made AND k.tied) OR k.held AND CASE
             WHEN k.sole THEN NOT k.whole OR k.option OR k.privilege <> 'SELECT'
             ELSE NOT k.whole AND (
               k.revoked OR k.excepted AND (k.exact OR k.made AND k.tied) OR k.exact AND k.new AND NOT k.made
             ) END AS excess
    FROM known AS k
    CROSS JOIN LATERAL (
      SELECT coalesce(bool_or(c.held AND NOT c.readable AND (k.sole OR k.excepted)), false) AS excess,
             string_agg(c.name, ', ' ORDER BY c.attnum) FILTER (WHERE c.readable AND c.held) AS held_columns,
             string_agg(c.name, ', ' ORDER BY c.attnum) FILTER (
               WHERE c.readable AND NOT c.held AND (
                 k.held AND (k.sole OR k.exact OR k.made AND k.tied)
                 OR k.ours AND (k.new OR c.new AND c.attnum > c.last)
               )
             ) AS lacking_columns
      FROM (
        SELECT a.attnum, quote_ident(a.attname) AS name, h.held, EXISTS (
                 SELECT FROM jsonb_array_elements(k.hidden) AS l(list) WHERE NOT l.list ? a.attname::text
               ) OR coalesce(a.attname = ANY (k.shown), false) AS readable,
               ${isThisCommands('a', 'k')} AS new,
               coalesce(max(a.attnum) FILTER (WHERE h.held) OVER (), 0) AS last
        FROM (
          SELECT a.xmin, a.attname, a.attnum, a.attacl FROM pg_attribute AS a
          WHERE ${isTable(sql`k`)} AND a.attrelid = k.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND NOT k.whole AND NOT k.revoked AND (k.sole OR k.excepted OR k.shown IS NOT NULL)
            AND k.privilege = ANY (${ofColumns})
          OFFSET 0
        ) AS a
        CROSS JOIN LATERAL (
          SELECT EXISTS (
            SELECT FROM aclexplode(a.attacl) AS x WHERE x.grantee = k.role_oid AND x.privilege_type = k.privilege
          )
        ) AS h(held)
      ) AS c
    ) AS a
  )
`;

/** What is to be granted and revoked, in that order: usage of a schema before what is in it. */
const wantedChanges = sql`
  change AS (
    -- What the role has granted on ends with what it was granted: its owner grants that in its place.
    SELECT 0 AS phase, e.role, e.allowed,
           format('"%s": what reporting role "%s" has granted on it ends', e.shown_as, e.role) AS failure,
           format('GRANT %s ON %s %s TO %s%s', x.privilege, e.keyword, e.name,
                  coalesce(quote_ident(r.rolname), 'PUBLIC'),
                  CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END) AS statement
    FROM summed AS e
    JOIN object AS o USING (place)
    CROSS JOIN LATERAL (
      SELECT x.privilege_type AS privilege, x.grantor, x.grantee, x.is_grantable FROM aclexplode(o.acl) AS x
      UNION ALL
      SELECT format('%s (%I)', x.privilege_type, a.attname), x.grantor, x.grantee, x.is_grantable
      FROM pg_attribute AS a CROSS JOIN LATERAL aclexplode(a.attacl) AS x
      WHERE ${isTable(sql`o`)} AND a.attrelid = o.oid AND NOT a.attisdropped
    ) AS x
    LEFT JOIN pg_roles AS r ON r.oid = x.grantee
    WHERE e.sole AND e.excess IS NOT NULL AND e.allowed AND x.grantor = e.role_oid AND x.grantee <> e.role_oid
    UNION ALL
    SELECT 1, e.role, e.allowed,
           CASE WHEN e.sole THEN format('"%s" keeps its privileges for reporting role "%s"', e.shown_as, e.role)
                ELSE format('%s keeps privileges of %s', e.name, e.grantee) END,
           format('REVOKE %s ON %s %s FROM %s%s', CASE WHEN e.sole THEN 'ALL' ELSE e.excess END, e.keyword, e.name,
                  e.grantee, CASE WHEN e.sole THEN ' CASCADE' END)
    FROM summed AS e WHERE e.excess IS NOT NULL
    UNION ALL
    SELECT 2, r.role, pg_has_role(n.nspowner, 'USAGE'),
           format('schema "%s" is not usable for reporting role "%s"', n.nspname, r.role),
           format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, r.role)
    FROM command AS k
    JOIN pg_namespace AS n ON n.oid = k.objid
    JOIN reader AS r ON r.sole AND n.nspname = ANY (r.schemas) AND r.ours
    WHERE k.classid = 'pg_namespace'::regclass
      AND NOT EXISTS (
        SELECT FROM aclexplode(n.nspacl) AS x
        WHERE x.grantee IN (0, r.role_oid) AND x.privilege_type = 'USAGE'
      )
    UNION ALL
    SELECT 3, e.role, e.allowed,
           CASE WHEN e.sole THEN format('"%s" is not readable for reporting role "%s"', e.shown_as, e.role)
                ELSE format('%s lacks privileges of %s', e.name, e.grantee) END,
           format('GRANT %s ON %s %s TO %s%s', g.privileges, e.keyword, e.name, e.grantee, g.option)
    FROM summed AS e
    CROSS JOIN LATERAL (VALUES (e.lacking, ''), (e.lacking_option, ' WITH GRANT OPTION')) AS g(privileges, option)
    WHERE g.privileges IS NOT NULL
  )
`;

/** The same for each role and object. */
const summedObjects = sql`
  summed AS (
    SELECT e.role, e.grantee, e.role_oid, e.place, e.sole, e.allowed, e.keyword, e.name,
           concat(e.nspname, '.', (SELECT c.relname FROM pg_class AS c WHERE c.oid = e.oid AND e.sole)) AS shown_as,
           string_agg(e.privilege, ', ' ORDER BY e.privilege) FILTER (WHERE e.excess) AS excess,
           string_agg(l.privilege, ', ' ORDER BY l.privilege) FILTER (WHERE NOT e.grantable) AS lacking,
           string_agg(l.privilege, ', ' ORDER BY l.privilege) FILTER (WHERE e.grantable) AS lacking_option
    FROM (
      SELECT e.*, bool_or(e.excess) OVER (PARTITION BY e.role_oid, e.place) AND e.sole OR e.excess AS anew
      FROM examined AS e
    ) AS e
    CROSS JOIN LATERAL (
      SELECT CASE WHEN NOT e.whole THEN e.privilege || ' (' || nullif(concat_ws(
                    ', ', CASE WHEN e.anew THEN e.held_columns END,
                    CASE WHEN e.anew OR NOT e.held THEN e.lacking_columns END
                  ), '') || ')'
                  WHEN e.sole AND e.held THEN CASE WHEN e.anew THEN e.privilege END
                  WHEN e.new AND e.gives AND (NOT e.held OR e.grantable AND NOT e.option) THEN e.privilege END
    ) AS l(privilege)
    GROUP BY e.role, e.grantee, e.role_oid, e.sole, e.allowed, e.keyword, e.name, e.nspname, e.oid, e.place
  )
`;

/**
 * Event trigger: grants reporting roles what they read of the tables that a command has made or moved, and takes away
 * the rest; grants roles what policies say of all objects of a schema, and takes away what those except
 *
 * A table that was only altered gets no privilege: under another name, what was withheld is no less secret. That it
 * was moved shows in the row that ties it to its schema.
 *
 * No error of ours is the command's: it becomes a WARNING.
 * @probes
 * @long whoever makes a table runs it, and may call no other function of ours
 */
export function apply_to_new_tables(): EventTrigger {
  const caught = anyOf(watchedClasses);
  return sql`
    DECLARE
      v_changes jsonb := '[]'::jsonb;
      v_touched jsonb;
      v_names text[];
      v_change jsonb;
      v_next integer := 0;
      v_alone boolean := false;
      v_attempts integer := 0;
      v_transaction xid := pg_current_xact_id_if_assigned()::xid;
      -- Citus creates shards in sessions of its own, and grants on each what is granted on the table that it is part
      -- of.
      v_shards boolean := current_setting('application_name') ~ '^citus_(internal|rebalancer) gpid='
        AND to_regclass('pg_catalog.pg_dist_shard') IS NOT NULL;
    BEGIN
      BEGIN
        -- Temporary tables are many, and nobody else's.
        IF v_shards AND tg_tag <> 'CREATE TABLE' OR NOT EXISTS (
          SELECT FROM pg_event_trigger_ddl_commands() AS k
          WHERE NOT k.in_extension AND k.schema_name IS DISTINCT FROM 'pg_temp'
        ) THEN
          RETURN;
        END IF;
        WITH ${commands},
        ${touchedObjects},
        found AS MATERIALIZED (
          SELECT to_jsonb(s) AS touched, o.name, o.acl, n.nspname FROM touched AS s
          ${described}
        )
        SELECT (SELECT jsonb_agg(f.touched) FROM found AS f), ARRAY(
                 SELECT f.name FROM found AS f UNION SELECT f.nspname FROM found AS f
                 UNION SELECT pg_get_userbyid(x.grantee) FROM found AS f CROSS JOIN LATERAL aclexplode(f.acl) AS x
                 -- So that there is one: of no names, a comparison with null is false, not null.
                 UNION SELECT ''
               )
          INTO v_touched, v_names;
        v_changes := (
          WITH RECURSIVE ${readers},
          ${commands},
          touched AS MATERIALIZED (
            SELECT * FROM jsonb_to_recordset(v_touched) AS t(classid oid, oid oid, made boolean, by_schema boolean)
          ),
          ${withheldTables},
          ${subjects},
          ${sayings},
          ${examinedObjects},
          ${summedObjects},
          ${wantedChanges}
          SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.phase, c.failure, c.role), '[]') FROM change AS c
        );
      EXCEPTION
        WHEN ${caught} THEN
          RAISE WARNING USING
            ERRCODE = SQLSTATE,
            MESSAGE = format('roles may lack, or have, privileges on what %s created: %s', tg_tag, SQLERRM),
            HINT = 'Have a superuser call rolecall.watch_new_tables() and rolecall.converge().';
          RETURN;
      END;

      -- All in one subtransaction. Only where that fails each is made in one of its own.
      WHILE v_next < jsonb_array_length(v_changes) LOOP
        BEGIN
          FOR v_position IN v_next .. CASE WHEN v_alone THEN v_next ELSE jsonb_array_length(v_changes) - 1 END LOOP
            v_change := v_changes -> v_position;
            IF NOT (v_change ->> 'allowed')::boolean THEN
              RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'only the owner may do this';
            END IF;
            EXECUTE v_change ->> 'statement';
          END LOOP;
          EXIT WHEN NOT v_alone;
          v_next := v_next + 1;
          v_attempts := 0;
        EXCEPTION
          WHEN ${caught} THEN
            v_attempts := v_attempts + 1;
            IF NOT v_alone THEN
              v_alone := true;
            ELSIF SQLSTATE IN (${join(retried.map((name) => text(sqlstates[name])))}) AND v_attempts < ${attempts}
                  AND (SQLSTATE <> ${text(sqlstates.internal_error)} OR ${isLostRace})
            THEN
              -- Taking a shared object's lock brings the caches up to date.
              PERFORM pg_get_object_address('role', ARRAY[current_user::text], '{}');
            ELSE
              RAISE WARNING USING
                ERRCODE = SQLSTATE,
                MESSAGE = format('%s: %s', v_change ->> 'failure', SQLERRM),
                HINT = 'Have its owner, or a superuser, call rolecall.converge(), which makes up for it.';
              v_next := v_next + 1;
              v_attempts := 0;
            END IF;
        END;
      END LOOP;
    END
  `;
}

/**
 * What is missing for new tables to be watched, or still there where they no longer are
 * @long one query, with the list of commands
 * @volatility stable
 */
export function plan_watch(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_superuser boolean := ${isSuperuser(caller)};
      v_untrusted text := rolecall_internal.untrusted_owners();
    BEGIN
      RETURN QUERY
        WITH wanted AS (
          SELECT bool_and(r.state = 'present') AS enabled
          FROM jsonb_to_recordset(${resources}) AS r(state text)
        ),
        present AS (
          SELECT t.evtname,
                 h.ours,
                 h.ours AND t.evtname = ${trigger}
                   AND t.evtevent = 'ddl_command_end'
                   AND t.evtenabled IN ('O', 'A') AND t.evttags @> w.tags AND t.evttags <@ w.tags AS whole
          FROM pg_event_trigger AS t
          CROSS JOIN LATERAL (
            SELECT t.evtfoid = ${handler}
          ) AS h(ours)
          CROSS JOIN (
            SELECT ARRAY[
              ${join(tags.map(text), ',\n')}
            ]
          ) AS w(tags)
        ),
        found AS (
          SELECT 1 AS phase, 'drop_event_trigger' AS operation, p.evtname::text AS target,
                 format('DROP EVENT TRIGGER %I', p.evtname) AS statement, NULL AS sqlstate, NULL AS note
          FROM present AS p CROSS JOIN wanted AS w
          WHERE p.ours AND NOT (w.enabled AND p.whole)
          UNION ALL
          SELECT CASE WHEN w.enabled THEN 2 ELSE 3 END, g.operation, g.target, g.statement, NULL, NULL
          FROM wanted AS w CROSS JOIN LATERAL rolecall_internal.plan_watch_grants(w.enabled) AS g
          UNION ALL
          SELECT 4, 'create_event_trigger', ${trigger},
                 format(
                   'CREATE EVENT TRIGGER %I ON ddl_command_end WHEN TAG IN (%s) '
                   'EXECUTE FUNCTION rolecall_internal.apply_to_new_tables()',
                   ${trigger},
                   ${raw(wrapped(tags.map((tag) => `'${tag}'`).join(', '), 90))}
                 ),
                 CASE WHEN v_untrusted IS NOT NULL THEN '55000' WHEN o.taken THEN '42710' END,
                 CASE WHEN v_untrusted IS NOT NULL
                        THEN 'the extension''s objects belong to a role that is not a superuser'
                      WHEN o.taken THEN 'another event trigger has that name: rename or drop it' END
          FROM wanted AS w
          CROSS JOIN (
            SELECT coalesce(bool_or(p.evtname = ${trigger} AND NOT p.ours), false) FROM present AS p
          ) AS o(taken)
          WHERE w.enabled AND NOT EXISTS (SELECT FROM present AS p WHERE p.whole)
        )
        SELECT f.operation, f.target, f.statement, NULL::text, '{}'::text[],
               coalesce(CASE WHEN NOT v_superuser THEN '42501' END, f.sqlstate),
               coalesce(CASE WHEN NOT v_superuser THEN 'only a superuser can do this' END, f.note)
        FROM found AS f
        ORDER BY f.phase, f.statement;
    END
  `;
}

/**
 * What everybody needs for the trigger, as it runs as whoever makes a table, and nobody where there is none
 * @volatility stable
 */
export function plan_watch_grants(enabled: Bool): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT CASE WHEN ${enabled} THEN 'grant_privilege' ELSE 'revoke_privilege' END, g.target,
               CASE WHEN ${enabled} THEN format('GRANT %s TO PUBLIC', g.what)
                    ELSE format('REVOKE %s FROM PUBLIC', g.what) END,
               NULL::text, '{}'::text[], NULL::text, NULL::text
        FROM (
          SELECT 'rolecall_watch', 'USAGE ON SCHEMA rolecall_watch', n.nspacl, 'USAGE'
          FROM pg_namespace AS n WHERE n.nspname = 'rolecall_watch'
          UNION ALL
          SELECT 'rolecall_watch.reporting_role', 'SELECT ON rolecall_watch.reporting_role', c.relacl, 'SELECT'
          FROM pg_class AS c WHERE c.oid = 'rolecall_watch.reporting_role'::regclass
        ) AS g(target, what, acl, privilege)
        WHERE ${enabled} IS DISTINCT FROM EXISTS (
          SELECT FROM aclexplode(g.acl) AS x WHERE x.grantee = 0 AND x.privilege_type = g.privilege
        );
    END
  `;
}

/**
 * What the trigger uses that belongs to a role that is not a superuser; null where nothing does
 *
 * Every role uses it that makes a table, superusers included.
 * @volatility stable
 */
export function untrusted_owners(): Returns<Text> {
  return sql`
    BEGIN
      RETURN (
        SELECT string_agg(format('%s of %I', o.object, r.rolname), ', ' ORDER BY o.object)
        FROM (
          SELECT n.nspowner, format('SCHEMA %I', n.nspname)
          FROM pg_namespace AS n WHERE n.nspname IN ('rolecall', 'rolecall_internal', 'rolecall_watch')
          UNION ALL
          SELECT p.proowner, 'FUNCTION rolecall_internal.apply_to_new_tables()'
          FROM pg_proc AS p WHERE p.oid = ${handler}
          UNION ALL
          SELECT c.relowner, format('%s %s', CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.oid::regclass)
          FROM pg_class AS c
          WHERE c.oid IN ('rolecall_watch.reporting_role'::regclass, 'rolecall_internal.resource'::regclass,
                          'rolecall_internal.secret'::regclass, 'rolecall_internal.withheld'::regclass)
        ) AS o(owner, object)
        JOIN pg_roles AS r ON r.oid = o.owner
        WHERE NOT r.rolsuper
      );
    END
  `;
}

/**
 * Refuses to start or stop watching new tables where the caller is not a superuser, or where it would not be safe
 *
 * One caller at a time: what has to be there is spread over several catalogs, none of which is the first to be changed.
 */
export function check_watch(enable: Bool, dry_run: Bool): Nothing {
  return sql`
    BEGIN
      IF ${enable} IS NULL THEN
        ${raiseNull('enable')}
      ELSIF NOT ${isSuperuser(caller)} THEN
        RAISE EXCEPTION USING
          ERRCODE = 'insufficient_privilege',
          MESSAGE = 'only a superuser can have new tables watched',
          HINT = 'Have a superuser make the call in this database: only a superuser can create or drop an event trigger.';
      ELSIF ${enable} AND rolecall_internal.untrusted_owners() IS NOT NULL THEN
        RAISE EXCEPTION USING
          ERRCODE = 'object_not_in_prerequisite_state',
          MESSAGE = 'the extension''s objects belong to a role that is not a superuser',
          DETAIL = format('Whoever creates a table, superusers included, would run what that role puts there: %s.',
                          rolecall_internal.untrusted_owners()),
          -- Not to take them over: what is in them may be that role's already.
          HINT = 'Have a superuser remove rolecall from this database and install it again.';
      END IF;
      IF ${enable} THEN
        PERFORM rolecall_internal.check_coordinator();
      END IF;
      -- On a standby nothing can change.
      IF ${dry_run} IS NOT TRUE AND NOT pg_is_in_recovery() THEN
        LOCK TABLE rolecall_internal.turn IN SHARE UPDATE EXCLUSIVE MODE;
      END IF;
    END
  `;
}
