/** Every statement in the pages runs, and every session with psql prints what the page says. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { blocks, pages, preparedFor, read, rerun, rewritten } from './pages.ts';

for (const path of pages) {
  test(`the SQL of ${path}`, async (t) => {
    const cluster = await preparedFor(path);
    t.after(() => cluster.stop());
    const was = new Map(blocks(read(path)).map(({ line, text }) => [line, text]));
    for (const [line, now] of await rerun(path, cluster)) {
      assert.equal(now, was.get(line), `${path}:${line}: "make docs" writes what is printed now`);
    }
  });
}

test('the blocks of a page are found, with their languages and lines, and can be rewritten', () => {
  const page = 'text\n\n```sql\nSELECT 1;\n```\n\n```\napp=# SELECT 2;\n```\n';
  assert.deepEqual(blocks(page), [
    { language: 'sql', text: 'SELECT 1;', line: 4 },
    { language: '', text: 'app=# SELECT 2;', line: 8 },
  ]);
  assert.equal(rewritten(page, new Map([[4, 'SELECT 3;']])), page.replace('SELECT 1', 'SELECT 3'));
});
