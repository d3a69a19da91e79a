/**
 * The policies of other databases about the same roles, so that two databases do not undo each other's changes.
 *
 * A policy leaves a mark on each role that it is about: a setting of the role for this database, which contains what
 * the policy says about what all databases share. What it says of PUBLIC is a setting of the database, and stands under
 * the name '', which no role can have. Every database can read a mark, the server drops it with the role and with the
 * database, and dumps include it. Only superusers, and roles to which a superuser has granted SET on it, can write a
 * setting that the server does not know. So only calls of superusers leave marks, and nobody can forge one. A mark only
 * keeps changes from being made: no change is made because of one.
 */
import { attributes, usualAttributes } from '../../model/resources.ts';
import { recordedMark } from '../../model/sections.ts';
import { errorClasses, sqlstates } from '../../model/sqlstates.ts';
import type { Bool, ChangeRow, Changes, Jsonb, Returns, SetOf, Table, Text } from '../../model/types.ts';
import { anyOf } from '../../sql/conditions.ts';
import { raw, type Sql, sql, text } from '../../sql/template.ts';
import { caller, isMark, mark, thisDatabase } from '../catalogs/server.ts';
import { isSuperuser } from '../document/names.ts';
import { ofCluster, sharedKey } from '../granting/shared.ts';

/**
 * What a role is where a policy does not say otherwise
 * @volatility immutable
 */
export function usual_attributes(): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN ${attributes(usualAttributes)};
    END
  `;
}

/** The role that the setting, k, is about. */
const markedRole = sql`CASE k.setrole WHEN 0 THEN '' ELSE pg_get_userbyid(k.setrole) END`;

/** The marks of other databases: rows of settings, k, each with an entry, e. */
const marksElsewhere = sql`
  pg_db_role_setting AS k CROSS JOIN LATERAL unnest(k.setconfig) AS e(setting)
  WHERE k.setdatabase NOT IN (0, ${thisDatabase}) AND ${isMark(sql`e.setting`)}
`;

/**
 * What a mark says, by section and key; null where it is none
 * @volatility stable
 */
export function read_mark(setting: Text): Returns<Jsonb> {
  return sql`
    DECLARE
      v_said jsonb;
    BEGIN
      v_said := substr(${setting}, length(${text(mark)}) + 2)::jsonb;
      RETURN CASE WHEN jsonb_typeof(v_said) = 'object' 
                    AND (v_said @? 'strict $.* ? (@.type() != "object")') IS NOT TRUE
                    AND (v_said @? 'strict $.memberships.* ? (@.type() != "object")') IS NOT TRUE THEN v_said END;
    EXCEPTION
      WHEN ${anyOf([errorClasses.data_exception])} THEN
        RETURN NULL;
    END
  `;
}

/**
 * What the policies of other databases say of the roles that are the keys of an object, by role and section; null
 * where they describe none of these roles
 * @volatility stable
 */
export function said_elsewhere(names: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        WITH marked AS (
          -- The names are looked up one by one, because a join with the roles is planned as a nested loop while a new
          -- catalog seems to be empty.
          SELECT k.role, d.datname::text AS database, m.said
          FROM (
            SELECT ${markedRole}, k.setdatabase, e.setting
            FROM ${marksElsewhere}
            OFFSET 0
          ) AS k(role, database, setting)
          JOIN pg_database AS d ON d.oid = k.database
          CROSS JOIN LATERAL (
            SELECT CASE WHEN ${names} ? k.role THEN rolecall_internal.read_mark(k.setting) END
            OFFSET 0
          ) AS m(said)
          WHERE m.said IS NOT NULL
        ),
        section AS (
          SELECT m.role, s.section, jsonb_object_agg(x.key, x.value ORDER BY m.database COLLATE "C" DESC) AS entries,
                 jsonb_object_agg(x.key, m.database ORDER BY m.database COLLATE "C" DESC) AS databases
          FROM marked AS m
          CROSS JOIN LATERAL jsonb_each(m.said) AS s(section, entries)
          CROSS JOIN LATERAL jsonb_each(s.entries) AS x
          GROUP BY m.role, s.section
        ),
        part AS (
          SELECT s.role, s.section AS key, s.entries AS value FROM section AS s
          UNION ALL
          SELECT s.role, 'databases', jsonb_object_agg(s.section, s.databases) FROM section AS s GROUP BY s.role
          UNION ALL
          SELECT m.role, 'database', to_jsonb(min(m.database COLLATE "C")) FROM marked AS m GROUP BY m.role
        ),
        role AS (
          SELECT p.role, jsonb_object_agg(p.key, p.value) AS said FROM part AS p GROUP BY p.role
        )
        SELECT jsonb_object_agg(r.role, r.said) FROM role AS r
      );
    END
  `;
}

/** Whether policies of other databases count for a document: only if it is a policy itself, or has privileges. */
export const isShared = (document: Jsonb) => sql`(${document} ?| '{declared,privileges}'
  OR ${document} @? '$.roles[*] ? (@.state == "absent" && @.protected == true)')`;

/**
 * The document of a policy without what policies of other databases contradict, with what they say of its roles, and
 * with the disputed part as a document. Any other document, and one about whose roles they say nothing, stays as it
 * is
 * @volatility stable
 */
export function divided(document: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_theirs jsonb;
    BEGIN
      IF NOT EXISTS (SELECT FROM ${marksElsewhere}) THEN
        RETURN ${document};
      END IF;
      v_theirs := rolecall_internal.said_elsewhere((
        SELECT jsonb_object_agg(n.name, true)
        FROM (
          SELECT d ->> 'role' FROM jsonb_array_elements(${document} -> 'declared') AS d
          UNION ALL
          SELECT r ->> 'name' FROM jsonb_array_elements(${document} -> 'roles') AS r WHERE r ->> 'state' = 'absent'
          UNION ALL
          SELECT coalesce(p ->> 'role', '') FROM ${ofCluster(document)} AS p
        ) AS n(name)
      ));
      IF v_theirs IS NULL THEN
        RETURN ${document};
      END IF;
      RETURN (
        SELECT ${document} || jsonb_object_agg(p.section, p.rest)
               || jsonb_build_object('theirs', v_theirs, 'disputed', jsonb_object_agg(p.section, p.disputed))
        FROM (
          SELECT s.section, coalesce(jsonb_agg(d.rest ORDER BY r.position) FILTER (WHERE d.rest IS NOT NULL), '[]'),
                 coalesce(jsonb_agg(d.disputed ORDER BY r.position) FILTER (WHERE d.disputed IS NOT NULL), '[]')
          FROM unnest('{roles,memberships,settings,comments,privileges}'::text[]) AS s(section)
          CROSS JOIN LATERAL jsonb_array_elements(${document} -> s.section) WITH ORDINALITY AS r(resource, position)
          CROSS JOIN LATERAL (
            SELECT v_theirs -> coalesce(r.resource ->> 'member', r.resource ->> CASE s.section WHEN 'roles' THEN 'name'
                                                                                ELSE 'role' END, '')
          ) AS t(theirs)
          LEFT JOIN LATERAL rolecall_internal.divided_resource(s.section, r.resource, t.theirs) AS x
            ON t.theirs IS NOT NULL
          CROSS JOIN LATERAL (
            SELECT CASE WHEN t.theirs IS NULL THEN r.resource ELSE x.rest END, x.disputed
          ) AS d(rest, disputed)
          GROUP BY s.section
        ) AS p(section, rest, disputed)
      );
    END
  `;
}

/**
 * What a policy says of a role that another database describes too, split into the part that stays and the part that
 * is disputed; null where a part is empty
 *
 * A default, such as that the role cannot log in, yields to what another policy names. A role that another policy
 * describes is not removed.
 * @volatility stable
 */
export function divided_resource(
  section: Text,
  resource: Jsonb,
  theirs: Jsonb,
): Table<{ rest: Jsonb; disputed: Jsonb }> {
  return sql`
    DECLARE
      v_resource jsonb := ${resource};
      v_section text := replace(${section}, 'roles', 'attributes');
      v_theirs jsonb := ${theirs} -> v_section;
      v_usual jsonb := rolecall_internal.usual_attributes();
      v_others text[];
      v_key text;
    BEGIN
      rest := v_resource;
      IF v_resource @> '{"state": "absent"}' AND ${section} = 'roles' THEN
        rest := NULL;
        disputed := v_resource;
      ELSIF ${section} = 'roles' THEN
        v_others := ARRAY(
          SELECT a.key FROM jsonb_each(coalesce(v_resource -> 'initial', '{}') || (v_resource -> 'attributes')) AS a
          WHERE v_theirs -> a.key <> a.value
        );
        rest := v_resource || jsonb_strip_nulls(jsonb_build_object(
          'attributes', (v_resource -> 'attributes') - v_others, 'initial', (v_resource -> 'initial') - v_others
        ));
        disputed := (
          SELECT jsonb_build_object('name', v_resource -> 'name', 'attributes', jsonb_object_agg(a.key, a.value))
          FROM jsonb_each(v_resource -> 'attributes') AS a
          WHERE a.key = ANY (v_others) AND ${isExplicit(sql`v_resource`, sql`a`)}
          HAVING count(*) > 0
        );
        v_key := (SELECT min(a) FROM jsonb_object_keys(disputed -> 'attributes') AS a);
      ELSIF ${section} = 'memberships' THEN
        v_key := v_resource ->> 'role';
        v_others := ARRAY(
          SELECT o.key FROM jsonb_each(v_theirs -> v_key) AS o WHERE v_resource -> o.key <> o.value
        );
        rest := v_resource - v_others;
        disputed := (
          SELECT jsonb_build_object('member', v_resource -> 'member', 'role', v_resource -> 'role')
                 || jsonb_object_agg(o.key, o.value)
          FROM jsonb_each(v_resource) AS o
          WHERE o.key = ANY (v_others) AND (o.key <> 'admin' OR o.value = 'true')
          HAVING count(*) > 0
        );
      ELSIF ${section} = 'privileges' AND NOT v_resource ? 'state' THEN
        v_key := ${sharedKey(sql`v_resource`)};
        IF (v_theirs ->> v_key = 'revoke') <> (v_resource @> '{"revoked": true}') THEN
          rest := NULL;
          disputed := v_resource;
        END IF;
      ELSIF NOT v_resource ?| '{state,here}' THEN
        v_key := coalesce(lower(v_resource ->> 'name'), 'comment');
        IF v_theirs -> v_key <> coalesce(v_resource -> 'comment', v_resource -> 'value') THEN
          rest := NULL;
          disputed := v_resource;
        END IF;
      END IF;
      disputed := disputed || jsonb_build_object('database', coalesce(
        ${theirs} -> 'databases' -> v_section -> v_key, ${theirs} -> 'database'
      ));
      RETURN NEXT;
    END
  `;
}

/**
 * Whether a policy names an attribute, a, of a role. A record names only the attributes that differ from the default.
 */
const isExplicit = (resource: Jsonb, attribute: Sql) => sql`
  CASE WHEN ${resource} ? 'says'
         THEN ${resource} -> 'says' ? ${attribute}.key
       ELSE v_usual -> ${attribute}.key IS DISTINCT FROM ${attribute}.value END
`;

/** What is remembered of a document. */
export const toRemember = (document: Jsonb) => sql`
  CASE WHEN ${isShared(document)}
    THEN rolecall_internal.undisputed(${document})
    ELSE ${document} END
`;

/**
 * The part of a document that is remembered: without what policies of other databases contradict
 * @volatility stable
 */
export function undisputed(document: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_document jsonb := rolecall_internal.divided(${document});
    BEGIN
      RETURN CASE WHEN v_document ? 'theirs' THEN v_document - '{theirs,disputed}'::text[] ELSE v_document END;
    END
  `;
}

/**
 * What a policy says and that of another database contradicts, as skipped changes
 * @volatility stable
 */
export function disputed_changes(document: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_disputed jsonb := ${document} -> 'disputed';
      v_roles jsonb := coalesce(v_disputed -> 'roles', '[]');
      v_databases jsonb := (
        SELECT jsonb_object_agg(coalesce(r ->> 'member', r ->> 'role', r ->> 'name', ''), r -> 'database')
        FROM jsonb_path_query(v_disputed, '$.*[*]') AS r
      );
    BEGIN
      RETURN ARRAY(
        SELECT ROW(
                 c.operation, c.target, c.statement, NULL, c.locks, ${text(sqlstates.invalid_parameter_value)},
                 format('the policy of database "%s" says otherwise', v_databases ->> c.role)
               )::rolecall_internal.change
        FROM (
          SELECT p.operation, p.target, p.statement, p.locks, p.target AS role
          FROM unnest(rolecall_internal.plan_own(
            v_disputed - 'privileges'
            || jsonb_build_object('roles', jsonb_path_query_array(v_roles, '$[*] ? (!exists(@.state))')), '{}'
          )) AS p
          UNION ALL
          SELECT p.operation, p.target, p.statement, p.locks, coalesce(p.locks[1], '')
          FROM rolecall_internal.plan_privileges(v_disputed) AS p WHERE v_disputed ? 'privileges'
          UNION ALL
          SELECT 'drop_role', r.name, format('DROP ROLE %I', r.name), ARRAY[r.name], r.name
          FROM jsonb_to_recordset(v_roles) AS r(name text, state text) WHERE r.state = 'absent'
        ) AS c
      );
    END
  `;
}

/**
 * What a document says of the roles that a policy describes, in the form of marks; for other roles, and for PUBLIC,
 * only the privileges that it gives them
 * @volatility stable
 */
export function said_here(document: Jsonb): Table<{ role: Text; exact: Bool; said: Jsonb }> {
  return sql`
    DECLARE
      v_usual jsonb := rolecall_internal.usual_attributes();
    BEGIN
      RETURN QUERY
        WITH entry AS (
          SELECT r.resource ->> 'name', 'attributes', a.key, a.value
          FROM jsonb_array_elements(${document} -> 'roles') AS r(resource)
          CROSS JOIN LATERAL jsonb_each(r.resource -> 'attributes') AS a
          WHERE ${isExplicit(sql`r.resource`, sql`a`)}
          UNION ALL
          SELECT m.resource ->> 'member', 'memberships', m.resource ->> 'role', jsonb_strip_nulls(jsonb_build_object(
                   'admin', nullif(m.resource -> 'admin', 'false'), 'inherit', m.resource -> 'inherit',
                   'set', m.resource -> 'set'
                 ))
          FROM jsonb_array_elements(${document} -> 'memberships') AS m(resource)
          WHERE NOT m.resource ? 'state'
          UNION ALL
          SELECT s.resource ->> 'role', 'settings', lower(s.resource ->> 'name'), s.resource -> 'value'
          FROM jsonb_array_elements(${document} -> 'settings') AS s(resource)
          WHERE NOT s.resource ?| '{state,here}'
          UNION ALL
          SELECT c.resource ->> 'role', 'comments', 'comment', c.resource -> 'comment'
          FROM jsonb_array_elements(${document} -> 'comments') AS c(resource)
          WHERE NOT c.resource ? 'state'
          UNION ALL
          SELECT coalesce(p ->> 'role', ''), 'privileges', ${sharedKey(sql`p`)},
                 CASE WHEN p @> '{"revoked": true}' THEN '"revoke"' WHEN p @> '{"grantable": true}' THEN '"grant option"'
                      ELSE '"grant"' END::jsonb
          FROM ${ofCluster(document)} AS p
        ),
        section AS (
          SELECT e.role, e.section, jsonb_object_agg(e.key, e.value) AS entries
          FROM entry AS e(role, section, key, value) GROUP BY e.role, e.section
        )
        SELECT coalesce(d.role, s.role), d.exact,
               coalesce(jsonb_object_agg(s.section, s.entries) FILTER (WHERE s.role IS NOT NULL), '{}')
        FROM jsonb_to_recordset(${document} -> 'declared') AS d(role text, exact boolean)
        FULL JOIN section AS s ON s.role = d.role
        WHERE d.role IS NOT NULL
          OR s.section = 'privileges' AND (s.role = '' OR to_regrole(quote_ident(s.role)) IS NOT NULL)
        GROUP BY 1, 2;
    END
  `;
}

/**
 * The mark that a document leaves on each role that a policy describes; for a role that it does not describe exactly,
 * the mark keeps what it said before
 *
 * One change writes all marks, because a policy can have many users. A recorded policy leaves a mark only where the
 * role was dropped, and the earlier mark with it.
 * @volatility stable
 */
export function plan_marks(document: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_present jsonb;
    BEGIN
      IF NOT ${isSuperuser(caller)}
        OR current_setting('transaction_read_only')::boolean
      THEN
        RETURN;
      END IF;
      v_present := coalesce((
        SELECT jsonb_object_agg(
                 ${markedRole}, rolecall_internal.read_mark(e.setting)
               )
        FROM pg_db_role_setting AS k CROSS JOIN LATERAL unnest(k.setconfig) AS e(setting)
        WHERE k.setdatabase = ${thisDatabase} AND ${isMark(sql`e.setting`)}
      ), '{}');
      RETURN QUERY
        SELECT 'leave_mark', coalesce(min(nullif(s.role, '')), current_database()), string_agg(format(
                 'ALTER %s SET ${raw(mark)} = %L',
                 CASE s.role WHEN '' THEN format('DATABASE %I', current_database())
                             ELSE format('ROLE %I IN DATABASE %I', s.role, current_database()) END, m.said
               ), '; ' ORDER BY s.role COLLATE "C"),
               NULL::text, coalesce(array_agg(s.role ORDER BY s.role COLLATE "C") FILTER (WHERE s.role <> ''), '{}'),
               NULL::text, NULL::text
        FROM rolecall_internal.said_here(${document}) AS s
        CROSS JOIN LATERAL (SELECT nullif(v_present -> s.role, 'null') OFFSET 0) AS p(said)
        CROSS JOIN LATERAL (
          SELECT CASE WHEN s.exact OR p.said IS NULL THEN s.said
                      ELSE p.said || (
                        SELECT coalesce(jsonb_object_agg(e.key, coalesce(p.said -> e.key, '{}') || e.value), '{}')
                        FROM jsonb_each(s.said) AS e
                      ) END
          OFFSET 0
        ) AS m(said)
        CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(s.role))::oid) AS r(oid)
        WHERE m.said IS DISTINCT FROM p.said
          AND CASE WHEN r.oid IS NULL AND s.role <> '' THEN true
                   ELSE NOT ${document} ? ${text(recordedMark)} AND ${isSuperuser(sql`r.oid`)} IS NOT TRUE END
        HAVING count(*) > 0;
    END
  `;
}

/**
 * The changes that remove the marks of roles of which this database no longer says anything
 * @volatility stable
 */
export function plan_mark_ends(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT 'leave_mark', coalesce(r.role, current_database()), format('ALTER %s RESET ${raw(mark)}', m.whose),
               NULL::text, m.locks, NULL::text, NULL::text
        FROM jsonb_to_recordset(${resources}) AS r(role text)
        CROSS JOIN LATERAL (
          SELECT 0::oid, format('DATABASE %I', current_database()), '{}'::text[] WHERE r.role IS NULL
          UNION ALL
          SELECT to_regrole(quote_ident(r.role))::oid, format('ROLE %I IN DATABASE %I', r.role, current_database()),
                 ARRAY[r.role] WHERE r.role IS NOT NULL
        ) AS m(oid, whose, locks)
        JOIN pg_db_role_setting AS k ON k.setrole = m.oid AND k.setdatabase = ${thisDatabase}
        WHERE EXISTS (SELECT FROM unnest(k.setconfig) AS e(setting) WHERE ${isMark(sql`e.setting`)})
          AND ${isSuperuser(caller)};
    END
  `;
}
