/**
 * Citus: a distributed table has its rows in shards, tables of the same schema, which the coordinator can have too.
 * Citus hides shards from queries on pg_class, but not from a query that names one, and the default privileges of the
 * schema apply to a shard that is created there. So shards are found by their names, and only has_table_privilege()
 * tells who reads them.
 *
 * Other servers do not have its catalogs and functions, and only a superuser could create others in their place.
 */
import type { ChangeRow, Integer, Nothing, Oid, Places, SetOf, Table } from '../../model/types.ts';
import { type Sql, sql } from '../../sql/template.ts';
import { revoking } from '../catalogs/grantable.ts';

/** Whether this server has no shards, as nearly all servers. A query that leaves shards out checks it once. */
export const hasNone = sql`to_regclass('pg_catalog.pg_dist_shard') IS NULL`;

/** Whether a table is not a shard. Where a session sees shards, they are only parts of other tables. */
export const isNoShard = (table: Sql) => sql`(
  (SELECT ${hasNone})
  OR ${table} NOT IN (SELECT s.shard FROM rolecall_internal.shards() AS s)
)`;

/**
 * The shards that this node has, each with its distributed table
 * @volatility stable
 */
export function shards(): Table<{ table_oid: Oid; shard: Oid }> {
  return sql`
    DECLARE
      v_catalog text;
    BEGIN
      SELECT c.relname::text INTO v_catalog FROM pg_class AS c WHERE c.oid = to_regclass('pg_catalog.pg_dist_shard');
      IF FOUND THEN
        -- shard_name() may put the schema before the name.
        RETURN QUERY EXECUTE format(
          'SELECT c.oid, o.shard '
          'FROM pg_catalog.%I AS s '
          'JOIN pg_class AS c ON (c.oid = s.logicalrelid) '
          'CROSS JOIN LATERAL parse_ident(shard_name(s.logicalrelid, s.shardid)) AS n(parts) '
          'CROSS JOIN LATERAL ('
          'SELECT to_regclass(concat(c.relnamespace::regnamespace, ''.'', quote_ident(n.parts[cardinality(n.parts)])))::oid'
          ') AS o(shard) '
          'WHERE o.shard IS NOT NULL',
          v_catalog
        );
      END IF;
    END
  `;
}

/**
 * The shards that a role reads, of tables that are withheld from it or have columns that are
 * @volatility stable
 */
export function readable_shards(places: Places): Table<{ number: Integer; role_oid: Oid; table_oid: Oid; shard: Oid }> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT p.position::integer, p.role_oid, s.table_oid, s.shard
        FROM unnest(${places}) AS p
        CROSS JOIN LATERAL unnest(p.withheld) AS w(table_oid)
        JOIN rolecall_internal.shards() AS s USING (table_oid)
        WHERE has_table_privilege(p.role_oid, s.shard, 'SELECT') AND NOT has_table_privilege('public', s.shard, 'SELECT');
    END
  `;
}

/**
 * The changes that revoke SELECT on withheld tables of which a role reads shards. Citus sends the REVOKE to each
 * shard, also where there is nothing to revoke on the table itself
 * @volatility stable
 */
export function plan_shards(places: Places): SetOf<ChangeRow> {
  return sql`
    BEGIN
      IF ${hasNone} THEN
        RETURN;
      END IF;
      RETURN QUERY
        WITH excess AS (
          SELECT DISTINCT p.position, p.role, '' AS kind, p.schema AS target,
                 format('%I.%I', p.schema, c.relname) AS object, c.relowner AS owner, c.relowner AS grantor,
                 'SELECT' AS privileges
          FROM rolecall_internal.readable_shards(${places}) AS r
          JOIN pg_class AS c ON c.oid = r.table_oid
          JOIN unnest(${places}) AS p ON p.position = r.number AND p.schema_oid = c.relnamespace
          WHERE c.relowner <> p.role_oid
        )
        ${revoking(sql`excess`)};
    END
  `;
}

/**
 * Refuses a call about reporting roles on a worker, which has a record and a secret of its own: it would change the
 * password on all nodes, and the coordinator would not know it
 * @volatility stable
 */
export function check_coordinator(): Nothing {
  return sql`
    DECLARE
      v_catalog text;
      v_worker boolean;
    BEGIN
      -- Without Citus, as on nearly every server, this takes no query.
      IF to_regclass('pg_catalog.pg_dist_local_group') IS NULL THEN
        RETURN;
      END IF;
      SELECT c.relname::text INTO v_catalog FROM pg_class AS c
      WHERE c.oid = to_regclass('pg_catalog.pg_dist_local_group');
      IF FOUND THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM pg_catalog.%I AS g WHERE g.groupid <> 0)', v_catalog) INTO v_worker;
      END IF;
      IF v_worker THEN
        RAISE EXCEPTION USING
          ERRCODE = 'object_not_in_prerequisite_state',
          MESSAGE = 'this is a worker node of Citus, and reporting roles are provisioned on the coordinator',
          HINT = 'Connect to the coordinator, and make the call there.';
      END IF;
    END
  `;
}
