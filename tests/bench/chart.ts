/** The chart of docs/benchmarks.md: every ratio that has an aim, on a logarithmic scale. */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { Row } from './measure.ts';
import { figure } from './table.ts';

/** What is drawn of a row; a ratio of 0 has no place on the scale, and is drawn at its end. */
interface Point {
  label: string;
  text: string;
  low: number;
  median: number;
  high: number;
  aim: number;
  missed: boolean;
}

const least = 0.01;

function point(benchmark: string, { what, unit, against = '', ratio, aim = {} }: Row): Point[] {
  const aimed = aim.most ?? aim.least;
  if (ratio === undefined || aimed === undefined) return [];
  const missed = ratio.median > (aim.most ?? Infinity) || ratio.median < (aim.least ?? 0);
  const [low, median, high] = [ratio.low, ratio.median, ratio.high].map((value) => Math.max(value, least));
  if (low === undefined || median === undefined || high === undefined) return [];
  const label = `${benchmark}: ${what}${unit === 'ms' ? '' : `, ${unit}`} / ${against}`;
  return [{ label, text: figure(ratio.median), low, median, high, aim: Math.max(aimed, least), missed }];
}

/** An SVG document. */
export function chart(benchmarks: ReadonlyMap<string, readonly Row[]>): string {
  const points = [...benchmarks].flatMap(([name, rows]) => rows.flatMap((row) => point(name, row)));
  const { document } = parseHTML('<html></html>');
  const svg = Plot.plot({
    document: document as unknown as Document,
    width: 1000,
    height: 60 + 16 * points.length,
    marginLeft: 540,
    marginRight: 60,
    style: { background: 'white', color: 'black' },
    x: {
      type: 'log',
      grid: true,
      label: 'times as much as what it is compared with →',
      tickFormat: (x: number) => String(x),
    },
    y: { label: null, domain: points.map(({ label }) => label) },
    marks: [
      Plot.ruleX([1]),
      Plot.ruleY(points, { y: 'label', x1: 'low', x2: 'high', strokeWidth: 3, strokeOpacity: 0.4 }),
      Plot.tickX(points, { y: 'label', x: 'aim', stroke: 'black', strokeWidth: 2 }),
      Plot.dot(points, {
        y: 'label',
        x: 'median',
        r: 4,
        fill: (one: Point) => (one.missed ? '#b3261e' : '#1f6f43'),
        symbol: (one: Point) => (one.missed ? 'diamond' : 'circle'),
      }),
      Plot.text(points, {
        y: 'label',
        x: 'high',
        text: 'text',
        textAnchor: 'start',
        dx: 8,
      }),
    ],
  });
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', 'The ratios of the tables below that have an aim');
  return `${svg.outerHTML}\n`;
}
