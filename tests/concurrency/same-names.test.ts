/** The races of tests/support/race.ts in a small size; `make stress` runs them in a large one. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startCluster, type Cluster } from '../support/cluster.ts';
import { callers, isolations, openArena, race, scenarios, verifier, type Arena } from '../support/race.ts';

const connections = 16;

let cluster: Cluster;
before(async () => {
  cluster = await startCluster({ settings: { max_connections: connections + 20 } });
});
after(() => cluster.stop());

for (const caller of callers) {
  describe(`called by ${caller}`, () => {
    let arena: Arena;
    before(async () => {
      arena = await openArena(cluster, caller, connections, 4);
    });
    after(() => arena.close());

    for (const isolation of isolations) {
      for (const scenario of scenarios) {
        test(`${scenario.name}, ${isolation}`, async () => {
          // One round in which the roles are new, one in which they are there before.
          const { calls, failures } = await race(arena, scenario, isolation, 2);
          assert.deepEqual(Object.fromEntries(failures), {});
          assert.equal(calls, 2 * connections);
        });
      }
    }
  });
}

test('a comment that is being changed while a call waits survives', async () => {
  const database = await cluster.createDatabase();
  const admin = await cluster.connect({ database });
  const caller = await cluster.connect({ database });
  await admin.query(`CREATE ROLE commented; COMMENT ON ROLE commented IS 'old'`);
  await admin.query(`BEGIN; COMMENT ON ROLE commented IS 'new'`);
  const waiting = caller.query(`SELECT * FROM rolecall.set_password('commented', '${verifier}')`);
  const { rows: started } = await admin.query('SELECT pg_sleep(0.3)');
  assert.equal(started.length, 1);
  await admin.query('COMMIT');
  await waiting;
  const { rows } = await admin.query(`SELECT shobj_description('commented'::regrole, 'pg_authid') AS comment`);
  assert.deepEqual(rows, [{ comment: 'new' }]);
  await Promise.all([admin.end(), caller.end()]);
});
