/** Where the demo's server lives: one per user of the machine. */
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

export const directory = join(tmpdir(), `rolecall-demo-${userInfo().uid}`);
