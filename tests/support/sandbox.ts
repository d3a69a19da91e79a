/**
 * A database with an application in it and the usual pair of reporting roles, for the tests of what these can do.
 *
 * It comes in two kinds: everything by a superuser, or by the owner of the database, who has CREATEROLE and nothing
 * else and has installed the extension. The names of the roles of the second kind begin with "owned".
 */
import fs from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import type { NoticeMessage } from 'pg-protocol/dist/messages.js';
import { type Cluster, until } from './cluster.ts';

export const kinds = ['superuser', 'owner'] as const;
export type Kind = (typeof kinds)[number];
export type Which = 'reporting' | 'raw';

export interface Sandbox {
  readonly kind: Kind;
  readonly database: string;
  /** A superuser's connection, which looks and prepares. */
  readonly admin: Client;
  /** Who provisions. */
  readonly provisioner: Client;
  /** Whose the tables of each schema are: as they log in. */
  readonly owners: Readonly<Record<'reporting' | 'public', Client>>;
  /** The provisioning run; returns its rows, and what the server said. */
  provision(): Promise<{ steps: Step[]; warnings: string[] }>;
  role(which: Which): string;
  login(which: Which): Promise<Client>;
  end(): Promise<void>;
}

export interface Step {
  operation: string;
  target: string;
  statement: string;
  status: string;
  sqlstate: string | null;
}

/** The schema that the role reads, and the one that it does not. */
export const schemas = {
  reporting: { own: 'reporting', other: 'public' },
  raw: { own: 'public', other: 'reporting' },
} as const satisfies Record<Which, { own: string; other: string }>;

/** One of each kind of table, with a row or more in it, by which each is named: `early_table`, `early_view`, … */
export const objects = (schema: string, prefix: string): string => `
  CREATE TABLE ${schema}.${prefix}_table (id integer PRIMARY KEY, name text);
  INSERT INTO ${schema}.${prefix}_table VALUES (1, 'one'), (2, 'two');
  CREATE TABLE ${schema}.${prefix}_partitioned (id integer, name text) PARTITION BY LIST (id);
  CREATE TABLE ${schema}.${prefix}_partition PARTITION OF ${schema}.${prefix}_partitioned FOR VALUES IN (1);
  INSERT INTO ${schema}.${prefix}_partitioned VALUES (1, 'one');
  CREATE VIEW ${schema}.${prefix}_view AS SELECT * FROM ${schema}.${prefix}_table;
  CREATE MATERIALIZED VIEW ${schema}.${prefix}_materialized AS SELECT * FROM ${schema}.${prefix}_table;
  CREATE TABLE ${schema}.${prefix}_copied AS SELECT * FROM ${schema}.${prefix}_table;
  CREATE FOREIGN TABLE ${schema}.${prefix}_foreign (line text) SERVER files OPTIONS (filename 'PG_VERSION')`;
export const readable = ['table', 'partitioned', 'partition', 'view', 'materialized', 'copied', 'foreign'] as const;

/** A table that is withheld, one of its partitions, and what else is not for reports. */
const secrets = (schema: string): string => `
  CREATE TABLE ${schema}.token (id integer, value text); INSERT INTO ${schema}.token VALUES (1, 'withheld');
  CREATE TABLE ${schema}.sessions (id integer, value text) PARTITION BY LIST (id);
  CREATE TABLE ${schema}.sessions_1 PARTITION OF ${schema}.sessions FOR VALUES IN (1);
  INSERT INTO ${schema}.sessions VALUES (1, 'withheld');
  CREATE SEQUENCE ${schema}.numbers;
  CREATE TABLE ${schema}.guarded (id integer); INSERT INTO ${schema}.guarded VALUES (1);
  ALTER TABLE ${schema}.guarded ENABLE ROW LEVEL SECURITY`;
export const withheld = ['token', 'sessions'] as const;

/** Extensions that reach out of the database, or into its files. */
const extensions = ['file_fdw', 'dblink', 'postgres_fdw', 'pageinspect', 'pgrowlocks', 'pg_prewarm'];

/** Lets the superuser `trusted` in without a password. */
async function trust(cluster: Cluster): Promise<void> {
  const admin = await cluster.connect();
  await admin.query('CREATE ROLE trusted SUPERUSER LOGIN');
  const file = join(cluster.dataDir, 'pg_hba.conf');
  const rules = fs.readFileSync(file, 'utf8');
  fs.writeFileSync(file, `local all trusted trust\nhost all trusted 127.0.0.1/32 trust\n${rules}`);
  await admin.query('SELECT pg_reload_conf()');
  await until('the new rules', async () => {
    try {
      await (await cluster.connect({ user: 'trusted', password: '' })).end();
      return true;
    } catch {
      return false;
    }
  });
  await admin.end();
}

async function makeSandbox(cluster: Cluster, kind: Kind): Promise<Sandbox> {
  const owned = kind === 'owner';
  const database = owned ? 'owned' : 'app';
  const names = { provisioner: 'owned_keeper', public: `${database}_application`, reporting: `${database}_etl` };
  const superuser = await cluster.connect();
  for (const name of [names.public, names.reporting]) {
    await superuser.query(`CREATE ROLE ${name} LOGIN PASSWORD 'password'`);
  }
  if (owned) {
    await superuser.query(`CREATE ROLE ${names.provisioner} LOGIN CREATEROLE PASSWORD 'password'`);
    await superuser.query(`GRANT ${names.public}, ${names.reporting} TO ${names.provisioner}`);
    await superuser.query(`CREATE DATABASE ${database} OWNER ${names.provisioner}`);
  } else {
    await cluster.createDatabase(database);
  }
  await superuser.end();

  const login = (user: string) => cluster.connect({ database, user, password: 'password' });
  const admin = await cluster.connect({ database });
  const provisioner = owned ? await login(names.provisioner) : await cluster.connect({ database });
  if (owned) await provisioner.query('CREATE EXTENSION rolecall');
  await provisioner.query(`CREATE SCHEMA reporting; CREATE SCHEMA private;
    CREATE TABLE private.note (value text); INSERT INTO private.note VALUES ('private');
    GRANT ALL ON SCHEMA reporting TO ${names.public}, ${names.reporting};
    GRANT CONNECT ON DATABASE ${database} TO PUBLIC`); // PUBLIC has it anyway, but now it is written out.
  for (const extension of extensions) await admin.query(`CREATE EXTENSION ${extension}`);
  // A way back into the server as a superuser, which nobody was given.
  await admin.query(`CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
    CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '${cluster.port}', dbname '${database}');
    CREATE USER MAPPING FOR PUBLIC SERVER loopback OPTIONS (user 'trusted', password_required 'false');
    GRANT ALL ON SCHEMA public TO ${names.public}, ${names.reporting};
    GRANT USAGE ON FOREIGN SERVER files TO ${names.public}, ${names.reporting};
    GRANT pg_read_server_files TO ${names.public}, ${names.reporting};
    ${owned ? `GRANT USAGE ON FOREIGN SERVER files TO ${names.provisioner};` : ''}
    SELECT lo_from_bytea(4711, 'private')`);
  const owners = { public: await login(names.public), reporting: await login(names.reporting) };
  for (const schema of ['public', 'reporting'] as const) {
    await owners[schema].query(`${objects(schema, 'early')}; ${secrets(schema)}`);
  }

  const passwords = new Map<string, string>();
  const role = (which: Which) => `${database}_${which}`;
  const sandbox: Sandbox = {
    kind,
    database,
    admin,
    provisioner,
    owners,
    role,
    async provision() {
      const warnings: string[] = [];
      const listen = (notice: NoticeMessage) => {
        if (notice.severity === 'WARNING') warnings.push(notice.message ?? '');
      };
      provisioner.on('notice', listen);
      const { rows } = await provisioner.query<Step>(
        'SELECT * FROM rolecall.provision_reporting_roles(withheld_tables => $1)',
        [withheld],
      );
      provisioner.off('notice', listen);
      for (const which of ['reporting', 'raw'] as const) {
        const { rows } = await provisioner.query<{ password: string }>(
          'SELECT rolecall.reporting_role_password($1) AS password',
          [role(which)],
        );
        passwords.set(role(which), rows[0]?.password ?? '');
      }
      return { steps: rows, warnings };
    },
    login: (which) => cluster.connect({ database, user: role(which), password: passwords.get(role(which)) ?? '' }),
    async end() {
      await Promise.all([admin, provisioner, owners.public, owners.reporting].map((client) => client.end()));
    },
  };
  return sandbox;
}

/** What each connection's last snapshot has read of each table: the versions of its rows, and the rows. */
const taken = new WeakMap<Client, ReadonlyMap<string, { versions: string | undefined; rows: string[] }>>();

/**
 * Every row of every catalog, table and sequence of the database, each with the name of where it is. To print them
 * takes the server longest, so a table that still has the versions of rows of the last snapshot is not read again. A
 * version of a row does not change, but for those that the server writes over: in pg_class, in pg_database and in
 * sequences.
 */
export async function snapshot(admin: Client): Promise<Set<string>> {
  const { rows: tables } = await admin.query<{ name: string; overwritten: boolean; versions: string; rows: string }>(
    `SELECT c.oid::regclass::text AS name, c.relkind = 'S' OR c.relname IN ('pg_class', 'pg_database') AS overwritten,
       format('SELECT %1$L, string_agg(ctid || $$ $$ || xmin, $$,$$) FROM %1$s', c.oid::regclass) AS versions,
       format(CASE c.relkind WHEN 'S' THEN 'SELECT %1$L, %2$L || (last_value, is_called)::text FROM %1$s'
         ELSE 'SELECT %1$L, %2$L || t::text FROM %1$s AS t' END, c.oid::regclass, c.oid::regclass || ': ') AS rows
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm', 'S') AND n.nspname NOT LIKE 'pg\\_t%' AND n.nspname <> 'information_schema'`,
  );
  const all = async (queries: readonly string[]): Promise<string[][]> =>
    (await admin.query<string[]>({ text: queries.join(' UNION ALL '), rowMode: 'array' })).rows;
  const kept = tables.filter(({ overwritten }) => !overwritten).map(({ versions }) => versions);
  const seen = new Map((await all(kept)).map(([name = '', versions]) => [name, versions]));
  const last = taken.get(admin);
  const isKnown = ({ name, overwritten }: (typeof tables)[number]) =>
    !overwritten && last?.has(name) && last.get(name)?.versions === seen.get(name);
  const now = new Map(
    tables.map((table) => {
      const rows = isKnown(table) ? (last?.get(table.name)?.rows ?? []) : [];
      return [table.name, { versions: seen.get(table.name), rows }];
    }),
  );
  const unread = tables.filter((table) => !isKnown(table)).map(({ rows }) => rows);
  for (const [name = '', row = ''] of await all(unread)) now.get(name)?.rows.push(row);
  taken.set(admin, now);
  return new Set([...now.values()].flatMap(({ rows }) => rows));
}

/** What one of two snapshots has and the other has not. */
export function difference(before: Set<string>, after: Set<string>): string[] {
  return [
    ...[...before].filter((row) => !after.has(row)).map((row) => `- ${row}`),
    ...[...after].filter((row) => !before.has(row)).map((row) => `+ ${row}`),
  ];
}

/** A sandbox of each kind, provisioned; `trusted` may log in to the cluster without a password from then on. */
export async function provisionedSandboxes(cluster: Cluster): Promise<ReadonlyMap<string, Sandbox>> {
  await trust(cluster);
  const sandboxes = new Map<string, Sandbox>();
  for (const kind of kinds) {
    const sandbox = await makeSandbox(cluster, kind);
    sandboxes.set(kind, sandbox);
    await sandbox.provision();
  }
  return sandboxes;
}
