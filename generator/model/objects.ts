/**
 * The schema, types, tables and views of the extension.
 */
import type { CreateTrigger, Node } from '../sql/nodes.ts';
import { join, sql, text } from '../sql/template.ts';
import { newest } from './record.ts';

/**
 * The schema of the functions that users call, the one of what those functions use, and the one that everybody may
 * read while new tables are watched.
 */
export const schemas = { public: 'rolecall', internal: 'rolecall_internal', watch: 'rolecall_watch' } as const;

/** Their names, as a list in SQL. */
export const schemaNames = join(Object.values(schemas).map(text));

/** The sections of a policy that the view reads from the record. */
const columnsOfPolicies = sql`r.key, r.resource, r.sqlstate, r.roles`;

export const objects: readonly Node[] = [
  { kind: 'schema', name: schemas.public, comment: "Functions that create and manage the cluster's roles" },
  {
    kind: 'schema',
    name: schemas.internal,
    comment: 'What the functions of rolecall are made of, and what they remember',
  },
  {
    kind: 'schema',
    name: schemas.watch,
    comment: 'What everybody may see of rolecall while new tables are watched',
  },
  {
    kind: 'type',
    schema: schemas.public,
    name: 'step',
    comment: 'One change that was made, is planned, or was skipped',
    columns: [
      { name: 'operation', type: 'text', comment: 'what kind of change: create_role, grant_role, set_password, ...' },
      { name: 'target', type: 'text', comment: 'the role or object that it is about' },
      { name: 'statement', type: 'text', comment: 'the SQL, ready to paste; a password is shown as asterisks' },
      { name: 'status', type: 'text', comment: 'planned (dry run), applied or skipped' },
      { name: 'sqlstate', type: 'text', comment: 'null, or the code of the condition that was ignored' },
      { name: 'note', type: 'text', comment: 'null, or why the step was skipped' },
    ],
  },
  {
    kind: 'type',
    schema: schemas.internal,
    name: 'change',
    comment: 'One difference between the desired state and the catalogs, as the plan functions find it',
    columns: [
      { name: 'operation', type: 'text', comment: 'kind of change: names the executor' },
      { name: 'target', type: 'text', comment: 'the role or object that it is about' },
      { name: 'statement', type: 'text', comment: 'the SQL; where there is a password, it ends in the mask' },
      { name: 'password', type: 'text', comment: 'plain password or verifier to put in place of the mask' },
      { name: 'locks', type: 'text[]', comment: 'roles to lock before the change' },
      { name: 'sqlstate', type: 'text', comment: 'code of the condition that is known to forbid the change' },
      { name: 'note', type: 'text', comment: 'what to know about the change, or why it cannot be made' },
    ],
  },
  {
    kind: 'type',
    schema: schemas.internal,
    name: 'principal',
    comment: 'A role whose privileges an audited role has, or can take: itself, roles that it is a member of, PUBLIC',
    columns: [
      { name: 'role_oid', type: 'oid', comment: 'oid of the role; 0: PUBLIC' },
      { name: 'grantee', type: 'text', comment: 'its name as GRANT and REVOKE take it' },
      { name: 'path', type: 'text', comment: 'how the audited role comes by it' },
      {
        name: 'becomes',
        type: 'boolean',
        comment: 'whether the audited role can SET ROLE to it, and so has its attributes',
      },
      {
        name: 'options',
        type: 'text',
        comment: 'options of the last membership of the path; null: the role itself, or PUBLIC',
      },
      { name: 'remedy', type: 'text', comment: 'the statement that ends the path; null where it has no membership' },
      { name: 'audited', type: 'oid', comment: 'oid of the audited role' },
      { name: 'usable', type: 'oid[]', comment: 'oids of the schemas in which the audited role can name objects' },
    ],
  },
  {
    kind: 'type',
    schema: schemas.internal,
    name: 'table_group',
    comment: 'Tables, or sequences, that have the same privileges: of one schema, kind, owner and ACL',
    columns: [
      { name: 'schema', type: 'oid', comment: 'oid of the schema' },
      { name: 'kind', type: '"char"', comment: 'as relkind in pg_class' },
      { name: 'owner', type: 'oid', comment: 'oid of the owner' },
      { name: 'acl', type: 'aclitem[]', comment: 'as relacl in pg_class' },
      { name: 'sample', type: 'oid', comment: 'oid of one of the tables' },
      { name: 'size', type: 'bigint', comment: 'how many they are' },
    ],
  },
  {
    kind: 'type',
    schema: schemas.internal,
    name: 'place',
    comment: 'One schema that a reporting role is to read',
    columns: [
      { name: 'position', type: 'bigint', comment: 'position of the resource in the desired state' },
      { name: 'role', type: 'text', comment: 'name of the role' },
      { name: 'role_oid', type: 'oid', comment: 'oid of the role; null: there is none yet' },
      { name: 'place', type: 'bigint', comment: 'position of the schema in the resource' },
      { name: 'schema', type: 'text', comment: 'name of the schema' },
      { name: 'schema_oid', type: 'oid', comment: 'oid of the schema; null: there is none yet' },
      {
        name: 'withheld',
        type: 'oid[]',
        comment: 'oids of the tables in it that are withheld from the role, or have columns that are',
      },
      { name: 'withheld_in', type: 'integer[]', comment: 'for each of them the number of the group that it is in' },
      {
        name: 'partial',
        type: 'jsonb',
        comment: 'names of the withheld columns, by the oid of each table that is not withheld as a whole',
      },
      {
        name: 'every_owner',
        type: 'boolean',
        comment: 'whether it reads future tables of every owner of tables there',
      },
      { name: 'owners', type: 'text[]', comment: 'names of whose future tables it reads besides' },
      {
        name: 'recorder',
        type: 'text',
        comment: 'who recorded it, where no more is granted than that role may grant; null: what the caller may',
      },
    ],
  },
  {
    kind: 'type',
    schema: schemas.internal,
    name: 'finding',
    comment: 'One row of audit_role()',
    columns: [
      { name: 'severity', type: 'text', comment: 'critical, warning or info' },
      { name: 'path', type: 'text', comment: 'how the role comes by it' },
      { name: 'object', type: 'text', comment: 'what it is about' },
      { name: 'detail', type: 'text', comment: 'what the role can do' },
      { name: 'remedy', type: 'text', comment: 'the statement that ends it' },
    ],
  },
  {
    kind: 'type',
    schema: schemas.internal,
    name: 'wanted_privilege',
    comment: 'One privilege that a role is to have, or is not to have, as a desired state says it',
    columns: [
      { name: 'role', type: 'text', comment: 'name of the role; null: PUBLIC' },
      { name: 'role_oid', type: 'oid', comment: 'oid of the role, 0: PUBLIC; null: there is none yet' },
      { name: 'kind', type: 'text', comment: 'kind of object, as in the table of kinds' },
      { name: 'means', type: 'text', comment: 'one object, all of a schema, or future ones' },
      { name: 'object', type: 'text', comment: 'name of the object or the schema; null: future ones of any schema' },
      { name: 'oid', type: 'oid', comment: 'oid of the object or the schema; null: there is none yet' },
      { name: 'attnum', type: 'smallint', comment: 'number of the column' },
      { name: 'column_name', type: 'text', comment: 'name of the column' },
      { name: 'privilege', type: 'text', comment: 'name of the privilege' },
      { name: 'grantable', type: 'boolean', comment: 'whether it can be granted on' },
      { name: 'revoked', type: 'boolean', comment: 'whether it is not to be there' },
      { name: 'scope', type: 'jsonb', comment: 'what is excepted, and whose future objects are meant' },
      { name: 'caller', type: 'text', comment: 'who asked for it, where that makes a difference' },
    ],
  },
  {
    kind: 'type',
    schema: schemas.internal,
    name: 'acl_group',
    comment: 'Objects that have the same privileges: of one kind, schema, owner and ACL',
    columns: [
      { name: 'kind', type: 'text', comment: 'kind of object, as in the table of kinds' },
      { name: 'schema', type: 'oid', comment: 'oid of the schema; 0: the kind has none' },
      { name: 'owner', type: 'oid', comment: 'oid of the owner' },
      { name: 'acl', type: 'aclitem[]', comment: 'ACL as in the catalog' },
      { name: 'special', type: 'oid', comment: 'oid of the one object, where it is meant by itself' },
      { name: 'size', type: 'bigint', comment: 'how many they are' },
    ],
  },
  {
    kind: 'type',
    schema: schemas.internal,
    name: 'difference',
    comment: 'One privilege that a group of objects lacks, or has too many',
    columns: [
      { name: 'number', type: 'bigint', comment: 'number of the group' },
      { name: 'role', type: 'text', comment: 'name of the role; public: PUBLIC' },
      { name: 'privilege', type: 'text', comment: 'name of the privilege' },
      { name: 'action', type: 'text', comment: 'grant, revoke, or option: revoke the grant option' },
      { name: 'grantable', type: 'boolean', comment: 'whether to grant it with the grant option' },
      { name: 'grantor', type: 'oid', comment: 'oid of the role that granted what is to be revoked' },
    ],
  },
  {
    kind: 'table',
    schema: schemas.internal,
    name: 'resource',
    comment:
      'What was asked for in this database, resource by resource: the newest row of a key counts, a null resource is no longer asked for',
    // Rows are only added, and the one constraint that spans rows is on a random key. Under REPEATABLE READ an INSERT
    // that conflicts with a row that its snapshot does not show would fail with 40001.
    columns: [
      { name: 'section', type: 'text', constraint: 'NOT NULL', comment: 'roles, memberships, settings, ...' },
      {
        name: 'key',
        type: 'jsonb',
        constraint: 'NOT NULL',
        comment: 'what identifies it; the first element is the role',
      },
      { name: 'resource', type: 'jsonb', comment: 'the resource as in the desired state, without any password' },
      {
        name: 'recorded_at',
        type: 'timestamptz',
        constraint: 'NOT NULL DEFAULT pg_catalog.clock_timestamp()',
        comment: 'when; orders the rows of one key',
      },
      {
        name: 'id',
        type: 'uuid',
        constraint: 'PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid()',
        comment: 'tells rows apart for logical replication, which refuses DELETE on a table without a primary key',
      },
      // The trigger fills in the columns below. Only a superuser, for example one that restores a dump, sets them
      // itself.
      { name: 'recorder', type: 'text', comment: 'who has recorded it' },
      { name: 'sqlstate', type: 'text', comment: 'null, or the code of the reason why it is not acted on' },
      { name: 'note', type: 'text', comment: 'that reason: what the row lacks to be one of ours, or the recorder' },
      { name: 'roles', type: 'oid[]', comment: 'oids of the roles that it names, in the order of its names' },
      { name: 'made_in', type: 'oid', comment: 'oid of the database where they were looked up' },
      { name: 'recorder_oid', type: 'oid', comment: 'oid of the recorder, in that database' },
    ],
    indexes: [
      { on: 'section, key, recorded_at' },
      // The key above finds the roles that a role is a member of; this index finds its members.
      { on: '(key -> 1)', where: "section = 'memberships'" },
    ],
    dumped: true,
  },
  {
    kind: 'table',
    schema: schemas.internal,
    name: 'secret',
    comment:
      'Secrets, and the verifiers of the passwords that were made from one: never dumped, never granted to a reporting role',
    columns: [
      { name: 'key', type: 'text', constraint: 'PRIMARY KEY', comment: 'name of the secret' },
      { name: 'value', type: 'bytea', constraint: 'NOT NULL', comment: 'the value in UTF-8, or its encrypted form' },
      { name: 'encrypted', type: 'boolean', constraint: 'NOT NULL', comment: 'whether value is encrypted by pgcrypto' },
      {
        name: 'made_at',
        type: 'timestamptz',
        constraint: 'NOT NULL DEFAULT pg_catalog.clock_timestamp()',
        comment: 'when the value was set',
      },
      {
        name: 'made_in',
        type: 'oid',
        comment:
          'oid of the database that it belongs to, and counts in; null: set_secret() stored it, and it goes along with a copy',
      },
      { name: 'role', type: 'oid', comment: 'of a verifier: oid of the role; null: it is about to be created' },
    ],
    indexes: [],
    dumped: false,
  },
  {
    kind: 'table',
    schema: schemas.internal,
    name: 'withheld',
    comment: 'Tables and columns that were found withheld from a reporting role: they stay so under another name',
    columns: [
      { name: 'role', type: 'text', constraint: 'NOT NULL', comment: 'name of the reporting role' },
      { name: 'name', type: 'text', constraint: 'NOT NULL', comment: 'entry of its list of withheld tables' },
      {
        name: 'relation',
        type: 'regclass',
        constraint: 'NOT NULL',
        comment: 'table that the entry named, or what belonged to it; a dump has its name',
      },
      {
        name: 'number',
        type: 'smallint',
        constraint: 'NOT NULL, PRIMARY KEY (role, name, relation, number)',
        comment: 'number of the column; 0: the whole table',
      },
      { name: 'column_name', type: 'text', comment: 'name that the column had; null: the whole table' },
      {
        name: 'table_oid',
        type: 'oid',
        constraint: 'NOT NULL',
        comment: 'oid that the table had: in a restored dump it has another, and its columns have other numbers',
      },
    ],
    indexes: [],
    dumped: true,
  },
  {
    kind: 'table',
    schema: schemas.internal,
    name: 'turn',
    comment: 'Empty: locked by those who replace the reporting secret, use it, or change the watching of new tables',
    columns: [{ name: 'id', type: 'integer', constraint: 'PRIMARY KEY', comment: 'no row has one' }],
    indexes: [],
    dumped: false,
  },
  {
    kind: 'view',
    schema: schemas.watch,
    name: 'reporting_role',
    comment:
      'The reporting roles of this database and what they read, and what policies say of objects: all that everybody may see of the extension while new tables are watched',
    query: `SELECT p.resource ->> 'role' AS role,
       ARRAY(SELECT pg_catalog.jsonb_array_elements_text(p.resource -> 'schemas')) AS schemas,
       ARRAY(SELECT pg_catalog.jsonb_array_elements_text(p.resource -> 'withheld')) AS withheld,
       (
         SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                  'relation', w.relation::oid, 'table_oid', w.table_oid,
                  'number', w.number, 'column_name', w.column_name
                ))
         FROM rolecall_internal.withheld AS w
         WHERE w.role = p.resource ->> 'role' AND p.resource -> 'withheld' ? w.name
       ) AS known,
       EXISTS (
         SELECT FROM rolecall_internal.secret AS s
         JOIN pg_catalog.pg_database AS d ON d.oid = s.made_in
         WHERE s.key = 'rolecall.verifier.' || (p.resource ->> 'role')
           AND d.datname = pg_catalog.current_database()
           AND s.role = pg_catalog.to_regrole(pg_catalog.quote_ident(p.resource ->> 'role'))::oid
       ) AS ours,
       NULL AS privilege, NULL AS kind, NULL AS means, NULL AS object, NULL AS column_name,
       false AS grantable, false AS revoked, false AS exact
FROM ${newest(sql`r.section = 'read_access'`, sql`r.resource, r.sqlstate`).text} AS p
WHERE p.resource IS NOT NULL AND p.sqlstate IS NULL
UNION ALL
SELECT p.resource ->> 'role',
       CASE p.resource #>> '{target,means}' WHEN 'all' THEN ARRAY[p.resource #>> '{target,object}'] END,
       ARRAY(SELECT pg_catalog.jsonb_array_elements_text(p.resource #> '{target,scope,except}')),
       (
         SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                  'relation', w.relation::oid, 'table_oid', w.table_oid,
                  'number', w.number, 'column_name', w.column_name
                ))
         FROM rolecall_internal.withheld AS w
         WHERE w.role = 'public' AND p.resource #> '{target,scope,except}' ? w.name
       ),
       p.resource ->> 'role' IS NULL
         OR p.roles[1] = pg_catalog.to_regrole(pg_catalog.quote_ident(p.resource ->> 'role'))::oid,
       p.resource ->> 'privilege', p.resource #>> '{target,kind}', p.resource #>> '{target,means}',
       -- Part of the key, so that a query for few objects reads few rows.
       p.key -> 2 ->> 'object', p.resource #>> '{target,column}',
       p.resource @> '{"grantable": true}', p.resource @> '{"revoked": true}',
       EXISTS (
         SELECT FROM ${
           newest(sql`r.section = 'declared' AND r.key = pg_catalog.jsonb_build_array(p.key -> 0)`, columnsOfPolicies)
             .text
         } AS d
         WHERE d.resource @> '{"exact": true}' AND d.sqlstate IS NULL AND d.roles = p.roles
       )
FROM ${newest(sql`r.section = 'privileges'`, columnsOfPolicies).text} AS p
WHERE p.resource IS NOT NULL AND p.sqlstate IS NULL AND p.resource #>> '{target,means}' IN ('one', 'all')
  AND p.resource #>> '{target,kind}' IN ('table', 'column', 'sequence', 'function', 'type')
UNION ALL
SELECT p.resource ->> 'role', NULL, NULL, NULL, true, NULL, 'role', NULL, p.key ->> 0, NULL, false, false, true
FROM ${newest(sql`r.section = 'declared'`, columnsOfPolicies).text} AS p
WHERE p.resource @> '{"exact": true}' AND p.sqlstate IS NULL
  AND p.roles[1] = pg_catalog.to_regrole(pg_catalog.quote_ident(p.resource ->> 'role'))::oid`,
    columns: [
      { name: 'role', type: 'text', comment: 'name of the role' },
      { name: 'schemas', type: 'text[]', comment: 'names of the schemas that it reads' },
      { name: 'withheld', type: 'text[]', comment: 'tables and columns withheld from it, as in SQL' },
      {
        name: 'known',
        // Not a type of the extension: whoever may read the view could create a table from it, and DROP EXTENSION
        // would have to drop that table.
        type: 'jsonb',
        comment: 'tables and columns that were found withheld from it, whatever they are called now; null: none',
      },
      { name: 'ours', type: 'boolean', comment: 'whether the role belongs to this database' },
      {
        name: 'privilege',
        type: 'text',
        comment:
          'of what a policy says: the privilege that the role, or else PUBLIC, is to have; null: it is a reporting role',
      },
      { name: 'kind', type: 'text', comment: 'kind of object; role: that it is to have nothing else' },
      { name: 'means', type: 'text', comment: 'one object, or all of a schema' },
      { name: 'object', type: 'text', comment: 'name of the object, the schema or the role' },
      { name: 'column_name', type: 'text', comment: 'name of the column' },
      { name: 'grantable', type: 'boolean', comment: 'whether it is to be WITH GRANT OPTION' },
      { name: 'revoked', type: 'boolean', comment: 'whether the role, or PUBLIC, is not to have it' },
      { name: 'exact', type: 'boolean', comment: 'whether the role is to have nothing else' },
    ],
  },
];

/** The triggers that sign the record; they are created after the functions. */
export const triggers: readonly CreateTrigger[] = [
  {
    kind: 'trigger',
    schema: schemas.internal,
    table: 'resource',
    name: 'recorder',
    calls: `${schemas.internal}.sign_record`,
    comment: 'Says of each record who has made it, and whether it is acted on',
  },
];
