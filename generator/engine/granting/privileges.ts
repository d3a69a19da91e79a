/**
 * Differences in privileges on objects of every kind.
 */
import { kindRows } from '../../model/kinds.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type {
  AclGroups,
  Bool,
  ChangeRow,
  Differences,
  Jsonb,
  Oid,
  Oids,
  Returns,
  SetOf,
  Table,
  Text,
  WantedPrivileges,
} from '../../model/types.ts';
import { type Sql, sql, text } from '../../sql/template.ts';
import { batch, grantee, revoking } from '../catalogs/grantable.ts';
import { takers } from '../catalogs/edges.ts';
import { isAskedFor } from '../record/newest.ts';
import { isIn } from '../document/lists.ts';
import { schemaIn } from '../document/names.ts';
import { numbered } from './groups.ts';
import { isRevocable } from './regrants.ts';
import { isGrantedElsewhere } from './shared.ts';

/**
 * Differences in the privileges that a document asks for, and what the roles that are to have nothing else have
 * beyond it
 * @volatility stable
 */
export function plan_privileges(document: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_wanted rolecall_internal.wanted_privilege[] :=
        rolecall_internal.wanted_privileges(${document} -> 'privileges');
      v_exact oid[] := ARRAY(
        SELECT to_regrole(quote_ident(d.role))::oid
        FROM jsonb_to_recordset(${document} -> 'declared') AS d(role text, exact boolean)
        WHERE d.exact AND to_regrole(quote_ident(d.role)) IS NOT NULL
      );
      v_schemas oid[] := ARRAY(
        SELECT DISTINCT w.oid FROM unnest(v_wanted) AS w WHERE w.means <> 'one' AND w.oid IS NOT NULL
      );
      v_kinds text[] := ARRAY(SELECT DISTINCT w.kind FROM unnest(v_wanted) AS w WHERE w.means <> 'one');
      v_special record;
      v_held text[] := rolecall_internal.held_kinds(v_exact);
      v_groups rolecall_internal.acl_group[];
      v_differences rolecall_internal.difference[];
    BEGIN
      SELECT array_agg(s.kind) AS kinds, array_agg(s.oid) AS oids INTO v_special
      FROM (
        SELECT CASE w.kind WHEN 'column' THEN 'table' ELSE w.kind END, w.oid FROM unnest(v_wanted) AS w
        WHERE w.means = 'one' AND w.oid IS NOT NULL
        UNION ALL SELECT x.kind, x.object_oid FROM rolecall_internal.excepted_objects(v_wanted) AS x
        UNION ALL SELECT 'database', d.oid FROM pg_database AS d WHERE d.datname = current_database()
      ) AS s(kind, oid);
      v_groups := rolecall_internal.acl_groups(
        v_schemas, v_kinds, v_special.kinds, v_special.oids,
        v_kinds || v_special.kinds || v_held || '{schema,table,sequence}'::text[]
      );
      v_differences := rolecall_internal.privilege_differences(v_wanted, v_groups, v_exact);
      IF ${document} ? 'theirs' THEN
        v_differences := ARRAY(
          SELECT d FROM unnest(v_differences) AS d
          WHERE (${isGrantedElsewhere(sql`${document} -> 'theirs'`, sql`v_groups`)}) IS NOT TRUE
        );
      END IF;
      IF cardinality(v_differences) > 0 THEN
        RETURN QUERY SELECT * FROM rolecall_internal.plan_kept(
          rolecall_internal.ended_privileges(v_groups, v_differences)
        );
        RETURN QUERY SELECT * FROM rolecall_internal.plan_privilege_excess(v_groups, v_differences);
        RETURN QUERY SELECT * FROM rolecall_internal.plan_grants(
          ${document}, v_groups, v_differences, v_schemas
        );
      END IF;
      RETURN QUERY SELECT * FROM rolecall_internal.plan_renamed_exceptions(v_wanted);
      RETURN QUERY SELECT * FROM rolecall_internal.plan_absent_objects(${document}, v_wanted);
      IF 'column' = ANY (v_held) OR EXISTS (
        SELECT FROM unnest(v_wanted) AS w
        WHERE w.kind = 'column' OR w.scope ? 'except' OR w.kind = 'table' AND w.revoked
      ) THEN
        RETURN QUERY SELECT * FROM rolecall_internal.plan_columns(
          ${document}, v_wanted, v_groups, v_differences, v_exact
        );
      END IF;
      RETURN QUERY SELECT * FROM rolecall_internal.plan_parameters(${document}, v_wanted);
      RETURN QUERY SELECT * FROM rolecall_internal.plan_future(${document}, v_wanted, v_groups, v_exact);
    END
  `;
}

/**
 * Privileges that roles must not have, or must not grant to others
 * @volatility stable
 */
export function plan_privilege_excess(groups: AclGroups, differences: Differences): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH found AS MATERIALIZED (
          SELECT d.number, d.role, d.grantor, d.action,
                 concat(CASE d.action WHEN 'option' THEN 'GRANT OPTION FOR ' END,
                        string_agg(d.privilege, ', ' ORDER BY d.privilege)) AS privileges
          FROM unnest(${differences}) AS d
          WHERE d.action <> 'grant'
          GROUP BY d.number, d.role, d.grantor, d.action
        ),
        excess AS (
          SELECT 1 AS position, f.role, k.keyword || ' ' AS kind, coalesce(n.nspname::text, o.name) AS target,
                 o.name AS object, g.owner, f.grantor, f.privileges
          FROM found AS f
          JOIN rolecall_internal.objects_of(
            ${groups}, ARRAY(SELECT DISTINCT f.number::integer::oid FROM found AS f)
          ) AS o ON o.number::bigint = f.number
          JOIN ${numbered(groups)}
            ON g.number = f.number
          JOIN ${kindRows} USING (kind)
          LEFT JOIN pg_namespace AS n ON n.oid = g.schema
        )
        ${revoking(sql`excess`)};
    END
  `;
}

/**
 * The privileges on objects that are about to be revoked, in the form of plan_kept(); null where there are none
 * @volatility stable
 */
export function ended_privileges(groups: AclGroups, differences: Differences): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        WITH ending AS MATERIALIZED (
          SELECT d.*, k.keyword
          FROM unnest(${differences}) AS d
          JOIN ${numbered(groups)}
            USING (number)
          JOIN ${kindRows} USING (kind)
          WHERE d.action <> 'grant' AND d.role <> 'public'
            AND ${isRevocable(sql`d.grantor`, sql`g.owner`)}
        )
        SELECT jsonb_agg(jsonb_build_object(
                 'kind', e.keyword, 'objid', o.object_oid::bigint, 'objsubid', 0,
                 'role', to_regrole(quote_ident(e.role))::oid::bigint,
                 'grantor', e.grantor::bigint, 'privilege', e.privilege, 'option', e.action = 'option'
               ))
        FROM ending AS e
        JOIN rolecall_internal.objects_of(
          ${groups}, ARRAY(SELECT DISTINCT e.number::integer::oid FROM ending AS e)
        ) AS o ON o.number::bigint = e.number
      );
    END
  `;
}

/**
 * Privileges that roles are missing: on all objects of a schema at once if each of them lacks the same, otherwise by
 * name
 * @long from what each group lacks to the statements
 * @volatility stable
 */
export function plan_grants(
  document: Jsonb,
  groups: AclGroups,
  differences: Differences,
  schemas: Oids,
): SetOf<ChangeRow> {
  return sql`
    DECLARE
      -- Schemas with functions that an extension keeps from PUBLIC, such as dblink_connect_u().
      v_kept oid[] := ARRAY(SELECT DISTINCT p.pronamespace FROM ${keptFunctions});
    BEGIN
      RETURN QUERY
        WITH g AS MATERIALIZED (
          SELECT g.*, k.keyword, k.all_of, coalesce(g.acl, acldefault(k.letter, g.owner)) AS entries,
                 g.schema = 'pg_catalog'::regnamespace OR g.kind = 'function' AND g.schema = ANY (v_kept) AND EXISTS (
                   SELECT FROM ${keptFunctions}
                   WHERE p.pronamespace = g.schema AND p.proowner = g.owner AND p.proacl = g.acl
                 ) AS kept,
                 pg_has_role(g.owner, 'USAGE') AS owned,
                 sum(g.size) OVER (PARTITION BY g.kind, g.schema) AS total
          FROM ${numbered(groups)}
          JOIN ${kindRows} USING (kind)
        ),
        missing AS (
          SELECT g.number, g.kind, g.schema, g.owner, g.size, g.keyword, g.all_of, g.total, d.role, d.grantable, a.allowed,
                 t.names, t.revokes, string_agg(d.privilege, ', ' ORDER BY d.privilege) AS privileges
          FROM unnest(${differences}) AS d
          JOIN g USING (number)
          CROSS JOIN LATERAL (
            SELECT g.owned OR EXISTS (
              SELECT FROM aclexplode(g.entries) AS x
              WHERE x.privilege_type = d.privilege AND x.is_grantable
                AND CASE WHEN x.grantee <> 0 THEN pg_has_role(x.grantee, 'USAGE') END
            )
          ) AS a(allowed)
          LEFT JOIN LATERAL (
            -- A subquery of its own, so that the server does not call the function before it checks the condition.
            SELECT p.* FROM (SELECT to_regrole(quote_ident(d.role))::oid WHERE g.kept OFFSET 0) AS k(role_oid)
            CROSS JOIN LATERAL rolecall_internal.privilege_takers(
              k.role_oid, ${holdersIn(sql`g.entries`, sql`d`, sql`g.owner`)}
            ) AS p
          ) AS t ON true
          WHERE d.action = 'grant'
          GROUP BY g.number, g.kind, g.schema, g.owner, g.size, g.keyword, g.all_of, g.total, d.role, d.grantable,
                   a.allowed, t.names, t.revokes
        ),
        manner AS MATERIALIZED (
          SELECT m.*, m.all_of IS NOT NULL AND m.allowed AND m.names IS NULL AND m.schema = ANY (${schemas})
                   AND m.total > 1
                   AND m.total = sum(m.size) OVER (
                     PARTITION BY m.kind, m.schema, m.role, m.grantable, m.allowed, m.privileges, m.names
                   ) AS whole
          FROM missing AS m
        ),
        named AS (
          SELECT m.*, o.name, (row_number() OVER (
                   PARTITION BY m.kind, m.role, m.privileges, m.grantable, m.allowed, m.owner, m.names
                   ORDER BY o.name COLLATE "C"
                 ) - 1) / ${batch} AS part
          FROM manner AS m
          JOIN rolecall_internal.objects_of(
            ${groups}, ARRAY(SELECT DISTINCT m.number::integer::oid FROM manner AS m WHERE NOT m.whole)
          ) AS o ON o.number::bigint = m.number
          WHERE NOT m.whole
        ),
        found AS (
          SELECT w.role, w.allowed, w.privileges, w.grantable, 0::oid AS owner, NULL::text AS names, NULL::text AS revokes,
                 string_agg(n.nspname, ', ' ORDER BY n.nspname) AS target,
                 format('ALL %s IN SCHEMA %s', w.all_of,
                        string_agg(quote_ident(n.nspname), ', ' ORDER BY n.nspname)) AS objects
          FROM (SELECT DISTINCT role, allowed, privileges, grantable, all_of, schema FROM manner WHERE whole) AS w
          JOIN pg_namespace AS n ON n.oid = w.schema
          GROUP BY w.role, w.allowed, w.privileges, w.grantable, w.all_of
          UNION ALL
          SELECT n.role, n.allowed, n.privileges, n.grantable, n.owner, n.names, n.revokes, min(n.name),
                 n.keyword || ' ' || string_agg(n.name, ', ' ORDER BY n.name COLLATE "C")
          FROM named AS n
          GROUP BY n.role, n.allowed, n.privileges, n.grantable, n.owner, n.names, n.revokes, n.keyword, n.part
        )
        SELECT 'grant_privilege', f.target,
               concat_ws('; ', f.revokes, format('GRANT %s ON %s TO %s%s', f.privileges, f.objects,
                                                 ${grantee(sql`f.role`)},
                                                 CASE WHEN f.grantable THEN ' WITH GRANT OPTION' END)),
               NULL::text, array_remove(ARRAY[f.role], 'public'),
               ${refusal(sql`f`, sql`r.missing`)}
        FROM found AS f
        CROSS JOIN LATERAL (SELECT rolecall_internal.is_nobody(${document}, f.role)) AS r(missing)
        ORDER BY f.role COLLATE "C", f.objects COLLATE "C", f.privileges;
    END
  `;
}

/** Functions, p, that the script of an extension revoked from PUBLIC. */
const keptFunctions = sql`
  pg_init_privs AS i
  JOIN pg_proc AS p ON i.classoid = 'pg_proc'::regclass AND i.privtype = 'e' AND p.oid = i.objoid
    AND NOT EXISTS (SELECT FROM aclexplode(i.initprivs) AS x WHERE x.grantee = 0)
`;

/** The note of a grant that is skipped because others could take what it gives. */
export const couldBeTaken = (names: Sql) =>
  sql`'it could be taken by ' || ${names} || ', by membership or ADMIN OPTION'`;

/**
 * SQLSTATE and note of a grant; nulls where it is not skipped. `grant` has role, owner, whether it is allowed, and
 * the names of roles that could take it.
 */
export const refusal = (grant: Sql, missing: Sql) => sql`
  CASE WHEN ${missing} THEN '42704' WHEN NOT ${grant}.allowed OR ${grant}.names IS NOT NULL THEN '42501' END AS code,
  CASE WHEN ${missing} THEN format('role "%s" does not exist', ${grant}.role)
       WHEN NOT ${grant}.allowed
         THEN format('owned by %I, and the caller cannot grant it', pg_get_userbyid(${grant}.owner))
       ELSE ${couldBeTaken(sql`${grant}.names`)} END AS note
`;

/** The roles that have, by an ACL, what a difference gives: a privilege, or also its grant option. */
export const holdersIn = (acl: Sql, difference: Sql, owner: Sql) =>
  sql`
    ARRAY(
      SELECT x.grantee
      FROM aclexplode(${acl}) AS x
      WHERE x.privilege_type = ${difference}.privilege
        AND (x.is_grantable OR x.grantee = ${owner} OR NOT ${difference}.grantable)
    )
  `;

/**
 * The roles that do not have a privilege that the server keeps from PUBLIC, such as EXECUTE on pg_read_file(), but
 * could take it through a role; nulls where there is none
 * @volatility stable
 * @probes
 */
export function privilege_takers(role_oid: Oid, holders: Oids): Table<{ names: Text; revokes: Text }> {
  return sql`
    BEGIN
      IF 0 = ANY (${holders}) THEN
        RETURN;
      END IF;
      RETURN QUERY
        ${takers(
          role_oid,
          () => sql`EXISTS (SELECT FROM unnest(${holders}) AS h(oid) WHERE pg_has_role(r.oid, h.oid, 'USAGE'))`,
          isAskedFor,
        )};
    END
  `;
}

/**
 * Whether a role neither exists nor is part of a document
 * @volatility stable
 */
export function is_nobody(document: Jsonb, role: Text): Returns<Bool> {
  return sql`
    BEGIN
      RETURN coalesce(${role}, 'public') <> 'public' AND to_regrole(quote_ident(${role})) IS NULL
        AND NOT ${isIn(document, 'roles', role as Sql)};
    END
  `;
}

/**
 * Whether a document creates a schema that is missing: where it names an owner, the owner has to be there
 * @volatility stable
 */
export function is_to_come(document: Jsonb, schema: Text): Returns<Bool> {
  return sql`
    BEGIN
      RETURN to_regnamespace(quote_ident(${schema})) IS NULL AND EXISTS (
        SELECT FROM jsonb_to_recordset(${document} -> 'schemas') AS s(name text, owner text)
        WHERE s.name = ${schema} AND NOT rolecall_internal.is_nobody(${document}, s.owner)
      );
    END
  `;
}

/**
 * Wanted privileges on objects that do not exist. Those on a schema that the document creates are granted, such a
 * schema has no objects yet, and all others are skipped
 * @volatility stable
 */
export function plan_absent_objects(document: Jsonb, wanted: WantedPrivileges): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT 'grant_privilege', w.object,
               format('GRANT %s ON %s %s TO %s%s', string_agg(DISTINCT w.privilege
                        || coalesce(' (' || quote_ident(w.column_name) || ')', ''), ', '),
                      CASE w.means WHEN 'one' THEN coalesce(k.keyword, 'TABLE')
                                   ELSE format('ALL %s IN SCHEMA', k.all_of) END,
                      CASE WHEN i.in_schema OR w.kind = 'large_object' THEN w.object ELSE quote_ident(w.object) END,
                      ${grantee(sql`w.role`)},
                      CASE WHEN w.grantable THEN ' WITH GRANT OPTION' END),
               NULL::text, array_remove(ARRAY[w.role], NULL),
               CASE WHEN NOT m.made THEN
                 CASE WHEN w.means = 'all' OR w.kind = 'schema' THEN ${text(sqlstates.invalid_schema_name)}
                      WHEN w.kind = 'column' AND w.oid IS NOT NULL THEN ${text(sqlstates.undefined_column)}
                      WHEN w.kind IN ('table', 'sequence', 'column') THEN ${text(sqlstates.undefined_table)}
                      WHEN w.kind = 'function' THEN ${text(sqlstates.undefined_function)}
                      WHEN w.kind = 'database' THEN ${text(sqlstates.undefined_database)}
                      ELSE ${text(sqlstates.undefined_object)} END END,
               CASE WHEN m.made THEN NULL
                    WHEN w.kind = 'column' AND w.oid IS NOT NULL
                      THEN 'there is no column ' || string_agg(DISTINCT quote_ident(w.column_name), ', ')
                    ELSE 'it does not exist' END
        FROM unnest(${wanted}) AS w
        LEFT JOIN ${kindRows} USING (kind)
        CROSS JOIN LATERAL (
          SELECT w.means = 'one' AND w.kind IN ('table', 'sequence', 'column', 'function', 'type')
        ) AS i(in_schema)
        CROSS JOIN LATERAL (
          SELECT coalesce(rolecall_internal.is_to_come(${document}, CASE
            WHEN i.in_schema THEN ${schemaIn(sql`w.object`)}
            WHEN w.means = 'all' OR w.kind = 'schema' THEN w.object END), false)
        ) AS m(made)
        WHERE NOT w.revoked AND w.means <> 'future' AND w.kind <> 'parameter'
          AND (w.oid IS NULL OR w.column_name IS NOT NULL AND w.attnum IS NULL)
          AND (NOT m.made OR w.kind = 'schema')
        GROUP BY w.role, w.object, w.means, w.kind, w.oid, w.grantable, k.keyword, k.all_of, i.in_schema, m.made
        ORDER BY 2, 3;
    END
  `;
}
