/**
 * Builds the npm package in dist/npm/, or in the folder that is the argument: the library compiled from package/, and
 * generated files. It has the extension twice: as the plain script, and in the archive for PGlite.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleCommandLine } from './emit/bundle.ts';
import { npmManifest } from './emit/npm.ts';
import { extensionArchive } from './emit/tar.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = resolve(process.argv[2] ?? join(root, 'dist/npm'));

function files(folder: string, suffix: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(suffix))
    .sort();
}

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });

const compiler = join(root, 'node_modules/typescript/bin/tsc');
const { status } = spawnSync(
  process.execPath,
  [compiler, '-p', join(root, 'package'), '--outDir', join(target, 'lib')],
  {
    stdio: 'inherit',
  },
);
if (status !== 0) process.exit(1);
// The compiler rewrites the import paths of the code, but not those of the types.
for (const name of files(join(target, 'lib'), '.d.ts')) {
  const path = join(target, 'lib', name);
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/((?:from|import\()\s*'\.[^']*)\.ts'/g, "$1.js'"));
}

await bundleCommandLine(join(target, 'cli'));
writeFileSync(join(target, 'rolecall.tar.gz'), extensionArchive());
for (const name of ['rolecall.sql', 'rolecall-uninstall.sql'])
  cpSync(join(root, 'extension', name), join(target, 'lib/extension', name));
// The archive has these scripts already. A mark stands for each of them, in whose place install.ts puts the script.
const tle = files(join(root, 'extension'), '.sql')
  .filter((name) => name.startsWith('rolecall--'))
  .reduce(
    (text, name) => {
      const script = readFileSync(join(root, 'extension', name), 'utf8').trimEnd();
      return text.split(script).join(`<<${name}>>`);
    },
    readFileSync(join(root, 'extension/rolecall-tle.sql'), 'utf8'),
  );
writeFileSync(join(target, 'lib/extension/rolecall-tle.sql'), tle);
cpSync(join(root, 'extension/client/policy.schema.json'), join(target, 'policy.schema.json'));
for (const name of ['LICENSE', 'CHANGELOG.md']) cpSync(join(root, name), join(target, name));
cpSync(join(root, 'package/README.md'), join(target, 'README.md'));
writeFileSync(join(target, 'package.json'), npmManifest());
