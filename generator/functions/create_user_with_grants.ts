import type { Bool, SetOf, StepRow, Text, Texts } from '../model/types.ts';
import { raw, sql } from '../sql/template.ts';
import { advisoryLock, established, user } from './_shared.ts';

/**
 * Creates a role that can log in and is a member of the roles given
 *
 * Works like create_user(), but with the roles given instead of the anonymous and authenticated roles.
 *
 * @group users
 * @param username name of the role
 * @param password plain text, or a ready-made `SCRAM-SHA-256$...` verifier; null: no password
 * @param roles_to_grant roles that it becomes a member of, in this order, predefined ones too; null or empty: none
 * @param use_locks true: also take `pg_advisory_xact_lock(42, hashtext(username))`, for other tools that do; not
 *   needed for safety
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; a role that does not exist is skipped with 42704 and a NOTICE; a membership by which
 *   others could take a power of the role is skipped with 42501 and a WARNING
 * @throws null_value_not_allowed - a name is null
 * @throws invalid_name - a name is empty or longer than 63 bytes
 * @throws reserved_name - a name belongs to PostgreSQL, and is not that of a predefined role to be granted
 * @throws invalid_parameter_value - the role is a reporting role, or the password is empty, a verifier of the empty
 *   one, an MD5 hash or an incomplete verifier
 * @throws insufficient_privilege - the caller may not create roles, or may not grant one of the roles
 * @throws invalid_grant_operation - the role would become a member of itself
 * @example SELECT operation, statement, status FROM rolecall.create_user_with_grants('bob', NULL, ARRAY['authenticated']);
 */
export function create_user_with_grants(
  username: Text,
  password: Text | null,
  roles_to_grant: Texts | null,
  use_locks: Bool = false,
  dry_run: Bool = false,
): SetOf<StepRow> {
  const state = { roles: [{ name: username, ...user, password }], memberships: raw('v_memberships') };
  return sql`
    DECLARE
      v_memberships jsonb := (
        SELECT coalesce(
                 jsonb_agg(
                   jsonb_build_object('role', r.name, 'member', ${username}) ORDER BY r.position
                 ),
                 '[]'
               )
        FROM (
          SELECT g.name, min(g.position) AS position
          FROM unnest(${roles_to_grant}) WITH ORDINALITY AS g(name, position) GROUP BY g.name
        ) AS r
      );
    BEGIN
      ${advisoryLock(use_locks, username)}
      ${established(state, dry_run)}
    END
  `;
}
