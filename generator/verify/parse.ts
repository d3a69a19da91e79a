/**
 * libpg-query's parsers. Each text is parsed once, because several checks read the same trees and none changes them.
 * Its `loadModule()` must have been awaited.
 */
import { parsePlPgSQLSync, parseSync } from 'libpg-query';

function once<Tree>(parse: (text: string) => Tree): (text: string) => Tree {
  const known = new Map<string, Tree>();
  return (text) => {
    const tree = known.get(text) ?? parse(text);
    known.set(text, tree);
    return tree;
  };
}

export const parseSql = once(parseSync);
/** A CREATE FUNCTION in plpgsql. */
export const parseFunction = once(parsePlPgSQLSync);
