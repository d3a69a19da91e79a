/**
 * The typed client: the calls that it makes, and the same calls answered by a server with the extension.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client, Pool } from 'pg';
import {
  isCondition,
  Rolecall,
  sqlstates,
  type Operation,
  type Queryable,
  type Step,
} from '../../extension/client/rolecall.ts';
import { executors } from '../../generator/engine/execute/execute.ts';
import { operations, recorded } from '../../generator/model/operations.ts';
import { sqlstates as model } from '../../generator/model/sqlstates.ts';
import { allSpecs } from '../support/once.ts';
import { placeOfFile } from '../support/place.ts';

const { admin: client } = await placeOfFile();

/** A client whose calls are kept, and answered with no rows. */
function recorder(): { calls: unknown[][]; rolecall: Rolecall } {
  const calls: unknown[][] = [];
  const query = async (text: string, values: unknown[]) => {
    calls.push([text, values]);
    return { rows: [] };
  };
  return { calls, rolecall: new Rolecall({ query }) };
}

test('values are bind parameters, given by name; what is left out has its default', async () => {
  const { calls, rolecall } = recorder();
  await rolecall.set_password({ username: "x'; DROP ROLE y; --", password: '$1', dry_run: true });
  await rolecall.create_base_roles();
  await rolecall.create_base_roles({ anonymous: null, administrator: undefined, dry_run: undefined });
  assert.deepEqual(calls, [
    [
      'SELECT * FROM rolecall.set_password(username => $1, password => $2, dry_run => $3) AS result',
      ["x'; DROP ROLE y; --", '$1', true],
    ],
    ['SELECT * FROM rolecall.create_base_roles() AS result', []],
    ['SELECT * FROM rolecall.create_base_roles(anonymous => $1) AS result', [null]],
  ]);
});

test('a name that the function does not have never reaches the text', async () => {
  const { calls, rolecall } = recorder();
  const sent = JSON.parse('{"dry_run": true, "x => 1); DROP ROLE y; --": 1}') as { dry_run: boolean };
  await rolecall.create_base_roles(sent);
  assert.deepEqual(calls, [['SELECT * FROM rolecall.create_base_roles(dry_run => $1) AS result', [true]]]);
});

test('the constants are those of the model', () => {
  assert.deepEqual(sqlstates, model);
  assert.ok(isCondition({ code: '42602' }, 'invalid_name'));
  for (const other of [{ code: '42501' }, {}, null, 'invalid_name']) assert.ok(!isCondition(other, 'invalid_name'));
});

test('a condition is found in what wraps the error of the server', () => {
  const server = Object.assign(new Error('refused'), { code: '42602' });
  const wrapped = [
    new Error('Drizzle', { cause: server }),
    Object.assign(new Error('Sequelize'), { name: 'SequelizeDatabaseError', parent: server, original: server }),
    Object.assign(new Error('TypeORM'), { driverError: server }),
    Object.assign(new Error('Prisma'), { code: 'P2010', meta: { code: '42602', message: 'refused' } }),
    Object.assign(new Error('Prisma with an adapter'), {
      code: 'P2010',
      meta: { driverAdapterError: { name: 'DriverAdapterError', cause: { originalCode: '42602', kind: 'postgres' } } },
    }),
    new Error('twice', { cause: new Error('once', { cause: server }) }),
  ];
  for (const error of wrapped) {
    assert.ok(isCondition(error, 'invalid_name'), error.message);
    assert.ok(!isCondition(error, 'reserved_name'), error.message);
  }
  const circular: { cause?: unknown } = {};
  circular.cause = circular;
  assert.ok(!isCondition(circular, 'invalid_name'));
});

test('every step that a function makes is of a known operation', async () => {
  const made = [...(await allSpecs()), ...executors()].flatMap(({ body }) =>
    [...body.matchAll(/ROW\(\s*'(\w+)',(?:(?!ROW\()[\s\S])*?\)::\w+\.step\b/g)].map(([, operation]) => operation),
  );
  const known: Operation[] = [...(Object.keys(operations) as (keyof typeof operations)[]), ...recorded];
  assert.ok(made.length >= 2);
  assert.deepEqual(
    made.filter((operation) => !(known as unknown[]).includes(operation)),
    [],
  );
  assert.equal(new Set(known).size, known.length);
});

test('null is what the functions take as null, undefined is left out, and what is returned can be told apart', () => {
  // Types alone: this fails to compile where it does not hold.
  const calls = (rolecall: Rolecall): unknown[] => [
    rolecall.create_user_with_grants({ username: 'x', password: null, roles_to_grant: null, dry_run: undefined }),
    rolecall.provision_reporting_role({ role_name: 'x', schemas: [], withheld_tables: null, rotate_after: null }),
    rolecall.create_test_users({ app_user: null, app_password: null, app_admin: null, admin_password: null }),
    rolecall.create_client_role({ role_name: null }),
    // @ts-expect-error The function refuses a timeout that is null.
    rolecall.create_client_role({ statement_timeout: null }),
    // @ts-expect-error A password is required, if only as null.
    rolecall.create_user_with_grants({ username: 'x', roles_to_grant: [] }),
    // @ts-expect-error A secret can be missing.
    rolecall.get_secret({ key: 'x' }).then((secret) => secret.length),
    // @ts-expect-error No step is called that.
    rolecall.drift().then((steps) => steps.filter(({ operation }) => operation === 'make_role')),
  ];
  const step: Pick<Step, 'operation' | 'status'> = { operation: 'set_secret', status: 'skipped' };
  assert.ok(calls.length > 0 && step);
});

test('an argument takes null where its type says so, and is refused as null elsewhere', async () => {
  const samples: Readonly<Record<string, string>> = {
    text: "'one'",
    'text[]': "'{public}'",
    integer: '1',
    jsonb: "'{}'",
    timestamptz: "'infinity'",
  };
  await client.query('CREATE ROLE one; CREATE ROLE two');
  for (const spec of (await allSpecs()).filter(({ room }) => room === null)) {
    // Null is false for a flag.
    for (const argument of spec.arguments.filter(({ type, nullable }) => type !== 'boolean' || nullable)) {
      const given = spec.arguments.flatMap(({ name, type, default: value }, index) => {
        if (name === argument.name) return [`${name} => NULL`];
        if (value !== undefined) return [];
        const sample = index === 0 || type !== 'text' ? samples[type] : "'two'";
        return [`${name} => ${name === 'key' ? "'default'" : sample}`];
      });
      await client.query('BEGIN');
      const code = await client.query(`SELECT * FROM rolecall.${spec.name}(${given.join(', ')})`).then(
        () => 'none',
        (error: unknown) => (error as { code: string }).code,
      );
      await client.query('ROLLBACK');
      const expected = argument.nullable ? code !== '22004' : code === '22004';
      assert.ok(expected, `${spec.name}: ${argument.name} as null ends in ${code}`);
    }
  }
  await client.query('DROP ROLE one; DROP ROLE two');
});

test('a client and a pool of node-postgres can be given', () => {
  // Types alone: this fails to compile where it does not hold.
  const given: ((client: Client, pool: Pool) => Queryable)[] = [(one) => one, (_, pool) => pool];
  assert.equal(given.length, 2);
});

test('a server answers with steps, values and errors', async () => {
  const rolecall = new Rolecall(client);
  const name = 'O\'Hara "x" %s';
  await client.query('BEGIN');
  await client.query('CREATE ROLE "O\'Hara ""x"" %s"');
  const steps = await rolecall.set_password({ username: name, password: 'secret', valid_until: 'infinity' });
  assert.deepEqual([...new Set(steps.map(({ status }) => status))], ['applied']);
  assert.ok(steps.some(({ operation, target }) => operation === 'set_password' && target === name));
  assert.deepEqual(Object.keys(steps[0] ?? {}), ['operation', 'target', 'statement', 'status', 'sqlstate', 'note']);

  assert.match(await rolecall.generate_password(), /^[A-Za-z0-9]{24}$/);
  assert.match(await rolecall.scram_sha_256({ password: 'x', iterations: 4096 }), /^SCRAM-SHA-256\$4096:/);
  await assert.rejects(rolecall.set_password({ username: '', password: 'x' }), (error) =>
    isCondition(error, 'invalid_name'),
  );
  await client.query('ROLLBACK');
});
