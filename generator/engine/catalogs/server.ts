/**
 * What is known about the server.
 */
import type { Bool, Returns, Text, TimestampTz } from '../../model/types.ts';
import { raw, type Sql, sql, text } from '../../sql/template.ts';

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

const part = '[[:alpha:]_][[:alnum:]_$]*';

/**
 * Whether the server takes a parameter of that name. One with a dot can be anybody's, unless a library that is loaded
 * keeps its prefix, from PostgreSQL 15 on, for the parameters that it has
 * @volatility stable
 */
export function is_parameter(name: Text): Returns<Bool> {
  return sql`
    BEGIN
      IF current_setting(${name}, true) IS NOT NULL THEN
        RETURN true;
      ELSIF ${name} ~ ${raw(`'^${part}([.]${part})+$'`)} THEN
        -- Only where a library has such parameters: a name that nobody keeps has a value from now on.
        IF ${serverVersion} >= 15 AND EXISTS (
          SELECT FROM pg_settings AS s WHERE starts_with(lower(s.name), lower(split_part(${name}, '.', 1)) || '.')
        ) THEN
          PERFORM set_config(${name}, '', true);
        END IF;
        RETURN true;
      END IF;
      RETURN false;
    EXCEPTION
      WHEN insufficient_privilege THEN
        RETURN true; -- one that the caller may not see
      WHEN invalid_name THEN
        RETURN false;
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
