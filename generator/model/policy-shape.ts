/**
 * Reads the format of a policy from the type Policy: as data for the checks in SQL, and as a JSON Schema.
 */
import { Project, type JSDocableNode, type SourceFile, type TypeNode, SyntaxKind } from 'ts-morph';

export interface Key {
  readonly name: string;
  readonly shape: string;
  readonly required: boolean;
  readonly text: string;
}

/** The types that a value can have, and the shape of what is in it where it can be an object or a list. */
export interface Shape {
  readonly name: string;
  readonly text: string;
  readonly types: readonly string[];
  readonly allowed: readonly string[];
  readonly keys: readonly Key[];
  /** The shape of the values of an object with arbitrary keys. */
  readonly values?: string;
  readonly items?: string;
}

export function readShapes(root: string): ReadonlyMap<string, Shape> {
  const project = new Project({ skipAddingFilesFromTsConfig: true, skipFileDependencyResolution: true });
  const source = project.addSourceFileAtPath(`${root}/generator/model/policy.ts`);
  const shapes = new Map<string, Shape>();
  add(shapes, source, 'Policy');
  return shapes;
}

const textOf = (node: JSDocableNode): string =>
  (node.getJsDocs().at(-1)?.getDescription() ?? '').replaceAll(/\s+/g, ' ').trim();

type Draft = { -readonly [Field in keyof Shape]: Shape[Field] };

function add(shapes: Map<string, Shape>, source: SourceFile, name: string): string {
  if (shapes.has(name)) return name;
  const draft: Draft = { name, text: '', types: [], allowed: [], keys: [] };
  shapes.set(name, draft);
  const declared = source.getInterface(name);
  if (declared !== undefined) {
    draft.text = textOf(declared);
    draft.types = ['object'];
    draft.keys = keysOf(shapes, source, declared.getProperties());
    return name;
  }
  const alias = source.getTypeAlias(name);
  if (alias !== undefined) {
    draft.text = textOf(alias);
    fill(shapes, source, draft, alias.getTypeNodeOrThrow());
  } else draft.types = [name];
  if (name === 'integer') draft.types = ['integer'];
  if (name === 'false') {
    draft.types = ['boolean'];
    draft.allowed = ['false'];
  }
  return name;
}

interface Property extends JSDocableNode {
  getName(): string;
  getTypeNodeOrThrow(): TypeNode;
  hasQuestionToken(): boolean;
}

function keysOf(shapes: Map<string, Shape>, source: SourceFile, properties: readonly Property[]): Key[] {
  return properties.map((property) => ({
    name: property.getName(),
    shape: nameOf(shapes, source, property.getTypeNodeOrThrow()),
    required: !property.hasQuestionToken(),
    text: textOf(property),
  }));
}

/** The shape of a type where it is used: the name of the type, or the type as written there. */
function nameOf(shapes: Map<string, Shape>, source: SourceFile, node: TypeNode): string {
  const written = node.getText();
  if (/^\w+$/.test(written)) return add(shapes, source, written);
  if (!shapes.has(written)) {
    const draft: Draft = { name: written, text: '', types: [], allowed: [], keys: [] };
    shapes.set(written, draft);
    fill(shapes, source, draft, node);
  }
  return written;
}

function fill(shapes: Map<string, Shape>, source: SourceFile, draft: Draft, node: TypeNode): void {
  const parts = node.asKind(SyntaxKind.UnionType)?.getTypeNodes();
  if (parts !== undefined) {
    for (const part of parts) fill(shapes, source, draft, part);
    return;
  }
  const inner = node.asKind(SyntaxKind.TypeOperator)?.getTypeNode() ?? node;
  const array = inner.asKind(SyntaxKind.ArrayType);
  const literal = node.asKind(SyntaxKind.LiteralType)?.getLiteral().asKind(SyntaxKind.StringLiteral);
  const object = node.asKind(SyntaxKind.TypeLiteral);
  const isFalse = node.asKind(SyntaxKind.LiteralType)?.getLiteral().isKind(SyntaxKind.FalseKeyword) ?? false;
  const record = /^Readonly<Record<string, .*>>$/.test(node.getText());
  const also = (type: string): void => {
    if (!draft.types.includes(type)) draft.types = [...draft.types, type];
  };
  if (array !== undefined) {
    also('array');
    draft.items = nameOf(shapes, source, array.getElementTypeNode());
  } else if (literal !== undefined) {
    also('string');
    draft.allowed = [...draft.allowed, literal.getLiteralValue()];
  } else if (object !== undefined) {
    also('object');
    draft.keys = keysOf(shapes, source, object.getProperties());
  } else if (record) {
    const arguments_ = node.asKindOrThrow(SyntaxKind.TypeReference).getTypeArguments();
    const value = arguments_[0]?.asKindOrThrow(SyntaxKind.TypeReference).getTypeArguments()[1];
    if (value === undefined) throw new Error(`no type of the values in ${node.getText()}`);
    also('object');
    draft.values = nameOf(shapes, source, value);
  } else also(isFalse ? 'boolean' : node.getText());
}

/** The data of the checks in SQL: what each shape allows, and the shape of each key, item and value by its place. */
export function shapeData(shapes: ReadonlyMap<string, Shape>): object {
  const number = new Map(
    [...shapes.keys()].map((name, at) => [name, name === 'Policy' ? 'Policy' : isName(name) ? name : `t${at}`]),
  );
  const short = (name: string) => number.get(name) as string;
  const all = [...shapes.values()];
  return {
    types: Object.fromEntries(all.map(({ name, types }) => [short(name), types])),
    allowed: Object.fromEntries(all.flatMap(({ name, allowed }) => (allowed.length ? [[short(name), allowed]] : []))),
    required: Object.fromEntries(
      all.flatMap(({ name, keys }) => {
        const needed = keys.filter(({ required }) => required).map((key) => key.name);
        return needed.length ? [[short(name), needed]] : [];
      }),
    ),
    inside: Object.fromEntries(
      all.flatMap(({ name, keys, values, items }) => [
        ...keys.map((key) => [`${short(name)}.${key.name}`, short(key.shape)]),
        ...(values === undefined ? [] : [[`${short(name)}.*`, short(values)]]),
        ...(items === undefined ? [] : [[`${short(name)}[]`, short(items)]]),
      ]),
    ),
  };
}

const isName = (name: string) => /^\w+$/.test(name);

/** policy.schema.json: JSON Schema, draft 2020-12. */
export function jsonSchema(shapes: ReadonlyMap<string, Shape>): string {
  const definition = ({ text, types, allowed, keys, values, items }: Shape): object => ({
    ...(text === '' ? {} : { description: text }),
    ...(allowed.length > 0
      ? { enum: types.includes('boolean') ? allowed.map((one) => one === 'true') : allowed }
      : { type: types.length === 1 ? types[0] : types }),
    ...(keys.length === 0 && values === undefined ? {} : objectOf(keys, values)),
    ...(items === undefined ? {} : { items: use(items) }),
  });
  const use = (name: string): object => {
    const shape = shapes.get(name) as Shape;
    return isName(name) && shape.text !== '' ? { $ref: `#/$defs/${name}` } : definition(shape);
  };
  const objectOf = (keys: readonly Key[], values: string | undefined): object => {
    const required = keys.filter((key) => key.required).map((key) => key.name);
    return {
      ...(keys.length === 0
        ? {}
        : {
            properties: Object.fromEntries(keys.map((key) => [key.name, { description: key.text, ...use(key.shape) }])),
          }),
      ...(required.length === 0 ? {} : { required }),
      additionalProperties: values === undefined ? false : use(values),
    };
  };
  const named = [...shapes.values()].filter(({ name, text }) => isName(name) && text !== '' && name !== 'Policy');
  return `${JSON.stringify(
    {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      title: 'Policy',
      ...definition(shapes.get('Policy') as Shape),
      $defs: Object.fromEntries(named.map((shape) => [shape.name, definition(shape)])),
    },
    null,
    2,
  )}\n`;
}
