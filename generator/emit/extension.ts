/**
 * The files that CREATE EXTENSION reads: the control file, and the install script, which is the SQL files in order.
 */
import { product } from '../model/product.ts';
import { operatorGrants } from '../engine/plan/operators.ts';
import { wrapped } from '../sql/quote.ts';
import { join, raw, sql } from '../sql/template.ts';
import type { SqlFile } from './functions.ts';
import { generatedHeader } from './header.ts';

/**
 * The extension is trusted: any role with CREATE on the database can install it, and the bootstrap superuser owns its
 * objects.
 */
export function controlFile(): string {
  return `${generatedHeader('#')}
comment = '${product.abstract.replaceAll("'", "''")}'
default_version = '${product.version}'
relocatable = false
schema = pg_catalog
superuser = true
trusted = true
`;
}

export function installScript(files: readonly SqlFile[]): string {
  return `${[
    generatedHeader('--'),
    '\\echo Use "CREATE EXTENSION rolecall" to load this file. \\quit',
    ...files.map((file) => `-- ${file.path}\n${file.text}`),
    installerGrants(),
  ].join('\n\n')}\n`;
}

/**
 * Grants the installer, who does not own the objects of a trusted extension, the privileges of an operator WITH GRANT
 * OPTION. An upgrade script ends with the same statements. The catalog says who the installer is, because
 * `@extowner@` in a script fails for a role whose name has a quote, a dollar sign or a backslash.
 */
export function installerGrants(): string {
  const grants = operatorGrants.map(
    (format) => sql`
      EXECUTE pg_catalog.format(
        ${raw(wrapped(`${format} WITH GRANT OPTION`, 100))},
        v_installer
      );
    `,
  );
  return sql`
    DO $installer$
    DECLARE
      v_installer text := (
        SELECT pg_catalog.pg_get_userbyid(e.extowner) FROM pg_catalog.pg_extension AS e
        WHERE e.extname = 'rolecall' AND e.extowner <> (SELECT n.nspowner FROM pg_catalog.pg_namespace AS n
                                                        WHERE n.nspname = 'rolecall')
      );
    BEGIN
      IF v_installer IS NOT NULL THEN
        ${join(grants, '\n')}
      END IF;
    END
    $installer$;
  `.text;
}
