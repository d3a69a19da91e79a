/**
 * dist/npm/cli/: the command line and its libraries in one bundle, so that the package has no dependencies. A part
 * that is imported at run time is a file of its own. The licences of the libraries are included.
 */
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import standalone from 'ajv/dist/standalone/index.js';
import { build, type Plugin } from 'esbuild';
import { compressed } from './tar.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const source = join(root, 'package/cli');

/** The package has the library beside the command line, so the bundle imports it from there. */
const library: Plugin = {
  name: 'library',
  setup(building) {
    building.onResolve({ filter: /^(\.\.\/)+\w+\.ts$/ }, ({ path, importer }) => {
      const file = resolve(dirname(importer), path);
      const [, name] = /\/package\/(\w+)\.ts$/.exec(file) ?? [];
      return name === undefined ? undefined : { path: `../lib/package/${name}.js`, external: true };
    });
  },
};

/** The code that the validator generates from the schema of policies; the bundle has it in place of the validator. */
const validator: Plugin = {
  name: 'validator',
  setup(building) {
    building.onLoad({ filter: /\/package\/cli\/validator\.ts$/ }, ({ path }) => {
      const schema = JSON.parse(readFileSync(join(root, 'extension/client/policy.schema.json'), 'utf8')) as object;
      const options = { allErrors: true, verbose: true, strict: false, logger: false } as const;
      const ajv = new Ajv2020({ ...options, code: { source: true, esm: true } });
      ajv.addSchema(schema, 'policy');
      return { contents: standalone.default(ajv, { validate: 'policy' }), loader: 'js', resolveDir: dirname(path) };
    });
  },
};

export async function bundleCommandLine(target: string): Promise<void> {
  const { metafile } = await build({
    entryPoints: [join(source, 'main.ts')],
    outdir: target,
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    chunkNames: '[name]-[hash]',
    plugins: [library, validator],
    // CommonJS libraries load the modules of Node with require().
    banner: {
      js: "import { createRequire as $require } from 'node:module'; const require = $require(import.meta.url);",
    },
    external: ['pg-native'],
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  });
  const page = await reportScript();
  writeFileSync(join(target, 'report.js.gz'), compressed(Buffer.from(page.text)));
  const main = join(target, 'main.js');
  writeFileSync(main, `#!/usr/bin/env node\n${readFileSync(main, 'utf8')}`);
  chmodSync(main, 0o755);
  writeFileSync(join(target, 'LICENSES.txt'), licences([...Object.keys(metafile.inputs), ...page.inputs]));
}

/** The script in the page of "rolecall report", and the files that it is bundled from. */
export async function reportScript(): Promise<{ text: string; inputs: readonly string[] }> {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(root, 'package/report/browser.ts')],
    absWorkingDir: root,
    bundle: true,
    minify: true,
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    write: false,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  });
  return { text: outputFiles[0]?.text ?? '', inputs: Object.keys(metafile.inputs) };
}

/** The licence of each library that a bundle includes. */
function licences(inputs: readonly string[]): string {
  const folders = new Set(inputs.flatMap((path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []));
  const texts = new Map<string, string[]>();
  for (const folder of [...folders].sort()) {
    const manifest = readFileSync(join(root, folder, 'package.json'), 'utf8');
    const { name, version, license } = JSON.parse(manifest) as Record<string, string>;
    const file = readdirSync(join(root, folder)).find((each) => /^licen[cs]e/i.test(each));
    const text = file === undefined ? (license ?? '') : readFileSync(join(root, folder, file), 'utf8').trim();
    texts.set(text, [...(texts.get(text) ?? []), `${name} ${version}`]);
  }
  const parts = [...texts].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`);
  return `The command line has code of these libraries in it.\n\n${parts.join(`\n${'-'.repeat(80)}\n\n`)}`;
}
