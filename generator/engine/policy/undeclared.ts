/**
 * What no call and no policy has asked for: what would be revoked if every role were to have exactly what is recorded.
 */
import type { Changes, Jsonb, Oids, Returns } from '../../model/types.ts';
import { sql } from '../../sql/template.ts';

/**
 * The record as a document, with each of these roles as one that is to have nothing else
 * @volatility stable
 */
export function exact_document(roles: Oids): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN rolecall_internal.recorded_document() - 'read_access' || jsonb_build_object('declared', (
        SELECT coalesce(jsonb_agg(jsonb_build_object('role', pg_get_userbyid(r.oid), 'exact', true)), '[]')
        FROM unnest(${roles}) AS r(oid)
      ));
    END
  `;
}

/**
 * The memberships, settings and privileges that these roles have beyond what is recorded, as the changes that end them
 * @volatility stable
 */
export function undeclared_changes(roles: Oids): Returns<Changes> {
  return sql`
    DECLARE
      v_document jsonb := rolecall_internal.exact_document(${roles});
    BEGIN
      RETURN rolecall_internal.plan_declared(v_document) || ARRAY(
        SELECT p FROM rolecall_internal.plan_privileges(v_document) AS p
        WHERE v_document ? 'privileges' AND (
          p.operation = 'revoke_privilege'
          OR p.operation = 'default_privilege'
             AND right(p.statement, length(quote_ident(p.locks[1])) + 6) = ' FROM ' || quote_ident(p.locks[1])
        )
      );
    END
  `;
}
