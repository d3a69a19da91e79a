/**
 * What the product is called and which version it is: the one place that says so.
 */
import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly name: string;
  readonly version: string;
  readonly description: string;
};

export const product = {
  name: manifest.name,
  version: manifest.version,
  abstract: manifest.description,
  /** Major versions of PostgreSQL that every release is tested on. */
  servers: [14, 15, 16, 17, 18],
} as const;
