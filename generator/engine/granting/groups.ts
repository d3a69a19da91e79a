/**
 * Groups of objects with the same privileges, and the differences between these and the wanted ones.
 *
 * Many objects share few ACLs, so each ACL is expanded once. An object that a privilege names by itself is a group of
 * its own.
 */
import { columnPrivileges, kindClasses, kindRows, objectsOfGroups, objectsOfKinds } from '../../model/kinds.ts';
import type {
  AclGroups,
  Differences,
  Oid,
  Oids,
  Returns,
  Table,
  Text,
  Texts,
  WantedPrivileges,
} from '../../model/types.ts';
import { schemaNames } from '../../model/objects.ts';
import { type Sql, sql, text } from '../../sql/template.ts';
import { thisDatabase } from '../catalogs/server.ts';

/** The groups, g, with their numbers. */
export const numbered = (groups: Sql) =>
  sql`unnest(${groups}) WITH ORDINALITY AS g(kind, schema, owner, acl, special, size, number)`;

/** The schemas of the extension: add_operator() decides who has privileges there. */
export const ownSchemas = sql`
  ARRAY(
    SELECT n.oid FROM pg_namespace AS n
    WHERE n.nspname IN (${schemaNames})
  )
`;

/** Privileges that a column can have too. */
export const ofColumns = text(`{${Object.keys(columnPrivileges).join()}}`);

/**
 * The kinds of objects on which roles have privileges that are not those of an owner, besides tables and sequences;
 * `column` is one of them
 *
 * pg_shdepend knows, so that no catalog has to be read for a kind of which the roles have nothing.
 * @volatility stable
 * @probes
 */
export function held_kinds(roles: Oids): Returns<Texts> {
  return sql`
    BEGIN
      RETURN ARRAY(
        SELECT DISTINCT CASE d.classid WHEN 'pg_class'::regclass THEN 'column' ELSE k.kind END
        FROM unnest(${roles}) AS r(oid)
        CROSS JOIN LATERAL (
          -- A subquery of its own, because a join is planned as a nested loop if the catalog seems to be small.
          SELECT d.classid FROM pg_shdepend AS d
          WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid
            AND (d.classid <> 'pg_class'::regclass OR d.objsubid <> 0)
            AND d.deptype = 'a' AND (d.dbid = 0 OR d.dbid = ${thisDatabase})
          OFFSET 0
        ) AS d
        JOIN ${kindClasses} ON k.class = d.classid
      );
    END
  `;
}

/**
 * In groups, the objects of these kinds that have an ACL, those of some kinds in the schemas, and the special ones,
 * among them the extension's own schemas
 *
 * Conditions that are cheap, and that few objects meet, come before the join.
 * @volatility stable
 */
export function acl_groups(
  schemas: Oids,
  kinds: Texts,
  special_kinds: Texts,
  specials: Oids,
  among: Texts,
): Returns<AclGroups> {
  const isMeant = sql`
    o.acl IS NOT NULL
    OR o.kind = ANY (${kinds}) AND o.schema IN (SELECT unnest(${schemas}))
  `;
  return sql`
    BEGIN
      RETURN ARRAY(
        SELECT ROW(o.kind, o.schema, o.owner, o.acl, s.oid, count(*))::rolecall_internal.acl_group
        FROM (
          ${objectsOfKinds(among as Sql)}
        ) AS o
        LEFT JOIN (
          SELECT u.kind, u.oid FROM unnest(${special_kinds}, ${specials}) AS u(kind, oid)
          UNION SELECT 'schema', unnest(${ownSchemas})
        ) AS s ON s.kind = o.kind AND s.oid = o.oid
        WHERE (${isMeant}
               OR o.kind = 'schema' OR o.oid IN (SELECT unnest(${specials})))
          AND (${isMeant} OR s.oid IS NOT NULL)
          -- Privileges on temporary objects mean nothing.
          AND o.schema NOT IN (SELECT n.oid FROM pg_namespace AS n WHERE starts_with(n.nspname, 'pg_temp_'))
        GROUP BY o.kind, o.schema, o.owner, o.acl, s.oid
      );
    END
  `;
}

/**
 * The objects of the groups with these numbers
 * @volatility stable
 * @long one SELECT for each kind of object
 */
export function objects_of(groups: AclGroups, numbers: Oids): Table<{ number: Oid; object_oid: Oid; name: Text }> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH g AS MATERIALIZED (
          SELECT g.*, ARRAY(
                   SELECT p.special FROM unnest(${groups}) AS p WHERE p.kind = g.kind AND p.special IS NOT NULL
                 ) AS others
          FROM ${numbered(groups)}
          WHERE g.number = ANY (${numbers}::bigint[])
        )
        SELECT o.number::integer::oid, o.oid, o.name::text
        FROM (
          ${objectsOfGroups}
        ) AS o;
    END
  `;
}

/**
 * The differences between the wanted privileges and those that the groups have
 *
 * A privilege that is not wanted is a difference only for the roles that are to have nothing else, and not on objects
 * that belong to the cluster or to the extension.
 * @volatility stable
 */
export function privilege_differences(wanted: WantedPrivileges, groups: AclGroups, exact: Oids): Returns<Differences> {
  return sql`
    DECLARE
      v_here oid := ${thisDatabase};
      v_own oid[] := ${ownSchemas};
    BEGIN
      RETURN ARRAY(
        WITH g AS MATERIALIZED (
          SELECT g.*, coalesce(g.acl, acldefault(k.letter, g.owner)) AS entries,
                 k.shared OR g.kind = 'database' AND g.special IS DISTINCT FROM v_here
                   OR g.schema = ANY (v_own) OR g.kind = 'schema' AND coalesce(g.special = ANY (v_own), false) AS elsewhere
          FROM ${numbered(groups)}
          JOIN ${kindRows} USING (kind)
        ),
        excepted AS MATERIALIZED (
          SELECT * FROM rolecall_internal.excepted_objects(${wanted})
        ),
        want AS MATERIALIZED (
          SELECT w.number, w.role, w.role_oid, w.privilege, bool_or(w.grantable) AS grantable, bool_or(w.revoked) AS revoked
          FROM (
            SELECT g.number, w.* FROM unnest(${wanted}) AS w
            JOIN g ON g.kind = w.kind AND g.special = w.oid
            WHERE w.means = 'one'
            UNION ALL
            SELECT g.number, w.* FROM unnest(${wanted}) AS w
            JOIN g ON g.kind = w.kind AND g.schema = w.oid
            WHERE w.means = 'all' AND NOT EXISTS (
              SELECT FROM excepted AS x
              WHERE x.scope = w.scope AND x.kind = w.kind AND x.object_oid = g.special
                AND (x.columns IS NULL OR w.privilege = ANY (${ofColumns}))
            )
          ) AS w
          GROUP BY w.number, w.role, w.role_oid, w.privilege
        ),
        have AS MATERIALIZED (
          SELECT g.number, g.elsewhere, x.grantee, x.grantor, x.privilege_type AS privilege, x.is_grantable,
                 x.grantee = g.owner AS owns
          FROM g
          CROSS JOIN LATERAL aclexplode(g.entries) AS x
          WHERE x.grantee = ANY (${exact}) OR x.grantee IN (SELECT w.role_oid FROM want AS w)
        )
        SELECT ROW(
                 d.number, coalesce(d.role, 'public'), d.privilege, d.action, d.grantable, d.grantor
               )::rolecall_internal.difference
        FROM (
          SELECT w.number, w.role, w.privilege, 'grant' AS action, w.grantable, NULL::oid AS grantor
          FROM want AS w
          WHERE NOT w.revoked AND NOT EXISTS (
            SELECT FROM have AS h
            WHERE h.number = w.number AND h.grantee = w.role_oid AND h.privilege = w.privilege
              AND (h.is_grantable OR NOT w.grantable OR h.owns)
          )
          UNION ALL
          SELECT h.number, pg_get_userbyid(nullif(h.grantee, 0))::text, h.privilege,
                 CASE WHEN w.revoked IS FALSE THEN 'option' ELSE 'revoke' END, false, h.grantor
          FROM have AS h
          LEFT JOIN want AS w ON w.number = h.number AND w.role_oid = h.grantee AND w.privilege = h.privilege
          WHERE coalesce(w.revoked, false)
            OR h.grantee = ANY (${exact}) AND NOT h.owns AND NOT h.elsewhere
               AND (w.revoked IS NULL OR h.is_grantable AND NOT w.grantable)
        ) AS d
      );
    END
  `;
}
