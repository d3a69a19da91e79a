/**
 * Databases as others have made them, taken over by a policy: what inspect() says of them has no steps, and makes the
 * same in another cluster, which has the objects but none of the roles. The schemas are those of graphile-worker,
 * pg-boss, node-pg-migrate and @pgpm/database-jobs, of the demo, what @pgpmjs/core makes of roles, and a shop that
 * this file writes.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import * as worker from 'graphile-worker';
import { runner } from 'node-pg-migrate';
import type { Client } from 'pg';
import PgBoss from 'pg-boss';
import { type Cluster, password, root, startCluster } from '../support/cluster.ts';
import { type Application, makeApplication } from './application.ts';

const cluster = await startCluster();
after(() => cluster.stop());

const text = async (client: Client, expression: string, values: unknown[] = []): Promise<string> =>
  (await client.query<{ text: string }>(`SELECT (${expression})::text AS text`, values)).rows[0]?.text ?? '';

/** What inspect() and policy() give are policies without problems and steps, and the same again. */
async function hasNoSteps(client: Client): Promise<string> {
  const inspected = await text(client, 'rolecall.inspect()');
  const suggested = await text(client, 'rolecall.inspect(suggest_profiles => true)');
  for (const policy of [inspected, suggested, await text(client, 'rolecall.policy()')]) {
    assert.deepEqual((await client.query('SELECT * FROM rolecall.check_policy($1)', [policy])).rows, []);
    for (const mode of ['adopt', 'additive'])
      assert.deepEqual((await client.query('SELECT statement FROM rolecall.apply($1, $2)', [policy, mode])).rows, []);
  }
  assert.equal(await text(client, 'rolecall.inspect()'), inspected);
  assert.deepEqual((await client.query('SELECT * FROM rolecall.apply(rolecall.policy())')).rows, []);
  assert.deepEqual((await client.query('SELECT * FROM rolecall.drift()')).rows, []);
  return inspected;
}

/** Makes the objects of a database, and nothing else. */
type Load = (client: Client, cluster: Cluster) => Promise<unknown>;

/**
 * What inspect() gives, applied where nothing but the objects is, which belong to a superuser there, is what inspect()
 * gives there too, to the byte. Neither who owns an object nor a password is in it.
 */
async function makesTheSame(policy: string, database: string, load: Load): Promise<void> {
  const other = await startCluster();
  try {
    const client = await other.connect({ database: await other.createDatabase(database) });
    await load(client, other);
    const steps = (await client.query<{ status: string }>('SELECT * FROM rolecall.apply($1)', [policy])).rows;
    assert.deepEqual(
      steps.filter(({ status }) => status !== 'applied'),
      [],
    );
    assert.equal(await text(client, 'rolecall.inspect()'), policy);
    assert.deepEqual((await client.query('SELECT * FROM rolecall.drift()')).rows, []);
    await client.end();
  } finally {
    await other.stop();
  }
}

/** Grants of every kind by hand, on what is in the schemas; a part of the tables gets another owner. */
const grants = (schemas: readonly string[]) => `
  DO $do$
  DECLARE
    v_role text;
    v_object record;
    v_number integer := 0;
  BEGIN
    FOREACH v_role IN ARRAY '{own_a,own_b,"By hand",reads,writes}'::text[] LOOP
      IF to_regrole(quote_ident(v_role)) IS NULL THEN EXECUTE format('CREATE ROLE %I', v_role); END IF;
    END LOOP;
    GRANT reads TO writes WITH ADMIN OPTION;
    ALTER ROLE "By hand" LOGIN NOINHERIT CONNECTION LIMIT 3 VALID UNTIL '2031-05-01 12:00+02';
    ALTER ROLE "By hand" SET search_path = "$user", "a b", public;
    EXECUTE format('ALTER ROLE "By hand" IN DATABASE %I SET work_mem = ''7MB''', current_database());
    EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO reads WITH GRANT OPTION', current_database());
    GRANT reads TO "By hand";
    FOR v_object IN SELECT n.oid, n.nspname FROM pg_namespace AS n WHERE n.nspname = ANY (${`'{${schemas.join()}}'`}) LOOP
      EXECUTE format('GRANT USAGE ON SCHEMA %I TO reads, writes; GRANT CREATE, USAGE ON SCHEMA %1$I TO own_a, own_b', v_object.nspname);
      EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO reads', v_object.nspname);
      EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO writes', v_object.nspname);
      EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE own_a IN SCHEMA %I GRANT SELECT ON TABLES TO reads', v_object.nspname);
      EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE own_b IN SCHEMA %I GRANT USAGE ON TYPES TO "By hand" WITH GRANT OPTION', v_object.nspname);
    END LOOP;
    ALTER DEFAULT PRIVILEGES FOR ROLE own_a REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
    FOR v_object IN
      SELECT c.oid::regclass AS name, c.relkind, (
               SELECT quote_ident(a.attname) FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LIMIT 1
             ) AS column_name
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname = ANY (${`'{${schemas.join()}}'`}) AND c.relkind IN ('r', 'v') AND NOT c.relispartition ORDER BY 1
    LOOP
      v_number := v_number + 1;
      EXECUTE format('GRANT %s ON %s TO writes', (ARRAY['INSERT', 'UPDATE, DELETE', 'ALL'])[1 + v_number % 3], v_object.name);
      IF v_number % 3 = 0 AND v_object.relkind = 'r' THEN EXECUTE format('ALTER TABLE %s OWNER TO own_a', v_object.name); END IF;
      IF v_number % 3 = 1 THEN EXECUTE format('GRANT SELECT (%s), REFERENCES (%1$s) ON %s TO "By hand" WITH GRANT OPTION', v_object.column_name, v_object.name); END IF;
      IF v_number % 4 = 2 THEN EXECUTE format('GRANT SELECT ON %s TO PUBLIC', v_object.name); END IF;
    END LOOP;
    FOR v_object IN
      SELECT p.oid::regprocedure AS name, row_number() OVER (ORDER BY p.oid) AS number
      FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
      WHERE n.nspname = ANY (${`'{${schemas.join()}}'`}) AND p.prokind = 'f' ORDER BY 1
    LOOP
      IF v_object.number % 2 = 0 THEN EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', v_object.name); END IF;
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', v_object.name, (ARRAY['reads', 'writes WITH GRANT OPTION'])[1 + v_object.number % 2]);
    END LOOP;
    FOR v_object IN
      SELECT c.oid::regclass AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname = ANY (${`'{${schemas.join()}}'`}) AND c.relkind = 'S' ORDER BY 1 LIMIT 1
    LOOP
      EXECUTE format('GRANT SELECT, UPDATE ON SEQUENCE %s TO "By hand" WITH GRANT OPTION', v_object.name);
    END LOOP;
    FOR v_object IN
      SELECT t.oid::regtype AS name FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
      LEFT JOIN pg_class AS c ON c.oid = t.typrelid
      WHERE n.nspname = ANY (${`'{${schemas.join()}}'`}) AND (t.typtype IN ('e', 'd') OR c.relkind = 'c')
    LOOP
      EXECUTE format('REVOKE USAGE ON TYPE %s FROM PUBLIC; GRANT USAGE ON TYPE %1$s TO reads', v_object.name);
    END LOOP;
    REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
    GRANT USAGE ON LANGUAGE plpgsql TO reads, writes;
    GRANT CREATE ON TABLESPACE pg_default TO writes;
    IF current_setting('server_version_num')::integer >= 150000 THEN
      EXECUTE 'GRANT SET ON PARAMETER log_statement TO reads';
    END IF;
  END
  $do$`;

test('an empty cluster', async () => {
  const client = await cluster.connect({ database: await cluster.createDatabase() });
  const policy = await hasNoSteps(client);
  assert.deepEqual(Object.keys(JSON.parse(policy) as object), ['privileges']); // PUBLIC's, as initdb creates them.
  await makesTheSame(policy, String(client.database), async () => {});
  await client.end();
});

test('the roles of @pgpmjs/core', async () => {
  const client = await cluster.connect({ database: await cluster.createDatabase() });
  // What generateCreateBaseRolesSQL(), generateCreateUserSQL(), generateCreateTestUsersSQL() and
  // generateCreateUserWithGrantsSQL() run, without their EXCEPTION blocks.
  await client.query(`
    CREATE ROLE anonymous; CREATE ROLE authenticated; CREATE ROLE administrator;
    ALTER USER anonymous WITH NOCREATEDB NOSUPERUSER NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS;
    ALTER USER authenticated WITH NOCREATEDB NOSUPERUSER NOCREATEROLE NOLOGIN NOREPLICATION NOBYPASSRLS;
    ALTER USER administrator WITH NOCREATEDB NOSUPERUSER NOCREATEROLE NOLOGIN NOREPLICATION BYPASSRLS;
    CREATE ROLE core_user LOGIN PASSWORD 'password'; GRANT anonymous TO core_user; GRANT authenticated TO core_user;
    CREATE ROLE app_user LOGIN PASSWORD 'app_password'; GRANT anonymous TO app_user; GRANT authenticated TO app_user;
    CREATE ROLE app_admin LOGIN PASSWORD 'admin_password';
    GRANT anonymous TO app_admin; GRANT authenticated TO app_admin; GRANT administrator TO app_admin`);
  const policy = await hasNoSteps(client);
  const { roles } = JSON.parse(policy) as { roles: Record<string, unknown> };
  await makesTheSame(policy, String(client.database), async () => {});
  assert.deepEqual(roles.app_admin, { login: true, member_of: ['administrator', 'anonymous', 'authenticated'] });
  await client.end();
});

/** Packages that create a schema, as the login that they are given. */
const packages: Readonly<Record<string, { schema: string; load(login: Application['login']): Promise<unknown> }>> = {
  'graphile-worker': {
    schema: 'graphile_worker',
    load: ({ user, password, host, port, database }) =>
      worker.runMigrations({
        connectionString: `postgresql://${user}:${password}@${host}:${port}/${database}`,
        noHandleSignals: true,
        logger: new worker.Logger(() => () => undefined),
      }),
  },
  'pg-boss': {
    schema: 'pgboss',
    load: async (login) => {
      const boss = new PgBoss({ ...login, schedule: false, supervise: false });
      await boss.start();
      await boss.createQueue('letters');
      await boss.stop({ graceful: false, wait: true });
    },
  },
  'node-pg-migrate': {
    schema: 'public',
    load: (login) =>
      runner({
        databaseUrl: login,
        dir: [join(import.meta.dirname, 'tables', '*.sql')],
        useGlob: true,
        direction: 'up',
        count: Infinity,
        migrationsTable: 'migrations',
        log: () => undefined,
      }),
  },
};

for (const [name, { schema, load }] of Object.entries(packages))
  test(name, async () => {
    const { admin, login, end } = await makeApplication(cluster, 'superuser', `p_${name.replaceAll('-', '_')}`, schema);
    if (schema !== 'public') await admin.query(`CREATE SCHEMA ${schema} AUTHORIZATION ${login.user}`);
    await load(login);
    await admin.query(grants([schema]));
    await makesTheSame(await hasNoSteps(admin), login.database, async (client, { host, port }) => {
      if (schema !== 'public') await client.query(`CREATE SCHEMA ${schema}`);
      await load({ host, port, database: login.database, user: 'postgres', password });
    });
    await end();
  });

test('@pgpm/database-jobs', async () => {
  const folder = dirname(createRequire(import.meta.url).resolve('@pgpm/database-jobs/package.json'));
  const [file = ''] = readdirSync(join(folder, 'sql'));
  const script = readFileSync(join(folder, 'sql', file), 'utf8').replace(/^\\echo.*$/m, '');
  const load: Load = (client) => client.query(`CREATE EXTENSION pgcrypto SCHEMA public; ${script}`);
  const client = await cluster.connect({ database: await cluster.createDatabase('jobs') });
  // It grants the administrator of the base roles what it makes.
  await client.query('SELECT FROM rolecall.create_base_roles()');
  await load(client, cluster);
  await client.query(grants(['app_jobs']));
  const policy = await hasNoSteps(client);
  await makesTheSame(policy, 'jobs', async (there, other) => {
    await there.query('CREATE ROLE administrator');
    await load(there, other);
    await there.query('DROP OWNED BY administrator; DROP ROLE administrator');
  });
  await client.end();
});

test('the demo', async () => {
  const client = await cluster.connect({ database: await cluster.createDatabase('clinic') });
  const folder = join(root, 'tests/demo/migrations');
  const load = async (client: Client) => {
    for (const file of readdirSync(folder).sort()) await client.query(readFileSync(join(folder, file), 'utf8'));
  };
  await load(client);
  const policy = await hasNoSteps(client);
  const graph = await text(
    client,
    `rolecall.role_graph(roles => '{clinic_admin,clinic_app,clinic_owner,clinic_raw,clinic_reporting}')`,
  );
  assert.ok(readFileSync(join(root, 'README.md'), 'utf8').includes(`\`\`\`mermaid\n${graph}\n\`\`\``), graph);
  await client.end();
  await makesTheSame(policy, 'clinic', async (there) => {
    await load(there);
    // One by one: the server cannot drop default privileges for several at once that are about several of them (XX000).
    await there.query(`DROP EXTENSION rolecall;
      DO $$
      DECLARE
        v_role text;
      BEGIN
        FOR v_role IN SELECT quote_ident(rolname) FROM pg_roles WHERE oid >= 16384 LOOP
          EXECUTE format('REASSIGN OWNED BY %s TO postgres; DROP OWNED BY %1$s; DROP ROLE %1$s', v_role);
        END LOOP;
      END $$;
      CREATE EXTENSION rolecall`);
  });
});

/** The objects of the shop, without owners and grants. */
const shop = `
  CREATE SCHEMA sales; CREATE SCHEMA "Stock room";
  CREATE TABLE sales.customer (id integer PRIMARY KEY, name text, "Tax no" text);
  CREATE TABLE sales.invoice (id serial, customer integer, total numeric, made date) PARTITION BY RANGE (made);
  CREATE TABLE sales.invoice_2026 PARTITION OF sales.invoice FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
  CREATE VIEW sales.totals AS SELECT customer, sum(total) AS total FROM sales.invoice GROUP BY 1;
  CREATE MATERIALIZED VIEW sales.best AS SELECT customer FROM sales.totals;
  CREATE TABLE "Stock room"."Item" (id integer, place point);
  CREATE TABLE "Stock room".shelf (id integer);
  CREATE TYPE "Stock room".size AS ENUM ('S', 'L');
  CREATE DOMAIN sales.positive AS numeric CHECK (VALUE > 0);
  CREATE FUNCTION sales.due(integer, text[] DEFAULT '{}') RETURNS integer LANGUAGE sql AS 'SELECT 1';
  CREATE PROCEDURE sales.close(date) LANGUAGE sql AS 'SELECT 1';
  CREATE FOREIGN DATA WRAPPER w; CREATE SERVER "Remote" FOREIGN DATA WRAPPER w;
  SELECT lo_create(991)`;

test('a shop of several owners, with grants of every kind', async () => {
  const client = await cluster.connect({ database: await cluster.createDatabase('shop') });
  await client.query(shop);
  await client.query(grants(['sales', 'Stock room']));
  await client.query(`
    ALTER SCHEMA sales OWNER TO own_a; ALTER TABLE "Stock room"."Item" OWNER TO own_b; ALTER FUNCTION sales.due(integer, text[]) OWNER TO own_b;
    GRANT USAGE ON TYPE "Stock room".size TO reads; REVOKE USAGE ON TYPE sales.positive FROM PUBLIC; GRANT USAGE ON DOMAIN sales.positive TO writes;
    GRANT EXECUTE ON PROCEDURE sales.close(date) TO reads; GRANT USAGE ON FOREIGN DATA WRAPPER w TO own_a WITH GRANT OPTION;
    GRANT USAGE ON FOREIGN SERVER "Remote" TO reads; GRANT SELECT, UPDATE ON LARGE OBJECT 991 TO "By hand";
    REVOKE TEMPORARY ON DATABASE shop FROM PUBLIC; COMMENT ON ROLE own_a IS 'it''s "own"'`);
  const policy = await hasNoSteps(client);
  await client.end();

  await makesTheSame(policy, 'shop', (there) => there.query(shop));
});
