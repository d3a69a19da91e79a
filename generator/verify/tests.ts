/**
 * Checks that each public function has a pgTAP file.
 */
import type { FunctionSpec } from '../model/inspect.ts';
import type { Problem } from './problem.ts';

/** `exists` takes the path of a file in the repository. */
export function testProblems(specs: readonly FunctionSpec[], exists: (path: string) => boolean): Problem[] {
  return specs
    .filter(({ room }) => room === null)
    .map(({ name, file, line }) => ({ file, line, test: `tests/pgtap/${name}.sql`, name }))
    .filter(({ test }) => !exists(test))
    .map(({ file, line, name, test }) => ({ file, line, message: `${name}: there is no ${test}` }));
}
