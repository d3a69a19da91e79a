/**
 * Puts the tables of a full run of `make bench` into docs/benchmarks.md, between the two marks there. Arguments: the JSON
 * files of runs with ONLY, made one after the other on one machine; by default that of the last run.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { root } from '../support/cluster.ts';
import type { Row } from './measure.ts';
import { markdown } from './table.ts';

interface Results {
  size: string;
  machine: Record<string, string | number>;
  rows: (Row & { benchmark: string })[];
}

const page = join(root, 'docs/benchmarks.md');
const [begin, end] = ['<!-- results -->\n', '<!-- end of results -->\n'];

const files = process.argv.length > 2 ? process.argv.slice(2) : [join(root, 'tests/bench/results.json')];
const runs = files.map((file) => JSON.parse(fs.readFileSync(file, 'utf8')) as Results);
if (runs.some(({ size }) => size !== 'full')) throw new Error('a run was a small one');
const machines = [...new Set(runs.map(({ machine }) => Object.entries(machine).flat().join(' ')))];
if (machines.length !== 1) throw new Error(`the runs were made on different machines: ${machines.join('; ')}`);

const tables = new Map<string, Row[]>();
for (const { benchmark, ...row } of runs.flatMap(({ rows }) => rows)) {
  tables.set(benchmark, [...(tables.get(benchmark) ?? []), row]);
}
const parts = [...tables].map(([name, rows]) => `### ${name}\n\n${markdown(rows)}`);
const machine = Object.entries(runs[0]?.machine ?? {}).map((entry) => entry.join(' '));

const [before, rest = ''] = fs.readFileSync(page, 'utf8').split(begin);
const [, after] = rest.split(end);
if (after === undefined) throw new Error(`${page} has no marks`);
fs.writeFileSync(page, [before, begin, `Measured on: ${machine.join(', ')}.\n`, ...parts, end + after].join('\n'));
execFileSync('npx', ['prettier', '--write', page], { cwd: root, stdio: 'inherit' });
