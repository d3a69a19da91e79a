/**
 * Commands, and containers of this run.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

export const root = fileURLToPath(new URL('../..', import.meta.url));
/** Names this run; a label on all that it makes. */
export const prefix = `rolecall-test-${process.pid}`;
export const password = "it's a pass word";

export interface Output {
  status: number;
  /** Standard output and standard error as they came. */
  text: string;
}

export interface How {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}

export function attempt(command: string, args: readonly string[], how: How = {}): Promise<Output> {
  const child = spawn(command, args, { cwd: root, ...how, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => (text += part));
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status: status ?? 1, text }));
  });
}

export async function run(command: string, args: readonly string[], how: How = {}): Promise<string> {
  const { status, text } = await attempt(command, args, how);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit status ${status}\n${text}`);
  return text;
}

export const docker = (...args: string[]) => run('docker', args);

export class Container {
  constructor(readonly id: string) {}

  static async start(image: string, ...options: string[]): Promise<Container> {
    const id = await docker('run', '--detach', '--label', prefix, ...options, image);
    return new Container(id.trim().split('\n').at(-1) ?? '');
  }

  attempt(user: string, ...command: string[]): Promise<Output> {
    return attempt('docker', ['exec', '--user', user, this.id, ...command]);
  }

  async run(user: string, ...command: string[]): Promise<string> {
    const { status, text } = await this.attempt(user, ...command);
    if (status !== 0) throw new Error(`${command.join(' ')}: exit status ${status}\n${text}`);
    return text;
  }

  async inspect(field: string): Promise<string> {
    return (await docker('inspect', '--format', `{{${field}}}`, this.id)).trim();
  }

  async logs(): Promise<string> {
    return docker('logs', this.id);
  }

  /** Ends it, and removes it with its anonymous volumes. */
  async remove(): Promise<void> {
    await docker('rm', '--force', '--volumes', this.id);
  }

  async isHealthy(): Promise<boolean> {
    if ((await this.inspect('.State.Running')) !== 'true') throw new Error(`it ended:\n${await this.logs()}`);
    return (await this.inspect('.State.Health.Status')) === 'healthy';
  }

  /**
   * Docker's own proxy takes a connection before the server listens, and then drops it: only the server's word
   * counts.
   */
  async login(secret = password, attempts = 40): Promise<pg.Client> {
    const published = await docker('port', this.id, '5432/tcp');
    const client = new pg.Client({
      host: '127.0.0.1',
      port: Number(/:(\d+)\s*$/m.exec(published)?.[1]),
      user: 'postgres',
      database: 'postgres',
      password: secret,
    });
    client.on('error', () => undefined); // A connection that dies with its server.
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (error instanceof pg.DatabaseError || attempts === 1) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
      return this.login(secret, attempts - 1);
    }
  }
}

export async function withVolume(work: (name: string) => Promise<void>): Promise<void> {
  const name = (await docker('volume', 'create', '--label', prefix)).trim();
  await work(name);
  await docker('volume', 'rm', name);
}
