/**
 * What applications know from generators of role management SQL: its entry points, and which errors of which
 * operation are ignored and which are surfaced. Each row of that table is brought about for real, and compared with
 * the policy that the executors, the reference page and the generated tests are made from.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Client, DatabaseError } from 'pg';
import { operations, type Operation, type OperationName } from '../../generator/model/operations.ts';
import { sqlstates, type Condition } from '../../generator/model/sqlstates.ts';
import { root, until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';

const place = await placeOfFile();
const { cluster, database, admin } = place;
await admin.query(`
  CREATE ROLE powerless LOGIN PASSWORD 'powerless';
  GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO powerless;
  GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO powerless;
  GRANT ALL ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO powerless;
  CREATE ROLE conform_group; CREATE ROLE conform_user; CREATE ROLE conform_other;
`);
/** May call, and no more. */
const powerless = await place.login('powerless');

/** What came of a call: its steps as `operation status sqlstate`, or the error that it raised. */
interface Outcome {
  readonly steps?: string[];
  readonly error?: DatabaseError;
}

async function call(client: Client, text: string): Promise<Outcome> {
  try {
    const { rows } = await client.query<{ operation: string; status: string; sqlstate: string | null }>(text);
    return { steps: rows.map(({ operation, status, sqlstate }) => `${operation} ${status} ${sqlstate ?? ''}`.trim()) };
  } catch (error) {
    return { error: error as DatabaseError };
  }
}

/** The outcome of a call that waits for another transaction, which then commits. */
async function lost(theirs: string, ours: string): Promise<Outcome> {
  const other = await cluster.connect({ database });
  await other.query(`BEGIN; ${theirs}`);
  const outcome = call(admin, ours);
  await until('the call to wait', async () => {
    const { rows } = await other.query(
      `SELECT FROM pg_locks WHERE NOT granted AND waitstart < clock_timestamp() - interval '20 ms'`,
    );
    return rows.length === 1;
  });
  await other.query('COMMIT');
  await other.end();
  return outcome;
}

interface Row {
  readonly operation: 'CREATE ROLE' | 'GRANT' | 'REVOKE/DROP';
  readonly condition: Condition;
  readonly effect: 'ignored' | 'surfaced';
  /** The operations of the policy that the row is about. */
  readonly policies: readonly OperationName[];
  /** Brings the condition about. */
  readonly provoke: () => Promise<Outcome>;
  /** The steps of a call that ignored it, where the condition does not show in one. */
  readonly steps?: (version: number) => string[] | undefined;
  /** The role whose rights the hint speaks of. */
  readonly role?: (version: number) => string;
}

/** Before 16 the hint of a membership names no role, as CREATEROLE is enough. */
const group = () => 'conform_group';

const table: readonly Row[] = [
  {
    operation: 'CREATE ROLE',
    condition: 'duplicate_object',
    effect: 'ignored',
    policies: ['create_role'],
    // A call looks first; between that and the statement there is no time for another one in a test.
    provoke: () =>
      call(
        admin,
        `SELECT * FROM rolecall_internal.execute_change(ROW('create_role', 'conform_user', 'CREATE ROLE conform_user', NULL, NULL, NULL, NULL)::rolecall_internal.change, false, false)`,
      ),
  },
  {
    operation: 'CREATE ROLE',
    condition: 'unique_violation',
    effect: 'ignored',
    policies: ['create_role'],
    provoke: () =>
      lost('CREATE ROLE conform_new', `SELECT * FROM rolecall.create_user_with_grants('conform_new', NULL, '{}')`),
  },
  {
    operation: 'CREATE ROLE',
    condition: 'insufficient_privilege',
    effect: 'surfaced',
    policies: ['create_role'],
    provoke: () => call(powerless, `SELECT * FROM rolecall.create_user('conform_denied')`),
  },
  {
    operation: 'GRANT',
    condition: 'unique_violation',
    effect: 'ignored',
    policies: ['grant_role'],
    provoke: () =>
      lost('GRANT conform_group TO conform_user', `SELECT * FROM rolecall.grant_role('conform_group', 'conform_user')`),
    // From 16 a GRANT locks the role, so that the call waits before it, and finds it done.
    steps: (version) => (version >= 16 ? [] : undefined),
  },
  {
    operation: 'GRANT',
    condition: 'undefined_object',
    effect: 'ignored',
    policies: ['grant_role'],
    provoke: () => call(admin, `SELECT * FROM rolecall.grant_role('conform_missing', 'conform_user')`),
  },
  {
    operation: 'GRANT',
    condition: 'insufficient_privilege',
    effect: 'surfaced',
    policies: ['grant_role'],
    provoke: () => call(powerless, `SELECT * FROM rolecall.grant_role('conform_group', 'conform_other')`),
    role: group,
  },
  {
    operation: 'GRANT',
    condition: 'invalid_grant_operation',
    effect: 'surfaced',
    policies: ['grant_role'],
    provoke: () => call(admin, `SELECT * FROM rolecall.grant_role('conform_user', 'conform_group')`),
  },
  {
    operation: 'REVOKE/DROP',
    condition: 'undefined_object',
    effect: 'ignored',
    policies: ['revoke_role'],
    provoke: () => call(admin, `SELECT * FROM rolecall.revoke_role('conform_missing', 'conform_user')`),
    steps: () => [],
  },
  {
    operation: 'REVOKE/DROP',
    condition: 'undefined_object',
    effect: 'ignored',
    policies: ['revoke_role'],
    // The role is dropped while the call waits for it.
    provoke: async () => {
      await admin.query('CREATE ROLE conform_leaving; GRANT conform_group TO conform_leaving');
      return lost(
        'DROP ROLE conform_leaving',
        `SELECT * FROM rolecall.revoke_role('conform_group', 'conform_leaving')`,
      );
    },
    steps: () => [],
  },
  {
    operation: 'REVOKE/DROP',
    condition: 'dependent_objects_still_exist',
    effect: 'surfaced',
    policies: ['revoke_role'],
    provoke: async () => {
      await admin.query(`
        CREATE ROLE conform_passes_on;
        GRANT conform_group TO conform_passes_on WITH ADMIN OPTION;
        SET ROLE conform_passes_on; GRANT conform_group TO conform_other; RESET ROLE;
      `);
      return call(admin, `SELECT * FROM rolecall.revoke_role('conform_group', 'conform_passes_on')`);
    },
    // Before 16 the server does not keep who depends on whom.
    steps: (version) => (version >= 16 ? undefined : ['revoke_role applied']),
  },
  {
    operation: 'REVOKE/DROP',
    condition: 'insufficient_privilege',
    effect: 'surfaced',
    policies: ['revoke_role'],
    provoke: () => call(powerless, `SELECT * FROM rolecall.revoke_role('conform_group', 'conform_user')`),
    role: group,
  },
  {
    operation: 'REVOKE/DROP',
    condition: 'undefined_object',
    effect: 'ignored',
    policies: ['drop_role', 'drop_owned'],
    provoke: () => call(admin, `SELECT * FROM rolecall.remove_user('conform_missing', drop_owned => true)`),
    steps: () => [],
  },
  {
    operation: 'REVOKE/DROP',
    condition: 'undefined_object',
    effect: 'ignored',
    policies: ['drop_role'],
    // The role is dropped while the call waits for it.
    provoke: async () => {
      await admin.query('CREATE ROLE conform_leaving');
      return lost('DROP ROLE conform_leaving', `SELECT * FROM rolecall.remove_user('conform_leaving')`);
    },
    steps: () => [],
  },
  {
    operation: 'REVOKE/DROP',
    condition: 'dependent_objects_still_exist',
    effect: 'surfaced',
    policies: ['drop_role'],
    provoke: async () => {
      await admin.query('CREATE ROLE conform_owner; CREATE SCHEMA conform_owned AUTHORIZATION conform_owner');
      return call(admin, `SELECT * FROM rolecall.remove_user('conform_owner')`);
    },
  },
  {
    operation: 'REVOKE/DROP',
    condition: 'object_in_use',
    effect: 'surfaced',
    policies: ['drop_role'],
    provoke: () => call(admin, `SELECT * FROM rolecall.remove_user(current_user::text)`),
  },
  {
    operation: 'REVOKE/DROP',
    condition: 'insufficient_privilege',
    effect: 'surfaced',
    policies: ['drop_role'],
    provoke: () => call(powerless, `SELECT * FROM rolecall.remove_user('conform_user')`),
    role: () => 'conform_user',
  },
];

/** The table as it is published: per operation what is ignored, and what is surfaced. */
const published: Readonly<Record<Row['operation'], Readonly<Record<Row['effect'], readonly string[]>>>> = {
  'CREATE ROLE': { ignored: ['42710', '23505'], surfaced: ['42501'] },
  GRANT: { ignored: ['23505', '42704'], surfaced: ['42501', '0LP01'] },
  'REVOKE/DROP': { ignored: ['42704'], surfaced: ['2BP01', '55006', '42501'] },
};

test('every row of the published table is provoked, and no other', () => {
  const provoked = new Set(table.map((row) => `${row.operation} ${row.effect} ${sqlstates[row.condition]}`));
  const expected = Object.entries(published).flatMap(([operation, effects]) =>
    Object.entries(effects).flatMap(([effect, codes]) => codes.map((code) => `${operation} ${effect} ${code}`)),
  );
  assert.deepEqual([...provoked].sort(), expected.sort());
});

const reference = readFileSync(join(root, 'docs/reference.md'), 'utf8');

for (const { operation, condition, effect, policies, provoke, steps, role } of table) {
  const code = sqlstates[condition];

  test(`${operation}: ${code} (${condition}) is ${effect}`, async () => {
    for (const name of policies) {
      const policy: Operation = operations[name];
      // This looks for the difference again, and is an error if it is still there.
      const isIgnored =
        policy.ignored?.some(({ conditions, then }) => conditions.includes(condition) && then !== 'again') ?? false;
      assert.equal(isIgnored, effect === 'ignored', `the policy of ${name}`);
      assert.ok(!policy.retried?.includes(condition), `the policy of ${name}`);
      const [, ignored = '', , surfaced = ''] = reference
        .split('\n')
        .filter((line) => line.startsWith(`| \`${name}\`: `))
        .flatMap((line) => line.slice(2).split(' | '));
      assert.ok((isIgnored ? ignored : surfaced).includes(`\`${condition}\` (${code})`), `the reference of ${name}`);
      const hint = policy.surfaced?.find((one) => one.condition === condition)?.hint ?? '';
      for (const one of typeof hint === 'string' ? [hint] : Object.values(hint))
        assert.ok((isIgnored ? '' : surfaced).includes(isIgnored ? '' : one), `the hint in the reference of ${name}`);
    }
    const outcome = await provoke();
    const expected = steps?.(cluster.version);
    if (expected !== undefined) assert.deepEqual(outcome, { steps: expected });
    else if (effect === 'ignored')
      assert.match(
        outcome.steps?.[0] ?? '',
        new RegExp(`^${policies[0]} (skipped|ignored) ${code}$`),
        String(outcome.error),
      );
    else {
      assert.equal(outcome.error?.code, code);
      const hint = operations[policies[0] ?? 'create_role'].surfaced.find((one) => one.condition === condition)?.hint;
      const ofVersion = typeof hint === 'object' ? hint[cluster.version >= 16 ? 'since16' : 'before16'] : hint;
      const roles = { role: role?.(cluster.version) ?? '', caller: 'powerless' };
      assert.equal(
        outcome.error.hint,
        ofVersion?.replace(/\{(role|caller)\}/g, (_, key: keyof typeof roles) => roles[key]),
      );
      assert.match(outcome.error.detail ?? '', /The statement was: /);
    }
  });
}

async function members(name: string): Promise<string[]> {
  const { rows } = await admin.query<{ name: string }>(
    `SELECT m.roleid::regrole::text AS name FROM pg_auth_members AS m WHERE m.member = to_regrole($1) ORDER BY 1`,
    [name],
  );
  return rows.map((row) => row.name);
}

async function login(user: string, password: string): Promise<void> {
  const client = await cluster.connect({ database, user, password });
  await client.end();
}

test('bootstrap: the three base roles', async () => {
  await admin.query('SELECT rolecall.create_base_roles()');
  const { rows } = await admin.query(
    `SELECT rolname, rolcanlogin, rolbypassrls, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication AS powerful
     FROM pg_roles WHERE rolname IN ('anonymous', 'authenticated', 'administrator') ORDER BY 1`,
  );
  const role = { rolcanlogin: false, powerful: false };
  assert.deepEqual(rows, [
    { rolname: 'administrator', rolbypassrls: true, ...role },
    { rolname: 'anonymous', rolbypassrls: false, ...role },
    { rolname: 'authenticated', rolbypassrls: false, ...role },
  ]);
});

test('add --test: app_user and app_admin', async () => {
  const warnings: string[] = [];
  const listen = (notice: { severity: string | undefined; message: string | undefined }) =>
    warnings.push(`${notice.severity}: ${notice.message}`);
  admin.on('notice', listen);
  await admin.query('SELECT rolecall.create_test_users()');
  admin.off('notice', listen);
  assert.deepEqual(warnings, [
    'WARNING: test users are for local development only: their default passwords are public',
  ]);
  assert.deepEqual(await members('app_user'), ['anonymous', 'authenticated']);
  assert.deepEqual(await members('app_admin'), ['administrator', 'anonymous', 'authenticated']);
  await login('app_user', 'app_password');
  await login('app_admin', 'admin_password');
});

test('add: a user with a password', async () => {
  await admin.query('SELECT rolecall.create_user($1, $2, use_locks => true)', ['myuser', 'mypass']);
  assert.deepEqual(await members('myuser'), ['anonymous', 'authenticated']);
  await login('myuser', 'mypass');
});

test('a user with the roles given', async () => {
  const roles = ['administrator', 'anonymous', 'authenticated'];
  await admin.query('SELECT rolecall.create_user_with_grants($1, $2, $3)', ['harness', 'mypass', roles]);
  assert.deepEqual(await members('harness'), roles);
  await login('harness', 'mypass');
});

test('a single role', async () => {
  await admin.query('SELECT rolecall.grant_role($1, $2)', ['administrator', 'myuser']);
  assert.deepEqual(await members('myuser'), ['administrator', 'anonymous', 'authenticated']);
});

test('remove: a user with its memberships, and the two test users', async () => {
  for (const user of ['myuser', 'app_user', 'app_admin']) {
    assert.deepEqual(await call(admin, `SELECT * FROM rolecall.remove_user('${user}')`), {
      steps: ['drop_role applied'],
    });
    assert.deepEqual(await call(admin, `SELECT * FROM rolecall.remove_user('${user}')`), { steps: [] });
    const { rows } = await admin.query('SELECT FROM pg_roles WHERE rolname = $1', [user]);
    assert.equal(rows.length, 0);
  }
  const { rows } = await admin.query(
    `SELECT FROM pg_roles WHERE rolname IN ('anonymous', 'authenticated', 'administrator')`,
  );
  assert.equal(rows.length, 3, 'the base roles stay');
});

test('other names, from then on', async () => {
  await admin.query(`SELECT rolecall.create_base_roles('custom_anon', 'custom_auth', 'custom_admin', 'custom_anon')`);
  await admin.query(`SELECT rolecall.create_user('customer')`);
  assert.deepEqual(await members('customer'), ['custom_anon', 'custom_auth']);
  // The former ones are as they were.
  assert.deepEqual(await members('harness'), ['administrator', 'anonymous', 'authenticated']);
});
