/**
 * `node --import` of this file runs TypeScript, as `--import tsx` does, for test files: what was compiled once is read
 * from then on, and nothing else is set up. Five versions times a hundred files start in half the time.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { createRequire, register } from 'node:module';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  process.setSourceMapsEnabled(true);
  register(import.meta.url); // Which loads this file again, as hooks, in a thread of their own.
}

const cache = fileURLToPath(new URL('../../node_modules/.cache/rolecall/tests/', import.meta.url));

export async function load(url, context, next) {
  const file = new URL(url); // With a query where a module is imported once more.
  if (!file.pathname.endsWith('.ts')) return next(url, context);
  const text = fs.readFileSync(file, 'utf8');
  const compiled = `${cache}${createHash('sha256').update(text).digest('hex')}.js`;
  if (!fs.existsSync(compiled)) {
    const ours = createRequire(import.meta.url);
    const esbuild = createRequire(ours.resolve('tsx'))('esbuild'); // The compiler of tsx.
    const { code } = await esbuild.transform(text, {
      ...{ loader: 'ts', format: 'esm', target: 'node20' },
      // The map names the source by where it is seen from the file that is run, which is the source.
      ...{ sourcefile: basename(fileURLToPath(file)), sourcemap: 'inline', sourcesContent: false },
    });
    fs.mkdirSync(cache, { recursive: true });
    const part = `${compiled}.${process.pid}`;
    fs.writeFileSync(part, code);
    fs.renameSync(part, compiled);
  }
  return { format: 'module', source: fs.readFileSync(compiled), shortCircuit: true };
}
