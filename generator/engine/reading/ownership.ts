/**
 * Which database of the cluster a reporting role belongs to.
 */
import type { Jsonb, Nothing, Returns, Text } from '../../model/types.ts';
import { type Sql, sql } from '../../sql/template.ts';
import { thisDatabase } from '../catalogs/server.ts';
import { verifierPrefix } from '../secrets/reporting.ts';

/**
 * The setting that shows other databases to which one a reporting role belongs: the role has it once more for that
 * database alone. Every caller that may alter the role may set it, and a dump of the cluster includes it. The role
 * itself can move it, so its own database goes by the verifier that it keeps.
 */
export const ownership = sql`'{"name": "default_transaction_read_only", "value": "on", "here": true}'::jsonb`;

/**
 * Whether a role of that name has a verifier that this database has kept for it: other_database() is null then. It is
 * asked first, so that nothing else has to be compiled.
 */
export const isKeptHere = (name: Sql) => sql`EXISTS (
  SELECT FROM rolecall_internal.secret AS s
  WHERE s.key = ${verifierPrefix} || ${name} AND s.made_in = ${thisDatabase}
    AND s.role = to_regrole(quote_ident(${name}))::oid
)`;

/**
 * Name of the other database of the cluster that a reporting role belongs to; null where it is this one's, or nobody's
 *
 * The verifier that was kept for this very role, here or in the original of a copied database, decides, because the
 * role cannot change it. Without one, the setting decides. The role could set that for any database, but it cannot
 * grant itself a privilege there. Another login could grant it one on large objects, temporary tables and whatever
 * else everybody may create, so those do not count; only schemas, and objects of roles that may provision, do.
 * @volatility stable
 * @probes
 */
export function other_database(role_name: Text): Returns<Text> {
  return sql`
    DECLARE
      v_role oid := to_regrole(quote_ident(${role_name}))::oid;
      v_database text;
    BEGIN
      IF v_role IS NULL THEN
        RETURN NULL;
      END IF;
      SELECT d.datname INTO v_database
      FROM rolecall_internal.secret AS s
      JOIN pg_database AS d ON d.oid = s.made_in
      WHERE s.key = ${verifierPrefix} || ${role_name} AND s.role = v_role;
      IF FOUND THEN
        RETURN nullif(v_database, current_database());
      END IF;
      RETURN (
        SELECT d.datname
        FROM pg_db_role_setting AS s
        JOIN pg_database AS d ON d.oid = s.setdatabase
        WHERE s.setrole = v_role AND d.datname <> current_database()
          AND 'default_transaction_read_only=on' = ANY (s.setconfig)
          AND EXISTS (
            SELECT FROM pg_shdepend AS g
            WHERE g.dbid = d.oid AND g.refclassid = 'pg_authid'::regclass AND g.refobjid = s.setrole AND g.deptype = 'a'
              AND (g.classid = 'pg_namespace'::regclass OR NOT EXISTS (
                SELECT FROM pg_shdepend AS o
                JOIN pg_roles AS r ON r.oid = o.refobjid AND NOT r.rolsuper AND NOT r.rolcreaterole
                WHERE o.dbid = g.dbid AND o.classid = g.classid AND o.objid = g.objid AND o.deptype = 'o'
              ))
          )
        ORDER BY d.datname
        LIMIT 1
      );
    END
  `;
}

/**
 * Refuses a reporting role that belongs to another database of the cluster
 * @volatility stable
 */
export function check_provisioned_here(resources: Jsonb): Nothing {
  return sql`
    DECLARE
      v_role text;
      v_other text;
    BEGIN
      FOR v_role IN SELECT DISTINCT r.role FROM jsonb_to_recordset(${resources}) AS r(role text) LOOP
        v_other := rolecall_internal.other_database(v_role);
        IF v_other IS NOT NULL THEN
          PERFORM rolecall_internal.refuse_other_database(v_role, format('database "%s"', v_other));
        END IF;
      END LOOP;
    END
  `;
}

/**
 * Refuses a reporting role of another database
 * @volatility stable
 */
export function refuse_other_database(role_name: Text, owner: Text): Nothing {
  return sql`
    BEGIN
      RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = format('reporting role "%s" belongs to %s',
                         ${role_name}, ${owner}),
        HINT = 'Roles belong to the whole cluster: give the role of each database a name of its own, such as one that '
               'starts with the name of the database.';
    END
  `;
}
