/**
 * The groups of functions, from the top: one folder each. A function calls others of its own group, and of those below;
 * so does a file import.
 *
 * The checks of calls and of imports and the picture in docs/architecture.md are made from this list.
 */
export const rooms = [
  { name: 'functions', purpose: 'what users call' },
  { name: 'policy', purpose: 'policies: what is wrong with one, and the desired state that it is' },
  { name: 'reporting', purpose: 'provisioning and restoring reporting roles' },
  { name: 'audit', purpose: 'what a role can do, and how' },
  { name: 'run', purpose: 'plan, lock, execute, and plan again until nothing is left' },
  { name: 'plan', purpose: 'what differs between a desired state and the catalogs' },
  { name: 'granting', purpose: 'privileges on objects of every kind, now and on those made later' },
  { name: 'reading', purpose: 'what a reporting role reads, now and in tables made later' },
  { name: 'execute', purpose: 'one change, and what becomes of its errors' },
  { name: 'record', purpose: 'what was asked for in this database' },
  { name: 'secrets', purpose: 'the store that no reporting role can read' },
  { name: 'passwords', purpose: 'verifiers, and what goes into them' },
  { name: 'document', purpose: 'names, and the shape of a desired state' },
  { name: 'catalogs', purpose: 'what several others read from the catalogs' },
] as const;

export type Room = (typeof rooms)[number]['name'];

/** Position in the list; undefined where no group is called so. */
export function levelOf(room: string | undefined): number | undefined {
  const level = rooms.findIndex(({ name }) => name === room);
  return level < 0 ? undefined : level;
}
