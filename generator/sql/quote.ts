/**
 * The one place where text becomes an SQL identifier, literal or dollar-quoted body.
 */
const plainIdentifier = /^[a-z_][a-z0-9_]*$/;

/**
 * The words that PostgreSQL requires to be quoted as identifiers, among those that this project's own names could be.
 */
const reserved = new Set(['default', 'grant', 'table', 'user', 'all', 'order', 'check', 'references']);

export function identifier(name: string): string {
  return plainIdentifier.test(name) && !reserved.has(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

export function literal(value: string | number | boolean | null): string {
  if (value === null) return 'NULL';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'number') return String(value);
  const quoted = `'${value.replaceAll("'", "''")}'`;
  return value.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

/** A text in pieces that end after a blank and are no longer than the width, where blanks allow that. */
export function folded(value: string, width: number): string[] {
  return value.match(new RegExp(`.{1,${width - 1}}(?: |$)| *[^ ]+(?: |$)`, 'gs')) ?? [''];
}

/** A text as a literal on several lines; SQL joins literals that are separated by line breaks. */
export function wrapped(value: string, width: number): string {
  return folded(value, width - 1).map(literal).join('\n');
}

export function dollarQuoted(tag: string, body: string): string {
  const delimiter = `$${tag}$`;
  if (body.includes(delimiter)) throw new Error(`the body contains its own delimiter ${delimiter}`);
  return `${delimiter}\n${body}\n${delimiter}`;
}
