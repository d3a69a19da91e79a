/**
 * `make stress`: the races of tests/concurrency in a large size, and how fast they are; then a mixed load; then the
 * random tests, with a seed of their own.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { mixedLoad, mixedSettings } from './support/mixed.ts';
import { openArena, callers, isolations, race, scenarios } from './support/race.ts';
import { root, startCluster, versions } from './support/cluster.ts';

const number = (name: string, otherwise: number) => Number(process.env[name] || otherwise);
const connections = number('CONNECTIONS', 48);
const databaseCount = number('DATABASES', 4);
const rounds = number('ROUNDS', 20);
/** How long the mixed load takes for each version, and the seed of its choices. */
const minutes = number('MINUTES', 5);
const seed = number('SEED', Math.floor(Math.random() * 1e6));
const documents = number('DOCUMENTS', 2000);
const asked = (process.env.PG ?? '')
  .split(/[\s,]+/)
  .filter(Boolean)
  .map(Number);
const only = process.env.ONLY ?? '';

let failed = 0;

async function mixed(version: number): Promise<void> {
  const what = `PostgreSQL ${version}  mixed`;
  if (!what.includes(only)) return;
  const cluster = await startCluster({ version, settings: mixedSettings });
  const secondsPerRound = 15;
  const load = { cluster, seed, secondsPerRound, rounds: Math.ceil((minutes * 60) / secondsPerRound) };
  try {
    const { calls, kinds, expected, failures } = await mixedLoad({ ...load, connections: Math.min(connections, 24) });
    const counts = [...expected].map(([code, count]) => `${count} x ${code}`);
    console.log(
      `${what}  seed ${seed}  ${calls} calls of ${kinds.size} kinds  as by what was done to them: ${counts.join('; ')}`,
    );
    for (const [failure, count] of failures) {
      failed += count;
      console.log(`    ${count} x ${failure}`);
    }
  } catch (error) {
    failed++;
    console.log(`${what}  seed ${seed}  ${error instanceof Error ? error.message : String(error)}`);
  }
  await cluster.stop();
}

/** A random test of `make test`, which draws something new here; of policies as many as DOCUMENTS says. */
function drawn(version: number, path: string): void {
  const what = `PostgreSQL ${version}  ${path}`;
  if (!what.includes(only)) return;
  const file = join(root, 'tests', path);
  const compiler = join(root, 'tests/support/typescript.mjs');
  const environment = { ...process.env, PG: String(version), DOCUMENTS: String(documents), SEED: String(seed) };
  const { status, stdout } = spawnSync(process.execPath, ['--import', compiler, '--test-force-exit', file], {
    env: environment,
    encoding: 'utf8',
  });
  if (status !== 0) failed++;
  console.log(`${what}  seed ${seed}  ${status === 0 ? 'no failure' : stdout}`);
}

for (const version of asked.length > 0 ? asked : versions()) {
  const cluster = await startCluster({ version, settings: { max_connections: connections + 20 } });
  for (const caller of callers) {
    const arena = await openArena(cluster, caller, connections, databaseCount);
    for (const isolation of isolations) {
      for (const scenario of scenarios) {
        const what = [`PostgreSQL ${version}`, caller.padEnd(9), isolation.padEnd(15), scenario.name].join('  ');
        if (!what.includes(only)) continue;
        try {
          const { calls, seconds, failures, expected } = await race(arena, scenario, isolation, rounds);
          const counts = [...failures].map(([code, count]) => `${count} x ${code}`);
          for (const [, count] of failures) failed += count;
          const rate = `${String(Math.round(calls / seconds)).padStart(5)} calls/s`;
          console.log(
            `${what.padEnd(110)} ${calls} calls  ${rate}  ${expected ? `${expected} as by contract  ` : ''}${counts.join('; ') || 'no failure'}`,
          );
        } catch (error) {
          failed++;
          console.log(`${what.padEnd(110)} ${error instanceof Error ? error.message : String(error)}`);
        }
      }
    }
    await arena.close();
  }
  await cluster.stop();
  await mixed(version);
  for (const path of ['policy/round-trip.test.ts', 'policy/who-can.test.ts', 'security/hostile.test.ts'])
    drawn(version, path);
}
console.log(failed === 0 ? 'no failure' : `${failed} failures`);
process.exitCode = failed === 0 ? 0 : 1;
