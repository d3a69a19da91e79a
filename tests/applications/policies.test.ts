/**
 * Databases as others have made them, taken over by a policy: what inspect() says of them has no steps, and makes the same
 * of roles that are gone. The schemas are those of graphile-worker, pg-boss and node-pg-migrate, of the demo, what
 * @pgpmjs/core makes of roles, and a shop of several owners that this file writes.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as worker from 'graphile-worker';
import { runner } from 'node-pg-migrate';
import type { Client } from 'pg';
import PgBoss from 'pg-boss';
import { root, startCluster } from '../support/cluster.ts';
import { makeApplication } from './application.ts';

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
  END
  $do$`;

test('an empty cluster', async () => {
  const client = await cluster.connect({ database: await cluster.createDatabase() });
  assert.deepEqual(Object.keys(JSON.parse(await hasNoSteps(client)) as object), ['privileges']); // PUBLIC's, as initdb makes them.
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
  const policy = JSON.parse(await hasNoSteps(client)) as { roles: Record<string, unknown> };
  assert.deepEqual(policy.roles.app_admin, { login: true, member_of: ['administrator', 'anonymous', 'authenticated'] });
  await client.end();
});

test('graphile-worker', async () => {
  const { admin, url, login, end } = await makeApplication(cluster, 'superuser', 'p_queue', 'graphile_worker');
  await admin.query(`CREATE SCHEMA graphile_worker AUTHORIZATION ${login.user}`);
  await worker.runMigrations({
    connectionString: url,
    noHandleSignals: true,
    logger: new worker.Logger(() => () => undefined),
  });
  await admin.query(grants(['graphile_worker']));
  await hasNoSteps(admin);
  await end();
});

test('pg-boss', async () => {
  const { admin, url, end } = await makeApplication(cluster, 'superuser', 'p_boss', 'pgboss');
  const boss = new PgBoss({ connectionString: url, schedule: false, supervise: false });
  await boss.start();
  await boss.createQueue('letters');
  await boss.stop({ graceful: false, wait: true });
  await admin.query(grants(['pgboss']));
  await hasNoSteps(admin);
  await end();
});

test('node-pg-migrate', async () => {
  const { admin, login, end } = await makeApplication(cluster, 'superuser', 'p_migrate', 'public');
  await runner({
    databaseUrl: login,
    dir: [join(import.meta.dirname, 'tables', '*.sql')],
    useGlob: true,
    direction: 'up',
    count: Infinity,
    migrationsTable: 'migrations',
    log: () => undefined,
  });
  await admin.query(grants(['public']));
  await hasNoSteps(admin);
  await end();
});

test('the demo', async () => {
  const client = await cluster.connect({ database: await cluster.createDatabase('clinic') });
  const folder = join(root, 'tests/demo/migrations');
  for (const file of readdirSync(folder).sort()) await client.query(readFileSync(join(folder, file), 'utf8'));
  await hasNoSteps(client);
  const graph = await text(
    client,
    `rolecall.role_graph(roles => '{clinic_admin,clinic_app,clinic_owner,clinic_raw,clinic_reporting}')`,
  );
  assert.ok(readFileSync(join(root, 'README.md'), 'utf8').includes(`\`\`\`mermaid\n${graph}\n\`\`\``), graph);
  await client.end();
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

test('a shop of several owners, and back from what inspect() says of it into another cluster', async (t) => {
  const client = await cluster.connect({ database: await cluster.createDatabase('shop') });
  await client.query(shop);
  await client.query(grants(['sales', 'Stock room']));
  await client.query(`
    ALTER SCHEMA sales OWNER TO own_a; ALTER TABLE "Stock room"."Item" OWNER TO own_b; ALTER FUNCTION sales.due(integer, text[]) OWNER TO own_b;
    GRANT USAGE ON TYPE "Stock room".size TO reads; REVOKE USAGE ON TYPE sales.positive FROM PUBLIC; GRANT USAGE ON DOMAIN sales.positive TO writes;
    GRANT EXECUTE ON PROCEDURE sales.close(date) TO reads; GRANT USAGE ON FOREIGN DATA WRAPPER w TO own_a WITH GRANT OPTION;
    GRANT USAGE ON FOREIGN SERVER "Remote" TO reads; GRANT SELECT, UPDATE ON LARGE OBJECT 991 TO "By hand"; REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
    GRANT USAGE ON LANGUAGE plpgsql TO reads, writes; REVOKE TEMPORARY ON DATABASE shop FROM PUBLIC; COMMENT ON ROLE own_a IS 'it''s "own"'`);
  const policy = await hasNoSteps(client);
  await client.end();

  const other = await startCluster();
  t.after(() => other.stop());
  const there = await other.connect({ database: await other.createDatabase('shop') });
  await there.query(shop);
  const steps = (await there.query<{ status: string }>('SELECT * FROM rolecall.apply($1)', [policy])).rows;
  assert.deepEqual(
    steps.filter(({ status }) => status !== 'applied'),
    [],
  );
  assert.equal(await text(there, 'rolecall.inspect()'), policy);
  await hasNoSteps(there);
});
