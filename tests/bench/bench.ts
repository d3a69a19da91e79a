/**
 * Measures rolecall against the bare statements and against what else people use: `make bench`, see
 * docs/benchmarks.md. Environment: PG (one major version), ONLY (part of a benchmark's name), RESULTS (the JSON file),
 * SIZE=small for a run of some seconds that shows no more than that every benchmark works.
 */
import * as fs from 'node:fs';
import { cpus, totalmem, type } from 'node:os';
import { join, relative } from 'node:path';
import pg from 'pg';
import { root, startCluster, versions } from '../support/cluster.ts';
import { firstCalls, functions } from './first-calls.ts';
import { hashing } from './hashing.ts';
import { inPglite } from './in-pglite.ts';
import { installing } from './installing.ts';
import { manySchemas } from './many-schemas.ts';
import { manyUsers } from './many-users.ts';
import type { Bench, Row } from './measure.ts';
import { contention } from './contention.ts';
import { others, policyOfOthers } from './others.ts';
import { policies } from './policies.ts';
import { provisioning } from './provisioning.ts';
import { seeing } from './seeing.ts';
import { scale } from './scale.ts';
import { subtransactions } from './subtransactions.ts';
import { heading, line } from './table.ts';
import { tidy } from './tidy.ts';
import { users } from './users.ts';

const benchmarks: Record<string, (bench: Bench) => Promise<void>> = {
  users,
  first: firstCalls,
  functions,
  pglite: inPglite,
  provisioning,
  policies,
  schemas: manySchemas,
  contention,
  seeing,
  hashing,
  installing,
  many: manyUsers,
  subtransactions,
  scale,
};

/** What needs more than this repository installs. */
const onRequest: typeof benchmarks = { others, 'others-policy': policyOfOthers };

async function main(): Promise<void> {
  const size = one('SIZE', ['full', 'small']);
  const version = Number(one('PG', versions().map(String).reverse()));
  const only = process.env.ONLY ?? '';
  const chosen = Object.entries(only in onRequest ? onRequest : benchmarks).filter(([name]) => name.includes(only));
  if (chosen.length === 0) {
    const [names, more] = [benchmarks, onRequest].map((group) => Object.keys(group).join(', '));
    throw new Error(`ONLY=${only}: no benchmark; there are ${names}\nand on request: ${more}`);
  }

  const started = Date.now();
  const cluster = await startCluster({ version, settings: { max_connections: 120, max_locks_per_transaction: 256 } });
  const admin = await cluster.connect();
  const machine = {
    system: type(),
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GB`,
    node: process.versions.node,
    postgresql: (await admin.query<{ server_version: string }>('SHOW server_version')).rows[0]?.server_version,
  };
  const described = Object.entries(machine).map((entry) => entry.join(' '));
  console.log(described.join(', '));
  console.log(
    'processor time of the server; medians, with the middle half of the samples in brackets; ratios round by round\n',
  );

  const rows: (Row & { benchmark: string })[] = [];
  for (const [name, benchmark] of chosen) {
    console.log(heading(name));
    await benchmark({
      cluster,
      pick: (full, small) => (size === 'full' ? full : small),
      report: (...more) => {
        rows.push(...more.map((row) => ({ benchmark: name, ...row })));
        console.log(more.map(line).join('\n'));
      },
    });
    console.log();
    await tidy(admin);
  }
  await admin.end();
  await cluster.stop();

  const file = process.env.RESULTS || join(root, 'tests/bench/results.json');
  fs.writeFileSync(file, `${JSON.stringify({ size, machine, rows }, undefined, 2)}\n`);
  console.log(`in ${((Date.now() - started) / 1000).toFixed(0)} s; also in ${relative(process.cwd(), file)}`);
}

/** A variable of the environment that is one of these; the first where it is not set. */
function one(variable: string, values: readonly string[]): string {
  const value = process.env[variable] || values[0];
  if (value !== undefined && values.includes(value)) return value;
  throw new Error(`${variable}=${value}: it can be ${values.join(', ')}`);
}

try {
  await main();
} catch (error) {
  // Of an error from the server, also what it says beyond its message.
  console.error(error instanceof pg.DatabaseError ? error : error instanceof Error ? error.message : error);
  process.exit(1); // Connections that are still open would keep it waiting.
}
