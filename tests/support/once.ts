/** What is created once for all files of a run. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { FunctionSpec } from '../../generator/model/inspect.ts';
import { root, runDirectory, until } from './cluster.ts';

/** The path of a file or folder that the first caller creates, while the others wait. */
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

/** The specs of all functions, as `inspect()` of the generator reads them, which takes seconds. */
export async function allSpecs(): Promise<FunctionSpec[]> {
  const file = await madeOnce('specs.json', async (path) => {
    const { inspect } = await import('../../generator/model/inspect.ts');
    fs.writeFileSync(path, JSON.stringify(await inspect(root.replace(/\/$/, ''))));
  });
  return JSON.parse(fs.readFileSync(file, 'utf8')) as FunctionSpec[];
}
