/** A quick run of every benchmark, so that none of them rots. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { makeDirectory, root } from './cluster.ts';

interface Results {
  size: string;
  rows: { benchmark: string; what: string; ours: { median: number }; theirs?: { median: number } }[];
}

function bench(more: NodeJS.ProcessEnv): { status: number | null; output: string; results?: Results } {
  const file = join(makeDirectory(), 'results.json');
  // The variables of the make that runs this would come before the environment's.
  const environment = { ...process.env, ONLY: '', SIZE: 'small', RESULTS: file, MAKEFLAGS: '', ...more };
  const { status, stdout, stderr } = spawnSync('make', ['bench'], { cwd: root, env: environment, encoding: 'utf8' });
  const results = fs.existsSync(file) ? (JSON.parse(fs.readFileSync(file, 'utf8')) as Results) : undefined;
  return { status, output: stdout + stderr, ...(results && { results }) };
}

const wrong = bench({ ONLY: 'no such benchmark' });

test('every benchmark runs and gives figures', () => {
  assert.notEqual(wrong.status, 0);
  const names = /no benchmark; there are (.*)/.exec(wrong.output)?.[1]?.split(', ') ?? [];
  assert.ok(names.length > 1, wrong.output);

  const { status, output, results } = bench({});
  assert.equal(status, 0, output);
  assert.equal(results?.size, 'small');
  assert.deepEqual([...new Set(results?.rows.map(({ benchmark }) => benchmark))], names);
  for (const { what, ours, theirs } of results?.rows ?? []) {
    assert.ok(output.includes(what), what);
    for (const figure of [ours, theirs ?? ours]) assert.ok(figure.median >= 0, `${what}: ${figure.median}`);
  }
});

test('the page has the results of every benchmark, of a full run', () => {
  const list = (before: string) => new RegExp(`${before} (.*)`).exec(wrong.output)?.[1]?.split(', ') ?? [];
  const page = fs.readFileSync(join(root, 'docs/benchmarks.md'), 'utf8');
  const tables = new Set([...page.matchAll(/^### (\S+)$/gm)].map(([, name]) => name));
  const onRequest = list('on request:').filter((name) => tables.has(name));
  assert.deepEqual([...tables].toSorted(), [...list('there are'), ...onRequest].toSorted());
});
