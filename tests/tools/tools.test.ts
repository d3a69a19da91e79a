/**
 * Migration tools, each with the plain script and with the extension, as a database owner with CREATEROLE: all
 * migrations up, up again, down, where the tool has that, and by two runners at once. docs/migrations.md has a recipe
 * for each.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import test, { after } from 'node:test';
import { promisify } from 'node:util';
import { PgpmMigrate } from '@pgpmjs/core';
import * as graphile from 'graphile-migrate';
import knexOf from 'knex';
import { runner } from 'node-pg-migrate';
import { getConnections } from 'pgsql-test';
import { migrate as postgresMigrations } from 'postgres-migrations';
import { Sequelize } from 'sequelize';
import { DataSource, type QueryRunner } from 'typeorm';
import { SequelizeStorage, Umzug } from 'umzug';
import {
  fromKnex,
  fromSequelize,
  fromTypeOrm,
  install,
  Rolecall,
  type Queryable,
  type Way,
} from '../../package/index.ts';
import { password, root, startCluster } from '../support/cluster.ts';

/** One database, and what its migrations do: the first installs rolecall, the second calls it. */
interface Target {
  readonly via: Way;
  readonly url: string;
  readonly login: { host: string; port: number; user: string; password: string; database: string };
  /** For the files of the tool. */
  readonly folder: string;
  readonly sql: readonly [up: string, down: string][];
}

interface Tool {
  /** Runs what has not run yet. */
  up(target: Target): Promise<unknown>;
  /** Takes all back. */
  down?(target: Target): Promise<unknown>;
  /** Creates the tables of the tool, if two runners that create them at once would fail. */
  begin?(target: Target): Promise<unknown>;
  readonly skip?: string | false;
}

const read = (path: string): string => fs.readFileSync(join(root, path), 'utf8');
const recipe = /```sql\n(DO \$\$[^`]*CREATE EXTENSION[^`]*)```/.exec(read('docs/installation.md'))?.[1] ?? '';
const installation = (via: Way): [string, string] =>
  via === 'plain'
    ? [read('extension/rolecall.sql'), read('extension/rolecall-uninstall.sql')]
    : [recipe, 'DROP EXTENSION rolecall'];

function write(folder: string, files: Record<string, string>): string {
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(dirname(join(folder, name)), { recursive: true });
    fs.writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** The files of a tool are written once, whoever runs it. */
function once(target: Target, files: () => Record<string, string>): string {
  if (fs.readdirSync(target.folder).length === 0) write(target.folder, files());
  return target.folder;
}

const quiet = () => undefined;
const run = promisify(execFile);

/** What a migration in TypeScript does: the install() of the package, by the adapter of the tool. */
const byCode = ({ via, sql }: Target) => [
  {
    up: (database: Queryable) => install(database, { via }),
    down: (database: Queryable) => database.query(sql[0]?.[1] ?? '', []),
  },
  {
    up: (database: Queryable) => database.query(sql[1]?.[0] ?? '', []),
    down: (database: Queryable) => database.query(sql[1]?.[1] ?? '', []),
  },
];

const plan = (project: string) => `%syntax-version=1.0.0
%project=${project}
%uri=${project}

install 2026-01-01T00:00:00Z Ann <ann@example.com>
roles [install] 2026-01-01T00:00:01Z Ann <ann@example.com>
`;
const changes = ({ sql }: Target) =>
  Object.fromEntries(
    ['install', 'roles'].flatMap((name, index) => [
      [`deploy/${name}.sql`, sql[index]?.[0] ?? ''],
      [`revert/${name}.sql`, sql[index]?.[1] ?? ''],
      [`verify/${name}.sql`, 'SELECT 1'],
    ]),
  );

const graphileSettings = ({ url, folder }: Target): graphile.Settings => ({
  connectionString: url,
  shadowConnectionString: `${url}_shadow`,
  rootConnectionString: url.replace(/[^/]*$/, 'postgres'),
  migrationsFolder: join(folder, 'migrations'),
  logger: new graphile.Logger(() => quiet),
});

async function withKnex(target: Target, work: (knex: ReturnType<typeof knexOf>) => Promise<unknown>): Promise<void> {
  const migrations = byCode(target).map(({ up, down }, index) => ({
    name: `${index}`,
    up: (knex: Parameters<typeof fromKnex>[0]) => up(fromKnex(knex)),
    down: (knex: Parameters<typeof fromKnex>[0]) => down(fromKnex(knex)),
  }));
  const knex = knexOf({ client: 'pg', connection: target.url, log: { warn: quiet } });
  const source = {
    getMigrations: () => Promise.resolve(migrations),
    getMigrationName: ({ name }: { name: string }) => name,
    getMigration: (migration: (typeof migrations)[number]) => Promise.resolve(migration),
  };
  knex.client.config.migrations = { migrationSource: source };
  await work(knex).finally(() => knex.destroy());
}

async function withUmzug(target: Target, work: (umzug: Umzug<Sequelize>) => Promise<unknown>): Promise<void> {
  const sequelize = new Sequelize(target.url, { logging: false });
  const umzug = new Umzug({
    migrations: byCode(target).map(({ up, down }, index) => ({
      name: `${index}`,
      up: ({ context }: { context: Sequelize }) => up(fromSequelize(context)),
      down: ({ context }: { context: Sequelize }) => down(fromSequelize(context)),
    })),
    context: sequelize,
    storage: new SequelizeStorage({ sequelize }),
    logger: undefined,
  });
  await work(umzug).finally(() => sequelize.close());
}

async function withTypeOrm(target: Target, work: (source: DataSource) => Promise<unknown>): Promise<void> {
  const migrations = byCode(target).map(
    ({ up, down }, index) =>
      class {
        name = `Migration${1700000000000 + index}`;
        up = (queries: QueryRunner) => up(fromTypeOrm(queries));
        down = (queries: QueryRunner) => down(fromTypeOrm(queries));
      },
  );
  const source = new DataSource({ type: 'postgres', url: target.url, migrations: migrations as never });
  await source.initialize();
  await work(source).finally(() => source.destroy());
}

async function nodePgMigrate(target: Target, direction: 'up' | 'down'): Promise<unknown> {
  const dir = once(target, () =>
    Object.fromEntries(
      target.sql.map(([up, down], index) => [
        `${index + 1}_m.sql`,
        `-- Up Migration\n${up};\n-- Down Migration\n${down};\n`,
      ]),
    ),
  );
  return runner({ databaseUrl: target.login, dir, direction, count: Infinity, migrationsTable: 'done', log: quiet });
}

async function pgpm(target: Target, work: (pgpm: PgpmMigrate) => Promise<unknown>): Promise<unknown> {
  once(target, () => ({ 'pgpm.plan': plan('app'), 'app.control': "default_version = '0.0.1'\n", ...changes(target) }));
  return work(new PgpmMigrate(target.login));
}

async function sqitch(target: Target, ...command: string[]): Promise<unknown> {
  const cwd = once(target, () => ({
    'sqitch.conf': '[core]\n\tengine = pg\n[user]\n\tname = Ann\n\temail = ann@example.com\n',
    'sqitch.plan': plan('app'),
    ...changes(target),
  }));
  const environment = { ...process.env, PGOPTIONS: '-c client_min_messages=error', HOME: cwd };
  return run('sqitch', [...command, target.url.replace(/^postgres/, 'db:pg')], { cwd, env: environment });
}

const bin = join(import.meta.dirname, 'node_modules/.bin');

/** What drizzle-kit has generated, and takes seconds for: migrations to be filled in, the same for every target. */
let generated: string | undefined;

const tools: Readonly<Record<string, Tool>> = {
  'node-pg-migrate': {
    up: (target) => nodePgMigrate(target, 'up'),
    down: (target) => nodePgMigrate(target, 'down'),
  },
  Knex: {
    up: (target) => withKnex(target, (knex) => knex.migrate.latest()),
    down: (target) => withKnex(target, (knex) => knex.migrate.rollback(undefined, true)),
    begin: (target) => withKnex(target, (knex) => knex.migrate.currentVersion()),
  },
  'umzug and Sequelize': {
    up: (target) => withUmzug(target, (umzug) => umzug.up()),
    down: (target) => withUmzug(target, (umzug) => umzug.down({ to: 0 })),
  },
  TypeORM: {
    up: (target) => withTypeOrm(target, (source) => source.runMigrations()),
    down: (target) =>
      withTypeOrm(target, async (source) => {
        await source.undoLastMigration();
        await source.undoLastMigration();
      }),
  },
  'graphile-migrate': {
    async up(target) {
      const settings = graphileSettings(target);
      if (fs.readdirSync(target.folder).length === 0) {
        for (const [up] of target.sql) {
          // In the shadow database, which is created again.
          write(target.folder, { 'migrations/current.sql': up });
          await graphile.commit(settings);
        }
      }
      await graphile.migrate(settings);
    },
  },
  'drizzle-kit': {
    async up(target) {
      const kit = (...command: string[]) => run(join(bin, 'drizzle-kit'), command, { cwd: target.folder });
      if (fs.readdirSync(target.folder).length === 0) {
        const config = {
          dialect: 'postgresql',
          schema: './schema.js',
          out: './drizzle',
          dbCredentials: { url: target.url },
        };
        write(target.folder, {
          'drizzle.config.js': `export default ${JSON.stringify(config)}`,
          'schema.js': '',
          'package.json': '{ "type": "module" }',
        });
        const names = ['install', 'roles'];
        if (generated !== undefined) fs.cpSync(generated, join(target.folder, 'drizzle'), { recursive: true });
        else for (const name of names) await kit('generate', '--custom', `--name=${name}`);
        generated = join(target.folder, 'drizzle');
        for (const [index, name] of names.entries())
          fs.writeFileSync(join(generated, `000${index}_${name}.sql`), target.sql[index]?.[0] ?? '');
      }
      await kit('migrate');
    },
  },
  'postgres-migrations': {
    up: (target) =>
      postgresMigrations(
        target.login,
        once(target, () => Object.fromEntries(target.sql.map(([up], index) => [`${index + 1}_m${index}.sql`, up]))),
      ),
  },
  pgpm: {
    up: (target) => pgpm(target, (migrate) => migrate.deploy({ modulePath: target.folder, usePlan: true })),
    down: (target) => pgpm(target, (migrate) => migrate.revert({ modulePath: target.folder })),
  },
  sqitch: {
    up: (target) => sqitch(target, 'deploy'),
    down: (target) => sqitch(target, 'revert', '-y'),
    skip: spawnSync('sqitch', ['--version']).status !== 0 && 'there is no sqitch here',
  },
};

const cluster = await startCluster();
const admin = await cluster.connect();
await admin.query("CREATE ROLE owner LOGIN CREATEDB CREATEROLE BYPASSRLS PASSWORD 'x'");
// Beside node_modules, so that the configuration of drizzle-kit finds it.
const files = fs.mkdtempSync(join(import.meta.dirname, 'node_modules/.files-'));
after(async () => {
  fs.rmSync(files, { recursive: true });
  await cluster.stop();
});

let databases = 0;
async function prepare(via: Way): Promise<Target> {
  const database = `app_${++databases}`;
  await admin.query(`CREATE DATABASE ${database} OWNER owner`);
  const login = { host: cluster.host, port: cluster.port, user: 'owner', password: 'x', database };
  const calls = `SELECT * FROM rolecall.create_base_roles();
SELECT * FROM rolecall.create_user('${database}_user');
SELECT * FROM rolecall.provision_reporting_role(current_database() || '_reports', ARRAY['reports'])`;
  // From 16 on, DROP OWNED requires the privileges of the role, which its creator does not have.
  const undo = `SELECT * FROM rolecall.grant_role('${database}_reports', current_user);
SELECT * FROM rolecall.remove_user('${database}_reports', drop_owned => true);
SELECT * FROM rolecall.remove_user('${database}_user')`;
  return {
    via,
    url: `postgres://owner:x@${cluster.host}:${cluster.port}/${database}`,
    login,
    folder: fs.mkdtempSync(join(files, 'files-')),
    sql: [installation(via), [calls, undo]],
  };
}

/** Who of the two roles is there, and whether rolecall is. */
async function state({ login }: Target): Promise<string> {
  const client = await cluster.connect({ database: login.database });
  const { rows } = await client.query<{ roles: string; installed: boolean }>(
    `SELECT (SELECT count(*) FROM pg_roles WHERE rolname IN ($1 || '_user', $1 || '_reports')) AS roles,
       to_regproc('rolecall.version') IS NOT NULL AS installed`,
    [login.database],
  );
  await client.end();
  return `${rows[0]?.roles} roles, ${rows[0]?.installed ? 'installed' : 'not installed'}`;
}

for (const [name, { up, down, begin, skip = false }] of Object.entries(tools)) {
  for (const via of ['plain', 'extension'] as const) {
    test(`${name}, ${via}`, { skip }, async () => {
      const target = await prepare(via);
      await up(target);
      assert.equal(await state(target), '2 roles, installed');
      await up(target);
      if (down) {
        await down(target);
        assert.equal(await state(target), '0 roles, not installed');
        await up(target);
        assert.equal(await state(target), '2 roles, installed');
      }

      const shared = await prepare(via);
      await begin?.(shared);
      // Not all tools let a second runner wait; then that one fails, and does no harm.
      const runs = await Promise.allSettled([
        up(shared),
        up({ ...shared, folder: fs.mkdtempSync(join(files, 'files-')) }),
      ]);
      const refused = runs.filter((each) => each.status === 'rejected');
      assert.ok(refused.length < 2, String(refused.map(({ reason }: PromiseRejectedResult) => reason as unknown)));
      await up(shared);
      assert.equal(await state(shared), '2 roles, installed');
    });
  }
}

const superuser = { host: cluster.host, port: cluster.port, user: 'postgres', password };
const noClient = spawnSync('createdb', ['--version']).status !== 0 && 'there is no createdb here';

test("pgsql-test's getConnections() on a database that rolecall has prepared", { skip: noClient }, async () => {
  const { login } = await prepare('extension');
  const owner = await cluster.connect({ database: login.database });
  await install(owner);
  await owner.query(`SELECT rolecall.create_base_roles(); SELECT rolecall.create_test_users();
    CREATE TABLE note (id int); GRANT SELECT ON note TO authenticated`);
  await owner.end();

  const { pg, db, teardown } = await getConnections(
    { pg: { ...superuser, database: 'copied_by_pgsql_test' }, db: { template: login.database } },
    [],
  );
  assert.deepEqual((await pg.query('SELECT * FROM rolecall.drift()')).rows, []);
  assert.deepEqual((await pg.query('SELECT * FROM rolecall.create_test_users()')).rows, []);
  assert.deepEqual((await db.query('SELECT session_user AS login')).rows, [{ login: 'app_user' }]);
  await db.beforeEach();
  await assert.rejects(db.query('TABLE note'), { code: '42501' });
  await db.afterEach();
  db.setContext({ role: 'authenticated' });
  await db.beforeEach();
  assert.deepEqual((await db.query('SELECT current_user AS role, count(*)::int FROM note')).rows, [
    { role: 'authenticated', count: 0 },
  ]);
  await db.afterEach();
  await teardown();
});

test("rolecall's calls on a database that pgsql-test has prepared", { skip: noClient }, async () => {
  const { pg, teardown } = await getConnections({ pg: { ...superuser, database: 'made_by_pgsql_test' }, db: {} }, []);
  assert.equal((await install(pg)).changed, true);
  const rolecall = new Rolecall(pg);
  await rolecall.create_base_roles();
  assert.deepEqual(
    await rolecall.create_user_with_grants({
      username: 'app_user',
      password: 'app_password',
      roles_to_grant: ['anonymous', 'authenticated', 'administrator'],
    }),
    [],
  );
  await rolecall.provision_reporting_role({ role_name: 'pgsql_test_reports', schemas: ['public'] });
  assert.deepEqual(await rolecall.drift(), []);
  await pg.query('DROP OWNED BY pgsql_test_reports; DROP ROLE pgsql_test_reports');
  await teardown();
});
