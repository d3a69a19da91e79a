/**
 * The reporter of node:test for the runner (see run.ts): a line of JSON, part of a `Result`, for each test, and one
 * more at the end. They go straight into the file that RESULTS names: what a process has yet to print when it crashes
 * is lost.
 */
import { appendFileSync } from 'node:fs';
import { Transform, type TransformCallback } from 'node:stream';
import type { TestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';
import type { Result } from './tap.ts';

const write = (line: Partial<Result>): void => appendFileSync(process.env.RESULTS ?? '', `${JSON.stringify(line)}\n`);

function report(event: TestEvent): void {
  if (event.type !== 'test:pass' && event.type !== 'test:fail') return;
  const { name, skip, todo, details } = event.data;
  if (event.type === 'test:fail' && todo === undefined) {
    const error = event.data.details.error as Error & { failureType?: string };
    // A parent of failed tests has not failed by itself.
    if (error.failureType === 'subtestsFailed') return;
    write({ failed: 1, failures: [`${name}\n${inspect(error.cause ?? error)}`] });
  } else if (skip !== undefined || (todo !== undefined && event.type === 'test:fail')) write({ skipped: 1 });
  else if (details.type !== 'suite') write({ passed: 1 });
}

export default new Transform({
  writableObjectMode: true,
  transform(event: TestEvent, _encoding, done: TransformCallback) {
    report(event);
    done();
  },
  flush(done: TransformCallback) {
    write({});
    done();
  },
});
