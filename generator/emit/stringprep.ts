/**
 * extension/client/stringprep.ts: the code points that SASLprep asks for, for what hashes a password outside of the
 * database. They are read from the function that the database asks, so that the two cannot differ.
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
 * For each class of code points the numbers where it begins and ends, in turns: the first code point of a range, and the
 * first one after it. The classes are asked for in this order, the first one that applies counts.
 */
export const ranges = {
${lists.join('\n')}
} as const;
`;
}
