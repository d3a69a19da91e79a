/**
 * Differences in privileges on configuration parameters. The server has an entry only for those that somebody was
 * granted.
 */
import type { ChangeRow, Jsonb, Returns, SetOf, WantedPrivileges } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { grantee, parameterPrivileges, quotedParameter, revoking } from '../catalogs/grantable.ts';
import { caller } from '../catalogs/server.ts';
import { isSuperuser } from '../document/names.ts';
import { refusal } from './privileges.ts';
import { isRevocable } from './regrants.ts';

/**
 * Privileges on configuration parameters that roles are missing, or that are to be revoked
 * @volatility stable
 */
export function plan_parameters(document: Jsonb, wanted: WantedPrivileges): SetOf<ChangeRow> {
  return sql`
    BEGIN
      IF NOT EXISTS (SELECT FROM unnest(${wanted}) AS w WHERE w.kind = 'parameter') THEN
        RETURN;
      END IF;
      RETURN QUERY SELECT * FROM rolecall_internal.plan_kept(
        rolecall_internal.ended_parameters(${wanted})
      );
      RETURN QUERY SELECT * FROM rolecall_internal.plan_parameter_excess(${wanted});
      RETURN QUERY SELECT * FROM rolecall_internal.plan_parameter_grants(${document}, ${wanted});
    END
  `;
}

/**
 * Privileges on parameters that are to be revoked
 * @volatility stable
 */
export function plan_parameter_excess(wanted: WantedPrivileges): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH excess AS (
          SELECT 1 AS position, coalesce(w.role, 'public') AS role, 'PARAMETER ' AS kind, w.object AS target,
                 ${quotedParameter(sql`w.object`)} AS object, 10::oid AS owner, x.grantor,
                 string_agg(w.privilege, ', ' ORDER BY w.privilege) AS privileges
          FROM unnest(${wanted}) AS w
          JOIN ${parameterPrivileges(sql`x`)}
            ON x.parameter = lower(w.object) AND x.grantee = w.role_oid AND x.privilege_type = w.privilege
          WHERE w.kind = 'parameter' AND w.revoked
          GROUP BY w.role, w.object, x.grantor
        )
        ${revoking(sql`excess`)};
    END
  `;
}

/**
 * Privileges on parameters that roles are missing
 * @volatility stable
 */
export function plan_parameter_grants(document: Jsonb, wanted: WantedPrivileges): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT 'grant_privilege', f.object, concat_ws('; ', f.revokes, format(
                 'GRANT %s ON PARAMETER %s TO %s%s', f.privileges, ${quotedParameter(sql`f.object`)}, ${grantee(sql`f.role`)},
                 CASE WHEN f.grantable THEN ' WITH GRANT OPTION' END
               )), NULL::text, array_remove(ARRAY[f.role], NULL),
               CASE WHEN p.present THEN r.code ELSE '42704' END,
               CASE WHEN p.present THEN r.note ELSE 'it does not exist' END
        FROM (
          SELECT w.role, w.object, w.grantable, t.names, t.revokes, ${isSuperuser(caller)} AS allowed, 10 AS owner,
                 string_agg(w.privilege, ', ' ORDER BY w.privilege) AS privileges
          FROM unnest(${wanted}) AS w
          CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(x.grantee) FILTER (WHERE x.is_grantable OR NOT w.grantable), '{}') AS holders,
                   bool_or(x.grantee = w.role_oid AND (x.is_grantable OR NOT w.grantable)) IS TRUE AS is_held
            FROM ${parameterPrivileges(sql`x`)}
            WHERE x.parameter = lower(w.object) AND x.privilege_type = w.privilege
          ) AS h
          LEFT JOIN LATERAL rolecall_internal.privilege_takers(w.role_oid, h.holders) AS t ON true
          WHERE w.kind = 'parameter' AND NOT w.revoked AND NOT h.is_held
          GROUP BY w.role, w.object, w.grantable, t.names, t.revokes
        ) AS f
        CROSS JOIN LATERAL (SELECT rolecall_internal.is_nobody(${document}, f.role)) AS m(missing)
        CROSS JOIN LATERAL (
          SELECT
            ${refusal(sql`f`, sql`m.missing`)}
        ) AS r
        CROSS JOIN LATERAL (
          SELECT NOT f.allowed OR rolecall_internal.is_parameter(f.object)
        ) AS p(present)
        ORDER BY f.role COLLATE "C", f.object COLLATE "C";
    END
  `;
}

/**
 * The privileges on parameters that are about to be revoked, as plan_kept() takes them; null where there are none
 * @volatility stable
 */
export function ended_parameters(wanted: WantedPrivileges): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT jsonb_agg(jsonb_build_object(
                 'kind', e.kind, 'objid', e.objid::bigint, 'objsubid', 0, 'role', e.grantee::bigint,
                 'grantor', e.grantor::bigint, 'privilege', e.privilege, 'option', false
               ))
        FROM unnest(${wanted}) AS w
        CROSS JOIN LATERAL rolecall_internal.acl_entries(w.role_oid) AS e
        WHERE w.kind = 'parameter' AND w.revoked AND w.role_oid <> 0
          AND e.kind = 'PARAMETER' AND e.object = lower(w.object) AND e.grantee = w.role_oid AND e.privilege = w.privilege
          AND ${isRevocable(sql`e.grantor`, sql`e.owner`)}
      );
    END
  `;
}
