/**
 * Powers that a membership would pass on to others than the member: a role that can become the member, or has ADMIN
 * OPTION on it, can take what the member is granted.
 */
import { recordedMark } from '../../model/sections.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Changes, Jsonb, Oid, Returns, Table, Text, Texts } from '../../model/types.ts';
import { raw, type Sql, sql, text } from '../../sql/template.ts';
import { ending, hasPowerBeyond, leadsToSuperuser, takers } from '../catalogs/edges.ts';
import { serverVersion } from '../catalogs/server.ts';
import { isAskedFor } from '../record/newest.ts';
import { isOperator } from './operators.ts';

/**
 * The changes, with those memberships skipped by which others would gain a power of the granted role
 *
 * Reading and writing tables is not a power in this sense: whoever may grant a role decides who reads and writes. A
 * record gives no power that its recorder does not have.
 * @volatility stable
 * @probes
 */
export function withhold_powers(changes: Changes, memberships: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_askers jsonb := rolecall_internal.untrusted_askers(${memberships});
      v_asker text;
      v_change rolecall_internal.change;
      v_changes rolecall_internal.change[] := '{}'::rolecall_internal.change[];
      v_takers record;
    BEGIN
      FOREACH v_change IN ARRAY ${changes} LOOP
        -- Nobody can become, or administer, a member that does not exist yet.
        IF v_change.operation = 'grant_role' AND v_change.sqlstate IS NULL
          AND to_regrole(quote_ident(v_change.locks[1])) IS NOT NULL
        THEN
          SELECT t.* INTO v_takers
          FROM rolecall_internal.power_takers(
            to_regrole(quote_ident(v_change.locks[2]))::oid, to_regrole(quote_ident(v_change.locks[1]))::oid,
            starts_with(v_change.statement, format(
              'GRANT %I TO %I WITH ADMIN OPTION', v_change.locks[2], v_change.locks[1]
            ))
          ) AS t;
          IF v_takers.names IS NOT NULL THEN
            v_change.sqlstate := '42501';
            v_change.note := format('the powers of role "%s" could be taken by %s, by membership or ADMIN OPTION',
                                    v_change.locks[2], v_takers.names);
            v_change.statement := concat_ws('; ', v_takers.revokes, v_change.statement);
          END IF;
          v_asker := v_askers #>> ARRAY[v_change.locks[1], v_change.locks[2]];
          IF v_change.sqlstate IS NULL AND v_asker IS NOT NULL
            AND rolecall_internal.has_more_powers(to_regrole(quote_ident(v_change.locks[2]))::oid, v_asker)
          THEN
            v_change.sqlstate := '42501';
            v_change.note := format('recorded by %I, which does not have the powers of role "%s"',
                                    v_asker, v_change.locks[2]);
          END IF;
        END IF;
        v_changes := v_changes || v_change;
      END LOOP;
      RETURN v_changes;
    END
  `;
}

/**
 * The recorders of the memberships of a recorded document, by member and role, except superusers and the caller
 * @volatility stable
 */
export function untrusted_askers(memberships: Jsonb): Returns<Jsonb | null> {
  return sql`
    BEGIN
      IF NOT ${memberships} @? ${text(`$[*].${recordedMark}`)} THEN
        RETURN NULL;
      END IF;
      RETURN (
        WITH membership AS MATERIALIZED (
          SELECT m.* FROM jsonb_to_recordset(${memberships}) AS m(member text, role text, ${raw(recordedMark)} text)
        ),
        recorder AS (
          SELECT DISTINCT m.${raw(recordedMark)} AS name FROM membership AS m
        )
        SELECT jsonb_object_agg(a.member, a.roles)
        FROM (
          SELECT m.member, jsonb_object_agg(m.role, r.name) AS roles
          FROM membership AS m JOIN recorder AS r ON r.name = m.${raw(recordedMark)}
          WHERE m.role IS NOT NULL AND r.name <> current_user AND NOT EXISTS (
            SELECT FROM pg_roles AS c WHERE c.rolname = r.name AND ${leadsToSuperuser(sql`c.oid`)}
          )
          GROUP BY m.member
        ) AS a
      );
    END
  `;
}

/**
 * Whether a role has a power that another one, which may no longer exist, does not have
 * @volatility stable
 */
export function has_more_powers(role_oid: Oid, than_name: Text): Returns<Bool> {
  return sql`
    BEGIN
      RETURN EXISTS (
        SELECT FROM pg_roles AS g
        LEFT JOIN pg_roles AS r ON r.rolname = ${than_name}
        WHERE pg_has_role(${role_oid}, g.oid, 'MEMBER') AND ${isPower} AND (r.oid IS NULL OR ${lacks})
      );
    END
  `;
}

/**
 * The roles that could take, through a member, a power that a role has by attributes, predefined roles or the rights
 * of an operator, and that they do not have; no row, or nulls, where there is none
 *
 * With ADMIN OPTION, the right to grant such a role is also something to take.
 * @volatility stable
 * @probes
 */
export function power_takers(role_oid: Oid, member_oid: Oid, admin: Bool): Table<{ names: Text; revokes: Text }> {
  return sql`
    DECLARE
      -- Usually the role has no power. All roles are read once to find its powers, not again for each role that could
      -- take them.
      v_powers pg_roles[] := ARRAY(
        SELECT g FROM pg_roles AS g
        WHERE pg_has_role(${role_oid}, g.oid, 'MEMBER') AND ${isPower}
      );
    BEGIN
      IF cardinality(v_powers) > 0 THEN
        RETURN QUERY
          ${takers(
            member_oid,
            () => sql`(
              (NOT ${admin} OR ${canGrant(role_oid as Sql)})
              AND NOT EXISTS (SELECT FROM unnest(v_powers) AS g WHERE ${lacks})
            )`,
            isAskedFor,
          )};
      END IF;
    END
  `;
}

/** Whether the role r can grant a role. */
const canGrant = (role: Sql) => sql`(
  pg_has_role(r.oid, ${role}, 'MEMBER WITH ADMIN OPTION')
  OR r.rolcreaterole AND ${serverVersion} < 16
)`;

/** Whether the role g has a power of its own. */
const isPower = sql`(
  ${hasPowerBeyond(sql`g`)}
  OR ${isOperator(sql`g.oid`)}
)`;

/** Whether it has one that the role r does not have. */
const lacks = sql`(
  NOT pg_has_role(r.oid, g.oid, 'MEMBER')
  AND (${hasPowerBeyond(sql`g`, sql`r`)}
       OR ${isOperator(sql`g.oid`)}
          AND NOT ${isOperator(sql`r.oid`)})
)`;

const beyondRights = text(sqlstates.insufficient_privilege);

/** The note of a change that waits for others. */
export const afterRevokes = text('once nobody could take it who is not to have it');

/** Whether a change waits for others of the same plan: it is planned again when they are made. */
export const isWaiting = (change: Sql) => sql`${change}.sqlstate IS NULL AND ${change}.note = ${afterRevokes}`;

/**
 * The changes. One that is skipped because others could take what it gives waits instead if the same plan ends the
 * memberships by which they could, or if the document asks for these memberships and they are not recorded yet
 *
 * This is only what is expected: the next plan finds out from the catalogs and the record whether anybody can take it
 * by then.
 * @volatility stable
 */
export function with_waiting(changes: Changes, document: Jsonb): Returns<Changes> {
  return sql`
    DECLARE
      v_change rolecall_internal.change;
      v_changes rolecall_internal.change[] := '{}'::rolecall_internal.change[];
      v_revokes text[] := '{}'::text[];
      v_is_skipped boolean;
      v_statement text;
    BEGIN
      FOREACH v_change IN ARRAY ${changes} LOOP
        IF v_change.operation = 'revoke_role' AND v_change.sqlstate IS NULL THEN
          v_revokes := v_revokes || v_change.statement;
        ELSIF v_change.sqlstate IS NOT NULL THEN
          v_is_skipped := true;
        END IF;
      END LOOP;
      IF v_is_skipped AND NOT ${document} ? 'asked' THEN
        v_revokes := v_revokes || rolecall_internal.asked_revokes(${document} -> 'memberships', v_revokes);
      END IF;
      IF cardinality(v_revokes) = 0 THEN
        RETURN ${changes};
      END IF;
      FOREACH v_change IN ARRAY ${changes} LOOP
        IF v_change.sqlstate = ${beyondRights}
          AND v_change.operation IN ('alter_role', 'grant_role', 'grant_privilege')
        THEN
          v_statement := rolecall_internal.after_revokes(v_change.statement, v_revokes);
          IF v_statement <> v_change.statement AND NOT starts_with(v_statement, 'REVOKE ') THEN
            v_change.statement := v_statement;
            v_change.sqlstate := NULL;
            v_change.note := ${afterRevokes};
          END IF;
        END IF;
        v_changes := v_changes || v_change;
      END LOOP;
      RETURN v_changes;
    END
  `;
}

/**
 * The statements that would end memberships that the document asks for, without ADMIN OPTION, or with one that the
 * given statements revoke. Of those that come from the record, only the ones that the caller or a superuser asked for
 *
 * Once such a membership is recorded, its member is to have what the role has.
 * @volatility stable
 * @probes
 */
export function asked_revokes(memberships: Jsonb, revokes: Texts): Returns<Texts> {
  return sql`
    BEGIN
      RETURN ARRAY(
        SELECT ${ending(sql`m`, sql`w.member`, sql`to_jsonb(m)`)}
        FROM jsonb_to_recordset(${memberships})
          AS w(member text, role text, admin boolean, state text, ${raw(recordedMark)} text)
        JOIN pg_auth_members AS m ON m.member = to_regrole(quote_ident(w.member))::oid
          AND m.roleid = to_regrole(quote_ident(w.role))::oid
        WHERE w.state IS NULL AND w.admin IS NOT TRUE
          AND (NOT m.admin_option OR EXISTS (
            SELECT FROM unnest(${revokes}) AS r(statement)
            WHERE starts_with(r.statement || ' ', format('REVOKE ADMIN OPTION FOR %I FROM %I ', w.role, w.member))
          ))
          AND (w.${raw(recordedMark)} IS NULL OR rolecall_internal.is_asked_for(m.member, m.roleid))
      );
    END
  `;
}

/**
 * Statements joined by semicolons without those at their beginning that are among the given ones, with or without
 * CASCADE
 * @volatility immutable
 */
export function after_revokes(statements: Text, revokes: Texts): Returns<Text> {
  return sql`
    DECLARE
      v_rest text := ${statements};
      v_before text;
      v_revoke text;
    BEGIN
      LOOP
        v_before := v_rest;
        FOREACH v_revoke IN ARRAY ${revokes} LOOP
          IF starts_with(v_rest, v_revoke || '; ') THEN
            v_rest := substr(v_rest, length(v_revoke || '; ') + 1);
          ELSIF starts_with(v_rest, v_revoke || ' CASCADE; ') THEN
            v_rest := substr(v_rest, length(v_revoke || ' CASCADE; ') + 1);
          END IF;
        END LOOP;
        EXIT WHEN v_rest = v_before;
      END LOOP;
      RETURN v_rest;
    END
  `;
}
