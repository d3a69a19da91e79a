/**
 * What PostgreSQL reads: the control file and the install script, which is the SQL files in order.
 */
import { product } from '../model/product.ts';
import type { SqlFile } from './functions.ts';
import { generatedHeader } from './header.ts';

export function controlFile(): string {
  return `${generatedHeader('#')}
comment = '${product.abstract.replaceAll("'", "''")}'
default_version = '${product.version}'
relocatable = false
schema = pg_catalog
superuser = false
trusted = false
`;
}

export function installScript(files: readonly SqlFile[]): string {
  return `${[
    generatedHeader('--'),
    '\\echo Use "CREATE EXTENSION rolecall" to load this file. \\quit',
    ...files.map((file) => `-- ${file.path}\n${file.text}`),
  ].join('\n\n')}\n`;
}
