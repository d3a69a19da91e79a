/**
 * What differs about the roles themselves: existence, attributes, passwords, settings.
 *
 * Names become oids first and the catalogs are probed by oid, one role at a time, so a call costs the same among ten
 * roles and among ten thousand. LIMIT 1: an older snapshot can show a row in two versions, the one that another
 * transaction has replaced meanwhile, and the one by which this transaction replaced that.
 */
import { mask } from '../../model/resources.ts';
import type { Changes, Jsonb, Returns } from '../../model/types.ts';
import { raiseNoRole } from '../../sql/raise.ts';
import { join, raw, sql, text } from '../../sql/template.ts';
import { isProtected } from '../document/names.ts';

/**
 * Roles that are missing, and attributes that differ
 * @volatility stable
 * @probes
 */
export function plan_roles(resources: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_changes rolecall_internal.change[] := '{}'::rolecall_internal.change[];
      v_resource jsonb;
      v_name text;
      v_role oid;
      v_wanted jsonb;
      v_present jsonb;
      v_statement text;
      v_word text;
    BEGIN
      FOR v_position IN 0 .. jsonb_array_length(${resources}) - 1 LOOP
        v_resource := ${resources} -> v_position;
        v_name := v_resource ->> 'name';
        v_role := to_regrole(quote_ident(v_name))::oid;
        IF (v_resource -> 'protected')::boolean
          AND ${isProtected(sql`v_name`, sql`v_role`)}
        THEN
          PERFORM rolecall_internal.check_protected(v_name);
        END IF;
        CONTINUE WHEN v_resource ->> 'state' = 'absent';
        v_wanted := coalesce(v_resource -> 'attributes', '{}');
        IF v_role IS NULL AND v_resource ->> 'state' = 'existing' THEN
          ${raiseNoRole(sql`v_name`)}
        ELSIF v_role IS NULL THEN
          v_statement := format('CREATE ROLE %I', v_name);
          v_wanted := v_wanted || coalesce(v_resource -> 'initial', '{}');
          v_present := '{}'::jsonb;
        ELSE
          CONTINUE WHEN v_wanted = '{}';
          v_statement := format('ALTER ROLE %I', v_name);
          v_present := (
            SELECT jsonb_build_object(
              ${present}
            )
            FROM pg_roles AS a WHERE a.oid = v_role LIMIT 1
          );
          -- A role that another transaction has just committed may be newer than the snapshot: it is taken as made.
          CONTINUE WHEN v_present IS NULL OR v_present @> v_wanted;
        END IF;
        FOREACH v_word IN ARRAY ${words}::text[] LOOP
          IF v_wanted ? v_word AND v_present -> v_word IS DISTINCT FROM v_wanted -> v_word THEN
            v_statement := v_statement || CASE WHEN (v_wanted -> v_word)::boolean THEN ' ' ELSE ' NO' END
              || upper(v_word COLLATE "C");
          END IF;
        END LOOP;
        IF v_role IS NOT NULL THEN
          v_changes := v_changes
            || ROW('alter_role', v_name, v_statement, NULL, ARRAY[v_name], NULL, NULL)::rolecall_internal.change;
        ELSE
          v_changes := v_changes || ROW(
            'create_role', v_name,
            v_statement || CASE WHEN v_resource ->> 'password' IS NULL THEN ''
                                ELSE format(' PASSWORD %L', ${mask}) END,
            v_resource ->> 'password', ARRAY[v_name], NULL, v_resource ->> 'note'
          )::rolecall_internal.change;
        END IF;
      END LOOP;
      RETURN v_changes;
    END
  `;
}

/** The columns of the attributes, by the words that CREATE ROLE and ALTER ROLE have for them. */
const attributes = {
  superuser: 'rolsuper',
  createdb: 'rolcreatedb',
  createrole: 'rolcreaterole',
  inherit: 'rolinherit',
  login: 'rolcanlogin',
  replication: 'rolreplication',
  bypassrls: 'rolbypassrls',
} as const;
const present = join(
  Object.entries(attributes).map(([key, column]) => sql`${text(key)}, a.${raw(column)}`),
  ',\n',
);
const words = text(`{${Object.keys(attributes).join()}}`);
