/**
 * After a restore, sessions in several databases bring the same cluster's roles back at the same moment.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { startCluster, type Cluster } from '../support/cluster.ts';

const databases = ['one', 'two'];
let cluster: Cluster;
const clients: Client[] = [];

before(async () => {
  cluster = await startCluster();
  for (const database of databases) await cluster.createDatabase(database);
  for (let index = 0; index < 12; index++) {
    clients.push(await cluster.connect({ database: databases[index % databases.length] ?? '' }));
  }
  for (const client of clients.slice(0, databases.length)) {
    await client.query(`SELECT * FROM rolecall.create_base_roles();
      SELECT * FROM rolecall.create_client_role();
      SELECT count(*) FROM generate_series(1, 20) AS i, rolecall.create_user('user_' || i);
      SELECT * FROM rolecall.grant_role('administrator', 'user_1', true);
      SELECT * FROM rolecall.provision_reporting_roles()`);
  }
});

after(async () => {
  await Promise.all(clients.map((client) => client.end()));
  await cluster.stop();
});

async function lose(): Promise<void> {
  const roles = await clients[0]?.query<{ name: string }>(
    `SELECT quote_ident(rolname) AS name FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'postgres'`,
  );
  const names = (roles?.rows ?? []).map(({ name }) => name).join(', ');
  for (const client of clients.slice(0, databases.length)) await client.query(`DROP OWNED BY ${names}`);
  await clients[0]?.query(`DROP ROLE ${names}`);
}

for (const isolation of ['READ COMMITTED', 'REPEATABLE READ']) {
  test(`converge() everywhere at once, ${isolation}`, async () => {
    await lose();
    const failures: string[] = [];
    await Promise.all(
      clients.map(async (client) => {
        try {
          await client.query(`BEGIN ISOLATION LEVEL ${isolation}; SELECT * FROM rolecall.converge(); COMMIT`);
        } catch (error) {
          failures.push(`${(error as { code?: string }).code} ${(error as Error).message}`);
          await client.query('ROLLBACK');
        }
      }),
    );
    assert.deepEqual(failures, []);
    for (const client of clients) {
      assert.deepEqual((await client.query('SELECT * FROM rolecall.drift()')).rows, []);
    }
  });
}
