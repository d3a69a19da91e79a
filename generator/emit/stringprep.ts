/**
 * extension/client/stringprep.ts: the classes of code points in SASLprep, for the code that hashes a password outside
 * of the database. They are generated from the same data as the function in the database, so that the two cannot
 * differ.
 */
import type { FunctionSpec } from '../model/inspect.ts';
import { generatedHeader } from './header.ts';

const classes = ['space', 'nothing', 'forbidden', 'right_to_left', 'left_to_right'];

export function stringprepFile(specs: readonly FunctionSpec[]): string {
  const body = specs.find(({ name }) => /^_?stringprep_class$/.test(name))?.body ?? '';
  const found = [...body.matchAll(/int4multirange\s*'([^']*)'\s*THEN\s*'(\w+)'/g)];
  if (found.map(([, , name]) => name).join() !== classes.join())
    throw new Error(`the function that classifies code points knows ${classes.join(', ')}, each by one multirange`);
  const lists = found.map(([, multirange = '', name = '']) => {
    const numbers = [...multirange.matchAll(/\[(\d+),(\d+)\)/g)].map(([, first, end]) => `${first}, ${end}`);
    return `  ${name}: [${numbers.join(', ')}],`;
  });
  return `${generatedHeader('//')}

/**
 * The ranges of each class of code points: in turn the first code point of a range, and the first one after it. The
 * first class that applies counts.
 */
export const ranges = {
${lists.join('\n')}
} as const;
`;
}
