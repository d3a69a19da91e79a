/**
 * extension/rolecall-tle.sql: registers the install script and the upgrade scripts, unchanged, with pg_tle. CREATE
 * EXTENSION and ALTER EXTENSION ... UPDATE then work in that database as they do with files.
 */
import { product } from '../model/product.ts';
import { dollarQuoted, literal } from '../sql/quote.ts';
import { generatedHeader } from './header.ts';

export interface Upgrade {
  readonly from: string;
  readonly to: string;
  readonly text: string;
}

const quoted = (text: string) => dollarQuoted('rolecall_script', text.trimEnd());

export function tleScript(install: string, upgrades: readonly Upgrade[]): string {
  const version = literal(product.version);
  const name = literal(product.name);
  const body = `BEGIN
  PERFORM pg_catalog.pg_advisory_xact_lock(42, pg_catalog.hashtext('${product.name} plain script'));
  IF pg_catalog.to_regprocedure('pgtle.install_extension(text, text, text, text, text[])') IS NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'object_not_in_prerequisite_state',
      MESSAGE = 'pg_tle is not installed in this database',
      HINT = 'Run CREATE EXTENSION pg_tle, or use ${product.name}.sql.';
  ELSIF EXISTS (
    SELECT FROM pgtle.available_extension_versions() AS v WHERE v.name::text = ${name} AND v.version::text = ${version}
  ) THEN
    RETURN;
  ELSIF NOT EXISTS (SELECT FROM pgtle.available_extensions() AS e WHERE e.name::text = ${name}) THEN
    PERFORM pgtle.install_extension(${name}, ${version}, ${literal(product.abstract)}, v_script);
  ELSE
    PERFORM pgtle.install_extension_version_sql(${name}, ${version}, v_script);
  END IF;
${upgrades.map(path).join('')}  PERFORM pgtle.set_default_version(${name}, ${version});
END`;
  const declarations = `DECLARE\n  v_script CONSTANT text := ${quoted(install)};\n`;
  return `${generatedHeader('--')}

-- Makes ${product.name} ${product.version} known to pg_tle in this database; run CREATE EXTENSION ${product.name}, or
-- ALTER EXTENSION ${product.name} UPDATE, afterwards. It requires the role pgtle_admin. Running it again does
-- nothing.

DO ${dollarQuoted(`${product.name}_tle`, declarations + body)};
`;
}

function path({ from, to, text }: Upgrade): string {
  return `  IF NOT EXISTS (
    SELECT FROM pgtle.extension_update_paths('${product.name}') AS p
    WHERE p.source::text = ${literal(from)} AND p.target::text = ${literal(to)} AND p.path::text = '${from}--${to}'
  ) THEN
    PERFORM pgtle.install_update_path('${product.name}', ${literal(from)}, ${literal(to)}, ${quoted(text)});
  END IF;
`;
}
