/**
 * The sections of the desired state, in the order in which their changes are made. The plan, the fields that are
 * remembered, the records that a removal forgets, and the names that are checked are all rendered from this table.
 */
import { wrapped } from '../sql/quote.ts';
import { join, raw, type Sql, sql, text } from '../sql/template.ts';

/** What a planner is given. */
interface Input {
  readonly document: Sql;
  /** The passwords beside the document, by the name of the role: see run(). */
  readonly passwords: Sql;
}

/**
 * The type of a field of a record; `list` is a list of texts, `setting` a text or such a list, `target` the target of
 * a privilege.
 */
type FieldKind = 'text' | 'integer' | 'boolean' | 'attributes' | 'list' | 'setting' | 'target';

export interface Section {
  /**
   * The fields that tell its resources apart: the key of what is remembered. A field with a question mark is left out
   * where the resource has none. A section without a key is not remembered.
   */
  readonly key?: readonly string[];
  /** What is remembered of a resource: its fields, and what each holds. A field with a question mark can be missing. */
  readonly fields?: Readonly<Record<string, FieldKind>>;
  /**
   * The fields that name roles; one with a question mark may be null. A removal forgets what it finds by one in a
   * key.
   */
  readonly names: readonly string[];
  /** Of these fields, the ones that can name a predefined role too. */
  readonly predefined?: readonly string[];
  /** Fields that are not remembered. */
  readonly forgets?: readonly string[];
  /**
   * What a later call leaves out stays as an earlier one asked for it; of these fields, which hold several values
   * each, that is true of every value. Without it a resource replaces the one before.
   */
  readonly merged?: readonly string[];
  /** Derived each time for a reporting role, from the definition of what it reads. */
  readonly derived?: true;
  /** The differences, as an array of changes; a section without them is only remembered. */
  readonly plan?: (input: Input) => Sql;
  /** Where a resource is to be absent: what comes after the differences of every section. */
  readonly planAbsent?: (input: Input) => Sql;
}

const rows = (planner: Sql) => sql`
  ARRAY(
    SELECT p FROM ${planner} AS p
  )
`;

export const sections = {
  renames: {
    names: ['role', 'new_name'],
    plan: ({ document }) => rows(sql`rolecall_internal.plan_renames(${document} -> 'renames')`),
  },
  sessions: {
    names: ['role'],
    plan: ({ document }) => rows(sql`rolecall_internal.plan_sessions(${document} -> 'sessions', true)`),
    planAbsent: ({ document }) => rows(sql`rolecall_internal.plan_sessions(${document} -> 'sessions', false)`),
  },
  base_roles: {
    key: ['key'],
    fields: { key: 'text', 'name?': 'text' },
    names: ['name?'],
  },
  roles: {
    key: ['name'],
    fields: {
      name: 'text',
      'attributes?': 'attributes',
      'initial?': 'attributes',
      'connection_limit?': 'integer',
      'valid_until?': 'text',
      'protected?': 'boolean',
    },
    names: ['name', 'reassign_to?'],
    forgets: ['password', 'note', 'state', 'says'],
    merged: ['attributes', 'initial'],
    derived: true,
    plan: ({ document }) => sql`rolecall_internal.plan_roles(${document})`,
    planAbsent: ({ document }) => rows(sql`rolecall_internal.plan_removals(${document} -> 'roles')`),
  },
  comments: {
    key: ['role'],
    fields: { role: 'text', comment: 'text' },
    names: ['role'],
    plan: ({ document }) => rows(sql`rolecall_internal.plan_comments(${document} -> 'comments')`),
  },
  passwords: {
    names: ['role'],
    plan: ({ document, passwords }) => sql`rolecall_internal.plan_passwords(${document}, ${passwords})`,
  },
  memberships: {
    key: ['member', 'role'],
    fields: { member: 'text', role: 'text', 'admin?': 'boolean', 'inherit?': 'boolean', 'set?': 'boolean' },
    names: ['member', 'role'],
    predefined: ['role'],
    merged: [],
    derived: true,
    plan: ({ document }) => sql`rolecall_internal.plan_memberships(${document})
          || ARRAY(SELECT p FROM rolecall_internal.plan_client_timeouts(${document}) AS p)`,
    planAbsent: ({ document }) => rows(sql`rolecall_internal.plan_left_timeouts(${document} -> 'memberships')`),
  },
  settings: {
    key: ['role', 'name', 'here?'],
    fields: { role: 'text', name: 'text', value: 'setting', 'here?': 'boolean', 'alone?': 'boolean' },
    names: ['role'],
    derived: true,
    plan: ({ document }) => rows(sql`rolecall_internal.plan_settings(${document})`),
  },
  // Roles of a policy. What they have beyond the policy is revoked, here and in `privileges`. Of a reporting role it
  // says only that a policy has created it.
  declared: {
    key: ['role'],
    fields: { role: 'text', 'exact?': 'boolean', 'made?': 'boolean' },
    names: ['role'],
    merged: [],
    derived: true,
    plan: ({ document }) => sql`rolecall_internal.plan_declared(${document})`,
  },
  // Roles of which this database no longer says anything to other databases.
  marks: {
    names: ['role?'],
    plan: ({ document }) => rows(sql`rolecall_internal.plan_mark_ends(${document} -> 'marks')`),
  },
  schemas: {
    key: ['name'],
    fields: { name: 'text', 'owner?': 'text' },
    names: ['owner?'],
    predefined: ['owner?'],
    merged: [],
    plan: ({ document }) => rows(sql`rolecall_internal.plan_owned_schemas(${document})`),
  },
  privileges: {
    key: ['role', 'privilege', 'target'],
    fields: {
      'role?': 'text',
      privilege: 'text',
      target: 'target',
      'grantable?': 'boolean',
      'revoked?': 'boolean',
      'caller?': 'text',
    },
    names: ['role?'],
    plan: ({ document }) => rows(sql`rolecall_internal.plan_privileges(${document})`),
  },
  read_access: {
    key: ['role'],
    fields: {
      role: 'text',
      schemas: 'list',
      withheld: 'list',
      'owners?': 'list',
      'caller?': 'text',
      'search_path?': 'list',
    },
    names: ['role'],
    forgets: ['watched'],
    plan: ({ document }) =>
      sql`rolecall_internal.keep_others(${document} -> 'read_access', ${rows(
        sql`rolecall_internal.plan_read_access(
          ${document} -> 'read_access', ${document} ? 'singly', false
        )`,
      )})`,
  },
  watch: {
    key: ['key'],
    fields: { key: 'text', 'state?': 'text' },
    names: [],
    plan: ({ document }) => rows(sql`rolecall_internal.plan_watch(${document} -> 'watch')`),
  },
  operators: {
    key: ['role'],
    fields: { role: 'text' },
    names: ['role'],
    derived: true,
    plan: ({ document }) => rows(sql`rolecall_internal.plan_operators(${document})`),
  },
} as const satisfies Readonly<Record<string, Section>>;

export type SectionName = keyof typeof sections;

const entries = Object.entries(sections as Readonly<Record<string, Section>>);
const named = (matches: (section: Section) => boolean): Sql =>
  join(entries.filter(([, section]) => matches(section)).map(([name]) => text(name)));
const isOptional = (field: string) => field.endsWith('?');
const bare = (field: string) => field.replace('?', '');

/** The place of the role, or of one of two roles, in the key of a section; a removal forgets what it finds there. */
const rolesInKey = (section: Section): number[] =>
  (section.key ?? []).flatMap((field, position) => (section.names.map(bare).includes(field) ? [position] : []));

/** The names of sections whose key has a role in that place. */
export const sectionsOfRole = (position: 0 | 1): Sql => named((section) => rolesInKey(section).includes(position));

/** The names of the sections that are derived from the definition of a reporting role each time. */
export const derivedSections: Sql = named(({ derived }) => derived === true);

/** The names of sections that are remembered, as an array. */
export const rememberedSections: Sql = sql`
  ${text(`{${entries.flatMap(([name, { key }]) => (key === undefined ? [] : [name])).join()}}`)}::text[]
`;

/** The names of sections in which a later record keeps what an earlier one says. */
export const mergedSections: Sql = named(({ merged }) => merged !== undefined);

/** The sections that most calls use. */
const usual: readonly string[] = ['roles', 'memberships'];

/**
 * Statements that append the differences of each section to `changes`. One condition guards all sections that few
 * calls have, because each session has to analyse every condition that it reaches.
 */
export function planning(changes: Sql, input: Input): readonly Sql[] {
  const append = (condition: Sql, differences: Sql) => sql`
    IF ${condition} THEN
      ${changes} := ${changes} || ${differences};
    END IF;
  `;
  const groups: { names: string[]; statements: Sql[] }[] = [];
  for (const [name, { plan }] of entries) {
    if (plan === undefined) continue;
    if (groups.length === 0 || usual.includes(name) || usual.includes(groups.at(-1)?.names[0] ?? ''))
      groups.push({ names: [], statements: [] });
    groups.at(-1)?.names.push(name);
    groups.at(-1)?.statements.push(append(sql`${input.document} ? ${text(name)}`, plan(input)));
  }
  const absent = entries.flatMap(([name, { planAbsent }]) =>
    planAbsent === undefined
      ? []
      : [append(sql`${input.document} @? ${text(`$.${name}[*] ? (@.state == "absent")`)}`, planAbsent(input))],
  );
  const guarded = (condition: Sql, statements: readonly Sql[]) => sql`
    IF ${condition} THEN
      ${statements}
    END IF;
  `;
  return [
    ...groups.flatMap(({ names, statements }) =>
      names.length === 1 ? statements : [guarded(sql`${input.document} ?| ${text(`{${names.join()}}`)}`, statements)],
    ),
    guarded(sql`${input.document} @? '$.*[*] ? (@.state == "absent")'`, absent),
  ];
}

/** The key of a resource; null where its section is not remembered, or is none of those given. */
export function keyOf(section: Sql, resource: Sql, among?: readonly SectionName[]): Sql {
  const sectionsOf = new Map<string, string[]>();
  for (const [name, { key }] of entries)
    if (key !== undefined && (among?.includes(name as SectionName) ?? true))
      sectionsOf.set(key.join(), [...(sectionsOf.get(key.join()) ?? []), name]);
  const cases = [...sectionsOf].map(([joined, names]) => {
    const key = joined.split(',');
    const fields = key.filter((field) => !isOptional(field)).map((field) => sql`${resource} -> ${text(field)}`);
    const optional = key.filter(isOptional).map((field) => sql`coalesce(${resource} -> ${text(bare(field))}, '[]')`);
    return sql`
      WHEN ${section} IN (${join(names.map(text))})
        THEN ${join([sql`jsonb_build_array(${join(fields, fields.length > 2 ? ',\n' : ', ')})`, ...optional], '\n|| ')}
    `;
  });
  return sql`
    CASE
      ${cases}
    END
  `;
}

/** The fields of a resource that are not remembered. */
export function forgottenFields(section: Sql): Sql {
  const cases = entries.flatMap(([name, { forgets }]) =>
    forgets === undefined ? [] : [sql`WHEN ${text(name)} THEN ${text(`{${forgets.join()}}`)}`],
  );
  return sql`CASE ${section} ${join(cases, '\n')} ELSE '{}' END::text[]`;
}

/**
 * The field that marks a resource from the record, and says who recorded it. What converge() asks for is not recorded
 * again.
 */
export const recordedMark = 'recorded';

/** The roles that a record names, as an array of texts, with null for a name that is left out. */
export function namedIn(section: Sql, resource: Sql): Sql {
  const sectionsOf = new Map<string, string[]>();
  for (const [name, { names, fields = {} }] of entries) {
    const known = new Set(Object.keys(fields).map(bare));
    const texts = names.map(bare).filter((field) => known.has(field));
    if (texts.length > 0) sectionsOf.set(texts.join(), [...(sectionsOf.get(texts.join()) ?? []), name]);
  }
  const cases = [...sectionsOf].map(([joined, names]) => {
    const texts = joined.split(',').map((field) => sql`${resource} ->> ${text(field)}`);
    return sql`
      WHEN ${section} IN (${join(names.map(text))})
        THEN ARRAY[${join(texts)}]
    `;
  });
  return sql`
    CASE
      ${cases}
      ELSE '{}'
    END
  `;
}

/** The condition on a field of that type, in a jsonpath. */
const holds: Readonly<Record<FieldKind, (field: string) => string>> = {
  text: (field) => `${field}.type() == "string"`,
  integer: (field) =>
    `${field}.type() == "number" && ${field} >= -1 && ${field} < 2147483648 && ${field}.floor() == ${field}`,
  boolean: (field) => `${field}.type() == "boolean"`,
  attributes: (field) =>
    `${field}.type() == "object" && !(${field}."connection_limit".type() != "number")
      && !exists(${field}."connection_limit" ? (!(${holds.integer('@')})))
      && !(${field}."valid_until".type() != "string")
      && !exists(${field}.keyvalue() ? (@."value".type() != "boolean"
        && @.key != "connection_limit" && @.key != "valid_until"))`,
  list: (field) => `${field}.type() == "array" && !(${field}[*].type() != "string")`,
  setting: (field) => `${holds.text(field)} || ${holds.list(field)}`,
  target: (field) =>
    `${field}.type() == "object" && ${holds.text(`${field}."kind"`)} && ${holds.text(`${field}."means"`)}
      && !exists(${field}.keyvalue() ? (@.key != "scope" && @."value".type() != "string"))
      && !(${field}."scope".type() != "object") && !(${field}."scope".*.type() != "array")
      && !(${field}."scope".*[*].type() != "string")`,
};

/**
 * Statements that return whether a resource is an object with the fields of its section, each of the right type.
 * There is one statement for each section, because a session analyses only the statements that it reaches.
 */
export function returningShape(section: Sql, resource: Sql): Sql {
  const shapes = entries.flatMap(([name, { key, fields = {} }]) => {
    if (key === undefined) return [];
    const conditions = Object.entries(fields).map(([field, kind]) => {
      const path = `@."${bare(field)}"`;
      return isOptional(field) ? `(!exists(${path}) || ${holds[kind](path)})` : `(${holds[kind](path)})`;
    });
    const isSound = sql`
      jsonb_typeof(${resource}) = 'object'
      AND ${resource}
        - ${text(`{${Object.keys(fields).map(bare).join()}}`)}::text[] = '{}'
      AND ${resource} @? ${raw(wrapped(`$ ? (${conditions.join(' && ')})`, 80))}
    `;
    return [{ name, isSound }];
  });
  const isUsual = ({ name }: { name: string }) => usual.includes(name);
  return sql`
    IF ${section} IN (${join(usual.map(text))}) THEN
      RETURN CASE ${section}
        ${shapes.filter(isUsual).map(
          ({ name, isSound }) => sql`
            WHEN ${text(name)} THEN
              ${isSound}
          `,
        )}
      END;
    END IF;
    ${shapes
      .filter((one) => !isUsual(one))
      .map(
        ({ name, isSound }) => sql`
          IF ${section} = ${text(name)} THEN
            RETURN ${isSound};
          END IF;
        `,
      )}
    RETURN false;
  `;
}

/**
 * A resource merged with what is recorded of it, or null where nothing is. LOGIN after a lock is recorded only as the
 * end of that lock, so that a role that somebody then locks by other means stays locked.
 */
export function mergedWith(section: Sql, recorded: Sql, resource: Sql): Sql {
  const fields = [...new Set(entries.flatMap(([, { merged = [] }]) => merged))];
  const parts = fields.map((field) => {
    const [earlier, later] = [sql`(${recorded} -> ${text(field)})`, sql`(${resource} -> ${text(field)})`];
    // A call that finds the role does not change what is recorded of it as it was first.
    return field === 'initial'
      ? sql`${text(field)}, ${later} || ${earlier}`
      : sql`${text(field)}, ${earlier} || ${later}`;
  });
  return sql`
    CASE WHEN ${section} IN (${mergedSections}) AND ${recorded} IS NOT NULL
      THEN ${recorded} || ${resource} || jsonb_strip_nulls(jsonb_build_object(
        ${join(parts, ',\n')}))
      ELSE ${resource} END
    -- A policy says what every attribute is.
    #- CASE WHEN ${resource} -> 'attributes' = '{"login": true}'
              AND coalesce(${recorded} -> 'attributes', '{}') - 'login' = '{}'
            THEN '{attributes,login}' ELSE '{}' END::text[]
  `;
}

/** Whether a resource asks for nothing: it only says that a role must exist, or ends what was never asked for. */
export const isPrecondition = (recorded: Sql, resource: Sql): Sql => sql`(
  ${resource} @> '{"state": "existing"}'
  AND (NOT ${resource} ? 'attributes' OR ${recorded} IS NULL AND ${resource} -> 'attributes' = '{"login": true}')
)`;

/** The fields in which sections name roles. */
export const nameFields = (wanted: readonly SectionName[]): string[] => [
  ...new Set(
    entries.filter(([name]) => wanted.includes(name as SectionName)).flatMap(([, { names }]) => names.map(bare)),
  ),
];

/** The names of roles in a document, in fields that can also name a predefined role or in the other fields. */
export function namesIn(document: Sql, predefinedToo: boolean): Sql {
  const having = new Map<string, string[]>();
  for (const [name, { names, predefined = [] }] of entries)
    for (const field of names.filter((one) => predefined.includes(one) === predefinedToo))
      having.set(field, [...(having.get(field) ?? []), name]);
  // One path serves all sections with a field, because the server analyses each lookup as an operation.
  const paths = [...having].map(([field, found]) => {
    const lists =
      found.length === 1
        ? `$.${found.join()}`
        : `$.keyvalue() ? (${found.map((name) => `@.key == "${name}"`).join(' || ')}).value`;
    return `${lists}[*].${bare(field)}${isOptional(field) ? ' ? (@ != null)' : ''}`;
  });
  return join(
    paths.map(
      (path) => sql`
        jsonb_path_query_array(
          ${document}, ${raw(wrapped(path, 80))}
        )
      `,
    ),
    '\n|| ',
  );
}
