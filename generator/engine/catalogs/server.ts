/**
 * What is known about the server.
 */
import { sql } from '../../sql/template.ts';

/** The major version of the server. */
export const serverVersion = sql`current_setting('server_version_num')::integer / 10000`;

/** The oid of this database, which ALTER DATABASE ... RENAME and pg_upgrade keep, and a copy of it does not have. */
export const thisDatabase = sql`(
  SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()
)`;
