/**
 * Names in a cluster are anybody's choice, so that what they do to a terminal is shown, not done.
 */

/** Control characters, the marks that turn the direction of text around, and separators of lines. */
const unsafe = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;
const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const shown = (character: string): string =>
  short[character] ?? `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;

/** Text on one line, with nothing in it that a terminal obeys. */
export const line = (text: string): string => text.replaceAll(unsafe, shown);

/** The same for text of several lines. */
export const lines = (text: string): string =>
  text.replaceAll(unsafe, (character) => (character === '\n' || character === '\t' ? character : shown(character)));

/** JSON in which the characters that a terminal obeys have their escapes; it means the same. */
export const json = (value: unknown): string =>
  JSON.stringify(value, null, 2).replaceAll(unsafe, (character) => (character === '\n' ? character : shown(character)));
