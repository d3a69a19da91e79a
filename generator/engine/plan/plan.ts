/**
 * The plan: what differs between a desired state and the catalogs, section by section.
 */
import type { Changes, Jsonb, Returns } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * The differences between the desired state and the catalogs, in the order in which they have to be made
 *
 * The document has the mask where there is a password; the passwords are beside it, by the name of the role.
 * @volatility stable
 */
export function plan(document: Jsonb, passwords: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_changes rolecall_internal.change[] := '{}'::rolecall_internal.change[];
    BEGIN
      IF ${document} ? 'roles' THEN
        v_changes := v_changes || rolecall_internal.plan_roles(${document} -> 'roles');
      END IF;
      IF ${document} ? 'passwords' THEN
        v_changes := v_changes || rolecall_internal.plan_passwords(${document}, ${passwords});
      END IF;
      IF ${document} ? 'memberships' THEN
        v_changes := v_changes || rolecall_internal.plan_memberships(${document});
      END IF;
      IF ${document} ? 'settings' THEN
        v_changes := v_changes || ARRAY(
          SELECT p FROM rolecall_internal.plan_settings(${document} -> 'settings') AS p
        );
      END IF;
      IF ${document} ? 'read_access' THEN
        v_changes := v_changes || ARRAY(
          SELECT p FROM rolecall_internal.plan_read_access(${document} -> 'read_access') AS p
        );
      END IF;
      IF ${document} ? 'watch' THEN
        v_changes := v_changes || ARRAY(
          SELECT p FROM rolecall_internal.plan_watch(${document} -> 'watch') AS p
        );
      END IF;
      IF ${document} ? 'operators' THEN
        v_changes := v_changes || ARRAY(
          SELECT p FROM rolecall_internal.plan_operators(${document}) AS p
        );
      END IF;
      IF ${document} @? '$.roles[*] ? (@.state == "absent")' THEN
        v_changes := v_changes || ARRAY(
          SELECT p FROM rolecall_internal.plan_removals(${document} -> 'roles') AS p
        );
      END IF;
      RETURN v_changes;
    END
  `;
}
