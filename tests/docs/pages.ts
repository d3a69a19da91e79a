/** The pages of the repository that people read, and the code in them. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Client } from 'pg';
import { type Cluster, makeDirectory, root, startCluster } from '../support/cluster.ts';
import { isSession, replay, Session } from '../support/psql.ts';
import { splitStatements } from '../support/tap.ts';

/** Whose code is run; the examples of docs/reference.md are run from their specs, see examples.test.ts. */
export const pages = ['README.md', ...fs.readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)]
  .filter((path) => path.endsWith('.md') && path !== 'docs/reference.md')
  .sort();

export interface Block {
  readonly language: string;
  readonly text: string;
  /** The line of the page on which the text begins. */
  readonly line: number;
}

export function read(path: string): string {
  return fs.readFileSync(join(root, path), 'utf8');
}

/** The line after the one that a fence begins on. */
const lineOf = (page: string, index: number) => page.slice(0, index).split('\n').length + 1;

const fence = /^```(\w*)\n(.*?)^```$/gms;

export function blocks(page: string): Block[] {
  return [...page.matchAll(fence)].map(({ 1: language = '', 2: text = '', index }) => {
    return { language, text: text.trimEnd(), line: lineOf(page, index) };
  });
}

/** What the examples of a page take for granted; the database has the extension where this does not say it has not. */
const before: Readonly<Record<string, string>> = {
  'README.md': '',
  'docs/installation.md': '',
  'docs/recipes.md': `CREATE EXTENSION rolecall; CREATE SCHEMA reporting;
    CREATE TABLE patients (id integer PRIMARY KEY, name text); CREATE TABLE tokens (token text)`,
  'docs/security.md': 'CREATE EXTENSION rolecall; SELECT rolecall.create_base_roles(); CREATE ROLE operator',
};

/** A server on which anybody logs in without a password, as sessions do, with the database `app`. */
export async function preparedFor(path: string): Promise<Cluster> {
  const cluster = await startCluster();
  fs.writeFileSync(join(cluster.dataDir, 'pg_hba.conf'), 'host all all 127.0.0.1/32 trust\n');
  // On 14 PUBLIC may create objects in the schema public, and provisioning warns of it.
  const template = await cluster.connect({ database: 'template1' });
  await template.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC');
  await template.end();
  await cluster.createDatabase('app', 'template1');
  const admin = await cluster.connect({ database: 'app' });
  await admin.query('SELECT pg_reload_conf()');
  await admin.query(before[path] ?? 'CREATE EXTENSION rolecall');
  await admin.end();
  return cluster;
}

/** Runs the code of an application: the body of a function, with its imports before it. */
async function runCode(text: string, client: Client): Promise<void> {
  const imports = text.match(/^import .*$/gm) ?? [];
  const body = text.replace(/^import .*$/gm, '');
  const file = join(makeDirectory(), 'block.ts');
  const parameters = 'client, key, password, queryInterface';
  fs.writeFileSync(file, `${imports.join('\n')}\nexport default async (${parameters}) => {\n${body}\n};\n`);
  const block = (await import(pathToFileURL(file).href)) as { default(...values: unknown[]): Promise<void> };
  const queryInterface = { sequelize: { query: (sql: string) => client.query(sql) } };
  await block.default(client, 'a key', 'a password', queryInterface);
}

/**
 * Runs the SQL and the code of a page from its first line to its last, and its sessions with psql. Returns the
 * sessions, each by the line on which it begins, as they are printed now; throws where anything outside of them
 * fails.
 */
export async function rerun(path: string, cluster: Cluster): Promise<Map<number, string>> {
  const printed = new Map<number, string>();
  for (const { language, text, line } of blocks(read(path))) {
    if (isSession(text)) {
      const session = await Session.open(cluster, 'app');
      printed.set(line, await replay(session, text));
      await session.close();
    } else if (language === 'sql') {
      const client = await cluster.connect({ database: 'app' });
      for (const statement of await splitStatements(text)) {
        await client.query(statement.text).catch((error: unknown) => {
          throw new Error(`${path}:${line + statement.line - 1}: ${String(error)}`, { cause: error });
        });
      }
      await client.end();
    } else if (['js', 'ts'].includes(language)) {
      const client = await cluster.connect({ database: 'app' });
      await runCode(text, client).catch((error: unknown) => {
        throw new Error(`${path}:${line}: ${String(error)}`, { cause: error });
      });
      await client.end();
    }
  }
  return printed;
}

/** The page with other texts in the blocks that begin on these lines. */
export function rewritten(page: string, texts: ReadonlyMap<number, string>): string {
  return page.replace(fence, (block, language: string, _text: string, index: number) => {
    const text = texts.get(lineOf(page, index));
    return text === undefined ? block : `\`\`\`${language}\n${text}\n\`\`\``;
  });
}
