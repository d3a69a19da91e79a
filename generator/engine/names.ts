/**
 * Which names a role may have, and which roles no call may touch.
 */
import type { Jsonb, Nothing, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';

/**
 * Refuses a desired state that names a role as no role can be named, or that needs a newer server
 * @volatility stable
 */
export function _check_document(document: Jsonb): Nothing {
  return sql`
    DECLARE
      v_wrong record;
    BEGIN
      FOR v_wrong IN
        SELECT n.*
        FROM jsonb_path_query(${document}, '$.*[*]') AS r(resource)
        CROSS JOIN LATERAL (
          -- A resource of a role names it as role, or else it is about the role itself.
          VALUES (r.resource ->> 'role', 'role', r.resource ? 'role'),
                 (r.resource ->> 'member', 'role', r.resource ? 'member'),
                 (r.resource ->> 'name', 'role', NOT r.resource ?| '{role,member}'
                    AND (r.resource ->> 'name' IS NOT NULL OR NOT r.resource ? 'key')),
                 (r.resource ->> 'reassign_to', 'role', r.resource ->> 'reassign_to' IS NOT NULL),
                 (r.resource ->> 'password', 'password', r.resource ? 'password')
        ) AS n(value, kind, given)
        WHERE n.given
          AND CASE n.kind
                WHEN 'password' THEN n.value = ''
                ELSE n.value IS NULL
                     OR octet_length(n.value) NOT BETWEEN 1 AND 63
                     OR n.value IN ('public', 'none', 'current_user', 'session_user', 'current_role')
                     OR starts_with(n.value, 'pg_')
              END
      LOOP
        IF v_wrong.kind = 'password' THEN
          RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'password must not be empty',
            HINT = 'Use null for a role without a password.';
        END IF;
        PERFORM rolecall._check_role_name(v_wrong.value);
      END LOOP;
    END
  `;
}

/**
 * Refuses a name that no role can have: null, empty, too long, or reserved
 * @volatility stable
 */
export function _check_role_name(role_name: Text): Nothing {
  return sql`
    BEGIN
      IF ${role_name} IS NULL THEN
        RAISE EXCEPTION USING
          ERRCODE = 'null_value_not_allowed',
          MESSAGE = 'role name must not be null';
      ELSIF octet_length(${role_name}) NOT BETWEEN 1 AND 63 THEN
        -- The server would cut a longer name without an error, and every later comparison would miss the role.
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_name',
          MESSAGE = format('role name must be 1 to 63 bytes long, not %s', octet_length(${role_name})),
          DETAIL = format('The name is %L.', ${role_name});
      ELSIF ${role_name} IN ('public', 'none', 'current_user', 'session_user', 'current_role')
            OR starts_with(${role_name}, 'pg_') THEN
        RAISE EXCEPTION USING
          ERRCODE = 'reserved_name',
          MESSAGE = format('role name "%s" is reserved', ${role_name}),
          HINT = 'Names that start with "pg_" and the SQL role keywords belong to PostgreSQL.';
      END IF;
    END
  `;
}

/**
 * Refuses a password that is empty, or a verifier that is one of the empty password
 * @volatility stable
 */
export function _refuse_empty_password(what: Text): Nothing {
  return sql`
    BEGIN
      RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = 'password must not be empty',
        DETAIL = format('It is %s.', ${what}),
        HINT = 'Use null for a role without a password.';
    END
  `;
}

/**
 * Refuses to bend a superuser, or the caller itself, into a role of the desired state
 * @volatility stable
 */
export function _check_protected(role_name: Text): Nothing {
  return sql`
    BEGIN
      IF ${role_name} IN (current_user, session_user) THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('role "%s" is the role that makes this call', ${role_name}),
          HINT = 'Choose another name: the role would lose attributes and privileges that the call needs.';
      -- A superuser passes every privilege check, which also tells of one that the snapshot does not show.
      ELSIF has_table_privilege(
        to_regrole(quote_ident(${role_name}))::oid, 'pg_catalog.pg_authid', 'TRUNCATE'
      ) THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('role "%s" is a superuser', ${role_name}),
          HINT = 'Choose another name: no call demotes an administrator.';
      END IF;
    END
  `;
}
