/** `make docs`: runs the sessions with psql in the pages again and writes down what they print. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { root } from '../support/cluster.ts';
import { pages, preparedFor, read, rerun, rewritten } from './pages.ts';

for (const path of pages) {
  const cluster = await preparedFor(path);
  const page = read(path);
  const text = rewritten(page, await rerun(path, cluster));
  await cluster.stop();
  if (text === page) continue;
  fs.writeFileSync(join(root, path), text);
  console.log(`${path} written`);
}
