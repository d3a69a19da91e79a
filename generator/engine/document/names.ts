/**
 * Which names a role may have, and which roles no call may touch.
 */
import { nameFields, namesIn } from '../../model/sections.ts';
import type { Jsonb, Nothing, Returns, Text } from '../../model/types.ts';
import { wrapped } from '../../sql/quote.ts';
import { isOfWrongLength, raiseNull, raiseWrongLength } from '../../sql/raise.ts';
import { join, raw, type Sql, sql, text } from '../../sql/template.ts';
import { isIn } from './lists.ts';

/** A name as in SQL: one or more identifiers with dots between. */
const identifier = `("([^"]|"")+"|[^\\W\\d][\\w$]*)`;
export const isName = (value: Sql): Sql => sql`${value} ~ '^${raw(identifier)}([.]${raw(identifier)})*$'`;

/** The first part of such a name: the schema. */
export const schemaIn = (value: Sql): Sql => sql`(parse_ident(substring(${value} FROM '^${raw(identifier)}')))[1]`;

/** The name of a function, as in SQL with its schema, and the types of its arguments in parentheses. */
export const isRoutine = (value: Sql): Sql => sql`
  ${value} ~ ('^${raw(identifier)}[.]${raw(identifier)}'
    || '[(]([^"()]|"([^"]|"")*")*[)]$')
`;
/** The name of a function without its arguments. */
export const routineName = (value: Sql): Sql => sql`substring(${value} FROM '^((${raw(identifier)}[.]?)+)[(]')`;

/**
 * Refuses a desired state with a name that no role can have
 * @volatility stable
 */
export function check_document(document: Jsonb): Nothing {
  return sql`
    DECLARE
      v_names jsonb;
      v_grantable jsonb;
    BEGIN
      -- Most documents are of this kind, and most names are plain words, which one look tells.
      IF ${document} - ${text(`{${simple.join()}}`)}::text[] = '{}'
        AND NOT ${document} @? ${raw(wrapped(unusual, 80))}
      THEN
        RETURN;
      END IF;
      v_names := ${namesIn(document, false)};
      v_grantable := ${namesIn(document, true)};
      -- The whole list is compared at once, because like_regex in a JSON path takes ten times as long.
      IF (v_names || v_grantable)::text COLLATE "C" ~ ${text('^\\[("[a-z][a-z0-9_]{0,62}"(, )?)*\\]$')}
        AND (v_names || v_grantable)::text COLLATE "C" !~ ${text(`"(pg_|(${reservedNames.join('|')})")`)}
      THEN
        RETURN;
      END IF;
      PERFORM rolecall_internal.check_role_name(n.name)
      FROM jsonb_array_elements_text(v_names || v_grantable) WITH ORDINALITY AS n(name, position)
      WHERE ${isImpossible(sql`n.name`)}
        AND NOT (n.position > jsonb_array_length(v_names) AND coalesce(${isPredefined(sql`n.name`)}, false));
    END
  `;
}

/** The sections that most calls have alone; is_established() knows these. */
export const simple = ['roles', 'memberships', 'base_roles'] as const;

/** The names that GRANT takes for something else, so that no role can have them. */
const reservedNames = ['public', 'none', 'current_user', 'session_user', 'current_role'];
export const reserved = join(reservedNames.map(text));

/**
 * The names in such a document that are no plain words of usual length that a role can be called, as jsonpath. To
 * compile a bound takes as long as it is large.
 */
const unusual = `$.*[*].keyvalue() ? (${nameFields(simple)
  .map((field) => `@.key == "${field}"`)
  .join(' || ')}).value ? (@.type() != "string" || @ starts with "pg_" || !(@ like_regex "^[a-z][a-z0-9_]{0,30}$")
  || ${reservedNames.map((name) => `@ == "${name}"`).join(' || ')})`;

const isReserved = (name: Text) => sql`
  ${name} IN (${reserved})
  OR starts_with(${name}, 'pg_')
`;

/** Whether a name is that of a predefined role, which can be granted, but not created or altered. */
export const isPredefined = (name: Sql) => sql`(
  starts_with(${name}, 'pg_') AND octet_length(${name}) <= 63
  AND to_regrole(quote_ident(${name})) IS NOT NULL
)`;

/**
 * Whether check_role_name() refuses a name, as a condition of a query, because calling it for each name takes longer.
 */
export const isImpossible = (name: Sql) => sql`(
  ${name} IS NULL
  OR ${isOfWrongLength(name)}
  OR ${isReserved(name)}
)`;

/**
 * Refuses a name that no role can have: null, empty, too long, or reserved
 * @volatility stable
 */
export function check_role_name(role_name: Text): Nothing {
  return sql`
    BEGIN
      IF ${role_name} IS NULL THEN
        ${raiseNull('role name')}
      ELSIF ${isOfWrongLength(role_name)} THEN
        ${raiseWrongLength('role name', role_name)}
      ELSIF ${isReserved(role_name)} THEN
        RAISE EXCEPTION USING
          ERRCODE = 'reserved_name',
          MESSAGE = format('role name "%s" is reserved', ${role_name}),
          HINT = 'Names that start with "pg_" and the SQL role keywords belong to PostgreSQL.';
      END IF;
    END
  `;
}

/**
 * Refuses to turn a superuser, or the caller itself, into a role of the desired state
 * @volatility stable
 */
export function check_protected(role_name: Text): Nothing {
  return sql`
    BEGIN
      IF ${isCaller(role_name)} THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('role "%s" is the role that makes this call', ${role_name}),
          HINT = 'Choose another name: the role would lose attributes and privileges that the call needs.';
      ELSIF ${isSuperuser(sql`to_regrole(quote_ident(${role_name}))::oid`)} THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('role "%s" is a superuser', ${role_name}),
          HINT = 'Choose another name: no call demotes an administrator.';
      END IF;
    END
  `;
}

/**
 * Raises a NOTICE if the default role of a desired state neither exists nor is part of it, because it may be a mistake
 * @volatility stable
 */
export function note_default_role(document: Jsonb): Nothing {
  return sql`
    DECLARE
      v_name jsonb := jsonb_path_query_first(${document}, '$.base_roles[*] ? (@.key == "default").name');
    BEGIN
      IF to_regrole(quote_ident(v_name #>> '{}')) IS NULL AND v_name <> 'null'
        AND NOT ${isIn(document, 'roles', sql`v_name`)}
      THEN
        RAISE NOTICE USING
          MESSAGE = format('default role "%s" does not exist', v_name #>> '{}'),
          DETAIL = 'The name is recorded all the same.',
          HINT = 'Look for a mistake in it, or create the role.';
      END IF;
    END
  `;
}

const isCaller = (name: Text) => sql`${name} IN (current_user, session_user)`;

/**
 * Whether a role is a superuser. A superuser passes every privilege check, and the check also sees a role that the
 * snapshot does not show.
 */
export const isSuperuser = (oid: Sql) => sql`
  has_table_privilege(
    ${oid}, 'pg_catalog.pg_authid', 'TRUNCATE'
  )
`;

/** Whether check_protected() refuses a role, as an expression, because a call would be a query. */
export const isProtected = (name: Text, oid: Sql) => sql`(${isCaller(name)} OR ${isSuperuser(oid)})`;

/**
 * A name with a suffix in at most 63 bytes; a longer one is shortened between two characters, and a hash keeps it
 * distinct
 * @volatility immutable
 */
export function fitted_name(name: Text, suffix: Text): Returns<Text> {
  return sql`
    DECLARE
      v_hash text := '_' || left(encode(sha256(convert_to(${name}, 'UTF8')), 'hex'), 8);
      v_end text := ${suffix};
      v_start text := ${name};
    BEGIN
      IF octet_length(v_start || v_end) > 63 THEN
        v_end := v_hash || v_end;
        WHILE octet_length(v_start || v_end) > 63 LOOP
          v_start := left(v_start, -1);
        END LOOP;
      END IF;
      RETURN v_start || v_end;
    END
  `;
}
