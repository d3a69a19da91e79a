/**
 * Reads the function specs with ts-morph: signature from the parameters, documentation from the JSDoc, body from
 * calling the function with references to its own arguments.
 */
import { pathToFileURL } from 'node:url';
import { Project, type FunctionDeclaration, type ParameterDeclaration, SyntaxKind, type TypeNode } from 'ts-morph';
import { identifier, literal } from '../sql/quote.ts';
import type { Argument } from '../sql/nodes.ts';
import { raw, Sql } from '../sql/template.ts';
import { rooms, type Room } from './rooms.ts';
import { sqlTypes } from './types.ts';

export interface Documented {
  readonly name: string;
  readonly text: string;
}

export interface DocumentedArgument extends Argument {
  readonly text: string;
  /** Whether the argument may be null. */
  readonly nullable?: boolean;
}

export interface FunctionSpec {
  readonly name: string;
  /** The folder of generator/engine that the function is in; null: it is public. */
  readonly room: Room | null;
  readonly file: string;
  readonly line: number;
  readonly arguments: readonly DocumentedArgument[];
  readonly returns: string;
  /** Whether the value that it returns can be null though no argument is. */
  readonly nullable?: boolean;
  readonly volatility: 'VOLATILE' | 'STABLE' | 'IMMUTABLE';
  /** STRICT: it returns null, without being called, where an argument is null. */
  readonly strict: boolean;
  /** It looks up single rows, so sequential scans are off: a session may keep a plan from when a table was small. */
  readonly probes: boolean;
  /** The number of rows that the planner expects; without it, 1,000, as for any function that returns a set. */
  readonly rows?: number;
  /** First paragraph of the JSDoc: COMMENT ON FUNCTION. */
  readonly summary: string;
  /** The remaining paragraphs. */
  readonly remarks: string;
  readonly result: string;
  readonly errors: readonly Documented[];
  readonly examples: readonly string[];
  /** The table of README.md that a public function is in. */
  readonly group?: string | undefined;
  /** Why the body may be longer than other bodies. */
  readonly long?: string;
  readonly body: string;
}

const knownTags = new Set([
  'param',
  'returns',
  'throws',
  'example',
  'volatility',
  'strict',
  'probes',
  'long',
  'group',
  'rows',
]);

export class SpecError extends Error {
  constructor(declaration: FunctionDeclaration | ParameterDeclaration, message: string) {
    super(`${declaration.getSourceFile().getFilePath()}:${declaration.getStartLineNumber()}: ${message}`);
  }
}

export async function inspect(root: string): Promise<FunctionSpec[]> {
  const project = new Project({ tsConfigFilePath: `${root}/tsconfig.json`, skipAddingFilesFromTsConfig: true });
  project.addSourceFilesAtPaths([`${root}/generator/functions/*.ts`, `${root}/generator/engine/**/*.ts`]);
  const specs: FunctionSpec[] = [];
  for (const source of project.getSourceFiles()) {
    if (source.getBaseName().startsWith('_')) continue; // what the specs share
    const module = (await import(pathToFileURL(source.getFilePath()).href)) as Record<string, unknown>;
    for (const declaration of source.getFunctions()) {
      if (!declaration.hasExportKeyword()) continue; // isExported() starts the type checker, which takes seconds
      const name = declaration.getNameOrThrow();
      if (declaration.getJsDocs().length === 0) {
        // A function of the engine without JSDoc belongs to the generator: it is not a spec.
        if (source.getDirectory().getBaseName() === 'functions')
          throw new SpecError(declaration, `${name} has no JSDoc`);
        continue;
      }
      if (declaration.getReturnTypeNode() === undefined) throw new SpecError(declaration, `${name} has no return type`);
      specs.push(readSpec(root, declaration, module[name] as (...references: Sql[]) => Sql));
    }
  }
  return specs.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function readSpec(root: string, declaration: FunctionDeclaration, make: (...references: Sql[]) => Sql): FunctionSpec {
  const name = declaration.getNameOrThrow();
  const doc = declaration.getJsDocs()[0];
  const tags = (doc?.getTags() ?? []).map((tag) => ({
    tag: tag.getTagName(),
    node: tag,
    text: tag.getCommentText() ?? '',
  }));
  const [summary = '', ...rest] = (doc?.getDescription() ?? '').trim().split(/\n\s*\n/);
  const parameters = declaration.getParameters();
  const described = new Map(
    tags.flatMap(({ node, text }) =>
      node.isKind(SyntaxKind.JSDocParameterTag) ? [[node.getName(), oneLine(text)] as const] : [],
    ),
  );
  const unknown = [
    ...tags.map(({ tag }) => tag).filter((tag) => !knownTags.has(tag)),
    ...[...described.keys()].filter((one) => !parameters.some((parameter) => parameter.getName() === one)),
  ];
  if (unknown.length > 0) throw new SpecError(declaration, `${name}: the JSDoc has unknown ${unknown.join(', ')}`);
  const one = (tag: string): string => oneLine(tags.find((entry) => entry.tag === tag)?.text ?? '');
  const volatility = (one('volatility') || 'volatile').toUpperCase();
  if (volatility !== 'VOLATILE' && volatility !== 'STABLE' && volatility !== 'IMMUTABLE') {
    throw new SpecError(declaration, `unknown volatility ${volatility}`);
  }
  return {
    name,
    room: roomOf(declaration),
    file: declaration
      .getSourceFile()
      .getFilePath()
      .slice(root.length + 1),
    line: declaration.getStartLineNumber(),
    arguments: parameters.map((parameter) => ({
      ...readArgument(parameter),
      nullable: orNull.test(parameter.getTypeNode()?.getText() ?? ''),
      text: described.get(parameter.getName()) ?? '',
    })),
    returns: readReturns(declaration),
    nullable: orNull.test(returnedType(declaration)?.getText() ?? ''),
    volatility,
    strict: tags.some(({ tag }) => tag === 'strict'),
    probes: tags.some(({ tag }) => tag === 'probes'),
    summary: oneLine(summary),
    remarks: rest.map((paragraph) => paragraph.trim()).join('\n\n'),
    result: one('returns'),
    errors: tags
      .filter(({ tag }) => tag === 'throws')
      .map(({ text }) => {
        const [, condition = '', when = ''] = /^(\S+)\s+(?:-\s+)?([\s\S]*)$/.exec(text) ?? [];
        return { name: condition, text: oneLine(when) };
      }),
    examples: tags.filter(({ tag }) => tag === 'example').map(({ text }) => text.trim()),
    ...(tags.some(({ tag }) => tag === 'group') ? { group: one('group') } : {}),
    ...(tags.some(({ tag }) => tag === 'rows') ? { rows: Number(one('rows')) } : {}),
    ...(tags.some(({ tag }) => tag === 'long') ? { long: one('long') } : {}),
    body: make(...parameters.map((parameter) => raw(`${identifier(name)}.${identifier(parameter.getName())}`))).text,
  };
}

/** How a spec says that a value can be null, as in TypeScript. */
const orNull = /\s*\|\s*null$/;

/**
 * The room of an internal function is its folder in generator/engine/; generator/functions/ has the public functions.
 */
function roomOf(declaration: FunctionDeclaration): Room | null {
  const folder = declaration.getSourceFile().getDirectory();
  if (folder.getParent()?.getBaseName() !== 'engine') return null;
  const room = rooms.find(({ name }) => name === folder.getBaseName());
  if (room === undefined) throw new SpecError(declaration, `model/rooms.ts has no ${folder.getBaseName()}`);
  return room.name;
}

function readArgument(parameter: ParameterDeclaration): Argument {
  const written = parameter.getTypeNode()?.getText() ?? '';
  const type = sqlTypes[written.replace(orNull, '')];
  if (type === undefined) throw new SpecError(parameter, `${parameter.getName()}: no SQL type is called "${written}"`);
  const initializer = parameter.getInitializer();
  if (initializer === undefined) return { name: parameter.getName(), type };
  if (initializer.isKind(SyntaxKind.ArrayLiteralExpression))
    return { name: parameter.getName(), type, default: `'{}'` };
  if (initializer.isKind(SyntaxKind.NullKeyword)) return { name: parameter.getName(), type, default: 'NULL' };
  // The type checker would know the type too, but loading the compiler's libraries takes seconds.
  const literals = [
    SyntaxKind.StringLiteral,
    SyntaxKind.NumericLiteral,
    SyntaxKind.TrueKeyword,
    SyntaxKind.FalseKeyword,
  ] as const;
  const value = literals.map((kind) => initializer.asKind(kind)).find((one) => one !== undefined);
  if (value === undefined) throw new SpecError(parameter, `${parameter.getName()}: default is not a literal`);
  return { name: parameter.getName(), type, default: literal(value.getLiteralValue()) };
}

function readReturns(declaration: FunctionDeclaration): string {
  const node = declaration.getReturnTypeNodeOrThrow();
  const written = node.getText();
  if (written === 'Nothing') return 'void';
  if (written === 'EventTrigger') return 'event_trigger';
  if (written === 'Trigger') return 'trigger';
  const reference = node.asKindOrThrow(SyntaxKind.TypeReference);
  const [inner] = reference.getTypeArguments();
  const outer = reference.getTypeName().getText();
  if (outer === 'Table') {
    const columns = (inner?.asKindOrThrow(SyntaxKind.TypeLiteral).getProperties() ?? []).map((property) => {
      const type = sqlTypes[property.getTypeNode()?.getText() ?? ''];
      if (type === undefined) throw new SpecError(declaration, `no SQL type for column ${property.getName()}`);
      return `  ${identifier(property.getName())} ${type}`;
    });
    return `TABLE (\n${columns.join(',\n')}\n)`;
  }
  const type = sqlTypes[inner?.getText().replace(orNull, '') ?? ''];
  if (type === undefined) throw new SpecError(declaration, `no SQL type is called "${written}"`);
  return outer === 'SetOf' ? `SETOF ${type}` : type;
}

/** The type in `Returns<...>`, `SetOf<...>` or `Table<...>`. */
function returnedType(declaration: FunctionDeclaration): TypeNode | undefined {
  return declaration.getReturnTypeNodeOrThrow().asKind(SyntaxKind.TypeReference)?.getTypeArguments()[0];
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
