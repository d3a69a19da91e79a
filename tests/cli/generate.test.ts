/**
 * The SQL of generate: run again, by several at once, by a role that is no superuser, and with names that are meant badly.
 */
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { expectStatus } from './support.ts';

const cluster = await startCluster();
after(() => cluster.stop());
const database = await cluster.createDatabase('plain', 'template1');
const admin = await cluster.connect({ database });
after(() => admin.end());
const generate = async (...parameters: string[]): Promise<string> =>
  (await expectStatus(0, ['generate', ...parameters])).stdout;
/** Transactions that have written something have a number. */
const writes = async (sql: string): Promise<boolean> => {
  const { rows } =
    (await admin.query('BEGIN'),
    await admin.query(sql),
    await admin.query<{ wrote: boolean }>('SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS wrote'));
  await admin.query('COMMIT');
  return rows[0]?.wrote ?? false;
};

test('base roles and a user, by eight sessions at once, and again', async () => {
  const sql =
    (await generate('base-roles', '--anonymous', 'g_anon')) + (await generate('user', 'g_user', '--grant', 'g_anon'));
  const sessions = await Promise.all(Array.from({ length: 8 }, () => cluster.connect({ database })));
  await Promise.all(sessions.map((session) => session.query(sql).finally(() => session.end())));
  const { rows } = await admin.query(
    "SELECT rolname AS name, rolbypassrls AS bypass, rolcanlogin AS login FROM pg_roles WHERE rolname ~ '^g_|^a.*r$' ORDER BY 1",
  );
  assert.deepEqual(rows, [
    { name: 'administrator', bypass: true, login: false },
    { name: 'g_anon', bypass: false, login: false },
    { name: 'g_user', bypass: false, login: true },
  ]);
  assert.equal(await writes(sql), false);
  await admin.query('ALTER ROLE g_anon LOGIN CREATEDB; REVOKE g_anon FROM g_user');
  assert.equal(await writes(sql), true);
  assert.equal(await writes(sql), false);
});

test('a caller that cannot give BYPASSRLS gets the rest', async () => {
  await admin.query("CREATE ROLE g_keeper LOGIN CREATEROLE PASSWORD 'x'");
  const keeper = await cluster.connect({ database, user: 'g_keeper', password: 'x' });
  const warnings: (string | undefined)[] = [];
  keeper.on('notice', ({ hint }) => warnings.push(hint));
  await keeper.query(
    await generate('base-roles', '--anonymous', 'k1', '--authenticated', 'k2', '--administrator', 'k3'),
  );
  await keeper.end();
  assert.deepEqual(warnings, ['ALTER ROLE "k3" BYPASSRLS']);
});

test('a reporting role reads what is there and what comes, but what is withheld', async () => {
  await admin.query(`CREATE ROLE g_owner; CREATE SCHEMA "re ports" AUTHORIZATION g_owner; SET ROLE g_owner;
    CREATE TABLE "re ports".sums (); CREATE TABLE "re ports".tokens (); RESET ROLE`);
  const sql = await generate(
    ...['reporting', 'g_reader', '--schema', 're ports', '--withhold', '"re ports".tokens', '--owner', 'g_owner'],
  );
  await admin.query(sql);
  assert.equal(await writes(sql), false);
  await admin.query('SET ROLE g_owner; CREATE TABLE "re ports".later (); RESET ROLE');
  const { rows } = await admin.query(
    `SELECT c.relname AS name FROM pg_class AS c WHERE c.relnamespace = '"re ports"'::regnamespace
       AND has_table_privilege('g_reader', c.oid, 'SELECT') ORDER BY 1`,
  );
  assert.deepEqual(rows, [{ name: 'later' }, { name: 'sums' }]);
});

test('names are values', async () => {
  for (const name of ['"; DROP ROLE g_user; --', "o'neil\\", '$rolecall$', '%I', 'a\nb']) {
    await admin.query(await generate('user', '--grant', 'g_anon', '--', name));
    const { rowCount } = await admin.query('SELECT FROM pg_roles WHERE rolname = ANY ($1)', [[name, 'g_user']]);
    assert.equal(rowCount, 2, name);
  }
  for (const parameters of [
    ['user', ''],
    ['user', 'pg_x'],
    ['user', 'x'.repeat(64)],
    ['user', 'public'],
  ])
    await expectStatus(2, ['generate', ...parameters]);
  await expectStatus(2, ['generate', 'base-roles', '--anonymous', 'administrator']);
  await expectStatus(2, ['generate', 'reporting', 'r']);
  await expectStatus(2, ['generate', 'reporting', 'r', '--schema', 's', '--withhold', 's.t; DROP TABLE u']);
});
