/**
 * Templates for SQL text. `${...}` takes an expression, a fragment or a list of them, never a bare string: that
 * would be text of unknown quoting. A fragment of several lines keeps the indentation of the place it is put in.
 */
import { literal } from './quote.ts';

export class Sql {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** The type includes strings because arguments of specs may have string defaults; a string as a value is refused. */
export type Part = Sql | string | number | boolean | null | readonly (Sql | string)[];

export function sql(strings: TemplateStringsArray, ...parts: readonly Part[]): Sql {
  // The raw text: a backslash in a template is a backslash in SQL.
  let text = strings.raw[0] ?? '';
  parts.forEach((part, index) => {
    const indentation = /(?:^|\n)([ ]*)[^\n]*$/.exec(text)?.[1] ?? '';
    text += render(part).replaceAll('\n', `\n${indentation}`) + (strings.raw[index + 1] ?? '');
  });
  return new Sql(dedent(text));
}

export function raw(text: string): Sql {
  return new Sql(text);
}

export function text(value: string): Sql {
  return new Sql(literal(value));
}

export function join(parts: readonly Sql[], separator = ', '): Sql {
  return new Sql(parts.map((part) => part.text).join(separator));
}

function render(part: Part): string {
  if (part instanceof Sql) return part.text;
  if (typeof part === 'string') throw new Error(`a bare string in a template: ${part}`);
  if (part !== null && typeof part === 'object') return part.map(render).join('\n');
  return literal(part);
}

function dedent(source: string): string {
  const lines = source.replace(/^\n/, '').replace(/\n[ ]*$/, '').split('\n');
  const margins = lines.filter((line) => line.trim() !== '').map((line) => /^ */.exec(line)?.[0].length ?? 0);
  const margin = Math.min(...margins);
  return lines.map((line) => line.slice(margin).trimEnd()).join('\n');
}
