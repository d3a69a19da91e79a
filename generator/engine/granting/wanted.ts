/**
 * What a desired state says of privileges, with the oids of what it names.
 */
import { kindList } from '../../model/kinds.ts';
import type { Jsonb, Oid, Oids, Returns, Table, Text, WantedPrivileges } from '../../model/types.ts';
import { raw, sql, text } from '../../sql/template.ts';
import { isName } from '../document/names.ts';
import { belongings } from '../reading/withheld.ts';

/**
 * The privileges of a document, each name looked up once
 * @volatility stable
 */
export function wanted_privileges(resources: Jsonb): Returns<WantedPrivileges> {
  return sql`
    BEGIN
      RETURN ARRAY(
        WITH said AS MATERIALIZED (
          SELECT p.role, p.privilege, p.grantable, p.revoked, p.caller, t.*
          FROM jsonb_to_recordset(${resources}) AS p(
            role text, privilege text, target jsonb, grantable boolean, revoked boolean, caller text, state text
          )
          CROSS JOIN LATERAL jsonb_to_record(p.target)
            AS t(kind text, means text, object text, "column" text, scope jsonb)
          WHERE p.state IS NULL
        ),
        role AS MATERIALIZED (
          SELECT r.name, to_regrole(quote_ident(r.name))::oid AS oid
          FROM (SELECT DISTINCT s.role FROM said AS s WHERE s.role IS NOT NULL) AS r(name)
        ),
        object AS MATERIALIZED (
          SELECT o.kind, o.means, o.object, rolecall_internal.object_oid(o.kind, o.means, o.object) AS oid
          FROM (SELECT DISTINCT s.kind, s.means, s.object FROM said AS s) AS o
        )
        SELECT ROW(
                 s.role, CASE WHEN s.role IS NULL THEN 0 ELSE r.oid END, s.kind, s.means, s.object, o.oid,
                 a.attnum, s."column", s.privilege, coalesce(s.grantable, false), coalesce(s.revoked, false), s.scope,
                 s.caller
               )::rolecall_internal.wanted_privilege
        FROM said AS s
        LEFT JOIN role AS r ON r.name = s.role
        LEFT JOIN object AS o ON o.kind = s.kind AND o.means = s.means AND o.object = s.object
        LEFT JOIN pg_attribute AS a ON a.attrelid = o.oid AND a.attname = s."column" AND NOT a.attisdropped
      );
    END
  `;
}

/**
 * The oid of what a name as in SQL means; null where there is none. The server's own casts fail for who may not use the schema
 * @volatility stable
 * @probes
 */
export function object_in_schema(kind: Text, name: Text): Returns<Oid> {
  return sql`
    DECLARE
      v_name text := CASE ${kind} WHEN 'function' THEN split_part(${name}, '(', 1)
                       ELSE ${name} END;
      v_parts text[] := CASE
        WHEN ${isName(sql`v_name`)} THEN parse_ident(v_name)
      END;
      v_schema oid := to_regnamespace(quote_ident(v_parts[1]));
    BEGIN
      -- As the server writes it what is in pg_catalog has no schema.
      IF v_parts[2] IS NULL AND ${kind} = 'type' THEN
        RETURN to_regtype(${name});
      ELSIF ${kind} = 'function' AND (v_parts[2] IS NULL OR has_schema_privilege(v_schema, 'USAGE')) THEN
        RETURN to_regprocedure(${name});
      END IF;
      RETURN CASE ${kind}
        WHEN 'type' THEN (
          SELECT t.oid FROM pg_type AS t WHERE t.typnamespace = v_schema AND t.typname = v_parts[2]
        )
        WHEN 'function' THEN (
          SELECT p.oid FROM pg_proc AS p
          WHERE p.pronamespace = v_schema AND p.proname = v_parts[2] AND p.oid::regprocedure::text = ${name}
        )
        ELSE (
          SELECT c.oid FROM pg_class AS c
          WHERE c.relnamespace = v_schema AND c.relname = v_parts[2]
            AND (c.relkind = 'S') = (${kind} = 'sequence')
        )
      END;
    END
  `;
}

/** Kinds with a plain name: the expression of a name in their catalogs, without its quotes. */
const plain = kindList.filter(([, { qualified }]) => qualified === undefined);

/**
 * The oid of what a name means; null where there is none
 * @volatility stable
 * @probes
 */
export function object_oid(kind: Text, means: Text, name: Text): Returns<Oid> {
  return sql`
    BEGIN
      IF ${means} <> 'one' THEN
        RETURN to_regnamespace(quote_ident(${name}));
      ELSIF ${kind} IN ('table', 'sequence', 'column', 'function', 'type') THEN
        RETURN rolecall_internal.object_in_schema(${kind}, ${name});
      END IF;
      RETURN CASE ${kind}
        ${plain.map(
          ([kind, { from, oid, name: shown }]) =>
            sql`
              WHEN ${text(kind)} THEN (
                SELECT ${raw(oid)} FROM ${raw(from)} ${raw(from.includes('WHERE') ? 'AND' : 'WHERE')} ${raw(
                  shown.replace(/^quote_ident\((.*)\)$/, '$1'),
                )} = object_oid.name
              )
            `,
        )}
      END;
    END
  `;
}

/**
 * What is excepted from privileges on all objects of a schema: whole objects, or columns of them; partitions too
 * @volatility stable
 */
export function excepted_objects(
  wanted: WantedPrivileges,
): Table<{ scope: Jsonb; kind: Text; object_oid: Oid; columns: Oids }> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH RECURSIVE entry AS (
          SELECT DISTINCT w.scope, w.kind, x.name
          FROM unnest(${wanted}) AS w
          CROSS JOIN LATERAL jsonb_array_elements_text(w.scope -> 'except') AS x(name)
          WHERE w.means = 'all'
        ),
        -- A name of three parts is that of a column.
        part AS (
          SELECT e.*, CASE WHEN e.kind = 'table' AND cardinality(parse_ident(e.name)) = 3
                             THEN parse_ident(e.name) END AS parts
          FROM entry AS e
        ),
        found AS (
          SELECT p.scope, p.kind, a.attnum::integer::oid AS attnum,
                 rolecall_internal.object_oid(p.kind, 'one', CASE WHEN p.parts IS NULL THEN p.name ELSE format(
                   '%I.%I', p.parts[1], p.parts[2]
                 ) END) AS oid
          FROM part AS p
          LEFT JOIN pg_attribute AS a
            ON a.attrelid = rolecall_internal.object_oid(
                 p.kind, 'one', quote_ident(p.parts[1]) || '.' || quote_ident(p.parts[2])
               )
              AND a.attname = p.parts[3]
          WHERE p.parts IS NULL OR a.attnum IS NOT NULL
        ),
        whole AS (
          SELECT f.scope, f.kind, f.oid FROM found AS f WHERE f.attnum IS NULL
          UNION
          SELECT w.scope, w.kind, b.oid
          FROM whole AS w
          CROSS JOIN LATERAL (
            ${belongings(sql`w.oid`, sql`NULL::name`)}
          ) AS b
          JOIN pg_class AS c ON c.oid = b.oid AND c.relkind <> 'S'
          WHERE w.kind = 'table'
        )
        SELECT w.scope, w.kind, w.oid, NULL::oid[] FROM whole AS w WHERE w.oid IS NOT NULL
        UNION ALL
        SELECT f.scope, f.kind, f.oid, array_agg(f.attnum) FROM found AS f
        WHERE f.attnum IS NOT NULL AND NOT EXISTS (SELECT FROM whole AS w WHERE w.scope = f.scope AND w.oid = f.oid)
        GROUP BY f.scope, f.kind, f.oid;
    END
  `;
}
