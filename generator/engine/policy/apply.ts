/**
 * Establishes a policy.
 */
import { accepted } from '../../model/record.ts';
import type { Bool, Jsonb, Returns, Steps, Text } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { owned } from '../catalogs/grantable.ts';
import { thisDatabase } from '../catalogs/server.ts';
import { created } from '../document/lists.ts';
import { list, object } from './shape.ts';

/**
 * Establishes a policy, and returns the steps
 */
export function apply_policy(policy: Jsonb, mode: Text, passwords: Jsonb, dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_state jsonb;
      v_reports jsonb := rolecall_internal.policy_reports(${policy});
      v_rotate_after interval;
      v_created jsonb;
      v_steps rolecall.step[];
    BEGIN
      IF jsonb_typeof(${passwords}) <> 'object'
        OR jsonb_path_exists(${passwords}, 'strict $.* ? (@.type() != "string" && @.type() != "null")')
      THEN
        RAISE EXCEPTION USING
          ERRCODE = 'invalid_parameter_value',
          MESSAGE = 'passwords must be an object, in which each role has a string',
          HINT = 'For example: ''{"alice": "a password"}''.';
      END IF;
      PERFORM rolecall_internal.refuse_policy(${policy}, ${passwords});
      v_state := coalesce(
        rolecall_internal.policy_state(${policy}, ${mode}, ${passwords}), '{}'
      );
      IF ${mode} = 'authoritative' THEN
        v_state := rolecall_internal.joined(v_state, rolecall_internal.no_longer_named(${policy}));
      END IF;
      IF ${mode} <> 'additive' THEN
        v_state := coalesce(
          rolecall_internal.joined(v_state, rolecall_internal.forgotten_resources(v_state)), '{}'
        );
      END IF;
      PERFORM rolecall_internal.note_unmatched_exceptions(v_state -> 'privileges');
      PERFORM rolecall_internal.note_default_role(v_state);
      IF v_reports IS NULL THEN
        v_steps := rolecall_internal.run(v_state, ${dry_run});
      ELSE
        PERFORM rolecall_internal.check_read_access(v_reports);
        PERFORM rolecall_internal.warn_about_readers(v_reports);
        v_rotate_after := (
          SELECT min((r.definition ->> 'rotate_after')::interval)
          FROM jsonb_each(${object(sql`${policy} -> 'reporting'`)}) AS r(name, definition)
        );
        IF ${dry_run} IS NOT TRUE THEN
          -- The secret comes before any lock on a role.
          PERFORM rolecall_internal.lock_reporting_secret(rolecall_internal.is_rotation_due(v_rotate_after));
        END IF;
        -- Roles of the policy can own what the reporting roles read, so they come first.
        v_steps := rolecall_internal.run(v_state, ${dry_run})
          || rolecall_internal.run_reporting(v_reports, '{}', v_rotate_after, false, ${dry_run});
      END IF;
      IF ${dry_run} IS NOT TRUE THEN
        -- Of reporting roles, too, a later policy has to know that they are of a policy.
        v_created := (
          SELECT jsonb_agg(jsonb_build_object('role', r.name, 'made', true))
          FROM jsonb_object_keys(${object(sql`${policy} -> 'reporting'`)}) AS r(name)
          WHERE r.name IN (
            ${created(sql`v_steps`)}
          )
        );
        IF v_created IS NOT NULL THEN
          PERFORM rolecall_internal.remember(jsonb_build_object('declared', v_created), '{}');
        END IF;
        PERFORM rolecall_internal.remember_exceptions();
      END IF;
      RETURN v_steps;
    END
  `;
}

/**
 * The definitions of the reporting roles of a policy; null where it has none
 * @volatility stable
 */
export function policy_reports(policy: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT jsonb_agg(jsonb_build_object(
                 'role', r.name, 'schemas', rolecall_internal.name_list(ARRAY(
                   SELECT jsonb_array_elements_text(${list(sql`r.definition -> 'schemas'`)})
                 )),
                 'withheld', coalesce(r.definition -> 'withheld', '[]'),
                 'owners', r.definition -> 'owners', 'search_path', r.definition -> 'search_path',
                 'caller', CASE WHEN r.definition ->> 'owners' IS NULL THEN current_user END
               ) ORDER BY r.name COLLATE "C")
        FROM jsonb_each(${object(sql`${policy} -> 'reporting'`)}) AS r(name, definition)
      );
    END
  `;
}

/**
 * The roles that an earlier policy of this database created and this one does not name, as absent
 *
 * What such a role owns is not dropped, and keeps the role from being dropped. Its privileges end with it.
 * @volatility stable
 */
export function no_longer_named(policy: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_names text[] := ARRAY(
        SELECT (p.key ->> 0) COLLATE "C"
        FROM ${accepted(sql`r.section = 'declared'`)} AS p
        WHERE p.resource @> '{"made": true}'
          -- In a copy of the database, or a cluster into which a dump was restored, no role counts as created by a
          -- policy.
          AND p.made_in = ${thisDatabase} AND p.roles[1] = to_regrole(quote_ident(p.key ->> 0))::oid
          AND NOT EXISTS (
            SELECT FROM rolecall_internal.policy_roles(${policy}) AS r WHERE r.name = p.key ->> 0
          )
          AND coalesce(${policy} -> 'reporting' ? (p.key ->> 0), false) IS FALSE
        ORDER BY 1
      );
      v_name text;
    BEGIN
      FOREACH v_name IN ARRAY v_names LOOP
        IF v_name IN (current_user, session_user) THEN
          RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('the policy would remove role "%s", which makes this call', v_name),
            HINT = 'Name the role in the policy, or have another role make the call.';
        END IF;
      END LOOP;
      RETURN jsonb_build_object('roles', coalesce((
        SELECT jsonb_agg(jsonb_build_object(
                 'name', n.name, 'state', 'absent', 'protected', true,
                 'drop_owned', NOT EXISTS (
                   SELECT FROM pg_shdepend AS d
                   WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = to_regrole(quote_ident(n.name))::oid
                     AND ${owned(sql`d`)}
                 )
               ) ORDER BY n.position)
        FROM unnest(v_names) WITH ORDINALITY AS n(name, position)
      ), '[]'));
    END
  `;
}
