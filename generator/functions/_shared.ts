/**
 * What the specs of public functions are made of.
 */
import { desired, type DesiredState } from '../model/resources.ts';
import type { Bool, Text } from '../model/types.ts';
import { raw, Sql, sql, text } from '../sql/template.ts';

/** Returns the name of a base role in this database, as role_name() does. */
export function baseRole(key: 'anonymous' | 'authenticated' | 'administrator'): Sql {
  return sql`coalesce(rolecall_internal.recorded_name(${text(key)}, false), ${text(key)})`;
}

/** What makes a role a user when it is made; an existing one keeps its attributes. */
export const user = { initial: { login: true } } as const;

/** Neither powerful nor able to log in, whatever it was before. */
export const groupRole = {
  superuser: false,
  createdb: false,
  createrole: false,
  login: false,
  replication: false,
} as const;

/** The body of a function that establishes a state, after some statements of its own. */
export function establish(state: DesiredState, dryRun: Bool, ...first: readonly Sql[]): Sql {
  return sql`
    BEGIN
      ${[...first, established(state, dryRun)]}
    END
  `;
}

/** The statements that return the steps of establishing a state. */
export function established(state: DesiredState, dryRun: Bool): Sql {
  return sql`
    ${refusingReporting(state)}
    ${rows(sql`rolecall_internal.run(${desired(state)}, ${dryRun})`)}
  `;
}

/** The statements that refuse a state which gives something to a reporting role that provisioning would take away. */
export function refusingReporting({ roles = [], memberships = [] }: DesiredState): Sql[] {
  const names = [
    ...roles.filter(({ state }) => state === undefined).map(({ name }) => name),
    ...(memberships instanceof Sql ? [] : memberships)
      .filter(({ state }) => state === undefined)
      .map(({ member }) => member),
  ].filter((name) => name instanceof Sql);
  return [...new Set(names.map(({ text: name }) => name))].map(
    (name) => sql`PERFORM rolecall_internal.check_not_reporting(${raw(name)});`,
  );
}

/** The statement that returns steps; a loop, as a query would have to be planned. v_step is declared for every function. */
export function rows(steps: Sql): Sql {
  return sql`
    FOREACH v_step IN ARRAY ${steps} LOOP
      RETURN NEXT v_step;
    END LOOP;
  `;
}

/** The advisory lock that other tools of this family take; safety never depends on it. */
export function advisoryLock(useLocks: Bool, username: Text): Sql {
  return sql`
    IF ${useLocks} THEN
      PERFORM pg_advisory_xact_lock(42, hashtext(${username}));
    END IF;
  `;
}
