/** Taking samples in turns, and what they come to. */
import * as fs from 'node:fs';
import type { Client } from 'pg';
import type { Cluster } from '../support/cluster.ts';

/** What a benchmark is given. */
export interface Bench {
  cluster: Cluster;
  /** The first for a real run, the second for SIZE=small. */
  pick<T>(full: T, small: T): T;
  report(...rows: Row[]): void;
}

/** One way of doing a thing. Only `run` is timed. */
export interface Way {
  name: string;
  /** The one that `run` sends its statements through. */
  client(): Client;
  before?(round: number): Promise<unknown>;
  run(round: number): Promise<unknown>;
  after?(round: number): Promise<unknown>;
}

export interface Spread {
  median: number;
  /** The middle half of the samples lies between these. */
  low: number;
  high: number;
  samples: number;
}

/** The largest or smallest ratio that is aimed at. */
export interface Aim {
  most?: number;
  least?: number;
}

/** One line of the table: our figure, the one that it is compared with, and how many times that it is. */
export interface Row {
  what: string;
  unit: string;
  ours: Spread;
  against?: string;
  theirs?: Spread;
  ratio?: Spread;
  aim?: Aim;
  note?: string;
}

/** Figures of one way of doing a thing, one per round. */
export interface Series {
  name: string;
  samples: readonly number[];
}

export function spread(samples: readonly number[]): Spread {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) => {
    const place = share * (sorted.length - 1);
    const below = sorted[Math.floor(place)] ?? NaN;
    return below + ((sorted[Math.ceil(place)] ?? NaN) - below) * (place % 1);
  };
  return { median: at(0.5), low: at(0.25), high: at(0.75), samples: sorted.length };
}

/** The first series against each of the others, round by round. */
export function compare(what: string, unit: string, all: readonly Series[], aims: readonly Aim[] = []): Row[] {
  const [ours, ...others] = all;
  if (ours === undefined) throw new Error('nothing was measured');
  const own = { what, unit, ours: spread(ours.samples) };
  if (others.length === 0) return [own];
  return others.map(({ name, samples }, index) => {
    const ratios = ours.samples.map((our, round) => our / (samples[round] ?? NaN)).filter(Number.isFinite);
    const aim = aims[index] ?? {};
    return { ...own, against: name, theirs: spread(samples), ratio: spread(ratios), aim };
  });
}

/** How a figure grows from the smallest size to the largest, against the size itself: at most 1 is linear. */
export function growth(what: string, of: string, points: readonly { size: number; figure: number }[]): Row[] {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return [];
  const figures = { name: 'rolecall', samples: [last.figure / first.figure] };
  const sizes = { name: of, samples: [last.size / first.size] };
  return compare(`growth of ${what}`, 'times', [figures, sizes], [{ most: 1 }]);
}

/**
 * The processor time that the server has spent on a connection so far, in milliseconds; where the system does not tell,
 * the time. On a machine that does other work too, only the former says anything about single milliseconds.
 */
function spent(client: Client): number {
  const { processID } = client as unknown as { processID: number };
  const file = `/proc/${processID}/schedstat`;
  return fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8').split(' ')[0]) / 1e6 : performance.now();
}

/**
 * Milliseconds that each way takes the server, in turns: every round runs all of them, each round in another order,
 * so that whatever else the machine does falls on all. The first rounds are not counted: they make plans and fill
 * caches. A small run, whose figures say nothing, has none of these.
 */
export async function inTurns(rounds: number, ways: readonly Way[], warmUps = 2): Promise<Series[]> {
  const all = ways.map(({ name }) => ({ name, samples: [] as number[] }));
  const uncounted = process.env.SIZE === 'small' ? 0 : warmUps;
  for (let round = 0; round < rounds + uncounted; round++) {
    for (let turn = 0; turn < ways.length; turn++) {
      const index = (round + turn) % ways.length;
      const way = ways[index] as Way;
      await way.before?.(round);
      const client = way.client();
      const before = spent(client);
      await way.run(round);
      const took = spent(client) - before;
      if (round >= uncounted) all[index]?.samples.push(took);
      await way.after?.(round);
    }
  }
  return all;
}
