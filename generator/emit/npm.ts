/**
 * dist/npm/package.json: the manifest of the published package. The package.json of the repository stays private.
 */
import { readFileSync } from 'node:fs';
import { product } from '../model/product.ts';

const repository = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly license: string;
  readonly engines: object;
};

const entry = (path: string): object => ({ types: `./lib/${path}.d.ts`, default: `./lib/${path}.js` });

export function npmManifest(): string {
  const manifest = {
    name: product.name,
    version: product.version,
    description: product.abstract,
    license: repository.license,
    keywords: ['postgres', 'postgresql', 'pglite', 'roles', 'users', 'privileges', 'migrations'],
    type: 'module',
    engines: repository.engines,
    sideEffects: false,
    bin: { [product.name]: './cli/main.js' },
    exports: {
      '.': entry('package/index'),
      './pglite': entry('package/pglite'),
      './package.json': './package.json',
      './policy.schema.json': './policy.schema.json',
      './rolecall.tar.gz': './rolecall.tar.gz',
      './rolecall.sql': './lib/extension/rolecall.sql',
      './rolecall-uninstall.sql': './lib/extension/rolecall-uninstall.sql',
    },
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
