/**
 * Code that changes hands. What acts as its owner would act with the rights of the new one, for whoever can call, read or
 * change it: so it is given only to a role that could do nothing that the old owner could not.
 */
import type { Bool, Nothing, Oid, Returns, Table, Text, Texts } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';
import { serverVersion } from '../catalogs/server.ts';

/**
 * Whether one role could do anything that the other could not: by an attribute, or by an object or a membership
 *
 * What a role can do in other databases counts, as far as one can see it from here. PUBLIC's rights are everybody's.
 * @volatility stable
 */
export function has_more_rights(role_oid: Oid, than_oid: Oid): Returns<Bool> {
  return sql`
    BEGIN
      RETURN EXISTS (
        SELECT FROM pg_roles AS r
        CROSS JOIN (SELECT o.* FROM pg_roles AS o WHERE o.oid = ${than_oid}) AS o
        WHERE NOT o.rolsuper
          AND pg_has_role(${role_oid}, r.oid, 'MEMBER')
          AND NOT pg_has_role(o.oid, r.oid, 'MEMBER')
          AND (r.rolsuper OR (r.rolcreaterole AND NOT o.rolcreaterole) OR (r.rolcreatedb AND NOT o.rolcreatedb)
               OR (r.rolreplication AND NOT o.rolreplication) OR (r.rolbypassrls AND NOT o.rolbypassrls)
               -- Predefined roles have their rights without owning anything.
               OR starts_with(r.rolname, 'pg_')
               OR EXISTS (
                 SELECT FROM pg_shdepend AS d
                 WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype IN ('o', 'a', 'r')
               ))
      );
    END
  `;
}

/**
 * What a role owns in this database that acts as its owner, and what to do about it
 *
 * Beside what is said to: rules of tables and views are checked as the owner, indexes and statistics are computed as the
 * owner of the table, triggers run as it where a foreign key passes a change on or a subscription applies it, a foreign key
 * calls functions as it, and a foreign table connects as it.
 * @volatility stable
 */
export function acting_as_owner(owner_oid: Oid): Table<{ object: Text; advice: Text }> {
  return sql`
    BEGIN
      RETURN QUERY
        SELECT format('%s %s', i.type, i.identity), coalesce(f.advice, format(
                 CASE i.type WHEN 'function' THEN 'DROP FUNCTION %1$s, or ALTER FUNCTION %1$s SECURITY INVOKER'
                             WHEN 'procedure' THEN 'DROP PROCEDURE %1$s, or ALTER PROCEDURE %1$s SECURITY INVOKER'
                             WHEN 'subscription' THEN 'DROP SUBSCRIPTION %1$s'
                             ELSE 'DROP EVENT TRIGGER %1$s' END,
                 i.identity
               ))
        FROM (
          SELECT 'pg_proc'::regclass::oid, p.oid, NULL::text
          FROM pg_proc AS p WHERE p.proowner = ${owner_oid} AND p.prosecdef
          UNION ALL
          SELECT 'pg_subscription'::regclass, s.oid, NULL
          FROM pg_subscription AS s WHERE s.subowner = ${owner_oid}
          UNION ALL
          SELECT 'pg_event_trigger'::regclass, e.oid, NULL
          FROM pg_event_trigger AS e WHERE e.evtowner = ${owner_oid}
          UNION ALL
          SELECT 'pg_class'::regclass, c.oid, r.advice
          FROM pg_class AS c
          CROSS JOIN LATERAL rolecall_internal.acting_relation(c.oid) AS r(advice)
          WHERE c.relowner = ${owner_oid} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND r.advice IS NOT NULL
        ) AS f(classid, objid, advice)
        CROSS JOIN LATERAL pg_identify_object(f.classid, f.objid, 0) AS i
        ORDER BY 1;
    END
  `;
}

/**
 * What to do about a relation that acts as its owner; null where it does not
 * @volatility stable
 * @probes
 */
export function acting_relation(relation: Oid): Returns<Text> {
  return sql`
    BEGIN
      RETURN (
        SELECT CASE
          WHEN EXISTS (SELECT FROM pg_rewrite AS w WHERE w.ev_class = c.oid AND w.ev_type <> '1')
            THEN (
              SELECT string_agg(format('DROP RULE %I ON %s', w.rulename, n.name), '; ' ORDER BY w.rulename)
              FROM pg_rewrite AS w WHERE w.ev_class = c.oid AND w.ev_type <> '1'
            )
          WHEN c.relkind = 'm' THEN 'DROP MATERIALIZED VIEW ' || n.name
          WHEN c.relkind = 'f' THEN 'DROP FOREIGN TABLE ' || n.name
          WHEN c.relkind = 'v' THEN
            CASE WHEN NOT o.invoker THEN format(
              CASE WHEN ${serverVersion} >= 15
                THEN 'DROP VIEW %1$s, or ALTER VIEW %1$s SET (security_invoker = true)'
                ELSE 'DROP VIEW %1$s' END,
              n.name
            ) END
          WHEN EXISTS (
            SELECT FROM pg_trigger AS t
            WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
              AND (t.tgenabled IN ('R', 'A') OR EXISTS (
                SELECT FROM pg_constraint AS k
                WHERE k.conrelid = c.oid AND k.contype = 'f'
                  AND (k.confupdtype IN ('c', 'n', 'd') OR k.confdeltype IN ('c', 'n', 'd'))
              ))
          ) THEN format('DROP TRIGGER for each trigger of %1$s, or DROP TABLE %1$s', n.name)
          WHEN EXISTS (
            SELECT FROM pg_depend AS d
            WHERE d.refobjid >= 16384
              AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass)
              AND (d.classid = 'pg_class'::regclass AND d.objid IN (
                     SELECT x.indexrelid FROM pg_index AS x
                     WHERE x.indrelid = c.oid AND (x.indexprs IS NOT NULL OR x.indpred IS NOT NULL)
                   ) OR d.classid = 'pg_statistic_ext'::regclass AND d.objid IN (
                     SELECT s.oid FROM pg_statistic_ext AS s WHERE s.stxrelid = c.oid
                   ))
          ) THEN format('DROP INDEX and DROP STATISTICS for those of %1$s that call functions, or DROP TABLE %1$s', n.name)
          WHEN rolecall_internal.has_calling_key(c.oid)
            THEN format('DROP CONSTRAINT for each foreign key from or to %1$s, or DROP TABLE %1$s', n.name)
        END
        FROM pg_class AS c
        CROSS JOIN LATERAL (SELECT c.oid::regclass::text) AS n(name)
        CROSS JOIN LATERAL (
          SELECT coalesce(bool_or(p.option_value::boolean), false)
          FROM pg_options_to_table(c.reloptions) AS p WHERE p.option_name = 'security_invoker'
        ) AS o(invoker)
        WHERE c.oid = ${relation}
      );
    END
  `;
}

/**
 * Whether a foreign key from or to a table may call functions as the owner of one of the two
 *
 * Rows that it changes are checked, completed and converted as the owner of their table, and keys of different types are
 * compared by way of a cast. Of what PostgreSQL brings along only what is not immutable may run a query: query_to_xml() does.
 * @volatility stable
 * @probes
 */
export function has_calling_key(relation: Oid): Returns<Bool> {
  return sql`
    BEGIN
      RETURN EXISTS (
        WITH RECURSIVE key AS MATERIALIZED (
          SELECT k.* FROM pg_constraint AS k
          WHERE k.contype = 'f' AND (k.conrelid = ${relation} OR k.confrelid = ${relation})
        ),
        -- ON DELETE CASCADE evaluates nothing.
        changing AS (
          SELECT k.conkey, 'd' IN (k.confupdtype, k.confdeltype) AS to_default FROM key AS k
          WHERE k.conrelid = ${relation} AND (k.confupdtype IN ('c', 'n', 'd') OR k.confdeltype IN ('n', 'd'))
        ),
        type(oid) AS (
          SELECT a.atttypid FROM key AS k
          JOIN pg_attribute AS a ON a.attrelid IN (k.conrelid, k.confrelid)
          WHERE a.attnum > 0 AND a.atttypid >= 16384
          UNION
          SELECT d.refobjid FROM type AS t
          JOIN pg_depend AS d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid
          WHERE d.refclassid = 'pg_type'::regclass AND d.refobjid >= 16384
        ),
        expression(tree) AS (
          SELECT c.conbin FROM pg_constraint AS c
          WHERE c.conrelid = ${relation} AND c.contype = 'c' AND EXISTS (SELECT FROM changing)
          UNION ALL
          SELECT c.conbin FROM type AS t JOIN pg_constraint AS c ON c.contypid = t.oid
          UNION ALL
          SELECT d.adbin FROM pg_attrdef AS d
          JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
          WHERE d.adrelid = ${relation} AND EXISTS (
            SELECT FROM changing AS k WHERE a.attgenerated <> '' OR k.to_default AND a.attnum = ANY (k.conkey)
          )
        )
        SELECT FROM expression AS e
        CROSS JOIN LATERAL regexp_matches(e.tree::text, 'funcid ([0-9]+)', 'g') AS m(parts)
        JOIN pg_proc AS p ON p.oid = m.parts[1]::oid
        WHERE p.oid >= 16384 OR p.provolatile <> 'i'
        UNION ALL
        SELECT FROM type AS t
        JOIN pg_cast AS c ON t.oid IN (c.castsource, c.casttarget)
        WHERE c.castfunc >= 16384 AND NOT EXISTS (
          SELECT FROM pg_depend AS d
          WHERE d.classid = 'pg_proc'::regclass AND d.objid = c.castfunc AND d.deptype = 'e'
        )
      );
    END
  `;
}

/** What a role owns that acts as its owner, in words. */
export const acting = (owner: Oid) => sql`
  SELECT format('%s. To run first: %s', a.object, a.advice)
  FROM rolecall_internal.acting_as_owner(${owner}) AS a
`;

/**
 * Refuses to give to a role what would act with rights that the old owner does not have
 * @volatility stable
 */
export function check_handover(from_oid: Oid, to_oid: Oid): Nothing {
  return sql`
    BEGIN
      IF rolecall_internal.has_more_rights(${to_oid}, ${from_oid}) THEN
        PERFORM rolecall_internal.refuse_handover(
          pg_get_userbyid(${from_oid}), pg_get_userbyid(${to_oid}),
          ARRAY(
            ${acting(from_oid)}
          )
        );
      END IF;
    END
  `;
}

/**
 * Raises the error that names what cannot be given to a role, where there is anything
 * @volatility stable
 */
export function refuse_handover(from_role: Text, to_role: Text, objects: Texts): Nothing {
  return sql`
    BEGIN
      IF cardinality(${objects}) > 0 THEN
        RAISE EXCEPTION USING
          ERRCODE = 'dependent_objects_still_exist',
          MESSAGE = format(
            'what acts as its owner cannot be given to role "%s", which has rights that role "%s" does not have',
            ${to_role}, ${from_role}
          ),
          DETAIL = array_to_string(${objects}, E'\n'),
          HINT = 'Read what it does, and drop it or have it act as its caller as DETAIL says. Or give it to a role that '
                 'has no more rights than the old owner, such as one that is made for this.';
      END IF;
    END
  `;
}
