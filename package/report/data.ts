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

/** What each role has in each schema, itself or by roles whose privileges it inherits; PUBLIC is a row of its own. */
const access = `WITH RECURSIVE granted(grantee, schema, kind) AS (
  SELECT a.grantee, n.oid, CASE a.privilege_type WHEN 'USAGE' THEN 'use' ELSE 'create' END
  FROM pg_catalog.pg_namespace AS n,
    LATERAL pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) AS a
  UNION
  SELECT a.grantee, c.relnamespace, CASE a.privilege_type WHEN 'SELECT' THEN 'read' ELSE 'write' END
  FROM pg_catalog.pg_class AS c,
    LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) AS a
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
  UNION
  SELECT a.grantee, c.relnamespace, CASE a.privilege_type WHEN 'SELECT' THEN 'read' ELSE 'write' END
  FROM pg_catalog.pg_attribute AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.attrelid,
    LATERAL pg_catalog.aclexplode(t.attacl) AS a
  WHERE a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE')
  UNION
  SELECT a.grantee, p.pronamespace, 'execute'
  FROM pg_catalog.pg_proc AS p,
    LATERAL pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) AS a
), has(role, through) AS (
  SELECT r.oid, r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname !~ '^pg_'
  UNION
  SELECT h.role, m.roleid
  FROM has AS h
  JOIN pg_catalog.pg_auth_members AS m ON m.member = h.through
  JOIN pg_catalog.pg_roles AS r ON r.oid = m.member
  WHERE coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, r.rolinherit)
), found AS (
  SELECT h.role, g.schema, g.kind, h.through FROM granted AS g JOIN has AS h ON h.through = g.grantee
  UNION ALL
  SELECT 0, g.schema, g.kind, 0 FROM granted AS g WHERE g.grantee = 0
)
SELECT coalesce(r.rolname, 'PUBLIC') AS role, n.nspname AS schema,
  bool_or(f.kind = 'use') AS use, bool_or(f.kind = 'read') AS read, bool_or(f.kind = 'write') AS write,
  bool_or(f.kind = 'execute') AS execute, bool_or(f.kind = 'create') AS create,
  string_agg(DISTINCT CASE WHEN f.through = f.role THEN 'itself' ELSE 'member of ' || t.rolname END, ', ') AS way
FROM found AS f
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.schema
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = f.role
LEFT JOIN pg_catalog.pg_roles AS t ON t.oid = f.through
WHERE n.nspname !~ '^(pg_|information_schema$|rolecall)' AND r.rolsuper IS NOT TRUE
GROUP BY r.rolname, n.nspname ORDER BY r.rolname NULLS FIRST, n.nspname`;

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

export async function readReport({ query, rolecall }: Database, audit: string): Promise<Report> {
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
    findings: await ask(audit, [null]),
    drift: steps.map(({ target, operation, statement, note }) => ({ target, operation, statement, note })),
    undeclared: (await rolecall.undeclared()) as Row[],
  };
}
