/**
 * Exceptions from privileges on all objects of a schema. A table, column or sequence stays excepted under another
 * name as long as the name by which it was excepted is in the list.
 */
import { newest } from '../../model/record.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type {
  Bool,
  ChangeRow,
  Integer,
  Jsonb,
  Nothing,
  Oid,
  Oids,
  SetOf,
  Table,
  Text,
  WantedPrivileges,
} from '../../model/types.ts';
import { sql, text } from '../../sql/template.ts';
import { grantee } from '../catalogs/grantable.ts';
import { isName } from '../document/names.ts';
import { belongings, rememberedColumn } from '../reading/withheld.ts';

/**
 * The table of what is withheld has exceptions under the role PUBLIC, which cannot be a reporting role, because a
 * name means the same for every role.
 */
const ofExceptions = text('public');

/**
 * The whole objects, or columns, also of partitions, that each entry of an `except` means; named: whether it has that
 * name now, or had it once
 * @volatility stable
 */
export function exceptions(
  wanted: WantedPrivileges,
): Table<{ scope: Jsonb; kind: Text; entry: Text; object_oid: Oid; attnum: Integer; named: Bool }> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH RECURSIVE entry AS MATERIALIZED (
          SELECT DISTINCT w.scope, w.kind, x.name,
                 parse_ident(CASE WHEN w.kind IN ('table', 'sequence') THEN x.name END) AS parts
          FROM unnest(${wanted}) AS w
          CROSS JOIN LATERAL jsonb_array_elements_text(w.scope -> 'except') AS x(name)
          -- A record of an operator may contain something that is not a name.
          WHERE w.means = 'all' AND (
            w.kind NOT IN ('table', 'sequence')
            OR ${isName(sql`x.name`)}
          )
        ),
        found AS (
          SELECT e.scope, e.kind, e.name, rolecall_internal.object_oid(e.kind, 'one', e.name) AS oid, 0 AS attnum,
                 true AS named
          FROM entry AS e WHERE coalesce(cardinality(e.parts), 2) = 2
          UNION ALL
          -- A name of three parts names a column.
          SELECT e.scope, e.kind, e.name, a.attrelid, a.attnum::integer, true
          FROM entry AS e
          JOIN pg_attribute AS a
            ON a.attrelid = rolecall_internal.object_oid(
                 e.kind, 'one', quote_ident(e.parts[1]) || '.' || quote_ident(e.parts[2])
               )
              AND a.attname = e.parts[3]
          WHERE e.kind = 'table' AND cardinality(e.parts) = 3
          UNION ALL
          SELECT e.scope, e.kind, e.name, k.relation::oid, coalesce((
                   SELECT a.attnum::integer FROM pg_attribute AS a
                   WHERE a.attrelid = k.relation AND NOT a.attisdropped AND a.attname = (
                     ${rememberedColumn(sql`k`)}
                   )
                   LIMIT 1
                 ), 0), false
          FROM entry AS e JOIN rolecall_internal.withheld AS k ON k.role = ${ofExceptions} AND k.name = e.name
        ),
        whole AS (
          SELECT f.* FROM found AS f
          UNION
          SELECT w.scope, w.kind, w.name, b.oid, coalesce(a.attnum, 0), w.named
          FROM whole AS w
          LEFT JOIN pg_attribute AS p ON p.attrelid = w.oid AND p.attnum = w.attnum AND w.attnum <> 0
          CROSS JOIN LATERAL (
            ${belongings(sql`w.oid`, sql`p.attname`)}
          ) AS b
          JOIN pg_class AS c ON c.oid = b.oid AND c.relkind <> 'S'
          LEFT JOIN pg_attribute AS a ON a.attrelid = b.oid AND a.attname = p.attname
          WHERE w.kind = 'table' AND (w.attnum = 0 OR a.attnum IS NOT NULL)
        )
        SELECT w.scope, w.kind, w.name, w.oid, w.attnum, w.named FROM whole AS w WHERE w.oid IS NOT NULL;
    END
  `;
}

/**
 * Raises a NOTICE about exceptions that match nothing now
 * @volatility stable
 */
export function note_unmatched_exceptions(privileges: Jsonb): Nothing {
  return sql`
    DECLARE
      v_names text;
    BEGIN
      IF NOT ${privileges} @? '$[*].target.scope.except[*]' THEN
        RETURN;
      END IF;
      v_names := (
        SELECT string_agg(DISTINCT x.name #>> '{}', ', ' ORDER BY x.name #>> '{}')
        FROM jsonb_path_query(${privileges}, '$[*].target.scope.except[*]') AS x(name)
        WHERE NOT x.name #>> '{}' IN (
          SELECT e.entry
          FROM rolecall_internal.exceptions(rolecall_internal.wanted_privileges(${privileges})) AS e
        )
      );
      IF v_names IS NOT NULL THEN
        RAISE NOTICE USING
          MESSAGE = format('exceptions of the policy that do not exist yet: %s', v_names),
          DETAIL = 'Once they exist, they are excepted.',
          HINT = 'Look for a mistake in the names.';
      END IF;
    END
  `;
}

/**
 * The whole objects, or columns of them, that are excepted from each scope
 * @volatility stable
 */
export function excepted_objects(
  wanted: WantedPrivileges,
): Table<{ scope: Jsonb; kind: Text; object_oid: Oid; columns: Oids }> {
  return sql`
    BEGIN
      IF NOT EXISTS (SELECT FROM unnest(${wanted}) AS w WHERE w.scope ? 'except') THEN
        RETURN;
      END IF;
      RETURN QUERY
        SELECT x.scope, x.kind, x.object_oid,
               CASE WHEN bool_and(x.attnum <> 0) THEN array_agg(DISTINCT x.attnum::oid) END
        FROM rolecall_internal.exceptions(${wanted}) AS x
        GROUP BY x.scope, x.kind, x.object_oid;
    END
  `;
}

/**
 * A skipped step for each object that is excepted under a name which is no longer its own, until the list says what
 * it means
 * @volatility stable
 */
export function plan_renamed_exceptions(wanted: WantedPrivileges): SetOf<ChangeRow> {
  return sql`
    BEGIN
      IF NOT EXISTS (SELECT FROM rolecall_internal.withheld AS k WHERE k.role = ${ofExceptions}) THEN
        RETURN;
      END IF;
      RETURN QUERY
        SELECT 'grant_privilege', t.name,
               format('GRANT %s ON %s TO %s', string_agg(DISTINCT w.privilege, ', '), t.name,
                      ${grantee(sql`w.role`)}),
               NULL::text, array_remove(ARRAY[w.role], NULL), ${text(sqlstates.object_not_in_prerequisite_state)},
               format('excepted as %s, which it was, or belonged to: name it among the exceptions, '
                      'or remove %s from them', min(x.entry), min(x.entry))
        FROM (
          SELECT x.scope, x.kind, x.object_oid, min(x.entry) AS entry
          FROM rolecall_internal.exceptions(${wanted}) AS x
          GROUP BY x.scope, x.kind, x.object_oid, x.attnum HAVING NOT bool_or(x.named)
        ) AS x
        JOIN pg_class AS c ON c.oid = x.object_oid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN unnest(${wanted}) AS w ON w.scope = x.scope AND w.kind = x.kind AND w.oid = c.relnamespace
        CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname)) AS t(name)
        GROUP BY w.role, t.name
        ORDER BY 2, 3;
    END
  `;
}

/**
 * Remembers the objects that recorded exceptions mean, so that they stay excepted under other names while the entry
 * is in the list
 * @probes
 */
export function remember_exceptions(): Nothing {
  return sql`
    DECLARE
      v_resources jsonb := (
        SELECT jsonb_agg(p.resource) FROM ${newest(sql`r.section = 'privileges'`)} AS p
        WHERE p.resource @? '$.target.scope.except[*]'
          AND p.sqlstate IS DISTINCT FROM ${text(sqlstates.invalid_parameter_value)}
      );
      v_present rolecall_internal.withheld[] := ARRAY(
        SELECT k FROM rolecall_internal.withheld AS k WHERE k.role = ${ofExceptions}
      );
    BEGIN
      IF v_resources IS NULL AND v_present = '{}' THEN
        RETURN;
      END IF;
      PERFORM rolecall_internal.replace_withheld(v_present, ARRAY(
        SELECT DISTINCT ROW(
                 ${ofExceptions}, x.entry, x.object_oid, x.attnum, a.attname, x.object_oid
               )::rolecall_internal.withheld
        FROM rolecall_internal.exceptions(rolecall_internal.wanted_privileges(v_resources)) AS x
        LEFT JOIN pg_attribute AS a ON a.attrelid = x.object_oid AND a.attnum = x.attnum AND x.attnum <> 0
        WHERE x.kind IN ('table', 'sequence')
      ));
    END
  `;
}
