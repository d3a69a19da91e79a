/**
 * Plain SQL for projects that keep SQL in their repository, and cannot have functions in the database. It can run
 * again, and several times at once: each statement runs only if its effect is missing, and what another transaction
 * did at the same moment counts as done.
 */
import { dollarQuoted, literal } from '../../generator/sql/quote.ts';
import { UsageError } from './command.ts';

/** A statement with the condition under which it is not needed, or a query that returns the next statement. */
export type Needed = (
  { readonly done: string; readonly statement: string } | { readonly missing: string; readonly statement?: never }
) & {
  /** Whether a caller without the rights for it continues with the rest. */
  readonly optional?: true;
};

export const name = (role: string): string => `"${role.replaceAll('"', '""')}"`;

/** The name of a role, checked. */
export function checkName(role: string): string {
  const size = Buffer.byteLength(role);
  if (size === 0 || size > 63) throw new UsageError('a name is 1 to 63 bytes long');
  if (/^pg_/.test(role) || ['public', 'none', 'current_user', 'session_user', 'current_role'].includes(role))
    throw new UsageError(`the name "${role}" is reserved`);
  if (role.includes('\0')) throw new UsageError('a name has no NUL character');
  return role;
}

export const isRole = (role: string, condition = ''): string =>
  `EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${literal(role)}${condition})`;
export const oid = (role: string): string => `pg_catalog.to_regrole(${literal(name(role))})`;
export const schemaOid = (schema: string): string => `pg_catalog.to_regnamespace(${literal(name(schema))})`;

export const create = (role: string, attribute: 'LOGIN' | 'NOLOGIN'): Needed => ({
  done: isRole(role),
  statement: `CREATE ROLE ${name(role)} ${attribute}`,
});

export const grant = (role: string, member: string): Needed => ({
  done: `EXISTS (SELECT FROM pg_catalog.pg_auth_members WHERE roleid = ${oid(role)} AND member = ${oid(member)})`,
  statement: `GRANT ${name(role)} TO ${name(member)}`,
});

const powers = 'rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication';

/** A group role: NOLOGIN, and no powerful attributes. */
function group(role: string, bypass: boolean): Needed[] {
  return [
    create(role, 'NOLOGIN'),
    {
      done: `NOT ${isRole(role, ` AND (${powers} OR rolcanlogin)`)}`,
      statement: `ALTER ROLE ${name(role)} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION`,
    },
    bypass
      ? { done: isRole(role, ' AND rolbypassrls'), statement: `ALTER ROLE ${name(role)} BYPASSRLS`, optional: true }
      : { done: `NOT ${isRole(role, ' AND rolbypassrls')}`, statement: `ALTER ROLE ${name(role)} NOBYPASSRLS` },
  ];
}

export const baseRoles = (anonymous: string, authenticated: string, administrator: string): Needed[] => [
  ...group(anonymous, false),
  ...group(authenticated, false),
  ...group(administrator, true),
];

export const user = (role: string, groups: readonly string[]): Needed[] => [
  create(role, 'LOGIN'),
  ...groups.map((each) => grant(each, role)),
];

/** A setting of a role: a text, or a list of names, in every database or in this one alone. */
export function setting(role: string, parameter: string, value: string | readonly string[], here = false): Needed {
  const kept = typeof value === 'string' ? value : value.map(stored).join(', ');
  const given = typeof value === 'string' ? literal(value) : value.map(name).join(', ');
  const database = here
    ? '(SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())'
    : '0';
  const done = `EXISTS (SELECT FROM pg_catalog.pg_db_role_setting AS s WHERE s.setrole = ${oid(role)} AND s.setdatabase = ${database} AND ${literal(`${parameter}=${kept}`)} = ANY (s.setconfig))`;
  const set = `SET ${parameter.split('.').map(name).join('.')} = ${given}`;
  return here
    ? {
        missing: `SELECT pg_catalog.format(${literal('ALTER ROLE %I IN DATABASE %I ')}, ${literal(role)}, pg_catalog.current_database()) || ${literal(set)} WHERE NOT ${done}`,
      }
    : { done, statement: `ALTER ROLE ${name(role)} ${set}` };
}

/** A role that reads the tables of some schemas, and those that `owners` create there later. */
export function reporting(
  role: string,
  schemas: readonly string[],
  withheld: readonly string[],
  owners: readonly string[],
): Needed[] {
  const tables = withheld.map((table) => `pg_catalog.to_regclass(${literal(table)})`);
  const isWithheld = tables.length > 0 ? ` AND c.oid <> ALL (ARRAY[${tables.join(', ')}]::oid[])` : '';
  const reads = (schema: string): Needed => ({
    done: `NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relnamespace = ${schemaOid(schema)} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')${isWithheld} AND NOT pg_catalog.has_table_privilege(${oid(role)}, c.oid, 'SELECT'))`,
    statement: `GRANT SELECT ON ALL TABLES IN SCHEMA ${name(schema)} TO ${name(role)}`,
  });
  const later = (schema: string, owner: string): Needed => ({
    done: `EXISTS (SELECT FROM pg_catalog.pg_default_acl AS d, pg_catalog.aclexplode(d.defaclacl) AS a WHERE d.defaclrole = ${oid(owner)} AND d.defaclnamespace = ${schemaOid(schema)} AND d.defaclobjtype = 'r' AND a.grantee = ${oid(role)} AND a.privilege_type = 'SELECT')`,
    statement: `ALTER DEFAULT PRIVILEGES FOR ROLE ${name(owner)} IN SCHEMA ${name(schema)} GRANT SELECT ON TABLES TO ${name(role)}`,
  });
  return [
    create(role, 'LOGIN'),
    setting(role, 'default_transaction_read_only', 'on'),
    setting(role, 'search_path', schemas),
    ...schemas.map((schema) => ({
      done: `pg_catalog.has_schema_privilege(${oid(role)}, ${schemaOid(schema)}, 'USAGE')`,
      statement: `GRANT USAGE ON SCHEMA ${name(schema)} TO ${name(role)}`,
    })),
    ...schemas.map(reads),
    ...withheld.map((table) => ({
      done: `pg_catalog.has_table_privilege(${oid(role)}, pg_catalog.to_regclass(${literal(table)}), 'SELECT') IS NOT TRUE`,
      statement: `REVOKE SELECT ON TABLE ${qualified(table)} FROM ${name(role)}`,
    })),
    ...schemas.flatMap((schema) => owners.map((owner) => later(schema, owner))),
  ];
}

/** A schema as the server stores it in a setting: quoted only if necessary. */
const stored = (schema: string): string => (/^[a-z_][a-z0-9_$]*$/.test(schema) ? schema : name(schema));

/** A table as in SQL, checked to be nothing but a name. */
function qualified(table: string): string {
  if (!/^(?:[a-z_][a-z0-9_$]*|"(?:[^"\0]|"")+")\.(?:[a-z_][a-z0-9_$]*|"(?:[^"\0]|"")+")$/.test(table))
    throw new UsageError('a table that is withheld is written as in SQL, with its schema');
  return table;
}

/** A text with several lines or quotes, in a readable form. */
function readable(text: string): string {
  return /['\n]/.test(text) && !text.includes('$q$') && !text.endsWith('$') ? `$q$${text}$q$` : literal(text);
}

/** One block that does whatever is missing. */
export function script(command: string, steps: readonly Needed[]): string {
  const rows = steps.map((step) => {
    const [query, statement] = 'missing' in step ? [step.missing, 'NULL'] : [step.done, readable(step.statement)];
    return `      (${readable(query)},\n       ${statement}, ${String(step.optional === true)})`;
  });
  const none = '      (NULL, NULL, NULL)';
  const body = `DECLARE
  v_path text := pg_catalog.current_setting('search_path');
  v_query text;
  v_fixed text;
  v_optional boolean;
  v_statement text;
  v_before text;
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  -- Each row is a condition and the statement that is needed where it does not hold, or a query for the next statement.
  FOR v_query, v_fixed, v_optional IN
    VALUES
${rows.join(',\n') || none}
  LOOP
    v_before := NULL;
    FOR v_attempt IN 1..100 LOOP
      EXECUTE CASE WHEN v_fixed IS NULL THEN v_query
        ELSE pg_catalog.format('SELECT %L WHERE (%s) IS NOT TRUE', v_fixed, v_query) END INTO v_statement;
      EXIT WHEN v_statement IS NULL OR v_statement = v_before;
      BEGIN
        EXECUTE v_statement;
        v_before := v_statement;
      EXCEPTION
        -- Another transaction created it at the same moment, or changes it now: look again.
        WHEN duplicate_object OR duplicate_schema OR unique_violation OR internal_error OR undefined_object THEN
          IF v_attempt = 100 OR SQLSTATE = 'XX000' AND SQLERRM NOT LIKE 'tuple concurrently %' THEN
            RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, DETAIL = v_statement;
          END IF;
          PERFORM pg_catalog.pg_sleep(0.01);
        WHEN insufficient_privilege THEN
          IF NOT v_optional THEN
            RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, DETAIL = v_statement;
          END IF;
          RAISE WARNING USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, HINT = v_statement;
          EXIT;
      END;
    END LOOP;
  END LOOP;
  PERFORM pg_catalog.set_config('search_path', v_path, true);
END`;
  let tag = 'rolecall';
  while (body.includes(`$${tag}$`)) tag += '_';
  return `-- Made by "rolecall generate ${command}". It can be run again, and by several at once.\nDO ${dollarQuoted(tag, body)};\n`;
}
