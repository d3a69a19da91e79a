/**
 * The pgTAP files where the plain script has installed rolecall: all by a database owner with CREATEROLE, who also
 * calls it; and some by a superuser, who has all of it but the extension. TAP in the environment is a part of a
 * file's path.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import type { Client } from 'pg';
import { root, startCluster } from '../support/cluster.ts';
import { type Exceptions, helpers, pgTapFiles, type Query, runPgTapFile, someFiles } from '../support/ways.ts';
import { needsExtension, needsSuperuser } from './exceptions.ts';

const owner = 'rolecall_owner';
const script = readFileSync(join(root, 'extension/rolecall.sql'), 'utf8');

const queryOn =
  (client: Client): Query =>
  async (text) =>
    (await client.query<unknown[]>({ text, rowMode: 'array' })).rows.map(([first]) => first);

/**
 * What a test does besides calling rolecall often takes a superuser: to read pg_authid, to become a role. So a
 * statement that is refused to the owner is run by the superuser that has logged in.
 */
function asOwner(query: Query): Query {
  const user = async () => (await query('SELECT session_user || $$ $$ || current_user'))[0];
  const back = async () => {
    if ((await user()) === 'postgres postgres') await query(`SET SESSION AUTHORIZATION ${owner}`);
  };
  return async (text) => {
    try {
      const rows = await query(text);
      if (/\b(ROLE|AUTHORIZATION)\b/.test(text)) await back();
      return rows;
    } catch (error) {
      const { code, message } = error as { code: string; message: string };
      if (code !== '42501' || calls(text, message)) throw error;
      await query('ROLLBACK TO statement');
      const [, role = owner] = String(await user()).split(' ');
      await query('SET SESSION AUTHORIZATION DEFAULT');
      const rows = await query(text);
      await back();
      if (!/^\s*(SET|RESET)\b/.test(text) && role !== owner) await query(`SET ROLE "${role}"`);
      return rows;
    }
  };
}

/** Whether it is rolecall that was refused, and not the test that looks at what it did. */
const calls = (text: string, refusal: string): boolean =>
  /\brolecall\.[a-z]/.test(text) && !/pg_authid|set role/.test(refusal);

const ways: [way: string, installer: string, exceptions: Exceptions, files: readonly string[]][] = [
  ['superuser', 'postgres', needsExtension, someFiles],
  ['owner', owner, merge(needsExtension, needsSuperuser), pgTapFiles],
];

function merge(...all: Exceptions[]): Exceptions {
  const files = new Set(all.flatMap((each) => Object.keys(each)));
  return Object.fromEntries([...files].map((file) => [file, Object.assign({}, ...all.map((each) => each[file]))]));
}

const version = Number(process.env.PG);
// Before 16 CREATEROLE is enough for every role.
if (![14, 18].includes(version))
  test('the plain script', { skip: 'the pgTAP files run in these ways on 14 and 18' }, () => undefined);
else {
  const cluster = await startCluster();
  after(() => cluster.stop());
  const admin = await cluster.connect();
  await admin.query(`CREATE ROLE ${owner} LOGIN CREATEROLE`);

  for (const [way, installer] of ways) {
    const template = await cluster.createDatabase(`plain_${way}`, 'template1');
    await admin.query(`ALTER DATABASE ${template} OWNER TO ${installer}`);
    const maker = await cluster.connect({ database: template });
    await maker.query(`SET SESSION AUTHORIZATION ${installer}`);
    await maker.query(script);
    await maker.query(`RESET SESSION AUTHORIZATION; CREATE EXTENSION pgtap; ${helpers}`);
    // It looks at what the owner may not see.
    if (way === 'owner')
      await maker.query(`ALTER FUNCTION test.state() SECURITY DEFINER; REVOKE EXECUTE ON FUNCTION test.state() FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION test.state() TO ${owner}`);
    await maker.end();
  }

  for (const [way, installer, exceptions, files] of ways) {
    const template = `plain_${way}`;
    for (const file of files) {
      test(`plain script, ${way}: ${file}`, async (t) => {
        const roles = async () => (await admin.query('SELECT rolname FROM pg_roles')).rows as unknown[];
        const before = await roles();
        // Copied as before 15, which is faster than through WAL.
        const strategy = version >= 15 ? 'STRATEGY file_copy' : '';
        await admin.query(`CREATE DATABASE one TEMPLATE ${template} OWNER ${installer} ${strategy}`);
        const client = await cluster.connect({ database: 'one' });
        await client.query(`SET SESSION AUTHORIZATION ${installer}`);
        const query = queryOn(client);
        try {
          if (way === 'owner') await runPgTapFile(t, file, asOwner(query), exceptions, true);
          else await runPgTapFile(t, file, query, exceptions);
        } finally {
          await client.end();
          await admin.query('DROP DATABASE one WITH (FORCE)');
        }
        assert.deepEqual(await roles(), before);
      });
    }
  }
}
