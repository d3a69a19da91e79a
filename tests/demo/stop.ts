/** `make demo-stop`: stops the demo's server and removes all of it. */
import { vacate } from './directory.ts';

await vacate();
console.log('The demo is stopped and removed.');
