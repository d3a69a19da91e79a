/**
 * The trigger that signs records, so that the server itself says who has written a row.
 */
import { anyOf, conditions } from '../../sql/conditions.ts';
import { errorClasses, sqlstates } from '../../model/sqlstates.ts';
import type { Jsonb, Returns, Text, Trigger } from '../../model/types.ts';
import { sql, text } from '../../sql/template.ts';
import { caller, here, thisDatabase } from '../catalogs/server.ts';
import { isSetting } from '../document/lists.ts';
import { isSuperuser } from '../document/names.ts';

/**
 * Signs a record with the role that writes it, and notes why it is not acted on, if so
 *
 * It runs as that role. A superuser can give another signature, because restoring a dump writes what others have
 * recorded. Any other role that restores a dump signs all of it. The names of base roles are bound to roles, by their
 * oids, only where the writer is not a superuser.
 */
export function sign_record(): Trigger {
  return sql`
    DECLARE
      v_caller oid := ${caller};
      v_super boolean := ${isSuperuser(sql`v_caller`)};
      v_names text[] := rolecall_internal.record_names(NEW.section, NEW.resource);
    BEGIN
      IF v_super AND NEW.recorder IS NOT NULL THEN
        RETURN NEW;
      END IF;
      IF NEW.recorded_at > clock_timestamp() THEN
        -- A time in the future is reduced to the first one after the others of its key, so that a later row can
        -- follow.
        NEW.recorded_at := greatest(clock_timestamp(), (
          SELECT max(r.recorded_at) + interval '1 microsecond' FROM rolecall_internal.resource AS r
          WHERE r.section = NEW.section AND r.key = NEW.key
        ));
      END IF;
      NEW := ROW(
        NEW.section, NEW.key, NEW.resource, NEW.recorded_at, NEW.id, current_user, NULL,
        rolecall_internal.misshape(NEW.section, NEW.key, NEW.resource, v_names), rolecall_internal.named_roles(v_names),
        ${here}, v_caller
      )::rolecall_internal.resource;
      -- Mostly that is all.
      IF NEW.note IS NOT NULL OR NOT v_super OR NEW.section IN ('base_roles', 'read_access', 'settings')
        OR NEW.resource @? '$.**.valid_until'
      THEN
        IF NEW.note IS NULL AND NEW.resource IS NOT NULL
          AND (NEW.section IN ('read_access', 'settings') OR NEW.resource @? '$.**.valid_until')
        THEN
          NEW.note := rolecall_internal.misdefinition(NEW.section, NEW.resource);
        END IF;
        IF NEW.note IS NOT NULL THEN
          NEW.sqlstate := ${text(sqlstates.invalid_parameter_value)};
          NEW.roles := NULL;
        ELSIF NOT v_super THEN
          NEW.note := rolecall_internal.lacking_right(NEW.section, NEW.resource);
          NEW.sqlstate := CASE WHEN NEW.note IS NOT NULL THEN ${text(sqlstates.insufficient_privilege)} END;
        ELSIF NEW.section = 'base_roles' THEN
          NEW.roles := NULL;
        END IF;
      END IF;
      RETURN NEW;
    END
  `;
}

/**
 * Why a definition of a reporting role, a setting, or VALID UNTIL would be refused as an argument; null if it would not
 *
 * The server checks settings. A call records a setting only after the role has it.
 */
export function misdefinition(section: Text, resource: Jsonb): Returns<Text | null> {
  return sql`
    DECLARE
      v_name text := ${resource} ->> 'name';
      v_present text;
      v_message text;
    BEGIN
      IF ${section} = 'read_access' THEN
        PERFORM rolecall_internal.check_read_access(jsonb_build_array(${resource}));
      ELSIF ${section} = 'settings' AND v_name = 'statement_timeout' THEN
        v_present := current_setting(v_name);
        PERFORM set_config(v_name, ${resource} ->> 'value', true);
        PERFORM set_config(v_name, v_present, true);
      ELSIF ${section} = 'settings'
        AND NOT ${resource} @> '{"name": "default_transaction_read_only", "value": "on"}'
        AND NOT (v_name = 'search_path' AND jsonb_typeof(${resource} -> 'value') = 'array' AND (
          ${resource} -> 'value' = '[""]' OR NOT ${resource} -> 'value' ? ''
        ))
        AND NOT EXISTS (
          SELECT FROM pg_db_role_setting AS s
          CROSS JOIN LATERAL unnest(s.setconfig) AS e(entry)
          WHERE s.setrole = to_regrole(quote_ident(${resource} ->> 'role'))::oid
            AND s.setdatabase = CASE WHEN ${resource} ? 'here' THEN ${thisDatabase} ELSE 0 END
            AND ${isSetting(sql`e.entry`, sql`v_name`, sql`(${resource} -> 'value')`)}
        )
      THEN
        RETURN 'no call records such a setting';
      ELSIF ${section} = 'roles' THEN
        PERFORM (${resource} ->> 'valid_until')::timestamptz;
        IF EXISTS (
          SELECT FROM (VALUES (${resource} -> 'initial'), (${resource} -> 'attributes')) AS g(given)
          WHERE rolecall_internal.utc_time((g.given ->> 'valid_until')::timestamptz) <> g.given ->> 'valid_until'
        ) THEN
          RETURN 'no call records such an attribute';
        END IF;
      END IF;
      RETURN NULL;
    EXCEPTION
      WHEN ${anyOf([errorClasses.data_exception])}
        OR ${conditions('invalid_name', 'reserved_name', 'invalid_schema_name')} THEN
        GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT;
        RETURN v_message;
    END
  `;
}
