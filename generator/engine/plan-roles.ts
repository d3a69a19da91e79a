/**
 * What differs about the roles themselves: existence, attributes, passwords, settings.
 *
 * Names become oids first and the catalogs are probed by oid, one role at a time, so a call costs the same among ten
 * roles and among ten thousand. LIMIT 1: an older snapshot can show a row in two versions, the one that another
 * transaction has replaced meanwhile, and the one by which this transaction replaced that.
 */
import type { Bool, ChangeRow, Changes, Jsonb, Returns, SetOf, Text } from '../model/types.ts';
import { mask } from '../model/resources.ts';
import { join, raw, sql, text } from '../sql/template.ts';
import { isProtected } from './names.ts';

/**
 * Roles that are missing, and attributes that differ
 * @volatility stable
 * @probes
 */
export function _plan_roles(resources: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_changes rolecall._change[] := '{}'::rolecall._change[];
      v_resource jsonb;
      v_name text;
      v_role oid;
      v_wanted jsonb;
      v_present jsonb;
      v_statement text;
      v_word text;
    BEGIN
      FOR v_position IN 0 .. jsonb_array_length(${resources}) - 1 LOOP
        v_resource := ${resources} -> v_position;
        v_name := v_resource ->> 'name';
        v_role := to_regrole(quote_ident(v_name))::oid;
        IF (v_resource -> 'protected')::boolean
          AND ${isProtected(sql`v_name`, sql`v_role`)}
        THEN
          PERFORM rolecall._check_protected(v_name);
        END IF;
        CONTINUE WHEN v_resource ->> 'state' = 'absent';
        v_wanted := coalesce(v_resource -> 'attributes', '{}');
        IF v_role IS NULL THEN
          v_statement := format('CREATE ROLE %I', v_name);
          v_wanted := v_wanted || coalesce(v_resource -> 'initial', '{}');
          v_present := '{}'::jsonb;
        ELSE
          CONTINUE WHEN v_wanted = '{}';
          v_statement := format('ALTER ROLE %I', v_name);
          v_present := (
            SELECT jsonb_build_object(
              ${present}
            )
            FROM pg_roles AS a WHERE a.oid = v_role LIMIT 1
          );
          -- A role that another transaction has just committed may be newer than the snapshot: it is taken as made.
          CONTINUE WHEN v_present IS NULL OR v_present @> v_wanted;
        END IF;
        FOREACH v_word IN ARRAY ${words}::text[] LOOP
          IF v_wanted ? v_word AND v_present -> v_word IS DISTINCT FROM v_wanted -> v_word THEN
            v_statement := v_statement || CASE WHEN (v_wanted -> v_word)::boolean THEN ' ' ELSE ' NO' END
              || upper(v_word COLLATE "C");
          END IF;
        END LOOP;
        IF v_role IS NOT NULL THEN
          v_changes := v_changes
            || ROW('alter_role', v_name, v_statement, NULL, ARRAY[v_name], NULL, NULL)::rolecall._change;
        ELSE
          v_changes := v_changes || ROW(
            'create_role', v_name,
            v_statement || CASE WHEN v_resource ->> 'password' IS NULL THEN ''
                                ELSE format(' PASSWORD %L', ${mask}) END,
            v_resource ->> 'password', ARRAY[v_name], NULL, v_resource ->> 'note'
          )::rolecall._change;
        END IF;
      END LOOP;
      RETURN v_changes;
    END
  `;
}

/** The columns of the attributes, by the words that CREATE ROLE and ALTER ROLE have for them. */
const attributes = {
  superuser: 'rolsuper',
  createdb: 'rolcreatedb',
  createrole: 'rolcreaterole',
  inherit: 'rolinherit',
  login: 'rolcanlogin',
  replication: 'rolreplication',
  bypassrls: 'rolbypassrls',
} as const;
const present = join(
  Object.entries(attributes).map(([key, column]) => sql`${text(key)}, a.${raw(column)}`),
  ',\n',
);
const words = text(`{${Object.keys(attributes).join()}}`);

/**
 * Passwords that differ from the stored verifier, or that nobody but a superuser could compare with it
 *
 * The document has the mask where there is a password, and the passwords are beside it: see _steps().
 * @volatility stable
 * @probes
 */
export function _plan_passwords(document: Jsonb, passwords: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_changes rolecall._change[] := '{}'::rolecall._change[];
      v_readable boolean := has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT');
      v_resource jsonb;
      v_name text;
      v_role oid;
      v_until timestamptz;
      v_present timestamptz;
      v_stored text;
      v_wanted boolean;
    BEGIN
      FOR v_position IN 0 .. jsonb_array_length(${document} -> 'passwords') - 1 LOOP
        v_resource := ${document} -> 'passwords' -> v_position;
        v_name := v_resource ->> 'role';
        v_role := to_regrole(quote_ident(v_name))::oid;
        v_until := (v_resource ->> 'valid_until')::timestamptz;
        IF v_role IS NULL THEN
          -- A role that the same call creates is created with its password.
          CONTINUE WHEN jsonb_path_exists(
            ${document}, '$.roles[*] ? (@.name == $name)', jsonb_build_object('name', v_name)
          );
          RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('role "%s" does not exist', v_name);
        END IF;
        -- Which database such a role belongs to cannot be seen, but that it was not made here can.
        IF (v_resource -> 'first')::boolean AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = v_role) THEN
          PERFORM rolecall._refuse_other_database(v_name, 'another database, or was made at the same moment');
        END IF;
        IF v_readable THEN
          SELECT a.rolpassword, a.rolvaliduntil INTO v_stored, v_present FROM pg_authid AS a WHERE a.oid = v_role;
          v_wanted := NOT rolecall._password_matches(${passwords} ->> v_name, v_stored);
        ELSE
          SELECT r.rolvaliduntil INTO v_present FROM pg_roles AS r WHERE r.oid = v_role;
          v_wanted := coalesce((v_resource -> 'realign')::boolean, true);
        END IF;
        CONTINUE WHEN NOT v_wanted AND (v_until IS NULL OR v_until = v_present);
        v_changes := v_changes || ROW(
          'set_password', v_name,
          concat_ws(' ', format('ALTER ROLE %I', v_name), 'VALID UNTIL ' || quote_literal(v_until),
                    format('PASSWORD %L', ${mask})),
          ${mask}, ARRAY[v_name], NULL, NULL
        )::rolecall._change;
      END LOOP;
      RETURN v_changes;
    END
  `;
}

/**
 * Settings of a role that differ, and settings for single databases that would override them
 * @volatility stable
 * @probes
 */
export function _plan_settings(resources: Jsonb): SetOf<ChangeRow> {
  return sql`
    DECLARE
      v_here oid := (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
    BEGIN
      RETURN QUERY
        SELECT 'set_config', s.role, c.statement, NULL::text, ARRAY[s.role], NULL::text, NULL::text
        FROM ROWS FROM (jsonb_to_recordset(${resources}) AS (role text, name text, value jsonb, here boolean))
             WITH ORDINALITY AS s(role, name, value, here, position)
        CROSS JOIN LATERAL (SELECT to_regrole(quote_ident(s.role))::oid AS role_oid) AS o
        CROSS JOIN LATERAL (
          -- A list of names is stored, and written, as quoted identifiers; any other value as one literal.
          SELECT CASE jsonb_typeof(s.value)
                   WHEN 'array' THEN (
                     SELECT string_agg(quote_ident(e.name), ', ' ORDER BY e.position)
                     FROM jsonb_array_elements_text(s.value) WITH ORDINALITY AS e(name, position)
                   )
                   ELSE s.value #>> '{}'
                 END AS stored
        ) AS v
        CROSS JOIN LATERAL (
          SELECT 1, NULL::name,
                 format('ALTER ROLE %I%s SET %I = %s', s.role,
                        CASE WHEN s.here THEN format(' IN DATABASE %I', current_database()) END, s.name,
                        CASE jsonb_typeof(s.value) WHEN 'array' THEN v.stored ELSE quote_literal(v.stored) END)
          WHERE NOT EXISTS (
            SELECT FROM pg_db_role_setting AS p
            WHERE p.setdatabase = CASE WHEN s.here THEN v_here ELSE 0 END AND p.setrole = o.role_oid
              AND (s.name || '=' || v.stored) = ANY (p.setconfig)
          )
          UNION ALL
          SELECT 2, d.datname, format('ALTER ROLE %I IN DATABASE %I RESET %I', s.role, d.datname, s.name)
          FROM pg_db_role_setting AS p
          JOIN pg_database AS d ON d.oid = p.setdatabase
          WHERE p.setrole = o.role_oid AND s.here IS NULL
            AND EXISTS (
              SELECT FROM unnest(p.setconfig) AS e(entry)
              WHERE starts_with(e.entry, s.name || '=') AND e.entry <> s.name || '=' || v.stored
            )
        ) AS c(kind, database, statement)
        ORDER BY s.position, c.kind, c.database;
    END
  `;
}

/**
 * The password as a verifier: one that is ready-made as it is, a plain one hashed
 */
export function _verifier(password: Text): Returns<Text> {
  return sql`
    BEGIN
      IF NOT rolecall._is_scram_verifier(${password}) THEN
        RETURN rolecall.scram_sha_256(${password});
      ELSIF NOT rolecall._sees_passwords()
        AND NOT rolecall._is_kept_verifier(${password})
        AND rolecall._is_empty_verifier(${password})
      THEN
        PERFORM rolecall._refuse_empty_password('a verifier of the empty password, for which the server stores none');
      END IF;
      RETURN ${password};
    END
  `;
}

/**
 * Whether this call can see that the server has cleared a password, as it does where it is given a verifier of the empty
 * one
 *
 * Looking is much cheaper than to find out whether a verifier is one.
 * @volatility stable
 */
export function _sees_passwords(): Returns<Bool> {
  return sql`
    BEGIN
      -- Under an older snapshot the role may be shown as it was before this transaction changed it.
      RETURN current_setting('transaction_isolation') = 'read committed'
        AND has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT');
    END
  `;
}

/**
 * Whether a role that was just given a password has none
 * @volatility stable
 * @probes
 */
export function _is_password_cleared(role_name: Text): Returns<Bool> {
  return sql`
    BEGIN
      IF NOT rolecall._sees_passwords() THEN
        RETURN false;
      END IF;
      -- An older snapshot may show the role as it was before, too.
      RETURN NOT EXISTS (
        SELECT FROM pg_authid AS a
        WHERE a.oid = to_regrole(quote_ident(${role_name}))::oid AND a.rolpassword IS NOT NULL
      );
    END
  `;
}

/**
 * Whether a role has ADMIN only because it made the role: that edge is its own, and is never reported or revoked
 * @volatility immutable
 */
export function _is_creator_edge(edge: Jsonb): Returns<Bool> {
  return sql`
    BEGIN
      -- PostgreSQL 16 and newer record it as granted by the bootstrap superuser, whose oid is 10.
      -- Older servers have no such options, and no such edge.
      RETURN coalesce(
        ${edge} ->> 'grantor' = '10'
          AND (${edge} -> 'admin_option')::boolean
          AND NOT (${edge} -> 'inherit_option')::boolean
          AND NOT (${edge} -> 'set_option')::boolean,
        false
      );
    END
  `;
}
