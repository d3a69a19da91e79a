import type { Bool, SetOf, StepRow } from '../model/types.ts';
import { establish } from './_shared.ts';
import { sql } from '../sql/template.ts';

/**
 * Grants reporting roles and the roles of policies their privileges on a new object at once, whoever creates it
 *
 * Without it, a new table is readable at once if one of the table owners that a reporting role was provisioned for
 * creates it, and otherwise from the next provisioning run or `converge()` on. A withheld table that is dropped and
 * created again is readable until then. With it, an event trigger grants or revokes what the definitions of this
 * database's reporting roles say, in the transaction that creates the table.
 *
 * That is done for tables, partitioned tables and partitions, views, materialized views and foreign tables, whatever
 * command or extension creates them, and for those that SET SCHEMA moves, or that move with their schema. A reporting
 * role can no longer read a table that is moved out of its schemas. A table that is renamed, or attached as a
 * partition, may become withheld, but never readable: what was withheld under the old name stays withheld until the
 * next provisioning run. The same holds for a column that is renamed. A column that is added to a table of which
 * other columns are withheld is readable at once.
 *
 * The entries `tables_in`, `sequences_in`, `functions_in` and `types_in` of a policy that a superuser has applied are
 * kept in the same way, whoever creates the object: privileges are granted, and those on what `except` names are
 * revoked. See [policies](policies.md#all-of-a-schema-now-and-later).
 *
 * It never causes a command to fail: a problem is a WARNING with its SQLSTATE. The trigger acts as the role that
 * creates the table. So while tables are watched, everybody has USAGE on the schema `rolecall_watch`, and SELECT on
 * the view there that shows the definitions of the reporting roles, and these entries of policies. Nobody gets access
 * to anything else of the extension.
 *
 * A dump includes the event trigger. DROP EXTENSION requires CASCADE, or `watch_new_tables(false)` first. It also
 * requires CASCADE if somebody has created a view over `rolecall_watch.reporting_role`, which everybody may read
 * while tables are watched, or a column of its row type: that view, or column, goes as well.
 *
 * @group reporting
 * @param enable true: watch; false: stop watching
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; none if nothing differs
 * @throws null_value_not_allowed - enable is null
 * @throws insufficient_privilege - the caller is not a superuser
 * @throws object_not_in_prerequisite_state - a schema, the view, a table or a function of the extension belongs to a
 *   role that is not a superuser, which could have superusers run its code; the hint says how to take the objects
 *   over; or this is a worker node of Citus
 * @example SELECT operation, statement, status FROM rolecall.watch_new_tables(dry_run => true);
 */
export function watch_new_tables(enable: Bool = true, dry_run: Bool = false): SetOf<StepRow> {
  return establish(
    { watch: [{ key: 'new_tables', state: sql`CASE WHEN ${enable} THEN 'present' ELSE 'absent' END` }] },
    dry_run,
    sql`PERFORM rolecall_internal.check_watch(${enable}, ${dry_run});`,
  );
}
