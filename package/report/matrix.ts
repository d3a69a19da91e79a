/**
 * Roles by schemas: who reads, writes and executes what, and how. The reader can filter it, sort it by any schema, and
 * move through it with the arrow keys.
 */
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { byId, counted, element, later, rowsOf } from './dom.ts';

const kinds = ['use', 'read', 'write', 'execute', 'create'] as const;
type Kind = (typeof kinds)[number];
type Cell = Readonly<Record<Kind, string>>;
const rowsAtOnce = 100;

/** The order of the marks when the matrix is sorted by a schema. */
const weight = (cell: Cell | undefined): number =>
  cell === undefined
    ? 0
    : kinds.reduce((sum, kind, index) => sum + (cell[kind] === '' ? 0 : ([1, 4, 16, 2, 8][index] ?? 0)), 0);
const letters = (cell: Cell): string =>
  kinds.flatMap((kind) => (cell[kind] === '' ? [] : [kind[0]?.toUpperCase() ?? ''])).join(' ');
const words = (cell: Cell): string =>
  kinds.flatMap((kind) => (cell[kind] === '' ? [] : [`${kind}: ${cell[kind]}`])).join('; ');

export function drawMatrix(): void {
  const access = new Map<string, Map<string, Cell>>();
  for (const row of rowsOf('access')) {
    const { role = '', schema = '' } = row;
    const cells = access.get(role) ?? new Map<string, Cell>();
    access.set(role, cells.set(schema, row as Cell));
  }
  if (access.size === 0) return;
  const schemas = [...new Set([...access.values()].flatMap((cells) => [...cells.keys()]))].sort();
  const [table, about] = [byId('matrix'), byId('matrix-about')];
  const [role, schema] = ['matrix-role', 'matrix-schema'].map((id) => byId(id) as HTMLInputElement);
  const kind = byId('matrix-kind') as HTMLSelectElement;
  const more = byId('matrix-more');
  let sortedBy: string | undefined;
  let shown = rowsAtOnce;

  const draw = (): void => {
    const has = (text: string, input: HTMLInputElement | undefined): boolean =>
      text.toLowerCase().includes(input?.value.toLowerCase() ?? '');
    const fits = (cell: Cell | undefined): boolean =>
      cell !== undefined && (kind.value === '' || cell[kind.value as Kind] !== '');
    const columns = schemas.filter((each) => has(each, schema));
    const rows = [...access]
      .filter(([name, cells]) => has(name, role) && columns.some((each) => fits(cells.get(each))))
      .sort(([one, a], [other, b]) =>
        sortedBy === undefined
          ? one.localeCompare(other)
          : weight(b.get(sortedBy)) - weight(a.get(sortedBy)) || one.localeCompare(other),
      );
    const heading = (name: string, by: string | undefined): HTMLElement => {
      const sort = (): void => {
        sortedBy = by;
        draw();
      };
      const sorted = sortedBy === by ? { 'aria-sort': by === undefined ? 'ascending' : 'descending' } : {};
      return element('th', { scope: 'col', ...sorted }, element('button', { click: sort }, name));
    };
    const body = rows.slice(0, shown).map(([name, cells]) =>
      element(
        'tr',
        {},
        element('th', { scope: 'row' }, name),
        ...columns.map((each) => {
          const cell = cells.get(each);
          if (cell === undefined || !fits(cell)) return element('td', { 'data-about': `${name}, ${each}: nothing` });
          const title = `${name}, ${each}: ${words(cell)}`;
          const strength = cell.write === '' && cell.create === '' ? 'reads' : 'writes';
          return element('td', { class: strength, title, 'data-about': title }, letters(cell));
        }),
      ),
    );
    table.replaceChildren(
      element(
        'thead',
        {},
        element('tr', {}, heading('role', undefined), ...columns.map((each) => heading(each, each))),
      ),
      element('tbody', {}, ...body),
    );
    table.querySelector('td')?.setAttribute('tabindex', '0');
    about.textContent = `${counted(rows.length, 'role')}, ${counted(columns.length, 'schema')}`;
    more.hidden = rows.length <= shown;
  };

  const select = (cell: HTMLTableCellElement): void => {
    table.querySelectorAll('td[tabindex]').forEach((each) => each.removeAttribute('tabindex'));
    cell.tabIndex = 0;
    cell.focus();
    about.textContent = cell.dataset['about'] ?? '';
  };
  table.addEventListener('click', ({ target }) => {
    const cell = (target as HTMLElement).closest('td');
    if (cell !== null) select(cell);
  });
  table.addEventListener('focusin', ({ target }) => {
    const text = (target as HTMLElement).dataset['about'];
    if (text !== undefined) about.textContent = text;
  });
  table.addEventListener('keydown', (event) => {
    const cell = (event.target as HTMLElement).closest('td');
    const [down, right] =
      { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] ?? [];
    if (cell === null || down === undefined || right === undefined) return;
    event.preventDefault();
    const row = (cell.parentElement as HTMLTableRowElement).rowIndex + down;
    const next = (table as HTMLTableElement).rows[row]?.cells[cell.cellIndex + right];
    if (next?.tagName === 'TD') select(next as HTMLTableCellElement);
  });
  for (const input of [role, schema, kind])
    input?.addEventListener(
      'input',
      later(() => {
        shown = rowsAtOnce;
        draw();
      }),
    );
  more.addEventListener('click', () => {
    shown += rowsAtOnce;
    draw();
  });
  byId('matrix-section').hidden = false;
  draw();
}
