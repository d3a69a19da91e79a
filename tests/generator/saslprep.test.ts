/**
 * The tables that SASLprep looks code points up in, over all of Unicode: what the installed functions say, compared
 * with the npm package saslprep and with the normalization of JavaScript.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.ts';

interface BitField {
  get(index: number): boolean;
}
const theirs = createRequire(import.meta.url)('saslprep/lib/memory-code-points.js') as Record<
  | 'unassigned_code_points'
  | 'commonly_mapped_to_nothing'
  | 'non_ASCII_space_characters'
  | 'prohibited_characters'
  | 'bidirectional_r_al'
  | 'bidirectional_l',
  BitField
>;

/** Table C.4 has these two noncharacters, and the server refuses them; the package left them out. */
const forgotten = [0xffffe, 0xfffff];

function theirClass(codePoint: number): string | null {
  if (forgotten.includes(codePoint)) return 'forbidden';
  if (theirs.non_ASCII_space_characters.get(codePoint)) return 'space';
  if (theirs.commonly_mapped_to_nothing.get(codePoint)) return 'nothing';
  if (theirs.prohibited_characters.get(codePoint) || theirs.unassigned_code_points.get(codePoint)) return 'forbidden';
  if (theirs.bidirectional_r_al.get(codePoint)) return 'right_to_left';
  return theirs.bidirectional_l.get(codePoint) ? 'left_to_right' : null;
}

/** The characters that compose with one before them, as the last ones of what composed characters decompose to. */
function combining(): Set<string | undefined> {
  const found = new Set<string | undefined>();
  for (let codePoint = 0; codePoint < 0x110000; codePoint++) {
    const character = String.fromCodePoint(codePoint);
    const parts = [...character.normalize('NFD')];
    if (parts.length > 1 && character.normalize('NFC') === character) found.add(parts.at(-1));
  }
  return found;
}

/**
 * Whether marks of the lowest and of the highest class change places with it: neither it nor they stay where they
 * are.
 */
const isReordered = (character: string) =>
  character.normalize('NFD') === character &&
  [`${character}\u0334`, `\u0345${character}`].some((text) => text.normalize('NFD') !== text);

/** A few of many, for a message that can be read. */
const few = (codePoints: number[]) => codePoints.slice(0, 20).map((codePoint) => `U+${codePoint.toString(16)}`);

test('every code point is looked up as others do', async () => {
  const cluster = await startCluster();
  const client = await cluster.connect({ database: await cluster.createDatabase() });
  // What each function returns, evaluated in one query: two million calls would take much longer.
  const all = async <Value>(name: string): Promise<Value[]> => {
    const { rows: bodies } = await client.query<{ body: string }>(
      'SELECT p.prosrc AS body FROM pg_proc AS p WHERE p.oid = $1::regproc',
      [`rolecall_internal.${name}`],
    );
    const returned = /^\s*BEGIN\s+RETURN ([^;]+);\s+END\s*$/.exec(bodies[0]?.body ?? '')?.[1];
    const { rows } = await client.query<{ values: Value[] }>(
      `SELECT array_agg(${returned} ORDER BY code_point) AS values FROM generate_series(0, 1114111) AS ${name}(code_point)`,
    );
    return rows[0]?.values ?? [];
  };
  const classes = await all<string | null>('stringprep_class');
  const stable = await all<boolean>('is_nfkc_stable');
  await client.end();
  await cluster.stop();
  assert.equal(classes.length, 0x110000);

  const codePoints = [...classes.keys()];
  assert.deepEqual(few(codePoints.filter((codePoint) => classes[codePoint] !== theirClass(codePoint))), [], 'class');

  const composing = combining();
  const isStable = (character: string) =>
    character.normalize('NFKC') === character && !composing.has(character) && !isReordered(character);
  const asked = codePoints.filter((codePoint) => !['space', 'nothing', 'forbidden'].includes(classes[codePoint] ?? ''));
  const wrong = asked.filter((codePoint) => stable[codePoint] !== isStable(String.fromCodePoint(codePoint)));
  assert.deepEqual(few(wrong), [], 'stability under NFKC');
});
