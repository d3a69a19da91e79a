/**
 * The reporting roles of this database.
 */
import { newest } from '../../model/record.ts';
import { mask } from '../../model/resources.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Jsonb, Returns, Steps, Texts } from '../../model/types.ts';
import { conditions } from '../../sql/conditions.ts';
import { raiseAgain, warnOfSkipped } from '../../sql/raise.ts';
import { sql, text } from '../../sql/template.ts';
import { verifierPrefix } from '../secrets/reporting.ts';

/**
 * The reporting roles that are recorded here and exist: those of this database, or those of others
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
          -- One that another database has created since has another oid.
          AND (s.note IS NULL OR s.sqlstate = ${text(sqlstates.duplicate_object)} AND NOT ${ours})
          AND to_regrole(quote_ident(p.key ->> 0)) IS NOT NULL
          AND (rolecall_internal.other_database(p.key ->> 0) IS NULL) = ${ours}
        ORDER BY 1
      );
    END
  `;
}

/**
 * Skipped steps for the reporting roles that are recorded here and belong to other databases: nothing is done to them
 */
export function left_out(dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_name text;
      v_note text;
      v_steps rolecall.step[] := '{}'::rolecall.step[];
    BEGIN
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

/**
 * Sets the passwords of reporting roles, in the order that they have, and returns the steps
 *
 * A role that cannot be changed, such as one that its own session has locked, keeps the others from nothing: it is a skipped
 * step, and the next provisioning run sets its password. Where that goes for every role it is the error of the last one,
 * unless something else was done before.
 */
export function set_reporting_passwords(passwords: Jsonb, lenient: Bool, dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_count integer := jsonb_array_length(${passwords});
      v_failures integer := 0;
      v_password jsonb;
      v_name text;
      v_detail text;
      v_hint text;
      v_steps rolecall.step[] := '{}'::rolecall.step[];
    BEGIN
      FOR v_position IN 0 .. v_count - 1 LOOP
        v_password := ${passwords} -> v_position;
        v_name := v_password ->> 'role';
        BEGIN
          v_steps := v_steps || rolecall_internal.run(
            jsonb_build_object('passwords', jsonb_build_array(v_password)), ${dry_run}
          );
        EXCEPTION
          WHEN ${conditions('insufficient_privilege', 'lock_not_available')} THEN
            GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
            v_failures := v_failures + 1;
            IF v_failures = v_count AND ${lenient} IS NOT TRUE THEN
              ${raiseAgain}
            END IF;
            ${warnOfSkipped(sql`SQLSTATE`, sql`v_name`, sql`SQLERRM`, sql`v_hint`)}
            -- It has the password of the former secret: what is kept of it is that it is this database's.
            UPDATE rolecall_internal.secret AS s SET value = '' WHERE s.key = ${verifierPrefix} || v_name;
            v_steps := v_steps || ROW(
              'set_password', v_name, format('ALTER ROLE %I PASSWORD %L', v_name, ${mask}), 'skipped', SQLSTATE, SQLERRM
            )::rolecall.step;
        END;
      END LOOP;
      RETURN v_steps;
    END
  `;
}
