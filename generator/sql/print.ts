/**
 * Prints a node. A function, type, table or view is printed together with its comment and its REVOKE, so that
 * neither an install script nor an upgrade script can have the one without the other.
 */
import { dollarQuoted, folded, identifier, literal, wrapped } from './quote.ts';
import type { CreateFunction, CreateTable, CreateTrigger, CreateType, CreateView, Node } from './nodes.ts';

export function print(node: Node): string {
  switch (node.kind) {
    case 'schema':
      return [
        `CREATE SCHEMA ${identifier(node.name)};`,
        commentOn(`SCHEMA ${identifier(node.name)}`, node.comment),
      ].join('\n\n');
    case 'type':
      return printType(node);
    case 'table':
      return printTable(node);
    case 'view':
      return printView(node);
    case 'function':
      return printFunction(node);
    case 'trigger':
      return printTrigger(node);
  }
}

/** A name with its schema. */
export function qualified({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${identifier(schema)}.${identifier(name)}`;
}

export function signature(node: CreateFunction): string {
  return `${qualified(node)}(${node.arguments.map((argument) => argument.type).join(', ')})`;
}

function printFunction(node: CreateFunction): string {
  const target = signature(node);
  return [
    [
      ...(node.remarks === '' ? [] : comment(node.remarks)),
      printHead(node),
      `LANGUAGE plpgsql ${node.volatility}${node.strict ? ' STRICT' : ''} PARALLEL ${node.parallel} SECURITY INVOKER${node.rows === undefined ? '' : ` ROWS ${node.rows}`}`,
      ...node.settings.map((settings) =>
        Object.entries(settings).map(([name, value]) => `SET ${name} = ${value}`).join(' '),
      ),
      `AS ${dollarQuoted(node.name, node.body)};`,
    ].join('\n'),
    [commentOn(`FUNCTION ${target}`, node.comment), revokeFromPublic(`FUNCTION ${target}`)].join('\n'),
  ].join('\n\n');
}

/** No line of SQL is longer. */
export const lineWidth = 120;

function commentOn(object: string, text: string): string {
  const line = `COMMENT ON ${object} IS ${literal(text)};`;
  if (line.length <= lineWidth) return line;
  return `COMMENT ON ${brokenAt(object, 'COMMENT ON ')}\n  IS ${wrapped(text, lineWidth - 6).replaceAll('\n', '\n     ')};`;
}

function revokeFromPublic(object: string): string {
  const line = `REVOKE ALL ON ${object} FROM PUBLIC;`;
  return line.length <= lineWidth ? line : `REVOKE ALL ON ${brokenAt(object, 'REVOKE ALL ON ')}\n  FROM PUBLIC;`;
}

/** A signature; where a line is too short for it, the types are on lines of their own. */
function brokenAt(object: string, before: string): string {
  return before.length + object.length <= lineWidth ? object : object.replace(/\((.*)\)$/, '(\n  $1\n)');
}

function comment(text: string): string[] {
  // Paragraphs and items of lists, wrapped again.
  const parts = text.replaceAll(/(?<!\n)\n *(?=[^\n* ])/g, ' ').split('\n');
  return parts.flatMap((part) => {
    const hanging = part.startsWith('* ') ? '  ' : '';
    const lines = folded(part, lineWidth - 3 - hanging.length);
    return lines.map((line, index) => `-- ${index === 0 ? '' : hanging}${line}`.trimEnd());
  });
}

/** On one line where it fits, otherwise with a line for each argument and each column. */
function printHead(node: CreateFunction): string {
  const list = node.arguments.map(
    (argument) =>
      `${identifier(argument.name)} ${argument.type}${argument.default === undefined ? '' : ` DEFAULT ${argument.default}`}`,
  );
  const start = `CREATE FUNCTION ${qualified(node)}`;
  const flat = `${start}(${list.join(', ')})`;
  const returns = `RETURNS ${node.returns.replace(/\s+/g, ' ').replace('( ', '(').replace(' )', ')')}`;
  if (flat.length + 1 + returns.length <= lineWidth) return `${flat} ${returns}`;
  const shown = returns.length <= lineWidth ? returns : `RETURNS ${node.returns}`;
  return flat.length <= lineWidth ? `${flat}\n${shown}` : `${start}(\n  ${list.join(',\n  ')}\n)\n${shown}`;
}

function printType(node: CreateType): string {
  return [
    `CREATE TYPE ${qualified(node)} AS (\n${node.columns
      .map((column) => `  ${identifier(column.name)} ${column.type}`)
      .join(',\n')}\n);`,
    ...objectComments(node),
  ].join('\n\n');
}

function printTable(node: CreateTable): string {
  return [
    `CREATE TABLE ${qualified(node)} (\n${node.columns
      .map((column) => `  ${identifier(column.name)} ${column.type}${column.constraint ? ` ${column.constraint}` : ''}`)
      .join(',\n')}\n);`,
    ...objectComments(node),
    ...node.indexes.map(
      (index) =>
        `CREATE INDEX ON ${qualified(node)} (${index.on})${index.where === undefined ? '' : ` WHERE ${index.where}`};`,
    ),
    revokeFromPublic(`TABLE ${qualified(node)}`),
    ...(node.dumped ? [`SELECT pg_catalog.pg_extension_config_dump(${literal(qualified(node))}, '');`] : []),
  ].join('\n\n');
}

function printView(node: CreateView): string {
  return [
    // A security barrier, so that no condition of a query sees a row that the view does not show.
    `CREATE VIEW ${qualified(node)} WITH (security_barrier) AS\n${node.query};`,
    ...objectComments(node),
    revokeFromPublic(`TABLE ${qualified(node)}`),
  ].join('\n\n');
}

function printTrigger(node: CreateTrigger): string {
  const table = qualified({ schema: node.schema, name: node.table });
  const name = identifier(node.name);
  return [
    `CREATE TRIGGER ${name}\n  BEFORE INSERT OR UPDATE ON ${table}\n  FOR EACH ROW EXECUTE FUNCTION ${node.calls}();`,
    `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${name};`,
    commentOn(`TRIGGER ${name} ON ${table}`, node.comment),
  ].join('\n\n');
}

/** The comment on the object, and those on its columns. */
export function objectComments(node: CreateType | CreateTable | CreateView): string[] {
  const lines = node.columns.map((column) =>
    commentOn(`COLUMN ${qualified(node)}.${identifier(column.name)}`, column.comment),
  );
  return [commentOn(`${node.kind.toUpperCase()} ${qualified(node)}`, node.comment), lines.join('\n')];
}
