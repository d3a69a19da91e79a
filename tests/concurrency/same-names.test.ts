/**
 * Many connections, spread over several databases of one cluster, ask for the same roles at the same moment: every
 * call succeeds, the state asked for holds, and comments on the roles survive.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { startCluster, type Cluster } from '../support/cluster.ts';

const connections = 24;
const rounds = 3;
const verifier =
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=';

let cluster: Cluster;
let clients: Client[];
let admin: Client;

before(async () => {
  cluster = await startCluster({ settings: { max_connections: '120' } });
  const databases: string[] = [];
  for (let i = 0; i < 4; i++) databases.push(await cluster.createDatabase());
  clients = await Promise.all(
    Array.from({ length: connections }, (_, i) => cluster.connect({ database: databases[i % databases.length] ?? '' })),
  );
  admin = await cluster.connect({ database: databases[0] ?? '' });
});

after(async () => {
  await Promise.all([admin, ...clients].map((client) => client.end()));
  await cluster.stop();
});

/** The call on every connection at once; what failed, by SQLSTATE and message. */
async function everywhere(isolation: string, call: string): Promise<string[]> {
  const failures: string[] = [];
  await Promise.all(
    clients.map(async (client) => {
      try {
        await client.query(`BEGIN ISOLATION LEVEL ${isolation}`);
        await client.query(call);
        await client.query('COMMIT');
      } catch (error) {
        failures.push(`${(error as { code?: string }).code}: ${(error as Error).message}`);
        await client.query('ROLLBACK');
      }
    }),
  );
  return failures;
}

async function memberships(member: string): Promise<string[]> {
  const { rows } = await admin.query<{ name: string }>(
    'SELECT roleid::regrole::text AS name FROM pg_auth_members WHERE member = to_regrole($1) ORDER BY 1',
    [member],
  );
  return rows.map((row) => row.name);
}

for (const isolation of ['READ COMMITTED', 'REPEATABLE READ']) {
  const prefix = isolation === 'READ COMMITTED' ? 'rc' : 'rr';

  test(`base roles, ${isolation}`, async () => {
    for (let round = 0; round < rounds; round++) {
      const names = ['anonymous', 'authenticated', 'administrator'].map((name) => `${prefix}_${name}_${round}`);
      const call = `SELECT * FROM rolecall.create_base_roles(${names.map((name) => `'${name}'`).join(', ')})`;
      assert.deepEqual(await everywhere(isolation, call), []);
      const { rows } = await admin.query(
        'SELECT rolname, rolbypassrls FROM pg_roles WHERE rolname = ANY ($1) ORDER BY 1',
        [names],
      );
      assert.deepEqual(
        rows.map((row: { rolbypassrls: boolean }) => row.rolbypassrls),
        [true, false, false],
      );
    }
  });

  test(`users and their memberships, ${isolation}`, async () => {
    for (let round = 0; round < rounds; round++) {
      assert.deepEqual(await everywhere(isolation, 'SELECT * FROM rolecall.create_base_roles()'), []);
      const name = `${prefix}_user_${round}`;
      assert.deepEqual(await everywhere(isolation, `SELECT * FROM rolecall.create_user('${name}', '${verifier}')`), []);
      const anonymous = `${prefix}_anonymous_${rounds - 1}`;
      const authenticated = `${prefix}_authenticated_${rounds - 1}`;
      assert.deepEqual(await memberships(name), [anonymous, authenticated].sort());
      await admin.query(`COMMENT ON ROLE ${name} IS 'round ${round}'`);
      const grant = `SELECT * FROM rolecall.grant_role('${prefix}_administrator_0', '${name}', true)`;
      assert.deepEqual(await everywhere(isolation, grant), []);
      assert.equal((await memberships(name)).length, 3);
      const revoke = `SELECT * FROM rolecall.revoke_role('${prefix}_administrator_0', '${name}')`;
      assert.deepEqual(await everywhere(isolation, revoke), []);
      assert.equal((await memberships(name)).length, 2);
      const { rows } = await admin.query(`SELECT shobj_description($1::regrole, 'pg_authid') AS comment`, [name]);
      assert.deepEqual(rows, [{ comment: `round ${round}` }]);
    }
  });

  test(`passwords and reporting roles, ${isolation}`, async () => {
    await admin.query(`SELECT * FROM rolecall.create_user('${prefix}_password')`);
    const password = `SELECT * FROM rolecall.set_password('${prefix}_password', '${verifier}')`;
    assert.deepEqual(await everywhere(isolation, password), []);
    // Only a run that needs a secret made after its snapshot may be told to try again.
    const failures = await everywhere(isolation, 'SELECT * FROM rolecall.provision_reporting_roles()');
    assert.deepEqual(
      isolation === 'READ COMMITTED' ? failures : failures.filter((one) => !one.startsWith('40001')),
      [],
    );
    assert.deepEqual(await everywhere(isolation, 'SELECT * FROM rolecall.provision_reporting_roles()'), []);
  });
}

test('a comment that is being changed while a call waits survives', async () => {
  await admin.query(`SELECT * FROM rolecall.create_user('commented')`);
  await admin.query(`COMMENT ON ROLE commented IS 'old'`);
  await admin.query('BEGIN');
  await admin.query(`COMMENT ON ROLE commented IS 'new'`);
  const waiting = everywhere('READ COMMITTED', `SELECT * FROM rolecall.set_password('commented', '${verifier}')`);
  const { rows: started } = await admin.query('SELECT pg_sleep(0.3)');
  assert.equal(started.length, 1);
  await admin.query('COMMIT');
  assert.deepEqual(await waiting, []);
  const { rows } = await admin.query(`SELECT shobj_description('commented'::regrole, 'pg_authid') AS comment`);
  assert.deepEqual(rows, [{ comment: 'new' }]);
});
