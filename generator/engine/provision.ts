/**
 * Provisioning of reporting roles: the desired state of one or several of them, and the secret that their passwords
 * are derived from.
 */
import type { Bool, Interval, Jsonb, Nothing, Returns, SetOf, StepRow, Text, Texts } from '../model/types.ts';
import { sql, text, type Sql } from '../sql/template.ts';

/** Key of the secret in rolecall.secret. */
const secretKey = text('rolecall.reporting');

/**
 * Refuses a definition of a reporting role that could not be provisioned
 * @volatility stable
 */
export function _check_read_access(definitions: Jsonb): Nothing {
  return sql`
    DECLARE
      v_definition record;
      v_schema text;
    BEGIN
      FOR v_definition IN
        SELECT * FROM jsonb_to_recordset(${definitions}) AS d(role text, schemas jsonb, withheld jsonb)
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
      END LOOP;
    END
  `;
}

/**
 * Makes reporting roles as defined, with a new secret where there is none or it is too old
 */
export function _provision(definitions: Jsonb, rotate_after: Interval, realign: Bool, dry_run: Bool): SetOf<StepRow> {
  return sql`
    DECLARE
      v_rotate boolean;
      v_roles jsonb;
    BEGIN
      PERFORM rolecall._check_read_access(${definitions});
      PERFORM rolecall._check_document(jsonb_build_object('read_access', ${definitions}));
      PERFORM rolecall._check_provisioned_here(${definitions});
      v_rotate := NOT EXISTS (
        SELECT FROM rolecall.secret AS s
        WHERE s.key = ${secretKey} AND (${rotate_after} IS NULL OR s.made_at > clock_timestamp() - ${rotate_after})
      );
      SELECT jsonb_agg(d -> 'role') INTO v_roles FROM jsonb_array_elements(${definitions}) AS d;
      IF v_rotate THEN
        RETURN NEXT rolecall._rotate(${rotate_after}, ${dry_run});
        -- Every reporting role of this database has its password from that secret.
        SELECT v_roles || coalesce(jsonb_agg(DISTINCT p.key -> 0), '[]') INTO v_roles
        FROM rolecall.resource AS p
        WHERE p.section = 'read_access' AND NOT v_roles @> p.key
          AND rolecall._recorded(p.section, p.key) IS NOT NULL AND to_regrole(quote_ident(p.key ->> 0)) IS NOT NULL;
      END IF;
      IF NOT ${dry_run} AND rolecall._derived_password('') IS NULL THEN
        RAISE EXCEPTION USING
          ERRCODE = 'serialization_failure',
          MESSAGE = 'the secret was made by a transaction that this one cannot see',
          HINT = 'Try again.';
      END IF;
      RETURN QUERY SELECT * FROM rolecall._converge(
        rolecall._reporting_state(${definitions}, v_roles, ${realign} OR v_rotate), ${dry_run}
      );
    END
  `;
}

/**
 * The desired state of reporting roles
 * @volatility stable
 */
export function _reporting_state(definitions: Jsonb, password_roles: Jsonb, realign: Bool): Returns<Jsonb> {
  const list = (part: Sql, from = definitions) =>
    sql`(SELECT jsonb_agg(${part}) FROM jsonb_array_elements(${from}) AS d)`;
  return sql`
    BEGIN
      RETURN jsonb_build_object(
        'roles', ${list(sql`
          jsonb_build_object(
            'name', d -> 'role',
            'attributes', '{"superuser": false, "createdb": false, "createrole": false, "login": true, "replication": false, "bypassrls": false}'::jsonb,
            'password', coalesce(rolecall._derived_password(d ->> 'role'), rolecall._mask()),
            'protected', true
          )
        `)},
        'passwords', ${list(
          sql`jsonb_build_object('role', d, 'password', rolecall._derived_password(d #>> '{}'), 'realign', ${realign})`,
          password_roles,
        )},
        'memberships', ${list(sql`jsonb_build_object('role', '*', 'member', d -> 'role', 'state', 'absent')`)},
        'settings', (
          SELECT jsonb_agg(jsonb_build_object('role', d -> 'role', 'name', s.name, 'value', s.value))
          FROM jsonb_array_elements(${definitions}) AS d
          CROSS JOIN LATERAL (
            VALUES ('default_transaction_read_only', to_jsonb('on'::text)),
                   ('search_path', d -> 'schemas'),
                   ('rolecall.database', to_jsonb((SELECT b.oid::text FROM pg_database AS b WHERE b.datname = current_database())))
          ) AS s(name, value)
        ),
        'read_access', ${definitions}
      );
    END
  `;
}

/**
 * A new secret in place of the present one, if that is still older than it may be
 */
export function _rotate(rotate_after: Interval, dry_run: Bool): Returns<StepRow> {
  return sql`
    BEGIN
      IF NOT ${dry_run} THEN
        -- Two callers at once: the second finds the first one's secret, and uses it.
        INSERT INTO rolecall.secret AS s (key, value, encrypted)
        VALUES (${secretKey}, rolecall._random_bytes(), false)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, made_at = excluded.made_at
        WHERE s.made_at <= clock_timestamp() - ${rotate_after};
      END IF;
      RETURN ROW('rotate_secret', current_database(), 'SELECT * FROM rolecall.rotate_reporting_secret()',
                 CASE WHEN ${dry_run} THEN 'planned' ELSE 'applied' END, NULL, NULL)::rolecall.step;
    END
  `;
}

/**
 * The password of a reporting role, derived from the secret of this database; null where there is no secret yet
 * @volatility stable
 */
export function _derived_password(role_name: Text): Returns<Text> {
  return sql`
    BEGIN
      RETURN (
        SELECT encode(rolecall._hmac_sha256(s.value, convert_to('rolecall:' || ${role_name}, 'UTF8')), 'hex')
        FROM rolecall.secret AS s
        WHERE s.key = ${secretKey}
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
        'schemas', to_jsonb(${schemas}),
        'withheld', coalesce(to_jsonb(${withheld}), '[]'),
        'owners', to_jsonb(${owners})
      );
    END
  `;
}
