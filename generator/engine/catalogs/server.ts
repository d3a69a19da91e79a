/**
 * What is known about the server.
 */
import { sql } from '../../sql/template.ts';

/** The major version of the server. */
export const serverVersion = sql`current_setting('server_version_num')::integer / 10000`;
