/** Calls through PgBouncer in transaction mode, where each transaction may get another connection of the server. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { after } from 'node:test';
import pg from 'pg';
import { Rolecall } from '../../package/index.ts';
import { asServant, makeDirectory, password, startCluster, until } from '../support/cluster.ts';

const path = `${process.env.PATH}:/usr/sbin`;
const skip =
  spawnSync('pgbouncer', ['--version'], { env: { PATH: path } }).status !== 0 && 'there is no PgBouncer here';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('many callers through a pool of three connections, each call in a transaction of its own', { skip }, async () => {
  const cluster = await startCluster();
  after(() => cluster.stop());
  const database = await cluster.createDatabase();
  const folder = makeDirectory();
  const port = await freePort();
  const target = `host=${cluster.host} port=${cluster.port} dbname=${database} user=postgres password=${password}`;
  const settings = `[databases]\napp = ${target} pool_size=3\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}
auth_type = any\npool_mode = transaction\nunix_socket_dir =\nlogfile = ${join(folder, 'log')}
ignore_startup_parameters = extra_float_digits\n`;
  fs.writeFileSync(join(folder, 'ini'), settings);
  const pooler = spawn('pgbouncer', [join(folder, 'ini')], { ...asServant, env: { PATH: path }, stdio: 'ignore' });
  after(() => pooler.kill());
  const login = { host: '127.0.0.1', port, database: 'app', user: 'anybody', password: 'x' };
  const connect = async () => {
    const client = new pg.Client(login);
    await client.connect();
    return client;
  };
  await until('PgBouncer', () =>
    connect()
      .then((client) => client.end())
      .then(
        () => true,
        () => false,
      ),
  );

  const clients = await Promise.all(Array.from({ length: 16 }, connect));
  const backends = new Set<unknown>();
  await Promise.all(
    clients.map(async (client, index) => {
      const rolecall = new Rolecall(client);
      await rolecall.create_base_roles();
      await rolecall.create_user({ username: 'shared', password: 'secret', use_locks: true });
      await rolecall.create_user({ username: `user ${index}`, password: 'secret' });
      await rolecall.provision_reporting_role({ role_name: 'reports', schemas: ['public'] });
      assert.match(await rolecall.reporting_role_password({ role_name: 'reports' }), /^[0-9a-f]{64}$/);
      await rolecall.remove_user({ username: `user ${index}` });
      backends.add((await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid);
    }),
  );
  assert.ok(backends.size <= 3);
  const [client] = clients;
  assert.ok(client);
  assert.deepEqual(await new Rolecall(client).drift(), []);
  assert.equal((await client.query("SELECT FROM pg_roles WHERE rolname LIKE 'user %'")).rowCount, 0);
  // Nothing of a call is left in the connection for the next one who gets it.
  for (let round = 0; round < 6; round++) {
    const session: { rows: unknown[] } = await client.query(
      "SELECT current_setting('search_path') AS path, current_user AS name",
    );
    assert.deepEqual(session.rows, [{ path: '"$user", public', name: 'postgres' }]);
  }
  await Promise.all(clients.map((each) => each.end()));
});
