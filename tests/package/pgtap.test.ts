/**
 * Some of the pgTAP files in PGlite, with the extension that the npm package has for it. TAP is a part of a file's
 * path.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type Extension, PGlite } from '@electric-sql/pglite';
import { pgcrypto } from '@electric-sql/pglite/contrib/pgcrypto';
import { pg_stat_statements } from '@electric-sql/pglite/contrib/pg_stat_statements';
import { extensionArchive } from '../../generator/emit/tar.ts';
import { root } from '../support/cluster.ts';
import { emptyPglite } from '../support/once.ts';
import { helpers, runPgTapFile, someFiles } from '../support/ways.ts';

const folder = mkdtempSync(join(tmpdir(), 'rolecall-pglite-'));
const archive = join(folder, 'rolecall.tar.gz');
writeFileSync(archive, extensionArchive());
const fromArchive = (path: string): Extension => ({
  name: path,
  setup: (_pglite, emscriptenOpts: unknown) => Promise.resolve({ emscriptenOpts, bundlePath: pathToFileURL(path) }),
});
const pgtap = fromArchive(join(root, 'node_modules/@electric-sql/pglite-pgtap/dist/pgtap.tar.gz'));
const pglite = await PGlite.create({
  loadDataDir: new Blob([readFileSync(await emptyPglite(PGlite))]),
  extensions: { rolecall: fromArchive(archive), pgcrypto, pg_stat_statements, pgtap },
});
await pglite.exec(`CREATE EXTENSION rolecall; CREATE EXTENSION pgtap; ${helpers}`);
after(async () => {
  await pglite.close();
  rmSync(folder, { recursive: true });
});

const query = async (text: string): Promise<unknown[]> =>
  (await pglite.exec(text, { rowMode: 'array' })).flatMap(({ rows }) =>
    (rows as unknown as unknown[][]).map(([first]) => first),
  );

for (const file of someFiles) {
  test(`PGlite: ${file}`, async (t) => {
    const roles = () => query('SELECT rolname FROM pg_roles');
    const before = await roles();
    try {
      await runPgTapFile(t, file, query, {});
    } finally {
      await pglite.exec('ROLLBACK');
      await pglite.query('DISCARD ALL');
    }
    assert.deepEqual(await roles(), before);
  });
}
