/** The pages that people read: their links lead somewhere, and README.md knows every function. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { read } from '../docs/pages.ts';
import { root } from '../support/cluster.ts';
import { allSpecs } from '../support/once.ts';

const files = ['.', 'docs', 'tests'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name)),
);

/** The anchors that GitHub makes of a page's headings. */
const anchors = (page: string): string[] =>
  [...page.replace(/^```.*?^```$/gms, '').matchAll(/^#+ (.*)$/gm)].map(({ 1: heading = '' }) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

for (const file of files) {
  test(`the links of ${file}`, () => {
    for (const { 1: link = '' } of read(file).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : join(dirname(file), path);
      assert.ok(existsSync(join(root, target)), `${link}: there is no such file`);
      if (anchor === undefined) continue;
      assert.ok(statSync(join(root, target)).isFile() && anchors(read(target)).includes(anchor), `${link}: no heading`);
    }
  });
}

test('README.md has every public function in its table, with a link to the reference', async () => {
  const specs = (await allSpecs()).filter(({ room }) => room === null);
  const rows = [...read('README.md').matchAll(/^\| \[`(\w+)`\]\(docs\/reference\.md#(\w+)\) +\| \S/gm)];
  for (const [, name, anchor] of rows) assert.equal(anchor, name);
  assert.deepEqual(rows.map(([, name]) => name).sort(), specs.map(({ name }) => name).sort());
});
