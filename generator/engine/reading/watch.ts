/**
 * Watching new tables: an event trigger applies what is defined for the reporting roles to a table as soon as anyone
 * has made or moved it.
 *
 * The trigger's function runs as whoever made the table, as it is that role's to grant. All that this role may use of
 * the extension is the view `reporting_role`; so the function calls nothing else of ours, and whoever owns what it
 * uses has to be a superuser: the owner of a schema, view or function decides what others run when they use it.
 */
import { operations } from '../../model/operations.ts';
import { sqlstates, watchedClasses } from '../../model/sqlstates.ts';
import type { Bool, ChangeRow, EventTrigger, Jsonb, Nothing, Returns, SetOf, Text } from '../../model/types.ts';
import { anyOf } from '../../sql/conditions.ts';
import { wrapped } from '../../sql/quote.ts';
import { raiseNull } from '../../sql/raise.ts';
import { join, raw, sql, text } from '../../sql/template.ts';
import { isLostRace } from '../execute/execute.ts';
import { belongings, belongsTo, isOfSchema, meanings, rememberedColumn, tableOf } from './withheld.ts';

const trigger = text('rolecall_watch_new_tables');
export const handler = sql`'rolecall_internal.apply_to_new_tables()'::regprocedure`;

/** Whether new tables are watched now. */
export const isWatching = sql`EXISTS (
  SELECT FROM pg_event_trigger AS t
  WHERE t.evtfoid = ${handler} AND t.evtenabled IN ('O', 'A')
)`;

/** Commands that make a table or a column, move a table to another schema or under another parent, or rename either. */
const tags = [
  'ALTER EXTENSION',
  'ALTER FOREIGN TABLE',
  'ALTER MATERIALIZED VIEW',
  'ALTER SCHEMA',
  'ALTER SEQUENCE',
  'ALTER TABLE',
  'ALTER VIEW',
  'CREATE EXTENSION',
  'CREATE FOREIGN TABLE',
  'CREATE MATERIALIZED VIEW',
  'CREATE SCHEMA',
  'CREATE SEQUENCE',
  'CREATE TABLE',
  'CREATE TABLE AS',
  'CREATE VIEW',
  'IMPORT FOREIGN SCHEMA',
  'SELECT INTO',
] as const;

/** How often a change that lost a race is made again; a change alone, so that none is undone by another one. */
const attempts = 100;
const retried = ['internal_error', ...operations.grant_privilege.retried] as const;

/**
 * Whether a row that ties a table to its schema, or is a column of it, was written by the command that the trigger is at,
 * or at least by its transaction: as the table's own row was, and by no subtransaction that has ended.
 *
 * Equal xmins alone stay so for every later command that does not touch the table's row. Of a transaction of ours none is
 * older than the transaction itself; which subtransactions are open shows in the locks that they hold on themselves.
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

/** The reporting roles that exist. */
const readers = sql`
  reader AS MATERIALIZED (
    SELECT o.role_oid, r.role, r.schemas, r.withheld, r.known, r.ours
    FROM rolecall_watch.reporting_role AS r
    CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(r.role))::oid) AS o(role_oid)
    WHERE o.role_oid IS NOT NULL
  )
`;

/** The tables that the command has made or altered, by themselves, with their extension or with their schema. */
const touchedTables = sql`
  command AS MATERIALIZED (
    SELECT k.classid, k.objid, k.command_tag NOT LIKE 'ALTER %' AS makes
    FROM pg_event_trigger_ddl_commands() AS k
    -- What a script of an extension makes has its turn when CREATE EXTENSION ends: a grant from within the script
    -- would become part of the extension.
    WHERE NOT k.in_extension AND k.schema_name IS DISTINCT FROM 'pg_temp' AND EXISTS (SELECT FROM reader)
  ),
  -- Each list in an ARRAY() of its own, and below each row in a subquery of its own (OFFSET 0): found by an index,
  -- whatever the statistics say, and not at all where there is nothing to find it for.
  named AS (
    SELECT k.objid AS table_oid, k.makes, false AS by_schema
    FROM command AS k WHERE k.classid = 'pg_class'::regclass
    UNION ALL
    SELECT m.table_oid, k.makes, false
    FROM command AS k
    CROSS JOIN LATERAL unnest(ARRAY(
      SELECT d.objid FROM pg_depend AS d
      WHERE d.refclassid = k.classid AND d.refobjid = k.objid AND d.deptype = 'e'
        AND d.classid = 'pg_class'::regclass
    )) AS m(table_oid)
    WHERE k.classid = 'pg_extension'::regclass
    UNION ALL
    SELECT m.table_oid, k.makes, true
    FROM command AS k
    CROSS JOIN LATERAL unnest(ARRAY(SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = k.objid)) AS m(table_oid)
    WHERE k.classid = 'pg_namespace'::regclass
  ),
  touched AS MATERIALIZED (
    SELECT n.table_oid, bool_or(n.makes) AS made, bool_or(n.by_schema) AS by_schema
    FROM named AS n GROUP BY n.table_oid
  )
`;

/** What is withheld from each role of those tables, and of what belongs to them; no column: the whole table. */
const withheldTables = sql`
  lineage AS (
    SELECT t.table_oid, t.table_oid AS ancestor, NULL::name AS sequence_of FROM touched AS t
    UNION
    SELECT l.table_oid, i.parent, coalesce(l.sequence_of, i.column_name)
    FROM lineage AS l
    CROSS JOIN LATERAL (
      ${belongsTo(sql`l.ancestor`)}
      OFFSET 0
    ) AS i
  ),
  meant AS (
    SELECT r.role_oid, l.table_oid, l.sequence_of, m.column_name
    FROM lineage AS l
    CROSS JOIN LATERAL (SELECT c.relname, c.relnamespace FROM pg_class AS c WHERE c.oid = l.ancestor OFFSET 0) AS c
    CROSS JOIN LATERAL (SELECT n.nspname FROM pg_namespace AS n WHERE n.oid = c.relnamespace OFFSET 0) AS n
    JOIN reader AS r ON n.nspname = ANY (r.schemas)
    CROSS JOIN LATERAL unnest(r.withheld) AS w(name)
    CROSS JOIN LATERAL (
      ${meanings(sql`w.name`)}
    ) AS m
    WHERE c.relname = ${tableOf(sql`m.path`)}
      AND ${isOfSchema(sql`m.path`, sql`n.nspname`)}
    UNION ALL
    SELECT r.role_oid, l.table_oid, l.sequence_of, (
             ${rememberedColumn(sql`k`)}
           )
    FROM reader AS r
    CROSS JOIN LATERAL jsonb_to_recordset(r.known)
      AS k(relation oid, table_oid oid, number smallint, column_name text)
    JOIN lineage AS l ON l.ancestor = k.relation
  ),
  withheld AS (
    SELECT m.role_oid, m.table_oid, CASE WHEN m.sequence_of IS NULL THEN m.column_name END AS column_name
    FROM meant AS m WHERE m.sequence_of IS NULL OR m.column_name IS NULL OR m.column_name = m.sequence_of
    UNION
    SELECT w.role_oid, i.oid, i.column_name
    FROM withheld AS w
    CROSS JOIN LATERAL (
      ${belongings(sql`w.table_oid`, sql`w.column_name`)}
      OFFSET 0
    ) AS i
  )
`;

/** The tables that may change hands: what each role has on them, what of them it is to read, and whether they are new. */
const examinedTables = sql`
  subject AS (
    SELECT r.role_oid, r.role, r.schemas, r.ours, t.table_oid, t.made, t.by_schema
    FROM touched AS t CROSS JOIN reader AS r
    UNION ALL
    SELECT DISTINCT r.role_oid, r.role, r.schemas, r.ours, w.table_oid, false, false
    FROM withheld AS w
    JOIN reader AS r USING (role_oid)
    WHERE w.table_oid NOT IN (SELECT t.table_oid FROM touched AS t)
  ),
  known AS (
    SELECT s.role_oid, s.role, s.ours, s.table_oid, n.nspname, c.relname, c.xmin,
           pg_has_role(c.relowner, 'USAGE') AS allowed, a.reads, a.more,
           NOT v_shards AND n.nspname = ANY (s.schemas)
             AND (w.columns IS NULL OR w.columns[1] IS NOT NULL) AS readable,
           coalesce(w.columns, '{}') AS hidden,
           CASE WHEN s.by_schema THEN s.made OR NOT EXISTS (
                  SELECT FROM aclexplode(n.nspacl) AS x
                  WHERE x.grantee IN (0, s.role_oid) AND x.privilege_type = 'USAGE'
                )
                ELSE s.made OR coalesce((
                  SELECT ${isThisCommands('d', 'c')} FROM pg_depend AS d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = s.table_oid AND d.objsubid = 0
                    AND d.refclassid = 'pg_namespace'::regclass
                  LIMIT 1
                ), false) END AS new
    FROM subject AS s
    CROSS JOIN LATERAL (
      SELECT c.xmin, c.relname, c.relnamespace, c.relkind, c.relowner, c.relacl FROM pg_class AS c
      WHERE c.oid = s.table_oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      OFFSET 0
    ) AS c
    CROSS JOIN LATERAL (
      SELECT n.nspname, n.nspacl FROM pg_namespace AS n WHERE n.oid = c.relnamespace OFFSET 0
    ) AS n
    -- The columns, the whole table, which has no name, before them; of columns only those that it has.
    CROSS JOIN LATERAL (
      SELECT array_agg(w.column_name ORDER BY w.column_name NULLS FIRST)
      FROM withheld AS w
      WHERE w.role_oid = s.role_oid AND w.table_oid = s.table_oid AND (w.column_name IS NULL OR EXISTS (
        SELECT FROM pg_attribute AS a
        WHERE a.attrelid = w.table_oid AND a.attname = w.column_name AND a.attnum > 0 AND NOT a.attisdropped
      ))
    ) AS w(columns)
    CROSS JOIN LATERAL (
      SELECT coalesce(bool_or(x.privilege_type = 'SELECT'), false),
             coalesce(bool_or(x.privilege_type <> 'SELECT' OR x.is_grantable), false)
      FROM aclexplode(c.relacl) AS x WHERE x.grantee = s.role_oid
    ) AS a(reads, more)
  ),
  -- In a copy of its database the role reads what it read, but nothing more, and less where it must not.
  examined AS (
    SELECT k.role, k.nspname, k.relname, k.allowed, k.readable, cardinality(k.hidden) > 0 AS partly,
           k.more OR a.excess OR (k.reads AND NOT (k.readable AND k.hidden = '{}')) AS excess,
           CASE WHEN k.reads THEN k.more ELSE k.new AND k.ours END AS lacks, a.held, a.lacking
    FROM known AS k
    CROSS JOIN LATERAL (
      SELECT coalesce(bool_or(c.held AND NOT c.readable), false) AS excess,
             string_agg(c.name, ', ' ORDER BY c.attnum) FILTER (WHERE c.readable AND c.held) AS held,
             string_agg(c.name, ', ' ORDER BY c.attnum) FILTER (
               WHERE c.readable AND NOT c.held AND (k.reads OR k.ours AND (k.new OR c.new AND c.attnum > c.last))
             ) AS lacking
      FROM (
        SELECT a.attnum, quote_ident(a.attname) AS name, h.held,
               k.readable AND a.attname <> ALL (k.hidden) AS readable,
               ${isThisCommands('a', 'k')} AS new,
               coalesce(max(a.attnum) FILTER (WHERE h.held) OVER (), 0) AS last
        FROM (
          SELECT a.xmin, a.attname, a.attnum, a.attacl FROM pg_attribute AS a
          WHERE a.attrelid = k.table_oid AND a.attnum > 0 AND NOT a.attisdropped
            AND NOT (k.readable AND k.hidden = '{}')
          OFFSET 0
        ) AS a
        CROSS JOIN LATERAL (
          SELECT EXISTS (
            SELECT FROM aclexplode(a.attacl) AS x WHERE x.grantee = k.role_oid AND x.privilege_type = 'SELECT'
          )
        ) AS h(held)
      ) AS c
    ) AS a
  )
`;

/** What is to be granted and revoked, in that order: usage of a schema before what is in it. */
const wantedChanges = sql`
  change AS (
    SELECT 1 AS phase, e.role, e.allowed, format('"%s.%s" keeps its privileges', e.nspname, e.relname) AS failure,
           format('REVOKE ALL ON TABLE %I.%I FROM %I CASCADE', e.nspname, e.relname, e.role) AS statement
    FROM examined AS e WHERE e.excess
    UNION ALL
    SELECT 2, r.role, pg_has_role(n.nspowner, 'USAGE'), format('schema "%s" is not usable', n.nspname),
           format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, r.role)
    FROM command AS k
    JOIN pg_namespace AS n ON n.oid = k.objid
    JOIN reader AS r ON n.nspname = ANY (r.schemas) AND r.ours
    WHERE k.classid = 'pg_namespace'::regclass
      AND NOT EXISTS (
        SELECT FROM aclexplode(n.nspacl) AS x
        WHERE x.grantee IN (0, r.role_oid) AND x.privilege_type = 'USAGE'
      )
    UNION ALL
    SELECT 3, e.role, e.allowed, format('"%s.%s" is not readable', e.nspname, e.relname),
           format('GRANT SELECT %sON TABLE %I.%I TO %I', '(' || g.columns || ') ', e.nspname, e.relname, e.role)
    FROM examined AS e
    CROSS JOIN LATERAL (
      SELECT CASE WHEN e.partly THEN concat_ws(', ', CASE WHEN e.excess THEN e.held END, e.lacking) END
    ) AS g(columns)
    WHERE e.readable AND CASE WHEN e.partly THEN g.columns <> '' ELSE e.lacks END
  )
`;

/**
 * Event trigger: grants reporting roles what they read of the tables that a command has made or moved, and takes away the rest
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
      v_change jsonb;
      v_next integer := 0;
      v_alone boolean := false;
      v_attempts integer := 0;
      v_transaction xid := pg_current_xact_id_if_assigned()::xid;
      -- Citus creates shards in sessions of its own, and grants on each what is granted on the table that it is part of.
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
        v_changes := (
          WITH RECURSIVE ${readers},
          ${touchedTables},
          ${withheldTables},
          ${examinedTables},
          ${wantedChanges}
          SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.phase, c.failure, c.role), '[]') FROM change AS c
        );
      EXCEPTION
        WHEN ${caught} THEN
          RAISE WARNING USING
            ERRCODE = SQLSTATE,
            MESSAGE = format('reporting roles may lack, or have, privileges on what %s made: %s', tg_tag, SQLERRM),
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
                MESSAGE = format('%s for reporting role "%s": %s', v_change ->> 'failure', v_change ->> 'role', SQLERRM),
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
 * @volatility stable
 */
export function plan_watch(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_superuser boolean := (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user);
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
               coalesce(CASE WHEN NOT v_superuser THEN 'takes a superuser' END, f.note)
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
      ELSIF NOT (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user) THEN
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
