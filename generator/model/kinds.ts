/**
 * The kinds of objects that have privileges: in which catalog each is, and how GRANT and a policy name it. The checks
 * of a policy, the planners of privileges and the queries of catalogs are rendered from this table.
 */
import { join, raw, type Sql, sql, text } from '../sql/template.ts';
import { wrapped } from '../sql/quote.ts';

/** The first version of the server that has the privilege. */
type Since = number;

const always: Since = 14;

export interface Kind {
  /** The keyword of GRANT before the name of one object. */
  readonly keyword: string;
  /**
   * The word in GRANT ... ON ALL ... IN SCHEMA; where ALTER DEFAULT PRIVILEGES has another word, that is the second
   * one.
   */
  readonly all?: string;
  readonly future?: { readonly keyword: string; readonly letter: string; readonly since?: Since };
  readonly since?: Since;
  readonly privileges: Readonly<Record<string, Since>>;
  /** Letter of acldefault(). */
  readonly letter: string;
  /** The catalog by which pg_shdepend refers to it, where that differs. */
  readonly class?: string;
  /** It belongs to the cluster, so no database decides about all privileges on it. */
  readonly shared?: true;
  /** Whether a policy names it as in SQL, with its schema; otherwise by its plain name. */
  readonly qualified?: true;
  /** FROM and WHERE of its catalog, and its columns, with the alias o: see `query()`. */
  readonly from: string;
  readonly where?: string;
  readonly oid: string;
  readonly schema?: string;
  readonly owner: string;
  readonly acl: string;
  /** Its name, as GRANT takes it. */
  readonly name: string;
}

const relation = (relkinds: string) => ({
  from: 'pg_class AS o',
  where: `o.relkind IN (${relkinds})`,
  oid: 'o.oid',
  schema: 'o.relnamespace',
  owner: 'o.relowner',
  acl: 'o.relacl',
  name: `format('%s.%I', o.relnamespace::regnamespace, o.relname)`,
});

export const kinds = {
  database: {
    keyword: 'DATABASE',
    privileges: { CREATE: always, CONNECT: always, TEMPORARY: always },
    letter: 'd',
    from: 'pg_database AS o',
    oid: 'o.oid',
    owner: 'o.datdba',
    acl: 'o.datacl',
    name: 'quote_ident(o.datname)',
  },
  schema: {
    keyword: 'SCHEMA',
    future: { keyword: 'SCHEMAS', letter: 'n' },
    privileges: { USAGE: always, CREATE: always },
    letter: 'n',
    from: 'pg_namespace AS o',
    where: `o.nspname !~ '^pg_(toast_)?temp_'`,
    oid: 'o.oid',
    owner: 'o.nspowner',
    acl: 'o.nspacl',
    name: 'quote_ident(o.nspname)',
  },
  table: {
    keyword: 'TABLE',
    all: 'TABLES',
    future: { keyword: 'TABLES', letter: 'r' },
    privileges: {
      SELECT: always,
      INSERT: always,
      UPDATE: always,
      DELETE: always,
      TRUNCATE: always,
      REFERENCES: always,
      TRIGGER: always,
      MAINTAIN: 17,
    },
    letter: 'r',
    qualified: true,
    ...relation(`'r', 'p', 'v', 'm', 'f'`),
  },
  sequence: {
    keyword: 'SEQUENCE',
    all: 'SEQUENCES',
    future: { keyword: 'SEQUENCES', letter: 'S' },
    privileges: { USAGE: always, SELECT: always, UPDATE: always },
    letter: 's',
    qualified: true,
    ...relation(`'S'`),
  },
  function: {
    keyword: 'ROUTINE',
    all: 'ROUTINES',
    future: { keyword: 'FUNCTIONS', letter: 'f' },
    privileges: { EXECUTE: always },
    letter: 'f',
    qualified: true,
    from: 'pg_proc AS o',
    oid: 'o.oid',
    schema: 'o.pronamespace',
    owner: 'o.proowner',
    acl: 'o.proacl',
    // The server writes its own types without the schema.
    name: `concat(CASE o.pronamespace WHEN 11 THEN 'pg_catalog.' END, o.oid::regprocedure)`,
  },
  type: {
    keyword: 'TYPE',
    future: { keyword: 'TYPES', letter: 'T' },
    privileges: { USAGE: always },
    letter: 'T',
    qualified: true,
    from: 'pg_type AS o',
    // The types of tables are theirs, and those of arrays have no privileges of their own.
    where: `(o.typelem = 0 OR o.typsubscript <> 'array_subscript_handler'::regproc)
  AND (
    o.typtype IN ('b', 'd', 'e', 'r')
    OR EXISTS (SELECT FROM pg_class AS c WHERE c.oid = o.typrelid AND c.relkind = 'c')
  )`,
    oid: 'o.oid',
    schema: 'o.typnamespace',
    owner: 'o.typowner',
    acl: 'o.typacl',
    name: `format('%s.%I', o.typnamespace::regnamespace, o.typname)`,
  },
  language: {
    keyword: 'LANGUAGE',
    privileges: { USAGE: always },
    letter: 'l',
    from: 'pg_language AS o',
    where: 'o.lanpltrusted',
    oid: 'o.oid',
    owner: 'o.lanowner',
    acl: 'o.lanacl',
    name: 'quote_ident(o.lanname)',
  },
  foreign_data_wrapper: {
    keyword: 'FOREIGN DATA WRAPPER',
    privileges: { USAGE: always },
    letter: 'F',
    from: 'pg_foreign_data_wrapper AS o',
    oid: 'o.oid',
    owner: 'o.fdwowner',
    acl: 'o.fdwacl',
    name: 'quote_ident(o.fdwname)',
  },
  foreign_server: {
    keyword: 'FOREIGN SERVER',
    privileges: { USAGE: always },
    letter: 'S',
    from: 'pg_foreign_server AS o',
    oid: 'o.oid',
    owner: 'o.srvowner',
    acl: 'o.srvacl',
    name: 'quote_ident(o.srvname)',
  },
  tablespace: {
    keyword: 'TABLESPACE',
    privileges: { CREATE: always },
    letter: 't',
    shared: true,
    from: 'pg_tablespace AS o',
    oid: 'o.oid',
    owner: 'o.spcowner',
    acl: 'o.spcacl',
    name: 'quote_ident(o.spcname)',
  },
  large_object: {
    keyword: 'LARGE OBJECT',
    future: { keyword: 'LARGE OBJECTS', letter: 'L', since: 18 },
    privileges: { SELECT: always, UPDATE: always },
    letter: 'L',
    class: 'pg_largeobject',
    from: 'pg_largeobject_metadata AS o',
    oid: 'o.oid',
    owner: 'o.lomowner',
    acl: 'o.lomacl',
    name: 'o.oid::text',
  },
} as const satisfies Readonly<Record<string, Kind>>;

export type KindName = keyof typeof kinds;

export const kindList = Object.entries(kinds as Readonly<Record<string, Kind>>);

/** Privileges on columns: those on tables that can be granted on a column. */
export const columnPrivileges = { SELECT: always, INSERT: always, UPDATE: always, REFERENCES: always } as const;

/** Configuration parameters: the catalog has an entry only for those on which a privilege was granted. */
export const parameter = { since: 15, privileges: { SET: 15, 'ALTER SYSTEM': 15 } } as const;

/**
 * The keys of a policy after `on`: the kind, and whether it means one object, all objects of a schema, or only later
 * ones.
 */
export interface Target {
  readonly kind: KindName | 'column' | 'parameter';
  readonly means: 'one' | 'all' | 'future';
}

export const targets: Readonly<Record<string, Target>> = {
  ...Object.fromEntries(Object.keys(kinds).map((kind) => [kind, { kind: kind as KindName, means: 'one' } as const])),
  columns: { kind: 'column', means: 'one' },
  procedure: { kind: 'function', means: 'one' },
  domain: { kind: 'type', means: 'one' },
  parameter: { kind: 'parameter', means: 'one' },
  ...Object.fromEntries(
    kindList.flatMap(([kind, { schema, future }]) => [
      ...(schema === undefined ? [] : [[`${kind}s_in`, { kind: kind as KindName, means: 'all' } as const]]),
      ...(future === undefined ? [] : [[`future_${kind}s`, { kind: kind as KindName, means: 'future' } as const]]),
    ]),
  ),
};

/** Objects that several databases can have something to say of. */
export const sharedKinds: readonly string[] = [
  'database',
  ...kindList.filter(([, { shared }]) => shared === true).map(([kind]) => kind),
  'parameter',
];

/** A value as a jsonb literal, broken into several lines where it is long. */
export const jsonLiteral = (value: unknown): Sql =>
  raw(`${wrapped(JSON.stringify(value).replaceAll(/([,:])(?=["{[])/g, '$1 '), 100)}::jsonb`);

/** Privileges by kind, each with the first version that has it. */
export const privilegesOfKinds: Sql = jsonLiteral({
  ...Object.fromEntries(kindList.map(([kind, { privileges }]) => [kind, privileges])),
  column: columnPrivileges,
  parameter: parameter.privileges,
});

/** The catalog of a kind. */
export const catalogOf = ({ from }: Kind): string => from.split(' ')[0] as string;

/** The objects of a kind, o: what of them, which of them, and what they are joined with. */
export const query = ({ from, where }: Kind, selected: Sql, conditions: readonly Sql[] = [], joined?: Sql): Sql => {
  const all = [...conditions, ...(where === undefined ? [] : [raw(where)])];
  const which = all.length === 0 ? [] : [sql`WHERE ${join(all, '\n  AND ')}`];
  const short = joined === undefined && all.length < 2 && from.length < 30;
  return sql`
    SELECT ${selected}
    ${join([raw(`FROM ${from}`), ...(joined === undefined ? [] : [joined]), ...which], short ? ' ' : '\n')}
  `;
};

export const union = (queries: readonly Sql[]): Sql => join(queries, '\nUNION ALL\n');

/** The columns that every object has: oid, schema, owner and acl. */
export const columnsOf = ({ oid, schema = '0::oid', owner, acl }: Kind): Sql =>
  raw(`${oid} AS oid, ${schema} AS schema, ${owner} AS owner, ${acl} AS acl`);

/** Every object of these kinds, o: kind, oid, schema, owner and acl. Catalogs of other kinds are not read. */
export const objectsOfKinds = (among: Sql): Sql =>
  union(
    kindList.map(([name, kind]) =>
      query(kind, sql`${text(name)} AS kind, ${columnsOf(kind)}`, [sql`${text(name)} = ANY (${among})`]),
    ),
  );

/** The kinds of objects, and by which catalog pg_shdepend refers to each. */
export const kindClasses: Sql = sql`(VALUES
  ${raw(kindList.map(([name, kind]) => `('${name}', '${kind.class ?? catalogOf(kind)}'::regclass)`).join(',\n'))}
) AS k(kind, class)`;

/** Whether two ACLs are the same, as conditions that allow a hash join. */
export const isSameAcl = (one: Sql, other: Sql): Sql =>
  sql`coalesce(${one}, '{}') = coalesce(${other}, '{}') AND (${one} IS NULL) = (${other} IS NULL)`;

/** The objects of the groups g: number of the group, oid, and name. The name is the expensive part. */
export const objectsOfGroups: Sql = union(
  kindList.map(([name, kind]) => {
    const oid = raw(kind.oid);
    return query(
      kind,
      sql`g.number, ${oid} AS oid,
       ${raw(kind.name)} AS name`,
      [
        sql`g.kind = ${text(name)} AND g.schema = ${raw(kind.schema ?? '0::oid')} AND g.owner = ${raw(kind.owner)}`,
        isSameAcl(sql`g.acl`, raw(kind.acl)),
        sql`coalesce(g.special = ${oid}, ${oid} <> ALL (g.others))`,
      ],
      sql`CROSS JOIN g`,
    );
  }),
);

/**
 * The words of each kind in statements: letter of acldefault(), keyword, word after ALL, word of default privileges,
 * its letter.
 */
export const kindRows: Sql = sql`(VALUES
  ${raw(
    kindList
      .map(
        ([kind, { letter, keyword, all, future, shared }]) =>
          `(${[kind, letter].map((one) => `'${one}'`).join(', ')}::"char", '${keyword}', ${all ? `'${all}'` : 'NULL'}, ${
            future ? `'${future.keyword}', '${future.letter}'::"char"` : `NULL, NULL::"char"`
          }, ${shared === true})`,
      )
      .join(',\n'),
  )}
) AS k(kind, letter, keyword, all_of, future, future_letter, shared)`;
