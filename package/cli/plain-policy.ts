/**
 * A policy as plain SQL. The statements add what the policy says, and revoke what it says to revoke; roles keep what it
 * does not mention. When they run, they look up which objects a schema has, who owns them, and what is granted already.
 */
import { columnPrivileges, columnsOf, kinds, type Kind, query, targets } from '../../generator/model/kinds.ts';
import type {
  Entry,
  Membership,
  Names,
  On,
  Policy,
  Privilege,
  Profile,
  Role,
  Setting,
} from '../../generator/model/policy.ts';
import { literal } from '../../generator/sql/quote.ts';
import { raw } from '../../generator/sql/template.ts';
import { UsageError } from './command.ts';
import {
  baseRoles,
  checkName,
  create,
  isRole,
  name,
  type Needed,
  oid,
  reporting,
  schemaOid,
  setting,
} from './plain-sql.ts';

const list = <T>(one: T | readonly T[]): readonly T[] => (Array.isArray(one) ? (one as readonly T[]) : [one as T]);
const array = (values: readonly (string | number)[], type = 'text'): string =>
  `ARRAY[${values.map((each) => literal(String(each))).join(', ')}]::${type}[]`;
const oids = (values: readonly string[]): string => `ARRAY[${values.join(', ')}]::oid[]`;

export function policySteps(policy: Policy): Needed[] {
  const {
    base_roles: base,
    roles = {},
    schemas = {},
    profiles = {},
    privileges = [],
    reporting: reports = {},
  } = policy;
  if ('PUBLIC' in roles) throw new UsageError('plain SQL of a policy cannot tell a role "PUBLIC" from everybody');
  const uses = Object.entries(schemas).flatMap(([schema, { profiles: used = {} }]) =>
    Object.entries(used).map(([profile, to]) => ({ schema, profile, to })),
  );
  const here = Object.entries(roles).filter(([, { state }]) => state === undefined);
  const holders = new Set(uses.flatMap(({ to }) => list(to)).filter((role) => !isEverybody(role) && !(role in roles)));
  const { anonymous = 'anonymous', authenticated = 'authenticated', administrator = 'administrator' } = base ?? {};
  return [
    ...(base === undefined ? [] : baseRoles(...([anonymous, authenticated, administrator].map(checkName) as Three))),
    ...here.flatMap(([role, definition]) => roleSteps(checkName(role), definition)),
    ...[...holders].map((role) => create(checkName(role), 'NOLOGIN')),
    ...Object.entries(schemas).flatMap(([schema, { owner }]) => schemaSteps(schema, owner)),
    ...here.flatMap(([role, definition]) => (definition.member_of ?? []).map((group) => membership(group, role))),
    ...here.flatMap(([role, definition]) => settingSteps(role, definition)),
    ...uses.flatMap(({ schema, profile, to }) => {
      const found = profiles[profile];
      if (found === undefined) throw new UsageError(`the profile "${profile}" is not defined`);
      return profileEntries(found, schema, to).flatMap(entrySteps);
    }),
    ...privileges.flatMap(entrySteps),
    ...Object.entries(reports).flatMap(([role, { schemas: read, withheld = [], owners = [] }]) =>
      reporting(checkName(role), read, withheld, owners),
    ),
    ...Object.entries(roles).flatMap(([role, definition]) =>
      definition.state === undefined ? [] : removal(role, definition),
    ),
  ];
}

type Three = [string, string, string];

const attributes = ['login', 'inherit', 'createdb', 'createrole', 'replication', 'bypassrls'] as const;
const columns = {
  login: 'rolcanlogin',
  inherit: 'rolinherit',
  createdb: 'rolcreatedb',
  createrole: 'rolcreaterole',
  replication: 'rolreplication',
  bypassrls: 'rolbypassrls',
} as const;

/** The role with the attributes that the policy names. An existing role keeps the others. */
function roleSteps(role: string, definition: Role): Needed[] {
  const { connection_limit: limit, valid_until: until, comment } = definition;
  const alter = (done: string, clause: string): Needed => ({
    done: isRole(role, ` AND ${done}`),
    statement: `ALTER ROLE ${name(role)} ${clause}`,
  });
  return [
    create(role, definition.login === true ? 'LOGIN' : 'NOLOGIN'),
    ...attributes.flatMap((attribute) => {
      const value = definition[attribute];
      if (value === undefined) return [];
      return [alter(`${value ? '' : 'NOT '}${columns[attribute]}`, `${value ? '' : 'NO'}${attribute.toUpperCase()}`)];
    }),
    ...(limit === undefined ? [] : [alter(`rolconnlimit = ${limit}`, `CONNECTION LIMIT ${limit}`)]),
    ...(until === undefined ? [] : [alter(`rolvaliduntil = ${literal(until)}`, `VALID UNTIL ${literal(until)}`)]),
    ...(comment === undefined
      ? []
      : [
          {
            done: `pg_catalog.shobj_description(${oid(role)}, 'pg_authid') = ${literal(comment)}`,
            statement: `COMMENT ON ROLE ${name(role)} IS ${literal(comment)}`,
          },
        ]),
  ];
}

function schemaSteps(schema: string, owner: string | undefined): Needed[] {
  const made = { done: `${schemaOid(schema)} IS NOT NULL`, statement: `CREATE SCHEMA ${name(schema)}` };
  if (owner === undefined) return [made];
  const owned = `EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE oid = ${schemaOid(schema)} AND nspowner = ${oid(owner)})`;
  return [made, { done: owned, statement: `ALTER SCHEMA ${name(schema)} OWNER TO ${name(owner)}` }];
}

/** INHERIT and SET of a membership, only if the policy names them, because they require PostgreSQL 16. */
function membership(group: Membership, member: string): Needed {
  const { role, admin, inherit, set } = typeof group === 'string' ? { role: group } : group;
  const flag = (option: string, value: boolean | undefined): string =>
    value === undefined ? '' : ` AND (pg_catalog.to_jsonb(m) ->> '${option}_option')::boolean = ${value}`;
  const options = Object.entries({ INHERIT: inherit, SET: set }).flatMap(([option, value]) =>
    value === undefined ? [] : [`${option} ${String(value).toUpperCase()}`],
  );
  const given = [...(admin === true ? [options.length > 0 ? 'ADMIN TRUE' : 'ADMIN OPTION'] : []), ...options];
  return {
    done: `EXISTS (SELECT FROM pg_catalog.pg_auth_members AS m WHERE m.roleid = ${oid(role)} AND m.member = ${oid(member)}${
      admin === true ? ' AND m.admin_option' : ''
    }${flag('inherit', inherit)}${flag('set', set)})`,
    statement: `GRANT ${name(role)} TO ${name(member)}${given.length > 0 ? ` WITH ${given.join(', ')}` : ''}`,
  };
}

function settingSteps(role: string, { settings = {}, database_settings: here = {} }: Role): Needed[] {
  const steps = (some: Readonly<Record<string, Setting>>, alone: boolean): Needed[] =>
    Object.entries(some).map(([parameter, value]) => {
      const names = Array.isArray(value) ? (value as readonly string[]) : undefined;
      return setting(role, parameter, names ?? String(value as string | number | boolean), alone);
    });
  return [...steps(settings, false), ...steps(here, true)];
}

function profileEntries(profile: Profile, schema: string, to: Names): Entry[] {
  const { schema: own, tables, sequences, functions, types, owners } = profile;
  const inside = { tables_in: tables, sequences_in: sequences, functions_in: functions, types_in: types };
  const whose = owners === undefined ? {} : { owners };
  return [
    ...(own === undefined ? [] : [{ to, on: { schema }, grant: own }]),
    ...Object.entries(inside).flatMap(([target, grant]) =>
      grant === undefined ? [] : [{ to, on: { [target]: schema, ...whose } as On, grant }],
    ),
  ];
}

/** A change of privileges: whose, which, and whether they are granted or revoked. */
interface Change {
  readonly verb: 'GRANT' | 'REVOKE';
  readonly role: string;
  readonly privileges: readonly Privilege[];
  readonly option: boolean;
}

function entrySteps({ to, on, grant = [], revoke = [], with_grant_option: option = false }: Entry): Needed[] {
  return list(to).flatMap((role) => [
    ...(grant.length > 0 ? change(on, { verb: 'GRANT', role, privileges: grant, option }) : []),
    ...(revoke.length > 0 ? change(on, { verb: 'REVOKE', role, privileges: revoke, option: false }) : []),
  ]);
}

function change(on: On, what: Change): Needed[] {
  const [key, named] = Object.entries(on).find(([each]) => each in targets) ?? ['', []];
  const target = targets[key];
  if (target === undefined) throw new UsageError('an entry of privileges does not say on what');
  const names = list(named as Names);
  if (target.kind === 'column') return [columnStep(namedColumns(list(on.of ?? []), names), what)];
  if (target.kind === 'parameter') return names.map((parameter) => parameterStep(parameter, what));
  const kind = kinds[target.kind] as Kind;
  if (target.means === 'one') return [objectStep(kind, namedObjects(kind, names), what)];
  const later = laterStep(kind, names, on.owners === undefined ? undefined : list(on.owners), what);
  return target.means === 'future' ? [later] : [...presentSteps(kind, names, list(on.except ?? []), what), later];
}

const isEverybody = (role: string): boolean => role === 'PUBLIC' || role === 'public';
const grantee = (role: string): string => (isEverybody(role) ? '0::oid' : `${oid(role)}::oid`);
const written = (role: string): string => (isEverybody(role) ? 'PUBLIC' : name(role));
const ending = ({ verb, role, option }: Change): string =>
  `${verb === 'GRANT' ? 'TO' : 'FROM'} ${written(role)}${option ? ' WITH GRANT OPTION' : ''}`;

/**
 * The privileges that an ACL lacks or, if they are to be revoked, has. ALL means those that the server has.
 */
function differing({ verb, role, privileges, option }: Change, known: Kind['privileges'], acl: string): string {
  const wanted = privileges.includes('ALL') ? Object.entries(known) : privileges.map((each) => [each, 0] as const);
  const values = wanted.map(([privilege, since]) => `(${literal(privilege)}, ${since * 10_000})`).join(', ');
  return `(VALUES ${values}) AS p(privilege, since)
  WHERE p.since <= current_setting('server_version_num')::integer AND ${verb === 'GRANT' ? 'NOT ' : ''}EXISTS (
    SELECT FROM aclexplode(${acl}) AS a
    WHERE a.grantee = ${grantee(role)} AND a.privilege_type = p.privilege${option ? ' AND a.is_grantable' : ''})`;
}

const everyOf = (kind: Kind): string =>
  `(${query(kind, raw(`${columnsOf(kind).text}, ${kind.name} AS name`)).text}) AS o`;

const lookUp = { TABLE: 'to_regclass', SEQUENCE: 'to_regclass', ROUTINE: 'to_regprocedure', TYPE: 'to_regtype' };
const oidOf = ({ keyword }: Kind, text: string): string => `${lookUp[keyword as keyof typeof lookUp]}(${text})::oid`;

/** Objects by their names. A missing one keeps its quoted name, so that the server reports it. */
const namedObjects = (kind: Kind, names: readonly string[]): string =>
  `SELECT coalesce(o.name, quote_ident(w.name)) AS name, o.owner, o.acl FROM unnest(${array(names)}) AS w(name)
  LEFT JOIN ${everyOf(kind)} ON ${kind.qualified === true ? `o.oid = ${oidOf(kind, 'w.name')}` : `o.name IN (quote_ident(w.name), w.name)`}`;

const objectStep = ({ keyword, letter, privileges }: Kind, objects: string, what: Change): Needed => ({
  missing: `SELECT format(${literal(`${what.verb} %s ON ${keyword} %s `)}, m.privileges, string_agg(o.name, ', ' ORDER BY o.name)) || ${literal(ending(what))}
FROM (${objects}) AS o
CROSS JOIN LATERAL (SELECT string_agg(p.privilege, ', ') AS privileges FROM ${differing(what, privileges, `coalesce(o.acl, acldefault('${letter}', o.owner))`)}) AS m
WHERE m.privileges IS NOT NULL GROUP BY m.privileges LIMIT 1`,
});

const part = String.raw`(?:[A-Za-z_][\w$]*|"(?:[^"]|"")+")`;
const column = new RegExp(`^(${part}\\.${part})\\.(${part})$`);

/** What is in the schemas now, except what is excepted, which loses its privileges. */
function presentSteps(kind: Kind, schemas: readonly string[], except: readonly string[], what: Change): Needed[] {
  const excepted = except.filter((each) => !column.test(each));
  const partly = except.flatMap((each) => {
    const [, table = '', own = ''] = column.exec(each) ?? [];
    return table === '' ? [] : [{ table, own }];
  });
  const all = privilegesOf(kind, what);
  const byColumn = all.filter((privilege) => privilege in columnPrivileges);
  const tables = [...new Set(partly.map(({ table }) => table))];
  const inside = (without: readonly string[]): string =>
    `SELECT o.name, o.owner, o.acl FROM ${everyOf(kind)} WHERE o.schema = ANY (${oids(schemas.map(schemaOid))})${
      without.length === 0 ? '' : ` AND o.oid <> ALL (${oids(without.map((each) => oidOf(kind, literal(each))))})`
    }`;
  const taken = { ...what, verb: 'REVOKE', option: false } as const;
  const exceptions =
    excepted.length > 0 && what.verb === 'GRANT' ? [objectStep(kind, namedObjects(kind, excepted), taken)] : [];
  if (tables.length === 0) return [objectStep(kind, inside(excepted), what), ...exceptions];
  const others = all.filter((privilege) => !byColumn.includes(privilege));
  const some = { ...what, privileges: byColumn };
  return [
    ...(others.length > 0 ? [objectStep(kind, inside(excepted), { ...what, privileges: others })] : []),
    objectStep(kind, inside([...excepted, ...tables]), some),
    ...exceptions,
    ...(what.verb === 'GRANT'
      ? [objectStep(kind, namedObjects(kind, tables), { ...taken, privileges: byColumn })]
      : []),
    columnStep(otherColumns(tables, partly), some),
  ];
}

/** For columns, ALL stands for the privileges that every supported server has. */
const privilegesOf = ({ privileges }: Kind, { privileges: asked }: Change): readonly Privilege[] =>
  asked.includes('ALL') ? (Object.keys(privileges).filter((each) => each !== 'MAINTAIN') as Privilege[]) : asked;

const namedColumns = (tables: readonly string[], names: readonly string[]): string =>
  `SELECT coalesce(o.name, quote_ident(w.name)) AS "table", quote_ident(k.name) AS name, c.attnum, c.attacl
  FROM unnest(${array(tables)}) AS w(name) CROSS JOIN unnest(${array(names)}) AS k(name)
  LEFT JOIN ${everyOf(kinds.table)} ON o.oid = to_regclass(w.name)
  LEFT JOIN pg_attribute AS c ON c.attrelid = o.oid AND c.attname = k.name AND NOT c.attisdropped`;

const otherColumns = (tables: readonly string[], partly: readonly { table: string; own: string }[]): string =>
  `SELECT o.name AS "table", quote_ident(c.attname) AS name, c.attnum, c.attacl
  FROM ${everyOf(kinds.table)} JOIN pg_attribute AS c ON c.attrelid = o.oid AND c.attnum > 0 AND NOT c.attisdropped
  WHERE o.oid = ANY (${oids(tables.map((each) => `to_regclass(${literal(each)})`))}) AND (o.oid, c.attname::text) NOT IN (${partly
    .map(({ table, own }) => `(to_regclass(${literal(table)})::oid, (parse_ident(${literal(own)}))[1])`)
    .join(', ')})`;

const columnStep = (found: string, what: Change): Needed => ({
  missing: `SELECT format(${literal(`${what.verb} %s (%s) ON TABLE %s `)}, p.privilege, string_agg(c.name, ', ' ORDER BY c.attnum), c."table") || ${literal(ending(what))}
FROM (${found}) AS c CROSS JOIN ${differing(what, columnPrivileges, 'c.attacl')}
GROUP BY p.privilege, c."table" ORDER BY p.privilege, c."table" LIMIT 1`,
});

function parameterStep(parameter: string, what: Change): Needed {
  const quoted = parameter.split('.').map(name).join('.');
  const acl = `(SELECT x.paracl FROM pg_parameter_acl AS x WHERE x.parname = ${literal(parameter.toLowerCase())})`;
  return {
    missing: `SELECT ${literal(`${what.verb} `)} || p.privilege || ${literal(` ON PARAMETER ${quoted} ${ending(what)}`)}
FROM ${differing(what, { SET: 15, 'ALTER SYSTEM': 15 }, acl)} LIMIT 1`,
  };
}

/** What these owners create later, or those who own something there now. */
function laterStep(
  kind: Kind,
  schemas: readonly string[],
  owners: readonly string[] | undefined,
  what: Change,
): Needed {
  const { keyword, letter } = kind.future ?? { keyword: '', letter: '' };
  const where = oids(schemas.map(schemaOid));
  const present =
    kind.schema === undefined ? '' : ` UNION SELECT o.owner FROM ${everyOf(kind)} WHERE o.schema = ANY (${where})`;
  const whose =
    owners === undefined
      ? `SELECT current_user::regrole::oid UNION SELECT n.nspowner FROM pg_namespace AS n WHERE n.oid = ANY (${where})${present}`
      : `SELECT unnest(${oids(owners.map((owner) => `${oid(owner)}`))})`;
  const places =
    schemas.length === 0
      ? `(VALUES (0::oid, '')) AS s(oid, clause)`
      : `(SELECT n.oid, format(' IN SCHEMA %I', n.nspname) FROM pg_namespace AS n WHERE n.oid = ANY (${where})) AS s(oid, clause)`;
  const acl = `coalesce(
      (SELECT d.defaclacl FROM pg_default_acl AS d WHERE d.defaclrole = r.oid AND d.defaclnamespace = s.oid AND d.defaclobjtype = '${letter}'),
      CASE s.oid WHEN 0 THEN acldefault('${kind.letter}', r.oid) END)`;
  return {
    missing: `SELECT format(${literal(`ALTER DEFAULT PRIVILEGES FOR ROLE %I%s ${what.verb} %s ON ${keyword} `)}, r.rolname, s.clause, m.privileges) || ${literal(ending(what))}
FROM (${whose}) AS w(oid) JOIN pg_roles AS r ON r.oid = w.oid AND r.oid <> ${grantee(what.role)} CROSS JOIN ${places}
CROSS JOIN LATERAL (SELECT string_agg(p.privilege, ', ') AS privileges FROM ${differing(what, kind.privileges, acl)}) AS m
WHERE m.privileges IS NOT NULL ORDER BY r.rolname, s.clause LIMIT 1`,
  };
}

/** A role that is to be absent. If something prevents the DROP ROLE, the server reports the error. */
function removal(role: string, { reassign_to: heir, drop_owned: drop = false }: Role): Needed[] {
  const holds = `EXISTS (SELECT FROM pg_catalog.pg_shdepend AS d WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = ${oid(checkName(role))}
    AND d.dbid IN (0, (SELECT b.oid FROM pg_catalog.pg_database AS b WHERE b.datname = pg_catalog.current_database()))`;
  return [
    ...(heir === undefined
      ? []
      : [{ done: `NOT ${holds} AND d.deptype = 'o')`, statement: `REASSIGN OWNED BY ${name(role)} TO ${name(heir)}` }]),
    ...(heir === undefined && !drop ? [] : [{ done: `NOT ${holds})`, statement: `DROP OWNED BY ${name(role)}` }]),
    { done: `NOT ${isRole(role)}`, statement: `DROP ROLE ${name(role)}` },
  ];
}
