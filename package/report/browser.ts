/**
 * What the page does if JavaScript is available. Names become text, never markup.
 */
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { drawGraph } from './graph.ts';
import { drawMatrix } from './matrix.ts';
import { enliven } from './tables.ts';

const tables = [...document.querySelectorAll<HTMLTableElement>('section[data-table] table')];
drawGraph();
drawMatrix();
enliven(tables);
