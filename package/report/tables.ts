/**
 * The tables of the page: sorted by a click on a heading, searched, and their statements copied.
 */
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { byId, counted, element, later } from './dom.ts';

/** At first a long table shows no more rows than this, because a browser is slow with many. */
const atFirst = 300;
const severities = ['info', 'warning', 'critical'];

function order(one: string, other: string): number {
  const ranks = [one, other].map((text) => severities.indexOf(text));
  return Math.min(...ranks) >= 0 ? (ranks[0] ?? 0) - (ranks[1] ?? 0) : one.localeCompare(other);
}

/** Clicking a heading sorts by it. */
export function sortable(table: HTMLTableElement, sorted: () => void): void {
  table.querySelectorAll('thead th').forEach((heading, index) => {
    const sort = (): void => {
      const up = heading.getAttribute('aria-sort') !== 'ascending';
      table.querySelectorAll('th').forEach((each) => each.removeAttribute('aria-sort'));
      heading.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      const text = (row: HTMLTableRowElement): string => row.cells[index]?.textContent ?? '';
      const rows = [...(table.tBodies[0]?.rows ?? [])].map((row) => ({ row, key: text(row) }));
      rows.sort((a, b) => order(a.key, b.key) * (up ? 1 : -1));
      table.tBodies[0]?.append(...rows.map(({ row }) => row));
      sorted();
    };
    heading.replaceChildren(element('button', { click: sort }, heading.textContent ?? ''));
  });
}

/** A button that copies a statement, or selects it where the browser does not let a page copy. */
function copyable(code: HTMLElement): void {
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(code.textContent ?? '');
      button.textContent = 'Copied';
    } catch {
      getSelection()?.selectAllChildren(code);
    }
  };
  const button = element('button', { click: () => void copy(), 'aria-label': 'Copy the statement' }, 'Copy');
  code.after(button);
}

interface Part {
  readonly table: HTMLTableElement;
  readonly texts: Map<HTMLTableRowElement, string>;
  readonly more: HTMLButtonElement;
  all: boolean;
}

/** Shows the rows that contain the text, and returns their number. */
function show(part: Part, wanted: string): number {
  let count = 0;
  for (const row of part.table.tBodies[0]?.rows ?? []) {
    const fits = wanted === '' || (part.texts.get(row) ?? '').includes(wanted);
    if (fits) count++;
    row.hidden = !fits || (!part.all && count > atFirst);
  }
  part.more.hidden = part.all || count <= atFirst;
  part.more.textContent = `Show all ${count} rows`;
  return count;
}

/** Adds sorting and copying to the tables, and a box that searches all of them. */
export function enliven(tables: readonly HTMLTableElement[]): void {
  const bar = byId('search');
  const input = bar.querySelector('input');
  const status = bar.querySelector('[role=status]');
  if (input === null || status === null) return;
  const wanted = (): string => input.value.toLowerCase();
  const parts = tables.map((table): Part => {
    const rows = [...(table.tBodies[0]?.rows ?? [])];
    const texts = new Map(rows.map((row) => [row, (row.textContent ?? '').toLowerCase()]));
    const more = element('button', {
      click: () => {
        part.all = true;
        show(part, wanted());
      },
    });
    const part: Part = { table, texts, more, all: false };
    table.parentElement?.after(more);
    sortable(table, () => show(part, wanted()));
    return part;
  });
  document.querySelectorAll<HTMLElement>('td code').forEach(copyable);
  const find = (): void => {
    const count = parts.reduce((sum, part) => sum + show(part, wanted()), 0);
    status.textContent = wanted() === '' ? '' : counted(count, 'row');
  };
  input.addEventListener('input', later(find));
  bar.hidden = false;
  find();
}
