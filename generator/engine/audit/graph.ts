/**
 * Roles as a graph: who is a member of what, and what each reads and writes by itself.
 */
import { schemaNames } from '../../model/objects.ts';
import type { Bool, Jsonb, Returns, Table, Text, Texts } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * The graph as data: roles, memberships with their options, and what each role, or PUBLIC, reads and writes per schema
 *
 * For these roles, or all that are not predefined, and for the roles that they are members of.
 * @volatility stable
 */
export function graph(roles: Texts): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        WITH RECURSIVE member AS (
          SELECT r.oid FROM pg_roles AS r
          WHERE r.rolname = ANY (${roles})
            OR ${roles} IS NULL AND NOT starts_with(r.rolname, 'pg_')
          UNION
          SELECT e.roleid FROM member AS m JOIN pg_auth_members AS e ON e.member = m.oid
        ),
        edge AS (
          SELECT e.member, e.roleid, bool_or(e.admin_option) AS admin,
                 bool_or(coalesce((to_jsonb(e) -> 'inherit_option')::boolean, r.rolinherit)) AS inherit,
                 bool_or(coalesce((to_jsonb(e) -> 'set_option')::boolean, true)) AS set
          FROM member AS m
          JOIN pg_auth_members AS e ON e.member = m.oid
          JOIN pg_roles AS r ON r.oid = e.member
          GROUP BY e.member, e.roleid
        ),
        -- Each ACL is expanded once, however many tables share it.
        acl AS MATERIALIZED (
          SELECT DISTINCT c.relnamespace, c.relowner, c.relacl FROM pg_class AS c
          WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
        ),
        access AS (
          SELECT x.grantee, n.nspname, bool_or(x.privilege_type = 'SELECT') AS reads,
                 bool_or(x.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')) AS writes
          FROM acl AS a
          JOIN pg_namespace AS n ON n.oid = a.relnamespace
          CROSS JOIN LATERAL aclexplode(coalesce(a.relacl, acldefault('r', a.relowner))) AS x
          WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN (
              'information_schema', ${schemaNames}
            )
            AND (x.grantee = 0 OR x.grantee IN (SELECT m.oid FROM member AS m))
          GROUP BY x.grantee, n.nspname
        )
        SELECT jsonb_build_object(
          'roles', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                     'name', r.rolname, 'login', r.rolcanlogin, 'superuser', r.rolsuper, 'bypassrls', r.rolbypassrls
                   ) ORDER BY r.rolname COLLATE "C"), '[]')
            FROM pg_roles AS r JOIN member AS m ON m.oid = r.oid
          ),
          'memberships', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                     'member', n.member, 'role', n.role, 'admin', e.admin, 'inherit', e.inherit, 'set', e.set
                   ) ORDER BY n.member COLLATE "C", n.role COLLATE "C"), '[]')
            FROM edge AS e
            CROSS JOIN LATERAL (
              SELECT pg_get_userbyid(e.member)::text, pg_get_userbyid(e.roleid)::text
            ) AS n(member, role)
          ),
          'access', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                     'role', n.role, 'everybody', a.grantee = 0, 'schema', a.nspname, 'reads', a.reads, 'writes', a.writes
                   ) ORDER BY n.role COLLATE "C", a.nspname COLLATE "C"), '[]')
            FROM access AS a
            CROSS JOIN LATERAL (
              SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END
            ) AS n(role)
            WHERE a.reads OR a.writes
          )
        )
      );
    END
  `;
}

/** The options of a membership, where they are not those of a plain GRANT. */
const options = sql`
  nullif(concat_ws(', ', CASE WHEN NOT e.inherit THEN 'no inherit' END,
                   CASE WHEN NOT e.set THEN 'no set' END, CASE WHEN e.admin THEN 'admin' END), '')
`;

/**
 * Nodes and arrows of a graph, in order, with numbers for the names; kinds of nodes: role, PUBLIC and schema
 * @volatility immutable
 */
export function graph_parts(data: Jsonb): Table<{
  id: Text;
  kind: Text;
  name: Text;
  login: Bool;
  goal: Text;
  label: Text;
}> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH access AS MATERIALIZED (
          -- A role can also be called "PUBLIC".
          SELECT a.*, CASE WHEN a.everybody THEN 'p' ELSE 'r' END AS kind
          FROM jsonb_to_recordset(${data} -> 'access')
            AS a(role text, everybody boolean, schema text, reads boolean, writes boolean)
        ),
        named AS (
          SELECT 'r' AS kind, r.name, r.login
          FROM jsonb_to_recordset(${data} -> 'roles') AS r(name text, login boolean)
          UNION SELECT 'p', 'PUBLIC', false FROM access AS a WHERE a.kind = 'p'
          UNION SELECT 's', a.schema, false FROM access AS a
        ),
        node AS MATERIALIZED (
          SELECT n.*, row_number() OVER (PARTITION BY n.kind ORDER BY n.name COLLATE "C") AS number FROM named AS n
        ),
        arrow AS (
          SELECT 1 AS part, m.number, r.number AS goal, 'r' AS kind, 'r' AS to_kind,
                 ${options} AS label
          FROM jsonb_to_recordset(${data} -> 'memberships')
            AS e(member text, role text, admin boolean, inherit boolean, set boolean)
          JOIN node AS m ON m.name = e.member AND m.kind = 'r'
          JOIN node AS r ON r.name = e.role AND r.kind = 'r'
          UNION ALL
          SELECT 2, r.number, s.number, a.kind, 's',
                 concat_ws(', ', CASE WHEN a.reads THEN 'reads' END, CASE WHEN a.writes THEN 'writes' END)
          FROM access AS a
          JOIN node AS r ON r.name = a.role AND r.kind = a.kind
          JOIN node AS s ON s.name = a.schema AND s.kind = 's'
        )
        SELECT concat(l.kind, l.number), l.kind, l.name, l.login, l.to_kind || l.goal, l.label
        FROM (
          SELECT 0 AS part, n.kind, n.number, n.name, n.login, NULL AS to_kind, NULL::bigint AS goal, NULL AS label
          FROM node AS n
          UNION ALL
          SELECT a.part, a.kind, a.number, NULL, NULL, a.to_kind, a.goal, a.label FROM arrow AS a
        ) AS l
        ORDER BY l.part, l.kind DESC, l.number, l.goal;
    END
  `;
}

/**
 * A graph in the notation of Mermaid
 * @volatility immutable
 */
export function graph_mermaid(data: Jsonb): Returns<Text> {
  return sql`
    BEGIN
      RETURN 'flowchart LR' || coalesce((
        SELECT string_agg(E'\n' || CASE
                 WHEN p.name IS NULL AND p.goal LIKE 's%' THEN format('  %s -. "%s" .-> %s', p.id, p.label, p.goal)
                 WHEN p.name IS NULL THEN format('  %s -->%s %s', p.id, '|"' || p.label || '"|', p.goal)
                 WHEN p.kind = 's' THEN format('  %s[("%s")]', p.id, n.label)
                 WHEN p.login THEN format('  %s(["%s"])', p.id, n.label)
                 ELSE format('  %s["%s"]', p.id, n.label) END, '' ORDER BY p.position)
        FROM rolecall_internal.graph_parts(${data})
             WITH ORDINALITY AS p(id, kind, name, login, goal, label, position)
        CROSS JOIN LATERAL (SELECT rolecall_internal.graph_label(p.name)) AS n(label)
      ), '');
    END
  `;
}

/**
 * A name for Mermaid: characters that would end the text, or be taken for HTML, are written as numbers
 * @volatility immutable
 */
export function graph_label(name: Text): Returns<Text> {
  return sql`
    BEGIN
      RETURN (
        SELECT string_agg(CASE WHEN strpos('#"<>&' || chr(92) || chr(96), c.letter) > 0 OR ascii(c.letter) < 32
                                 THEN format('#%s;', ascii(c.letter)) ELSE c.letter END, '' ORDER BY c.position)
        FROM string_to_table(${name}, NULL) WITH ORDINALITY AS c(letter, position)
      );
    END
  `;
}

/**
 * A graph in the notation of Graphviz
 * @volatility immutable
 */
export function graph_dot(data: Jsonb): Returns<Text> {
  return sql`
    BEGIN
      RETURN E'digraph roles {\n  rankdir=LR;' || coalesce((
        SELECT string_agg(E'\n' || CASE
                 WHEN p.name IS NULL AND p.goal LIKE 's%'
                   THEN format('  %s -> %s [label="%s", style=dotted];', p.id, p.goal, p.label)
                 WHEN p.name IS NULL THEN format('  %s -> %s%s;', p.id, p.goal, ' [label="' || p.label || '"]')
                 ELSE format('  %s [label="%s", shape=%s];', p.id,
                             replace(replace(p.name, chr(92), chr(92) || chr(92)), '"', chr(92) || '"'),
                             CASE WHEN p.kind = 's' THEN 'cylinder' WHEN p.login THEN 'ellipse' ELSE 'box' END) END,
                 '' ORDER BY p.position)
        FROM rolecall_internal.graph_parts(${data})
             WITH ORDINALITY AS p(id, kind, name, login, goal, label, position)
      ), '') || E'\n}';
    END
  `;
}
