/**
 * Fragments that the specs of public functions share.
 */
import { known } from '../engine/run/established.ts';
import { desired, type DesiredState, mask } from '../model/resources.ts';
import type { Bool, Interval, Text } from '../model/types.ts';
import { join, raw, Sql, sql, text } from '../sql/template.ts';

/** Returns the name of a base role in this database, as role_name() does. */
export function baseRole(key: 'anonymous' | 'authenticated' | 'administrator'): Sql {
  return sql`coalesce(rolecall_internal.recorded_name(${text(key)}, false), ${text(key)})`;
}

/** The attributes of a user that is created; an existing role keeps its own. */
export const user = { initial: { login: true } } as const;

/** The attributes of a group role: no powers and no login, whatever it had before. */
export const groupRole = {
  superuser: false,
  createdb: false,
  createrole: false,
  login: false,
  replication: false,
} as const;

/** The body of a function that establishes a desired state, after some statements of its own. */
export function establish(state: DesiredState, dryRun: Bool, ...first: readonly Sql[]): Sql {
  return sql`
    BEGIN
      ${[...first, established(state, dryRun)]}
    END
  `;
}

/**
 * The statements that establish a desired state and return the steps. Where a simple state is there already, they end
 * the call early.
 */
export function established(state: DesiredState, dryRun: Bool): Sql {
  const passwords = passwordsOf(state);
  if (!isSimple(state))
    return sql`
      ${refusingReporting(state)}
      ${rows(sql`rolecall_internal.run(${desired(masked(state))}, ${dryRun}, ${passwords})`)}
    `;
  return sql`
    DECLARE
      v_document jsonb := ${desired(masked(state))};
      v_passwords jsonb := ${passwords};
    BEGIN
      ${unlessEstablished(raw('v_document'))}
      ${refusingReporting(state)}
      ${rows(sql`
        rolecall_internal.run(
          v_document, ${dryRun}, v_passwords
        )
      `)}
    END;
  `;
}

/**
 * The statements that end a call with nothing to do early, for a document that `isSimple()` allows. That a new user is
 * to be created is found without the function.
 */
export const unlessEstablished = (document: Sql): Sql => sql`
  IF to_regrole(quote_ident(${document} #>> '{roles,0,name}')) IS NOT NULL
    AND rolecall_internal.is_established(${document})
  THEN
    RETURN;
  END IF;
`;

/** Whether is_established() understands every part of a desired state. */
function isSimple({ roles = [], memberships = [], base_roles = [], ...others }: DesiredState): boolean {
  const fields = [...known, 'password', 'note'];
  const resources = [...roles, ...(memberships instanceof Sql ? [] : memberships), ...base_roles];
  return Object.keys(others).length === 0 && resources.flatMap(Object.keys).every((field) => fields.includes(field));
}

/** A desired state with the mask in place of each password. */
function masked(state: DesiredState): DesiredState {
  const hide = <T extends object>(resource: T): T =>
    'password' in resource
      ? { ...resource, password: sql`CASE WHEN ${resource.password as Sql} IS NOT NULL THEN ${mask} END` }
      : resource;
  const { roles, passwords } = state;
  return {
    ...state,
    ...(roles === undefined ? {} : { roles: roles.map(hide) }),
    ...(passwords === undefined ? {} : { passwords: passwords.map(hide) }),
  };
}

/** The passwords of a desired state, by the names of the roles; of two for one role the first counts. */
function passwordsOf({ roles = [], passwords = [] }: DesiredState): Sql {
  const found = [
    ...roles.flatMap((role) => ('password' in role ? [{ role: role.name, password: role.password }] : [])),
    ...passwords,
  ];
  const objects = found.map(
    ({ role, password }) => sql`
      rolecall_internal.password_of(
        ${role as Sql}, ${password as Sql}
      )
    `,
  );
  return objects.length === 0 ? sql`'{}'` : join(objects.reverse(), '\n|| ');
}

/** The statements that refuse a desired state which gives a reporting role something that provisioning would revoke. */
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

/**
 * The statement that returns steps. It is a loop, because a query would have to be planned. The generator declares
 * v_step.
 */
export function rows(steps: Sql): Sql {
  return sql`
    FOREACH v_step IN ARRAY ${steps} LOOP
      RETURN NEXT v_step;
    END LOOP;
  `;
}

/** The statements that provision reporting roles and return the steps. */
export const provisioned = (
  definitions: readonly Sql[],
  rotateAfter: Interval | null,
  realign: Bool,
  dryRun: Bool,
): Sql => sql`
  DECLARE
    v_definitions jsonb := jsonb_build_array(
      ${join(definitions, ',\n')}
    );
    v_steps rolecall.step[];
  BEGIN
    PERFORM rolecall_internal.check_definitions(v_definitions);
    v_steps := rolecall_internal.run_reporting(
      v_definitions, '{}', ${rotateAfter},
      ${realign}, ${dryRun}
    );
    IF EXISTS (SELECT FROM unnest(v_steps) AS s WHERE s.operation = 'rotate_secret') THEN
      v_steps := v_steps || rolecall_internal.left_out(${dryRun});
    END IF;
    ${rows(sql`v_steps`)}
  END;
`;

/** The advisory lock that other tools of this family take; nothing here depends on it for safety. */
export function advisoryLock(useLocks: Bool, username: Text): Sql {
  return sql`
    IF ${useLocks} THEN
      PERFORM pg_advisory_xact_lock(42, hashtext(${username}));
    END IF;
  `;
}
