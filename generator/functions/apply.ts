import type { Bool, Jsonb, SetOf, StepRow, Text } from '../model/types.ts';
import { raiseNull } from '../sql/raise.ts';
import { sql } from '../sql/template.ts';
import { rows } from './_shared.ts';

/**
 * Establishes a policy: the whole access control of this database as one document
 *
 * The page [policies](policies.md) describes what a policy can contain. The mode decides about what exists and is not
 * in the policy:
 *
 * * `additive`: it stays. The policy only adds to it.
 * * `adopt`: the roles that the policy describes, and those that have a profile, have exactly the attributes,
 *   memberships, settings and privileges in this database that it says. Privileges on objects of the whole cluster,
 *   such as tablespaces, are only added. All other roles are left alone.
 * * `authoritative`: as `adopt`; and roles, also reporting roles, that an earlier policy of this database created and
 *   this one does not name are dropped. Base roles are not.
 *
 * The policy is remembered: drift() and converge() cover it, and policy() returns it.
 *
 * @group policies
 * @param policy the policy
 * @param mode what happens to what the policy does not mention: `additive`, `adopt` or `authoritative`
 * @param passwords passwords by role, as plain text or verifiers; they are not remembered; an existing role gets its
 *   password if the caller can see that it has another one; null: none
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row per change; none if nothing differs from the policy. What the caller may not do is skipped with
 *   42501 and a WARNING, and what the policy of another database contradicts with 22023. An object or a role that does
 *   not exist is skipped with 42P01, 42704 and so on
 * @throws null_value_not_allowed - the policy or the mode is null
 * @throws invalid_parameter_value - the policy has problems, which DETAIL lists; the mode is none of the three; the
 *   policy would remove the caller; or a password is empty, an MD5 hash, or for a role that the policy does not
 *   describe
 * @throws feature_not_supported - the policy is valid, but asks for what this version of the server does not have
 * @throws insufficient_privilege - the caller may not create or change the roles or schemas
 * @throws dependent_objects_still_exist - a role that is to be removed owns something
 * @example SELECT operation, statement, status FROM rolecall.apply('{"roles": {"app": {"login": true}}, "privileges": [{"to": "app", "on": {"schema": "public"}, "grant": ["USAGE"]}]}');
 */
export function apply(
  policy: Jsonb,
  mode: Text = 'adopt',
  passwords: Jsonb | null = null,
  dry_run: Bool = false,
): SetOf<StepRow> {
  return sql`
    BEGIN
      IF ${policy} IS NULL THEN
        ${raiseNull('policy')}
      ELSIF ${mode} IS NULL THEN
        ${raiseNull('mode')}
      ELSIF ${mode} NOT IN ('additive', 'adopt', 'authoritative') THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = format('mode must be additive, adopt or authoritative, not %L', ${mode});
      END IF;
      ${rows(sql`
        rolecall_internal.apply_policy(
          ${policy}, ${mode}, ${passwords}, ${dry_run}
        )
      `)}
    END
  `;
}
