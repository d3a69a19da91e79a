import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { advisoryLock, establish } from './_shared.ts';

/**
 * Drops a role and its memberships, and on request reassigns or drops what it owns
 *
 * A role that owns something, or has privileges on something, in any database of the cluster can be dropped only
 * after that is cleared. reassign_to and drop_owned clear what is in this database, and the databases and tablespaces
 * that the role owns. If there is anything else, the call fails before it changes anything. The DETAIL lists each
 * database, what is there and the statement to run there; user_dependencies() returns the same as rows.
 *
 * With only reassign_to nothing is dropped: the privileges of the role end, and what it owns goes to the other role.
 * With both arguments everything that can be reassigned is reassigned, and the rest is dropped.
 *
 * What the role had granted to others ends with it: privileges that it held WITH GRANT OPTION, and from PostgreSQL 16
 * memberships. With reassign_to it is granted again first, as the owner of the object or by the caller, one row each.
 * If the caller cannot grant something, the call fails and lists it; with drop_owned it is a WARNING and a skipped
 * row with 2BP01. With only drop_owned nothing is granted again, and each loss is such a row, which says who loses
 * what and has the statement that grants it again.
 *
 * Where the role owns nothing, a caller that may grant itself the role does so for DROP OWNED, as part of the same
 * statement. A caller that is not a superuser can revoke what it granted itself and, where it has the rights of the
 * owner, what the owner granted. Any other privilege of the role prevents the removal. The DETAIL has the REVOKE,
 * after SET ROLE, for the role that can run it.
 *
 * An object that acts as its owner is never given to a role with more rights. Such objects are functions and
 * procedures with SECURITY DEFINER, views without security_invoker, materialized views, rules, foreign tables,
 * subscriptions, event triggers, tables whose triggers run as the owner, tables that call a function which no
 * superuser wrote, for example in a constraint, an index or a type, and tables on which others have REFERENCES, or
 * TRIGGER if a foreign key changes them, because those could make them act as their owner. If reassign_to has a right
 * that the role does not have, the call fails, and the DETAIL lists each object and what to do about it.
 *
 * The sessions of the role continue, as a role that no longer exists, unless terminate_sessions ends them. That is
 * the first step, and a later error does not undo it. A user that connects again meanwhile can delay the call; to
 * avoid that, call lock_user() in a transaction before. The role is no longer remembered, so converge() does not
 * create it again; another database that has created it too still remembers it. The names of the base roles are kept.
 *
 * @group users
 * @param username name of the role
 * @param reassign_to the new owner of what the role owns in this database; null: none
 * @param drop_owned true: drop what the role owns in this database and revoke its privileges there
 * @param terminate_sessions true: end the sessions of the role in every database, and wait up to five seconds for each
 * @param use_locks true: also take `pg_advisory_xact_lock(42, hashtext(username))`, for other tools that do; not
 *   needed for safety
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per step; the note of the last one lists the memberships that end; none if there is no such role
 * @throws null_value_not_allowed - the name is null
 * @throws invalid_name - a name is empty or longer than 63 bytes
 * @throws reserved_name - a name belongs to PostgreSQL
 * @throws invalid_parameter_value - reassign_to is the role itself
 * @throws undefined_object - the role reassign_to does not exist
 * @throws dependent_objects_still_exist - something depends on the role that the call would not clear, or on what it
 *   would drop; others would lose what the role granted to them; or what acts as its owner would go to a role with
 *   more rights
 * @throws object_in_use - the role is the caller
 * @throws insufficient_privilege - the caller may not drop the role, end its sessions or dispose of what it owns
 * @throws serialization_failure - under REPEATABLE READ: the role was given something since the snapshot
 * @example SELECT operation, statement, status, note FROM rolecall.remove_user('alice', dry_run => true);
 */
export function remove_user(
  username: Text,
  reassign_to: Text | null = null,
  drop_owned: Bool = false,
  terminate_sessions: Bool = false,
  use_locks: Bool = false,
  dry_run: Bool = false,
): SetOf<StepRow> {
  return establish(
    { roles: [{ name: username, state: 'absent', reassign_to, drop_owned, terminate_sessions }] },
    dry_run,
    advisoryLock(use_locks, username),
  );
}
