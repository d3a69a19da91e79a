/**
 * The reporting roles of this database.
 */
import { newest } from '../../model/record.ts';
import { mask } from '../../model/resources.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Jsonb, Nothing, Returns, Steps, Texts } from '../../model/types.ts';
import { warnOfSkipped } from '../../sql/raise.ts';
import { raw, type Sql, sql, text } from '../../sql/template.ts';
import { isKeptHere } from '../reading/ownership.ts';
import { verifierPrefix } from '../secrets/reporting.ts';

/**
 * The reporting roles that are recorded here and exist, either those of this database or those of others
 *
 * A copy of a database, and a dump that is restored beside it, have the roles of the original in their record.
 * @volatility stable
 */
export function reporting_roles(ours: Bool): Returns<Texts> {
  return sql`
    BEGIN
      RETURN ARRAY(
        SELECT (p.key ->> 0) COLLATE "C"
        FROM ${newest(sql`r.section = 'read_access'`)} AS p
        CROSS JOIN LATERAL rolecall_internal.refusal(p::rolecall_internal.resource) AS s
        WHERE p.resource IS NOT NULL
          -- A role that another database has created since then has another oid.
          AND (s.note IS NULL OR s.sqlstate = ${text(sqlstates.duplicate_object)} AND NOT ${ours})
          AND to_regrole(quote_ident(p.key ->> 0)) IS NOT NULL
          AND (rolecall_internal.other_database(p.key ->> 0) IS NULL) = ${ours}
        ORDER BY 1
      );
    END
  `;
}

/**
 * Skipped steps for the reporting roles that are recorded here but belong to other databases
 */
export function left_out(dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_name text;
      v_note text;
      v_steps rolecall.step[] := '{}'::rolecall.step[];
    BEGIN
      -- Mostly each has a verifier that was made here.
      IF NOT EXISTS (
        SELECT FROM rolecall_internal.resource AS r
        WHERE r.section = 'read_access' AND r.resource IS NOT NULL
          AND NOT ${isKeptHere(sql`(r.key ->> 0)`)}
      ) THEN
        RETURN v_steps;
      END IF;
      FOREACH v_name IN ARRAY rolecall_internal.reporting_roles(false) LOOP
        v_note := format('left out: it belongs to database "%s"', rolecall_internal.other_database(v_name));
        IF ${dry_run} IS NOT TRUE THEN
          ${warnOfSkipped(
            text(sqlstates.invalid_parameter_value),
            sql`v_name`,
            sql`v_note`,
            text(
              'Give the reporting roles of this database names of their own, by rolecall.provision_reporting_role().',
            ),
          )}
        END IF;
        v_steps := v_steps || ROW(
          'set_password', v_name, format('ALTER ROLE %I PASSWORD %L', v_name, ${mask}),
          'skipped', ${text(sqlstates.invalid_parameter_value)}, v_note
        )::rolecall.step;
      END LOOP;
      RETURN v_steps;
    END
  `;
}

/** The statements that set the passwords of reporting roles, each role by itself: see run_apart(). */
export const setApart = (steps: Sql, passwords: Sql, lenient: boolean, dryRun: Bool) => sql`
  ${steps} := rolecall_internal.run_apart(
    rolecall_internal.password_states(${passwords}), ${raw(String(lenient))}, ${dryRun}
  );
  PERFORM rolecall_internal.keep_no_verifier(${steps});
`;

/**
 * The desired states in which reporting roles have their passwords, one for each role, as run_apart() takes them
 * @volatility immutable
 */
export function password_states(passwords: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_states jsonb[] := '{}'::jsonb[];
      v_password jsonb;
    BEGIN
      FOR v_position IN 0 .. jsonb_array_length(${passwords}) - 1 LOOP
        v_password := ${passwords} -> v_position;
        v_states := v_states || jsonb_build_object(
          'role', v_password -> 'role', 'operation', 'set_password',
          'statement', format('ALTER ROLE %I PASSWORD %L', v_password ->> 'role', ${mask}),
          'state', jsonb_build_object('passwords', jsonb_build_array(v_password))
        );
      END LOOP;
      RETURN to_jsonb(v_states);
    END
  `;
}

/**
 * Keeps a mark that reporting roles whose passwords could not be set belong to this database
 *
 * They keep the passwords from the former secret. The next provisioning run sets them.
 */
export function keep_no_verifier(steps: Steps): Nothing {
  return sql`
    DECLARE
      v_step rolecall.step;
    BEGIN
      FOREACH v_step IN ARRAY ${steps} LOOP
        IF v_step.operation = 'set_password' AND v_step.status = 'skipped' THEN
          UPDATE rolecall_internal.secret AS s SET value = '' WHERE s.key = ${verifierPrefix} || v_step.target;
        END IF;
      END LOOP;
    END
  `;
}
