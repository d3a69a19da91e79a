import type { Bool, Interval, SetOf, StepRow, Text, Texts } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { provisioned } from './_shared.ts';

/**
 * Creates a read-only role that logs in with a derived password and reads every table of some schemas
 *
 * The role is a member of no other role and has no powerful attribute. It has USAGE on its schemas (which are created
 * where they are missing, except `public`) and SELECT on every table, partitioned table, view, materialized view and
 * foreign table in them that is not withheld, and on every sequence that does not belong to a withheld table, also on
 * those that one of the table owners creates later. It has the settings `default_transaction_read_only = on` and
 * `search_path`; if the role changes them itself, the next run sets them again.
 *
 * A role of that name that exists already loses everything else: attributes, memberships, and every privilege of its
 * own, in this database and on what the whole cluster shares. It keeps the privileges that reading may require,
 * without the grant option: USAGE on schemas, CONNECT, SELECT on large objects and on columns of what it reads, and
 * EXECUTE on functions, except those that run as their owner or that the server or an extension keeps from PUBLIC.
 * What the caller cannot revoke is skipped with a WARNING and the statement to run: privileges that somebody else
 * granted, and objects that the role owns. An attribute or a membership that the caller cannot revoke is an error. A
 * connection limit stays as it is, and so do the privileges of PUBLIC; a WARNING names the schemas in which PUBLIC may
 * create objects, the roles, other than superusers, that may create objects in a schema that it searches, and the
 * publications that send the secret of its password in clear text. A NOTICE says in how many tables row-level security
 * hides all rows from it.
 *
 * A withheld table that a table owner creates, or drops and creates again, is readable until the next run, unless new
 * tables are watched (watch_new_tables()); a NOTICE names those that do not exist now.
 *
 * The list replaces that of an earlier call. A WARNING names what is no longer withheld.
 *
 * An entry of the list that names a column withholds only that column: the role has SELECT on each of the other
 * columns, and none on the table, so `SELECT *` is refused. A column that is added later is readable from the next
 * run on, or at once where tables are watched. An entry such as `a.b` that is the name of a table and of a column
 * withholds both; where a table is in the list too, nothing of it is readable.
 *
 * The password is HMAC-SHA256(secret, 'rolecall:' || role_name) in hexadecimal; the secret is generated once per
 * database.
 *
 * @group reporting
 * @param role_name name of the role; roles belong to the cluster, so choose one that contains the name of the database
 * @param schemas names of the schemas that the role reads
 * @param withheld_tables tables and columns that the role must not read, as in SQL: quoted where needed, `table`,
 *   `schema.table`, `table.column` or `schema.table.column`; they may be missing; partitions are withheld with their
 *   table, and columns of partitions with the column; all of them stay withheld under other names until the list
 *   names them or no longer has the entry; null: those that an earlier call withheld, if any
 * @param table_owners roles whose future tables in these schemas the role reads; null: every role that owns a table
 *   there, and the caller; one that does not exist is a skipped row with 42704
 * @param rotate_after age at which the secret, and with it the password of every reporting role, is replaced; null:
 *   never
 * @param realign_password where the caller cannot read the stored verifier: true sets the password with every call,
 *   false trusts that it is right
 * @param search_path search_path of the role's sessions; null: its schemas and, after them, those of the installed
 *   extensions
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; what the caller may not grant or revoke is skipped with 42501 and a WARNING, and what
 *   is withheld under another name with 55000
 * @throws null_value_not_allowed - a name is null
 * @throws invalid_name - a name is empty, longer than 63 bytes or, in the list, of more than three parts
 * @throws reserved_name - a name belongs to PostgreSQL or to rolecall
 * @throws invalid_parameter_value - the role is a superuser, the caller, or the reporting role of another database;
 *   no schema is given; an entry of the list is not written as in SQL; rotate_after is negative; or the secret is
 *   encrypted and the session has no key
 * @throws invalid_schema_name - schema public does not exist
 * @throws object_not_in_prerequisite_state - the session has an encryption key, and the database has no pgcrypto; or
 *   this is a worker node of Citus
 * @throws insufficient_privilege - the caller may not create roles or schemas, or revoke an attribute or a membership
 *   of the role
 * @example SELECT operation, target, status FROM rolecall.provision_reporting_role('app_reports', ARRAY['reports']);
 */
export function provision_reporting_role(
  role_name: Text,
  schemas: Texts,
  withheld_tables: Texts | null = [],
  table_owners: Texts | null = null,
  rotate_after: Interval | null = '90 days',
  realign_password: Bool = true,
  search_path: Texts | null = null,
  dry_run: Bool = false,
): SetOf<StepRow> {
  const definition = sql`
    rolecall_internal.read_access(
      ${role_name}, ${schemas},
      ${withheld_tables}, ${table_owners},
      ${search_path}
    )
  `;
  return sql`
    BEGIN
      ${provisioned([definition], rotate_after, realign_password, dry_run)}
    END
  `;
}
