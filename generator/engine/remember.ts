/**
 * What this database's calls have asked for, so that it can be asked for again.
 */
import type { Jsonb, Nothing, Returns, Text } from '../model/types.ts';
import { sql } from '../sql/template.ts';

/**
 * Records the desired state, resource by resource, where it differs from what is recorded
 */
export function _remember(document: Jsonb): Nothing {
  return sql`
    DECLARE
      v_new jsonb;
    BEGIN
      WITH wanted AS (
        SELECT s.section, k.key, CASE WHEN r.resource ->> 'state' = 'absent' THEN NULL ELSE jsonb_strip_nulls(r.resource - 'password') END AS resource
        FROM jsonb_each(${document}) AS s(section, resources)
        CROSS JOIN LATERAL jsonb_array_elements(s.resources) AS r(resource)
        CROSS JOIN LATERAL (
          SELECT CASE s.section
                   WHEN 'roles' THEN jsonb_build_array(r.resource -> 'name')
                   WHEN 'base_roles' THEN jsonb_build_array(r.resource -> 'key')
                   WHEN 'memberships' THEN jsonb_build_array(r.resource -> 'member', r.resource -> 'role')
                   WHEN 'settings' THEN jsonb_build_array(r.resource -> 'role', r.resource -> 'name')
                   WHEN 'read_access' THEN jsonb_build_array(r.resource -> 'role')
                 END AS key
        ) AS k
        WHERE k.key IS NOT NULL
      ),
      new AS (
        SELECT w.section, w.key, w.resource, k.recorded_at
        FROM wanted AS w
        LEFT JOIN LATERAL (
          SELECT p.resource, p.recorded_at FROM rolecall.resource AS p
          WHERE p.section = w.section AND p.key = w.key
          ORDER BY p.recorded_at DESC LIMIT 1
        ) AS k ON true
        WHERE w.resource IS DISTINCT FROM k.resource
      )
      SELECT jsonb_agg(to_jsonb(n)) INTO v_new FROM new AS n;
      IF v_new IS NULL THEN
        RETURN;
      END IF;
      INSERT INTO rolecall.resource (section, key, resource, recorded_at)
        SELECT n.section, n.key, n.resource,
               greatest(clock_timestamp(), n.recorded_at + interval '1 microsecond')
        FROM jsonb_to_recordset(v_new) AS n(section text, key jsonb, resource jsonb, recorded_at timestamptz);
      -- Under a snapshot a row that another transaction has deleted meanwhile would be 40001; the next call cleans up.
      IF current_setting('transaction_isolation') = 'read committed' THEN
        DELETE FROM rolecall.resource AS p
        WHERE p.ctid = ANY (ARRAY(
          SELECT o.ctid FROM rolecall.resource AS o
          JOIN jsonb_to_recordset(v_new) AS n(section text, key jsonb) ON o.section = n.section AND o.key = n.key
          WHERE o.recorded_at < (
            SELECT max(q.recorded_at) FROM rolecall.resource AS q WHERE q.section = n.section AND q.key = n.key
          )
          FOR UPDATE OF o SKIP LOCKED
        ));
      END IF;
    END
  `;
}

/**
 * The newest record of a resource; null where there is none
 * @volatility stable
 */
export function _recorded(section: Text, key: Jsonb): Returns<Jsonb> {
  return sql`
    BEGIN
      RETURN (
        SELECT p.resource FROM rolecall.resource AS p
        WHERE p.section = _recorded.section AND p.key = _recorded.key
        ORDER BY p.recorded_at DESC LIMIT 1
      );
    END
  `;
}
