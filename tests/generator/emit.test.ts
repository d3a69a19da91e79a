/**
 * META.json by PGXN's meta specification, and the reference page against the specs and the policy.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { metaFile } from '../../generator/emit/meta.ts';
import { referencePage } from '../../generator/emit/reference.ts';
import { operations, type Operation } from '../../generator/model/operations.ts';
import { sqlstates } from '../../generator/model/sqlstates.ts';
import { allSpecs } from '../support/once.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const specs = await allSpecs();
const page = referencePage(specs);

test('META.json has what version 1.0.0 of the specification requires', () => {
  const meta = JSON.parse(metaFile()) as Record<string, unknown>;
  for (const key of ['name', 'version', 'abstract', 'maintainer', 'license', 'provides', 'meta-spec']) {
    assert.ok(meta[key], key);
  }
  assert.equal((meta['meta-spec'] as { version: string }).version, '1.0.0');
  assert.ok(['stable', 'testing', 'unstable'].includes(String(meta.release_status)));
  assert.match(String(meta.version), /^\d+\.\d+\.\d+$/);
  for (const [name, provided] of Object.entries(meta.provides as Record<string, Record<string, string>>)) {
    assert.match(name, /^[a-z_]+$/);
    assert.equal(provided.version, meta.version);
    for (const path of [provided.file, provided.docfile]) assert.ok(existsSync(join(root, path ?? '')), path);
  }
});

test('the reference has a section for each public function, with every argument, error and example', () => {
  const sections = new Map(page.split(/^## /m).map((section) => [section.split('\n')[0], section]));
  for (const spec of specs) {
    const section = sections.get(spec.name);
    assert.equal(section !== undefined, spec.room === null, spec.name);
    if (section === undefined) continue;
    assert.ok(page.includes(`(#${spec.name})`));
    for (const { name, text } of spec.arguments) {
      assert.ok(section.includes(`| \`${name}\` |`) && section.includes(text.replaceAll('|', '\\|')), name);
    }
    for (const { name } of spec.errors) {
      assert.ok(section.includes(`| \`${name}\` | \`${sqlstates[name as keyof typeof sqlstates]}\` |`), name);
    }
    for (const example of spec.examples) assert.ok(section.includes(example));
  }
});

test('every row of a table in the reference has the cells of its head', () => {
  const cells = (line: string): number => line.replaceAll('\\|', '').split('|').length;
  for (const block of page
    .trim()
    .split('\n\n')
    .filter((one) => one.startsWith('| '))) {
    const [head = '', ...rows] = block.split('\n');
    for (const row of rows) assert.equal(cells(row), cells(head), row);
  }
});

test('the reference has a row for each operation, with its hints', () => {
  for (const [name, policy] of Object.entries(operations as Readonly<Record<string, Operation>>)) {
    const row = page.split('\n').find((line) => line.startsWith(`| \`${name}\`: `)) ?? '';
    for (const { condition, hint } of policy.surfaced ?? []) {
      const [first, ...others] = typeof hint === 'string' ? [hint] : [hint.since16, hint.before16];
      assert.ok(row.includes(`\`${condition}\` (${sqlstates[condition]}): ${first}`), `${name}: ${condition}`);
      for (const other of others) assert.ok(row.includes(`Before PostgreSQL 16: ${other}`), `${name}: ${condition}`);
    }
    for (const { note } of policy.ignored ?? []) assert.ok(row.includes(note), name);
  }
});
