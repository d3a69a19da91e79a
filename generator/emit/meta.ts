/**
 * META.json: what PGXN and packagers read, by version 1.0.0 of PGXN's meta specification.
 */
import { product } from '../model/product.ts';

export function metaFile(): string {
  const meta = {
    name: product.name,
    abstract: product.abstract,
    version: product.version,
    maintainer: `The ${product.name} authors`,
    license: 'postgresql',
    prereqs: {
      runtime: { requires: { PostgreSQL: `${product.servers[0]}.0.0`, plpgsql: 0 } },
      test: { requires: { pgtap: 0 } },
    },
    provides: {
      [product.name]: {
        abstract: product.abstract,
        file: `extension/${product.name}--${product.version}.sql`,
        docfile: 'docs/reference.md',
        version: product.version,
      },
    },
    // By the rules of semantic versioning nothing below 1.0.0 is stable.
    release_status: product.version.startsWith('0.') ? 'testing' : 'stable',
    tags: ['roles', 'users', 'privileges', 'security', 'administration'],
    generated_by: 'make build',
    'meta-spec': { version: '1.0.0' },
  };
  return `${JSON.stringify(meta, null, 2)}\n`;
}
