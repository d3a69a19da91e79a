/**
 * Provisioning of reporting roles: the desired state of one or several of them.
 */
import { setApart } from './roles.ts';
import { schemaNames } from '../../model/objects.ts';
import { attributes } from '../../model/resources.ts';
import { recordedMark } from '../../model/sections.ts';
import type { Bool, Interval, Jsonb, Nothing, Returns, Steps, Text, Texts } from '../../model/types.ts';
import { isOfWrongLength, raiseNull, raiseWrongLength } from '../../sql/raise.ts';
import { sql, text } from '../../sql/template.ts';
import { isImpossible } from '../document/names.ts';
import { ownership } from '../reading/ownership.ts';
import { reportingSecret } from '../secrets/reporting.ts';

/**
 * Refuses a definition of a reporting role that could not be provisioned
 * @volatility stable
 */
export function check_read_access(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_definition record;
      v_schema text;
      v_table text;
      v_part text;
    BEGIN
      FOR v_definition IN
        SELECT * FROM jsonb_to_recordset(${definitions})
          AS d(role text, schemas jsonb, withheld jsonb, owners jsonb, search_path jsonb)
      LOOP
        IF coalesce(jsonb_typeof(v_definition.schemas), 'null') = 'null' THEN
          ${raiseNull('schemas')}
        ELSIF v_definition.schemas = '[]' THEN
          RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('reporting role "%s" requires at least one schema', v_definition.role);
        END IF;
        FOR v_schema IN
          SELECT jsonb_array_elements_text(v_definition.schemas)
          UNION ALL SELECT jsonb_array_elements_text(nullif(v_definition.search_path, 'null'))
        LOOP
          IF v_schema IS NULL THEN
            ${raiseNull('schema name')}
          ELSIF ${isOfWrongLength(sql`v_schema`)} THEN
            ${raiseWrongLength('schema name', sql`v_schema`)}
          ELSIF NOT v_definition.schemas ? v_schema THEN
            CONTINUE; -- in the search_path any name is allowed, as in SET
          ELSIF starts_with(v_schema, 'pg_')
            OR v_schema IN ('information_schema', ${schemaNames})
          THEN
            RAISE EXCEPTION USING ERRCODE = 'reserved_name', MESSAGE = format('schema "%s" is not for reports', v_schema);
          ELSIF v_schema = 'public' AND to_regnamespace('public') IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_schema_name', MESSAGE = 'schema "public" does not exist';
          END IF;
        END LOOP;
        FOR v_table IN SELECT * FROM jsonb_array_elements_text(v_definition.withheld) LOOP
          IF v_table IS NULL THEN
            ${raiseNull('name of a withheld table')}
          ELSIF cardinality(parse_ident(v_table)) > 3 THEN
            RAISE EXCEPTION USING
              ERRCODE = 'invalid_name',
              MESSAGE = format('withheld name %L has more parts than a schema, a table and a column', v_table),
              HINT = 'Quote a name that has dots in it, as in SQL: "a.b".';
          END IF;
          FOREACH v_part IN ARRAY parse_ident(v_table) LOOP
            -- No table can have such a name, so the table that is meant would be readable.
            IF ${isOfWrongLength(sql`v_part`)} THEN
              ${raiseWrongLength('name of withheld table %L', sql`v_part`, sql`v_table`)}
            END IF;
          END LOOP;
        END LOOP;
        PERFORM rolecall_internal.check_role_name(o.name)
        FROM jsonb_array_elements_text(nullif(v_definition.owners, 'null')) AS o(name);
      END LOOP;
    END
  `;
}

/**
 * Refuses definitions of reporting roles from a user, or warns about them
 */
export function check_definitions(definitions: Jsonb): Nothing {
  return sql`
    BEGIN
      PERFORM rolecall_internal.check_read_access(${definitions});
      PERFORM rolecall_internal.check_role_name(d.role)
      FROM jsonb_to_recordset(${definitions}) AS d(role text) WHERE ${isImpossible(sql`d.role`)};
      PERFORM rolecall_internal.warn_about_readers(${definitions});
    END
  `;
}

/**
 * Establishes reporting roles as defined, with a new secret if there is none or it is too old, and the rest of a state
 */
export function run_reporting(
  definitions: Jsonb,
  others: Jsonb,
  rotate_after: Interval | null,
  realign: Bool,
  dry_run: Bool,
): Returns<Steps> {
  return sql`
    DECLARE
      v_rotate boolean;
      v_roles text[] := ARRAY(SELECT d ->> 'role' FROM jsonb_array_elements(${definitions}) AS d);
      -- Before the check, because a role that is created later has not been checked.
      v_oids jsonb := rolecall_internal.role_oids(v_roles);
      v_others text[] := '{}'::text[];
      v_secret bytea;
      v_passwords jsonb;
      v_apart jsonb := '[]';
      v_state jsonb;
      v_set rolecall.step[];
      v_steps rolecall.step[] := '{}'::rolecall.step[];
    BEGIN
      PERFORM rolecall_internal.check_coordinator();
      PERFORM rolecall_internal.check_provisioned_here(${definitions});
      IF NOT ${others} ? ${text(recordedMark)} THEN
        PERFORM rolecall_internal.warn_of_opened(${definitions});
      END IF;
      v_rotate := rolecall_internal.is_rotation_due(${rotate_after});
      IF ${dry_run} IS NOT TRUE THEN
        PERFORM rolecall_internal.lock_reporting_secret(v_rotate);
        -- Another caller may have replaced it while this one waited.
        v_rotate := v_rotate AND rolecall_internal.is_rotation_due(${rotate_after});
        PERFORM rolecall_internal.encrypt_older(${reportingSecret});
      END IF;
      IF v_rotate THEN
        -- Every reporting role of this database has its password from that secret. They are listed before it is
        -- replaced, because the verifiers that identify them are removed with it.
        v_others := ARRAY(
          SELECT o.name FROM unnest(rolecall_internal.reporting_roles(true)) AS o(name) WHERE o.name <> ALL (v_roles)
        );
        v_roles := v_roles || v_others;
        v_oids := v_oids || rolecall_internal.role_oids(v_others);
        v_steps := v_steps || rolecall_internal.rotate_secret(${dry_run});
      END IF;
      v_secret := CASE
        WHEN v_rotate AND ${dry_run} THEN rolecall_internal.random_bytes()
        ELSE rolecall_internal.read_secret(${reportingSecret}, true)
      END;
      v_passwords := rolecall_internal.reporting_passwords(v_secret, v_roles, ${realign} OR v_rotate);
      IF ${dry_run} IS NOT TRUE THEN
        v_passwords := rolecall_internal.keep_verifiers(v_passwords, v_oids);
      END IF;
      IF cardinality(v_others) > 0 THEN
        SELECT coalesce(jsonb_agg(p.password ORDER BY p.position) FILTER (WHERE p.is_apart), '[]'),
               coalesce(jsonb_agg(p.password ORDER BY p.position) FILTER (WHERE NOT p.is_apart), '[]')
          INTO v_apart, v_passwords
          FROM (
            SELECT e.password, e.position, e.password ->> 'role' = ANY (v_others) AS is_apart
            FROM jsonb_array_elements(v_passwords) WITH ORDINALITY AS e(password, position)
          ) AS p;
      END IF;
      v_state := rolecall_internal.reporting_state(${definitions}, v_passwords);
      v_state := CASE
        WHEN rolecall_internal.is_provisioned(v_state)
          AND NOT EXISTS (SELECT FROM rolecall_internal.plan_read_access(${definitions}, false, true))
          THEN ${others}
        WHEN ${others} = '{}' THEN v_state ELSE rolecall_internal.joined(${others}, v_state) END;
      IF v_state - ${text(recordedMark)} <> '{}' THEN
        v_steps := v_steps || rolecall_internal.run(v_state, ${dry_run});
      END IF;
      IF ${dry_run} IS NOT TRUE
        AND EXISTS (SELECT FROM unnest(v_steps) AS s WHERE s.operation IN ('create_role', 'set_password'))
      THEN
        PERFORM rolecall_internal.keep_verifiers(v_passwords, rolecall_internal.role_oids(v_roles));
        PERFORM rolecall_internal.keep_no_verifier(v_steps);
        PERFORM rolecall_internal.check_secret_is_current();
      END IF;
      IF v_apart <> '[]' THEN
        ${setApart(sql`v_set`, sql`v_apart`, true, dry_run)}
        v_steps := v_steps || v_set;
      END IF;
      IF ${dry_run} IS NOT TRUE THEN
        PERFORM rolecall_internal.remember_withheld(${definitions});
      END IF;
      RETURN v_steps;
    END
  `;
}

/** The attributes of a reporting role: it can log in, and nothing else. */
const readerAttributes = {
  superuser: false,
  createdb: false,
  createrole: false,
  login: true,
  replication: false,
  bypassrls: false,
} as const;

/**
 * The desired state of reporting roles
 * @volatility stable
 */
export function reporting_state(definitions: Jsonb, passwords: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN jsonb_build_object(
        'roles', (
          SELECT jsonb_agg(jsonb_build_object(
            'name', d -> 'role',
            'attributes', ${attributes(readerAttributes)},
            'password', p.password,
            'protected', true
          ))
          FROM jsonb_array_elements(${definitions}) AS d
          LEFT JOIN jsonb_to_recordset(${passwords}) AS p(role text, password text) ON p.role = d ->> 'role'
        ),
        'passwords', ${passwords},
        'memberships', (
          SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'every', true, 'member', d -> 'role', 'state', 'absent', ${text(recordedMark)}, d -> ${text(recordedMark)}
          )))
          FROM jsonb_array_elements(${definitions}) AS d
        ),
        'settings', (
          SELECT jsonb_agg(jsonb_build_object('role', d -> 'role') || s.setting)
          FROM jsonb_array_elements(${definitions}) AS d
          CROSS JOIN LATERAL (
            VALUES ('{"name": "default_transaction_read_only", "value": "on"}'::jsonb),
                   (${ownership}),
                   (jsonb_build_object('name', 'search_path', 'value', rolecall_internal.reader_path(d)))
          ) AS s(setting)
        ),
        'read_access', ${definitions}
      );
    END
  `;
}

/**
 * The search_path of a reporting role, as a list of names: that of its definition, or its schemas and after them
 * those of the installed extensions, so that their operators and functions are found as by everybody else
 * @volatility stable
 */
export function reader_path(definition: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      IF ${definition} ->> 'search_path' IS NOT NULL THEN
        -- An empty path is written as one empty name.
        RETURN coalesce(nullif(${definition} -> 'search_path', '[]'), '[""]');
      END IF;
      IF NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.extnamespace <> 'pg_catalog'::regnamespace) THEN
        RETURN ${definition} -> 'schemas';
      END IF;
      RETURN ${definition} -> 'schemas' || coalesce((
        SELECT jsonb_agg(DISTINCT n.nspname::text)
        FROM pg_extension AS e
        JOIN pg_namespace AS n ON n.oid = e.extnamespace
        WHERE n.nspname NOT IN ('pg_catalog', ${schemaNames})
          AND NOT ${definition} -> 'schemas' ? n.nspname::text
      ), '[]');
    END
  `;
}

/**
 * The entries of the list that calls have withheld from a reporting role so far
 * @volatility stable
 */
export function withheld_so_far(role_name: Text): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN coalesce(
        rolecall_internal.newest_record('read_access', jsonb_build_array(${role_name})) -> 'withheld',
        (SELECT jsonb_agg(DISTINCT w.name) FROM rolecall_internal.withheld AS w WHERE w.role = ${role_name}),
        '[]'
      );
    END
  `;
}

/**
 * A read_access resource
 * @volatility stable
 */
export function read_access(
  role_name: Text,
  schemas: Texts,
  withheld: Texts,
  owners: Texts,
  search_path: Texts | null = null,
): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN jsonb_build_object(
        'role', ${role_name},
        'schemas', rolecall_internal.name_list(${schemas}),
        'withheld', coalesce(
          rolecall_internal.name_list(${withheld}), rolecall_internal.withheld_so_far(${role_name})
        ),
        'owners', rolecall_internal.name_list(${owners}),
        'search_path', rolecall_internal.name_list(${search_path}),
        'caller', CASE WHEN ${owners} IS NULL THEN current_user END
      );
    END
  `;
}
