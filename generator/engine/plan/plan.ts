/**
 * The plan: what differs between a desired state and the catalogs, section by section.
 */
import { planning, recordedMark } from '../../model/sections.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Changes, Jsonb, Returns, Text } from '../../model/types.ts';
import { sql, text } from '../../sql/template.ts';
import { simple } from '../document/names.ts';
import { isShared } from './elsewhere.ts';

/**
 * The differences between the desired state and the catalogs, in the order in which the changes have to be made
 *
 * The document has the mask where there is a password; the passwords are beside it, by the name of the role. With the
 * key `singly` each privilege that a reporting role lacks has a change of its own. With the key `recorded` the
 * document is what earlier calls have asked for: what this caller may not change about one role is skipped, and the
 * rest goes on.
 *
 * What a policy says and policies of other databases contradict is skipped.
 * @volatility stable
 */
export function plan(document: Jsonb, passwords: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_document jsonb;
      v_changes rolecall_internal.change[];
    BEGIN
      -- Most calls have roles and memberships alone, without client roles.
      IF ${document} - ${text(`{${simple.join()}}`)}::text[] = '{}'
        AND NOT ${document} @? '$.*[*] ? (@.state == "absent")'
        AND NOT rolecall_internal.names_client_role(${document} -> 'memberships')
      THEN
        RETURN rolecall_internal.plan_roles(${document}) || rolecall_internal.plan_memberships(${document});
      ELSIF NOT (${document} ? ${text(recordedMark)} OR ${isShared(document)}) THEN
        RETURN rolecall_internal.plan_own(${document}, ${passwords});
      END IF;
      v_document := CASE WHEN ${isShared(document)}
        THEN rolecall_internal.divided(${document}) ELSE ${document} END;
      v_changes := rolecall_internal.plan_own(v_document, ${passwords});
      IF v_document ?| '{declared,privileges}' THEN
        v_changes := v_changes || ARRAY(SELECT p FROM rolecall_internal.plan_marks(v_document) AS p);
      END IF;
      IF v_document ? 'disputed' THEN
        v_changes := v_changes || rolecall_internal.disputed_changes(v_document);
      END IF;
      IF ${document} ? 'held' THEN
        v_changes := rolecall_internal.left_out_of(v_changes, ${document} -> 'held');
      END IF;
      RETURN CASE WHEN ${document} ? ${text(recordedMark)} THEN rolecall_internal.left_to_others(v_changes)
                  ELSE v_changes END;
    END
  `;
}

/**
 * The document with one more role that is left alone because others keep it locked
 * @volatility immutable
 */
export function leaving_out(document: Jsonb, role_name: Text): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN ${document} || jsonb_build_object(
        'held', coalesce(${document} -> 'held', '[]') || jsonb_build_object('role', ${role_name})
      );
    END
  `;
}

/**
 * The changes, with those skipped that would lock a role that others keep locked
 * @volatility immutable
 */
export function left_out_of(changes: Changes, held: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_change rolecall_internal.change;
      v_changes rolecall_internal.change[] := '{}'::rolecall_internal.change[];
      v_held text[] := ARRAY(SELECT h ->> 'role' FROM jsonb_array_elements(${held}) AS h);
    BEGIN
      FOREACH v_change IN ARRAY ${changes} LOOP
        IF v_change.sqlstate IS NULL AND v_change.locks && v_held THEN
          v_change.sqlstate := ${text(sqlstates.lock_not_available)};
          v_change.note := 'other transactions keep a role locked';
        END IF;
        v_changes := v_changes || v_change;
      END LOOP;
      RETURN v_changes;
    END
  `;
}

/**
 * The differences that the planners of the sections find, whatever other databases say
 * @volatility stable
 * @long one IF for each section
 */
export function plan_own(document: Jsonb, passwords: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_changes rolecall_internal.change[] := '{}'::rolecall_internal.change[];
    BEGIN
      ${planning(sql`v_changes`, { document, passwords })}
      RETURN v_changes;
    END
  `;
}
