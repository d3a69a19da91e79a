/**
 * From every released version to this one, with all that is in use: the catalogs are those of a fresh installation,
 * what is remembered holds, and calls that were made before are made again with no rows. The last version is made up:
 * it differs from this one in every way that the generator can lead to.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import type { Client } from 'pg';
import { installScript } from '../../generator/emit/extension.ts';
import { sqlFiles } from '../../generator/emit/functions.ts';
import { plainScript } from '../../generator/emit/plain.ts';
import { upgradeScript } from '../../generator/emit/upgrade.ts';
import { executors } from '../../generator/engine/execute/execute.ts';
import { product } from '../../generator/model/product.ts';
import { released } from '../../generator/model/released.ts';
import type { Node } from '../../generator/sql/nodes.ts';
import { print } from '../../generator/sql/print.ts';
import { makeDirectory, root, startCluster } from '../support/cluster.ts';
import { holders, objects } from '../support/objects.ts';
import { allSpecs } from '../support/once.ts';

const present = product.version;
const madeUp = '9.9.9';
const script = (version: string) => fs.readFileSync(join(folder, `rolecall--${version}.sql`), 'utf8');

/** What the made-up version has otherwise. */
function changed(node: Node): Node[] {
  switch (node.name) {
    case 'user_dependencies':
      return [];
    case 'version':
      assert.ok(node.kind === 'function');
      return [
        { ...node, body: `BEGIN\n  RETURN '${madeUp}';\nEND` },
        { ...node, name: 'added', comment: 'Added' },
      ];
    case 'role_name':
      assert.ok(node.kind === 'function');
      return [
        {
          ...node,
          arguments: node.arguments.map((argument) => ({ ...argument, name: 'name_of' })),
          body: node.body.replaceAll('role_name.key', 'role_name.name_of'),
        },
      ];
    case 'drift':
      return [{ ...node, comment: 'What is not as it was asked for' }];
    case 'finding':
      assert.ok(node.kind === 'type');
      return [{ ...node, columns: [...node.columns, { name: 'more', type: 'text', comment: 'added' }] }];
    case 'principal':
      assert.ok(node.kind === 'type');
      return [{ ...node, columns: node.columns.toReversed() }];
    case 'secret': {
      assert.ok(node.kind === 'table');
      const column = { name: 'more', type: 'text', constraint: "NOT NULL DEFAULT 'more'", comment: 'added' };
      return [
        { ...node, columns: [...node.columns, column] },
        { ...node, name: 'added', comment: 'Added', dumped: true, indexes: [{ on: 'value' }] },
      ];
    }
    case 'reporting_role':
      assert.ok(node.kind === 'view');
      return [
        {
          ...node,
          query: `SELECT v.*, 'more' AS more FROM (${node.query}) AS v`,
          columns: [...node.columns, { name: 'more', type: 'text', comment: 'added' }],
        },
      ];
    default:
      return [node];
  }
}

const folder = join(makeDirectory(), 'extension');
fs.cpSync(join(root, 'extension'), folder, { recursive: true });
const next = sqlFiles([...(await allSpecs()), ...executors()]).flatMap(({ path, node }) =>
  changed(node).map((one) => ({ path, node: one, text: print(one) })),
);
fs.writeFileSync(join(folder, `rolecall--${madeUp}.sql`), installScript(next));
fs.writeFileSync(join(folder, `rolecall--${present}--${madeUp}.sql`), upgradeScript(present, script(present), next));
const plainScripts = new Map([
  [present, fs.readFileSync(join(root, 'extension/rolecall.sql'), 'utf8')],
  [madeUp, plainScript(next)],
]);

const cluster = await startCluster({ extension: folder });
after(() => cluster.stop());
const admin = await cluster.connect();
await admin.query("CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'x'; CREATE ROLE op LOGIN CREATEROLE PASSWORD 'x'");

async function database(): Promise<string> {
  const name = await cluster.createDatabase(undefined, 'template1');
  await admin.query(`ALTER DATABASE ${name} OWNER TO owner`);
  return name;
}
const connect = (name: string, user: string) =>
  cluster.connect(user === 'postgres' ? { database: name } : { database: name, user, password: 'x' });

/** The calls of an application, which do nothing when they are made again. */
const calls = (name: string) => `
  SELECT * FROM rolecall.create_base_roles('${name}_anonymous', '${name}_user', '${name}_admin');
  SELECT * FROM rolecall.create_user('${name}_alice');
  SELECT * FROM rolecall.create_client_role('${name}_client', '5s');
  SELECT * FROM rolecall.grant_role('${name}_client', '${name}_alice');
  SELECT * FROM rolecall.provision_reporting_role('${name}_reports', '{mart}', '{token}', rotate_after => NULL);
  SELECT * FROM rolecall.watch_new_tables();
  SELECT * FROM rolecall.add_operator('op')`;

async function use(client: Client, name: string): Promise<void> {
  await client.query('CREATE SCHEMA mart; CREATE TABLE mart.sales (id int); CREATE TABLE mart.token (id int)');
  await client.query(calls(name));
  await client.query("SELECT rolecall.set_secret('kept', 'value')");
}

async function check(
  client: Client,
  name: string,
  from: string,
  version: string,
  reportingPassword: unknown,
): Promise<void> {
  const rows = async (text: string) => (await client.query(text)).rows as Record<string, unknown>[];
  if (from === '0.2.0') {
    // Since then new objects of other kinds are looked at too.
    const renewed = (await rows('SELECT * FROM rolecall.converge()')).map(({ operation }) => operation);
    assert.deepEqual(renewed, ['drop_event_trigger', 'create_event_trigger']);
  }
  assert.deepEqual(await rows('SELECT * FROM rolecall.drift()'), []);
  assert.deepEqual(await rows('SELECT rolecall.version()'), [{ version }]);
  for (const call of calls(name).split(';')) assert.deepEqual(await rows(call), [], call);
  assert.deepEqual(await rows("SELECT rolecall.get_secret('kept') AS value"), [{ value: 'value' }]);
  const password = (await rows(`SELECT rolecall.reporting_role_password('${name}_reports') AS value`))[0]?.value;
  assert.equal(password, reportingPassword);
  await client.query('CREATE TABLE mart.later (id int); DROP TABLE mart.token; CREATE TABLE mart.token (id int)');
  const reader = await cluster.connect({ database: name, user: `${name}_reports`, password: String(password) });
  await reader.query('TABLE mart.sales; TABLE mart.later');
  await assert.rejects(reader.query('TABLE mart.token'), { code: '42501' });
  await reader.end();
  const operator = await connect(name, 'op');
  await operator.query('SELECT rolecall.generate_password(); SELECT * FROM rolecall.drift()');
  await operator.query(`SELECT * FROM rolecall.create_user_with_grants('${name}_bob', NULL, NULL)`);
  await operator.query(`SELECT * FROM rolecall.remove_user('${name}_bob')`);
  await operator.end();
}

const versions = new Set([...Object.keys(released), present]);
const ways = [...versions].map((from) => [from, from === present ? madeUp : present] as const);
for (const [from, to] of ways) {
  test(`ALTER EXTENSION UPDATE from ${from} to ${to}, while others call`, async () => {
    const name = await database();
    const owner = await connect(name, 'owner');
    await owner.query(`CREATE EXTENSION rolecall VERSION '${from}'`);
    const client = await connect(name, 'postgres');
    await use(client, name);
    await client.query(`CREATE ROLE ${name}_granted; GRANT EXECUTE ON FUNCTION rolecall.role_name TO ${name}_granted`);
    const password = await client.query(`SELECT rolecall.reporting_role_password('${name}_reports') AS value`);

    const others = await Promise.all(Array.from({ length: 4 }, () => connect(name, 'postgres')));
    let done = false;
    const calling = others.map(async (other, index) => {
      for (let round = 0; !done; round++)
        await other.query(
          `SELECT * FROM rolecall.create_user_with_grants('${name}_load_${index}_${round}', NULL, NULL)`,
        );
    });
    await owner.query(`ALTER EXTENSION rolecall UPDATE TO '${to}'`);
    done = true;
    await Promise.all(calling);
    for (const other of others) await other.end();

    const fresh = await connect(await database(), 'owner');
    await fresh.query(`CREATE EXTENSION rolecall VERSION '${to}'`);
    assert.deepEqual(await objects(client), await objects(fresh));
    const freshAdmin = await cluster.connect({
      database: (await fresh.query('SELECT current_database()')).rows[0].current_database,
    });
    await freshAdmin.query('SELECT rolecall.add_operator($1)', ['op']);
    await freshAdmin.query('SELECT rolecall.watch_new_tables()');
    await freshAdmin.query(`GRANT EXECUTE ON FUNCTION rolecall.role_name TO ${name}_granted`);
    assert.deepEqual(await holders(client), await holders(freshAdmin));
    await check(client, name, from, to, (password.rows[0] as { value: string }).value);
    for (const each of [owner, client, fresh, freshAdmin]) await each.end();
  });

  test(`the plain script of ${to} over ${from}`, async () => {
    const name = await database();
    const client = await connect(name, 'postgres');
    await client.query(
      script(from)
        .replace(/^\\echo .*$/m, '')
        .replaceAll(/^SELECT pg_catalog\.pg_extension_config_dump.*$/gm, '')
        .replace(/\nDO \$installer\$[^]*$/, ''),
    );
    await use(client, name);
    const password = await client.query(`SELECT rolecall.reporting_role_password('${name}_reports') AS value`);
    await client.query(plainScripts.get(to) ?? '');
    const fresh = await connect(await database(), 'postgres');
    await fresh.query(`CREATE EXTENSION rolecall VERSION '${to}'`);
    assert.deepEqual(await objects(client), await objects(fresh));
    await check(client, name, from, to, (password.rows[0] as { value: string }).value);
    for (const each of [client, fresh]) await each.end();
  });
}
