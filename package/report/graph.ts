/**
 * Roles and memberships as a graph. The reader can fold groups, find a role by its name, and show only what is around
 * it.
 */
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import cytoscape from 'cytoscape';
import { byId, counted, element, rowsOf } from './dom.ts';

/** From this number of roles on, groups are folded at first. */
const many = 60;

const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const style = (): cytoscape.StylesheetJson => [
  {
    selector: 'node',
    style: {
      label: 'data(label)',
      shape: 'data(shape)' as never,
      color: css('--ink'),
      'font-size': 11,
      'text-valign': 'bottom',
      'text-margin-y': 3,
      'text-background-color': css('--paper'),
      'text-background-opacity': 0.8,
      'text-wrap': 'ellipsis',
      'text-max-width': '120px',
      'background-color': css('--accent'),
      width: 18,
      height: 18,
    },
  },
  { selector: 'node[?folded]', style: { 'border-width': 4, 'border-style': 'double', 'border-color': css('--ink') } },
  { selector: 'node:selected', style: { 'background-color': css('--warn') } },
  {
    selector: 'edge',
    style: {
      width: 1,
      'line-color': css('--edge'),
      'target-arrow-color': css('--edge'),
      'target-arrow-shape': 'triangle',
      'curve-style': 'straight',
    },
  },
  { selector: 'edge[?admin]', style: { 'line-style': 'dashed' } },
];

export function drawGraph(): void {
  const memberships = rowsOf('memberships');
  if (memberships.length === 0) return;
  const groups = new Map<string, string[]>();
  const members = new Map<string, string[]>();
  const add = (to: Map<string, string[]>, key: string, value: string): unknown =>
    to.set(key, [...(to.get(key) ?? []), value]);
  for (const { role = '', member = '' } of memberships) {
    add(groups, member, role);
    add(members, role, member);
  }
  const names = [...new Set([...members.keys(), ...groups.keys()])].sort();
  const known = new Map(rowsOf('roles').map((row) => [row['role'] ?? '', row]));
  const folded = new Set(names.length > many ? members.keys() : []);
  let only: string | undefined;
  let selected: string | undefined;

  /** The role, and all roles that lead to it or that it leads to. */
  const reach = (from: string, ways: Map<string, string[]>, seen = new Set<string>()): Set<string> => {
    if (!seen.has(from)) for (const next of (seen.add(from), ways.get(from) ?? [])) reach(next, ways, seen);
    return seen;
  };
  /** A role is drawn if none of its groups is drawn, or one that is drawn is not folded. */
  const drawn = (): Set<string> => {
    if (only !== undefined) return new Set([...reach(only, groups), ...reach(only, members)]);
    const seen = new Set<string>();
    const visit = (name: string): void => {
      if (seen.has(name)) return;
      seen.add(name);
      if (!folded.has(name)) members.get(name)?.forEach(visit);
    };
    names.filter((name) => !groups.has(name)).forEach(visit);
    return seen;
  };
  /** Rows of roles: members are below their groups. */
  const positions = (visible: ReadonlySet<string>): Map<string, cytoscape.Position> => {
    const depths = new Map<string, number>();
    const depth = (name: string): number => {
      const given = depths.get(name);
      if (given !== undefined) return given;
      const above = (groups.get(name) ?? []).filter((each) => visible.has(each));
      const found = Math.max(-1, ...above.map(depth)) + 1;
      depths.set(name, found);
      return found;
    };
    const perLine = Math.max(12, Math.ceil(Math.sqrt(visible.size * 1.5)));
    const levels: string[][] = [];
    for (const name of visible) (levels[depth(name)] ??= []).push(name);
    const lines = levels.flatMap((level) =>
      Array.from({ length: Math.ceil(level.length / perLine) }, (_, at) =>
        level.slice(at * perLine, (at + 1) * perLine),
      ),
    );
    return new Map(
      lines.flatMap((line, y) =>
        line.map((name, x) => [name, { x: (x - (line.length - 1) / 2) * 130, y: y * 90 + (x % 2) * 24 }] as const),
      ),
    );
  };

  const container = byId('graph');
  byId('graph-section').hidden = false;
  const graph = cytoscape({ container, style: style(), minZoom: 0.05, maxZoom: 3, layout: { name: 'preset' } });
  const id = (name: string): string => `role ${name}`;

  const draw = (): void => {
    const visible = drawn();
    const places = positions(visible);
    const nodes = [...visible].map((name) => {
      const isFolded = folded.has(name) && only === undefined;
      const label = isFolded ? `${name} (+${reach(name, members).size - 1})` : name;
      const shape = known.get(name)?.['login'] === 'yes' ? 'ellipse' : 'round-rectangle';
      return {
        data: { id: id(name), name, label, shape, folded: isFolded },
        position: { ...(places.get(name) ?? { x: 0, y: 0 }) },
      };
    });
    const edges = memberships.flatMap(({ role = '', member = '', admin }, index) =>
      visible.has(role) && visible.has(member)
        ? [{ data: { id: `edge ${index}`, source: id(member), target: id(role), admin: admin === 'yes' } }]
        : [],
    );
    graph.elements().remove();
    graph.add([...nodes, ...edges]);
    graph.fit(undefined, 30);
    if (graph.zoom() > 1.4) graph.zoom({ level: 1.4, position: { x: 0, y: 0 } });
    graph.center();
    const node = graph.getElementById(id(selected ?? ''));
    node.select();
    // Among very many roles, scroll to the one that was asked for.
    if (node.nonempty() && graph.zoom() < 0.5) graph.zoom(0.9).center(node);
    tell();
  };
  const button = (text: string, work: () => void): HTMLButtonElement =>
    element(
      'button',
      {
        click: () => {
          work();
          draw();
        },
      },
      text,
    );
  const about = byId('graph-about');
  const actions = byId('graph-actions');
  const tell = (): void => {
    if (selected === undefined) {
      about.textContent = `${drawn().size} of ${counted(names.length, 'role')} shown.`;
      actions.replaceChildren();
      return;
    }
    const name = selected;
    const row = known.get(name) ?? {};
    const powers = Object.entries(row).flatMap(([key, value]) => (value === 'yes' ? [key] : []));
    const some = (list: readonly string[] = []): string =>
      list.length === 0
        ? 'nothing'
        : `${list.slice(0, 20).join(', ')}${list.length > 20 ? `, and ${list.length - 20} more` : ''}`;
    about.textContent = `${name}${powers.length > 0 ? ` (${powers.join(', ')})` : ''}: member of ${some(groups.get(name))}; its members: ${some(members.get(name))}`;
    const fold = members.has(name)
      ? [button(folded.has(name) ? 'Unfold it' : 'Fold it', () => void (folded.delete(name) || folded.add(name)))]
      : [];
    actions.replaceChildren(
      ...fold,
      button('Show what is around it alone', () => (only = name)),
    );
  };
  const select = (name: string): void => {
    selected = name;
    if (!drawn().has(name)) {
      only = undefined;
      for (const group of reach(name, groups)) if (group !== name) folded.delete(group);
    }
    draw();
  };
  graph.on('tap', 'node', ({ target }) => {
    const { name, folded: isFolded } = (target as cytoscape.NodeSingular).data() as { name: string; folded: boolean };
    if (isFolded) folded.delete(name);
    select(name);
  });
  byId('graph-tools').append(
    button('Fold all', () => {
      only = undefined;
      for (const name of members.keys()) folded.add(name);
    }),
    button('Unfold all', () => {
      only = undefined;
      folded.clear();
    }),
  );
  const find = byId('graph-find') as HTMLInputElement;
  byId('graph-names').append(...names.map((name) => element('option', { value: name })));
  find.addEventListener('change', () => {
    const wanted = find.value.toLowerCase();
    const name = names.find((each) => each === find.value) ?? names.find((each) => each.toLowerCase().includes(wanted));
    if (wanted !== '' && name !== undefined) select(name);
    else about.textContent = 'No role has that in its name.';
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => void graph.style(style() as never));
  // What is drawn, and where, for tests and for curious readers.
  Object.assign(container, { graph });
  draw();
}
