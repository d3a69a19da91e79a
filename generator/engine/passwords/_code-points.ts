/**
 * The code points that SASLprep (RFC 4013) and normalization (NFKC) treat alike, from the data files beside this one,
 * as the multiranges that the functions look them up in.
 */
import { readFileSync } from 'node:fs';
import { folded, literal } from '../../sql/quote.ts';
import { raw, type Sql } from '../../sql/template.ts';

const size = 0x110000;

/** The tables of a data file: a line with the name and the title of each, then its ranges. */
function read(file: string): Map<string, (readonly [first: number, last: number])[]> {
  const tables = new Map<string, (readonly [number, number])[]>();
  for (const part of readFileSync(new URL(file, import.meta.url), 'utf8').split('\n\n')) {
    const [title = '', ...lines] = part.split('\n').filter((line) => !line.startsWith('#'));
    const ranges = lines.flatMap((line) => line.split(' ').filter(Boolean)).map((range) => range.split('-'));
    const numbers = ranges.map(([first = '', last = first]) => [parseInt(first, 16), parseInt(last, 16)] as const);
    tables.set(title.split(' ')[0] ?? '', numbers);
  }
  return tables;
}

/** The classes of code points in SASLprep, in the order in which it checks them, and their tables in RFC 3454. */
const classes = {
  space: ['C.1.2'],
  nothing: ['B.1'],
  forbidden: ['C.2.1', 'C.2.2', 'C.3', 'C.4', 'C.5', 'C.6', 'C.7', 'C.8', 'C.9', 'A.1'],
  right_to_left: ['D.1'],
  left_to_right: ['D.2'],
} as const;
type Class = keyof typeof classes;
const names = Object.keys(classes) as Class[];
const place = (name: Class): number => names.indexOf(name);

/** The index of the first class of each code point, one byte each: every build goes over a million of them. */
const unclassified = names.length;
const classOf = new Uint8Array(size).fill(unclassified);
const rfc3454 = read('rfc3454.txt');
for (const name of [...names].reverse()) {
  for (const [first, last] of classes[name].flatMap((table) => rfc3454.get(table) ?? []))
    classOf.fill(place(name), first, last + 1);
}

/** The fewest ranges that contain the wanted code points and beside them only code points that are never looked up. */
function multirange(isWanted: (codePoint: number) => boolean, isAsked: (codePoint: number) => boolean): Sql {
  const ranges: { first: number; end: number }[] = [];
  let open: { first: number; end: number } | undefined;
  for (let codePoint = 0; codePoint < size; codePoint++) {
    if (!isAsked(codePoint)) continue;
    if (!isWanted(codePoint)) open = undefined;
    else if (open) open.end = codePoint + 1;
    else ranges.push((open = { first: codePoint, end: codePoint + 1 }));
  }
  const lines = folded(`{${ranges.map(({ first, end }) => `[${first},${end})`).join(', ')}}`, 112);
  return raw(`int4multirange ${literal(`\n  ${lines.map((line) => line.trimEnd()).join('\n  ')}\n`)}`);
}

export const classRanges = names.map((name, index) => ({
  name,
  ranges: multirange(
    (codePoint) => classOf[codePoint] === index,
    (codePoint) => (classOf[codePoint] ?? unclassified) >= index,
  ),
}));

const stable = new Uint8Array(size);
for (const [first, last] of read('nfkc.txt').get('stable') ?? []) stable.fill(1, first, last + 1);
/** Looked up only for code points that SASLprep neither maps nor forbids. */
export const stableRanges = multirange(
  (codePoint) => stable[codePoint] === 1,
  (codePoint) => (classOf[codePoint] ?? unclassified) > place('forbidden'),
);
