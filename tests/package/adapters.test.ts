/**
 * The client through each of the libraries that it has an adapter for: the same calls, values, nulls, arrays, times and
 * errors, and a transaction that is rolled back.
 */
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { inspect } from 'node:util';
import { PGlite } from '@electric-sql/pglite';
import { sql } from 'drizzle-orm';
import { drizzle as drizzleNodePostgres } from 'drizzle-orm/node-postgres';
import { drizzle as drizzlePostgresJs } from 'drizzle-orm/postgres-js';
import knexOf from 'knex';
import { CompiledQuery, Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import postgres from 'postgres';
import { Sequelize } from 'sequelize';
import { DataSource } from 'typeorm';
import {
  fromDrizzle,
  fromKnex,
  fromKysely,
  fromPostgresJs,
  fromPrisma,
  fromSequelize,
  fromTypeOrm,
  isCondition,
  Rolecall,
  type Queryable,
} from '../../package/index.ts';
import { password, startCluster } from '../support/cluster.ts';

const cluster = await startCluster();
const database = await cluster.createDatabase();
const login = { host: cluster.host, port: cluster.port, user: 'postgres', password, database };
const url = `postgres://postgres:${password}@${cluster.host}:${cluster.port}/${database}`;
const closing: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const close of closing) await close();
  await cluster.stop();
});

const undone = new Error('undone');

/**
 * Makes the same calls in a transaction, which `inTransaction` rolls back when it throws. `leak` is where an error of
 * the library has the password of the call, as docs/security.md says.
 */
function same(
  name: string,
  leak: 'message' | 'field' | 'none',
  inTransaction: (calls: (queryable: Queryable) => Promise<never>) => Promise<unknown>,
): void {
  test(name, async () => {
    const calls = async (queryable: Queryable): Promise<never> => {
      const rolecall = new Rolecall(queryable);
      const made = await rolecall.create_base_roles({ administrator: null });
      assert.deepEqual([...new Set(made.map(({ status }) => status))], ['applied']);
      const user = { username: `o'hara "${name}" $1 ?`, password: null, roles_to_grant: ['authenticated'] };
      const steps = await rolecall.create_user_with_grants(user);
      assert.deepEqual(
        steps.map(({ operation, target, sqlstate }) => [operation, target, sqlstate]),
        [
          ['create_role', user.username, null],
          ['grant_role', user.username, null],
        ],
      );
      assert.deepEqual(await rolecall.create_user_with_grants(user), []);
      const until = new Date('2031-02-03T04:05:06Z');
      await rolecall.set_password({ username: user.username, password: 'a $2 ? secret', valid_until: until });
      const { rows } = await queryable.query(
        'SELECT rolvaliduntil = $1::timestamptz AS kept FROM pg_roles WHERE rolname = $2',
        [until.toISOString(), user.username],
      );
      assert.deepEqual(rows, [{ kept: true }]);
      const schemas = ['public', 'a "b", {c}'];
      const reporting = { role_name: 'reports', schemas, withheld_tables: [], rotate_after: '1 day' };
      const provisioned = await rolecall.provision_reporting_role(reporting);
      assert.ok(provisioned.some(({ operation, target }) => operation === 'create_schema' && target === schemas[1]));
      assert.equal(await rolecall.get_secret({ key: 'none' }), null);
      assert.equal(await rolecall.role_name({ key: 'default' }), 'anonymous');
      const error: unknown = await rolecall
        .create_user({ username: '', password: 'told' })
        .catch((thrown: unknown) => thrown);
      assert.ok(isCondition(error, 'invalid_name'));
      assert.ok(!isCondition(error, 'reserved_name'));
      assert.ok(error instanceof Error);
      const found = error.message.includes('told') ? 'message' : inspect(error).includes('told') ? 'field' : 'none';
      assert.equal(found, leak);
      throw undone;
    };
    const thrown: unknown = await inTransaction(calls).catch((error: unknown) => error);
    assert.equal(thrown, undone);
    const client = await cluster.connect({ database });
    const { rows } = await client.query("SELECT FROM pg_roles WHERE rolname = 'anonymous'");
    await client.end();
    assert.equal(rows.length, 0);
  });
}

same('node-postgres', 'none', async (calls) => {
  const client = new pg.Client(login);
  await client.connect();
  await client.query('BEGIN');
  await calls(client).finally(() => client.end());
});

same('postgres.js', 'none', async (calls) => {
  const connection = postgres(url, { onnotice: () => undefined });
  closing.push(() => connection.end());
  await connection.begin((transaction) => calls(fromPostgresJs(transaction)));
});

same('Drizzle over node-postgres', 'message', async (calls) => {
  const pool = new pg.Pool(login);
  closing.push(() => pool.end());
  await drizzleNodePostgres(pool).transaction((transaction) => calls(fromDrizzle(transaction, sql)));
});

same('Drizzle over postgres.js', 'message', async (calls) => {
  const connection = postgres(url, { onnotice: () => undefined });
  closing.push(() => connection.end());
  await drizzlePostgresJs(connection).transaction((transaction) => calls(fromDrizzle(transaction, sql)));
});

same('Kysely', 'none', async (calls) => {
  const kysely = new Kysely<object>({ dialect: new PostgresDialect({ pool: new pg.Pool(login) }) });
  closing.push(() => kysely.destroy());
  await kysely.transaction().execute((transaction) => calls(fromKysely(transaction, CompiledQuery)));
});

same('Knex', 'none', async (calls) => {
  const knex = knexOf({ client: 'pg', connection: login });
  closing.push(() => knex.destroy());
  await knex.transaction((transaction) => calls(fromKnex(transaction)));
});

same('TypeORM', 'field', async (calls) => {
  const source = await new DataSource({ type: 'postgres', url }).initialize();
  closing.push(() => source.destroy());
  await source.transaction((manager) => calls(fromTypeOrm(manager)));
});

same('Sequelize', 'field', async (calls) => {
  const sequelize = new Sequelize(url, { logging: false });
  closing.push(() => sequelize.close());
  await sequelize.transaction((transaction) => calls(fromSequelize(sequelize, { transaction })));
});

// Prisma's engine cannot be had from npm, so this is its call: the signature, the rows and the shape of its errors.
same('a stand-in of Prisma', 'none', async (calls) => {
  const client = new pg.Client(login);
  await client.connect();
  await client.query('BEGIN');
  const prisma = {
    async $queryRawUnsafe<Result = unknown>(text: string, ...values: unknown[]): Promise<Result> {
      const { rows } = await client.query(text, values).catch((error: { code: string; message: string }) => {
        const { code, message } = error;
        throw Object.assign(new Error(`Raw query failed. Code: \`${code}\`. Message: \`${message}\``), {
          name: 'PrismaClientKnownRequestError',
          code: 'P2010',
          meta: { code, message },
        });
      });
      return rows as Result;
    },
  };
  await calls(fromPrisma(prisma)).finally(() => client.end());
});

test('PGlite, and what all of them can be given, have the right types', () => {
  // Types alone: this fails to compile where it does not hold.
  const given: ((pglite: PGlite, transaction: Parameters<Parameters<PGlite['transaction']>[0]>[0]) => Queryable)[] = [
    (one) => one,
    (_, one) => one,
  ];
  assert.equal(given.length, 2);
});
