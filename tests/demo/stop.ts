/** `make demo-stop`: stops the demo's server and removes all of it. */
import * as fs from 'node:fs';
import { stopCluster } from '../support/cluster.ts';
import { directory } from './directory.ts';

await stopCluster(directory);
fs.rmSync(directory, { recursive: true, force: true });
console.log('the demo is stopped and removed');
