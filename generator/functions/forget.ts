import type { Bool, SetOf, StepRow, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';
import { rows } from './_shared.ts';

/**
 * Forgets a role: nothing is remembered about it any more, and the role stays as it is
 *
 * From then on drift() and converge() leave it out, and no policy removes it because it does not name it. The names
 * of the base roles stay. For `public`, which is everybody, it forgets what policies have said about the privileges of
 * PUBLIC. If a superuser makes the call, policies of other databases no longer take account of what a policy of this
 * database said of the role.
 *
 * @group keeping
 * @param role_name name of the role, which need not exist, or public
 * @param dry_run true: return the steps as planned and change nothing
 * @returns one row for each record; none if nothing was remembered
 * @throws null_value_not_allowed - the name is null
 * @throws invalid_name - the name is empty or longer than 63 bytes
 * @throws reserved_name - the name belongs to PostgreSQL
 * @throws insufficient_privilege - the caller may not change what is recorded
 * @example SELECT operation, target, statement FROM rolecall.forget('alice');
 */
export function forget(role_name: Text, dry_run: Bool = false): SetOf<StepRow> {
  return sql`
    BEGIN
      IF ${role_name} IS DISTINCT FROM 'public' THEN
        PERFORM rolecall_internal.check_role_name(${role_name});
      END IF;
      ${rows(sql`rolecall_internal.forget_role(${role_name}, ${dry_run})`)}
      IF ${dry_run} IS NOT TRUE THEN
        -- The mark that a policy has left on the role for other databases is not a row of the record.
        PERFORM rolecall_internal.run(jsonb_build_object(
          'marks', jsonb_build_array(jsonb_build_object('role', nullif(${role_name}, 'public')))
        ), false);
      END IF;
    END
  `;
}
