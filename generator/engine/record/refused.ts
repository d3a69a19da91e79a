/**
 * What is recorded is read as untrusted: an operator can write rows of its own. Whatever the caller may do, no record has a
 * superuser changed, granted or logged in as, nor gives the attributes that are as much.
 */
import { newest } from '../../model/record.ts';
import { sqlstates } from '../../model/sqlstates.ts';
import type { Bool, Jsonb, Returns, Steps, Text } from '../../model/types.ts';
import { type Sql, sql, text } from '../../sql/template.ts';

/** The name of a superuser, where a field of the resource names one. */
const isSuperuser = (resource: Jsonb, field: string): Sql => sql`coalesce((
  SELECT r.rolsuper FROM pg_roles AS r
  WHERE r.oid = to_regrole(quote_ident(${resource} ->> ${text(field)}))::oid LIMIT 1
), false)`;

/** Predefined roles that show what the server does, or end it: neither what others keep in tables and files, nor a way to write. */
const harmless =
  '^pg_(monitor|read_all_(settings|stats)|stat_scan_tables|signal_backend|checkpoint|use_reserved_connections)$';

/**
 * Why a record is not acted on; null where it is
 * @volatility stable
 * @probes
 */
export function refusal(section: Text, resource: Jsonb): Returns<Text> {
  return sql`
    BEGIN
      IF ${section} = 'roles'
        AND (${resource} @? '$.*.superuser ? (@ == true)' OR ${resource} @? '$.*.replication ? (@ == true)')
      THEN
        RETURN 'no record gives SUPERUSER or REPLICATION';
      ELSIF ${section} = 'roles' AND ${resource} ? 'attributes' AND ${isSuperuser(resource, 'name')}
        OR ${section} = 'base_roles' AND ${isSuperuser(resource, 'name')}
        OR ${section} IN ('memberships', 'settings', 'read_access') AND ${isSuperuser(resource, 'role')}
      THEN
        RETURN 'the role is a superuser, which no record changes or grants';
      ELSIF ${section} = 'memberships' AND starts_with(${resource} ->> 'role', 'pg_')
        AND ${resource} ->> 'role'
          !~ ${text(harmless)}
      THEN
        RETURN 'the predefined role gives more than a record may: grant it by a call';
      END IF;
      RETURN NULL;
    END
  `;
}

/**
 * Skipped steps for what is recorded and not acted on, in one section or, where that is null, in all of them
 */
export function refused_steps(section: Text | null, dry_run: Bool): Returns<Steps> {
  return sql`
    DECLARE
      v_step rolecall.step;
      v_steps rolecall.step[] := '{}'::rolecall.step[];
    BEGIN
      FOR v_step IN
        SELECT 'forget', CASE WHEN p.section = 'base_roles' THEN p.resource ->> 'name' ELSE p.key ->> 0 END,
               format('DELETE FROM rolecall_internal.resource WHERE section = %L AND key = %L', p.section, p.key),
               'skipped', ${text(sqlstates.invalid_parameter_value)}, n.note
        FROM ${newest(sql`r.section = coalesce(${section as Text}, r.section)`)} AS p
        CROSS JOIN LATERAL (SELECT rolecall_internal.refusal(p.section, p.resource) OFFSET 0) AS n(note)
        WHERE n.note IS NOT NULL
        ORDER BY p.section, p.key
      LOOP
        IF ${dry_run} IS NOT TRUE THEN
          RAISE WARNING USING
            ERRCODE = v_step.sqlstate,
            MESSAGE = format('skipped for "%s": %s', v_step.target, v_step.note),
            HINT = 'Somebody recorded what no call asks for, or the role has changed since. To forget it, run: '
                   || v_step.statement;
        END IF;
        v_steps := v_steps || v_step;
      END LOOP;
      RETURN v_steps;
    END
  `;
}
