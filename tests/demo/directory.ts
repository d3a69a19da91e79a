/** Where the demo's server lives, one for each clone of the repository and each user of the machine. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { asServant, root, stopCluster, temporaryFolder } from '../support/cluster.ts';

const { uid } = userInfo();
const clone = createHash('sha256').update(root).digest('hex').slice(0, 8);
const directory = join(temporaryFolder(), `rolecall-demo-${uid}-${clone}`);
const noteFile = join(directory, 'demo.json');
/** The page that shows who can do what in the demo's database. */
export const reportFile = join(directory, 'access.html');

/** What there is to know about the demo that is running. */
export interface Note {
  readonly version: number;
  readonly port: number;
  readonly database: string;
  /** Role to password, of those that can log in. */
  readonly passwords: Readonly<Record<string, string>>;
}

/** Stops the server of an earlier demo and removes it, if there is one. Returns the place for the next. */
export async function vacate(): Promise<string> {
  const owner = fs.lstatSync(directory, { throwIfNoEntry: false })?.uid;
  // In a folder that everybody can write to, anybody can create one of that name.
  if (owner !== undefined && owner !== uid && owner !== asServant.uid) {
    throw new Error(`${directory} belongs to somebody else; remove it, or set TMPDIR to another folder`);
  }
  await stopCluster(directory);
  fs.rmSync(directory, { recursive: true, force: true });
  return directory;
}

export const writeNote = (note: Note): void => fs.writeFileSync(noteFile, JSON.stringify(note), { mode: 0o600 });

export function readNote(): Note & { directory: string } {
  if (!fs.existsSync(noteFile)) throw new Error('no demo is running: "make demo" starts one');
  return { ...(JSON.parse(fs.readFileSync(noteFile, 'utf8')) as Note), directory };
}
