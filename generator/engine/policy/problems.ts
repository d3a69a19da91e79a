/**
 * The problems of a policy: all of them at once, each with its place in the document.
 */
import { kinds, parameter, privilegesOfKinds } from '../../model/kinds.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Jsonb, Nothing, Returns, Table, Text } from '../../model/types.ts';
import { counted } from '../../sql/raise.ts';
import { sql, text } from '../../sql/template.ts';
import { serverVersion } from '../catalogs/server.ts';
import { isName, isProtected, isRoutine, reserved, schemaIn } from '../document/names.ts';
import { targetData } from './entries.ts';
import { list, object, plainPath, step } from './shape.ts';

const invalid = text(sqlstates.invalid_parameter_value);
const unsupported = text(sqlstates.feature_not_supported);

/**
 * Everything that is wrong with a policy, in the order of the paths
 * @volatility stable
 */
export function policy_problems(policy: Jsonb): Table<{ path: Text; code: Text; problem: Text; hint: Text }> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT DISTINCT ${plainPath(sql`p.path`)}, p.code, p.problem, p.hint
        FROM (
          SELECT * FROM rolecall_internal.shape_problems(${policy})
          UNION ALL SELECT * FROM rolecall_internal.name_problems(${policy})
          UNION ALL SELECT * FROM rolecall_internal.role_problems(${policy})
          UNION ALL SELECT * FROM rolecall_internal.absent_problems(${policy})
          UNION ALL SELECT * FROM rolecall_internal.setting_problems(${policy})
          UNION ALL SELECT * FROM rolecall_internal.reporting_problems(${policy})
          UNION ALL SELECT * FROM rolecall_internal.membership_problems(${policy})
          UNION ALL SELECT * FROM rolecall_internal.target_problems(${policy})
          UNION ALL SELECT * FROM rolecall_internal.object_problems(${policy})
          UNION ALL SELECT * FROM rolecall_internal.privilege_problems(${policy})
        ) AS p
        ORDER BY 1, 3;
    END
  `;
}

/**
 * Names that no role can have
 * @volatility stable
 */
export function name_problems(policy: Jsonb): Table<{ path: Text; code: Text; problem: Text; hint: Text }> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH role AS MATERIALIZED (
          SELECT * FROM rolecall_internal.policy_roles(${policy})
        ),
        target AS MATERIALIZED (
          SELECT * FROM rolecall_internal.policy_targets(${policy})
        ),
        named AS (
          SELECT r.path, r.name, false AS predefined FROM role AS r
          UNION ALL
          SELECT r.path || '.reassign_to', r.definition ->> 'reassign_to', false
          FROM role AS r WHERE r.definition ? 'reassign_to'
          UNION ALL
          SELECT '$.reporting' || ${step(sql`k.name`)}, k.name, false
          FROM jsonb_object_keys(${object(sql`${policy} -> 'reporting'`)}) AS k(name)
          UNION ALL
          SELECT '$.base_roles' || ${step(sql`b.key`)}, b.name, false
          FROM jsonb_each_text(${object(sql`${policy} -> 'base_roles'`)}) AS b(key, name)
          UNION ALL
          SELECT '$.schemas' || ${step(sql`s.name`)} || '.owner', s.definition ->> 'owner', true
          FROM jsonb_each(${object(sql`${policy} -> 'schemas'`)}) AS s(name, definition)
          WHERE ${object(sql`s.definition`)} ? 'owner'
          UNION ALL
          SELECT m.path, m.role, true FROM rolecall_internal.policy_memberships(${policy}) AS m
          UNION ALL
          SELECT t.path || '.to', r.name, false
          FROM target AS t
          CROSS JOIN LATERAL jsonb_array_elements_text(t.roles) AS r(name)
          WHERE r.name <> 'public'
          UNION ALL
          SELECT t.path || '.on.owners', o.name, true
          FROM target AS t
          CROSS JOIN LATERAL jsonb_array_elements_text(${list(sql`t.entry -> 'on' -> 'owners'`)}) AS o(name)
        )
        SELECT n.path, ${text(sqlstates.invalid_name)},
               format('role name must be 1 to 63 bytes long, not %s', octet_length(n.name)), NULL
        FROM named AS n WHERE octet_length(n.name) NOT BETWEEN 1 AND 63
        UNION ALL
        SELECT n.path, ${text(sqlstates.reserved_name)}, format('role name "%s" is reserved', n.name), NULL
        FROM named AS n
        WHERE n.name IN (${reserved})
          OR starts_with(n.name, 'pg_') AND NOT (n.predefined AND to_regrole(quote_ident(n.name)) IS NOT NULL)
        UNION ALL
        SELECT '$.schemas' || ${step(sql`s.name`)}, p.code, p.problem, NULL
        FROM jsonb_object_keys(${object(sql`${policy} -> 'schemas'`)}) AS s(name)
        CROSS JOIN LATERAL (
          SELECT ${text(sqlstates.invalid_name)},
                 format('schema name must be 1 to 63 bytes long, not %s', octet_length(s.name))
          WHERE octet_length(s.name) NOT BETWEEN 1 AND 63
          UNION ALL
          SELECT ${text(sqlstates.reserved_name)}, format('schema name "%s" is reserved', s.name)
          WHERE starts_with(s.name, 'pg_') AND to_regnamespace(quote_ident(s.name)) IS NULL
        ) AS p(code, problem);
    END
  `;
}

/**
 * Roles that are named twice, or that no call may change, and contradictions about one role
 * @volatility stable
 */
export function role_problems(policy: Jsonb): Table<{ path: Text; code: Text; problem: Text; hint: Text }> {
  return sql`
    DECLARE
      v_roles jsonb := ${policy} -> 'roles';
      v_profiles jsonb := coalesce(${policy} -> 'profiles', '{}');
    BEGIN
      RETURN QUERY
        WITH about AS (
          SELECT r.path, r.name, r.definition, r.described, 'roles' AS place
          FROM rolecall_internal.policy_roles(${policy}) AS r
          UNION ALL
          SELECT '$.reporting' || ${step(sql`k.name`)}, k.name, '{}', true, 'reporting'
          FROM jsonb_object_keys(${object(sql`${policy} -> 'reporting'`)}) AS k(name)
          UNION ALL
          SELECT '$.base_roles' || ${step(sql`b.key`)}, b.name, '{}', false, 'base'
          FROM jsonb_each_text(${object(sql`${policy} -> 'base_roles'`)}) AS b(key, name)
          WHERE b.key <> 'default'
        ),
        holder AS MATERIALIZED (
          SELECT * FROM rolecall_internal.policy_profiles(${policy})
        )
        SELECT a.path, ${invalid}, format('role "%s" is named twice', a.name), NULL::text
        FROM about AS a JOIN about AS o ON o.name = a.name AND o.path <> a.path
        WHERE a.place = 'reporting' OR a.place = 'base' AND o.place = 'base'
        UNION ALL
        SELECT a.path, ${invalid},
               format(CASE WHEN a.name IN (current_user, session_user) THEN 'role "%s" is the role that makes this call'
                           ELSE 'role "%s" is a superuser' END, a.name),
               'no call changes an administrator'
        FROM about AS a
        CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(a.name))::oid OFFSET 0) AS o(role_oid)
        WHERE ${isProtected(sql`a.name`, sql`o.role_oid`)}
        UNION ALL
        SELECT p.path, ${invalid}, 'PUBLIC is no role: what everybody has is an entry of "privileges"', NULL
        FROM holder AS p
        WHERE p.name = 'PUBLIC' AND (v_roles ? p.name) IS NOT TRUE
        UNION ALL
        SELECT p.path, ${invalid}, format('there is no profile "%s"', p.profile), NULL
        FROM holder AS p
        WHERE NOT v_profiles ? p.profile
        UNION ALL
        SELECT a.path || '.valid_until', ${invalid}, 'not a time, such as 2027-01-01T00:00:00Z, or infinity', NULL
        FROM about AS a
        WHERE NOT rolecall_internal.is_moment(a.definition ->> 'valid_until')
        UNION ALL
        SELECT a.path || '.password', ${invalid}, 'a password in a policy must be a SCRAM-SHA-256 verifier',
               'plain passwords are for the argument passwords'
        FROM about AS a
        WHERE a.definition ? 'password' AND NOT rolecall_internal.is_scram_verifier(a.definition ->> 'password')
        UNION ALL
        SELECT a.path || '.connection_limit', ${invalid},
               CASE WHEN l.connections < -1 THEN 'must be -1 or more' ELSE 'must be 2147483647 or less' END, NULL
        FROM about AS a
        CROSS JOIN LATERAL (
          SELECT (a.definition ->> 'connection_limit')::numeric
          WHERE jsonb_typeof(a.definition -> 'connection_limit') = 'number'
        ) AS l(connections)
        WHERE l.connections NOT BETWEEN -1 AND 2147483647;
    END
  `;
}

/**
 * Contradictions about roles that are to be absent
 * @volatility stable
 */
export function absent_problems(policy: Jsonb): Table<{ path: Text; code: Text; problem: Text; hint: Text }> {
  return sql`
    DECLARE
      v_roles jsonb := ${policy} -> 'roles';
    BEGIN
      RETURN QUERY
        WITH role AS MATERIALIZED (
          SELECT * FROM rolecall_internal.policy_roles(${policy})
        )
        SELECT a.path || ${step(sql`k.key`)}, ${invalid},
               format(CASE WHEN a.definition ? 'state' THEN 'a role that is to be absent cannot have "%s"'
                           ELSE '"%s" requires "state": "absent"' END, k.key), NULL::text
        FROM role AS a
        CROSS JOIN LATERAL jsonb_object_keys(a.definition) AS k(key)
        WHERE k.key <> 'state'
          AND a.definition ? 'state' <> (k.key IN ('reassign_to', 'drop_owned', 'terminate_sessions'))
        UNION ALL
        SELECT p.path, ${invalid}, format('role "%s" is to be absent', p.name), NULL
        FROM rolecall_internal.policy_profiles(${policy}) AS p
        WHERE v_roles -> p.name ? 'state'
        UNION ALL
        SELECT a.path || '.reassign_to', ${invalid}, format(
                 CASE WHEN a.definition ->> 'reassign_to' = a.name THEN 'what role "%s" owns goes to another role'
                      ELSE 'role "%s" is to be absent' END, a.definition ->> 'reassign_to'
               ), NULL
        FROM role AS a
        WHERE a.definition ? 'state' AND v_roles -> (a.definition ->> 'reassign_to') ? 'state'
        UNION ALL
        SELECT '$.schemas' || ${step(sql`s.name`)} || '.owner', ${invalid},
               format('role "%s" is to be absent', s.definition ->> 'owner'), NULL
        FROM jsonb_each(${object(sql`${policy} -> 'schemas'`)}) AS s(name, definition)
        WHERE v_roles -> (s.definition ->> 'owner') ? 'state';
    END
  `;
}

/** ISO 8601 with a time zone; otherwise the zone would be that of the session. */
const date = '((?!0000)[0-9]{4}|[1-9][0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])';
const timeOfDay = '([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?';
const zone = '(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)';

/**
 * Whether a text is a time that the server accepts, and that is the same in every session; or infinity or -infinity
 * @volatility immutable
 */
export function is_moment(value: Text): Returns<Bool> {
  return sql`
    BEGIN
      IF ${value} IN ('infinity', '-infinity') OR ${value} IS NULL THEN
        RETURN true;
      ELSIF ${value} !~ (${text(`^${date}[T ]`)}
        || ${text(`${timeOfDay}${zone}$`)}) THEN
        RETURN false;
      END IF;
      RETURN left(split_part(${value}, '-', 3), 2)::integer <= extract(
        day FROM make_date(split_part(${value}, '-', 1)::integer, split_part(${value}, '-', 2)::integer, 1)
                 + interval '1 month - 1 day'
      );
    END
  `;
}

/**
 * Memberships that the server does not have, or that lead back to where they begin
 * @volatility stable
 */
export function membership_problems(policy: Jsonb): Table<{ path: Text; code: Text; problem: Text; hint: Text }> {
  return sql`
    DECLARE
      v_roles jsonb := ${policy} -> 'roles';
    BEGIN
      RETURN QUERY
        WITH RECURSIVE edge AS MATERIALIZED (
          SELECT m.* FROM rolecall_internal.policy_memberships(${policy}) AS m WHERE m.role IS NOT NULL
        ),
        -- Only a membership whose member itself has members can be part of a circle.
        inner_edge AS MATERIALIZED (
          SELECT e.* FROM edge AS e
          WHERE e.member IN (SELECT o.role FROM edge AS o) AND e.role IN (SELECT o.member FROM edge AS o)
        ),
        reached AS (
          SELECT e.path, e.member AS start, e.role FROM inner_edge AS e
          UNION
          SELECT r.path, r.start, e.role FROM reached AS r JOIN inner_edge AS e ON e.member = r.role
        )
        SELECT r.path, ${invalid}, format('role "%s" would be a member of itself', r.start), NULL::text
        FROM reached AS r WHERE r.role = r.start
        UNION ALL
        SELECT e.path, ${invalid}, format('role "%s" would be a member of itself', e.member), NULL
        FROM edge AS e WHERE e.role = e.member
        UNION ALL
        SELECT e.path, ${invalid}, format('role "%s" is named twice', e.role), NULL
        FROM edge AS e JOIN edge AS o ON o.member = e.member AND o.role = e.role AND o.path <> e.path
        UNION ALL
        SELECT e.path, ${invalid}, format('role "%s" is to be absent', e.role), NULL
        FROM edge AS e WHERE v_roles -> e.role ? 'state'
        UNION ALL
        SELECT e.path, ${unsupported}, 'the INHERIT and SET options of a membership require PostgreSQL 16 or newer', NULL
        FROM edge AS e
        WHERE e.options ?| '{inherit,set}' AND ${serverVersion} < 16;
    END
  `;
}

/** The entries about privileges, with the keys that say what they are about. */
const entries = (policy: Jsonb) => sql`
  SELECT format('$.privileges[%s]', e.position - 1) AS path, e.entry,
         coalesce(${object(sql`e.entry -> 'on'`)}, '{}') AS target,
         ARRAY(
           SELECT k.key FROM jsonb_object_keys(${object(sql`e.entry -> 'on'`)}) AS k(key)
           WHERE v_targets ? k.key ORDER BY 1
         ) AS keys
  FROM jsonb_array_elements(${list(sql`${policy} -> 'privileges'`)}) WITH ORDINALITY AS e(entry, position)
`;

/**
 * Entries about privileges that do not say on which objects
 * @volatility stable
 */
export function target_problems(policy: Jsonb): Table<{ path: Text; code: Text; problem: Text; hint: Text }> {
  return sql`
    DECLARE
      v_targets jsonb := ${targetData};
    BEGIN
      RETURN QUERY
        WITH entry AS MATERIALIZED (
          ${entries(policy)}
        )
        SELECT e.path || '.on', ${invalid}, CASE WHEN cardinality(e.keys) = 0 THEN 'names no object'
                 ELSE 'one key for one kind of objects, not ' || array_to_string(e.keys, ' and ') END, NULL::text
        FROM entry AS e WHERE jsonb_typeof(e.entry -> 'on') = 'object' AND cardinality(e.keys) <> 1
        UNION ALL
        SELECT e.path || '.on', ${invalid}, '"columns" and "of" belong together', NULL
        FROM entry AS e WHERE e.target ? 'of' <> (e.target ? 'columns')
        UNION ALL
        SELECT e.path || '.on.except', ${invalid}, '"except" goes with what is in a schema, such as tables_in', NULL
        FROM entry AS e WHERE e.target ? 'except' AND v_targets -> e.keys[1] ->> 'means' IS DISTINCT FROM 'all'
        UNION ALL
        SELECT e.path || '.on.owners', ${invalid}, '"owners" goes with objects that are made later', NULL
        FROM entry AS e WHERE e.target ? 'owners' AND coalesce(v_targets -> e.keys[1] ->> 'means', 'one') = 'one'
        UNION ALL
        SELECT e.path || '.on', ${invalid}, '"owners" is missing: of objects in any schema', NULL
        FROM entry AS e
        WHERE v_targets -> e.keys[1] ->> 'means' = 'future' AND NOT e.target ? 'owners'
        UNION ALL
        SELECT e.path, ${invalid}, 'neither "grant" nor "revoke" has a privilege', NULL
        FROM entry AS e
        WHERE NOT jsonb_path_exists(e.entry, '$.grant[*]') AND NOT jsonb_path_exists(e.entry, '$.revoke[*]')
        UNION ALL
        SELECT e.path || '.on', ${invalid}, format('%s are in no schema: "%s" is an empty list', k.name, k.key), NULL
        FROM entry AS e
        JOIN (VALUES ('future_schemas', 'schemas'), ('future_large_objects', 'large objects')) AS k(key, name)
          ON ${list(sql`e.target -> k.key`)} <> '[]'
        UNION ALL
        SELECT e.path || k.key, ${invalid}, 'the list is empty, so the entry is about nothing', NULL
        FROM entry AS e
        CROSS JOIN LATERAL (
          SELECT '.to', e.entry -> 'to'
          UNION ALL
          SELECT '.on.' || t.key, t.value FROM jsonb_each(e.target) AS t
          WHERE t.key IN ('of', e.keys[1]) AND NOT starts_with(t.key, 'future_')
            OR t.key = 'owners' AND starts_with(e.keys[1], 'future_')
        ) AS k(key, value)
        WHERE k.value = '[]'
        UNION ALL
        SELECT e.path || '.with_grant_option', ${invalid}, '"with_grant_option" goes with "grant"', NULL
        FROM entry AS e WHERE e.entry @> '{"with_grant_option": true}' AND NOT e.entry ? 'grant';
    END
  `;
}

/**
 * Names of objects that are not written as in SQL, numbers that are no oids, and exceptions that are not among the
 * objects
 * @volatility stable
 */
export function object_problems(policy: Jsonb): Table<{ path: Text; code: Text; problem: Text; hint: Text }> {
  return sql`
    DECLARE
      v_targets jsonb := ${targetData};
    BEGIN
      RETURN QUERY
        WITH entry AS MATERIALIZED (
          ${entries(policy)}
        ),
        name AS (
          SELECT e.path, k.key, e.keys[1] AS kind, n.name, NULL::jsonb AS schemas
          FROM entry AS e
          CROSS JOIN LATERAL (SELECT CASE e.keys[1] WHEN 'columns' THEN 'of' ELSE e.keys[1] END) AS k(key)
          CROSS JOIN LATERAL jsonb_array_elements_text(${list(sql`e.target -> k.key`)}) AS n(name)
          WHERE e.keys[1] IN ('columns', 'table', 'sequence', 'function', 'procedure', 'type', 'domain')
          UNION ALL
          SELECT e.path, 'except', v_targets -> e.keys[1] ->> 'kind', n.name,
                 CASE WHEN v_targets -> e.keys[1] ->> 'means' = 'all' THEN ${list(sql`e.target -> e.keys[1]`)} END
          FROM entry AS e
          CROSS JOIN LATERAL jsonb_array_elements_text(${list(sql`e.target -> 'except'`)}) AS n(name)
        ),
        checked AS (
          SELECT n.*, CASE WHEN n.kind IN ('function', 'procedure')
                             THEN ${isRoutine(sql`n.name`)}
                           WHEN NOT ${isName(sql`n.name`)} THEN false
                           ELSE cardinality(parse_ident(n.name)) IN (
                             2, CASE WHEN n.key = 'except' AND n.kind = 'table' THEN 3 ELSE 2 END
                           ) END AS fine
          FROM name AS n
        )
        SELECT e.path || '.on.large_object', ${invalid}, 'an oid is a number from 1 to 4294967295', NULL::text
        FROM entry AS e
        CROSS JOIN LATERAL jsonb_array_elements(${list(sql`e.target -> 'large_object'`)}) AS o(number)
        WHERE CASE WHEN jsonb_typeof(o.number) = 'number' THEN o.number::numeric NOT BETWEEN 1 AND 4294967295 END
        UNION ALL
        SELECT n.path || '.on.' || n.key, ${text(sqlstates.invalid_name)},
               format('"%s" is not a name as in SQL, with its schema', n.name),
               CASE WHEN n.kind = 'function' THEN 'a function is named with the types of its arguments in parentheses' END
        FROM checked AS n WHERE NOT n.fine
        UNION ALL
        SELECT n.path || '.on.except', ${invalid}, format('"%s" is in none of the schemas that the entry is about', n.name),
               NULL
        FROM checked AS n
        WHERE n.fine AND NOT n.schemas ? ${schemaIn(sql`n.name`)};
    END
  `;
}

/** Whether no privilege of a profile can be one of these problems; a profile can have many roles in many schemas. */
const hasPlainProfiles = (policy: Jsonb) => sql`(
  NOT ${policy} @? '$.privileges[*].revoke' AND NOT v_roles @? '$.*.state'
  AND NOT EXISTS (
    SELECT FROM jsonb_each(${object(sql`${policy} -> 'profiles'`)}) AS p(name, definition)
    CROSS JOIN LATERAL jsonb_each(${object(sql`p.definition`)} - 'owners') AS t(name, privileges)
    CROSS JOIN LATERAL jsonb_array_elements_text(${list(sql`t.privileges`)}) AS a(privilege)
    WHERE a.privilege <> 'ALL' AND (
      v_kinds -> CASE t.name WHEN 'schema' THEN 'schema' ELSE left(t.name, -1) END ->> a.privilege
    )::integer <= ${serverVersion} IS NOT TRUE
  )
)`;

/**
 * Privileges that a kind of object does not have, here or anywhere, and those that are granted and revoked
 * @volatility stable
 */
export function privilege_problems(policy: Jsonb): Table<{ path: Text; code: Text; problem: Text; hint: Text }> {
  return sql`
    DECLARE
      v_kinds jsonb := ${privilegesOfKinds};
      v_roles jsonb := ${policy} -> 'roles';
      v_policy jsonb := CASE WHEN ${hasPlainProfiles(policy)} THEN ${policy} - 'schemas' ELSE ${policy} END;
    BEGIN
      RETURN QUERY
        WITH said AS MATERIALIZED (
          SELECT p.*, (v_kinds -> p.kind ->> p.privilege)::integer AS since
          FROM rolecall_internal.policy_privileges(v_policy) AS p
          WHERE v_kinds ? p.kind
        )
        SELECT s.path, ${invalid},
               format('%s has no privilege %s', replace(s.kind, '_', ' '), s.privilege),
               'it has ' || (SELECT string_agg(k.name, ', ') FROM jsonb_object_keys(v_kinds -> s.kind) AS k(name))
        FROM said AS s
        WHERE s.since IS NULL AND EXISTS (SELECT FROM jsonb_each(v_kinds) AS k(name, has) WHERE k.has ? s.privilege)
        UNION ALL
        SELECT s.path, ${unsupported},
               format('the privilege %s requires PostgreSQL %s or newer', s.privilege, s.since), NULL
        FROM said AS s WHERE s.since > ${serverVersion}
        UNION ALL
        SELECT t.path, ${unsupported}, format('%s require PostgreSQL %s or newer', n.name, n.since), NULL
        FROM rolecall_internal.policy_targets(${policy}) AS t
        JOIN (
          VALUES ('parameter', 'privileges on parameters', ${parameter.since}),
                 ('future_large_objects', 'default privileges on large objects', ${kinds.large_object.future.since})
        ) AS n(target, name, since) ON n.target = t.target
        WHERE n.since > ${serverVersion}
        UNION ALL
        SELECT max(s.path), ${invalid},
               format('%s on %s is granted and revoked', s.privilege, concat_ws(' ', min(s.kind), s.object, s.column_name)),
               NULL
        FROM said AS s
        GROUP BY s.role, s.kind, s.means, s.object, s.column_name, s.privilege
        HAVING bool_or(s.revoked) AND NOT bool_and(s.revoked)
        UNION ALL
        SELECT s.path, ${invalid}, 'PUBLIC cannot grant a privilege on', NULL
        FROM said AS s WHERE s.role IS NULL AND s.grantable
        UNION ALL
        SELECT s.path, ${invalid}, format('role "%s" is to be absent', s.role), NULL
        FROM said AS s WHERE v_roles -> s.role ? 'state';
    END
  `;
}

/**
 * Passwords beside a policy for roles that it does not have
 * @volatility stable
 */
export function password_problems(
  policy: Jsonb,
  passwords: Jsonb,
): Table<{ path: Text; code: Text; problem: Text; hint: Text }> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT ${plainPath(sql`'passwords' || ${step(sql`p.name`)}`)}, ${invalid},
               CASE WHEN ${object(sql`${policy} -> 'reporting'`)} ? p.name
                 THEN format('the password of reporting role "%s" is derived', p.name)
                 ELSE format('role "%s" is not one that the policy describes or gives a profile', p.name) END, NULL::text
        FROM jsonb_object_keys(${passwords}) AS p(name)
        WHERE NOT EXISTS (
          SELECT FROM rolecall_internal.policy_roles(${policy}) AS r
          WHERE r.name = p.name AND NOT r.definition ? 'state'
        )
        ORDER BY 1;
    END
  `;
}

/**
 * Refuses a policy that has problems, also with the passwords beside it, and lists all of them
 * @volatility stable
 */
export function refuse_policy(policy: Jsonb, passwords: Jsonb): Nothing {
  return sql`
    DECLARE
      v_found record;
    BEGIN
      SELECT count(*) AS problems, min(p.code) AS code, count(DISTINCT p.code) AS codes,
             string_agg(format('%s: %s', p.path, p.problem), E'\n') AS detail,
             string_agg(DISTINCT p.hint, E'\n') AS hint
        INTO v_found
        FROM (
          SELECT * FROM rolecall_internal.policy_problems(${policy})
          UNION ALL SELECT * FROM rolecall_internal.password_problems(${policy}, ${passwords})
        ) AS p;
      IF v_found.problems > 0 THEN
        RAISE EXCEPTION USING
          ERRCODE = CASE WHEN v_found.codes = 1 AND v_found.code = ${unsupported} THEN v_found.code ELSE ${invalid} END,
          MESSAGE = 'the policy has ' || ${counted(sql`v_found.problems`, 'problem')},
          DETAIL = v_found.detail,
          HINT = coalesce(v_found.hint, 'rolecall.check_policy() lists them in rows.');
      END IF;
    END
  `;
}
