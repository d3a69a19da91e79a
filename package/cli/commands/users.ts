/**
 * Base roles and users.
 */
import { inDatabases, stepColumns, stepRows, type Command } from '../command.ts';
import { fromEnvironment, hashed, passwordOptions, readVerifier } from '../person.ts';

const user = { name: { about: 'name of the user' } } as const;
const useLocks = { about: 'take the advisory lock that other tools of this family take' } as const;
const steps = { changes: true, columns: stepColumns } as const;

export const users: readonly Command[] = [
  inDatabases({
    name: 'base-roles',
    summary: 'Create the three group roles that users are members of',
    options: {
      anonymous: { about: 'name of the role for everybody', takes: 'ROLE', otherwise: 'as remembered, else anonymous' },
      authenticated: { about: 'name of the role for users', takes: 'ROLE', otherwise: 'likewise' },
      administrator: { about: 'name of the role with BYPASSRLS', takes: 'ROLE', otherwise: 'likewise' },
      default: { about: 'name of the default role', takes: 'ROLE', otherwise: 'the role for everybody' },
    },
    examples: { 'base-roles --anonymous anon': 'with another name for one of them' },
    ...steps,
    run: async ({ rolecall, dryRun }, { anonymous, authenticated, administrator, default: default_role }) =>
      stepRows(
        await rolecall.create_base_roles({ anonymous, authenticated, administrator, default_role, dry_run: dryRun }),
      ),
  }),
  inDatabases({
    name: 'user add',
    summary: 'Create a user, or give an existing role the memberships of one',
    details:
      'The password is hashed here: neither the server nor its log ever sees it. An existing role keeps the one it has.',
    arguments: user,
    options: {
      grant: { about: 'a role to be a member of, in place of the base roles', takes: 'ROLE', many: true },
      ...passwordOptions,
      useLocks,
    },
    examples: {
      'user add alice --ask-password': 'asks for the password',
      'user add app --grant inventory_reader --password-env APP_PASSWORD': 'in a script',
    },
    ...steps,
    prepare: ({ name, ...given }, person) => readVerifier(name, given, person),
    run: async ({ rolecall, dryRun }, { name: username, grant, useLocks: use_locks }, password) =>
      stepRows(
        grant.length === 0
          ? await rolecall.create_user({ username, password, use_locks, dry_run: dryRun })
          : await rolecall.create_user_with_grants({
              username,
              password: password ?? null,
              roles_to_grant: grant,
              use_locks,
              dry_run: dryRun,
            }),
      ),
  }),
  inDatabases({
    name: 'user remove',
    summary: 'Remove a user',
    arguments: user,
    options: {
      reassignTo: { about: 'give what it owns to this role', takes: 'ROLE' },
      dropOwned: { about: 'drop what it owns' },
      terminateSessions: { about: 'end its sessions' },
      useLocks,
    },
    examples: { 'user remove alice --reassign-to app_owner --dry-run': 'what would be done' },
    ...steps,
    run: async ({ rolecall, dryRun }, values) =>
      stepRows(
        await rolecall.remove_user({
          username: values.name,
          reassign_to: values.reassignTo,
          drop_owned: values.dropOwned,
          terminate_sessions: values.terminateSessions,
          use_locks: values.useLocks,
          dry_run: dryRun,
        }),
      ),
  }),
  inDatabases({
    name: 'user password',
    summary: 'Set the password of a user',
    details:
      'The password is hashed here: neither the server nor its log ever sees it. Without an option it is asked for.',
    arguments: user,
    options: {
      ...passwordOptions,
      validUntil: { about: 'when it ends to be valid', takes: 'TIME' },
    },
    examples: {
      'user password alice': 'asks for it',
      'user password app --password-stdin < app.password': 'from a file',
    },
    ...steps,
    prepare: ({ name, ...given }, person) => {
      const none = !given.passwordStdin && given.passwordEnv === undefined;
      return readVerifier(name, { ...given, askPassword: given.askPassword || none }, person);
    },
    run: async ({ rolecall, dryRun }, { name: username, validUntil }, password = '') =>
      stepRows(await rolecall.set_password({ username, password, valid_until: validUntil, dry_run: dryRun })),
  }),
  inDatabases({
    name: 'user lock',
    summary: 'Keep a user from logging in, and end its sessions',
    arguments: user,
    options: { keepSessions: { about: 'leave its sessions alone' } },
    examples: { 'user lock alice': 'password, memberships and privileges stay' },
    ...steps,
    run: async ({ rolecall, dryRun }, { name: username, keepSessions }) =>
      stepRows(await rolecall.lock_user({ username, terminate_sessions: !keepSessions, dry_run: dryRun })),
  }),
  inDatabases({
    name: 'user unlock',
    summary: 'Let a user log in again',
    arguments: user,
    examples: { 'user unlock alice': 'after user lock' },
    ...steps,
    run: async ({ rolecall, dryRun }, { name: username }) =>
      stepRows(await rolecall.unlock_user({ username, dry_run: dryRun })),
  }),
  inDatabases({
    name: 'user rename',
    summary: 'Give a user another name, in what is remembered too',
    details: 'A reporting role gets the password of its new name. Policies in files have to be changed by hand.',
    arguments: { ...user, newName: { about: 'name that it is to have' } },
    examples: { 'user rename alice alice_smith': 'password, memberships and privileges stay' },
    ...steps,
    run: async ({ rolecall, dryRun }, { name: username, newName: new_name }) =>
      stepRows(await rolecall.rename_user({ username, new_name, dry_run: dryRun })),
  }),
  inDatabases({
    name: 'user expire',
    summary: 'Lock every user whose time is over, and end its sessions',
    details: 'The end of a password (--valid-until) alone stops no session. Run this at intervals.',
    examples: { 'user expire --all-databases --quiet': 'in a job' },
    ...steps,
    run: async ({ rolecall, dryRun }) => stepRows(await rolecall.expire_users({ dry_run: dryRun })),
  }),
  inDatabases({
    name: 'test-users',
    summary: 'Create a user and an administrator for local development',
    details: 'Without an environment variable their passwords are app_password and admin_password.',
    options: {
      user: { about: 'name of the user', takes: 'ROLE', otherwise: 'app_user' },
      userPasswordEnv: { about: 'take its password from this environment variable', takes: 'NAME' },
      admin: { about: 'name of the administrator', takes: 'ROLE', otherwise: 'app_admin' },
      adminPasswordEnv: { about: 'take its password from this environment variable', takes: 'NAME' },
    },
    examples: { 'test-users': 'app_user and app_admin' },
    ...steps,
    async prepare({ userPasswordEnv, adminPasswordEnv }) {
      const verifierIn = async (name: string | undefined): Promise<string | undefined> =>
        name === undefined ? undefined : hashed(fromEnvironment(name));
      return { app: await verifierIn(userPasswordEnv), admin: await verifierIn(adminPasswordEnv) };
    },
    run: async ({ rolecall, dryRun }, { user: app_user, admin: app_admin }, { app, admin }) =>
      stepRows(
        await rolecall.create_test_users({
          app_user,
          app_password: app,
          app_admin,
          admin_password: admin,
          dry_run: dryRun,
        }),
      ),
  }),
];
