/**
 * Runs the pgTAP files where rolecall is installed in another way than by CREATE EXTENSION as a superuser. There, some
 * tests cannot pass: `exceptions` has them, with the reason; whatever else fails is a failure.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext } from 'node:test';
import { parseTap, splitStatements } from './tap.ts';

/** Runs one statement; returns the first column of its rows. */
export type Query = (statement: string) => Promise<unknown[]>;

/** Reasons, and what they are the reason for: texts of failed tests or of statements in one file; '' is all of it. */
export type Exceptions = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

const asLiteral = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const folder = join(import.meta.dirname, '../pgtap');

/** The files, without the extension's own; TAP in the environment is a part of their paths. */
export const pgTapFiles = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.sql') && path !== 'helpers.sql' && path.includes(process.env.TAP ?? ''))
  .sort();

/**
 * What a way to install can break is met by these: an object that is missing or somebody else's, a contrib module, an
 * event trigger, a table that is not writable, the loop that calls run in, what reads the catalogs. Where the
 * functions and the caller's rights are the same as after CREATE EXTENSION, which all files are for, these are
 * enough.
 */
export const someFiles = process.env.TAP
  ? pgTapFiles
  : [
      ...['extension.sql', 'version.sql', 'errors.sql', 'generated/signatures.sql', 'role_name.sql'],
      ...['create_base_roles.sql', 'create_user.sql', 'scram_sha_256.sql', 'generate_password.sql', 'set_secret.sql'],
      ...['provision_reporting_role.sql', 'watch_new_tables.sql', 'audit_role.sql', 'drift.sql', 'converge.sql'],
      ...['record.sql', 'apply.sql'],
    ];
export const helpers = readFileSync(join(folder, 'helpers.sql'), 'utf8');

/**
 * Runs a file; where some of it cannot work here it goes on after an error, so that this does not hide what follows.
 * Each exception that is needed becomes a skipped test; one whose text is not in the file, a failure.
 */
export async function runPgTapFile(
  t: TestContext,
  file: string,
  query: Query,
  exceptions: Exceptions,
  goesOn = exceptions[file] !== undefined,
): Promise<void> {
  const sql = readFileSync(join(folder, file), 'utf8');
  const known = Object.entries(exceptions[file] ?? {}).flatMap(([reason, texts]) =>
    texts.map((text) => ({ reason, text })),
  );
  const failures: string[] = [];
  const skipped = new Map<string, string>();
  const judge = (failure: string, statement = '') => {
    const description = /^not ok \d+ - (.*)/.exec(failure)?.[1] ?? '';
    const exception = known.find(
      ({ text }) =>
        text === '' ||
        description.startsWith(text) ||
        statement.includes(asLiteral(text)) ||
        (/^[A-Z]{5}/.test(text) && statement.includes(text)),
    );
    if (exception === undefined) failures.push(failure);
    else skipped.set(exception.text || file, exception.reason);
  };

  const lines: string[] = [];
  let errors = 0;
  for (const { text, line } of await splitStatements(sql)) {
    // None of these belongs into a subtransaction: the end of one takes SET TRANSACTION back.
    const inPlace =
      !goesOn || /^(BEGIN|ROLLBACK)$|^SET (TRANSACTION|LOCAL transaction_read_only)|SAVEPOINT/i.test(text);
    try {
      if (!inPlace) await query('SAVEPOINT statement');
      lines.push(...(await query(text)).flatMap((first) => String(first ?? '').split('\n')));
      if (!inPlace) await query('RELEASE statement');
    } catch (error) {
      if (!inPlace) await query('ROLLBACK TO statement');
      errors++;
      const { message, code = '' } = error as Error & { code?: string };
      judge(`${file}:${line}: ${code} ${message}`, text);
      if (!goesOn) break;
    }
  }
  for (const failure of parseTap(lines, errors > 0).failures) judge(failure);

  for (const [text, reason] of skipped) await t.test(`${file}: ${text}`, { skip: reason }, () => undefined);
  for (const { text } of known) {
    if (text !== '' && !sql.includes(text.replaceAll("'", "''")) && !sql.includes(text))
      failures.push(`${file} has no test "${text}" any more`);
  }
  if (failures.length > 0) throw new Error(failures.join('\n'));
}
