/**
 * Differences in default privileges: the privileges on objects that are created later.
 */
import { kindRows } from '../../model/kinds.ts';
import type {
  AclGroups,
  AclItems,
  Bool,
  ChangeRow,
  Char,
  Integer,
  Jsonb,
  Oid,
  Oids,
  SetOf,
  Table,
  Text,
  WantedPrivileges,
} from '../../model/types.ts';
import { recordedMark } from '../../model/sections.ts';
import { sql, text } from '../../sql/template.ts';
import { grantee } from '../catalogs/grantable.ts';
import { isWatching } from '../reading/watch.ts';

/**
 * The default privileges that a desired state asks for, for each role that may create objects
 *
 * Where it names no owners, it means every owner of an object of the kind in the schema, the owner of the schema, and
 * the role that asked. The groups cover all objects of the schemas.
 * @volatility stable
 */
export function wanted_future(
  document: Jsonb,
  wanted: WantedPrivileges,
  groups: AclGroups,
): Table<{
  role: Text;
  role_oid: Oid;
  kind: Text;
  schema: Text;
  schema_oid: Oid;
  owner: Text;
  privilege: Text;
  grantable: Bool;
  revoked: Bool;
}> {
  return sql`
    DECLARE
      -- The owners by kind and schema, and the new owner of each schema, as jsonb, because a join would compare each
      -- row with each.
      v_everybody jsonb := (
        SELECT jsonb_object_agg(e.place, e.owners)
        FROM (
          SELECT concat_ws(' ', o.kind, o.schema) AS place, jsonb_agg(DISTINCT pg_get_userbyid(o.owner)) AS owners
          FROM unnest(${groups}) AS o
          WHERE (o.kind, o.schema) IN (
            SELECT w.kind, w.oid FROM unnest(${wanted}) AS w
            WHERE w.means <> 'one' AND w.scope -> 'owners' IS NULL
          )
            -- While new objects are watched, the objects of a new owner are granted when they are created.
            AND NOT (${document} ? ${text(recordedMark)} AND ${isWatching})
          GROUP BY o.kind, o.schema
        ) AS e
      );
      v_schemas jsonb := (
        SELECT jsonb_object_agg(d.name, d.owner)
        FROM jsonb_to_recordset(${document} -> 'schemas') AS d(name text, owner text)
        WHERE d.name IS NOT NULL
      );
    BEGIN
      RETURN QUERY
        SELECT s.role, s.role_oid, s.kind, s.object, s.oid, o.name, s.privilege,
               bool_or(s.grantable), bool_or(s.revoked)
        FROM (
          SELECT w.*, w.scope -> 'owners' AS owners FROM unnest(${wanted}) AS w WHERE w.means <> 'one'
        ) AS s
        CROSS JOIN LATERAL (
          SELECT e.name FROM jsonb_array_elements_text(
            coalesce(s.owners, v_everybody -> concat_ws(' ', s.kind, s.oid))
          ) AS e(name)
          UNION
          SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace AS n WHERE s.owners IS NULL AND n.oid = s.oid
            AND n.nspowner <> 'pg_database_owner'::regrole
          UNION SELECT v_schemas ->> s.object WHERE s.owners IS NULL
          UNION SELECT s.caller WHERE s.owners IS NULL AND to_regrole(quote_ident(s.caller)) IS NOT NULL
        ) AS o(name)
        WHERE o.name IS DISTINCT FROM s.role AND o.name IS NOT NULL
        GROUP BY s.role, s.role_oid, s.kind, s.object, s.oid, o.name, s.privilege;
    END
  `;
}

/**
 * Default privileges that are missing, and those that roles must not have; phase 1 revokes, phase 2 grants
 *
 * Where no owners are named, default privileges for a role that is no longer one of the owners stay.
 * @volatility stable
 */
export function future_differences(
  document: Jsonb,
  wanted: WantedPrivileges,
  groups: AclGroups,
  exact: Oids,
): Table<{
  phase: Integer;
  role: Text;
  owner_oid: Oid;
  owner: Text;
  schema: Text;
  future: Text;
  privilege: Text;
  option: Text;
}> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH want AS MATERIALIZED (
          SELECT f.*, to_regrole(quote_ident(f.owner))::oid AS owner_oid, k.future, k.future_letter, k.letter
          FROM rolecall_internal.wanted_future(
            ${document}, ${wanted}, ${groups}
          ) AS f
          JOIN ${kindRows} USING (kind)
        ),
        have AS MATERIALIZED (
          SELECT e.owner_oid, e.schema_oid, e.letter, x.grantee, x.privilege_type AS privilege, x.is_grantable
          FROM rolecall_internal.default_acls(ARRAY(
            SELECT DISTINCT w.owner_oid FROM want AS w WHERE w.schema IS NULL
          )) AS e
          CROSS JOIN LATERAL aclexplode(e.acl) AS x
          WHERE x.grantee <> e.owner_oid
            AND (x.grantee = ANY (${exact}) OR x.grantee IN (SELECT w.role_oid FROM want AS w))
        )
        SELECT 2, coalesce(w.role, 'public'), w.owner_oid, w.owner, w.schema, w.future, w.privilege,
               CASE WHEN w.grantable THEN ' WITH GRANT OPTION' END
        FROM want AS w
        WHERE NOT w.revoked AND NOT EXISTS (
          SELECT FROM have AS h
          WHERE h.owner_oid = w.owner_oid AND h.schema_oid = CASE WHEN w.schema IS NULL THEN 0 ELSE w.schema_oid END
            AND h.letter = w.future_letter AND h.grantee = w.role_oid AND h.privilege = w.privilege
            AND (h.is_grantable OR NOT w.grantable)
        )
        UNION ALL
        -- The privileges of PUBLIC by default; for an owner that the document creates any oid serves, because
        -- acldefault() accepts it.
        SELECT 1, 'public', NULL, w.owner, NULL, w.future, w.privilege, NULL
        FROM want AS w
        WHERE w.revoked AND w.role_oid = 0 AND w.owner_oid IS NULL AND w.schema IS NULL AND EXISTS (
          SELECT FROM aclexplode(acldefault(w.letter, 10)) AS x
          WHERE x.grantee = 0 AND x.privilege_type = w.privilege
        )
        UNION ALL
        SELECT 1, coalesce(pg_get_userbyid(nullif(h.grantee, 0))::text, 'public'), h.owner_oid,
               pg_get_userbyid(h.owner_oid)::text, n.nspname::text, k.future, h.privilege,
               CASE WHEN w.revoked IS FALSE THEN 'GRANT OPTION FOR ' END
        FROM have AS h
        JOIN ${kindRows} ON k.future_letter = h.letter
        LEFT JOIN pg_namespace AS n ON n.oid = h.schema_oid
        LEFT JOIN want AS w ON w.owner_oid = h.owner_oid AND w.schema IS NOT DISTINCT FROM n.nspname
          AND w.kind = k.kind AND w.role_oid = h.grantee AND w.privilege = h.privilege
        WHERE coalesce(w.revoked, false)
          OR h.grantee = ANY (${exact}) AND (
            h.is_grantable AND NOT w.grantable
            OR w.revoked IS NULL AND NOT EXISTS (
              SELECT FROM unnest(${wanted}) AS u
              WHERE u.means = 'all' AND u.oid = h.schema_oid AND u.kind = k.kind AND u.role_oid = h.grantee
                AND u.privilege = h.privilege AND NOT coalesce(u.scope ? 'owners', false)
            )
          );
    END
  `;
}

/**
 * The present default privileges; for these owners also those for every schema that the server assumes where there is
 * no entry
 * @volatility stable
 */
export function default_acls(owners: Oids): Table<{ owner_oid: Oid; schema_oid: Oid; letter: Char; acl: AclItems }> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT d.defaclrole, d.defaclnamespace, d.defaclobjtype, d.defaclacl FROM pg_default_acl AS d
        UNION ALL
        SELECT o.oid, 0::oid, k.future_letter, acldefault(k.letter, o.oid)
        FROM unnest(${owners}) AS o(oid)
        JOIN ${kindRows} ON k.future_letter IS NOT NULL
        WHERE NOT EXISTS (
          SELECT FROM pg_default_acl AS d
          WHERE d.defaclrole = o.oid AND d.defaclnamespace = 0 AND d.defaclobjtype = k.future_letter
        );
    END
  `;
}

/**
 * The statements about default privileges
 * @volatility stable
 */
export function plan_future(
  document: Jsonb,
  wanted: WantedPrivileges,
  groups: AclGroups,
  exact: Oids,
): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT 'default_privilege', c.role, s.statement, NULL::text, array_remove(ARRAY[c.role], 'public'), p.code, p.note
        FROM (
          SELECT d.phase, d.role, d.owner, d.owner_oid, d.schema, d.future, d.option,
                 string_agg(d.privilege, ', ' ORDER BY d.privilege) AS privileges
          FROM rolecall_internal.future_differences(
            ${document}, ${wanted}, ${groups}, ${exact}
          ) AS d
          GROUP BY 1, 2, 3, 4, 5, 6, 7
        ) AS c
        CROSS JOIN LATERAL (
          SELECT concat(format('ALTER DEFAULT PRIVILEGES FOR ROLE %I', c.owner), ' IN SCHEMA ' || quote_ident(c.schema),
                        CASE c.phase
                          WHEN 2 THEN format(' GRANT %s ON %s TO ', c.privileges, c.future)
                                      || ${grantee(sql`c.role`)} || coalesce(c.option, '')
                          ELSE format(' REVOKE %s%s ON %s FROM ', c.option, c.privileges, c.future)
                               || ${grantee(sql`c.role`)}
                        END)
        ) AS s(statement)
        CROSS JOIN LATERAL rolecall_internal.future_refusal(
          ${document}, c.role, c.owner, c.owner_oid, c.schema
        ) AS p
        ORDER BY c.phase, s.statement COLLATE "C";
    END
  `;
}

/**
 * SQLSTATE and reason why default privileges cannot be changed; nulls where they can
 * @volatility stable
 */
export function future_refusal(
  document: Jsonb,
  role: Text,
  owner: Text,
  owner_oid: Oid,
  schema: Text,
): Table<{ code: Text; note: Text }> {
  return sql`
    BEGIN
      IF rolecall_internal.is_nobody(${document}, ${owner}) THEN
        RETURN QUERY SELECT '42704', format('role "%s" does not exist', ${owner});
      ELSIF rolecall_internal.is_nobody(${document}, ${role}) THEN
        RETURN QUERY SELECT '42704', format('role "%s" does not exist', ${role});
      ELSIF to_regnamespace(quote_ident(${schema})) IS NULL AND ${schema} IS NOT NULL
        AND NOT rolecall_internal.is_to_come(${document}, ${schema})
      THEN
        RETURN QUERY SELECT '3F000', format('schema "%s" does not exist', ${schema});
      ELSIF ${owner_oid} IS NOT NULL AND NOT pg_has_role(${owner_oid}, 'USAGE') THEN
        RETURN QUERY SELECT '42501', format('requires membership in %I, which creates the objects', ${owner});
      ELSE
        RETURN QUERY SELECT NULL::text, NULL::text;
      END IF;
    END
  `;
}
