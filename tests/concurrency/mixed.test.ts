/** The mixed load of tests/support/mixed.ts for moments; `make stress` runs it for minutes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { mixedLoad, mixedSettings } from '../support/mixed.ts';

test('a mixed load, in which no call fails but by what was done to it', async () => {
  const cluster = await startCluster({ settings: mixedSettings });
  const { calls, failures } = await mixedLoad({ cluster, seed: 12, connections: 12, rounds: 2, secondsPerRound: 2 });
  await cluster.stop();
  assert.deepEqual(Object.fromEntries(failures), {});
  assert.ok(calls > 0);
});
