/**
 * Checks that the rooms of generator/engine/ import from each other only downwards, as their functions call each
 * other: no room knows those above it.
 */
import { levelOf } from '../model/rooms.ts';
import type { Problem } from './problem.ts';

const folder = /^generator\/engine\/(\w+)\//;
const imported = /\bfrom '(?:\.\.\/(\w+)\/|\.\.\/\.\.\/(functions)\/)/g;

/** The imports of a file that go up. */
export function importProblems(file: string, text: string): Problem[] {
  const room = folder.exec(file)?.[1] ?? '';
  return [...text.matchAll(imported)].flatMap((match) => {
    const other = match[1] ?? match[2] ?? '';
    const [from, to] = [levelOf(room), levelOf(other)];
    if (from !== undefined && to !== undefined && to >= from) return [];
    const line = text.slice(0, match.index).split('\n').length;
    return [
      { file, line, message: `${room} imports from ${other}, which is not below it: see generator/model/rooms.ts` },
    ];
  });
}
