/**
 * Differences in the privileges of reporting roles on tables and sequences.
 *
 * A sequence is read like a table, because pg_dump reads it. GRANT accepts a sequence among tables, but ALL TABLES
 * does not include it.
 *
 * Many tables share few ACLs, so tables are planned in groups of one schema, kind, owner and ACL. pg_class is read once
 * for the groups, and again only where single tables of a group have to be known.
 */
import type {
  Bool,
  ChangeRow,
  Integer,
  Integers,
  Jsonb,
  Oid,
  Places,
  Returns,
  SetOf,
  Table,
  TableGroups,
  Text,
} from '../../model/types.ts';
import { isSameAcl } from '../../model/kinds.ts';
import { Sql, sql } from '../../sql/template.ts';
import { batch, revoking } from '../catalogs/grantable.ts';
import { isNoShard } from './citus.ts';

/**
 * From PostgreSQL 18 on a statement locks each table that it names, so a call names no more than about that many
 * tables. Beyond that it grants by schema, first where nearly every table is to be granted.
 */
const longList = 1000;

/** The groups with their numbers. */
export const numbered = (groups: Sql, alias: Sql) =>
  sql`unnest(${groups}) WITH ORDINALITY AS ${alias}(schema, kind, owner, acl, sample, size, number)`;

/** Whether a table belongs to a group, as conditions that allow a hash join. */
export const isOfGroup = (table: Sql, group: Sql) => sql`
  ${group}.schema = ${table}.relnamespace AND ${group}.kind = ${table}.relkind AND ${group}.owner = ${table}.relowner
  AND ${isSameAcl(sql`${group}.acl`, sql`${table}.relacl`)}
`;

/** The word after GRANT ... ON ALL that includes a group. */
const kindOf = (group: Sql) => sql`CASE WHEN ${group}.kind = 'S' THEN 'SEQUENCES' ELSE 'TABLES' END`;

/** The roles that are to read the places. */
export const readers = (places: Sql) => sql`
  SELECT DISTINCT p.position, p.role, p.role_oid, p.recorder FROM unnest(${places}) AS p
`;

/**
 * Whether a place withholds a table. The query hashes all withheld tables, because an array would be searched for
 * each table.
 */
export const withholds = (places: Sql, place: Sql, table: Sql) => sql`(${place}.position, ${place}.place, ${table}) IN (
  SELECT h.position, h.place, t.oid
  FROM unnest(${places}) AS h CROSS JOIN LATERAL unnest(h.withheld) AS t(oid)
)`;

/** A condition on the recorder of a place, where that one counts; a role that no longer exists may grant nothing. */
export const recorderMay = (recorder: Sql, holds: (role: Sql) => Sql) => sql`(
  ${recorder} IS NULL
  OR ${holds(sql`coalesce(to_regrole(quote_ident(${recorder}))::oid, 0)`)}
)`;

/**
 * Why a table is not granted: the caller may not grant it, or the recorder may not
 * @volatility stable
 */
export function table_refusal(table_oid: Oid, owner: Oid, recorder: Text): Returns<Text> {
  return sql`
    DECLARE
      v_owned text := format('owned by %I, ', pg_get_userbyid(${owner}));
    BEGIN
      IF ${recorder} IS NOT NULL
        AND has_table_privilege(${table_oid}, 'SELECT WITH GRANT OPTION')
      THEN
        RETURN v_owned || format('and recorded by %I, which may not grant it', ${recorder});
      END IF;
      RETURN v_owned || 'which alone can grant it';
    END
  `;
}

/**
 * All tables and sequences in groups
 * @volatility stable
 */
export function table_groups(): Returns<TableGroups> {
  return sql`
    BEGIN
      RETURN ARRAY(
        SELECT ROW(c.relnamespace, c.relkind, c.relowner, c.relacl, min(c.oid), count(*))::rolecall_internal.table_group
        FROM pg_class AS c
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
          AND ${isNoShard(sql`c.oid`)}
        GROUP BY c.relnamespace, c.relkind, c.relowner, c.relacl
      );
    END
  `;
}

/**
 * The tables of the groups with these numbers
 * @volatility stable
 */
export function tables_of(
  groups: TableGroups,
  numbers: Integers,
): Table<{ number: Integer; table_oid: Oid; name: Text }> {
  return sql`
    BEGIN
      IF cardinality(${numbers}) > 0 THEN
        RETURN QUERY
          SELECT g.number::integer, c.oid, c.relname::text
          FROM pg_class AS c
          JOIN ${numbered(groups, sql`g`)} ON (
            ${isOfGroup(sql`c`, sql`g`)}
          )
          WHERE g.number = ANY (${numbers})
            AND ${isNoShard(sql`c.oid`)};
      END IF;
    END
  `;
}

/**
 * SELECT that is missing on the tables of the groups that missing_groups() found
 * @volatility stable
 */
export function plan_missing_tables(
  places: Places,
  groups: TableGroups,
  missing: Jsonb,
  singly: Bool,
): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH missing AS (
          SELECT p.position, p.place, p.role, p.schema, p.withheld, p.withheld_in, m.number, m.owner, m.allowed, m.whole,
                 m.kind, p.recorder
          FROM jsonb_to_recordset(${missing})
            AS m(position bigint, place bigint, kind text, number integer, owner oid, allowed boolean, whole boolean)
          JOIN unnest(${places}) AS p USING (position, place)
        ),
        whole AS (
          SELECT DISTINCT m.position, m.place, m.role, m.schema, m.withheld, m.withheld_in, m.kind
          FROM missing AS m WHERE m.whole
        ),
        named AS (
          SELECT m.*, t.table_oid, t.name
          FROM missing AS m
          JOIN rolecall_internal.tables_of(
            ${groups}, ARRAY(SELECT DISTINCT n.number FROM missing AS n WHERE NOT n.whole)
          ) AS t USING (number)
          WHERE NOT m.whole AND NOT ${withholds(places, sql`m`, sql`t.table_oid`)}
        ),
        found AS (
          SELECT w.position, 1 AS phase, 0::bigint AS place, 0::bigint AS part, 'grant_privilege' AS operation,
                 string_agg(w.schema, ', ' ORDER BY w.place) AS target,
                 format('GRANT SELECT ON ALL %s IN SCHEMA %s TO %I', w.kind,
                        string_agg(quote_ident(w.schema), ', ' ORDER BY w.place), w.role) AS statement,
                 w.role, NULL::text AS note
          FROM whole AS w
          GROUP BY w.position, w.role, w.kind
          UNION ALL
          SELECT n.position, 1, n.place, n.part, 'grant_privilege',
                 CASE WHEN ${singly} THEN min(format('%I.%I', n.schema, n.name)) ELSE n.schema END,
                 format('GRANT SELECT ON %s TO %I',
                        string_agg(format('%I.%I', n.schema, n.name), ', ' ORDER BY n.name COLLATE "C"), n.role),
                 n.role, NULL
          FROM (
            SELECT a.*, (row_number() OVER (
                     PARTITION BY a.position, a.place ORDER BY a.name COLLATE "C"
                   ) - 1) / CASE WHEN ${singly} THEN 1 ELSE ${batch} END AS part
            FROM named AS a WHERE a.allowed
          ) AS n
          GROUP BY n.position, n.place, n.part, n.schema, n.role
          UNION ALL
          SELECT n.position, 1, n.place, n.table_oid::bigint, 'grant_privilege', format('%I.%I', n.schema, n.name),
                 format('GRANT SELECT ON %I.%I TO %I', n.schema, n.name, n.role), n.role,
                 rolecall_internal.table_refusal(n.table_oid, n.owner, n.recorder)
          FROM named AS n
          WHERE NOT n.allowed
          UNION ALL
          -- ALL TABLES includes the withheld tables. Nobody sees the state between the two statements of one
          -- transaction.
          SELECT w.position, 2, 0, 0, 'revoke_privilege', w.schema,
                 format('REVOKE SELECT ON %s FROM %I', string_agg(t.oid::regclass::text, ', '), w.role), w.role, NULL
          FROM whole AS w
          CROSS JOIN LATERAL unnest(w.withheld, w.withheld_in) AS t(oid, number)
          JOIN ${numbered(groups, sql`g`)}
            ON g.number = t.number AND ${kindOf(sql`g`)} = w.kind
          GROUP BY w.position, w.place, w.schema, w.role
        )
        SELECT f.operation, f.target, f.statement, NULL::text, ARRAY[f.role],
               CASE WHEN f.note IS NOT NULL THEN '42501' END, f.note
        FROM found AS f
        ORDER BY f.position, f.phase, f.place, f.part, f.statement;
    END
  `;
}

/**
 * Whether roles have privileges on tables that they must not have, and whether some are missing; usually neither is
 * so, and this takes less than to find out which
 * @volatility stable
 */
export function table_differences(places: Places, groups: TableGroups): Table<{ excess: Bool; missing: Bool }> {
  return sql`
    BEGIN
      RETURN QUERY
        -- Each ACL is taken apart once, however many roles there are.
        WITH held AS MATERIALIZED (
          SELECT g.number, g.schema, g.owner, x.grantee, x.privilege_type, x.is_grantable
          FROM ${numbered(groups, sql`g`)}
          CROSS JOIN LATERAL aclexplode(g.acl) AS x
          WHERE x.grantee IN (SELECT p.role_oid FROM unnest(${places}) AS p)
        )
        SELECT EXISTS (
                 SELECT FROM held AS h
                 JOIN (
                   ${readers(places)}
                 ) AS t ON t.role_oid = h.grantee AND h.grantee <> h.owner
                 LEFT JOIN unnest(${places}) AS p ON p.position = t.position AND p.schema_oid = h.schema
                 WHERE h.privilege_type <> 'SELECT' OR h.is_grantable OR p.position IS NULL
                   OR h.number = ANY (p.withheld_in)
               ),
               EXISTS (
                 SELECT FROM unnest(${places}) AS p
                 JOIN ${numbered(groups, sql`g`)}
                   ON g.schema = p.schema_oid
                 WHERE g.owner IS DISTINCT FROM p.role_oid
                   AND (g.number, coalesce(p.role_oid, 0)) NOT IN (
                     SELECT h.number, h.grantee FROM held AS h WHERE h.privilege_type = 'SELECT'
                   )
                   AND g.size > (SELECT count(*) FROM unnest(p.withheld_in) AS w(number) WHERE w.number = g.number)
               );
    END
  `;
}

/**
 * The groups with tables on which a role lacks SELECT, for each place; null where there are none
 *
 * For each group it says whether the caller may grant on its tables, and whether to grant on all tables of the schema
 * at once. It does that where the caller may grant on each of them and it costs less than naming them.
 * @volatility stable
 */
export function missing_groups(places: Places, groups: TableGroups, singly: Bool): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        -- Each ACL is taken apart once, however many roles there are.
        WITH reader AS MATERIALIZED (
          SELECT DISTINCT g.number, x.grantee
          FROM ${numbered(groups, sql`g`)}
          CROSS JOIN LATERAL aclexplode(g.acl) AS x
          WHERE x.privilege_type = 'SELECT'
            AND (x.grantee = 0 OR x.grantee IN (SELECT p.role_oid FROM unnest(${places}) AS p))
        ),
        held AS MATERIALIZED (
          SELECT p.position, p.place, p.schema, p.role_oid, p.withheld_in, g.number, g.owner, g.size,
                 ${kindOf(sql`g`)} AS kind, a.allowed,
                 -- A table that PUBLIC reads is granted too, because PUBLIC may lose the privilege; but it does not
                 -- count as missing if the caller cannot grant it.
                 r.number IS NOT NULL OR (u.number IS NOT NULL AND NOT a.allowed) AS reads
          FROM unnest(${places}) AS p
          JOIN ${numbered(groups, sql`g`)}
            ON g.schema = p.schema_oid
          -- Null where the table was dropped since the snapshot.
          CROSS JOIN LATERAL (
            SELECT coalesce(has_table_privilege(g.sample, 'SELECT WITH GRANT OPTION'), true) AND ${recorderMay(
              sql`p.recorder`,
              (role) => sql`coalesce(has_table_privilege(
                ${role}, g.sample, 'SELECT WITH GRANT OPTION'
              ), true)`,
            )}
          ) AS a(allowed)
          LEFT JOIN reader AS r ON r.number = g.number AND r.grantee = p.role_oid
          LEFT JOIN reader AS u ON u.number = g.number AND u.grantee = 0
        ),
        missing AS (
          SELECT h.position, h.place, h.kind, h.number, h.owner, m.tables, h.allowed
          FROM held AS h
          CROSS JOIN LATERAL (
            SELECT h.size - count(*) FROM unnest(h.withheld_in) AS w(number) WHERE w.number = h.number
          ) AS m(tables)
          WHERE NOT h.reads AND h.owner IS DISTINCT FROM h.role_oid AND m.tables > 0
        ),
        manner AS (
          SELECT m.position, m.place, m.kind,
                 h.allowed AND NOT ${singly} AND (
                   m.tables = h.tables
                   OR sum(m.tables) OVER (ORDER BY m.tables::real / h.tables, m.position, h.schema, m.kind) > ${longList}
                 ) AS whole
          FROM (
            SELECT m.position, m.place, m.kind, sum(m.tables) AS tables
            FROM missing AS m GROUP BY m.position, m.place, m.kind
          ) AS m
          JOIN (
            SELECT h.position, h.place, h.kind, h.schema, bool_and(h.allowed) AS allowed, sum(h.size) AS tables
            FROM held AS h GROUP BY h.position, h.place, h.kind, h.schema
          ) AS h USING (position, place, kind)
        )
        SELECT jsonb_agg(jsonb_build_object(
                 'position', m.position, 'place', m.place, 'kind', m.kind, 'number', m.number,
                 'owner', m.owner::bigint, 'allowed', m.allowed, 'whole', n.whole
               ))
        FROM missing AS m
        JOIN manner AS n USING (position, place, kind)
      );
    END
  `;
}

/**
 * Privileges on tables and sequences that a role must not have
 * @volatility stable
 */
export function plan_table_excess(places: Places, groups: TableGroups): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_suspect jsonb := rolecall_internal.suspect_groups(${places}, ${groups});
    BEGIN
      RETURN QUERY
        WITH suspect AS (
          SELECT s.*, p.place
          FROM jsonb_to_recordset(v_suspect)
            AS s(position bigint, role text, number integer, schema oid, kind text, owner oid, grantor oid, reads boolean,
                 passes_on boolean, writes text)
          LEFT JOIN unnest(${places}) AS p ON p.position = s.position AND p.schema_oid = s.schema
        ),
        excess AS (
          SELECT s.position, s.role, CASE s.kind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END AS kind, n.nspname AS target,
                 format('%I.%I', n.nspname, t.name) AS object, s.owner, s.grantor, d.privileges
          FROM suspect AS s
          JOIN rolecall_internal.tables_of(
            ${groups}, ARRAY(SELECT DISTINCT s.number FROM suspect AS s)
          ) AS t USING (number)
          JOIN pg_namespace AS n ON n.oid = s.schema
          CROSS JOIN LATERAL (
            SELECT s.place IS NOT NULL AND NOT ${withholds(places, sql`s`, sql`t.table_oid`)}
          ) AS r(readable)
          CROSS JOIN LATERAL (
            SELECT nullif(concat_ws(', ', CASE WHEN s.reads AND NOT r.readable THEN 'SELECT' END, s.writes), '')
            UNION ALL SELECT 'GRANT OPTION FOR SELECT' WHERE s.passes_on AND r.readable
          ) AS d(privileges)
          WHERE d.privileges IS NOT NULL
        )
        ${revoking(sql`excess`)};
    END
  `;
}

/**
 * The groups with tables on which a role has a privilege that it must not have, by grantor
 *
 * The group says what the role has. Where only the withheld tables of a group are in excess, only those are meant.
 * @volatility stable
 */
export function suspect_groups(places: Places, groups: TableGroups): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT jsonb_agg(jsonb_build_object(
                 'position', t.position, 'role', t.role, 'number', e.number, 'schema', e.schema::bigint, 'kind', e.kind,
                 'owner', e.owner::bigint, 'grantor', e.grantor::bigint, 'reads', e.reads, 'passes_on', e.passes_on,
                 'writes', e.writes
               ))
        FROM (
          SELECT g.number, g.schema, g.kind, g.owner, x.grantee, x.grantor,
                 bool_or(x.privilege_type = 'SELECT') AS reads,
                 bool_or(x.privilege_type = 'SELECT' AND x.is_grantable) AS passes_on,
                 string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type)
                   FILTER (WHERE x.privilege_type <> 'SELECT') AS writes
          FROM ${numbered(groups, sql`g`)}
          CROSS JOIN LATERAL aclexplode(g.acl) AS x
          WHERE x.grantee <> g.owner AND x.grantee IN (SELECT p.role_oid FROM unnest(${places}) AS p)
          GROUP BY 1, 2, 3, 4, 5, 6
        ) AS e
        JOIN (
          ${readers(places)}
        ) AS t ON t.role_oid = e.grantee
        LEFT JOIN unnest(${places}) AS p ON p.position = t.position AND p.schema_oid = e.schema
        WHERE e.writes IS NOT NULL OR e.passes_on OR p.position IS NULL OR e.number = ANY (p.withheld_in)
      );
    END
  `;
}
