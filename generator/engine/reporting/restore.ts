/**
 * What this database's calls have asked for, as one desired state.
 */
import { recordedMark } from '../../model/sections.ts';
import type { Bool, Returns, Steps } from '../../model/types.ts';
import { raw, sql } from '../../sql/template.ts';
import { isWatching } from '../reading/watch.ts';

/**
 * Restores everything that is recorded, with a new secret for the reporting roles where there is none
 *
 * Reporting roles of other databases are left out, and the steps say so.
 */
export function restore(dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_state jsonb := rolecall_internal.recorded_document();
      v_left rolecall.step[] := rolecall_internal.left_out(${dry_run});
      v_refused rolecall.step[] := rolecall_internal.refused_steps(NULL, v_left, ${dry_run});
      v_definitions jsonb;
      v_recorded jsonb := v_state;
      v_steps rolecall.step[];
    BEGIN
      v_state := v_state || '{"${raw(recordedMark)}": []}';
      IF v_state ? 'read_access' THEN
        v_definitions := (
          -- The default privileges of owners that came new meanwhile are a matter of provisioning.
          SELECT jsonb_agg(d.definition || o.owners || jsonb_build_object('watched', ${isWatching}) ORDER BY d.position)
          FROM jsonb_array_elements(v_state -> 'read_access') WITH ORDINALITY AS d(definition, position)
          CROSS JOIN LATERAL (
            -- An owner that does not exist, nor is to be created, creates no table.
            SELECT CASE WHEN d.definition ? 'owners' THEN jsonb_build_object('owners', coalesce(jsonb_agg(o.name), '[]'))
                        ELSE '{}' END
            FROM jsonb_array_elements_text(d.definition -> 'owners') AS o(name)
            WHERE to_regrole(quote_ident(o.name)) IS NOT NULL
              OR v_state -> 'roles' @> jsonb_build_array(jsonb_build_object('name', o.name))
          ) AS o(owners)
          WHERE NOT EXISTS (SELECT FROM unnest(v_left) AS l WHERE l.target = d.definition ->> 'role')
        );
        v_state := v_state - 'read_access';
      END IF;
      IF v_definitions IS NOT NULL THEN
        -- A password that nobody but a superuser could compare counts as right.
        v_steps := rolecall_internal.run_reporting(v_definitions, v_state, NULL, false, ${dry_run});
      ELSE
        v_steps := rolecall_internal.run(v_state, ${dry_run});
      END IF;
      IF EXISTS (SELECT FROM unnest(v_steps) AS s WHERE s.operation = 'create_role' AND s.status = 'applied') THEN
        PERFORM rolecall_internal.renew_records(v_recorded, v_steps);
      END IF;
      IF ${dry_run} IS NOT TRUE THEN
        PERFORM rolecall_internal.remember_exceptions();
      END IF;
      RETURN v_steps || v_left || v_refused;
    END
  `;
}
