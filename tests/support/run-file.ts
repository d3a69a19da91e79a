/**
 * Runs one file of node:test and prints one JSON document about it, a `Result` (see tap.ts). A process of its own,
 * because node:test gives its tests the environment of the process that starts them, and PG differs from file to file.
 */
import { resolve } from 'node:path';
import { run } from 'node:test';
import { inspect } from 'node:util';
import type { Result } from './tap.ts';

const file = resolve(process.argv[2] ?? '');
const result: Result = { passed: 0, failed: 0, skipped: 0, failures: [] };
let output = '';

// A failed test can leave connections open, which would keep its process waiting for ever. (The flag is from 20.14.)
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major > 20 || minor >= 14) process.execArgv.push('--test-force-exit');

for await (const event of run({ files: [file], timeout: 20 * 60_000 })) {
  if (event.type === 'test:stdout' || event.type === 'test:stderr') output += event.data.message;
  if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
  const { name, skip, todo, details } = event.data;
  // The entry for the file itself shows only where it crashed or ran too long, or holds no test and "passes".
  const isFile = resolve(name) === file;
  const fail = (message: string) => {
    result.failed++;
    result.failures.push(message);
  };
  if (event.type === 'test:fail' && todo === undefined) {
    const error = event.data.details.error as Error & { failureType?: string };
    // A parent of failed tests has not failed by itself.
    if (error.failureType !== 'subtestsFailed') fail(`${name}\n${inspect(error.cause ?? error)}`);
  } else if (isFile) fail('no test');
  else if (skip !== undefined || (todo !== undefined && event.type === 'test:fail')) result.skipped++;
  else if (details.type !== 'suite') result.passed++;
}
if (result.failed > 0 && output !== '') result.failures.push(`output:\n${output.trimEnd()}`);
process.stdout.write(JSON.stringify(result));
