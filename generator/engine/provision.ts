/**
 * Provisioning of reporting roles: the desired state of one or several of them.
 */
import type { Bool, Interval, Jsonb, Nothing, Returns, SetOf, StepRow, Text, Texts } from '../model/types.ts';
import { attributes } from '../model/resources.ts';
import { sql } from '../sql/template.ts';
import { ownership } from './plan-read-access.ts';
import { reportingSecret } from './secrets.ts';

/**
 * Refuses a definition of a reporting role that could not be provisioned
 * @volatility stable
 */
export function _check_read_access(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_definition record;
      v_schema text;
      v_table text;
      v_part text;
    BEGIN
      FOR v_definition IN
        SELECT * FROM jsonb_to_recordset(${definitions})
          AS d(role text, schemas jsonb, withheld jsonb, owners jsonb)
      LOOP
        IF coalesce(jsonb_typeof(v_definition.schemas), 'null') = 'null' THEN
          RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'schemas must not be null';
        ELSIF v_definition.schemas = '[]' THEN
          RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('reporting role "%s" needs at least one schema', v_definition.role);
        END IF;
        FOR v_schema IN SELECT * FROM jsonb_array_elements_text(v_definition.schemas) LOOP
          IF v_schema IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'schema name must not be null';
          ELSIF octet_length(v_schema) NOT BETWEEN 1 AND 63 THEN
            RAISE EXCEPTION USING
              ERRCODE = 'invalid_name',
              MESSAGE = format('schema name must be 1 to 63 bytes long, not %s', octet_length(v_schema));
          ELSIF starts_with(v_schema, 'pg_') OR v_schema IN ('information_schema', 'rolecall') THEN
            RAISE EXCEPTION USING ERRCODE = 'reserved_name', MESSAGE = format('schema "%s" is not for reports', v_schema);
          ELSIF v_schema = 'public' AND to_regnamespace('public') IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_schema_name', MESSAGE = 'schema "public" does not exist';
          END IF;
        END LOOP;
        FOR v_table IN SELECT * FROM jsonb_array_elements_text(v_definition.withheld) LOOP
          IF v_table IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'name of a withheld table must not be null';
          ELSIF cardinality(parse_ident(v_table)) > 2 THEN
            RAISE EXCEPTION USING
              ERRCODE = 'invalid_name',
              MESSAGE = format('withheld table %L has more than a schema before its name', v_table),
              HINT = 'Quote a name that has dots in it, as in SQL: "a.b".';
          END IF;
          FOREACH v_part IN ARRAY parse_ident(v_table) LOOP
            -- No table has such a name, so that the one that is meant would be readable.
            IF octet_length(v_part) NOT BETWEEN 1 AND 63 THEN
              RAISE EXCEPTION USING
                ERRCODE = 'invalid_name',
                MESSAGE = format('name of withheld table %L must be 1 to 63 bytes long, not %s',
                                 v_table, octet_length(v_part));
            END IF;
          END LOOP;
        END LOOP;
        PERFORM rolecall._check_role_name(o.name)
        FROM jsonb_array_elements_text(nullif(v_definition.owners, 'null')) AS o(name);
      END LOOP;
    END
  `;
}

/**
 * Provisions reporting roles
 */
export function _provision(definitions: Jsonb, rotate_after: Interval, realign: Bool, dry_run: Bool): SetOf<StepRow> {
  return sql`
    BEGIN
      PERFORM rolecall._check_read_access(${definitions});
      PERFORM rolecall._check_document(jsonb_build_object('read_access', ${definitions}));
      PERFORM rolecall._warn_about_public();
      PERFORM rolecall._warn_about_members(${definitions});
      PERFORM rolecall._note_unwatched(${definitions});
      RETURN QUERY
        SELECT * FROM rolecall._converge_reporting(
          ${definitions}, '{}', ${rotate_after}, ${realign}, ${dry_run}
        );
    END
  `;
}

/**
 * Says where PUBLIC may create objects, and so may a role that is to write nothing: that is the owner's to change
 */
export function _warn_about_public(): Nothing {
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
 * Says who is a member of a role that was there before it became a reporting role here, and so will read what it reads
 *
 * Members are left alone, as somebody may have wanted them. But whoever may create roles can make one of a name that
 * is to be expected, and let others into it, before it is provisioned.
 * @volatility stable
 */
export function _warn_about_members(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_found record;
    BEGIN
      FOR v_found IN
        SELECT d.role, string_agg(DISTINCT format('"%s"', r.rolname), ', ') AS members
        FROM jsonb_to_recordset(${definitions}) AS d(role text)
        JOIN pg_auth_members AS m ON m.roleid = to_regrole(quote_ident(d.role))::oid
        JOIN pg_roles AS r ON r.oid = m.member
        WHERE NOT r.rolsuper AND r.rolname <> current_user AND NOT rolecall._is_creator_edge(to_jsonb(m))
          AND rolecall._recorded('read_access', jsonb_build_array(d.role)) IS NULL
        GROUP BY d.role
        ORDER BY d.role
      LOOP
        RAISE WARNING USING
          MESSAGE = format(
            'role "%s" is there already, and its members can read what it reads: %s', v_found.role, v_found.members
          ),
          HINT = 'rolecall.revoke_role() ends the memberships that are not wanted.';
      END LOOP;
    END
  `;
}

/**
 * Makes reporting roles as defined, with a new secret where there is none or it is too old, and what else is asked for
 */
export function _converge_reporting(
  definitions: Jsonb,
  others: Jsonb,
  rotate_after: Interval | null,
  realign: Bool,
  dry_run: Bool,
): SetOf<StepRow> {
  return sql`
    DECLARE
      v_rotate boolean;
      v_roles text[];
      v_secret bytea;
      v_passwords jsonb;
      v_step rolecall.step;
      v_set boolean := false;
    BEGIN
      PERFORM rolecall._check_provisioned_here(${definitions});
      v_roles := ARRAY(SELECT d ->> 'role' FROM jsonb_array_elements(${definitions}) AS d);
      v_rotate := rolecall._is_rotation_due(${rotate_after});
      IF ${dry_run} IS NOT TRUE THEN
        PERFORM rolecall._lock_reporting_secret(v_rotate);
        -- Another caller may have made it while this one waited.
        v_rotate := v_rotate AND rolecall._is_rotation_due(${rotate_after});
        PERFORM rolecall._encrypt_older(${reportingSecret});
      END IF;
      IF v_rotate THEN
        RETURN NEXT rolecall._rotate_secret(${dry_run});
        -- Every reporting role of this database has its password from that secret.
        v_roles := v_roles || ARRAY(
          SELECT o.name FROM unnest(rolecall._reporting_roles()) AS o(name) WHERE o.name <> ALL (v_roles)
        );
      END IF;
      v_secret := CASE
        WHEN v_rotate AND ${dry_run} THEN rolecall._random_bytes()
        ELSE rolecall._read_secret(${reportingSecret}, true)
      END;
      v_passwords := rolecall._reporting_passwords(v_secret, v_roles, ${realign} OR v_rotate);
      IF ${dry_run} IS NOT TRUE THEN
        v_passwords := rolecall._keep_verifiers(v_passwords);
      END IF;
      FOR v_step IN
        SELECT * FROM rolecall._converge(
          rolecall._joined(
            ${others}, rolecall._reporting_state(${definitions}, v_passwords)
          ),
          ${dry_run}
        )
      LOOP
        RETURN NEXT v_step;
        v_set := v_set OR v_step.operation IN ('create_role', 'set_password');
      END LOOP;
      IF v_set AND ${dry_run} IS NOT TRUE THEN
        PERFORM rolecall._check_secret_is_current();
      END IF;
    END
  `;
}

/** What a reporting role can do beside reading: log in. */
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
export function _reporting_state(definitions: Jsonb, passwords: Jsonb): Returns<Jsonb> {
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
          SELECT jsonb_agg(jsonb_build_object('every', true, 'member', d -> 'role', 'state', 'absent'))
          FROM jsonb_array_elements(${definitions}) AS d
        ),
        'settings', (
          SELECT jsonb_agg(jsonb_build_object('role', d -> 'role') || s.setting)
          FROM jsonb_array_elements(${definitions}) AS d
          CROSS JOIN LATERAL (
            VALUES ('{"name": "default_transaction_read_only", "value": "on"}'::jsonb),
                   (${ownership}),
                   (jsonb_build_object('name', 'search_path', 'value', d -> 'schemas'))
          ) AS s(setting)
        ),
        'read_access', ${definitions}
      );
    END
  `;
}

/**
 * A read_access resource
 * @volatility stable
 */
export function _read_access(role_name: Text, schemas: Texts, withheld: Texts, owners: Texts): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN jsonb_build_object(
        'role', ${role_name},
        'schemas', rolecall._list(${schemas}),
        'withheld', coalesce(rolecall._list(${withheld}), '[]'),
        'owners', rolecall._list(${owners}),
        'caller', CASE WHEN ${owners} IS NULL THEN current_user END
      );
    END
  `;
}

/**
 * A list of names as JSON, each once, however many dimensions the array has; null for null
 * @volatility stable
 * @strict
 */
export function _list(names: Texts): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT coalesce(jsonb_agg(n.name ORDER BY n.position), '[]')
        FROM (
          SELECT u.name, min(u.position) AS position
          FROM unnest(${names}) WITH ORDINALITY AS u(name, position) GROUP BY u.name
        ) AS n
      );
    END
  `;
}
