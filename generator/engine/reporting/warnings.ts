/**
 * WARNINGs and NOTICEs of a provisioning run about what it cannot change.
 */
import type { Bool, Jsonb, Nothing, Places, Returns } from '../../model/types.ts';
import { counted } from '../../sql/raise.ts';
import { type Sql, sql } from '../../sql/template.ts';
import { takers } from '../catalogs/edges.ts';
import { databaseOwner, mayCreate } from '../catalogs/grantable.ts';
import { isSuperuser } from '../document/names.ts';
import { withholds } from '../reading/tables.ts';
import { isWatching } from '../reading/watch.ts';
import { isOfSchema, meanings, tableOf, withholdAny } from '../reading/withheld.ts';

/**
 * Warns of schemas in which PUBLIC, and so a role that is to write nothing, may create objects; only their owners can
 * change that
 */
export function warn_about_public(): Nothing {
  return sql`
    DECLARE
      v_schemas text;
    BEGIN
      SELECT string_agg(quote_ident(n.nspname), ', ' ORDER BY n.nspname) INTO v_schemas
      FROM pg_namespace AS n
      WHERE n.nspacl IS NOT NULL
        AND EXISTS (SELECT FROM aclexplode(n.nspacl) AS x WHERE x.grantee = 0 AND x.privilege_type = 'CREATE');
      IF v_schemas IS NOT NULL THEN
        RAISE WARNING USING
          MESSAGE = format('reporting roles can create objects in schema %s, because PUBLIC can', v_schemas),
          HINT = format('Ask the owner, or a superuser, to run: REVOKE CREATE ON SCHEMA %s FROM PUBLIC', v_schemas);
      END IF;
    END
  `;
}

/**
 * Warns of roles that could read what a role is to read, if the role existed before and was not a reporting role of
 * this database
 *
 * These memberships are left alone, because somebody may have wanted them. But whoever may create roles can create
 * one with a name that is likely to be used before it is provisioned, and keep ADMIN OPTION on it, or grant it to
 * others.
 * @volatility stable
 */
export function warn_about_members(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_found record;
    BEGIN
      IF NOT EXISTS (
        SELECT FROM jsonb_array_elements(${definitions}) AS d
        JOIN pg_auth_members AS m ON m.roleid = to_regrole(quote_ident(d ->> 'role'))::oid
      ) THEN
        RETURN;
      END IF;
      FOR v_found IN
        SELECT d.role, t.names, t.revokes
        FROM jsonb_to_recordset(${definitions}) AS d(role text)
        CROSS JOIN LATERAL (
          ${takers(sql`to_regrole(quote_ident(d.role))::oid`, () => sql`false`)}
        ) AS t
        WHERE t.names IS NOT NULL
          AND NOT EXISTS (
            SELECT FROM rolecall_watch.reporting_role AS o
            WHERE o.role = d.role AND o.ours AND o.kind IS NULL
          )
        ORDER BY d.role
      LOOP
        RAISE WARNING USING
          MESSAGE = format(
            'role "%s" is there already, and its members can read what it reads: %s', v_found.role, v_found.names
          ),
          DETAIL = 'Roles with ADMIN OPTION on it can too; from PostgreSQL 16 on the role that created it has that.',
          HINT = 'To revoke the memberships that are not wanted: ' || v_found.revokes;
      END LOOP;
    END
  `;
}

/**
 * Whether everything in the list of withheld tables exists as written, without reading all tables
 * @volatility stable
 * @probes
 */
export function are_there(definitions: Jsonb): Returns<Bool> {
  return sql`
    BEGIN
      RETURN coalesce((
        SELECT bool_and(n.is_there)
        FROM (
          SELECT bool_or(EXISTS (
                   SELECT FROM (
                     ${meanings(sql`w.name`)}
                   ) AS m
                   CROSS JOIN LATERAL (
                     SELECT c.oid, n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                     WHERE c.relname = ${tableOf(sql`m.path`)} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
                     OFFSET 0
                   ) AS c
                   WHERE d.schemas ? c.nspname::text
                     AND ${isOfSchema(sql`m.path`, sql`c.nspname`)}
                     AND (m.column_name IS NULL OR EXISTS (
                       SELECT FROM pg_attribute AS a
                       WHERE a.attrelid = c.oid AND a.attname = m.column_name AND a.attnum > 0 AND NOT a.attisdropped
                     ))
                 )) AS is_there
          FROM jsonb_to_recordset(${definitions}) AS d(schemas jsonb, withheld jsonb)
          CROSS JOIN LATERAL jsonb_array_elements_text(d.withheld) AS w(name)
          GROUP BY w.name
        ) AS n
      ), true);
    END
  `;
}

/**
 * Warns of definitions of reporting roles that would not have their effect, or would let others act
 *
 * Usually there is nothing to say, which one look shows before anything else is compiled.
 */
export function warn_about_readers(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_owner oid := ${databaseOwner};
      v_with_path jsonb := '[]';
      v_beyond boolean := false;
      v_oids oid[] := '{}'::oid[];
      v_definition jsonb;
      v_path jsonb;
      v_found record;
    BEGIN
      FOR v_position IN 0 .. jsonb_array_length(${definitions}) - 1 LOOP
        v_definition := ${definitions} -> v_position;
        v_path := rolecall_internal.reader_path(v_definition);
        v_beyond := v_beyond OR NOT v_path <@ (v_definition -> 'schemas');
        v_oids := v_oids || to_regrole(quote_ident(v_definition ->> 'role'))::oid;
        v_with_path := v_with_path || jsonb_build_array(v_definition || jsonb_build_object('path', v_path));
      END LOOP;
      SELECT bool_or(c.role_oid = 0) AS public,
             bool_or(v_with_path @> jsonb_build_array(jsonb_build_object('path', jsonb_build_array(n.nspname)))
                     AND ${mayInterfere(sql`c.role_oid`)}) AS path,
             EXISTS (SELECT FROM pg_publication) AS publications,
             EXISTS (SELECT FROM pg_auth_members AS m WHERE m.roleid = ANY (v_oids)) AS members
        INTO v_found
        FROM pg_namespace AS n
        CROSS JOIN LATERAL (
          ${mayCreate(sql`n`, sql`v_owner`)}
        ) AS c;
      IF v_found.public THEN
        PERFORM rolecall_internal.warn_about_public();
      END IF;
      IF v_found.publications THEN
        PERFORM rolecall_internal.warn_about_publications();
      END IF;
      IF v_found.members THEN
        PERFORM rolecall_internal.warn_about_members(${definitions});
      END IF;
      IF ${withholdAny(definitions)} THEN
        PERFORM rolecall_internal.note_unmatched(${definitions});
      END IF;
      IF v_found.path THEN
        PERFORM rolecall_internal.warn_about_path(v_with_path);
      END IF;
      IF v_beyond THEN
        PERFORM rolecall_internal.note_closed_schemas(v_with_path);
      END IF;
      PERFORM rolecall_internal.warn_about_rows(${definitions});
    END
  `;
}

/** Whether to warn of a role that may create objects: neither the caller nor a superuser, which can do anything. */
const mayInterfere = (role: Sql) => sql`
  ${role} <> to_regrole(quote_ident(current_user)) AND ${isSuperuser(role)} IS NOT TRUE
`;

/**
 * Raises a NOTICE about withheld names that match nothing now, and about those that would match in another case
 * @volatility stable
 */
export function note_unmatched(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_watched boolean;
      v_names text;
      v_others text;
    BEGIN
      IF NOT ${withholdAny(definitions)}
        OR rolecall_internal.are_there(${definitions})
      THEN
        RETURN;
      END IF;
      v_watched := ${isWatching};
      WITH listed AS (
        SELECT d.schemas, w.name, m.path, m.column_name, ${tableOf(sql`m.path`)} AS table_name
        FROM jsonb_to_recordset(${definitions}) AS d(schemas jsonb, withheld jsonb)
        CROSS JOIN LATERAL jsonb_array_elements_text(d.withheld) AS w(name)
        CROSS JOIN LATERAL (
          ${meanings(sql`w.name`)}
        ) AS m
      ),
      found AS (
        SELECT l.name, concat('"' || l.column_name || '" of ', '"', l.table_name, '"') AS meant,
               concat('"' || a.attname || '" of ', '"', c.relname, '"') AS present
        FROM listed AS l
        JOIN pg_class AS c ON lower(c.relname) = lower(l.table_name) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute AS a
          ON a.attrelid = c.oid AND lower(a.attname) = lower(l.column_name) AND a.attnum > 0 AND NOT a.attisdropped
        WHERE l.schemas ? n.nspname::text
          AND ${isOfSchema(sql`l.path`, sql`n.nspname`)}
          AND (l.column_name IS NULL OR a.attname IS NOT NULL)
      ),
      -- Of several roles from which it is withheld, one may read no schema in which the table could be.
      absent AS (
        SELECT l.name, string_agg(DISTINCT f.meant, ' or ') AS meant, string_agg(DISTINCT f.present, ', ') AS others
        FROM (SELECT DISTINCT name FROM listed) AS l
        LEFT JOIN found AS f USING (name)
        GROUP BY l.name
        HAVING NOT coalesce(bool_or(f.meant = f.present), false)
      )
      SELECT string_agg(a.name, ', ' ORDER BY a.name),
             string_agg(format('%s is %s, not %s', a.name, a.meant, a.others), '; ' ORDER BY a.name)
               FILTER (WHERE a.others IS NOT NULL)
        INTO v_names, v_others
      FROM absent AS a;
      IF v_names IS NOT NULL THEN
        RAISE NOTICE USING
          MESSAGE = format('withheld tables or columns that do not exist yet: %s', v_names),
          DETAIL = CASE WHEN v_watched THEN 'Once they exist, they are withheld.'
                        ELSE 'Where a table owner creates one of them, or creates it again, it is readable until the next '
                             'provisioning run.' END,
          HINT = CASE WHEN v_watched THEN 'Look for a mistake in the names.'
                      ELSE 'A superuser can close that gap with rolecall.watch_new_tables().' END;
      END IF;
      IF v_others IS NOT NULL THEN
        RAISE NOTICE USING
          MESSAGE = format('withheld tables or columns that exist only in a different case: %s', v_others),
          HINT = 'Put double quotes around a name with capital letters, as in SQL.';
      END IF;
    END
  `;
}

/**
 * Warns of roles that can create objects where a reporting role looks for functions and tables, and so can make it
 * call theirs
 *
 * The caller is not among them, nor roles that are to become reporting roles. Each definition comes with its path.
 * @volatility stable
 */
export function warn_about_path(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_owner oid := ${databaseOwner};
      v_others text;
    BEGIN
      SELECT string_agg(format('%s (%s)', o.name, o.schemas), ', ' ORDER BY o.name) INTO v_others
      FROM (
        SELECT coalesce(quote_ident(r.rolname), 'PUBLIC') AS name,
               string_agg(DISTINCT quote_ident(n.nspname), ', ' ORDER BY quote_ident(n.nspname)) AS schemas
        FROM pg_namespace AS n
        CROSS JOIN LATERAL (
          ${mayCreate(sql`n`, sql`v_owner`)}
        ) AS c
        LEFT JOIN pg_roles AS r ON r.oid = c.role_oid
        WHERE n.nspname = ANY (ARRAY(SELECT jsonb_path_query(${definitions}, '$[*].path[*]') #>> '{}'))
          AND (c.role_oid = 0
          OR (NOT r.rolsuper AND r.rolname <> current_user
              AND NOT ${definitions} @> jsonb_build_array(jsonb_build_object('role', r.rolname))))
        GROUP BY r.rolname
      ) AS o;
      IF v_others IS NOT NULL THEN
        RAISE WARNING USING
          MESSAGE = format('others can create objects in schemas that reporting roles search: %s', v_others),
          DETAIL = 'A function created there can be called in place of another one, and sees what the role reads.',
          HINT = 'Revoke CREATE on the schema, or leave the schema out of the argument search_path.';
      END IF;
    END
  `;
}

/**
 * Warns of schemas that a reporting role searches without USAGE, such as those of extensions, so that it finds
 * nothing in them. Only the owner decides about USAGE on a schema that is closed to PUBLIC, because everybody may
 * execute the functions in it.
 */
export function note_closed_schemas(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_found record;
    BEGIN
      FOR v_found IN
        SELECT d ->> 'role' AS role, string_agg(DISTINCT quote_ident(n.nspname), ', ') AS schemas
        FROM jsonb_array_elements(${definitions}) AS d
        CROSS JOIN LATERAL jsonb_array_elements_text(d -> 'path') AS s(name)
        JOIN pg_namespace AS n ON n.nspname = s.name
        WHERE NOT d -> 'schemas' ? s.name
          AND NOT EXISTS (
            SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS x
            WHERE x.privilege_type = 'USAGE' AND x.grantee IN (0, to_regrole(quote_ident(d ->> 'role'))::oid)
          )
        GROUP BY d ->> 'role'
        ORDER BY d ->> 'role'
      LOOP
        RAISE NOTICE USING
          MESSAGE = format(
            'reporting role "%s" finds nothing in schemas of its search_path: %s', v_found.role, v_found.schemas
          ),
          DETAIL = 'It has no USAGE on them.',
          HINT = format('If it is to call what is there: GRANT USAGE ON SCHEMA %s TO %I', v_found.schemas, v_found.role);
      END LOOP;
    END
  `;
}

/**
 * Warns of what reporting roles are to read from now on although an earlier call withheld it
 * @volatility stable
 */
export function warn_of_opened(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_definition jsonb;
      v_earlier jsonb;
      v_entries text;
    BEGIN
      -- Usually nothing has ever been withheld.
      IF NOT EXISTS (
        SELECT FROM rolecall_internal.resource AS r
        WHERE r.section = 'read_access' AND ${withholdAny(sql`jsonb_build_array(r.resource)`)}
        UNION ALL SELECT FROM rolecall_internal.withheld
      ) THEN
        RETURN;
      END IF;
      FOR v_definition IN SELECT jsonb_array_elements(${definitions}) LOOP
        v_earlier := rolecall_internal.withheld_so_far(v_definition ->> 'role');
        CONTINUE WHEN v_earlier <@ (v_definition -> 'withheld');
        v_entries := (
          SELECT string_agg(DISTINCT w.entry, ', ' ORDER BY w.entry)
          FROM rolecall_internal.withheld_tables(
            jsonb_build_array(v_definition || jsonb_build_object('withheld', v_earlier))
          ) AS w
          WHERE NOT EXISTS (
            SELECT FROM rolecall_internal.withheld_tables(jsonb_build_array(v_definition)) AS n
            WHERE n.table_oid = w.table_oid AND n.column_number IN (0, w.column_number)
          )
        );
        IF v_entries IS NOT NULL THEN
          RAISE WARNING USING
            MESSAGE = format('no longer withheld from reporting role "%s": %s', v_definition ->> 'role', v_entries),
            HINT = 'What is to stay withheld has to be in the list of withheld tables; null leaves the list as it is.';
        END IF;
      END LOOP;
    END
  `;
}

/** Whether a table, c, or some of its columns, is read by the role of a place. */
const readsSome = (place: Sql) =>
  sql`(NOT ${withholds(sql`v_places`, place, sql`c.oid`)} OR ${place}.partial ? c.oid::text)`;

/**
 * Says what the privileges do not show: withheld tables that are readable through their parent, and tables of which
 * row-level security hides every row
 * @volatility stable
 */
export function warn_about_rows(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_places rolecall_internal.place[];
      v_found record;
    BEGIN
      IF NOT ${withholdAny(definitions)}
        AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.relrowsecurity)
      THEN
        RETURN;
      END IF;
      v_places := rolecall_internal.places(${definitions}, NULL);
      PERFORM rolecall_internal.warn_about_public_reading(v_places);
      FOR v_found IN
        SELECT p.role,
               string_agg(DISTINCT format('%s%s through %s', t.oid::regclass, '.' || quote_ident(k.column_name),
                                          i.inhparent::regclass), ', ') AS tables
        FROM unnest(v_places) AS p
        CROSS JOIN LATERAL unnest(p.withheld) AS t(oid)
        CROSS JOIN LATERAL (
          SELECT NULL WHERE NOT p.partial ? t.oid::text
          UNION ALL SELECT jsonb_array_elements_text(p.partial -> t.oid::text)
        ) AS k(column_name)
        JOIN pg_inherits AS i ON i.inhrelid = t.oid
        JOIN pg_class AS c ON c.oid = i.inhparent
        JOIN unnest(v_places) AS q ON q.position = p.position AND q.schema_oid = c.relnamespace
        WHERE ${readsSome(sql`q`)}
          AND (k.column_name IS NULL OR EXISTS (
            SELECT FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attname = k.column_name AND NOT a.attisdropped
              AND NOT coalesce(q.partial -> c.oid::text ? k.column_name, false)
          ))
        GROUP BY p.role
      LOOP
        RAISE WARNING USING
          MESSAGE = format(
            'reporting role "%s" reads withheld tables through their parent: %s', v_found.role, v_found.tables
          ),
          HINT = 'Withhold the parent too.';
      END LOOP;
      FOR v_found IN
        SELECT p.role, count(*) AS number,
               string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid::regclass::text) AS tables
        FROM unnest(v_places) AS p
        JOIN pg_class AS c ON c.relnamespace = p.schema_oid AND c.relrowsecurity
        WHERE ${readsSome(sql`p`)}
          AND NOT EXISTS (
            SELECT FROM pg_policy AS y
            WHERE y.polrelid = c.oid AND y.polpermissive AND y.polcmd IN ('*', 'r')
              AND (y.polroles @> '{0}' OR p.role_oid = ANY (y.polroles))
          )
        GROUP BY p.role
      LOOP
        RAISE NOTICE USING
          MESSAGE = format('reporting role "%s" reads no rows of %s', v_found.role,
                           ${counted(sql`v_found.number`, 'table')}),
          DETAIL = format('They have row-level security, and no policy for the role: %s', v_found.tables),
          HINT = format('For those whose rows it is to read: CREATE POLICY ... ON ... FOR SELECT TO %I USING (...)',
                        v_found.role);
      END LOOP;
    END
  `;
}

/**
 * Warns of withheld tables and columns that PUBLIC, and so the role, can read; only their owners can change that
 */
export function warn_about_public_reading(places: Places): Nothing {
  return sql`
    DECLARE
      v_found record;
    BEGIN
      FOR v_found IN
        SELECT p.role, string_agg(DISTINCT concat(c.oid::regclass, '.' || quote_ident(k.column_name)), ', ') AS tables,
               string_agg(DISTINCT format('REVOKE SELECT ON %s FROM PUBLIC', c.oid::regclass), '; ') AS revokes
        FROM unnest(${places}) AS p
        CROSS JOIN LATERAL unnest(p.withheld) AS t(oid)
        CROSS JOIN LATERAL (
          SELECT NULL WHERE NOT p.partial ? t.oid::text
          UNION ALL SELECT jsonb_array_elements_text(p.partial -> t.oid::text)
        ) AS k(column_name)
        CROSS JOIN LATERAL (
          SELECT c.oid, c.relacl FROM pg_class AS c WHERE c.oid = t.oid
          OFFSET 0 -- Table by table, because there are many more tables than withheld ones.
        ) AS c
        WHERE EXISTS (
          SELECT FROM aclexplode(c.relacl) AS x WHERE x.grantee = 0 AND x.privilege_type = 'SELECT'
          UNION ALL
          SELECT FROM pg_attribute AS a CROSS JOIN LATERAL aclexplode(a.attacl) AS x
          WHERE a.attrelid = c.oid AND a.attname = coalesce(k.column_name, a.attname) AND NOT a.attisdropped
            AND x.grantee = 0 AND x.privilege_type = 'SELECT'
        )
        GROUP BY p.role
        ORDER BY p.role
      LOOP
        RAISE WARNING USING
          MESSAGE = format(
            'reporting role "%s" reads what is withheld, because PUBLIC can: %s', v_found.role, v_found.tables
          ),
          HINT = 'Ask the owner, or a superuser, to run: ' || v_found.revokes;
      END LOOP;
    END
  `;
}
