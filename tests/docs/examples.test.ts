/** The examples of docs/reference.md, which are those of the specs: each runs, and has something to show. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { inspect } from '../../generator/model/inspect.ts';
import { root, startCluster } from '../support/cluster.ts';

const specs = (await inspect(root.replace(/\/$/, ''))).filter(({ room }) => room === null);
const examplesOf = (name: string) => specs.find((spec) => spec.name === name)?.examples ?? [];

/** What most examples take for granted: what the examples of other functions have done, or statements. */
const usual = ['create_base_roles', 'create_user'];

/** What others do. */
const before: Readonly<Record<string, readonly string[]>> = {
  audit_role: ['provision_reporting_role'],
  converge: ['create_base_roles', 'create_user', 'DROP ROLE alice'],
  create_base_roles: [],
  create_client_role: ['create_base_roles'],
  create_test_users: ['create_base_roles'],
  create_user: ['create_base_roles'],
  create_user_with_grants: ['create_base_roles'],
  drift: ['create_base_roles', 'create_user', 'DROP ROLE alice'],
  get_secret: ['set_secret'],
  grant_role: ['create_base_roles', 'CREATE ROLE alice'],
  orphans: [
    "CREATE ROLE gone_raw LOGIN; ALTER ROLE gone_raw SET default_transaction_read_only = 'on'",
    'ALTER ROLE gone_raw SET search_path = public',
  ],
  remove_operator: ['CREATE ROLE alice', "SELECT FROM rolecall.add_operator('alice')"],
  reporting_role_password: ['provision_reporting_role'],
  rotate_reporting_secret: ['provision_reporting_role'],
  unlock_user: [...usual, 'lock_user'],
  user_dependencies: ['CREATE ROLE alice', 'CREATE SCHEMA alice AUTHORIZATION alice'],
};

const cluster = await startCluster();
after(() => cluster.stop());
const client = await cluster.connect({ database: await cluster.createDatabase() });

for (const { name, examples } of specs) {
  test(`the example of ${name}`, async (t) => {
    await client.query('BEGIN');
    t.after(() => client.query('ROLLBACK'));
    for (const step of before[name] ?? usual) {
      for (const statement of /^\w+$/.test(step) ? examplesOf(step) : [step]) await client.query(statement);
    }
    for (const example of examples) {
      const { rows } = await client.query<Record<string, unknown>>(example);
      assert.ok(rows.length > 0, 'no row');
      for (const row of rows) {
        assert.notEqual(row.status, 'skipped');
        assert.ok(
          Object.values(row).some((value) => value !== null),
          'a row of nulls',
        );
      }
    }
  });
}
