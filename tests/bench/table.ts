/** The table that is printed. */
import type { Row, Spread } from './measure.ts';

const columns = { unit: 9, rolecall: 31, against: 20, '': 31, ratio: 24, aim: 0 };
const widths = [67, ...Object.values(columns)];

const format = (cells: readonly string[]) =>
  cells
    .map((cell, index) => cell.padEnd(widths[index] ?? 0))
    .join('  ')
    .trimEnd();

export const heading = (benchmark: string): string => format([benchmark, ...Object.keys(columns)]);

function cells(row: Row): string[] {
  const { what, unit, ours, against = '', theirs, ratio } = row;
  return [what, unit, middle(ours), against, middle(theirs), middle(ratio), verdict(row)];
}

export const line = (row: Row): string => format(cells(row));

/** The same as a table of Markdown. */
export function markdown(rows: readonly Row[]): string {
  const lines = [['', ...Object.keys(columns)], widths.map(() => '---'), ...rows.map(cells)];
  return lines.map((line) => `| ${line.join(' | ')} |\n`).join('');
}

export function figure(value: number): string {
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

function middle(of: Spread | undefined): string {
  if (of === undefined || of.samples === 0) return '';
  return of.low === of.high ? figure(of.median) : `${figure(of.median)} (${figure(of.low)} to ${figure(of.high)})`;
}

function verdict({ ratio, aim = {}, note = '' }: Row): string {
  const { most = Infinity, least = 0 } = aim;
  if (ratio === undefined || (most === Infinity && least === 0)) return note;
  const aimed = most === Infinity ? `at least ${least}` : `at most ${most}`;
  const missed = ratio.median < least || ratio.median > most;
  return `${aimed}${missed ? ': missed' : ''}${note && `; ${note}`}`;
}
