/**
 * The npm package as a project gets it: packed, installed without a network, checked by a strict TypeScript without
 * anybody's types, and run by each version of Node, in PGlite.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PGlite } from '@electric-sql/pglite';
import { built } from '../cli/support.ts';
import { startCluster } from '../support/cluster.ts';
import { emptyPglite } from '../support/once.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const libraries = join(root, 'tests/package/node_modules');
const project = mkdtempSync(join(tmpdir(), 'rolecall-package-'));
after(() => rmSync(project, { recursive: true }));

function run(command: string, parameters: string[], folder = project): string {
  const { status, stdout, stderr } = spawnSync(command, parameters, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 2 ** 24, // A script is more than what is kept otherwise.
  });
  assert.equal(status, 0, `${command} ${parameters.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

// What runs a little in PGlite is not worth a second compilation.
const liftoff = '--liftoff-only';

process.env.PGLITE_DATA = await emptyPglite(PGlite); // Before the first test: with the last that is known the process ends.
const [packed] = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', built])) as {
  filename: string;
  size: number;
  unpackedSize: number;
  files: { path: string }[];
}[];
assert.ok(packed);
writeFileSync(join(project, 'package.json'), '{ "name": "fresh", "private": true, "type": "module" }\n');
run('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${packed.filename}`]);
const installed = join(project, 'node_modules/rolecall');

test('it is small, has no dependencies, and holds what the ways to install need', () => {
  assert.ok(packed.size < 1_000_000, `${packed.size} bytes packed`);
  // The script as text is a third of it, the command line somewhat more.
  assert.ok(packed.unpackedSize < 2_600_000, `${packed.unpackedSize} bytes unpacked`);
  const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Record<string, unknown>;
  for (const name of ['dependencies', 'peerDependencies', 'optionalDependencies', 'private', 'scripts'])
    assert.equal(manifest[name], undefined, name);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  assert.equal(manifest['version'], version);
  const script = `rolecall--${version}.sql`;
  run('tar', ['-xzf', join(installed, 'rolecall.tar.gz')]);
  for (const name of ['rolecall.control', script]) {
    const original = readFileSync(join(root, 'extension', name));
    assert.ok(readFileSync(join(project, 'share/postgresql/extension', name)).equals(original), name);
  }
  for (const name of ['rolecall.sql', 'rolecall-uninstall.sql']) {
    const found = readFileSync(run(process.execPath, ['-p', `require.resolve('rolecall/${name}')`]).trim());
    assert.ok(found.equals(readFileSync(join(root, 'extension', name))), name);
  }
  const members = run('tar', ['-tzf', join(installed, 'rolecall.tar.gz')])
    .trim()
    .split('\n');
  // Of older versions no more than the way to this one.
  const upgrades = readdirSync(join(root, 'extension')).filter((name) => /^rolecall--.*--/.test(name));
  assert.deepEqual(
    members.sort(),
    [...upgrades, script, 'rolecall.control'].map((name) => `share/postgresql/extension/${name}`).sort(),
  );
  assert.ok(packed.files.every(({ path }) => !path.endsWith('.ts') || path.endsWith('.d.ts')));
});

test('each script is printed as it is in the repository', () => {
  const program = join(project, 'node_modules/.bin/rolecall');
  for (const [which, name] of [
    [[], 'rolecall.sql'],
    [['pg_tle'], 'rolecall-tle.sql'],
    [['uninstall'], 'rolecall-uninstall.sql'],
  ] as const)
    assert.ok(run(program, ['script', ...which]) === readFileSync(join(root, 'extension', name), 'utf8'), name);
});

test('it has the command line, with the licences of what that is made of', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  assert.equal(run(join(project, 'node_modules/.bin/rolecall'), ['--version']).trim(), version);
  const licences = readFileSync(join(installed, 'cli/LICENSES.txt'), 'utf8');
  for (const name of ['commander', 'pg', 'yaml']) assert.match(licences, new RegExp(`^${name} \\d`, 'm'));
});

test('a strict TypeScript project compiles against it', () => {
  writeFileSync(
    join(project, 'strict.ts'),
    `import { fromKnex, install, isCondition, Rolecall, verifier, type Condition, type Installation, type Queryable, type Step } from 'rolecall';
import { rolecall as extension } from 'rolecall/pglite';

declare const database: Queryable;
declare const flag: boolean | undefined;
const rolecall = new Rolecall(database);
export const steps: Step[] = await rolecall.create_user_with_grants({
  username: 'x', password: null, roles_to_grant: ['y'], dry_run: flag,
});
export const secret: string | null = await rolecall.get_secret({ key: 'x' });
export const condition: Condition = 'invalid_name';
export const found: boolean = isCondition(new Error('x'), condition);
export const made: string = verifier('x');
export const name: string = extension.name;
export const installed: Installation = await install(database, { via: 'plain' });
if (installed.via === 'plain') console.log(installed.version);
export const through: Queryable = fromKnex({ raw: async (text: string, values: string[]) => ({ rows: [text, values] }) });
for (const { status } of steps) {
  // @ts-expect-error There is no such status.
  if (status === 'done') throw new Error('it is');
}
`,
  );
  const options = {
    strict: true,
    exactOptionalPropertyTypes: true,
    module: 'NodeNext',
    target: 'ES2022',
    noEmit: true,
  };
  const compilerOptions = { ...options, noUncheckedIndexedAccess: true, lib: ['ES2022', 'DOM'], types: [] };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['strict.ts'] }));
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', project]);
});

mkdirSync(join(project, 'node_modules/@electric-sql'));
symlinkSync(join(libraries, '@electric-sql/pglite'), join(project, 'node_modules/@electric-sql/pglite'));
cpSync(join(root, 'tests/package/in-pglite.js'), join(project, 'in-pglite.js'));

const inProcess = `import { readFileSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { rolecall } from 'rolecall/pglite';
const loadDataDir = new Blob([readFileSync(process.env.PGLITE_DATA)]);
export const owner = await PGlite.create({ loadDataDir, extensions: { rolecall } });
export async function login(name) {
  await owner.query(\`SET SESSION AUTHORIZATION \${name}\`);
  return owner;
}
`;
const server = `import pg from 'pg';
const url = process.env.DATABASE_URL;
const connect = (connectionString) => new pg.Pool({ connectionString, max: 1, allowExitOnIdle: true });
export const owner = connect(url);
export const login = (name, password) => connect(url.replace(/\\/\\/[^@]*@/, \`//\${name}:\${password}@\`));
`;

test('the same ten lines, in-process and by URL as a role that is not a superuser', async (t) => {
  symlinkSync(join(libraries, 'pg'), join(project, 'node_modules/pg'));
  cpSync(join(root, 'tests/package/ten-lines.js'), join(project, 'ten-lines.js'));
  writeFileSync(join(project, 'in-process.js'), inProcess);
  writeFileSync(join(project, 'server.js'), server);
  const reads = /: app_reports reads \[{"n":42}\], and of tokens nothing: true\n$/;
  assert.match(run(process.execPath, [liftoff, 'ten-lines.js']), reads);

  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const admin = await cluster.connect();
  await admin.query("CREATE ROLE keeper LOGIN CREATEROLE PASSWORD 'x'");
  await admin.query('CREATE DATABASE app OWNER keeper');
  await admin.end();
  process.env.DATABASE_URL = `postgres://keeper:x@${cluster.host}:${cluster.port}/app`;
  t.after(() => delete process.env.DATABASE_URL);
  assert.match(run(process.execPath, ['ten-lines.js']), reads);
});

for (const major of [20, 22, 24]) {
  const node =
    Number(process.versions.node.split('.')[0]) === major
      ? process.execPath
      : join(libraries, `node-${major}/bin/node`);
  const skip = existsSync(node) ? false : `there is no Node ${major} here`;
  test(`plain JavaScript runs it on Node ${major}, in PGlite`, { skip }, () => {
    assert.match(
      run(node, [liftoff, 'in-pglite.js', ...(major === 24 ? ['plain'] : [])]),
      new RegExp(`^v${major}\\..* reads reporting.counts, and nothing else\n$`),
    );
  });
}
