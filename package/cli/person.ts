/**
 * The user at the terminal, if there is one, and passwords from sources where nobody sees them.
 */
import { Interrupted, type Option, type Person, UsageError } from './command.ts';
import { line } from './escape.ts';

export const person: Person = {
  isThere: process.stdin.isTTY === true && process.stderr.isTTY === true,
  say: (text) => void process.stderr.write(`${text}\n`),
  async password(question) {
    const { password, isCancel } = await import('@clack/prompts');
    const answer = await password({ message: line(question), output: process.stderr });
    if (isCancel(answer)) throw new Interrupted();
    return answer ?? '';
  },
  async input() {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString('utf8');
  },
};

export async function agrees(question: string): Promise<boolean> {
  const { confirm, isCancel } = await import('@clack/prompts');
  const answer = await confirm({ message: line(question), initialValue: false, output: process.stderr });
  if (isCancel(answer)) throw new Interrupted();
  return answer;
}

/** The options of a command that takes a password. */
export const passwordOptions = {
  askPassword: { about: 'prompt for the password' },
  passwordStdin: { about: 'read the password from standard input' },
  passwordEnv: { about: 'take the password from this environment variable', takes: 'NAME' },
} as const satisfies Record<string, Option>;

interface Given {
  readonly askPassword: boolean;
  readonly passwordStdin: boolean;
  readonly passwordEnv: string | undefined;
}

/** The value of an environment variable, which must be set. */
export function fromEnvironment(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new UsageError(`the environment variable ${line(name)} is not set`);
  return value;
}

/** The password as a verifier, so that the plain text never leaves this process; undefined if none is given. */
export async function readVerifier(user: string, given: Given, from: Person): Promise<string | undefined> {
  const password = await readPassword(user, given, from);
  return password === undefined ? undefined : hashed(password);
}

export async function hashed(password: string): Promise<string> {
  const { isVerifier, verifier } = await import('../verifier.ts');
  if (isVerifier(password)) return password;
  try {
    return verifier(password);
  } catch (error) {
    throw new UsageError((error as Error).message); // It has no password in it.
  }
}

async function readPassword(user: string, given: Given, from: Person): Promise<string | undefined> {
  const ways = [given.askPassword, given.passwordStdin, given.passwordEnv !== undefined];
  if (ways.filter(Boolean).length > 1)
    throw new UsageError('--ask-password, --password-stdin and --password-env cannot be used together');
  if (given.passwordEnv !== undefined) return fromEnvironment(given.passwordEnv);
  if (given.passwordStdin) return (await from.input()).replace(/\r?\n$/, '');
  if (!given.askPassword) return undefined;
  if (!from.isThere) throw new UsageError('--ask-password requires a terminal: use --password-stdin or --password-env');
  const password = await from.password(`Password for ${user}`);
  if ((await from.password('Repeat the password')) !== password)
    throw new UsageError('the two passwords are not the same');
  return password;
}
