/** The races of tests/support/race.ts in a small size; `make stress` runs them in a large one. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startCluster, type Cluster } from '../support/cluster.ts';
import { callers, isolations, openArena, race, scenarios, type Arena } from '../support/race.ts';

/**
 * Two for each database, which make different calls where there are two: some meet in a database and some across.
 * Where a role that another transaction has created is an error, these find it in half of the tests, and where a
 * change of the same row at the same moment is not tried again, in several. `make stress` has more.
 */
const connections = 4;
const databases = 2;

let cluster: Cluster;
before(async () => {
  // What is read is in memory. With the cost of a disk the server reads all roles that the rounds leave behind, again
  // and again, instead of asking an index: half of the time of this file.
  cluster = await startCluster({ settings: { max_connections: connections + 20, random_page_cost: 1.1 } });
});
after(() => cluster.stop());

for (const caller of callers) {
  describe(`called by ${caller}`, () => {
    let arena: Arena;
    before(async () => {
      arena = await openArena(cluster, caller, connections, databases);
    });
    after(() => arena.close());

    for (const isolation of isolations) {
      for (const scenario of scenarios) {
        test(`${scenario.name}, ${isolation}`, async () => {
          // One round in which the roles are new, one in which they are there before.
          const rounds = isolation === 'SERIALIZABLE' ? 1 : 2;
          const { calls, failures } = await race(arena, scenario, isolation, rounds);
          assert.deepEqual(Object.fromEntries(failures), {});
          assert.equal(calls, rounds * connections);
        });
      }
    }
  });
}
