/**
 * What this database's calls have asked for, as one desired state.
 */
import type { Bool, Returns, Steps } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * Restores everything that is recorded, with a new secret for the reporting roles where there is none
 */
export function restore(dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_state jsonb := rolecall_internal.recorded_document();
    BEGIN
      IF v_state ? 'read_access' THEN
        -- A password that nobody but a superuser could compare counts as right.
        RETURN rolecall_internal.run_reporting(
          v_state -> 'read_access', v_state - 'read_access', NULL, false, ${dry_run}
        );
      END IF;
      RETURN rolecall_internal.run(v_state, ${dry_run});
    END
  `;
}
