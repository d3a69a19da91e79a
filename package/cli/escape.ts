/**
 * Anybody can choose names in a cluster, so a terminal shows their control characters instead of obeying them.
 */

/** Control characters, marks that reverse the direction of text, and line separators. */
const unsafe = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;
const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const shown = (character: string): string =>
  short[character] ?? `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;

/** Text on one line, with nothing in it that a terminal obeys. */
export const line = (text: string): string => text.replaceAll(unsafe, shown);

/** The same for text of several lines. */
export const lines = (text: string): string =>
  text.replaceAll(unsafe, (character) => (character === '\n' || character === '\t' ? character : shown(character)));

/** JSON in which the characters that a terminal obeys are escaped. Its meaning is the same. */
export const json = (value: unknown): string =>
  JSON.stringify(value, null, 2).replaceAll(unsafe, (character) => (character === '\n' ? character : shown(character)));
