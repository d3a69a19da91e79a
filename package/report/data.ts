/**
 * What the report shows, from the catalogs: one query for each of its parts.
 */
import type { Database, Row } from '../cli/command.ts';

const roles = `SELECT r.rolname AS role, r.rolcanlogin AS login, r.rolsuper AS superuser, r.rolcreaterole AS createrole,
  r.rolcreatedb AS createdb, r.rolreplication AS replication, r.rolbypassrls AS bypassrls,
  r.rolvaliduntil::text AS valid_until
FROM pg_catalog.pg_roles AS r WHERE r.rolname !~ '^pg_' ORDER BY r.rolname`;

// INHERIT and SET belong to the membership from PostgreSQL 16 on.
const memberships = `SELECT g.rolname AS role, m.rolname AS member, bool_or(a.admin_option) AS admin,
  bool_or(coalesce((to_jsonb(a) ->> 'inherit_option')::boolean, m.rolinherit)) AS inherit,
  bool_or(coalesce((to_jsonb(a) ->> 'set_option')::boolean, true)) AS set
FROM pg_catalog.pg_auth_members AS a
JOIN pg_catalog.pg_roles AS g ON g.oid = a.roleid
JOIN pg_catalog.pg_roles AS m ON m.oid = a.member
WHERE m.rolname !~ '^pg_' GROUP BY g.rolname, m.rolname ORDER BY g.rolname, m.rolname`;

/**
 * What each role has in each schema, and how: itself, or through roles whose privileges it inherits, including
 * predefined ones. PUBLIC has a row of its own.
 */
const access = `WITH RECURSIVE space AS MATERIALIZED (
  SELECT n.oid, n.nspname, n.nspowner, n.nspacl FROM pg_catalog.pg_namespace AS n
  WHERE n.nspname !~ '^(pg_|information_schema$|rolecall)'
), acl AS MATERIALIZED (
  SELECT 'n'::"char" AS letter, s.oid AS schema, s.nspowner AS owner, s.nspacl AS acl FROM space AS s
  UNION
  SELECT 'r', c.relnamespace, c.relowner, c.relacl FROM pg_catalog.pg_class AS c
  JOIN space AS s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  UNION
  SELECT 'c', c.relnamespace, c.relowner, t.attacl FROM pg_catalog.pg_attribute AS t
  JOIN pg_catalog.pg_class AS c ON c.oid = t.attrelid JOIN space AS s ON s.oid = c.relnamespace WHERE t.attacl IS NOT NULL
  UNION
  SELECT 'f', p.pronamespace, p.proowner, p.proacl FROM pg_catalog.pg_proc AS p JOIN space AS s ON s.oid = p.pronamespace
), granted(grantee, schema, kind) AS (
  SELECT DISTINCT a.grantee, acl.schema, CASE a.privilege_type WHEN 'USAGE' THEN 'use' WHEN 'CREATE' THEN 'create'
    WHEN 'SELECT' THEN 'read' WHEN 'EXECUTE' THEN 'execute' ELSE 'write' END
  FROM acl, LATERAL pg_catalog.aclexplode(coalesce(acl.acl, pg_catalog.acldefault(acl.letter, acl.owner))) AS a
  WHERE a.privilege_type IN ('USAGE', 'CREATE', 'SELECT', 'EXECUTE', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
  UNION
  SELECT r.oid, s.oid, k.kind FROM space AS s CROSS JOIN pg_catalog.pg_roles AS r
  JOIN (VALUES ('pg_read_all_data', 'use'), ('pg_read_all_data', 'read'), ('pg_write_all_data', 'use'),
    ('pg_write_all_data', 'write')) AS k(role, kind) ON k.role = r.rolname
), has(role, through) AS (
  SELECT r.oid, r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname !~ '^pg_' AND NOT r.rolsuper
  UNION
  SELECT h.role, m.roleid
  FROM has AS h
  JOIN pg_catalog.pg_auth_members AS m ON m.member = h.through
  JOIN pg_catalog.pg_roles AS r ON r.oid = m.member
  WHERE coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, r.rolinherit)
), way(role, through, text) AS (
  SELECT h.role, h.through, CASE WHEN h.through = h.role THEN 'itself' ELSE 'member of ' || t.rolname END
  FROM has AS h JOIN pg_catalog.pg_roles AS t ON t.oid = h.through
  UNION ALL
  SELECT 0, 0, 'everybody'
)
SELECT coalesce(r.rolname, 'PUBLIC') AS role, s.nspname AS schema, ${['use', 'read', 'write', 'execute', 'create']
  .map(
    (kind) => `coalesce(string_agg(w.text, ', ' ORDER BY w.text) FILTER (WHERE g.kind = '${kind}'), '') AS "${kind}"`,
  )
  .join(', ')}
FROM granted AS g
JOIN way AS w ON w.through = g.grantee
JOIN space AS s ON s.oid = g.schema
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = w.role
GROUP BY r.rolname, s.nspname ORDER BY r.rolname COLLATE "C" NULLS FIRST, s.nspname COLLATE "C"`;

export interface Report {
  readonly database: string;
  readonly server: string;
  readonly at: string;
  readonly roles: readonly Row[];
  readonly memberships: readonly Row[];
  readonly access: readonly Row[];
  readonly findings: readonly Row[];
  readonly drift: readonly Row[];
  readonly undeclared: readonly Row[];
}

export async function readReport({ query, rolecall }: Database): Promise<Report> {
  const ask = async (text: string, values: unknown[] = []): Promise<Row[]> => (await query(text, values)).rows as Row[];
  const [about] = await ask(
    "SELECT current_database() AS database, current_setting('server_version') AS server, now()::text AS at",
  );
  const steps = await rolecall.drift();
  return {
    database: String(about?.['database']),
    server: String(about?.['server']),
    at: String(about?.['at']),
    roles: await ask(roles),
    memberships: await ask(memberships),
    access: await ask(access),
    findings: (await rolecall.audit()) as Row[],
    drift: steps.map(({ target, operation, statement, note }) => ({ target, operation, statement, note })),
    undeclared: (await rolecall.undeclared()) as Row[],
  };
}
