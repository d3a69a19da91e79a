/**
 * Differences in privileges on columns.
 */
import type {
  AclGroups,
  Bool,
  ChangeRow,
  Differences,
  Integer,
  Jsonb,
  Oid,
  Oids,
  Returns,
  SetOf,
  Table,
  Text,
  WantedPrivileges,
} from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { grantee, revocations } from '../catalogs/grantable.ts';
import { numbered, ofColumns } from './groups.ts';
import { holdersIn, refusal } from './privileges.ts';
import { isRevocable } from './regrants.ts';

/**
 * Privileges on columns that roles are missing or must not have
 *
 * REVOKE of a privilege on a table also revokes it on the columns; it then has to be granted on them again.
 * @volatility stable
 */
export function plan_columns(
  document: Jsonb,
  wanted: WantedPrivileges,
  groups: AclGroups,
  differences: Differences,
  exact: Oids,
): SetOf<ChangeRow> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH want AS MATERIALIZED (
          SELECT * FROM rolecall_internal.wanted_columns(${wanted})
        ),
        suspect AS (
          SELECT w.table_oid, w.attnum FROM want AS w
          UNION
          SELECT d.objid, d.objsubid
          FROM unnest(${exact}) AS e(role_oid)
          JOIN pg_shdepend AS d ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = e.role_oid
          JOIN pg_database AS b ON b.oid = d.dbid AND b.datname = current_database()
          WHERE d.classid = 'pg_class'::regclass AND d.objsubid <> 0 AND d.deptype = 'a'
        ),
        have AS MATERIALIZED (
          SELECT s.table_oid, s.attnum, x.grantee, x.grantor, x.privilege_type AS privilege, x.is_grantable
          FROM suspect AS s
          JOIN pg_attribute AS a ON a.attrelid = s.table_oid AND a.attnum = s.attnum
          JOIN pg_class AS c ON c.oid = s.table_oid AND c.relpersistence <> 't'
          CROSS JOIN LATERAL aclexplode(a.attacl) AS x
          WHERE x.grantee <> c.relowner
            AND NOT EXISTS (
              SELECT FROM unnest(${differences}) AS d
              JOIN ${numbered(groups)}
                ON g.number = d.number AND g.kind = 'table' AND g.special = s.table_oid
              WHERE d.action = 'revoke' AND d.privilege = x.privilege_type
                AND d.role = coalesce(pg_get_userbyid(nullif(x.grantee, 0)), 'public')
            )
        ),
        difference AS (
          SELECT w.role, w.table_oid, w.attnum, w.privilege, w.grantable, 'grant' AS action, NULL::oid AS grantor
          FROM want AS w
          WHERE NOT w.revoked AND NOT EXISTS (
            SELECT FROM have AS h
            WHERE h.table_oid = w.table_oid AND h.attnum = w.attnum AND h.grantee = w.role_oid
              AND h.privilege = w.privilege AND (h.is_grantable OR NOT w.grantable)
          ) AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = w.table_oid AND c.relowner = w.role_oid)
          UNION ALL
          SELECT pg_get_userbyid(nullif(h.grantee, 0)), h.table_oid, h.attnum, h.privilege, false,
                 CASE WHEN w.revoked IS FALSE THEN 'option' ELSE 'revoke' END, h.grantor
          FROM have AS h
          LEFT JOIN want AS w ON w.table_oid = h.table_oid AND w.attnum = h.attnum AND w.role_oid = h.grantee
            AND w.privilege = h.privilege
          WHERE coalesce(w.revoked, false)
            OR h.grantee = ANY (${exact}) AND (w.revoked IS NULL OR h.is_grantable AND NOT w.grantable)
        )
        SELECT * FROM rolecall_internal.plan_column_changes(${document}, (
          SELECT jsonb_agg(to_jsonb(d) || jsonb_build_object(
            'table_oid', d.table_oid::bigint, 'grantor', d.grantor::bigint
          ))
          FROM difference AS d
        ));
    END
  `;
}

/**
 * The privileges that roles are to have, or not to have, on columns
 *
 * Who is not to have a privilege on a table has it on none of its columns either, unless the same privilege is
 * granted on them.
 * @volatility stable
 */
export function wanted_columns(wanted: WantedPrivileges): Table<{
  role: Text;
  role_oid: Oid;
  table_oid: Oid;
  attnum: Integer;
  privilege: Text;
  grantable: Bool;
  revoked: Bool;
}> {
  return sql`
    DECLARE
      v_revokes boolean := EXISTS (
        SELECT FROM unnest(${wanted}) AS w WHERE w.kind = 'table' AND w.revoked AND w.means <> 'future'
      );
    BEGIN
      RETURN QUERY
        WITH excepted AS MATERIALIZED (
          SELECT * FROM rolecall_internal.excepted_objects(${wanted})
        ),
        said AS MATERIALIZED (
          SELECT w.role, w.role_oid, w.table_oid, w.attnum, w.privilege, bool_or(w.grantable) AS grantable,
                 bool_or(w.revoked) AS revoked
          FROM (
            SELECT w.role, w.role_oid, w.oid AS table_oid, w.attnum::integer, w.privilege, w.grantable, w.revoked
            FROM unnest(${wanted}) AS w WHERE w.kind = 'column' AND w.attnum IS NOT NULL
            UNION ALL
            -- The other columns of a table with excepted columns.
            SELECT w.role, w.role_oid, x.object_oid, a.attnum::integer, w.privilege, w.grantable, w.revoked
            FROM excepted AS x
            JOIN unnest(${wanted}) AS w ON w.scope = x.scope AND w.kind = x.kind AND w.means = 'all'
            JOIN pg_class AS c ON c.oid = x.object_oid AND c.relnamespace = w.oid
            JOIN pg_attribute AS a ON a.attrelid = x.object_oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE x.columns IS NOT NULL AND a.attnum::integer::oid <> ALL (x.columns)
              AND w.privilege = ANY (${ofColumns})
          ) AS w
          GROUP BY 1, 2, 3, 4, 5
        )
        SELECT * FROM said
        UNION ALL
        SELECT DISTINCT w.role, w.role_oid, a.attrelid, a.attnum::integer, w.privilege, false, true
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid
        CROSS JOIN LATERAL (VALUES ('one', c.oid), ('all', c.relnamespace)) AS m(means, oid)
        JOIN unnest(${wanted}) AS w ON w.means = m.means AND w.oid = m.oid
        WHERE v_revokes AND a.attacl IS NOT NULL AND w.kind = 'table' AND w.revoked
          AND w.privilege = ANY (${ofColumns})
          AND NOT EXISTS (
            SELECT FROM excepted AS x WHERE x.scope = w.scope AND x.kind = w.kind AND x.object_oid = c.oid
          )
          AND NOT EXISTS (
            SELECT FROM said AS s
            WHERE s.table_oid = c.oid AND s.attnum = a.attnum AND s.role_oid = w.role_oid AND s.privilege = w.privilege
          );
    END
  `;
}

/**
 * The privileges on columns that are about to be revoked, in the form of plan_kept(); null where there are none
 * @volatility stable
 */
export function ended_columns(differences: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT jsonb_agg(jsonb_build_object(
                 'kind', 'TABLE', 'objid', d.table_oid::bigint, 'objsubid', d.attnum,
                 'role', to_regrole(quote_ident(d.role))::oid::bigint,
                 'grantor', d.grantor::bigint, 'privilege', d.privilege, 'option', d.action = 'option'
               ))
        FROM jsonb_to_recordset(${differences}) AS d(
          role text, table_oid oid, attnum smallint, privilege text, action text, grantor oid
        )
        JOIN pg_class AS c ON c.oid = d.table_oid
        WHERE d.action <> 'grant' AND to_regrole(quote_ident(d.role)) IS NOT NULL
          AND ${isRevocable(sql`d.grantor`, sql`c.relowner`)}
      );
    END
  `;
}

/**
 * The statements about privileges on columns, one for each table and role
 * @long one list gives both what is revoked and what is granted
 * @volatility stable
 */
export function plan_column_changes(document: Jsonb, differences: Jsonb): SetOf<ChangeRow> {
  return sql`
    BEGIN
      IF ${differences} IS NULL THEN
        RETURN;
      END IF;
      RETURN QUERY SELECT * FROM rolecall_internal.plan_kept(
        rolecall_internal.ended_columns(${differences})
      );
      RETURN QUERY
        WITH said AS MATERIALIZED (
          SELECT d.role, d.grantable, d.action, d.grantor, c.relowner AS owner, n.nspname::text AS target,
                 format('%I.%I', n.nspname, c.relname) AS object,
                 has_column_privilege(c.oid, min(d.attnum)::smallint, d.privilege || ' WITH GRANT OPTION') AS allowed,
                 format('%s (%s)', d.privilege, string_agg(quote_ident(a.attname), ', ' ORDER BY d.attnum)) AS privilege,
                 t.names, t.revokes
          FROM jsonb_to_recordset(${differences}) AS d(
            role text, table_oid oid, attnum smallint, privilege text, grantable boolean, action text, grantor oid
          )
          JOIN pg_class AS c ON c.oid = d.table_oid
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
          JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.attnum
          LEFT JOIN LATERAL (
            SELECT p.* FROM rolecall_internal.privilege_takers(to_regrole(quote_ident(d.role))::oid, ${holdersIn(
              sql`coalesce(c.relacl, acldefault('r', c.relowner)) || coalesce(a.attacl, '{}')`,
              sql`d`,
              sql`c.relowner`,
            )}) AS p
            WHERE d.action = 'grant' AND n.nspname = 'pg_catalog'
          ) AS t ON true
          GROUP BY d.role, d.grantable, d.action, d.grantor, c.oid, c.relowner, n.nspname, c.relname, d.privilege,
                   t.names, t.revokes
        ),
        excess AS (
          SELECT 1 AS position, coalesce(s.role, 'public') AS role, '' AS kind, s.target, s.object, s.owner, s.grantor,
                 concat(CASE s.action WHEN 'option' THEN 'GRANT OPTION FOR ' END,
                        string_agg(s.privilege, ', ' ORDER BY s.privilege)) AS privileges
          FROM said AS s WHERE s.action <> 'grant'
          GROUP BY s.role, s.target, s.object, s.owner, s.grantor, s.action
        ),
        revoked AS (
          ${revocations(sql`excess`)}
        ),
        change AS (
          SELECT 1 AS phase, r.operation, r.target, r.statement, r.role,
                 CASE WHEN r.note IS NOT NULL THEN '42501' END AS code, r.note
          FROM revoked AS r
          UNION ALL
          SELECT 2, 'grant_privilege', s.object,
                 concat_ws('; ', s.revokes, format(
                   'GRANT %s ON %s TO %s%s', string_agg(s.privilege, ', ' ORDER BY s.privilege), s.object,
                   ${grantee(sql`s.role`)},
                   CASE WHEN s.grantable THEN ' WITH GRANT OPTION' END
                 )),
                 coalesce(s.role, 'public'),
                 ${refusal(sql`s`, sql`m.missing`)}
          FROM said AS s
          CROSS JOIN LATERAL (SELECT rolecall_internal.is_nobody(${document}, s.role)) AS m(missing)
          WHERE s.action = 'grant'
          GROUP BY s.role, s.object, s.grantable, s.owner, s.allowed, s.names, s.revokes, m.missing
        )
        SELECT c.operation, c.target, c.statement, NULL::text, array_remove(ARRAY[c.role], 'public'), c.code, c.note
        FROM change AS c ORDER BY c.phase, c.role COLLATE "C", c.statement COLLATE "C";
    END
  `;
}
