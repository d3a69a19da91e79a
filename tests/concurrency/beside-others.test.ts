/**
 * Other people's statements on the same roles and tables, which take no lock that ours would wait for: each of our
 * calls succeeds all the same. (Theirs may fail; that is what a lock is for.)
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client, DatabaseError } from 'pg';
import { startCluster, type Cluster } from '../support/cluster.ts';
import { verifier } from '../support/race.ts';

const rounds = 3;

/** What is done to the roles of the calls below, over and over. */
const theirs = [
  ['GRANT shared_group TO shared_user', 'REVOKE shared_group FROM shared_user'],
  ['REVOKE shared_anonymous FROM shared_user', 'GRANT shared_anonymous TO shared_user'],
  ['ALTER ROLE shared_anonymous LOGIN', 'ALTER ROLE shared_user PASSWORD NULL', 'ALTER ROLE shared_client CREATEDB'],
  [`ALTER ROLE shared_client SET statement_timeout = '1s'`, 'ALTER ROLE shared_report RESET search_path'],
  [`COMMENT ON ROLE shared_user IS 'theirs'`, `COMMENT ON ROLE shared_client IS NULL`],
  ['REVOKE SELECT ON shared_table FROM shared_report', 'GRANT INSERT ON shared_table TO shared_report'],
  [
    'ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON TABLES FROM shared_report',
    'ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO shared_report',
    'REVOKE USAGE ON SCHEMA public FROM shared_report',
  ],
  [
    'VACUUM pg_authid, pg_auth_members, pg_db_role_setting, pg_shdescription, shared_table',
    'ANALYZE shared_table',
    'VACUUM FREEZE pg_class, pg_namespace, pg_default_acl, rolecall_internal.resource, rolecall_internal.secret',
  ],
];

const ours = [
  `SELECT * FROM rolecall.create_base_roles('shared_anonymous', 'shared_authenticated', 'shared_administrator')`,
  `SELECT * FROM rolecall.create_user('shared_user')`,
  `SELECT * FROM rolecall.create_client_role('shared_client')`,
  `SELECT * FROM rolecall.grant_role('shared_group', 'shared_user', true)`,
  `SELECT * FROM rolecall.revoke_role('shared_group', 'shared_user')`,
  `SELECT * FROM rolecall.set_password('shared_user', '${verifier}')`,
  `SELECT * FROM rolecall.provision_reporting_role('shared_report', '{public}')`,
];

let cluster: Cluster;
let databases: string[];
before(async () => {
  cluster = await startCluster({
    settings: {
      autovacuum: true,
      autovacuum_naptime: 1,
      autovacuum_vacuum_threshold: 1,
      autovacuum_analyze_threshold: 1,
    },
  });
  databases = [await cluster.createDatabase(), await cluster.createDatabase()];
  for (const database of databases) {
    const admin = await cluster.connect({ database });
    await admin.query('CREATE TABLE shared_table ()');
    if (database === databases[0]) await admin.query('CREATE ROLE shared_group');
    for (const call of ours.filter((text) => database === databases[0] || !text.includes('report'))) {
      await admin.query(call);
    }
    await admin.end();
  }
});
after(() => cluster.stop());

for (const isolation of ['READ COMMITTED', 'REPEATABLE READ']) {
  test(`beside unguarded statements, ${isolation}`, async () => {
    const running = { ours: true };
    let done = 0;
    const others = theirs.map(async (statements, index) => {
      const client = await cluster.connect({ database: databases[0] ?? '' });
      for (let i = index; running.ours; i++) {
        await client.query(statements[i % statements.length] ?? '').catch(() => undefined);
        done++;
      }
      await client.end();
    });
    const failures: string[] = [];
    let calls = 0;
    const callOn = async (client: Client, text: string) => {
      try {
        await client.query(`BEGIN ISOLATION LEVEL ${isolation}; SELECT FROM pg_roles`);
        await client.query(text);
        await client.query('COMMIT');
      } catch (error) {
        failures.push(`${(error as DatabaseError).code}: ${(error as Error).message} (${text})`);
        await client.query('ROLLBACK');
      }
      calls++;
    };
    await Promise.all(
      ours.map(async (_, index) => {
        // A reporting role belongs to one database; the other calls come from both.
        const client = await cluster.connect({ database: databases[index % 2] ?? '' });
        const mine = ours.filter((text) => index % 2 === 0 || !text.includes('report'));
        for (let round = 0; round < rounds; round++) {
          for (let i = 0; i < mine.length; i++) await callOn(client, mine[(i + index) % mine.length] ?? '');
        }
        await client.end();
      }),
    );
    running.ours = false;
    await Promise.all(others);
    assert.deepEqual(failures, []);
    assert.ok(calls >= rounds * ours.length * (ours.length - 1));
    assert.ok(done > calls / 2, `${done} statements of others beside ${calls} calls`);
  });
}
