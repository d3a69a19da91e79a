/**
 * The privileges of a desired state, with the oids of the objects that it names.
 */
import { kindList, kinds, query } from '../../model/kinds.ts';
import { errorClasses } from '../../model/sqlstates.ts';
import type { Jsonb, Oid, Returns, Text, WantedPrivileges } from '../../model/types.ts';
import { anyOf } from '../../sql/conditions.ts';
import { raw, type Sql, sql, text } from '../../sql/template.ts';
import { isName, routineName } from '../document/names.ts';

/** The key by which an object is looked up: its kind, what is meant of it, and its name. */
const objectKey = (target: Sql) => sql`(${target}) - '{scope,column}'::text[]`;

/**
 * The privileges of a document, each name looked up once
 * @volatility stable
 */
export function wanted_privileges(resources: Jsonb): Returns<WantedPrivileges> {
  return sql`
    DECLARE
      -- By kind, meaning and name, as jsonb, because a join would compare each privilege with each name.
      v_oids jsonb := (
        SELECT jsonb_object_agg(
                 o.key::text, rolecall_internal.object_oid(o.key ->> 'kind', o.key ->> 'means', o.key ->> 'object')::bigint
               )
        FROM (
          SELECT DISTINCT ${objectKey(sql`p.resource -> 'target'`)}
          FROM jsonb_array_elements(${resources}) AS p(resource)
        ) AS o(key)
      );
    BEGIN
      RETURN ARRAY(
        SELECT ROW(
                 p.role, CASE WHEN p.role IS NULL THEN 0 ELSE to_regrole(quote_ident(p.role))::oid END, t.kind, t.means,
                 t.object, o.oid, a.attnum, t."column", p.privilege, coalesce(p.grantable, false),
                 coalesce(p.revoked, false), t.scope, p.caller
               )::rolecall_internal.wanted_privilege
        FROM jsonb_to_recordset(${resources}) AS p(
          role text, privilege text, target jsonb, grantable boolean, revoked boolean, caller text, state text
        )
        CROSS JOIN LATERAL jsonb_to_record(p.target)
          AS t(kind text, means text, object text, "column" text, scope jsonb)
        CROSS JOIN LATERAL (SELECT (v_oids ->> (${objectKey(sql`p.target`)})::text)::oid) AS o(oid)
        LEFT JOIN pg_attribute AS a ON a.attrelid = o.oid AND a.attname = t."column" AND NOT a.attisdropped
        WHERE p.state IS NULL
      );
    END
  `;
}

/**
 * The oid that the server finds for the name of a function or type; null where it finds none, the text is not a name,
 * or the caller may not use the schema
 * @volatility stable
 */
export function found_by_server(kind: Text, name: Text): Returns<Oid> {
  return sql`
    BEGIN
      RETURN CASE ${kind} WHEN 'function' THEN to_regprocedure(${name})::oid
        ELSE to_regtype(${name})::oid END;
    EXCEPTION
      WHEN ${anyOf(notFound)} THEN
        RETURN NULL;
    END
  `;
}

const notFound = (
  [
    'syntax_error_or_access_rule_violation',
    'data_exception',
    'invalid_schema_name',
    'feature_not_supported',
    'program_limit_exceeded',
  ] as const
).map((name) => errorClasses[name]);

/**
 * The oid for a name as in SQL; null where there is none. The server's own functions find nothing for a caller that
 * may not use the schema
 * @volatility stable
 * @probes
 */
export function object_in_schema(kind: Text, name: Text): Returns<Oid> {
  return sql`
    DECLARE
      v_name text := CASE ${kind} WHEN 'function'
          THEN ${routineName(sql`${name}`)}
        ELSE ${name} END;
      v_parts text[] := CASE
        WHEN ${isName(sql`v_name`)} THEN parse_ident(v_name)
      END;
      v_schema oid := to_regnamespace(quote_ident(v_parts[1]));
    BEGIN
      RETURN CASE ${kind}
        WHEN 'type' THEN (
          SELECT o.oid FROM pg_type AS o
          WHERE o.typnamespace = v_schema AND o.typname = v_parts[2]
            AND ${raw(kinds.type.where)}
          LIMIT 1
        )
        WHEN 'function' THEN coalesce(rolecall_internal.found_by_server(${kind}, ${name}), (
          SELECT o.oid FROM pg_proc AS o
          WHERE o.pronamespace = v_schema AND o.proname = v_parts[2]
            AND ${raw(kinds.function.name)} = ${name}
          LIMIT 1
        ))
        ELSE (
          SELECT o.oid FROM pg_class AS o
          WHERE o.relnamespace = v_schema AND o.relname = v_parts[2]
            AND CASE WHEN ${raw(kinds.sequence.where)} THEN ${kind} <> 'table'
                     -- A sequence has columns, too.
                     WHEN ${raw(kinds.table.where)} THEN ${kind} <> 'sequence' END
          LIMIT 1
        )
      END;
    END
  `;
}

/** For kinds with a plain name, the expression for that name in their catalogs, without quotes. */
const plain = kindList.filter(([, { qualified }]) => qualified === undefined);

/**
 * The oid for a name; null where there is none
 * @volatility stable
 * @probes
 */
export function object_oid(kind: Text, means: Text, name: Text): Returns<Oid> {
  return sql`
    BEGIN
      -- Temporary schemas are not found, as privileges on them mean nothing.
      IF ${means} <> 'one' OR ${kind} = 'schema' AND ${name} !~ '^pg_(toast_)?temp_' THEN
        RETURN to_regnamespace(quote_ident(${name}));
      ELSIF ${kind} IN ('table', 'sequence', 'column', 'function', 'type') THEN
        RETURN rolecall_internal.object_in_schema(${kind}, ${name});
      END IF;
      RETURN CASE ${kind}
        ${plain.map(
          ([name, kind]) => sql`
            WHEN ${text(name)} THEN (
              ${query(kind, raw(kind.oid), [sql`${raw(kind.name.replace(/^quote_ident\((.*)\)$/, '$1'))} = object_oid.name`])}
              LIMIT 1
            )
          `,
        )}
      END;
    END
  `;
}
