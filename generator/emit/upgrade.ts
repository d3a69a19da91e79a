/**
 * extension/rolecall--OLD--NEW.sql: the statements that turn the objects of a released version into those of this one.
 *
 * The install script is a list of units, each an object with its comments and its REVOKE. Units that are the same in
 * both versions are left out. A function whose signature stays the same is replaced, so that it keeps its oid and its
 * privileges.
 */
import { product } from '../model/product.ts';
import type { CreateTable, CreateType, Node } from '../sql/nodes.ts';
import { objectComments, print, qualified } from '../sql/print.ts';
import { dollarQuoted, identifier, literal } from '../sql/quote.ts';
import type { SqlFile } from './functions.ts';
import { generatedHeader } from './header.ts';
import { addedColumns, grantsAgain, grantsOf, operatorsAgain, replaced } from './in-place.ts';

interface Unit {
  readonly kind: string;
  /** With its schema. */
  readonly name: string;
  /** The signature of a function, as DROP FUNCTION takes it. */
  readonly signature: string;
  /** The text of a function up to LANGUAGE. While it stays the same, CREATE OR REPLACE is possible. */
  readonly header: string;
  /** The columns of a table, a view or a type, one line each. */
  readonly columns: readonly string[];
  readonly text: string;
}

const squeezed = (text: string) => text.replaceAll(/\s+/g, ' ').trim();

function unit(text: string): Unit {
  const [, kind = '', name = ''] = /^CREATE (SCHEMA|TYPE|TABLE|VIEW|FUNCTION|TRIGGER) ([\w".]+)/m.exec(text) ?? [];
  const between = (pattern: RegExp) => squeezed(pattern.exec(text)?.[1] ?? '');
  return {
    kind: kind.toLowerCase(),
    name,
    signature: between(/^REVOKE ALL ON FUNCTION ([^;]*?)\s+FROM PUBLIC;/m),
    header: between(/^(CREATE FUNCTION [^$]*?)\nLANGUAGE /m),
    columns:
      kind === 'VIEW'
        ? [...text.matchAll(/^COMMENT ON COLUMN [\w".]+\.("?\w+"?)/gm)].map(([, column = '']) => column)
        : (/ AS \(\n(.*?)\n\);| \(\n(.*?)\n\);/s.exec(text) ?? []).slice(1).join('').split(',\n').map(squeezed),
    text,
  };
}

/** The units of an install script by the name of their object. */
function unitsOf(script: string): ReadonlyMap<string, Unit> {
  const texts = script.split(/^-- sql\/.*\n/m).slice(1);
  return new Map(texts.map((text) => unit(text.replace(/\nDO \$installer\$[^]*$/, ''))).map((one) => [one.name, one]));
}

const isPrefix = (before: readonly string[], after: readonly string[]) =>
  before.every((column, at) => column === after[at]);

export function upgradeScript(from: string, released: string, files: readonly SqlFile[]): string {
  const old = unitsOf(released);
  const now = files.map(({ node, text }) => ({ node, unit: unit(text) }));
  // A difference in white space counts too, so that an upgraded database has the same text as a new one.
  const changed = now.filter(({ unit: one }) => (old.get(one.name)?.text ?? '').trim() !== one.text.trim());
  const present = new Map(now.map(({ unit: one }) => [one.name, one]));

  /** Whether an object has to be dropped before it is created. */
  const anew = (before: Unit, after: Unit | undefined): boolean => {
    if (after === undefined) return true;
    if (before.kind === 'function')
      return before.header !== after.header || droppedTypes.some(({ name }) => before.header.includes(name));
    return !isPrefix(before.columns, after.columns) && before.kind !== 'table';
  };
  const of = (kind: string) => [...old.values()].filter((one) => one.kind === kind);
  const droppedTypes = of('type').filter((one) => anew(one, present.get(one.name)));
  const dropped = ['view', 'function', 'type'].flatMap((kind) =>
    of(kind).filter((one) => anew(one, present.get(one.name))),
  );
  const lost = of('table').filter(({ name }) => !present.has(name));
  if (lost.length > 0)
    throw new Error(`the tables ${lost.map(({ name }) => name).join(', ')} are gone: say what becomes of their rows`);

  const isDropped = new Set(dropped.map(({ name }) => name));
  const made = now.filter((one) => changed.includes(one) || isDropped.has(one.unit.name));
  const body = [
    grantsOf(dropped.filter(({ kind }) => kind !== 'type').map(({ name }) => name)),
    ...dropped.map((one) => `  DROP ${one.kind.toUpperCase()} ${one.kind === 'function' ? one.signature : one.name};`),
    ...made.map(({ node, unit: after }) =>
      statements(node, isDropped.has(after.name) ? undefined : old.get(after.name), after),
    ),
    grantsAgain,
    operatorsAgain,
  ].join('\n\n');
  return `${generatedHeader('--')}

\\echo Use "ALTER EXTENSION ${product.name} UPDATE" to load this file. \\quit

-- From ${from} to ${product.version}, for whoever may update the extension.
DO ${dollarQuoted(`${product.name}_upgrade`, `DECLARE\n  v_granted text[];\n  v_grants text[];\n  v_statement text;\nBEGIN\n${body}\nEND`)};
`;
}

/** The statements that turn an older object into the present one, or create it where there is no older one. */
function statements(node: Node, before: Unit | undefined, after: Unit): string {
  switch (node.kind) {
    case 'schema':
      if (before !== undefined) return print(node).replace(/^CREATE .*\n+/, '');
      return print(node);
    case 'function':
      return before === undefined ? print(node) : keepingPrivileges(replaced(node));
    case 'view':
      return before === undefined
        ? print(node)
        : keepingPrivileges(print(node).replace(/^CREATE VIEW /m, 'CREATE OR REPLACE VIEW '));
    case 'type':
      return before === undefined ? print(node) : attributes(node, before, after);
    case 'table':
      return before === undefined ? newTable(node) : table(node, before, after);
    case 'trigger':
      return `  DROP TRIGGER IF EXISTS ${identifier(node.name)} ON ${qualified({ ...node, name: node.table })};\n\n${print(node)}`;
  }
}

const keepingPrivileges = (text: string) => text.replaceAll(/\n+REVOKE ALL ON [^;]*;/g, '');

function attributes(node: CreateType, before: Unit, after: Unit): string {
  const added = after.columns.slice(before.columns.length).map((column) => `ADD ATTRIBUTE ${column}`);
  const alter = added.length === 0 ? '' : `ALTER TYPE ${after.name} ${added.join(', ')};\n`;
  return `${alter}${objectComments(node).join('\n')}`;
}

function newTable(node: CreateTable): string {
  const dump = `PERFORM pg_catalog.pg_extension_config_dump(${literal(qualified(node))}, '');`;
  return `${print({ ...node, dumped: false })}${node.dumped ? `\n\n${dump}` : ''}`;
}

function table(node: CreateTable, before: Unit, after: Unit): string {
  const same = before.columns.every((column) => after.columns.includes(column));
  const others = (text: string) =>
    [...text.matchAll(/^(CREATE INDEX|SELECT) .*$/gm)]
      .map(([line]) => line)
      .sort()
      .join('\n');
  if (!same || others(before.text) !== others(after.text))
    throw new Error(`${after.name} has other columns or indexes than before: say what becomes of its rows`);
  return addedColumns(node);
}
