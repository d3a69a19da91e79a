/**
 * The groups of functions, from top to bottom, with a folder for each. A function calls functions of its own group and
 * of groups below it, and a file imports in the same way.
 *
 * The checks of calls and of imports and the picture in docs/architecture.md are made from this list.
 */
export const rooms = [
  { name: 'functions', purpose: 'what users call' },
  { name: 'policy', purpose: 'checks policies, and converts them to desired states and back' },
  { name: 'reporting', purpose: 'provisions, renames and restores reporting roles' },
  { name: 'audit', purpose: 'finds what a role can do, and how' },
  { name: 'run', purpose: 'plans, locks, executes, and plans again until nothing is left' },
  { name: 'plan', purpose: 'compares a desired state with the catalogs' },
  { name: 'granting', purpose: 'plans privileges on objects of every kind, present and future' },
  { name: 'reading', purpose: 'plans the access of reporting roles, and watches new tables' },
  { name: 'execute', purpose: 'makes one change, and handles its errors' },
  { name: 'record', purpose: 'remembers what was asked for in this database' },
  { name: 'secrets', purpose: 'the store that no reporting role can read' },
  { name: 'passwords', purpose: 'computes and checks verifiers' },
  { name: 'document', purpose: 'checks names, and the shape of a desired state' },
  { name: 'catalogs', purpose: 'queries of catalogs that several groups use' },
] as const;

export type Room = (typeof rooms)[number]['name'];

/** Position in the list; undefined where no group is called so. */
export function levelOf(room: string | undefined): number | undefined {
  const level = rooms.findIndex(({ name }) => name === room);
  return level < 0 ? undefined : level;
}
