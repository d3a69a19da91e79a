import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { advisoryLock, baseRole, establish, user } from './_shared.ts';

/**
 * Creates a role that can log in and is a member of the anonymous and authenticated roles
 *
 * A role of that name that exists already keeps its password and its attributes, and gains the memberships. The
 * password is hashed in the database before any statement is built from it.
 *
 * @group users
 * @param username name of the role
 * @param password plain text, or a ready-made `SCRAM-SHA-256$...` verifier; null: no password
 * @param use_locks true: also take `pg_advisory_xact_lock(42, hashtext(username))`, for other tools that do; not
 *   needed for safety
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; none if nothing differs; a membership by which others could take a power of the role is
 *   skipped with 42501 and a WARNING
 * @throws null_value_not_allowed - the name is null
 * @throws invalid_name - the name is empty or longer than 63 bytes
 * @throws reserved_name - the name belongs to PostgreSQL
 * @throws invalid_parameter_value - the role is a reporting role, or the password is empty, a verifier of the empty
 *   one, an MD5 hash or an incomplete verifier
 * @throws insufficient_privilege - the caller may not create roles, or may not grant the two roles
 * @example SELECT operation, target, status FROM rolecall.create_user('alice', 'correct horse battery staple');
 */
export function create_user(
  username: Text,
  password: Text | null = null,
  use_locks: Bool = false,
  dry_run: Bool = false,
): SetOf<StepRow> {
  return establish(
    {
      roles: [{ name: username, ...user, password }],
      memberships: [
        { role: baseRole('anonymous'), member: username },
        { role: baseRole('authenticated'), member: username },
      ],
    },
    dry_run,
    advisoryLock(use_locks, username),
  );
}
