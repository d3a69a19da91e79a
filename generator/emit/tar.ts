/**
 * Writes a compressed tar archive. The same files give the same bytes.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { product } from '../model/product.ts';

const block = 512;
const padded = (size: number): number => Math.ceil(size / block) * block;

export function tarball(files: ReadonlyMap<string, string>): Buffer {
  const parts = [...files].flatMap(([path, text]) => {
    const content = Buffer.from(text);
    const data = Buffer.alloc(padded(content.length));
    content.copy(data);
    return [header(path, content.length), data];
  });
  return compressed(Buffer.concat([...parts, Buffer.alloc(2 * block)]));
}

export const compressed = (data: Buffer): Buffer => gzipSync(data, { level: 9 });

/**
 * The files of the extension, where PGlite looks for them: this version and the upgrade scripts to it, without the
 * install scripts of earlier versions.
 */
export function extensionArchive(): Buffer {
  const folder = new URL('../../extension/', import.meta.url);
  const install = `${product.name}--${product.version}.sql`;
  const names = readdirSync(folder).filter(
    (name) => name === install || /^rolecall(\.control|--.*--.*\.sql)$/.test(name),
  );
  const files = names.map((name): [string, string] => [
    `share/postgresql/extension/${name}`,
    readFileSync(new URL(name, folder), 'utf8'),
  ]);
  return tarball(new Map(files));
}

/**
 * A header in the ustar format: fields of a fixed length, numbers in octal, and a checksum that counts its own field
 * as blanks.
 */
function header(path: string, size: number): Buffer {
  if (Buffer.byteLength(path) > 100) throw new Error(`the path ${path} is too long for a tar archive`);
  const bytes = Buffer.alloc(block);
  const octal = (value: number, at: number, length: number) =>
    bytes.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at);
  bytes.write(path);
  octal(0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  bytes.write(' '.repeat(8), 148);
  bytes.write('0', 156);
  bytes.write('ustar\x0000', 257);
  octal(
    bytes.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return bytes;
}
