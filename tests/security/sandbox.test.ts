/**
 * The sandbox of a reporting role, by logging in as it: it reads what it is to read, whoever created it and when, and
 * everything else fails and changes nothing.
 *
 * Every attempt begins with the setting `default_transaction_read_only` turned off, as any session may.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { type Cluster, startCluster } from '../support/cluster.ts';
import {
  difference,
  kinds,
  objects,
  provisionedSandboxes,
  readable,
  type Sandbox,
  schemas,
  snapshot,
  type Which,
} from '../support/sandbox.ts';
import { attempts } from './attempts.ts';

const major = Number(process.env.PG || 18);
const both = ['reporting', 'raw'] as const satisfies Which[];

let cluster: Cluster;
let sandboxes: ReadonlyMap<string, Sandbox> = new Map();
const sandboxOf = (kind: string): Sandbox => sandboxes.get(kind) as Sandbox;

before(async () => {
  cluster = await startCluster();
  sandboxes = await provisionedSandboxes(cluster);
});

after(async () => {
  for (const sandbox of sandboxes.values()) await sandbox.end();
  await cluster.stop();
});

/** Runs the work on a connection of its own. */
async function as<T>(sandbox: Sandbox, which: Which, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await sandbox.login(which);
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const count = async (client: Client, from: string): Promise<number> =>
  (await client.query<{ count: number }>(`SELECT count(*)::integer AS count FROM ${from}`)).rows[0]?.count ?? -1;

for (const kind of kinds) {
  test(`${kind}: a second run sets nothing but the passwords that it cannot compare`, async () => {
    const sandbox = sandboxOf(kind);
    const { steps } = await sandbox.provision();
    const passwords = both.map((which) => `set_password ${sandbox.role(which)} applied`);
    assert.deepEqual(
      steps.map(({ operation, target, status }) => `${operation} ${target} ${status}`),
      kind === 'superuser' ? [] : passwords,
    );
  });

  for (const which of both) {
    const { own } = schemas[which];

    test(`${kind}, ${which}: it logs in as itself, a member of nothing`, async () => {
      const sandbox = sandboxOf(kind);
      await as(sandbox, which, async (client) => {
        const { rows } = await client.query(
          `SELECT session_user = current_user AND session_user = $1 AS itself,
                  (SELECT count(*)::integer FROM pg_roles AS r WHERE pg_has_role(r.oid, 'MEMBER')) AS roles,
                  current_setting('default_transaction_read_only') AS read_only, current_schemas(false)::text AS schemas
           FROM pg_roles WHERE rolname = session_user AND NOT rolsuper AND NOT rolcreatedb AND NOT rolcreaterole
             AND NOT rolreplication AND NOT rolbypassrls`,
          [sandbox.role(which)],
        );
        // After its own schema come those of the extensions, which are in public here.
        const path = [...new Set([own, 'public'])].join();
        assert.deepEqual(rows, [{ itself: true, roles: 1, read_only: 'on', schemas: `{${path}}` }]);
        await assert.rejects(client.query(`INSERT INTO early_table VALUES (3, 'three')`), { code: '25006' });
      });
    });

    test(`${kind}, ${which}: it reads every kind of table of its schema, whoever made it and when`, async () => {
      const sandbox = sandboxOf(kind);
      const prefixes = ['early'];
      await as(sandbox, which, async (client) => {
        // In the session that is there already, and without another provisioning run.
        prefixes.push(`${which}_later`);
        await sandbox.owners[own].query(objects(own, `${which}_later`));
        prefixes.push(`${which}_own`);
        await sandbox.provisioner.query(objects(own, `${which}_own`));
        for (const prefix of prefixes) {
          for (const what of readable) {
            assert.ok((await count(client, `${own}.${prefix}_${what}`)) > 0, `${prefix}_${what}`);
            assert.ok((await count(client, `${prefix}_${what}`)) > 0, `${prefix}_${what} by search_path`);
          }
        }
        await client.query('BEGIN');
        await client.query(`DECLARE rows CURSOR FOR SELECT * FROM early_table`);
        assert.equal((await client.query('FETCH ALL FROM rows')).rowCount, 2);
        await client.query('COMMIT');
        assert.equal((await client.query('SELECT name FROM early_table WHERE id = $1', [2])).rows[0].name, 'two');
        // Where row-level security lets nobody see a row, it sees none.
        assert.equal(await count(client, 'guarded'), 0);
      });
    });

    test(`${kind}, ${which}: a view over a withheld table gives its rows away, and the audit says so`, async () => {
      const sandbox = sandboxOf(kind);
      await sandbox.owners[own].query(`CREATE VIEW ${own}.leak AS SELECT value FROM ${own}.token`);
      assert.equal(await as(sandbox, which, (client) => count(client, 'leak')), 1);
      const { rows } = await sandbox.provisioner.query(
        `SELECT severity, object FROM rolecall.audit_role($1) WHERE severity = 'critical'`,
        [sandbox.role(which)],
      );
      assert.deepEqual(rows, [{ severity: 'critical', object: `${own}.leak` }]);
      await sandbox.owners[own].query(`DROP VIEW ${own}.leak`);
    });

    if (major < 15) {
      test(`${kind}, ${which}: before 15 everybody makes objects in the schema public, and the audit says so`, async () => {
        const sandbox = sandboxOf(kind);
        const make = () =>
          as(sandbox, which, async (client) => {
            await client.query('SET default_transaction_read_only = off');
            await client.query('CREATE TABLE public.made ()');
          });
        await make();
        const { rows } = await sandbox.provisioner.query<Record<'severity' | 'path' | 'remedy', string>>(
          `SELECT severity, path, remedy FROM rolecall.audit_role($1) WHERE path ~ '(ownership|schema grant)$' ORDER BY 1`,
          [sandbox.role(which)],
        );
        const me = sandbox.role(which);
        assert.deepEqual(
          rows.map(({ severity, path }) => [severity, path]),
          [
            ['critical', `${me} -> ownership`],
            ['warning', `${me} -> PUBLIC -> schema grant`],
          ],
        );
        await sandbox.admin.query('DROP TABLE public.made');
        await sandbox.admin.query(rows[1]?.remedy ?? '');
        await assert.rejects(make, { code: '42501' });
        await sandbox.admin.query('GRANT CREATE ON SCHEMA public TO PUBLIC');
      });
    }

    let earlier: { rows: Set<string>; files: string[] } | undefined;
    for (const [group, list] of Object.entries(attempts)) {
      test(`${kind}, ${which}: what fails: ${group}`, async () => {
        const sandbox = sandboxOf(kind);
        const { host, port, directory: folder } = cluster;
        earlier ??= { rows: await snapshot(sandbox.admin), files: serverFiles() };
        const wrong: string[] = [];
        const tries = await list({ sandbox, which, major, host, port, folder });
        await as(sandbox, which, async (client) => {
          for (const { run, code } of tries) {
            await client.query('SET default_transaction_read_only = off');
            const got = await outcome(client, run);
            if (got.code !== code) wrong.push(`${run.join('; ')}: ${got.code} ${got.text}, not ${code}`);
            await client.query('ROLLBACK');
            await client.query('DISCARD ALL');
          }
        });
        assert.deepEqual(wrong, []);
        assert.deepEqual(difference(earlier.rows, await snapshot(sandbox.admin)), [], 'it leaves no trace');
        assert.deepEqual(serverFiles(), earlier.files);
        for (const other of [sandbox.provisioner, ...Object.values(sandbox.owners)]) await other.query('SELECT 1');
      });
    }
  }
}

/** The code of the error that ended the statements, or of the warning that was given instead. */
async function outcome(client: Client, statements: readonly string[]): Promise<{ code: string; text: string }> {
  let warning: { code: string; text: string } | undefined;
  client
    .removeAllListeners('notice')
    .on('notice', ({ code = '', message = '' }) => (warning = { code, text: message }));
  for (const [at, statement] of statements.entries()) {
    try {
      await client.query(statement);
    } catch (error) {
      const { code = '', message } = error as { code?: string; message: string };
      return { code: at < statements.length - 1 ? `${code} too early` : code, text: message };
    }
  }
  return warning ?? { code: 'success', text: '' };
}

/** What an attempt could leave outside of the database. */
function serverFiles(): string[] {
  const folders = [cluster.directory, cluster.dataDir];
  const names = folders.flatMap((folder) => fs.readdirSync(folder).map((name) => join(folder, name)));
  return [...names.sort(), fs.readFileSync(join(cluster.dataDir, 'postgresql.auto.conf'), 'utf8')];
}
