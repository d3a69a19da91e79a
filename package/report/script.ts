/**
 * The script of the page. The package contains it compressed, see generator/emit/bundle.ts.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

export const readScript = (): string =>
  gunzipSync(readFileSync(new URL('./report.js.gz', import.meta.url))).toString('utf8');
