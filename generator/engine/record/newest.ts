/**
 * The newest record of a resource, which is the one that counts.
 */
import { accepted, newest, recorderOid } from '../../model/record.ts';
import type { Bool, Jsonb, Oid, Returns, Text } from '../../model/types.ts';
import { type Sql, sql } from '../../sql/template.ts';
import { caller } from '../catalogs/server.ts';
import { isSuperuser } from '../document/names.ts';
import { isUndisputed } from './refused.ts';

/**
 * The newest record of a resource; null where there is none, or it is not acted on
 * @volatility stable
 * @probes
 */
export function newest_record(section: Text, key: Jsonb): Returns<Jsonb> {
  return sql`
    DECLARE
      v_entry rolecall_internal.resource;
      v_role oid := to_regrole(quote_ident(${key} ->> 0))::oid;
    BEGIN
      SELECT r.* INTO v_entry FROM rolecall_internal.resource AS r
      WHERE r.section = newest_record.section AND r.key = newest_record.key ORDER BY r.recorded_at DESC LIMIT 1;
      IF v_entry.resource IS NOT NULL AND (
        ${section} = 'roles' AND ${isUndisputed(sql`v_entry`, sql`ARRAY[v_role]`, sql`v_role`)}
        OR rolecall_internal.refusal(v_entry) IS NULL
      ) THEN
        RETURN v_entry.resource;
      END IF;
      RETURN NULL;
    END
  `;
}

/**
 * The recorded name of a base role in this database; null where none is recorded
 *
 * A record that is not acted on does not count: a WARNING says so, and the record before it counts. If strict, it is
 * an error.
 * @volatility stable
 * @probes
 */
export function recorded_name(key: Text, strict: Bool): Returns<Text> {
  return sql`
    DECLARE
      v_entry rolecall_internal.resource;
      v_role oid;
      v_refused rolecall.step;
    BEGIN
      FOR v_entry IN
        SELECT r.* FROM rolecall_internal.resource AS r
        WHERE r.section = 'base_roles' AND r.key = jsonb_build_array(${key}) ORDER BY r.recorded_at DESC
      LOOP
        v_role := to_regrole(quote_ident(v_entry.resource ->> 'name'))::oid;
        IF ${isUndisputed(sql`v_entry`, sql`ARRAY[v_role]`, sql`v_role`)} THEN
          RETURN v_entry.resource ->> 'name';
        END IF;
        v_refused := rolecall_internal.refusal(v_entry);
        IF v_refused.note IS NULL THEN
          RETURN v_entry.resource ->> 'name';
        END IF;
        IF ${strict} THEN
          RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('the name recorded for the %s role is not used: %s', ${key}, v_refused.target),
            DETAIL = v_refused.note,
            HINT = 'Give the name in this call.';
        END IF;
        RAISE WARNING USING
          ERRCODE = v_refused.sqlstate,
          MESSAGE = format('the name recorded for the %s role is not used: %s', ${key}, v_refused.target),
          DETAIL = v_refused.note,
          HINT = 'Give the name by rolecall.create_base_roles(), or forget it: ' || v_refused.statement;
      END LOOP;
      RETURN NULL;
    END
  `;
}

/**
 * Whether a call of this database has asked for a membership, by the caller itself or by a superuser
 *
 * The request of an operator does not count, because it can ask for what it may grant without having the powers that
 * the role gets from others.
 * @volatility stable
 * @probes
 */
export function is_asked_for(member: Oid, role_oid: Oid): Returns<Bool> {
  return sql`
    BEGIN
      RETURN EXISTS (
        SELECT FROM ${accepted(sql`
          r.section = 'memberships'
          AND r.key = jsonb_build_array(pg_get_userbyid(${member}), pg_get_userbyid(${role_oid}))
        `)} AS w
        WHERE ${isTrusted(sql`w`)}
      );
    END
  `;
}

/**
 * Whether the newest record of a membership asks for it, by the caller itself or by a superuser, even if it is not
 * acted on
 * @volatility stable
 * @probes
 */
export function was_asked_for(member: Text, role_name: Text): Returns<Bool> {
  return sql`
    BEGIN
      RETURN EXISTS (
        SELECT FROM ${newest(sql`r.section = 'memberships' AND r.key = jsonb_build_array(${member}, ${role_name})`)} AS p
        WHERE p.resource IS NOT NULL AND ${isTrusted(sql`p`)}
      );
    END
  `;
}

/**
 * Whether the recorder of a row is the caller or a superuser; not if it no longer exists, or is no longer a
 * superuser.
 */
export const isTrusted = (row: Sql) => sql`coalesce(
  ${isSuperuser(recorderOid(row))}
  OR ${caller} =
    ${recorderOid(row)}, false
)`;

/**
 * Whether a membership was asked for in that way, without ADMIN OPTION: such a member is to have the powers of the
 * role.
 */
export const isAskedFor = (membership: Sql) => sql`(
  NOT ${membership}.admin_option AND rolecall_internal.is_asked_for(${membership}.member, ${membership}.roleid)
)`;
