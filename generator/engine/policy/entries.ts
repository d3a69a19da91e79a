/**
 * The contents of a policy as rows: roles, memberships, privileges. The checks read them, and the desired state is
 * built from them.
 */
import { jsonLiteral, kinds, privilegesOfKinds, targets } from '../../model/kinds.ts';
import type { Bool, Jsonb, Returns, Table, Text } from '../../model/types.ts';
import { raw, sql } from '../../sql/template.ts';
import { serverVersion } from '../catalogs/server.ts';
import { isName } from '../document/names.ts';
import { list, object, step } from './shape.ts';

/**
 * The keys after \`on\`, as data: the kind of object, and whether they mean one object, all in a schema, or future
 * ones.
 */
export const targetData = jsonLiteral(targets);

/**
 * The roles that a policy is about: those that it describes or removes, and those that have a profile
 * @volatility stable
 */
export function policy_roles(policy: Jsonb): Table<{ path: Text; name: Text; definition: Jsonb; described: Bool }> {
  return sql`
    DECLARE
      v_roles jsonb := coalesce(${object(sql`${policy} -> 'roles'`)}, '{}');
    BEGIN
      RETURN QUERY
        SELECT '$.roles' || ${step(sql`r.name`)}, r.name, coalesce(${object(sql`r.definition`)}, '{}'), true
        FROM jsonb_each(v_roles) AS r(name, definition)
        UNION ALL
        SELECT min(p.path), p.name, '{}'::jsonb, false
        FROM rolecall_internal.policy_profiles(${policy}) AS p
        WHERE NOT v_roles ? p.name
        GROUP BY p.name;
    END
  `;
}

/**
 * Who has which profile of which schema
 * @volatility stable
 */
export function policy_profiles(policy: Jsonb): Table<{ path: Text; schema: Text; profile: Text; name: Text }> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT format('$.schemas.%s.profiles.%s', to_json(s.name), to_json(p.name)), s.name, p.name, r.name
        FROM jsonb_each(${object(sql`${policy} -> 'schemas'`)}) AS s(name, definition)
        CROSS JOIN LATERAL jsonb_each(${object(sql`s.definition -> 'profiles'`)}) AS p(name, roles)
        CROSS JOIN LATERAL jsonb_array_elements_text(${list(sql`p.roles`)}) AS r(name);
    END
  `;
}

/**
 * Who is to be a member of what
 * @volatility stable
 */
export function policy_memberships(policy: Jsonb): Table<{ path: Text; member: Text; role: Text; options: Jsonb }> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT format('$.roles%s.member_of[%s]', ${step(sql`r.name`)}, m.position - 1), r.name,
               CASE jsonb_typeof(m.value) WHEN 'object' THEN m.value ->> 'role' ELSE m.value #>> '{}' END,
               coalesce(${object(sql`m.value`)}, '{}') - 'role'
        FROM jsonb_each(${object(sql`${policy} -> 'roles'`)}) AS r(name, definition)
        CROSS JOIN LATERAL jsonb_array_elements(${list(sql`${object(sql`r.definition`)} -> 'member_of'`)})
          WITH ORDINALITY AS m(value, position);
    END
  `;
}

/**
 * The entries of a policy about privileges, including those of profiles, which are about all objects in the schema
 * @volatility stable
 */
export function policy_targets(
  policy: Jsonb,
): Table<{ path: Text; roles: Jsonb; target: Text; objects: Jsonb; entry: Jsonb }> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT format('$.privileges[%s]', e.position - 1), ${list(sql`e.entry -> 'to'`)}, o.target,
               ${list(sql`o.objects`)}, e.entry
        FROM jsonb_array_elements(${list(sql`${policy} -> 'privileges'`)}) WITH ORDINALITY AS e(entry, position)
        CROSS JOIN LATERAL jsonb_each(${object(sql`e.entry -> 'on'`)}) AS o(target, objects)
        WHERE o.target NOT IN ('of', 'except', 'owners')
        UNION ALL
        SELECT p.path, jsonb_build_array(p.name),
               CASE g.target WHEN 'schema' THEN 'schema' ELSE g.target || '_in' END, jsonb_build_array(p.schema),
               jsonb_build_object('grant', g.privileges) || CASE WHEN d.profile ? 'owners' AND g.target <> 'schema'
                 THEN jsonb_build_object('on', jsonb_build_object('owners', d.profile -> 'owners')) ELSE '{}' END
        FROM rolecall_internal.policy_profiles(${policy}) AS p
        CROSS JOIN LATERAL (
          SELECT ${object(sql`${policy} -> 'profiles' -> p.profile`)}
        ) AS d(profile)
        CROSS JOIN LATERAL jsonb_each(d.profile - 'owners') AS g(target, privileges);
    END
  `;
}

/**
 * The privileges of a policy, one by one: of a role (null: PUBLIC), on an object, or on all that are in a schema
 * @volatility stable
 */
export function policy_privileges(policy: Jsonb): Table<{
  path: Text;
  role: Text;
  kind: Text;
  means: Text;
  object: Text;
  column_name: Text;
  privilege: Text;
  grantable: Bool;
  revoked: Bool;
  scope: Jsonb;
}> {
  return sql`
    DECLARE
      v_targets jsonb := ${targetData};
      v_kinds jsonb := ${privilegesOfKinds};
      v_roles jsonb := ${policy} -> 'roles';
    BEGIN
      RETURN QUERY
        SELECT t.path,
               CASE WHEN r.name NOT IN ('PUBLIC', 'public') OR v_roles ? r.name THEN r.name END,
               k.kind, k.means,
               CASE WHEN k.means = 'one' THEN rolecall_internal.canonical_name(k.kind, o.name) ELSE o.name END,
               c.name, p.privilege,
               g.what = 'grant' AND t.entry @> '{"with_grant_option": true}', g.what = 'revoke', s.scope
        FROM rolecall_internal.policy_targets(${policy}) AS t
        CROSS JOIN LATERAL (
          SELECT v_targets -> t.target ->> 'kind', v_targets -> t.target ->> 'means'
        ) AS k(kind, means)
        CROSS JOIN LATERAL jsonb_array_elements_text(t.roles) AS r(name)
        CROSS JOIN LATERAL (
          SELECT n.name FROM jsonb_array_elements_text(
            CASE WHEN t.target = 'columns' THEN ${list(sql`t.entry -> 'on' -> 'of'`)} ELSE t.objects END
          ) AS n(name)
          UNION ALL SELECT NULL WHERE k.means = 'future' AND t.objects = '[]'
        ) AS o(name)
        CROSS JOIN LATERAL (
          SELECT n.name FROM jsonb_array_elements_text(t.objects) AS n(name) WHERE t.target = 'columns'
          UNION ALL SELECT NULL WHERE t.target <> 'columns'
        ) AS c(name)
        CROSS JOIN (VALUES ('grant'), ('revoke')) AS g(what)
        CROSS JOIN LATERAL jsonb_array_elements_text(${list(sql`t.entry -> g.what`)}) AS a(privilege)
        CROSS JOIN LATERAL (
          SELECT a.privilege WHERE a.privilege <> 'ALL'
          UNION ALL
          SELECT d.privilege FROM jsonb_each_text(v_kinds -> k.kind) AS d(privilege, since)
          WHERE a.privilege = 'ALL' AND d.since::integer <= ${serverVersion}
        ) AS p
        CROSS JOIN LATERAL (
          SELECT CASE WHEN t.entry -> 'on' ?| '{except,owners}' THEN nullif(jsonb_strip_nulls(jsonb_build_object(
            'except', (
              SELECT jsonb_agg(DISTINCT rolecall_internal.canonical_name(k.kind, x.name))
              FROM jsonb_array_elements_text(${list(sql`t.entry -> 'on' -> 'except'`)}) AS x(name)
            ),
            'owners', CASE WHEN t.entry -> 'on' ? 'owners' THEN (
              SELECT coalesce(jsonb_agg(DISTINCT x.name), '[]')
              FROM jsonb_array_elements_text(${list(sql`t.entry -> 'on' -> 'owners'`)}) AS x(name)
            ) END
          )), '{}') END
        ) AS s(scope);
    END
  `;
}

/**
 * The canonical name of an object: as the server writes it if it exists, otherwise with quotes where they are required
 * @volatility stable
 */
export function canonical_name(kind: Text, name: Text): Returns<Text> {
  return sql`
    DECLARE
      v_name text := ${name};
      v_oid oid;
    BEGIN
      IF ${kind} NOT IN ('table', 'sequence', 'column', 'function', 'type') THEN
        RETURN v_name;
      ELSIF ${kind} IN ('function', 'type') THEN
        v_oid := coalesce(
          rolecall_internal.object_in_schema(${kind}, v_name),
          rolecall_internal.found_by_server(${kind}, v_name)
        );
        RETURN coalesce((
          SELECT ${raw(kinds.function.name)}
          FROM pg_proc AS o WHERE ${kind} = 'function' AND o.oid = v_oid
          UNION ALL
          SELECT ${raw(kinds.type.name)}
          FROM pg_type AS o
          WHERE ${kind} = 'type' AND o.oid = v_oid
        ), v_name);
      ELSIF NOT ${isName(sql`v_name`)} THEN
        RETURN v_name;
      END IF;
      RETURN (
        SELECT string_agg(quote_ident(p.part), '.' ORDER BY p.position)
        FROM unnest(parse_ident(v_name)) WITH ORDINALITY AS p(part, position)
      );
    END
  `;
}
