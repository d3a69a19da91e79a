/**
 * Restores what the calls of this database have asked for, as one desired state.
 */
import { recordedMark } from '../../model/sections.ts';
import type { Bool, Returns, Steps } from '../../model/types.ts';
import { raw, sql, text } from '../../sql/template.ts';
import { created } from '../document/lists.ts';
import { simple } from '../document/names.ts';
import { isWatching } from '../reading/watch.ts';
import { refusedMark } from '../record/recorded.ts';

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
      v_refused rolecall.step[] := '{}'::rolecall.step[];
      v_watched jsonb;
      v_definition jsonb;
      v_definitions jsonb;
      v_recorded jsonb;
      v_steps rolecall.step[] := '{}'::rolecall.step[];
    BEGIN
      IF v_state ? ${text(refusedMark)} THEN
        v_refused := rolecall_internal.refused_steps(NULL, v_left, ${dry_run});
        v_state := v_state - ${text(refusedMark)};
      END IF;
      v_recorded := v_state;
      -- Mostly all but the reporting roles is there, which takes no plan to find out.
      IF v_state ?| ${text(`{${simple.join(',')}}`)} AND rolecall_internal.is_established(v_state - 'read_access') THEN
        v_state := v_state - ${text(`{${simple.join(',')}}`)}::text[];
      END IF;
      v_state := v_state || '{"${raw(recordedMark)}": []}';
      IF v_state ? 'read_access' THEN
        -- The default privileges of owners that are new since then are left to provisioning.
        v_watched := jsonb_build_object('watched', ${isWatching});
        FOR v_position IN 0 .. jsonb_array_length(v_state -> 'read_access') - 1 LOOP
          v_definition := v_state -> 'read_access' -> v_position;
          IF cardinality(v_left) > 0 THEN
            CONTINUE WHEN EXISTS (SELECT FROM unnest(v_left) AS l WHERE l.target = v_definition ->> 'role');
          END IF;
          IF v_definition ? 'owners' THEN
            -- An owner that neither exists nor is to be created does not create tables.
            v_definition := v_definition || jsonb_build_object('owners', (
              SELECT coalesce(jsonb_agg(o.name), '[]')
              FROM jsonb_array_elements_text(v_definition -> 'owners') AS o(name)
              WHERE to_regrole(quote_ident(o.name)) IS NOT NULL
                OR v_state -> 'roles' @> jsonb_build_array(jsonb_build_object('name', o.name))
            ));
          END IF;
          v_definitions := coalesce(v_definitions, '[]') || jsonb_build_array(v_definition || v_watched);
        END LOOP;
        v_state := v_state - 'read_access';
      END IF;
      IF v_definitions IS NOT NULL THEN
        -- A password that the caller cannot compare counts as right.
        v_steps := rolecall_internal.run_reporting(v_definitions, v_state, NULL, false, ${dry_run});
      ELSIF v_state <> '{"${raw(recordedMark)}": []}' THEN
        v_steps := rolecall_internal.run(v_state, ${dry_run});
      END IF;
      IF EXISTS (
        ${created(sql`v_steps`)}
      ) THEN
        PERFORM rolecall_internal.renew_records(v_recorded, v_steps);
      END IF;
      IF ${dry_run} IS NOT TRUE THEN
        PERFORM rolecall_internal.remember_exceptions();
      END IF;
      RETURN v_steps || v_left || v_refused;
    END
  `;
}
