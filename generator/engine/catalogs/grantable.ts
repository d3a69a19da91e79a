/**
 * The objects on which a role can have privileges, or that it can own: for the plan, which revokes what a reporting
 * role must not have, and for audit_role().
 */
import type { Jsonb, Returns } from '../../model/types.ts';
import { caller } from './server.ts';
import { catalogOf, kindList, query, union } from '../../model/kinds.ts';
import { raw, Sql, sql, text } from '../../sql/template.ts';

/**
 * The number of objects in one statement, which is one subtransaction. Granting on 10,000 tables one by one takes 1.5
 * times as long as granting on 500 at once; 5,000 at once are no faster. With 500, 10,000 objects are 20
 * subtransactions; from 65 on, a transaction slows down the queries of others (docs/benchmarks.md).
 */
export const batch = 500;

/** The one privilege of each kind that neither writes nor gives other rights, where the kind has one. */
const harmless: Readonly<Record<string, string>> = { database: 'CONNECT', schema: 'USAGE', large_object: 'SELECT' };

/** A role as GRANT and REVOKE take it. */
export const grantee = (role: Sql): Sql => sql`coalesce(quote_ident(nullif(${role}, 'public')), 'PUBLIC')`;

/** Every object of the kinds whose name alone identifies them in GRANT. */
export const grantableObjects = union(
  kindList
    .filter(([, { schema }]) => schema === undefined)
    .map(([name, kind]) =>
      query(
        kind,
        sql`
          ${text(kind.class ?? catalogOf(kind))}::regclass AS classid, ${raw(kind.oid)} AS oid, ${text(kind.keyword)} AS kind,
                 ${raw(kind.name)} AS object, ${raw(kind.owner)} AS owner, ${raw(kind.acl)} AS acl, ${name in harmless ? text(String(harmless[name])) : sql`NULL`} AS harmless
        `,
      ),
    ),
);

/**
 * The statements that revoke privileges, each on many objects at once
 *
 * A row of excess is one object with the privileges on it that one grantor granted. REVOKE revokes what the owner
 * granted if the caller has the owner's rights, and otherwise what the caller itself granted. What others granted
 * stays, without an error.
 */
export const revocations = (excess: Sql) => sql`
  SELECT r.position, 1 AS phase, 0::bigint AS place, r.part, 'revoke_privilege' AS operation, r.target,
         concat(CASE WHEN r.delegated THEN 'SET ROLE ' || quote_ident(r.held_by) || '; ' END,
                format('REVOKE %s ON %s%s FROM %s CASCADE', r.privileges, r.kind,
                       string_agg(r.object, ', ' ORDER BY r.object),
                       ${grantee(sql`r.role`)}),
                CASE WHEN r.delegated THEN '; RESET ROLE' END) AS statement,
         r.role, 'granted by ' || quote_ident(r.held_by) || ', whose it is to take back' AS note
  FROM (
    SELECT e.*, h.held_by, h.delegated,
           (row_number() OVER (
             PARTITION BY e.position, e.kind, e.target, e.privileges, h.held_by, h.delegated ORDER BY e.object
           ) - 1) / ${batch} AS part
    FROM ${excess} AS e
    CROSS JOIN LATERAL (
      SELECT CASE WHEN pg_has_role(e.owner, 'USAGE') THEN e.owner
                  ELSE ${caller} END
    ) AS b(revoker)
    CROSS JOIN LATERAL (
      SELECT pg_get_userbyid(e.grantor), e.grantor <> e.owner WHERE e.grantor <> b.revoker
      UNION ALL SELECT NULL, false WHERE e.grantor = b.revoker
    ) AS h(held_by, delegated)
  ) AS r
  GROUP BY r.position, r.kind, r.target, r.privileges, r.role, r.held_by, r.delegated, r.part
`;

/** The changes that revoke excess. Privileges that somebody else has granted are skipped. */
export const revoking = (excess: Sql) => sql`
  SELECT r.operation, r.target::text, r.statement, NULL::text, array_remove(ARRAY[r.role], 'public'),
         CASE WHEN r.note IS NOT NULL THEN '42501' END, r.note
  FROM (
    ${revocations(excess)}
  ) AS r
  ORDER BY r.position, r.role COLLATE "C", r.part, r.statement COLLATE "C"
`;

/**
 * In a remedy, the placeholder for a role that the reader has to choose: one that owns objects, and has no more
 * rights than the old owner. If a remedy named the role that runs it, objects that act as their owner would act as a
 * superuser wherever one runs it.
 */
export const plainOwner = raw('"a plain owner"');
/** The same with a remark, for the findings of the audit, which do not explain it otherwise. */
export const plainOwnerToChoose = raw('"a plain owner" /* your choice */');

/**
 * A query for the roles that may create objects in a schema, which are its owner and the grantees, and for the
 * grantors; role_oid 0 is PUBLIC.
 */
export const mayCreate = (schema: Sql, databaseOwner: Sql) => sql`
  SELECT CASE a.grantee WHEN 'pg_database_owner'::regrole THEN ${databaseOwner} ELSE a.grantee END AS role_oid, a.*
  FROM (
    SELECT ${schema}.nspowner, NULL::oid, true
    UNION ALL
    SELECT x.grantee, x.grantor, false FROM aclexplode(${schema}.nspacl) AS x
    WHERE x.privilege_type = 'CREATE' AND x.grantee <> ${schema}.nspowner
  ) AS a(grantee, grantor, owns)
`;

/** The owner of this database. */
export const databaseOwner = sql`(SELECT d.datdba FROM pg_database AS d WHERE d.datname = current_database() LIMIT 1)`;

/** The rows of pg_shdepend that look like owned objects, but only describe the role. */
export const aboutTheRole = sql`('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)`;

/** Whether a row of pg_shdepend, d, is an object that the role owns. */
export const owned = (d: Sql) => sql`${d}.deptype = 'o'
  AND ${d}.classid NOT IN ${aboutTheRole}`;

/**
 * Privileges on configuration parameters, from PostgreSQL 15 on
 * @volatility stable
 */
export function parameter_privileges(): Returns<Jsonb> {
  return sql`
    DECLARE
      v_catalog text;
      v_privileges jsonb;
    BEGIN
      SELECT c.relname::text INTO v_catalog FROM pg_class AS c WHERE c.oid = to_regclass('pg_catalog.pg_parameter_acl');
      IF FOUND THEN
        EXECUTE format(
          'SELECT jsonb_agg(to_jsonb(x) || jsonb_build_object(''parameter'', a.parname)) '
          'FROM pg_catalog.%I AS a CROSS JOIN LATERAL aclexplode(a.paracl) AS x',
          v_catalog
        ) INTO v_privileges;
      END IF;
      RETURN coalesce(v_privileges, '[]');
    END
  `;
}

/** The privileges on parameters; the bootstrap superuser, whose oid is 10, owns them all. */
export const parameterPrivileges = (alias: Sql) => sql`
  jsonb_to_recordset(rolecall_internal.parameter_privileges())
    AS ${alias}(parameter text, grantor oid, grantee oid, privilege_type text, is_grantable boolean)
`;

/** The name of a parameter as GRANT takes it. */
export const quotedParameter = (name: Sql) => sql`
  (
    SELECT string_agg(quote_ident(s.part), '.' ORDER BY s.place)
    FROM string_to_table(${name}, '.') WITH ORDINALITY AS s(part, place)
  )
`;
