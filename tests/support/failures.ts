/**
 * The failures of a run, in short, for its end: of a long output often only the last lines are kept. `.ci/run` prints
 * them again; it knows them by the line `Failed:` before them and the empty one after them.
 */

export interface Failure {
  /** The version and the file. */
  where: string;
  /** The name of the test and its error. */
  text: string;
}

const lines = 40;
const leastOfEach = 3;
const mostOfEach = 15;
const width = 160;

/**
 * The first lines, without the stack, and of a longer text, which may be the output of a command, some of the last ones
 * too.
 */
function shorten(text: string, most: number): string[] {
  const all = text.split('\n').filter((line) => !/^\s*(at .*:\d+\)?)?$/.test(line));
  const last = all.length > most && most >= 10 ? Math.floor(most / 3) : 0;
  const kept = last > 0 ? [...all.slice(0, most - last - 1), '...', ...all.slice(-last)] : all.slice(0, most);
  return kept.map((line, i) => `${i > 0 ? '    ' : ''}${line}`.slice(0, width));
}

/** At most 40 lines; none where nothing has failed. */
export function inShort(failures: readonly Failure[]): string[] {
  if (failures.length === 0) return [];
  const room = lines - 3; // Without the first line, the empty one and the one that counts what is left out.
  const shown = failures.slice(0, Math.floor(room / leastOfEach));
  const more = failures.length - shown.length;
  const parts = (most: number) => shown.flatMap(({ where, text }) => shorten(`${where}: ${text}`, most));
  let most = mostOfEach;
  while (parts(most).length > room) most--;
  return ['Failed:', ...parts(most), ...(more > 0 ? [`and ${more} more`] : []), ''];
}
