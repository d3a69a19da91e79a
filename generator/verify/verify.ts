/**
 * All checks over the model and over what was emitted.
 */
import { loadModule } from 'libpg-query';
import type { FunctionSpec } from '../model/inspect.ts';
import { lineWidth } from '../sql/print.ts';
import type { Problem } from './problem.ts';
import { specProblems } from './specs.ts';
import { sqlProblems } from './statements.ts';

export async function verify(
  specs: readonly FunctionSpec[],
  files: Iterable<readonly [path: string, text: string]>,
): Promise<Problem[]> {
  await loadModule();
  // The files that the install script consists of are checked in its place, because their line numbers are the useful
  // ones.
  const sql = [...files].filter(([path]) => path.startsWith('sql/'));
  return [
    ...specs.flatMap(specProblems),
    ...sql.flatMap(([path, text]) => [...sqlProblems(path, text), ...longLines(path, text)]),
  ];
}

/** People read the files in sql/ too, so their lines have a limit. */
export function longLines(file: string, text: string): Problem[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      line.length > lineWidth
        ? [{ file, line: index + 1, message: `longer than ${lineWidth} characters: ${line.trim()}` }]
        : [],
    );
}
