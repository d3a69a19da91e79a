/**
 * Many connections, spread over several databases of one cluster, call the same function for the same names at the
 * same moment. The tests in tests/concurrency run it in a small size, `make stress` in a large one.
 */
import assert from 'node:assert/strict';
import type { Client, DatabaseError } from 'pg';
import { type Cluster } from './cluster.ts';

export const isolations = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as const;
export type Isolation = (typeof isolations)[number];

/**
 * Who calls: the superuser; or operators, one per database, which have CREATEROLE, what add_operator() gives and, from
 * PostgreSQL 16, ADMIN on the roles that they change.
 */
export const callers = ['superuser', 'operators'] as const;
export type Caller = (typeof callers)[number];

/** A verifier computed beforehand, so that a race does not spend its time on hashing. */
export const verifier =
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=';

export interface Arena {
  readonly cluster: Cluster;
  readonly caller: Caller;
  readonly databases: readonly string[];
  /** Connection i is to database i modulo their number. */
  readonly clients: readonly Client[];
  /** A superuser's connection to each database. */
  readonly admins: ReadonlyMap<string, Client>;
  /** The one to the first database. */
  readonly admin: Client;
  close(): Promise<void>;
}

/** One round: its own names, so that rounds do not meet. */
export interface Round {
  readonly isolation: Isolation;
  readonly arena: Arena;
  /** Starts every name of the round. */
  readonly prefix: string;
  /** Whether the roles are there before the calls, with comments on them and with something to change. */
  readonly present: boolean;
}

export interface Scenario {
  readonly name: string;
  prepare?(round: Round): Promise<void>;
  /** The call of connection `index`. */
  call(round: Round, index: number): string;
  /** Asserts the final state, and that it is what was answered in the databases where a call succeeded. */
  check(round: Round, succeeded: ReadonlySet<string>): Promise<void>;
  /** Failures that are part of the contract. */
  expected?(round: Round, sqlstate: string, isolation: Isolation): boolean;
}

export interface Outcome {
  calls: number;
  seconds: number;
  /** SQLSTATE and message to how often; without those that are expected. */
  failures: Map<string, number>;
  expected: number;
}

const operators = 'race_operators';
const operator = (database: string) => `race_operator_${database}`;
const password = 'operator-password';

export async function openArena(
  cluster: Cluster,
  caller: Caller,
  connections: number,
  databaseCount: number,
): Promise<Arena> {
  const admins = new Map<string, Client>();
  for (let index = 0; index < databaseCount; index++) {
    const database = await cluster.createDatabase();
    admins.set(database, await cluster.connect({ database }));
  }
  const databases = [...admins.keys()];
  const [admin] = admins.values();
  if (admin === undefined) throw new Error('no database');
  if (caller === 'operators') await makeOperators(cluster.version, admins);
  const clients: Client[] = [];
  for (let index = 0; index < connections; index++) {
    const database = databases[index % databaseCount] ?? '';
    const login = caller === 'superuser' ? {} : { user: operator(database), password };
    clients.push(await cluster.connect({ database, ...login }));
  }
  const close = async () => {
    await Promise.all([...admins.values(), ...clients].map((client) => client.end()));
  };
  return { cluster, caller, databases, clients, admins, admin, close };
}

async function makeOperators(version: number, admins: ReadonlyMap<string, Client>): Promise<void> {
  const [admin] = admins.values();
  await admin?.query(`CREATE ROLE ${operators} CREATEROLE`);
  // BYPASSRLS is for the administrator role; before 16 only a superuser can give it.
  const attributes = `LOGIN CREATEROLE ${version >= 16 ? 'BYPASSRLS' : ''}`;
  for (const [database, client] of admins) {
    const name = operator(database);
    await client.query(`
      CREATE ROLE ${name} ${attributes} PASSWORD '${password}';
      ALTER DATABASE ${database} OWNER TO ${name};
      ALTER SCHEMA public OWNER TO ${name};
      SELECT rolecall.add_operator('${name}');
      SELECT rolecall.add_operator('${operators}');
    `);
  }
  // Last, because a role with members that are not operators does not become one.
  for (const database of admins.keys()) await admin?.query(`GRANT ${operators} TO ${operator(database)}`);
}

/** Makes a role that is there before the calls: with a comment of its user, and within the callers' rights. */
async function make({ arena, prefix }: Round, name: string, attributes = '', holder?: string): Promise<void> {
  await arena.admin.query(`CREATE ROLE ${prefix}${name} ${attributes}`);
  await arena.admin.query(`COMMENT ON ROLE ${prefix}${name} IS 'the user''s "own" ${prefix}${name}'`);
  if (arena.caller === 'superuser' || arena.cluster.version < 16) return;
  const holders = holder === undefined ? arena.databases.map(operator) : [holder];
  await arena.admin.query(`GRANT ${prefix}${name} TO ${holders.join(', ')} WITH ADMIN OPTION`);
}

async function column(admin: Client, query: string, ...values: unknown[]): Promise<unknown[]> {
  const { rows } = await admin.query<unknown[]>({ text: query, values, rowMode: 'array' });
  return rows.map(([first]) => first);
}

/** Attributes of a role, its settings, what it is a member of, and its comment, in one line. */
async function describe(round: Round, name: string): Promise<unknown> {
  const [state] = await column(
    round.arena.admin,
    `SELECT concat_ws(' ',
       CASE WHEN r.rolsuper THEN 'superuser' END, CASE WHEN r.rolcreatedb THEN 'createdb' END,
       CASE WHEN r.rolcreaterole THEN 'createrole' END, CASE WHEN r.rolcanlogin THEN 'login' END,
       CASE WHEN r.rolreplication THEN 'replication' END, CASE WHEN r.rolbypassrls THEN 'bypassrls' END,
       CASE r.rolpassword WHEN '${verifier}' THEN 'password' ELSE '"' || r.rolpassword || '"' END,
       (SELECT string_agg(c.setting, ' ') FROM pg_db_role_setting AS s, unnest(s.setconfig) AS c(setting)
        -- By it a policy tells other databases what it says of the role.
        WHERE s.setrole = r.oid AND c.setting NOT LIKE 'rolecall.policy=%'),
       'in', nullif(concat_ws(' ', VARIADIC ARRAY(
         SELECT DISTINCT replace(g.rolname, $2, '') FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
         WHERE m.member = r.oid AND to_jsonb(m) -> 'inherit_option' IS DISTINCT FROM 'false' ORDER BY 1)), ''),
       replace(shobj_description(r.oid, 'pg_authid'), $2, ''))
     FROM pg_authid AS r WHERE r.rolname = $2 || $1`,
    name,
    round.prefix,
  );
  return state;
}

/** The states of roles, with the comment that `make` gave them where they were there before. */
async function states(round: Round, expected: Readonly<Record<string, string>>, commented = round.present) {
  const actual: Record<string, unknown> = {};
  for (const name of Object.keys(expected)) actual[name] = await describe(round, name);
  const wanted = Object.entries(expected).map(([name, state]) => [
    name,
    commented ? `${state} the user's "own" ${name}` : state,
  ]);
  assert.deepEqual(actual, Object.fromEntries(wanted));
}

/** The base roles of a round, as every database of the arena has them in its mapping. */
async function baseRoles(round: Round, holder?: string): Promise<void> {
  for (const name of ['anonymous', 'authenticated']) await make(round, name, '', holder);
  await make(round, 'administrator', 'BYPASSRLS');
  for (const admin of round.arena.admins.values()) await admin.query(createBaseRoles(round));
}
const createBaseRoles = ({ prefix }: Round) =>
  `SELECT * FROM rolecall.create_base_roles('${prefix}anonymous', '${prefix}authenticated', '${prefix}administrator')`;

/** From 16 on a role belongs to its creator, so other operators could not give it what it lacks in a snapshot. */
const isForeign = ({ arena }: Round) => arena.caller === 'operators' && arena.cluster.version >= 16;

export const scenarios: readonly Scenario[] = [
  {
    name: 'create_base_roles',
    async prepare(round) {
      if (round.present) {
        await make(round, 'anonymous', 'LOGIN');
        await make(round, 'authenticated', 'CREATEROLE');
        await make(round, 'administrator', 'BYPASSRLS LOGIN');
      } else if (round.arena.caller === 'operators' && round.arena.cluster.version < 16) {
        await round.arena.admin.query(`CREATE ROLE ${round.prefix}administrator BYPASSRLS`);
      }
    },
    call: createBaseRoles,
    async check(round) {
      await states(round, { anonymous: 'in', authenticated: 'in', administrator: 'bypassrls in' });
      // As the callers: one that may not grant a role names it for itself, not for superusers.
      for (const client of round.arena.clients) {
        const names = await column(client, `SELECT rolecall.role_name('administrator')`);
        assert.deepEqual(names, [`${round.prefix}administrator`]);
      }
    },
  },
  {
    name: 'create_user',
    async prepare(round) {
      await baseRoles(round);
      if (round.present) await make(round, 'user', 'CREATEDB');
    },
    call: ({ prefix }) => `SELECT * FROM rolecall.create_user('${prefix}user', '${verifier}')`,
    check: (round) =>
      states(round, {
        user: round.present ? 'createdb in anonymous authenticated' : 'login password in anonymous authenticated',
      }),
  },
  {
    name: 'create_test_users',
    async prepare(round) {
      await baseRoles(round);
      if (round.present) for (const name of ['user', 'admin']) await make(round, name);
    },
    call: ({ prefix }) =>
      `SELECT * FROM rolecall.create_test_users('${prefix}user', '${verifier}', '${prefix}admin', '${verifier}')`,
    async check(round) {
      const login = round.present ? '' : 'login password ';
      await states(round, {
        user: `${login}in anonymous authenticated`,
        admin: `${login}in administrator anonymous authenticated`,
      });
    },
  },
  {
    name: 'create_user_with_grants',
    async prepare(round) {
      for (const name of ['z', 'a']) await make(round, name);
      if (round.present) await make(round, 'user', 'LOGIN');
    },
    call: ({ prefix }) =>
      `SELECT * FROM rolecall.create_user_with_grants('${prefix}user', '${verifier}', ARRAY['${prefix}z', '${prefix}a'], true)`,
    check: (round) => states(round, { user: round.present ? 'login in a z' : 'login password in a z' }),
  },
  {
    name: 'create_client_role',
    async prepare(round) {
      await baseRoles(round);
      if (round.present || isForeign(round)) await make(round, 'client', 'LOGIN');
    },
    call: ({ prefix }) => `SELECT * FROM rolecall.create_client_role('${prefix}client', '15s')`,
    check: (round) =>
      states(round, { client: 'statement_timeout=15s in authenticated' }, round.present || isForeign(round)),
  },
  {
    name: 'grant_role',
    async prepare(round) {
      await make(round, 'group');
      await make(round, 'user', 'LOGIN');
    },
    call: ({ prefix, present }) => `SELECT * FROM rolecall.grant_role('${prefix}group', '${prefix}user', ${present})`,
    check: (round) => states(round, { user: 'login in group' }, true),
  },
  {
    name: 'revoke_role',
    async prepare(round) {
      // From 16 a membership is revoked by who has the grantor's rights: all operators have those of their group.
      await make(round, 'group', '', operators);
      await make(round, 'user', 'LOGIN', operators);
      const grantor = isForeign(round) ? `GRANTED BY ${operators}` : '';
      await round.arena.admin.query(`GRANT ${round.prefix}group TO ${round.prefix}user ${grantor}`);
    },
    call: ({ prefix }) => `SELECT * FROM rolecall.revoke_role('${prefix}group', '${prefix}user')`,
    check: (round) => states(round, { user: 'login in' }, true),
  },
  {
    name: 'remove_user',
    async prepare(round) {
      await make(round, 'group', '', operators);
      if (!round.present) return;
      await make(round, 'user', 'LOGIN', operators);
      await round.arena.admin.query(`GRANT ${round.prefix}group TO ${round.prefix}user`);
    },
    call: (round) => asOne(round, `SELECT * FROM rolecall.remove_user('${round.prefix}user')`),
    async check(round) {
      await states(round, { group: 'in' }, true);
      assert.deepEqual(
        await column(round.arena.admin, `SELECT FROM pg_roles WHERE rolname = '${round.prefix}user'`),
        [],
      );
      await noMembershipIsLeft(round);
    },
  },
  {
    name: 'create_user and remove_user',
    async prepare(round) {
      await baseRoles(round, operators);
      if (round.present) await make(round, 'user', 'LOGIN', operators);
    },
    // Each database has callers of both.
    call: (round, index) =>
      asOne(
        round,
        Math.floor(index / round.arena.databases.length) % 2
          ? `SELECT * FROM rolecall.remove_user('${round.prefix}user')`
          : `SELECT * FROM rolecall.create_user('${round.prefix}user', '${verifier}')`,
      ),
    async check(round) {
      const state = (await describe(round, 'user')) as string | undefined;
      if (state !== undefined) assert.match(state, /^login (password )?in anonymous authenticated/);
      await states(round, { anonymous: 'in', authenticated: 'in' }, true);
      await noMembershipIsLeft(round);
    },
  },
  {
    name: 'set_password',
    async prepare(round) {
      await make(round, 'user', `LOGIN ${round.present ? `PASSWORD 'former'` : ''}`);
    },
    call: ({ prefix }) => `SELECT * FROM rolecall.set_password('${prefix}user', '${verifier}')`,
    check: (round) => states(round, { user: 'login password in' }, true),
  },
  {
    name: 'provision_reporting_roles',
    call: ({ prefix, arena, present }, index) => {
      const database = arena.databases[index % arena.databases.length] ?? '';
      const names = present ? `'${prefix}${database}_reporting', '${prefix}${database}_raw'` : '';
      return `SELECT * FROM rolecall.provision_reporting_roles(${names})`;
    },
    async check(round) {
      for (const database of round.arena.databases) {
        const start = round.present ? round.prefix + database : database;
        await isReporting(round.arena, database, `${start}_reporting`, 'reporting');
        await isReporting(round.arena, database, `${start}_raw`, 'public');
      }
    },
    // The secret was generated after the snapshot.
    expected: (round, sqlstate, isolation) => !round.present && isolation !== 'READ COMMITTED' && sqlstate === '40001',
  },
  {
    name: 'provision_reporting_roles, the same names in all databases',
    async prepare({ arena }) {
      // If the secret is generated after the snapshot, the answer may differ.
      for (const [database, admin] of arena.admins) {
        await admin.query(`SELECT * FROM rolecall.provision_reporting_role('${database}_first', '{public}')`);
      }
    },
    call: ({ prefix }) => `SELECT * FROM rolecall.provision_reporting_roles('${prefix}reporting', '${prefix}raw')`,
    async check(round, succeeded) {
      const owners = await column(
        round.arena.admin,
        `SELECT d.datname FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase
         WHERE s.setrole IN (to_regrole($1), to_regrole($2))`,
        `${round.prefix}reporting`,
        `${round.prefix}raw`,
      );
      assert.deepEqual(owners, [...succeeded, ...succeeded]);
      await isReporting(round.arena, String(owners[0]), `${round.prefix}reporting`, 'reporting');
      await isReporting(round.arena, String(owners[0]), `${round.prefix}raw`, 'public');
    },
    expected: (_, sqlstate) => sqlstate === '22023',
  },
  {
    // The role is the same in all databases, and what it has is each one's own. Where it is there before, every
    // second caller says a part of it by another call, or grants others something of the same, or creates and drops a
    // role, by hand.
    name: 'apply, other calls and grants by hand',
    async prepare(round) {
      await make(round, 'group', '', operators);
      await make(round, 'stranger');
      if (round.present) await make(round, 'user', 'CONNECTION LIMIT 5', operators);
      for (const admin of round.arena.admins.values())
        await admin.query(`CREATE SCHEMA ${round.prefix}; CREATE TABLE ${round.prefix}.item (id integer);
          CREATE TABLE ${round.prefix}.secret (id integer)`);
      if (round.arena.caller === 'operators')
        for (const admin of round.arena.admins.values())
          await admin.query(`ALTER SCHEMA ${round.prefix} OWNER TO ${operators};
            ALTER TABLE ${round.prefix}.item OWNER TO ${operators}; ALTER TABLE ${round.prefix}.secret OWNER TO ${operators}`);
    },
    call: (round, index) => {
      const { prefix, arena } = round;
      const database = String(arena.databases[index % arena.databases.length]);
      const usage = { to: `${prefix}user`, on: { schema: prefix }, grant: ['USAGE'] };
      const policy = {
        roles: { [`${prefix}user`]: { login: true, member_of: [`${prefix}group`] } },
        privileges: [
          usage,
          { to: `${prefix}user`, on: { tables_in: prefix, except: `${prefix}.secret` }, grant: ['SELECT'] },
          // Of the database others are the owners.
          ...(arena.caller === 'superuser' ? [{ to: `${prefix}user`, on: { database }, grant: ['CREATE'] }] : []),
        ],
      };
      const overlapping = {
        roles: { [`${prefix}other`]: { member_of: [`${prefix}group`] } },
        privileges: [
          usage,
          { to: `${prefix}other`, on: { schema: prefix }, grant: ['USAGE'] },
          { to: `${prefix}other`, on: { table: `${prefix}.item` }, grant: ['SELECT', 'DELETE'] },
        ],
      };
      const apply = (document: object) => `SELECT * FROM rolecall.apply('${JSON.stringify(document)}')`;
      const others = [
        `SELECT * FROM rolecall.grant_role('${prefix}group', '${prefix}user')`,
        apply(overlapping),
        // What fails by itself beside others is not at issue. Roles come first, as in the calls.
        `DO $$ BEGIN
          CREATE ROLE ${prefix}hand_${index}; GRANT ${prefix}group TO ${prefix}hand_${index}; DROP ROLE ${prefix}hand_${index};
          GRANT UPDATE ON ${prefix}.item TO ${prefix}stranger;
        EXCEPTION WHEN OTHERS THEN NULL; END $$`,
      ];
      const turn = Math.floor(index / arena.databases.length);
      // Of serializable transactions only one may succeed, so that all say the same.
      const isOther = round.present && round.isolation !== 'SERIALIZABLE' && turn % 2 === 1;
      return asOne(round, (isOther && others[(index + (turn - 1) / 2) % others.length]) || apply(policy));
    },
    async check(round) {
      await states(round, { user: 'login in group' });
      for (const admin of round.arena.admins.values()) {
        const has = (table: string) =>
          `has_table_privilege('${round.prefix}user', '${round.prefix}.${table}', 'SELECT')`;
        assert.deepEqual(await column(admin, `SELECT ${has('item')} AND NOT ${has('secret')}`), [true]);
        assert.deepEqual(
          await column(
            admin,
            `SELECT statement FROM rolecall.drift() WHERE status = 'planned' AND target ~ '${round.prefix}'`,
          ),
          [],
        );
      }
    },
  },
];

/** The same role makes all calls: from 16 on only it, and superusers, may drop the roles that it has created. */
const asOne = ({ arena }: Round, call: string) =>
  arena.caller === 'superuser' ? call : `SET LOCAL ROLE ${operators}; ${call}`;

/** Memberships of roles that are not there, which no statement can end. */
async function noMembershipIsLeft({ arena }: Round): Promise<void> {
  const left = await column(
    arena.admin,
    `SELECT to_jsonb(m) FROM pg_auth_members AS m
     WHERE NOT EXISTS (SELECT FROM pg_authid AS r WHERE r.oid = m.member)
        OR NOT EXISTS (SELECT FROM pg_authid AS r WHERE r.oid = m.roleid)`,
  );
  assert.deepEqual(left, []);
}

/** Is the role one of this database's reporting roles: its attributes, settings, rights and derived password. */
async function isReporting(arena: Arena, database: string, role: string, schema: string): Promise<void> {
  const admin = arena.admins.get(database) ?? arena.admin;
  const [state] = await column(
    admin,
    `SELECT concat_ws(' ', r.rolcanlogin, r.rolsuper, r.rolcreaterole, array_to_string(r.rolconfig, ' '),
              has_schema_privilege(r.oid, $2, 'USAGE'))
     FROM pg_roles AS r WHERE r.rolname = $1`,
    role,
    schema,
  );
  assert.equal(state, `t f f default_transaction_read_only=on search_path=${schema} t`, `${role} in ${database}`);
  const [derived] = await column(admin, 'SELECT rolecall.reporting_role_password($1)', role);
  const login = await arena.cluster.connect({ database, user: role, password: String(derived) });
  await login.end();
}

let rounds = 0;

/** Runs a scenario for some rounds: in every second one the roles are there before. */
export async function race(arena: Arena, scenario: Scenario, isolation: Isolation, count: number): Promise<Outcome> {
  const outcome: Outcome = { calls: 0, seconds: 0, failures: new Map(), expected: 0 };
  for (let number = 0; number < count; number++) {
    const round: Round = { arena, isolation, prefix: `race_${++rounds}_`, present: number % 2 === 1 };
    await scenario.prepare?.(round);
    const succeeded = await callEverywhere(arena, scenario, isolation, round, outcome);
    if (succeeded.size > 0) await scenario.check(round, succeeded);
  }
  return outcome;
}

async function callEverywhere(
  { clients, databases }: Arena,
  scenario: Scenario,
  isolation: Isolation,
  round: Round,
  outcome: Outcome,
): Promise<Set<string>> {
  // Every snapshot is taken before the first call.
  await Promise.all(clients.map((client) => client.query(`BEGIN ISOLATION LEVEL ${isolation}; SELECT FROM pg_roles`)));
  const begun = performance.now();
  const succeeded = new Set<string>();
  await Promise.all(
    clients.map(async (client, index) => {
      const database = databases[index % databases.length] ?? '';
      try {
        await client.query(scenario.call(round, index));
        await client.query('COMMIT');
        succeeded.add(database);
      } catch (error) {
        const { code = '', message } = error as DatabaseError;
        const isExpected =
          (isolation === 'SERIALIZABLE' && code === '40001') || (scenario.expected?.(round, code, isolation) ?? false);
        if (isExpected) outcome.expected++;
        else outcome.failures.set(`${code} ${message}`, (outcome.failures.get(`${code} ${message}`) ?? 0) + 1);
        await client.query('ROLLBACK');
      }
    }),
  );
  outcome.seconds += (performance.now() - begun) / 1000;
  outcome.calls += clients.length;
  return succeeded;
}
