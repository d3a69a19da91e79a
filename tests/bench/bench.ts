/**
 * Measures rolecall against the bare statements and against what else people use: `make bench`, see
 * docs/benchmarks.md. Environment: PG (one major version), ONLY (part of a benchmark's name), RESULTS (the JSON file), SIZE=small
 * for a run of some seconds that shows no more than that every benchmark works.
 */
import * as fs from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { join, relative } from 'node:path';
import { root, startCluster } from '../support/cluster.ts';
import type { Bench, Row, Spread } from './measure.ts';
import { users } from './users.ts';

const benchmarks: Record<string, (bench: Bench) => Promise<void>> = { users };
const results = process.env.RESULTS || join(root, 'tests/bench/results.json');

const sizes = ['full', 'small'];
const size = process.env.SIZE || 'full';
if (!sizes.includes(size)) throw new Error(`SIZE=${size}: the sizes are ${sizes.join(' and ')}`);
const chosen = Object.entries(benchmarks).filter(([name]) => name.includes(process.env.ONLY ?? ''));
if (chosen.length === 0)
  throw new Error(`ONLY=${process.env.ONLY}: no benchmark; there are ${Object.keys(benchmarks).join(', ')}`);

const figure = (value: number) => (Number.isInteger(value) ? value.toLocaleString('en') : value.toPrecision(3));
const middle = ({ median, low, high }: Spread) => `${figure(median)} (${figure(low)} to ${figure(high)})`;

function line({ what, unit, ours, against, theirs, ratio, aim }: Row): string {
  const verdict =
    ratio === undefined || aim === undefined ? '' : ratio.median <= aim ? `at most ${aim}` : `at most ${aim}: missed`;
  const cells = [
    what,
    unit,
    middle(ours),
    against ?? '',
    theirs ? middle(theirs) : '',
    ratio ? middle(ratio) : '',
    verdict,
  ];
  const widths = [52, 8, 24, 22, 24, 24, 0];
  return cells
    .map((cell, index) => cell.padEnd(widths[index] ?? 0))
    .join('  ')
    .trimEnd();
}

const rows: Row[] = [];
const started = Date.now();
const cluster = await startCluster({ settings: { max_connections: 120, max_locks_per_transaction: 256 } });
const admin = await cluster.connect();
const { server_version } = (await admin.query<{ server_version: string }>('SHOW server_version')).rows[0] ?? {};
const machine = {
  system: `${type()} ${release().split('-')[0]}`,
  cores: cpus().length,
  memory: `${Math.round(totalmem() / 2 ** 30)} GB`,
  node: process.versions.node,
  postgresql: server_version,
};
console.log(
  Object.entries(machine)
    .map((entry) => entry.join(' '))
    .join(', '),
);
console.log('medians, with the middle half of the samples in brackets; ratios are ours to theirs, round by round\n');

for (const [name, benchmark] of chosen) {
  console.log(name);
  await benchmark({
    cluster,
    pick: (full, small) => (size === 'full' ? full : small),
    report: (more) => {
      rows.push(...more);
      console.log(more.map(line).join('\n'));
    },
  });
  console.log();
}
await admin.end();
await cluster.stop();
fs.writeFileSync(results, `${JSON.stringify({ size, machine, rows }, undefined, 2)}\n`);
console.log(`in ${((Date.now() - started) / 1000).toFixed(0)} s; also in ${relative(process.cwd(), results)}`);
