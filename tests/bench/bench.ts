/**
 * Measures rolecall against the bare statements and against what else people use: `make bench`, see
 * docs/benchmarks.md. Environment: PG (one major version), ONLY (part of a benchmark's name), RESULTS (the JSON file), SIZE=small
 * for a run of some seconds that shows no more than that every benchmark works.
 */
import * as fs from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { join, relative } from 'node:path';
import pg from 'pg';
import { root, startCluster } from '../support/cluster.ts';
import type { Bench, Row, Spread } from './measure.ts';
import { provisioning } from './provisioning.ts';
import { users } from './users.ts';

const benchmarks: Record<string, (bench: Bench) => Promise<void>> = { users, provisioning };
const results = process.env.RESULTS || join(root, 'tests/bench/results.json');

const sizes = ['full', 'small'];
const size = process.env.SIZE || 'full';
if (!sizes.includes(size)) throw new Error(`SIZE=${size}: the sizes are ${sizes.join(' and ')}`);
const chosen = Object.entries(benchmarks).filter(([name]) => name.includes(process.env.ONLY ?? ''));
if (chosen.length === 0)
  throw new Error(`ONLY=${process.env.ONLY}: no benchmark; there are ${Object.keys(benchmarks).join(', ')}`);

const figure = (value: number) =>
  value >= 100 || value === 0 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);

function middle(of: Spread | undefined): string {
  if (of === undefined || Number.isNaN(of.median)) return '';
  return of.low === of.high ? figure(of.median) : `${figure(of.median)} (${figure(of.low)} to ${figure(of.high)})`;
}

function verdict({ ratio, aim = {} }: Row): string {
  const { most = Infinity, least = 0 } = aim;
  if (ratio === undefined || (aim.most ?? aim.least) === undefined) return '';
  const aimed = aim.most === undefined ? `at least ${least}` : `at most ${most}`;
  return ratio.median >= least && ratio.median <= most ? aimed : `${aimed}: missed`;
}

function line(row: Row): string {
  const { what, unit, ours, against = '', theirs, ratio } = row;
  const cells = [what, unit, middle(ours), against, middle(theirs), middle(ratio), verdict(row)];
  return cells
    .map((cell, index) => cell.padEnd(widths[index] ?? 0))
    .join('  ')
    .trimEnd();
}

const widths = [67, 9, 31, 20, 31, 24];
const heading = ['unit', 'rolecall', 'against', '', 'ratio', 'aim'];
const rows: (Row & { benchmark: string })[] = [];
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

/** Every benchmark finds the server as new. */
async function tidy(): Promise<void> {
  const names = async (query: string) => (await admin.query<{ name: string }>(query)).rows.map(({ name }) => name);
  for (const name of await names(
    "SELECT datname AS name FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'",
  ))
    await admin.query(`DROP DATABASE ${pg.escapeIdentifier(name)}`);
  await admin.query(`DO $$
    DECLARE
      v_name text;
    BEGIN
      FOR v_name IN SELECT rolname FROM pg_roles WHERE oid >= 16384 LOOP
        EXECUTE format('DROP ROLE %I', v_name);
        COMMIT;
      END LOOP;
    END $$`);
  for (const name of await names("SELECT relname AS name FROM pg_class WHERE relisshared AND relkind = 'r'"))
    await admin.query(`VACUUM ${name}`);
}

for (const [name, benchmark] of chosen) {
  console.log([name, ...heading].map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  '));
  await benchmark({
    cluster,
    pick: (full, small) => (size === 'full' ? full : small),
    report: (...more) => {
      rows.push(...more.map((row) => ({ benchmark: name, ...row })));
      console.log(more.map(line).join('\n'));
    },
  });
  console.log();
  await tidy();
}
await admin.end();
await cluster.stop();
fs.writeFileSync(results, `${JSON.stringify({ size, machine, rows }, undefined, 2)}\n`);
console.log(`in ${((Date.now() - started) / 1000).toFixed(0)} s; also in ${relative(process.cwd(), results)}`);
