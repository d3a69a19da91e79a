/**
 * The typed client: the calls that it makes, and the same calls answered by a server with the extension.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client, Pool } from 'pg';
import { isCondition, Rolecall, sqlstates, type Queryable } from '../../extension/client/rolecall.ts';
import { sqlstates as model } from '../../generator/model/sqlstates.ts';
import { startCluster, type Cluster } from '../support/cluster.ts';

let cluster: Cluster;
let client: Client;

before(async () => {
  cluster = await startCluster();
  client = await cluster.connect({ database: await cluster.createDatabase() });
});
after(async () => {
  await client.end();
  await cluster.stop();
});

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
  await rolecall.create_base_roles({ anonymous: null });
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
