/** What is made once for all files of a run. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { runDirectory, until } from './cluster.ts';

/** The path of a file or folder that whoever asks first makes there, and the others wait for. */
export async function madeOnce(name: string, make: (path: string) => unknown): Promise<string> {
  const path = join(runDirectory(), name);
  try {
    fs.mkdirSync(`${path}.turn`);
  } catch {
    await until(`${name} to be made`, () => fs.existsSync(`${path}.done`));
    return path;
  }
  try {
    await make(path);
  } finally {
    fs.writeFileSync(`${path}.done`, ''); // Also where that failed: the others do not wait for ever.
  }
  return path;
}

interface PgliteInstance {
  dumpDataDir(compression: 'none'): Promise<Blob>;
  close(): Promise<void>;
}

/**
 * An archive of a data directory that PGlite has just made, for its `loadDataDir`: to make one is an initdb in
 * WebAssembly, which takes six times as long as to unpack one.
 */
export const emptyPglite = (PGlite: { create(): Promise<PgliteInstance> }): Promise<string> =>
  madeOnce('pglite.tar', async (path) => {
    const pglite = await PGlite.create();
    fs.writeFileSync(path, Buffer.from(await (await pglite.dumpDataDir('none')).arrayBuffer()));
    await pglite.close();
  });
