/**
 * Base roles and users.
 */
import { inDatabases, stepColumns, stepRows, type Command } from '../command.ts';
import { fromEnvironment, hashed, passwordOptions, readVerifier } from '../person.ts';

const user = { name: { about: 'name of the user' } } as const;
const useLocks = { about: 'take the advisory lock that related tools take' } as const;
const steps = { changes: true, columns: stepColumns } as const;

export const users: readonly Command[] = [
  inDatabases({
    name: 'base-roles',
    summary: 'Create the three group roles of which users are members',
    options: {
      anonymous: { about: 'name of the anonymous role', takes: 'ROLE', otherwise: 'the name in use, else anonymous' },
      authenticated: {
        about: 'name of the role of authenticated users',
        takes: 'ROLE',
        otherwise: 'the name in use, else authenticated',
      },
      administrator: {
        about: 'name of the role with BYPASSRLS',
        takes: 'ROLE',
        otherwise: 'the name in use, else administrator',
      },
      default: { about: 'name of the default role', takes: 'ROLE', otherwise: 'the anonymous role' },
    },
    examples: { 'base-roles --anonymous anon': 'with another name for the anonymous role' },
    ...steps,
    run: async ({ rolecall, dryRun }, { anonymous, authenticated, administrator, default: default_role }) =>
      stepRows(
        await rolecall.create_base_roles({ anonymous, authenticated, administrator, default_role, dry_run: dryRun }),
      ),
  }),
  inDatabases({
    name: 'user add',
    summary: 'Create a user, or grant an existing role the memberships of a user',
    details:
      'The password is hashed before it is sent: neither the server nor its log ever sees it. An existing role keeps its password.',
    arguments: user,
    options: {
      grant: { about: 'a role to grant to the user, in place of the base roles', takes: 'ROLE', many: true },
      ...passwordOptions,
      useLocks,
    },
    examples: {
      'user add alice --ask-password': 'prompts for the password',
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
      reassignTo: { about: 'make this role the owner of what the user owns', takes: 'ROLE' },
      dropOwned: { about: 'drop what the user owns' },
      terminateSessions: { about: 'end the sessions of the user' },
      useLocks,
    },
    examples: { 'user remove alice --reassign-to app_owner --dry-run': 'show what would be done' },
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
      'The password is hashed before it is sent: neither the server nor its log ever sees it. Without an option, the command prompts for it.',
    arguments: user,
    options: {
      ...passwordOptions,
      validUntil: { about: 'when the password expires', takes: 'TIME' },
    },
    examples: {
      'user password alice': 'prompts for the password',
      'user password app --password-stdin < app.password': 'reads it from a file',
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
    options: { keepSessions: { about: 'do not end its sessions' } },
    examples: { 'user lock alice': 'the user keeps its password, memberships and privileges' },
    ...steps,
    run: async ({ rolecall, dryRun }, { name: username, keepSessions }) =>
      stepRows(await rolecall.lock_user({ username, terminate_sessions: !keepSessions, dry_run: dryRun })),
  }),
  inDatabases({
    name: 'user unlock',
    summary: 'Let a user log in again',
    arguments: user,
    examples: { 'user unlock alice': 'undoes "user lock"' },
    ...steps,
    run: async ({ rolecall, dryRun }, { name: username }) =>
      stepRows(await rolecall.unlock_user({ username, dry_run: dryRun })),
  }),
  inDatabases({
    name: 'user rename',
    summary: 'Rename a user, also in what rolecall has recorded',
    details:
      'The password of a reporting role depends on its name, so it gets a new one. Policies in files have to be changed by hand.',
    arguments: { ...user, newName: { about: 'the new name' } },
    examples: { 'user rename alice alice_smith': 'the user keeps its password, memberships and privileges' },
    ...steps,
    run: async ({ rolecall, dryRun }, { name: username, newName: new_name }) =>
      stepRows(await rolecall.rename_user({ username, new_name, dry_run: dryRun })),
  }),
  inDatabases({
    name: 'user expire',
    summary: 'Lock every user whose password has expired, and end its sessions',
    details:
      'On its own, an expired password ("user password --valid-until") ends no session, and refuses password logins only. Run this command at intervals.',
    examples: { 'user expire --all-databases --quiet': 'in a scheduled job' },
    ...steps,
    run: async ({ rolecall, dryRun }) => stepRows(await rolecall.expire_users({ dry_run: dryRun })),
  }),
  inDatabases({
    name: 'test-users',
    summary: 'Create a user and an administrator for local development',
    details: 'The passwords are app_password and admin_password, unless environment variables are given.',
    options: {
      user: { about: 'name of the user', takes: 'ROLE', otherwise: 'app_user' },
      userPasswordEnv: { about: 'environment variable with the password of the user', takes: 'NAME' },
      admin: { about: 'name of the administrator', takes: 'ROLE', otherwise: 'app_admin' },
      adminPasswordEnv: { about: 'environment variable with the password of the administrator', takes: 'NAME' },
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
