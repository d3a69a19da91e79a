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
  // The install script is checked through the files that it is made of: their lines are the useful ones.
  const sql = [...files].filter(([path]) => path.startsWith('sql/'));
  return [
    ...specs.flatMap(specProblems),
    ...sql.flatMap(([path, text]) => [...sqlProblems(path, text), ...longLines(path, text)]),
  ];
}

/** People read sql/ too. */
export function longLines(file: string, text: string): Problem[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      line.length > lineWidth
        ? [{ file, line: index + 1, message: `longer than ${lineWidth} characters: ${line.trim()}` }]
        : [],
    );
}
