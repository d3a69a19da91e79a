/**
 * Code that changes its owner. An object that acts as its owner would act with the rights of the new one, for whoever
 * can call, read or change it. So it is given only to a role that has no rights beyond those of the old owner.
 */
import type { Bool, Nothing, Oid, Returns, Table, Text, Texts } from '../../model/types.ts';
import { sql, type Sql } from '../../sql/template.ts';
import { hasPowerBeyond } from '../catalogs/edges.ts';
import { writtenBySuperuser } from '../catalogs/functions.ts';
import { serverVersion } from '../catalogs/server.ts';

/**
 * Whether one role could do anything that the other could not, by an attribute, an object or a membership
 *
 * Rights in other databases count as far as they can be seen from here. The privileges of PUBLIC do not matter.
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
          AND (${hasPowerBeyond(sql`r`, sql`o`)}
               OR EXISTS (
                 SELECT FROM pg_shdepend AS d
                 WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype IN ('o', 'a', 'r')
               ))
      );
    END
  `;
}

/**
 * The objects of a role in this database that would act as their owner for an heir, and what to do about each
 *
 * These are not only functions with SECURITY DEFINER and views. Rules of tables and views are checked as the owner, a
 * foreign table connects as the owner, and triggers run as the owner if a foreign key passes a change on or a
 * subscription applies it. The same is true of everything else that a table calls for ANALYZE, in an index, for a
 * foreign key, or where a subscription applies changes.
 * @volatility stable
 */
export function acting_as_owner(owner_oid: Oid, heir_oid: Oid): Table<{ object: Text; advice: Text }> {
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
          LEFT JOIN rolecall_internal.calling_relations(${owner_oid}, ${heir_oid}) AS b(oid)
            ON b.oid = c.oid
          CROSS JOIN LATERAL rolecall_internal.acting_relation(c.oid, b.oid IS NOT NULL, ${heir_oid})
            AS r(advice)
          WHERE c.relowner = ${owner_oid} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND r.advice IS NOT NULL
        ) AS f(classid, objid, advice)
        CROSS JOIN LATERAL pg_identify_object(f.classid, f.objid, 0) AS i
        ORDER BY 1;
    END
  `;
}

/**
 * What to do about a relation that acts as its owner, or that others can make act so; null where it does not
 * @volatility stable
 * @probes
 */
export function acting_relation(relation: Oid, calls_others: Bool, heir_oid: Oid): Returns<Text> {
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
              AND (t.tgenabled IN ('R', 'A') OR ${passesOn(sql`c.oid`)})
          ) THEN format('DROP TRIGGER for each trigger of %1$s, or DROP TABLE %1$s', n.name)
          WHEN g.grantees IS NOT NULL
            THEN format('REVOKE REFERENCES, TRIGGER ON %s FROM %s CASCADE', n.name, g.grantees)
          WHEN ${calls_others}
            THEN format(
              'DROP INDEX, DROP CONSTRAINT, DROP COLUMN and the like for what of %1$s calls a function that no superuser '
              'wrote, or DROP TABLE %1$s', n.name
            )
          WHEN rolecall_internal.has_calling_key(c.oid)
            THEN format('DROP CONSTRAINT for each foreign key of %1$s, or DROP TABLE %1$s', n.name)
          ELSE (
            -- Whatever the owner of the one table adds to it, the other one has too.
            SELECT string_agg(format(
                     CASE WHEN k.relispartition THEN 'ALTER TABLE %2$s DETACH PARTITION %1$s'
                          ELSE 'ALTER TABLE %1$s NO INHERIT %2$s' END,
                     k.oid::regclass, h.inhparent::regclass
                   ), '; ' ORDER BY k.oid::regclass::text)
            FROM pg_inherits AS h
            JOIN pg_class AS k ON k.oid = h.inhrelid
            JOIN pg_class AS p ON p.oid = h.inhparent
            JOIN pg_roles AS w ON w.oid IN (k.relowner, p.relowner)
            WHERE c.oid IN (k.oid, p.oid) AND NOT w.rolsuper AND w.oid NOT IN (c.relowner, ${heir_oid})
          )
        END
        FROM pg_class AS c
        CROSS JOIN LATERAL (SELECT c.oid::regclass::text) AS n(name)
        CROSS JOIN LATERAL (
          SELECT coalesce(bool_or(p.option_value::boolean), false)
          FROM pg_options_to_table(c.reloptions) AS p WHERE p.option_name = 'security_invoker'
        ) AS o(invoker)
        CROSS JOIN LATERAL (
          -- The server evaluates the casts of a foreign key as the owner of the referenced table.
          SELECT string_agg(
            DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, ', '
          )
          FROM (
            SELECT x.grantee, x.privilege_type FROM aclexplode(c.relacl) AS x
            UNION ALL
            SELECT x.grantee, x.privilege_type FROM pg_attribute AS t CROSS JOIN LATERAL aclexplode(t.attacl) AS x
            WHERE t.attrelid = c.oid AND t.attacl IS NOT NULL
          ) AS a
          WHERE a.grantee NOT IN (c.relowner, ${heir_oid}) AND c.relkind IN ('r', 'p')
            AND NOT (a.grantee <> 0 AND pg_has_role(a.grantee, ${heir_oid}, 'MEMBER'))
            AND (a.privilege_type = 'REFERENCES'
                   AND EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique)
                 OR a.privilege_type = 'TRIGGER' AND ${passesOn(sql`c.oid`)})
        ) AS g(grantees)
        WHERE c.oid = ${relation}
      );
    END
  `;
}

/** Whether a foreign key changes rows of a table, as its owner. */
const passesOn = (relation: Sql) => sql`EXISTS (
  SELECT FROM pg_constraint AS k
  WHERE k.conrelid = ${relation} AND k.contype = 'f'
    AND (k.confupdtype IN ('c', 'n', 'd') OR k.confdeltype IN ('c', 'n', 'd'))
)`;

/** Whether an expression in a catalog calls a function that may run a query, such as query_to_xml(). */
const callsQueries = (tree: Sql) => sql`EXISTS (
  SELECT FROM regexp_matches(${tree}::text, 'funcid ([0-9]+)', 'g') AS m(parts)
  JOIN pg_proc AS p ON p.oid = m.parts[1]::oid
  WHERE p.provolatile <> 'i'
)`;

/**
 * Relations that depend, directly or not, on a function that no superuser wrote, on a domain or a cast that a third
 * role can change, or on a domain that may run a query
 *
 * The search goes from the code to what depends on it, because there is less code than there are tables. It does not
 * go on from a relation to its dependents, except for keys on a column. Triggers run as the role that changes a row.
 * @volatility stable
 * @probes
 */
export function calling_relations(owner_oid: Oid, heir_oid: Oid): Table<{ relation: Oid }> {
  return sql`
    BEGIN
      RETURN QUERY
        WITH RECURSIVE stranger AS MATERIALIZED (
          SELECT t.oid, t.typtype FROM pg_type AS t JOIN pg_roles AS w ON w.oid = t.typowner
          WHERE t.oid >= 16384 AND NOT w.rolsuper
            AND t.typowner NOT IN (${owner_oid}, ${heir_oid})
        ),
        reached(classid, objid, objsubid) AS (
          (SELECT 'pg_proc'::regclass::oid, p.oid, 0 FROM pg_proc AS p WHERE p.oid >= 16384 AND NOT ${writtenBySuperuser}
           UNION ALL
           SELECT 'pg_type'::regclass, t.oid, 0 FROM stranger AS t WHERE t.typtype = 'd'
           UNION ALL
           SELECT 'pg_cast'::regclass, k.oid, 0 FROM pg_cast AS k
           WHERE k.oid >= 16384 AND EXISTS (SELECT FROM stranger AS t WHERE t.oid IN (k.castsource, k.casttarget))
           UNION ALL
           SELECT 'pg_constraint'::regclass, k.oid, 0 FROM pg_constraint AS k
           WHERE k.oid >= 16384 AND k.contypid <> 0 AND ${callsQueries(sql`k.conbin`)})
          UNION
          SELECT n.* FROM reached AS r
          CROSS JOIN LATERAL (
            SELECT d.classid, d.objid, d.objsubid FROM pg_depend AS d
            WHERE d.refclassid = r.classid AND d.refobjid = r.objid AND CASE
              WHEN r.classid = 'pg_class'::regclass
                THEN d.classid = 'pg_type'::regclass AND d.deptype = 'i'
                     OR d.classid = 'pg_constraint'::regclass AND d.refobjsubid = r.objsubid AND r.objsubid > 0
                        AND EXISTS (SELECT FROM pg_constraint AS k WHERE k.oid = d.objid AND k.contype = 'f')
              WHEN d.classid = 'pg_proc'::regclass THEN d.deptype = 'i'
              WHEN d.classid = 'pg_cast'::regclass THEN r.classid = 'pg_proc'::regclass
              ELSE d.classid <> 'pg_trigger'::regclass
            END
            UNION ALL
            SELECT d.refclassid, d.refobjid, 0 FROM pg_depend AS d
            WHERE d.classid = r.classid AND d.objid = r.objid AND CASE
              WHEN r.classid = 'pg_cast'::regclass THEN d.refclassid = 'pg_type'::regclass
              WHEN r.classid IN ('pg_type'::regclass, 'pg_proc'::regclass) THEN false
              WHEN r.classid = 'pg_class'::regclass
                THEN d.deptype IN ('a', 'i') AND (
                  d.refclassid = 'pg_type'::regclass OR EXISTS (SELECT FROM pg_index AS x WHERE x.indexrelid = r.objid)
                )
              ELSE d.deptype IN ('a', 'i') OR r.classid = 'pg_constraint'::regclass AND d.refclassid = 'pg_class'::regclass
            END
          ) AS n
        )
        SELECT DISTINCT r.objid FROM reached AS r WHERE r.classid = 'pg_class'::regclass;
    END
  `;
}

/**
 * Whether a query may run as the owner of a table, where a foreign key changes its rows or a subscription applies
 * changes
 *
 * Such rows are checked and completed as the owner. Of PostgreSQL's own functions only those that are not immutable
 * may run a query.
 * @volatility stable
 * @probes
 */
export function has_calling_key(relation: Oid): Returns<Bool> {
  return sql`
    BEGIN
      RETURN EXISTS (
        -- ON DELETE CASCADE evaluates nothing.
        WITH changing AS MATERIALIZED (
          SELECT k.conkey, 'd' IN (k.confupdtype, k.confdeltype) AS to_default, false AS by_subscription
          FROM pg_constraint AS k
          WHERE k.contype = 'f' AND k.conrelid = ${relation}
            AND (k.confupdtype IN ('c', 'n', 'd') OR k.confdeltype IN ('n', 'd'))
          UNION ALL
          SELECT NULL, true, true FROM pg_subscription_rel AS s
          WHERE s.srrelid = ${relation}
             OR s.srrelid IN (SELECT a.relid FROM pg_partition_ancestors(${relation}) AS a)
        )
        SELECT FROM pg_constraint AS c
        WHERE c.conrelid = ${relation} AND c.contype = 'c' AND EXISTS (SELECT FROM changing)
          AND ${callsQueries(sql`c.conbin`)}
        UNION ALL
        SELECT FROM pg_attrdef AS d
        JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        WHERE d.adrelid = ${relation} AND EXISTS (
          SELECT FROM changing AS k
          WHERE k.by_subscription OR a.attgenerated <> '' OR k.to_default AND a.attnum = ANY (k.conkey)
        ) AND ${callsQueries(sql`d.adbin`)}
      );
    END
  `;
}

/** The objects of a role that act as their owner, in words. */
export const acting = (owner: Oid, heir: Oid) => sql`
  SELECT format('%s. To run first: %s', a.object, a.advice)
  FROM rolecall_internal.acting_as_owner(${owner}, ${heir}) AS a
`;

/**
 * Refuses to give a role what would then act with rights that the old owner does not have
 * @volatility stable
 */
export function check_handover(from_oid: Oid, to_oid: Oid): Nothing {
  return sql`
    BEGIN
      IF rolecall_internal.has_more_rights(${to_oid}, ${from_oid}) THEN
        PERFORM rolecall_internal.refuse_handover(
          pg_get_userbyid(${from_oid}), pg_get_userbyid(${to_oid}),
          ARRAY(
            ${acting(from_oid, to_oid)}
          )
        );
      END IF;
    END
  `;
}

/**
 * Raises the error that lists what cannot be given to a role, if there is anything
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
