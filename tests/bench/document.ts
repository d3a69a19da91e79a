/**
 * Puts full runs of `make bench` into docs/benchmarks.md, between the two marks there, and draws docs/benchmarks.svg.
 * Arguments: the JSON files of runs; by default that of the last run. A benchmark that is in none of them stays as
 * docs/benchmarks.json has it.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { root } from '../support/cluster.ts';
import { chart } from './chart.ts';
import type { Row } from './measure.ts';
import { markdown } from './table.ts';

interface Results {
  size: string;
  machine: Record<string, string | number>;
  rows: (Row & { benchmark: string })[];
}

const docs = (name: string) => join(root, 'docs', name);
const read = (file: string) => JSON.parse(fs.readFileSync(file, 'utf8')) as Results;
const [begin, end] = ['<!-- results -->\n', '<!-- end of results -->\n'];

const kept = read(docs('benchmarks.json'));
const files = process.argv.length > 2 ? process.argv.slice(2) : [join(root, 'tests/bench/results.json')];
const tables = new Map<string, Row[]>();
for (const run of [kept, ...files.map(read)]) {
  if (run.size !== 'full') throw new Error('a run was a small one');
  const described = [run, kept].map(({ machine }) => JSON.stringify(machine));
  if (described[0] !== described[1]) throw new Error(`the runs were made on different machines: ${described.join()}`);
  for (const name of new Set(run.rows.map(({ benchmark }) => benchmark))) tables.set(name, []);
  for (const { benchmark, ...row } of run.rows) tables.get(benchmark)?.push(row);
}

const rows = [...tables].flatMap(([benchmark, list]) => list.map((row) => JSON.stringify({ benchmark, ...row })));
const head = JSON.stringify({ ...kept, rows: [] }).slice(0, -2);
fs.writeFileSync(docs('benchmarks.json'), `${head}\n${rows.join(',\n')}\n]}\n`);
fs.writeFileSync(docs('benchmarks.svg'), chart(tables));

const page = docs('benchmarks.md');
const [before, rest = ''] = fs.readFileSync(page, 'utf8').split(begin);
const [, after] = rest.split(end);
if (after === undefined) throw new Error(`${page} has no marks`);
const machine = Object.entries(kept.machine).map((entry) => entry.join(' '));
const parts = [...tables].map(([name, list]) => `### ${name}\n\n${markdown(list)}`);
fs.writeFileSync(page, [before, begin, `Measured on: ${machine.join(', ')}.\n`, ...parts, end + after].join('\n'));
execFileSync('npx', ['prettier', '--write', page], { cwd: root, stdio: 'inherit' });
