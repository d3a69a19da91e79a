/**
 * A mixed load: about thirty kinds of calls for the same names at once, from several databases, at all isolation
 * levels, beside a database that is created and dropped all the time, backends that are terminated, transactions that
 * sit idle or are prepared, and tables that come and go. No call may fail but by what was done to it, and after each
 * round nothing may be left that no call asked for. `make stress` runs it for minutes,
 * tests/concurrency/mixed.test.ts for moments.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, DatabaseError } from 'pg';
import { type Cluster, until } from './cluster.ts';
import { isolations, verifier } from './race.ts';

/** What the server of a mixed load has to be set to. */
export const mixedSettings = { max_connections: 100, max_prepared_transactions: 20 };

export interface Load {
  readonly cluster: Cluster;
  readonly seed: number;
  readonly connections: number;
  readonly rounds: number;
  readonly secondsPerRound: number;
}

export interface Tally {
  calls: number;
  kinds: Set<string>;
  /** SQLSTATEs of failures that come of what was done to the call, and how often. */
  expected: Map<string, number>;
  /** Others, with the message and the call. */
  failures: Map<string, number>;
}

/** A generator of numbers, so that a run can be repeated as far as the machine allows (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Dice {
  readonly #next: () => number;
  constructor(seed: number) {
    this.#next = numbers(seed);
  }
  below(count: number): number {
    return Math.floor(this.#next() * count);
  }
  chance(probability: number): boolean {
    return this.#next() < probability;
  }
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }
}

/**
 * Operators call in the first two. From 16 on a role belongs to its creator, so their roles have names of their
 * own, and no superuser calls converge() where it would create them.
 */
const databases = ['mixed_one', 'mixed_two', 'mixed_three'] as const;
/** Users and groups come and go. */
const users = (prefix: string) => [0, 1, 2, 3].map((n) => `${prefix}user_${n}`);
const groups = (prefix: string) => [0, 1].map((n) => `${prefix}group_${n}`);
/** These stay. */
const steady = (prefix: string) => [0, 1].map((n) => `${prefix}steady_${n}`);
const operator = 'mixed_operator';
const schemas = ['shown', 'other'] as const;
const withheld = 'tokens';

interface Scene {
  readonly dice: Dice;
  readonly prefix: string;
  readonly database: string;
}

type Kind = (scene: Scene) => string;

/** What both superusers and operators call. */
const common: Readonly<Record<string, Kind>> = {
  create_user: ({ dice, prefix }) => `create_user('${dice.pick(users(prefix))}')`,
  'create_user with a password': ({ dice, prefix }) => `create_user('${dice.pick(users(prefix))}', '${verifier}')`,
  'create_user with locks': ({ dice, prefix }) => `create_user('${dice.pick(users(prefix))}', use_locks => true)`,
  create_user_with_grants: ({ dice, prefix }) =>
    `create_user_with_grants('${dice.pick(users(prefix))}', NULL, '{${groups(prefix).join()}}')`,
  create_test_users: ({ dice, prefix }) =>
    `create_test_users('${dice.pick(users(prefix))}', '${verifier}', '${prefix}user_admin', '${verifier}')`,
  create_client_role: ({ dice, prefix }) => `create_client_role('${dice.pick(groups(prefix))}', '15s')`,
  grant_role: ({ dice, prefix }) => `grant_role('${dice.pick(groups(prefix))}', '${dice.pick(users(prefix))}')`,
  'grant_role with ADMIN': ({ dice, prefix }) =>
    `grant_role('${dice.pick(groups(prefix))}', '${dice.pick(steady(prefix))}', true)`,
  revoke_role: ({ dice, prefix }) => `revoke_role('${dice.pick(groups(prefix))}', '${dice.pick(users(prefix))}')`,
  remove_user: ({ dice, prefix }) => `remove_user('${dice.pick(users(prefix))}')`,
  'remove_user of a group': ({ dice, prefix }) => `remove_user('${dice.pick(groups(prefix))}')`,
  'remove_user with sessions': ({ dice, prefix }) =>
    `remove_user('${dice.pick(users(prefix))}', terminate_sessions => true)`,
  set_password: ({ dice, prefix }) => `set_password('${dice.pick(steady(prefix))}', '${verifier}')`,
  'set_password of another verifier': ({ dice, prefix }) =>
    `set_password('${dice.pick(steady(prefix))}', '${verifier.replace('W22ZaJ0S', 'W22ZaJ0T')}')`,
  set_secret: ({ dice }) => `set_secret('key ${dice.below(2)}', 'value ${dice.below(2)}')`,
  set_secret_if_absent: ({ dice }) => `set_secret_if_absent('key ${dice.below(3)}', 'first')`,
  get_secret: () => `get_secret('steady')`,
  user_dependencies: ({ dice, prefix }) => `user_dependencies('${dice.pick(steady(prefix))}')`,
  audit_role: ({ dice, prefix }) => `audit_role('${dice.pick(steady(prefix))}')`,
  'a dry run': ({ dice, prefix }) => `remove_user('${dice.pick(users(prefix))}', dry_run => true)`,
  drift: () => 'drift()',
};

/** What superusers call besides. */
const superusers: Readonly<Record<string, Kind>> = {
  create_base_roles: () => 'create_base_roles()',
  converge: () => 'converge()',
  'remove_user with what it owns': ({ dice, database }) =>
    `remove_user('${dice.pick(users(`${database}_`))}', drop_owned => true)`,
  'remove_user with an heir': ({ dice, database }) =>
    `remove_user('${dice.pick(users(`${database}_`))}', reassign_to => 'mixed_heir')`,
  'create_user that will own': ({ dice, database }) => `create_user('${dice.pick(users(`${database}_`))}')`,
  provision_reporting_role: ({ dice, database }) =>
    `provision_reporting_role('${database}_steady', '{shown}', '{${dice.chance(0.5) ? 'other.' : ''}${withheld},${withheld}}')`,
  'provision_reporting_role anew': ({ database }) =>
    `provision_reporting_role('${database}_steady', '{shown}', '{${withheld}}', rotate_after => '0')`,
  provision_reporting_roles: ({ database }) =>
    `provision_reporting_roles('${database}_reporting', '${database}_raw', 'shown', 'other', '{${withheld}}')`,
  'remove_user of a reporting role': ({ database }) => `remove_user('${database}_raw', drop_owned => true)`,
  rotate_reporting_secret: () => 'rotate_reporting_secret()',
  reporting_role_password: ({ database }) => `reporting_role_password('${database}_steady')`,
  watch_new_tables: ({ dice }) => `watch_new_tables(${dice.chance(0.7)})`,
  add_operator: ({ prefix }) => `add_operator('${prefix}steady_1')`,
  remove_operator: ({ prefix }) => `remove_operator('${prefix}steady_1')`,
};

export const kinds = [...Object.keys(common), ...Object.keys(superusers)];

const add = (counts: Map<string, number>, what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);

export async function mixedLoad(load: Load): Promise<Tally> {
  const { cluster, seed, connections, rounds, secondsPerRound } = load;
  const tally: Tally = { calls: 0, kinds: new Set(), expected: new Map(), failures: new Map() };
  const admins = new Map<string, Client>();
  for (const database of databases) {
    await cluster.createDatabase(database);
    admins.set(database, await cluster.connect({ database }));
  }
  await prepare(admins);
  const workers: Worker[] = [];
  for (let n = 0; n < connections; n++) {
    const database = databases[n % databases.length] as string;
    const isOperator = database !== 'mixed_three' && n % 2 === 1;
    const worker = new Worker(load, tally, new Dice(seed + n), n, database, isOperator);
    await worker.connect();
    workers.push(worker);
  }
  for (let round = 0; round < rounds; round++) {
    const end = performance.now() + secondsPerRound * 1000;
    const dice = (n: number) => new Dice(seed + 1000 * (round + 1) + n);
    const settled = await Promise.allSettled([
      ...workers.map((worker) => worker.run(end)),
      terminator(cluster, workers, dice(1), end),
      passingDatabase(cluster, tally, dice(2), end),
      ...databases.map((database, n) => tables(cluster, database, dice(3 + n), end)),
      logins(cluster, dice(5), end),
    ]);
    const broken = settled.find((result) => result.status === 'rejected');
    if (broken !== undefined) throw broken.reason;
    await checkInvariants(cluster, admins);
  }
  await Promise.all([...admins.values(), ...workers.map((worker) => worker.client)].map((client) => client.end()));
  return tally;
}

async function prepare(admins: ReadonlyMap<string, Client>): Promise<void> {
  const [first] = admins.values();
  await first?.query(`CREATE ROLE mixed_heir; CREATE ROLE ${operator} CREATEROLE;
    SELECT rolecall.create_base_roles();
    GRANT anonymous, authenticated, administrator TO ${operator} WITH ADMIN OPTION`);
  for (const admin of admins.values()) {
    await admin.query(`SELECT rolecall.create_base_roles(); SELECT rolecall.add_operator('${operator}');
      SELECT rolecall.set_secret('steady', 'value');
      ${schemas.map((schema) => `CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.kept (); CREATE TABLE ${schema}.${withheld} ();`).join(' ')}
      SELECT rolecall.provision_reporting_role('${admin.database}_steady', '{shown}', '{${withheld}}')`);
    for (const prefix of ['', 'op_']) {
      const role = prefix === '' ? '' : `SET LOCAL ROLE ${operator};`;
      for (const name of steady(prefix))
        await admin.query(`BEGIN; ${role} SELECT rolecall.create_user('${name}'); COMMIT`);
    }
  }
}

class Worker {
  client!: Client;
  pid = 0;
  #number = 0;

  constructor(
    private readonly load: Load,
    private readonly tally: Tally,
    private readonly dice: Dice,
    private readonly index: number,
    private readonly database: string,
    private readonly isOperator: boolean,
  ) {}

  async connect(): Promise<void> {
    this.client = await this.load.cluster.connect({ database: this.database });
    this.pid = (this.client as unknown as { processID: number }).processID;
  }

  async run(end: number): Promise<void> {
    const prefix = this.isOperator ? 'op_' : '';
    const mine = Object.entries(this.isOperator ? common : { ...common, ...superusers }).filter(
      ([kind]) => kind !== 'converge' || this.database === 'mixed_three',
    );
    while (performance.now() < end) {
      const [kind, call] = this.dice.pick(mine);
      this.tally.kinds.add(kind);
      await this.call(call({ dice: this.dice, prefix, database: this.database }));
    }
  }

  async call(call: string): Promise<void> {
    const { client, dice, tally } = this;
    const isolation = dice.pick(isolations);
    const timeout = dice.chance(0.1);
    const pause = dice.chance(0.1) ? dice.below(40) : 0;
    const end = dice.pick(['COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK', 'PREPARE']);
    const name = `mixed_${this.index}_${++this.#number}`;
    try {
      await client.query(`BEGIN ISOLATION LEVEL ${isolation};
        ${timeout ? `SET LOCAL lock_timeout = '20ms';` : ''} ${this.isOperator ? `SET LOCAL ROLE ${operator};` : ''}`);
      // A snapshot that may be older than the call.
      if (dice.chance(0.3)) await client.query('SELECT FROM pg_roles');
      tally.calls++;
      await client.query(`SELECT * FROM rolecall.${call}`);
      if (pause > 0) await sleep(pause);
      if (end !== 'PREPARE') {
        await client.query(end);
        return;
      }
      await client.query(`PREPARE TRANSACTION '${name}'`);
      if (pause > 0) await sleep(pause);
      await client.query(`${dice.pick(['COMMIT', 'ROLLBACK'])} PREPARED '${name}'`);
    } catch (error) {
      await this.failed(error as DatabaseError, call, isolation, timeout);
      // What was prepared outlives the backend.
      if (end === 'PREPARE') await this.finish(name);
    }
  }

  /** Ends a transaction that may have been prepared, however often its backend is terminated. */
  private async finish(name: string): Promise<void> {
    await this.client.query(`ROLLBACK PREPARED '${name}'`).catch(async (error: DatabaseError) => {
      if (error.code === '42704') return;
      await this.connect();
      await this.finish(name);
    });
  }

  private async failed(error: DatabaseError, call: string, isolation: string, timeout: boolean): Promise<void> {
    const code = error.code ?? (/onnection (terminated|error)/.test(error.message) ? '57P01' : 'none');
    const isExpected =
      code === '57P01' || (code === '55P03' && timeout) || (code === '40001' && isolation !== 'READ COMMITTED');
    if (isExpected) add(this.tally.expected, code);
    else {
      const where = error.where === undefined ? '' : ` where ${error.where.split('\n')[0]}`;
      const detail = error.detail === undefined ? '' : ` detail ${error.detail}`;
      add(
        this.tally.failures,
        `${code} ${error.message} (${call}, ${isolation}${this.isOperator ? ', operator' : ''})${detail}${where}`,
      );
    }
    if (code !== '57P01') await this.client.query('ROLLBACK').catch(() => undefined);
    const isAlive = await this.client.query('SELECT').then(
      () => true,
      () => false,
    );
    if (!isAlive) await this.connect();
  }
}

/** Ends one backend after another. */
async function terminator(cluster: Cluster, workers: readonly Worker[], dice: Dice, end: number): Promise<void> {
  const client = await cluster.connect();
  while (performance.now() < end) {
    await sleep(50 + dice.below(300));
    await client.query('SELECT pg_terminate_backend($1)', [dice.pick(workers).pid]);
  }
  await client.end();
}

/** A database that others see come and go, whose calls end with it. */
async function passingDatabase(cluster: Cluster, tally: Tally, dice: Dice, end: number): Promise<void> {
  const admin = await cluster.connect();
  const database = 'mixed_passing';
  while (performance.now() < end) {
    await cluster.createDatabase(database);
    const clients = [await cluster.connect({ database }), await cluster.connect({ database })];
    const calls = clients.map(async (client) => {
      for (const call of [
        'create_base_roles()',
        `create_user('${dice.pick(users(''))}')`,
        `provision_reporting_role('${database}_steady', '{public}')`,
        'converge()',
      ]) {
        tally.calls++;
        try {
          await client.query(`SELECT * FROM rolecall.${call}`);
        } catch (error) {
          const { code = '57P01', message } = error as DatabaseError;
          if (code === '57P01') add(tally.expected, code);
          else add(tally.failures, `${code} ${message} (${call}, in a database that is dropped)`);
          return;
        }
      }
    });
    await sleep(dice.below(150));
    await admin.query(`DROP DATABASE ${database} WITH (FORCE)`);
    await Promise.all(calls);
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  }
  await admin.end();
}

/** Tables are created, given away and dropped, the withheld one among them. */
async function tables(cluster: Cluster, database: string, dice: Dice, end: number): Promise<void> {
  const client = await cluster.connect({ database });
  while (performance.now() < end) {
    const schema = dice.pick(schemas);
    const table = `${schema}.t${dice.below(3)}`;
    const statement = dice.pick([
      `CREATE TABLE ${table} (id serial)`,
      `DROP TABLE ${table}`,
      `ALTER TABLE ${table} OWNER TO ${dice.pick(users(`${database}_`))}`,
      `ALTER TABLE ${table} SET (fillfactor = 50)`,
      `DROP TABLE ${schema}.${withheld}; CREATE TABLE ${schema}.${withheld} ()`,
    ]);
    await client.query(statement).catch(() => client.query('ROLLBACK'));
    await sleep(dice.below(20));
  }
  await client.end();
}

/** Any login, which asks for the addresses of roles, and so holds the weakest lock on them. */
async function logins(cluster: Cluster, dice: Dice, end: number): Promise<void> {
  const client = await cluster.connect();
  while (performance.now() < end) {
    const name = dice.pick([...users(''), ...users('op_')]);
    await client.query(`BEGIN; SELECT pg_get_object_address('role', '{${name}}', '{}')`).catch(() => undefined);
    await sleep(dice.below(10));
    await client.query('ROLLBACK');
    await sleep(dice.below(30));
  }
  await client.end();
}

/** Rows about roles that are not there. */
const orphans = `
  SELECT 'membership' AS what, to_jsonb(m) AS "row" FROM pg_auth_members AS m
  WHERE NOT EXISTS (SELECT FROM pg_authid AS r WHERE r.oid = m.member)
     OR NOT EXISTS (SELECT FROM pg_authid AS r WHERE r.oid = m.roleid)
  UNION ALL
  SELECT 'setting', to_jsonb(s) FROM pg_db_role_setting AS s
  WHERE s.setrole <> 0 AND NOT EXISTS (SELECT FROM pg_authid AS r WHERE r.oid = s.setrole)
     OR s.setdatabase <> 0 AND NOT EXISTS (SELECT FROM pg_database AS d WHERE d.oid = s.setdatabase)
  UNION ALL
  SELECT 'comment', to_jsonb(d) FROM pg_shdescription AS d
  WHERE d.classoid = 'pg_authid'::regclass AND NOT EXISTS (SELECT FROM pg_authid AS r WHERE r.oid = d.objoid)
  UNION ALL
  SELECT 'dependency', to_jsonb(d) FROM pg_shdepend AS d
  WHERE d.refclassid = 'pg_authid'::regclass AND NOT EXISTS (SELECT FROM pg_authid AS r WHERE r.oid = d.refobjid)`;

async function rows(client: Client, query: string): Promise<unknown[]> {
  return (await client.query<Record<string, unknown>>(query)).rows;
}

async function checkInvariants(cluster: Cluster, admins: ReadonlyMap<string, Client>): Promise<void> {
  const [first] = admins.values();
  if (first === undefined) return;
  await until('the locks to go with the calls', async () => {
    const left = await rows(
      first,
      `SELECT FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid)
       WHERE l.pid <> pg_backend_pid() AND (a.backend_type = 'client backend' OR a.pid IS NULL)`,
    );
    return left.length === 0;
  });
  assert.deepEqual(await rows(first, orphans), []);

  // What is remembered of a role holds only where another database has not removed it, and of a membership, neither
  // of the two.
  for (const [database, admin] of admins) {
    for (const prefix of database === 'mixed_three' ? [''] : ['', 'op_']) {
      if (prefix !== '') await admin.query(`SET ROLE ${operator}`);
      for (const name of groups(prefix)) await admin.query(`SELECT rolecall.create_client_role('${name}', '15s')`);
      for (const name of users(prefix)) await admin.query(`SELECT rolecall.create_user('${name}')`);
    }
    await admin.query('RESET ROLE');
  }
  for (const admin of admins.values()) await admin.query('SELECT rolecall.converge()');
  for (const [database, admin] of admins) {
    assert.deepEqual(await rows(admin, 'SELECT * FROM rolecall.drift()'), [], `drift in ${database}`);
    const roles = await admin.query<{ role: string; password: string }>(
      `SELECT role, rolecall.reporting_role_password(role) AS password FROM rolecall_watch.reporting_role WHERE ours`,
    );
    assert.ok(roles.rows.length > 0);
    for (const { role, password } of roles.rows) {
      const login = await cluster.connect({ database, user: role, password });
      assert.deepEqual(
        await rows(
          login,
          `SELECT c.oid::regclass::text AS name, has_table_privilege(c.oid, 'SELECT') AS reads FROM pg_class AS c
           WHERE c.relkind = 'r' AND has_schema_privilege(c.relnamespace, 'USAGE')
             AND c.relnamespace::regnamespace::text IN ('${schemas.join("', '")}')
             AND has_table_privilege(c.oid, 'SELECT') = (c.relname = '${withheld}')`,
        ),
        [],
        `${role} in ${database}`,
      );
      await login.end();
    }
  }
  assert.deepEqual(await rows(first, orphans), []);
  if (cluster.version >= 16) await first.query(handBack);
}

/** What a superuser has restored operators could not revoke. */
const handBack = `
  DO $do$
  DECLARE
    v_edge record;
  BEGIN
    FOR v_edge IN
      SELECT m.roleid::regrole AS role, m.member::regrole AS member, m.grantor::regrole AS grantor FROM pg_auth_members AS m
      WHERE starts_with(m.member::regrole::text, 'op_') AND m.grantor <> '${operator}'::regrole
    LOOP
      EXECUTE format('REVOKE %s FROM %s GRANTED BY %s', v_edge.role, v_edge.member, v_edge.grantor);
      EXECUTE format('GRANT %s TO %s GRANTED BY ${operator}', v_edge.role, v_edge.member);
    END LOOP;
  END
  $do$`;
