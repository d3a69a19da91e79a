/**
 * What the page does where there is JavaScript: search, sort, copy, and the graph. Names become text, never markup.
 */
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import cytoscape from 'cytoscape';

interface Data {
  readonly roles: readonly { readonly role: string; readonly login: boolean; readonly superuser: boolean }[];
  readonly memberships: readonly { readonly role: string; readonly member: string; readonly admin: boolean }[];
}

const data = JSON.parse(document.getElementById('data')?.textContent ?? '') as Data;
const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Clicking a heading sorts by it. */
function sortable(table: HTMLTableElement): void {
  const body = table.tBodies[0];
  table.querySelectorAll('th').forEach((heading, index) => {
    const button = document.createElement('button');
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener('click', () => {
      const up = heading.getAttribute('aria-sort') !== 'ascending';
      table.querySelectorAll('th').forEach((each) => each.removeAttribute('aria-sort'));
      heading.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      const text = (row: HTMLTableRowElement): string => row.cells[index]?.textContent ?? '';
      const rows = [...(body?.rows ?? [])].sort((a, b) => text(a).localeCompare(text(b)) * (up ? 1 : -1));
      body?.append(...rows);
    });
  });
}

/** A button that copies a statement. */
function copyable(code: HTMLElement): void {
  const button = document.createElement('button');
  button.textContent = 'Copy';
  const statement = code.textContent ?? '';
  button.addEventListener('click', () => void navigator.clipboard.writeText(statement));
  code.after(button);
}

/** Memberships as a graph; roles without any are in the table alone. */
function draw(container: HTMLElement): cytoscape.Core {
  const names = new Set(data.memberships.flatMap(({ role, member }) => [role, member]));
  const known = new Map(data.roles.map((role) => [role.role, role]));
  const edges = data.memberships.map(({ role, member, admin }, index) => ({
    data: { id: `edge ${index}`, source: `role ${member}`, target: `role ${role}`, admin },
  }));
  const nodes = [...names].map((name) => ({
    data: { id: `role ${name}`, label: name, shape: known.get(name)?.login ? 'ellipse' : 'round-rectangle' },
  }));
  const ink = css('--ink');
  const graph = cytoscape({
    container,
    elements: [...nodes, ...edges],
    layout: { name: 'breadthfirst', directed: true, spacingFactor: 1.1 },
    style: [
      {
        selector: 'node',
        style: {
          label: 'data(label)',
          shape: 'data(shape)' as never,
          color: ink,
          'font-size': 11,
          'background-color': css('--accent'),
          width: 16,
          height: 16,
        },
      },
      {
        selector: 'edge',
        style: {
          width: 1,
          'line-color': css('--line'),
          'target-arrow-color': css('--line'),
          'target-arrow-shape': 'triangle',
          'curve-style': 'straight',
        },
      },
      { selector: 'edge[?admin]', style: { 'line-style': 'dashed' } },
      { selector: '.away', style: { display: 'none' } },
    ],
  });
  graph.on('tap', ({ target }) => {
    graph.elements().removeClass('away');
    if (target === graph) return;
    const node = target as cytoscape.NodeSingular;
    if (!node.isNode()) return;
    const near = node.union(node.successors()).union(node.predecessors());
    graph.elements().difference(near).addClass('away');
  });
  return graph;
}

function search(input: HTMLInputElement, status: HTMLElement, graph: cytoscape.Core | undefined): void {
  const rows = [...document.querySelectorAll<HTMLTableRowElement>('tbody tr')].map((row) => ({
    row,
    text: (row.textContent ?? '').toLowerCase(),
  }));
  const find = (): void => {
    const wanted = input.value.toLowerCase();
    let count = 0;
    for (const { row, text } of rows) {
      row.hidden = !text.includes(wanted);
      if (!row.hidden) count++;
    }
    status.textContent = wanted === '' ? '' : `${count} rows`;
    graph?.elements().removeClass('away');
    if (wanted === '' || graph === undefined) return;
    const found = graph.nodes().filter((node) => String(node.data('label')).toLowerCase().includes(wanted));
    graph.elements().difference(found.union(found.neighborhood())).addClass('away');
  };
  input.addEventListener('input', find);
  const asked = new URLSearchParams(location.hash.slice(1)).get('search');
  if (asked !== null) input.value = asked;
  find();
}

document.querySelectorAll('table').forEach(sortable);
document.querySelectorAll<HTMLElement>('td code').forEach(copyable);
const section = document.getElementById('graph-section');
const container = document.getElementById('graph');
let graph: cytoscape.Core | undefined;
if (section !== null && container !== null && data.memberships.length > 0) {
  section.hidden = false;
  graph = draw(container);
}
const bar = document.getElementById('search');
const input = bar?.querySelector('input');
const status = bar?.querySelector<HTMLElement>('[role=status]');
if (bar && input && status) {
  bar.hidden = false;
  search(input, status, graph);
}
