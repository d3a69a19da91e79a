/**
 * Installs rolecall in a database, in the way that the server allows.
 */
import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import type { Queryable } from '../extension/client/rolecall.ts';

const ways = ['extension', 'pg_tle', 'plain'] as const;

/** As an extension from the server's files, as one of pg_tle, or by the plain script. */
export type Way = (typeof ways)[number];

export interface Installation {
  readonly via: Way;
  /** The version that the database has now. */
  readonly version: string;
  /** Whether anything was changed; false if all was there. */
  readonly changed: boolean;
}

interface Found {
  /** Version of the extension in this database. */
  readonly extension: string | null;
  /** Version that CREATE EXTENSION would install from the server's files. */
  readonly files: string | null;
  /** Whether the files lead from the one to the other. */
  readonly update: boolean;
  /** Whether pg_tle is there, and the caller may add an extension to it. */
  readonly tle: boolean;
  /** What the plain script has left. */
  readonly plain: string | null;
}

/**
 * The scripts of the package: for a plain installation, for pg_tle, and to remove a plain installation.
 */
export const scripts = {
  plain: 'rolecall.sql',
  pg_tle: 'rolecall-tle.sql',
  uninstall: 'rolecall-uninstall.sql',
} as const;

/** A script as text. In the package, the one for pg_tle has placeholders for what the archive already contains. */
export async function readScript(which: keyof typeof scripts): Promise<string> {
  const text = await readFile(new URL(`../extension/${scripts[which]}`, import.meta.url), 'utf8');
  if (which !== 'pg_tle' || !/<<rolecall--.*>>/.test(text)) return text;
  const files = filesOf(gunzipSync(await readFile(new URL('../../rolecall.tar.gz', import.meta.url))));
  return text.replaceAll(/<<(rolecall--.*)>>/g, (_, name: string) => files.get(name)?.trimEnd() ?? '');
}

/**
 * The files of a tar archive by their names without folders: a header of 512 bytes before each, and its size in
 * octal.
 */
function filesOf(archive: Buffer): Map<string, string> {
  const files = new Map<string, string>();
  for (let at = 0; archive[at] !== 0 && at < archive.length;) {
    const name = archive
      .toString('utf8', at, at + 100)
      .replace(/\0.*$/s, '')
      .replace(/^.*\//, '');
    const size = parseInt(archive.toString('latin1', at + 124, at + 135), 8);
    files.set(name, archive.toString('utf8', at + 512, at + 512 + size));
    at += 512 * (1 + Math.ceil(size / 512));
  }
  return files;
}

/** Reads catalogs that everybody may read; a function such as to_regprocedure() fails in a schema without USAGE. */
const look = `SELECT e.extversion AS extension, a.default_version AS files,
  EXISTS (
    SELECT FROM pg_catalog.pg_extension_update_paths(a.name) AS u
    WHERE u.source = e.extversion AND u.target = a.default_version AND u.path IS NOT NULL
  ) AS update,
  EXISTS (
    SELECT FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = 'pgtle' AND p.proname = 'install_extension'
      AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
  ) AS tle,
  pg_catalog.obj_description(pg_catalog.to_regnamespace('rolecall_internal'), 'pg_namespace') AS plain
FROM (SELECT) AS one
LEFT JOIN pg_catalog.pg_extension AS e ON e.extname = 'rolecall'
LEFT JOIN pg_catalog.pg_available_extensions AS a ON a.name = 'rolecall'`;

/**
 * CREATE EXTENSION IF NOT EXISTS fails if several sessions run it at once. Ours wait for each other. If it fails
 * because of another session, the extension exists by then.
 */
const createExtension = `DO $do$
BEGIN
  PERFORM pg_catalog.pg_advisory_xact_lock(42, pg_catalog.hashtext('rolecall plain script'));
  CREATE EXTENSION IF NOT EXISTS rolecall;
EXCEPTION
  WHEN unique_violation OR duplicate_object OR duplicate_schema THEN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE e.extname = 'rolecall') THEN
      RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM;
    END IF;
END
$do$`;

/**
 * Installs rolecall if it is missing, updates it if it is older, and otherwise does nothing. Many processes may call it
 * at once, and within a transaction.
 *
 * It is installed as an extension if the server has its files, or has pg_tle and the caller may use that. Otherwise it
 * is installed by the plain script, which requires only CREATE on the database. An installation stays of the kind that
 * it is.
 *
 * @param options.via install in this way and no other
 * @throws TypeError if `via` is none of the three
 */
export async function install(
  database: Queryable,
  options: { readonly via?: Way | undefined } = {},
): Promise<Installation> {
  if (options.via !== undefined && !ways.includes(options.via)) {
    throw new TypeError(`via must be ${ways.join(', ')} or left out, not ${JSON.stringify(options.via)}`);
  }
  const find = async (): Promise<Found> => (await database.query(look, [])).rows[0] as Found;
  const before = await find();
  const via = options.via ?? chosen(before);
  if (via === 'plain') {
    const script = await readScript('plain');
    const mark = markOf(script);
    const changed = before.plain !== mark;
    if (changed) await database.query(script, []);
    return { via, version: mark.split(' ')[0] ?? '', changed };
  }
  if (via === 'pg_tle') await database.query(await readScript('pg_tle'), []);
  if (before.extension === null) await database.query(createExtension, []);
  else if (before.update || via === 'pg_tle') await database.query('ALTER EXTENSION rolecall UPDATE', []);
  const version = (await find()).extension ?? '';
  return { via, version, changed: version !== before.extension };
}

/** What a database has of rolecall. */
export interface Installed {
  /** How it was installed; null if it is not. */
  readonly via: Way | null;
  readonly version: string | null;
  /** The version that install() would leave there. */
  readonly available: string;
  /** Whether install() would change nothing. */
  readonly current: boolean;
}

/** Looks at what is installed, and changes nothing. */
export async function installed(database: Queryable): Promise<Installed> {
  const found = (await database.query(look, [])).rows[0] as Found;
  const mark = markOf(await readScript('plain'));
  const scripted = mark.split(' ')[0] ?? '';
  const way = chosen(found);
  const there = found.extension !== null || found.plain !== null;
  const available =
    way === 'plain' ? scripted : way === 'extension' ? (found.files ?? found.extension ?? '') : scripted;
  return {
    via: there ? way : null,
    version: found.extension ?? found.plain?.split(' ')[0] ?? null,
    available,
    current: way === 'plain' ? found.plain === mark : found.extension === available,
  };
}

const markOf = (script: string): string => /'(\S+ by the plain script \w+)'/.exec(script)?.[1] ?? '';

/** Removes rolecall with all that it remembers; the roles and their privileges stay. */
export async function uninstall(database: Queryable): Promise<Installed> {
  const before = await installed(database);
  if (before.via === 'plain') await database.query(await readScript('uninstall'), []);
  else if (before.via !== null) await database.query('DROP EXTENSION rolecall', []);
  return before;
}

function chosen({ extension, files, tle, plain }: Found): Way {
  if (extension !== null) return files !== null || !tle ? 'extension' : 'pg_tle';
  if (plain !== null) return 'plain';
  if (files !== null) return 'extension';
  return tle ? 'pg_tle' : 'plain';
}
