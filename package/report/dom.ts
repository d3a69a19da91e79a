/// <reference lib="dom" />
/// <reference lib="dom.iterable" />

type Properties = Readonly<Record<string, string | (() => void)>>;

/** Creates an element. Its content is text, never markup. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties))
    if (typeof value === 'string') made.setAttribute(key, value);
    else made.addEventListener(key, value);
  made.append(...children);
  return made;
}

/** `1 row`, `2 rows`. */
export const counted = (number: number, thing: string): string => `${number} ${thing}${number === 1 ? '' : 's'}`;

export const byId = (id: string): HTMLElement => {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`there is no ${id}`);
  return found;
};

/** The rows of a table of the page, by its headings. */
export function rowsOf(id: string): Record<string, string>[] {
  const table = byId(id).querySelector('table');
  const names = [...(table?.querySelectorAll('th') ?? [])].map((heading) => heading.textContent ?? '');
  return [...(table?.tBodies[0]?.rows ?? [])].map((row) =>
    Object.fromEntries(names.map((name, index) => [name, row.cells[index]?.textContent ?? ''])),
  );
}

/** Calls the function once the typing has stopped for a moment. */
export function later(work: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, 100);
  };
}
