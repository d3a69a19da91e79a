/**
 * The picture in docs/architecture.md: the groups of functions and the calls between them. The rest of that page is
 * written by hand.
 */
import { rooms } from '../model/rooms.ts';
import { callsIn, type CallGraph } from '../verify/calls.ts';

const begin = '<!-- begin of the picture that "make build" draws -->';
const end = '<!-- end of the picture -->';

/** The page with today's picture between the two markers. */
export function architecturePage(page: string, graph: CallGraph): string {
  const [before, after] = [page.indexOf(begin), page.indexOf(end)];
  if (before < 0 || after < before) throw new Error(`docs/architecture.md: no line ${begin} before a line ${end}`);
  return `${page.slice(0, before)}${begin}\n\n\`\`\`mermaid\n${picture(graph)}\n\`\`\`\n\n${page.slice(after)}`;
}

/** The picture in Mermaid: a box for each group, and between two groups an arrow with the number of calls. */
export function picture(graph: CallGraph): string {
  const calls = new Map<string, Set<string>>();
  for (const { caller, callee } of callsIn(graph)) {
    const arrow = `${caller.room} ${callee.room}`;
    calls.set(arrow, (calls.get(arrow) ?? new Set()).add(`${caller.name} ${callee.name}`));
  }
  const boxes = rooms.map(({ name, purpose }) => `  ${name}["<b>${name}</b><br>${purpose}"]`);
  const arrows = rooms.flatMap((from) =>
    rooms.flatMap((to) => {
      const between = calls.get(`${from.name} ${to.name}`);
      return between === undefined || from === to ? [] : [`  ${from.name} -->|${between.size}| ${to.name}`];
    }),
  );
  return ['flowchart TD', ...boxes, ...arrows].join('\n');
}
