/**
 * The present state as a desired state: roles as they are in the cluster and this database, whoever created them.
 */
import { kindList, kindRows } from '../../model/kinds.ts';
import { schemaNames } from '../../model/objects.ts';
import type {
  AclGroups,
  BigInteger,
  Bool,
  Jsonb,
  Oid,
  Oids,
  Returns,
  SetOf,
  Table,
  Text,
  Texts,
} from '../../model/types.ts';
import { join, sql, text } from '../../sql/template.ts';
import { parameterPrivileges } from '../catalogs/grantable.ts';
import { isMark, thisDatabase } from '../catalogs/server.ts';
import { isProtected } from '../document/names.ts';
import { numbered, ownSchemas } from '../granting/groups.ts';
import { present } from '../plan/roles.ts';
import { isReporting } from '../plan/users.ts';

/** Schemas whose owners, and whose privileges of PUBLIC, are left out. */
const systemSchemas = sql`
  (
    SELECT n.oid FROM pg_namespace AS n
    WHERE n.nspname ~ '^pg_'
      OR n.nspname IN ('information_schema', ${schemaNames})
  )
`;

/** Kinds whose objects are in schemas. */
const kindsInSchemas = sql`ARRAY[
  ${join(kindList.filter(([, { schema }]) => schema !== undefined).map(([kind]) => text(kind)))}
]`;

const everyKind = sql`ARRAY[
  ${join(
    kindList.map(([kind]) => text(kind)),
    ',\n',
  )}
]`;

/** The kinds that a policy names by their plain names, without quotes. */
const plainKinds = join(
  kindList
    .filter(([kind, { qualified }]) => qualified === undefined && kind !== 'large_object')
    .map(([kind]) => text(kind)),
);

/**
 * The roles that a policy can be about, of these or of all: neither superusers nor predefined, nor the caller, nor
 * reporting roles
 * @volatility stable
 */
export function inspected_roles(roles: Texts): Returns<Oids> {
  return sql`
    BEGIN
      RETURN ARRAY(
        SELECT r.oid FROM pg_roles AS r
        WHERE (${roles} IS NULL OR r.rolname = ANY (${roles}))
          AND NOT starts_with(r.rolname, 'pg_')
          AND NOT ${isProtected(sql`r.rolname::text`, sql`r.oid`)}
          AND NOT ${isReporting(sql`r.rolname`)}
          AND NOT EXISTS (
            SELECT FROM pg_db_role_setting AS s
            WHERE s.setrole = r.oid AND s.setdatabase <> 0 AND rolecall_internal.other_database(r.rolname) IS NOT NULL
          )
        ORDER BY r.rolname COLLATE "C"
      );
    END
  `;
}

/**
 * Roles with everything that belongs to the cluster, as a desired state
 * @volatility stable
 */
export function inspected_state(roles: Texts): Returns<Jsonb> {
  return sql`
    DECLARE
      v_roles oid[] := rolecall_internal.inspected_roles(${roles});
      v_here oid := ${thisDatabase};
    BEGIN
      RETURN jsonb_strip_nulls(jsonb_build_object(
        'roles', (
          SELECT jsonb_agg(jsonb_build_object('name', a.rolname, 'attributes', jsonb_build_object(
                 ${present}
               )))
          FROM pg_roles AS a WHERE a.oid = ANY (v_roles)
        ),
        'declared', (
          SELECT jsonb_agg(jsonb_build_object('role', pg_get_userbyid(r.oid), 'exact', true)) FROM unnest(v_roles) AS r(oid)
        ),
        'comments', (
          SELECT jsonb_agg(jsonb_build_object('role', pg_get_userbyid(d.objoid), 'comment', d.description))
          FROM pg_shdescription AS d
          WHERE d.classoid = 'pg_authid'::regclass AND d.objoid = ANY (v_roles)
        ),
        'memberships', rolecall_internal.inspected_memberships(v_roles),
        'settings', (
          SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                   'role', pg_get_userbyid(s.setrole), 'name', n.name, 'here', CASE WHEN s.setdatabase <> 0 THEN true END,
                   'value', rolecall_internal.setting_value(n.name, substr(e.entry, length(n.name) + 2))
                 )))
          FROM pg_db_role_setting AS s
          CROSS JOIN LATERAL unnest(s.setconfig) AS e(entry)
          CROSS JOIN LATERAL (SELECT split_part(e.entry, '=', 1)) AS n(name)
          WHERE s.setrole = ANY (v_roles) AND s.setdatabase IN (0, v_here) AND NOT ${isMark(sql`e.entry`)}
        ),
        'schemas', (
          SELECT jsonb_agg(jsonb_build_object('name', n.nspname, 'owner', pg_get_userbyid(n.nspowner)))
          FROM pg_namespace AS n
          WHERE n.nspowner = ANY (v_roles) AND n.oid NOT IN ${systemSchemas}
        ),
        'privileges', (
          SELECT jsonb_agg(p.resource)
          FROM rolecall_internal.inspected_privileges(v_roles, ${roles} IS NULL) AS p(resource)
        )
      ));
    END
  `;
}

/**
 * Memberships with the options that differ from what a plain GRANT gives
 * @volatility stable
 */
export function inspected_memberships(roles: Oids): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                 'member', m.rolname, 'role', pg_get_userbyid(e.roleid), 'admin', CASE WHEN e.admin THEN true END,
                 'inherit', CASE WHEN e.inherit <> m.rolinherit THEN e.inherit END,
                 'set', CASE WHEN NOT e.set THEN false END
               )))
        FROM (
          SELECT a.member, a.roleid, bool_or(a.admin_option) AS admin,
                 bool_or((to_jsonb(a) -> 'inherit_option')::boolean) AS inherit,
                 bool_or((to_jsonb(a) -> 'set_option')::boolean) AS set
          FROM pg_auth_members AS a
          WHERE a.member = ANY (${roles}) AND NOT rolecall_internal.is_creator_edge(to_jsonb(a))
          GROUP BY a.member, a.roleid
        ) AS e
        JOIN pg_roles AS m ON m.oid = e.member
      );
    END
  `;
}

/**
 * Privileges on objects of this database, and default privileges: those of the roles, and those in which PUBLIC
 * differs from what the server gives it
 * @volatility stable
 * @long one query, in which each part excludes what the others say
 */
export function inspected_privileges(roles: Oids, everybody: Bool): SetOf<Jsonb> {
  return sql`
    DECLARE
      v_groups rolecall_internal.acl_group[] := rolecall_internal.acl_groups(
        ARRAY(SELECT n.oid FROM pg_namespace AS n WHERE n.oid NOT IN ${systemSchemas}),
        ${kindsInSchemas}, ARRAY['database'], ARRAY[${thisDatabase}], ${everyKind}
      );
    BEGIN
      RETURN QUERY
        WITH held AS MATERIALIZED (
          SELECT * FROM rolecall_internal.held_privileges(
            v_groups, ${roles}, ${everybody}
          )
        ),
        future AS MATERIALIZED (
          SELECT * FROM rolecall_internal.held_future(${roles}, ${everybody})
        ),
        total AS MATERIALIZED (
          SELECT g.kind, g.schema, sum(g.size) AS size FROM unnest(v_groups) AS g GROUP BY g.kind, g.schema
        ),
        -- On all objects of a schema, and on those that its owner creates there later. By the time the policy is
        -- applied there may be more objects, and another role that created all present ones does not decide about
        -- those of others.
        whole AS MATERIALIZED (
          SELECT h.kind, h.schema, h.role_oid, h.privilege, f.owners
          FROM held AS h
          JOIN total AS t USING (kind, schema)
          JOIN (
            SELECT f.kind, f.schema, f.role_oid, f.privilege, jsonb_agg(f.owner ORDER BY f.owner COLLATE "C") AS owners
            FROM future AS f WHERE f.schema <> 0 AND NOT f.grantable AND NOT f.revoked
            GROUP BY 1, 2, 3, 4
          ) AS f USING (kind, schema, role_oid, privilege)
          WHERE h.schema <> 0 AND NOT h.revoked AND NOT h.grantable AND f.owners ? (
            SELECT pg_get_userbyid(coalesce(nullif(n.nspowner, 'pg_database_owner'::regrole), d.datdba))::text
            FROM pg_namespace AS n, pg_database AS d WHERE n.oid = h.schema AND d.datname = current_database()
          )
          GROUP BY h.kind, h.schema, h.role_oid, h.privilege, f.owners, t.size
          HAVING sum(h.size) = t.size
        ),
        said AS (
          SELECT w.role_oid, w.privilege, w.kind, 'all' AS means, n.nspname::text AS object, NULL::text AS column_name,
                 jsonb_build_object('owners', w.owners) AS scope, false AS grantable, false AS revoked
          FROM whole AS w JOIN pg_namespace AS n ON n.oid = w.schema
          UNION ALL
          SELECT h.role_oid, h.privilege, h.kind, 'one',
                 CASE WHEN h.kind IN (
                   ${plainKinds}
                 )
                   THEN (parse_ident(o.name))[1] ELSE o.name END,
                 NULL, NULL, h.grantable, h.revoked FROM held AS h
          JOIN rolecall_internal.objects_of(
            v_groups, ARRAY(SELECT DISTINCT h.number::integer::oid FROM held AS h)
          ) AS o ON o.number::bigint = h.number
          WHERE h.role_oid <> h.owner
            AND NOT (h.role_oid = 0 AND h.kind = 'schema' AND o.object_oid IN ${systemSchemas})
            AND NOT (h.schema <> 0 AND NOT h.revoked AND NOT h.grantable AND EXISTS (
            SELECT FROM whole AS w
            WHERE w.kind = h.kind AND w.schema = h.schema AND w.role_oid = h.role_oid AND w.privilege = h.privilege
          ))
          UNION ALL
          SELECT f.role_oid, f.privilege, f.kind, 'future', n.nspname, NULL,
                 jsonb_build_object('owners', jsonb_build_array(f.owner)), f.grantable, f.revoked
          FROM future AS f
          LEFT JOIN pg_namespace AS n ON n.oid = f.schema
          WHERE f.grantable OR f.revoked OR NOT EXISTS (
            SELECT FROM whole AS w
            WHERE w.kind = f.kind AND w.schema = f.schema AND w.role_oid = f.role_oid AND w.privilege = f.privilege
          )
          UNION ALL
          SELECT * FROM rolecall_internal.held_elsewhere(${roles}, ${everybody})
        )
        SELECT jsonb_strip_nulls(jsonb_build_object(
                 'role', pg_get_userbyid(nullif(s.role_oid, 0)), 'privilege', s.privilege, 'target', jsonb_build_object(
                   'kind', s.kind, 'means', s.means, 'object', s.object, 'column', s.column_name, 'scope', s.scope
                 ),
                 'grantable', CASE WHEN s.grantable THEN true END, 'revoked', CASE WHEN s.revoked THEN true END
               ))
        FROM said AS s;
    END
  `;
}

/**
 * Privileges of roles and PUBLIC on groups of objects; for PUBLIC, the differences from what the server gives it
 * @volatility stable
 */
export function held_privileges(
  groups: AclGroups,
  roles: Oids,
  everybody: Bool,
): Table<{
  number: BigInteger;
  kind: Text;
  schema: Oid;
  owner: Oid;
  size: BigInteger;
  role_oid: Oid;
  privilege: Text;
  grantable: Bool;
  revoked: Bool;
}> {
  return sql`
    DECLARE
      v_own oid[] := ${ownSchemas};
    BEGIN
      RETURN QUERY
        WITH g AS MATERIALIZED (
          SELECT g.*, acldefault(k.letter, g.owner) AS usual
          FROM ${numbered(groups)}
          JOIN ${kindRows} USING (kind)
          -- Only this database, and none of the extension's own objects.
          WHERE (g.kind <> 'database' OR g.special IS NOT NULL) AND g.schema <> ALL (v_own)
            AND NOT (g.kind = 'schema' AND coalesce(g.special = ANY (v_own), false))
        ),
        have AS (
          SELECT g.number, g.kind, g.schema, g.owner, g.size, x.grantee, x.privilege_type AS privilege,
                 bool_or(x.is_grantable) AND x.grantee <> g.owner AS grantable
          FROM g
          CROSS JOIN LATERAL aclexplode(coalesce(g.acl, g.usual)) AS x
          WHERE x.grantee = ANY (${roles})
            OR x.grantee = 0 AND ${everybody} AND g.acl IS NOT NULL AND g.schema NOT IN ${systemSchemas}
          GROUP BY 1, 2, 3, 4, 5, 6, 7
        ),
        usual AS (
          SELECT g.number, g.kind, g.schema, g.owner, g.size, x.privilege_type AS privilege
          FROM g
          CROSS JOIN LATERAL aclexplode(g.usual) AS x
          WHERE x.grantee = 0 AND ${everybody} AND g.acl IS NOT NULL AND g.schema NOT IN ${systemSchemas}
        )
        SELECT h.number, h.kind, h.schema, h.owner, h.size, h.grantee, h.privilege, h.grantable, false
        FROM have AS h
        WHERE h.grantee <> 0
          OR NOT EXISTS (SELECT FROM usual AS u WHERE u.number = h.number AND u.privilege = h.privilege)
        UNION ALL
        SELECT u.number, u.kind, u.schema, u.owner, u.size, 0::oid, u.privilege, false, true
        FROM usual AS u
        WHERE NOT EXISTS (
          SELECT FROM have AS h WHERE h.number = u.number AND h.grantee = 0 AND h.privilege = u.privilege
        );
    END
  `;
}

/**
 * Default privileges of roles and PUBLIC; for PUBLIC, the differences from what the server gives it
 * @volatility stable
 */
export function held_future(
  roles: Oids,
  everybody: Bool,
): Table<{
  kind: Text;
  schema: Oid;
  owner: Text;
  role_oid: Oid;
  privilege: Text;
  grantable: Bool;
  revoked: Bool;
}> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH entry AS MATERIALIZED (
          SELECT k.kind, k.letter, d.* FROM pg_default_acl AS d
          JOIN ${kindRows} ON k.future_letter = d.defaclobjtype
        ),
        have AS MATERIALIZED (
          SELECT e.kind, e.letter, e.defaclnamespace, e.defaclrole, x.grantee, x.privilege_type AS privilege, x.is_grantable
          FROM entry AS e
          CROSS JOIN LATERAL aclexplode(e.defaclacl) AS x
          WHERE x.grantee <> e.defaclrole
            AND (x.grantee = ANY (${roles}) OR x.grantee = 0 AND ${everybody})
        )
        SELECT h.kind, h.defaclnamespace, pg_get_userbyid(h.defaclrole)::text, h.grantee, h.privilege, h.is_grantable, false
        FROM have AS h
        WHERE h.grantee <> 0 OR h.defaclnamespace <> 0 OR NOT EXISTS (
          SELECT FROM aclexplode(acldefault(h.letter, h.defaclrole)) AS x
          WHERE x.grantee = 0 AND x.privilege_type = h.privilege
        )
        UNION ALL
        SELECT e.kind, 0::oid, pg_get_userbyid(e.defaclrole)::text, 0::oid, x.privilege_type, false, true
        FROM entry AS e
        CROSS JOIN LATERAL aclexplode(acldefault(e.letter, e.defaclrole)) AS x
        WHERE ${everybody} AND e.defaclnamespace = 0 AND x.grantee = 0 AND NOT EXISTS (
          SELECT FROM have AS h
          WHERE h.kind = e.kind AND h.defaclnamespace = 0 AND h.defaclrole = e.defaclrole AND h.grantee = 0
            AND h.privilege = x.privilege_type
        );
    END
  `;
}

/**
 * Privileges on columns and parameters
 * @volatility stable
 */
export function held_elsewhere(
  roles: Oids,
  everybody: Bool,
): Table<{
  role_oid: Oid;
  privilege: Text;
  kind: Text;
  means: Text;
  object: Text;
  column_name: Text;
  scope: Jsonb;
  grantable: Bool;
  revoked: Bool;
}> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT x.grantee, x.privilege_type, 'column', 'one', format('%I.%I', n.nspname, c.relname), a.attname::text,
               NULL::jsonb, bool_or(x.is_grantable), false
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid AND c.relpersistence <> 't'
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL aclexplode(a.attacl) AS x
        WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND x.grantee <> c.relowner
          AND (x.grantee = ANY (${roles})
               OR x.grantee = 0 AND ${everybody} AND n.oid NOT IN ${systemSchemas})
        GROUP BY 1, 2, n.nspname, c.relname, a.attname
        UNION ALL
        SELECT x.grantee, x.privilege_type, 'parameter', 'one', x.parameter, NULL, NULL, bool_or(x.is_grantable), false
        FROM ${parameterPrivileges(sql`x`)}
        WHERE x.grantee = ANY (${roles}) OR x.grantee = 0 AND ${everybody}
        GROUP BY 1, 2, x.parameter;
    END
  `;
}
