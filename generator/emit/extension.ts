/**
 * What PostgreSQL reads: the control file and the install script, which is the SQL files in order.
 */
import { product } from '../model/product.ts';
import { operatorGrants } from '../engine/plan/operators.ts';
import { wrapped } from '../sql/quote.ts';
import { join, raw, sql } from '../sql/template.ts';
import type { SqlFile } from './functions.ts';
import { generatedHeader } from './header.ts';

/** Trusted: whoever has CREATE on the database installs it, and the bootstrap superuser owns what the script creates. */
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
 * What the installer gets where it owns nothing of this: an operator's privileges, to grant on. An upgrade script ends
 * with the same. The installer is read from the catalog: with `@extowner@` in it, no role could run the script that has
 * a quote, a dollar or a backslash in its name.
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
