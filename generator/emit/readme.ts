/**
 * The tables of functions in README.md, one for each group; the rest of that page is written by hand.
 */
import type { FunctionSpec } from '../model/inspect.ts';

/** A table of two columns, as prettier leaves it. */
function aligned([head, ...rows]: string[][]): string {
  const width = (column: number) => Math.max(...[head, ...rows].map((cells) => cells?.[column]?.length ?? 0));
  const line = (cells: string[] = []) => `| ${cells.map((cell, column) => cell.padEnd(width(column))).join(' | ')} |`;
  return [line(head), line(['-'.repeat(width(0)), '-'.repeat(width(1))]), ...rows.map((row) => line(row))].join('\n');
}

const part = /(<!-- functions of the group "(\w+)", from "make build" -->\n\n).*?(<!-- end of the functions -->)/gs;

/** The page with today's functions. It must have markers for the group of every spec. */
export function readmePage(page: string, specs: readonly FunctionSpec[]): string {
  const places = [...page.matchAll(part)].map(([, , group]) => group);
  for (const { name, group } of specs) {
    if (group !== undefined && !places.includes(group)) throw new Error(`README.md has no place for ${name}: ${group}`);
  }
  return page.replaceAll(part, (_, before: string, group: string, after: string) => {
    const rows = specs
      .filter((spec) => spec.group === group)
      .map(({ name, summary }) => [`[\`${name}\`](docs/reference.md#${name})`, summary]);
    return `${before}${aligned([['function', 'what it does'], ...rows])}\n\n${after}`;
  });
}
