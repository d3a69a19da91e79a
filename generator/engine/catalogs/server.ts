/**
 * What is known about the server.
 */
import type { Returns, Text, TimestampTz } from '../../model/types.ts';
import { type Sql, sql, text } from '../../sql/template.ts';

/** The major version of the server. */
export const serverVersion = sql`current_setting('server_version_num')::integer / 10000`;

/** The oid of the role that makes the call. */
export const caller = sql`to_regrole(quote_ident(current_user))::oid`;

/**
 * The oid of this database. ALTER DATABASE ... RENAME and pg_upgrade keep it, and a copy of the database has another
 * one. It takes no query: the path of a file ends with the directory of the database and the number of the file.
 */
export const here = sql`
  split_part(
    pg_relation_filepath('pg_catalog.pg_class'), '/', -2
  )::oid
`;

/** The same in a query, which computes it once. */
export const thisDatabase = sql`(
  SELECT split_part(pg_relation_filepath('pg_catalog.pg_class'), '/', -2)::oid
)`;

/** The setting in which the policy of a database leaves a mark on a role for other databases: see plan/elsewhere.ts. */
export const mark = 'rolecall.policy';

/** Whether an entry of the settings of a role is such a mark. */
export const isMark = (entry: Sql) => sql`starts_with(${entry}, ${text(`${mark}=`)})`;

/**
 * The end of a password's validity as documents have it, in UTC; none counts as infinity
 * @volatility stable
 */
export function utc_time(moment: TimestampTz): Returns<Text> {
  return sql`
    BEGIN
      RETURN CASE WHEN isfinite(${moment})
                    THEN to_char(${moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
                  ELSE coalesce(${moment}, 'infinity')::text END;
    END
  `;
}

/** The publications, p, that send the table of secrets to their subscribers. */
export const publishingSecrets = sql`
  pg_publication AS p
  WHERE p.puballtables OR EXISTS (
    SELECT FROM pg_publication_tables AS t
    WHERE t.pubname = p.pubname AND t.schemaname = 'rolecall_internal' AND t.tablename = 'secret'
  )
`;
