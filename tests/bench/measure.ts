/** Taking samples in turns, and what they come to. */
import type { Cluster } from '../support/cluster.ts';

/** What a benchmark is given. */
export interface Bench {
  cluster: Cluster;
  /** The first for a real run, the second for SIZE=small. */
  pick<T>(full: T, small: T): T;
  report(rows: Row[]): void;
}

/** One way of doing a thing. Only `run` is timed. */
export interface Way {
  name: string;
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

/** One line of the table: our figure, what it is compared with, and how many times theirs it is. */
export interface Row {
  benchmark: string;
  what: string;
  unit: string;
  ours: Spread;
  against?: string;
  theirs?: Spread;
  ratio?: Spread;
  /** The largest ratio that was aimed at. */
  aim?: number;
}

/** Rounds that are run and not counted: plans are made and caches filled. */
const warmUp = 2;

export function spread(samples: readonly number[]): Spread {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) => {
    const place = share * (sorted.length - 1);
    const below = sorted[Math.floor(place)] ?? NaN;
    return below + ((sorted[Math.ceil(place)] ?? NaN) - below) * (place % 1);
  };
  return { median: at(0.5), low: at(0.25), high: at(0.75), samples: sorted.length };
}

/**
 * Runs all ways in every round, each round in another order, and returns milliseconds by way. What else the machine
 * does then falls on all of them.
 */
export async function inTurns(rounds: number, ways: readonly Way[], warmUps = warmUp): Promise<number[][]> {
  const samples: number[][] = ways.map(() => []);
  for (let round = 0; round < rounds + warmUps; round++) {
    for (let turn = 0; turn < ways.length; turn++) {
      const index = (round + turn) % ways.length;
      const way = ways[index] as Way;
      await way.before?.(round);
      const started = performance.now();
      await way.run(round);
      const took = performance.now() - started;
      if (round >= warmUps) samples[index]?.push(took);
      await way.after?.(round);
    }
  }
  return samples;
}

/** The first series against each of the others, round by round. */
export function compare(
  {
    benchmark,
    what,
    unit,
    aims = [],
  }: { benchmark: string; what: string; unit: string; aims?: (number | undefined)[] },
  names: readonly string[],
  [ours = [], ...others]: number[][],
): Row[] {
  if (others.length === 0) return [{ benchmark, what, unit, ours: spread(ours) }];
  return others.map((theirs, index) => {
    const ratios = ours.map((our, round) => our / (theirs[round] ?? NaN)).filter(Number.isFinite);
    const aim = aims[index];
    return {
      ...{ benchmark, what, unit, ours: spread(ours), against: names[index + 1] ?? '', theirs: spread(theirs) },
      ...(ratios.length === 0 ? {} : { ratio: spread(ratios) }),
      ...(aim === undefined ? {} : { aim }),
    };
  });
}
