/**
 * watch_new_tables() where it takes logins: plain owners create tables in every possible way, and the reporting role
 * reads them, or does not, from the first moment. Whatever goes wrong is a WARNING.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { type Cluster, startCluster, until } from '../support/cluster.ts';

const major = Number(process.env.PG || 18);

let cluster: Cluster;
let superuser: Client;

before(async () => {
  cluster = await startCluster();
  superuser = await cluster.connect();
  await superuser.query(`CREATE ROLE maker LOGIN PASSWORD 'maker'; CREATE ROLE other LOGIN PASSWORD 'other'`);
});

after(async () => {
  await superuser.end();
  await cluster.stop();
});

interface Warning {
  severity: string;
  code: string;
  message: string;
  hint?: string;
}

interface Place {
  database: string;
  admin: Client;
  maker: Client;
  /** What the maker was warned of since the last look. */
  warnings(): Warning[];
  /** A login of the reporting role. */
  login(): Promise<Client>;
  end(): Promise<void>;
}

/**
 * A database whose schema `app` the role `reports_N` reads but for `token` and `event`, and where `maker` makes
 * tables.
 */
let places = 0;
async function place(watched = true): Promise<Place> {
  const role = `reports_${++places}`;
  const database = await cluster.createDatabase();
  const admin = await cluster.connect({ database });
  await admin.query(`CREATE SCHEMA app AUTHORIZATION maker; CREATE SCHEMA elsewhere AUTHORIZATION maker;
    GRANT CREATE ON DATABASE ${database} TO maker;
    SELECT FROM rolecall.provision_reporting_role('${role}', '{app}', '{token,event}', '{}')`);
  if (watched) await admin.query('SELECT FROM rolecall.watch_new_tables()');
  const maker = await cluster.connect({ database, user: 'maker', password: 'maker' });
  let seen: Warning[] = [];
  maker.on('notice', (notice) => {
    if (notice.severity === 'WARNING') seen.push(notice as unknown as Warning);
  });
  return {
    database,
    admin,
    maker,
    warnings: () => {
      const warnings = seen;
      seen = [];
      return warnings;
    },
    login: async () => {
      const { rows } = await admin.query<{ password: string }>(
        'SELECT rolecall.reporting_role_password($1) AS password',
        [role],
      );
      return cluster.connect({ database, user: role, password: rows[0]?.password ?? '' });
    },
    end: async () => {
      await Promise.all([admin.end(), maker.end()]);
    },
  };
}

const reads = async (client: Client, table: string): Promise<string> => {
  try {
    await client.query(`SELECT * FROM ${table}`);
    return 'reads';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test('what a plain owner makes is readable at once, but for what is withheld', async () => {
  const { admin, maker, warnings, login, end, database } = await place();
  await admin.query(`CREATE EXTENSION postgres_fdw;
    CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw
      OPTIONS (host '127.0.0.1', port '${cluster.port}', dbname '${database}');
    GRANT USAGE ON FOREIGN SERVER loop TO maker;
    CREATE USER MAPPING FOR PUBLIC SERVER loop OPTIONS (user 'maker', password 'maker')`);
  await maker.query(`CREATE TABLE elsewhere.imported (id integer); CREATE TABLE elsewhere.event (id integer)`);
  const reader = await login();
  for (const [table, statement, expected = 'reads'] of [
    ['plain', 'CREATE TABLE app.plain (id integer)'],
    ['copied', 'CREATE TABLE app.copied AS SELECT 1 AS id'],
    ['into', 'SELECT 1 AS id INTO app.into'],
    ['prepared', 'PREPARE one AS SELECT 1 AS id; CREATE TABLE app.prepared AS EXECUTE one'],
    ['seen', 'CREATE VIEW app.seen AS SELECT 1 AS id'],
    ['stored', 'CREATE MATERIALIZED VIEW app.stored AS SELECT 1 AS id'],
    ['whole', 'CREATE TABLE app.whole (id integer) PARTITION BY LIST (id)'],
    ['part', 'CREATE TABLE app.part PARTITION OF app.whole FOR VALUES IN (1)'],
    ['in_block', 'DO $do$ BEGIN CREATE TABLE app.in_block (id integer); END $do$'],
    ['imported', 'IMPORT FOREIGN SCHEMA elsewhere FROM SERVER loop INTO app'],
    ['event', '', '42501'],
    ['moved', 'CREATE TABLE elsewhere.moved (id integer); ALTER TABLE elsewhere.moved SET SCHEMA app'],
    ['token', 'CREATE TABLE app.token (id integer)', '42501'],
    ['renamed', 'ALTER TABLE app.token RENAME TO renamed', '42501'],
    ['token', 'ALTER TABLE app.plain RENAME TO token', '42501'],
  ] as const) {
    await maker.query(statement);
    assert.equal(await reads(reader, `app.${table}`), expected, statement);
  }
  await maker.query(`GRANT USAGE ON SCHEMA elsewhere TO PUBLIC; ALTER TABLE app.copied SET SCHEMA elsewhere`);
  assert.equal(await reads(reader, 'elsewhere.copied'), '42501', 'a table takes no privilege along');
  await reader.query('SET default_transaction_read_only = off');
  for (const statement of [
    'CREATE TABLE app.own (id integer)',
    'TABLE rolecall_internal.resource',
    'TABLE rolecall_internal.secret',
  ]) {
    await assert.rejects(reader.query(statement), { code: '42501' });
  }
  assert.deepEqual(warnings(), []);
  await reader.end();
  await end();
});

test('a withheld table that is dropped and made again is never readable', async () => {
  for (const watched of [false, true]) {
    const { admin, maker, login, end } = await place(watched);
    await admin.query(
      `ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA app GRANT SELECT ON TABLES TO reports_${places}`,
    );
    const readers = await Promise.all([login(), login()]);
    const seen = new Set<string>();
    let attempts = 0;
    let done = false;
    const polls = readers.map(async (reader) => {
      while (!done) {
        seen.add(await reads(reader, 'app.token'));
        attempts++;
      }
    });
    for (let round = 0; round < 40; round++) {
      const before = attempts;
      await maker.query('CREATE TABLE app.token AS SELECT 1 AS id');
      await until('the readers to have tried', () => attempts > before + readers.length);
      await maker.query(round % 2 ? 'DROP TABLE app.token' : 'BEGIN; DROP TABLE app.token; COMMIT');
    }
    done = true;
    await Promise.all(polls);
    // A table that is dropped between two looks of a reader has, to it, neither name nor owner.
    const harmless = ['42P01', '42501', 'XX000'];
    assert.equal(seen.has('reads'), !watched, 'without the trigger the readers would have noticed');
    assert.deepEqual(
      [...seen].filter((code) => code !== 'reads' && !harmless.includes(code)),
      [],
    );
    assert.ok(seen.has('42501') || !watched);
    await Promise.all(readers.map((reader) => reader.end()));
    await end();
  }
});

test('whatever the trigger meets, the table is made, and a WARNING says what is missing', async () => {
  const { admin, maker, warnings, login, end } = await place();
  const reader = await login();
  const role = `reports_${places}`;

  // Another event trigger forbids every GRANT, with a code of its own or with the usual one.
  await admin.query(`CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION USING ERRCODE = current_setting('test.code'), MESSAGE = 'no grants here'; END $$;
    CREATE EVENT TRIGGER forbid ON ddl_command_start WHEN TAG IN ('GRANT') EXECUTE FUNCTION forbid()`);
  for (const code of ['P0001', '42501', '22012', '40001', '40P01', '23505', 'XX000', 'HV000', '53200']) {
    await maker.query(`SET test.code = '${code}'; CREATE TABLE app.t_${code.toLowerCase()} (id integer)`);
    const [warning, ...more] = warnings();
    assert.deepEqual([warning?.code, more], [code, []]);
    assert.equal(
      warning?.message,
      `"app.t_${code.toLowerCase()}" is not readable for reporting role "${role}": no grants here`,
    );
    assert.match(warning?.hint ?? '', /rolecall\.converge\(\)/);
  }
  await assert.rejects(maker.query(`SET test.code = '57014'; CREATE TABLE app.cancelled (id integer)`), {
    code: '57014',
  });
  await admin.query('DROP EVENT TRIGGER forbid');
  assert.equal(await reads(reader, 'app.t_p0001'), '42501');
  await admin.query('SELECT FROM rolecall.converge()');
  assert.equal(await reads(reader, 'app.t_p0001'), 'reads', 'converge() makes up for it');

  // One of several changes that fails undoes none of the others.
  await admin.query(`SELECT FROM rolecall.provision_reporting_role('${role}_too', '{app}', '{}', '{}')`);
  await admin.query(`CREATE EVENT TRIGGER forbid ON ddl_command_start WHEN TAG IN ('REVOKE') EXECUTE FUNCTION forbid();
    ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA app GRANT SELECT ON TABLES TO ${role}`);
  await maker.query(`SET test.code = 'P0001'; DROP TABLE IF EXISTS app.token; CREATE TABLE app.token (id integer)`);
  assert.deepEqual(
    warnings().map(({ code, message }) => `${code} ${message}`),
    [`P0001 "app.token" keeps its privileges for reporting role "${role}": no grants here`],
  );
  assert.equal(
    (await admin.query(`SELECT has_table_privilege('${role}_too', 'app.token', 'SELECT') AS reads`)).rows[0].reads,
    true,
  );
  await admin.query(`DROP EVENT TRIGGER forbid; SELECT FROM rolecall.converge();
    ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA app REVOKE SELECT ON TABLES FROM ${role}`);
  assert.equal(await reads(reader, 'app.token'), '42501');

  // The role is being dropped: a lock that is waited for no longer, and a role that is gone.
  await reader.end();
  await superuser.query('BEGIN');
  await admin.query(`DROP OWNED BY ${role}`);
  await superuser.query(`DROP ROLE ${role}`);
  await maker.query(`SET lock_timeout = '200ms'; CREATE TABLE app.impatient (id integer)`);
  assert.deepEqual(
    warnings().map(({ code }) => code),
    ['55P03'],
  );
  await maker.query('SET lock_timeout = 0');
  const { rows } = await maker.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const making = maker.query('CREATE TABLE app.patient (id integer)');
  await until('the maker to wait', async () => {
    const waiting = await admin.query('SELECT FROM pg_locks WHERE pid = $1 AND NOT granted', [rows[0]?.pid]);
    return waiting.rows.length > 0;
  });
  await superuser.query('COMMIT');
  await making;
  assert.deepEqual(
    warnings().map(({ code }) => code),
    ['42704'],
  );
  await maker.query('CREATE TABLE app.lonely (id integer)');
  assert.deepEqual(warnings(), [], 'there is nobody to read it');
  assert.equal(
    (await admin.query(`SELECT has_table_privilege('${role}_too', 'app.patient', 'SELECT') AS reads`)).rows[0].reads,
    true,
  );

  // A schema comes along with tables that are not its owner's.
  await admin.query(`CREATE SCHEMA next AUTHORIZATION maker; CREATE TABLE next.theirs (id integer);
    CREATE TABLE next.mine (id integer); ALTER TABLE next.mine OWNER TO maker`);
  await maker.query('ALTER SCHEMA app RENAME TO past; ALTER SCHEMA next RENAME TO app');
  assert.deepEqual(
    warnings().map(({ code, message }) => `${code} ${message}`),
    [`42501 "app.theirs" is not readable for reporting role "${role}_too": only the owner may do this`],
  );
  assert.equal(
    (await admin.query(`SELECT has_table_privilege('${role}_too', 'app.mine', 'SELECT') AS reads`)).rows[0].reads,
    true,
  );

  // A schema of which no usage can be granted.
  await admin.query(`CREATE EVENT TRIGGER forbid ON ddl_command_start WHEN TAG IN ('GRANT') EXECUTE FUNCTION forbid()`);
  await maker.query('ALTER SCHEMA app RENAME TO former; CREATE SCHEMA app');
  assert.deepEqual(
    warnings().map(({ code, message }) => `${code} ${message}`),
    [`P0001 schema "app" is not usable for reporting role "${role}_too": no grants here`],
  );
  await admin.query('DROP EVENT TRIGGER forbid; SELECT FROM rolecall.converge()');

  // The extension is not what it was.
  await admin.query(
    `ALTER EXTENSION rolecall DROP VIEW rolecall_watch.reporting_role; DROP VIEW rolecall_watch.reporting_role`,
  );
  await maker.query('CREATE TABLE app.afterwards (id integer)');
  assert.deepEqual(
    warnings().map(({ code, message }) => `${code} ${message}`),
    [
      '42P01 roles may lack, or have, privileges on what CREATE TABLE created: ' +
        'relation "rolecall_watch.reporting_role" does not exist',
    ],
  );
  await admin.query('DROP EXTENSION rolecall CASCADE');
  await maker.query('CREATE TABLE app.last (id integer)');
  assert.deepEqual(warnings(), []);
  await end();
});

test('a provisioning run says what is not watched', async () => {
  const { admin, end } = await place(false);
  const notices: { severity?: string | undefined; message?: string | undefined; hint?: string | undefined }[] = [];
  admin.on('notice', ({ severity, message, hint }) => notices.push({ severity, message, hint }));
  const said = async (call: string) => {
    notices.length = 0;
    await admin.query(`SELECT FROM ${call}`);
    return notices.filter(({ severity }) => severity === 'NOTICE').map(({ message }) => message);
  };
  await admin.query(`CREATE TABLE app.token (id integer); CREATE SCHEMA "Raw data"; CREATE TABLE "Raw data"."Odd" ()`);
  const one = (withheld: string) =>
    `rolecall.provision_reporting_role('reports_${places}', '{app}', ARRAY[${withheld}], '{}')`;
  const pair = (withheld: string, dryRun = false) =>
    `rolecall.provision_reporting_roles('reports_${places}', 'raw_${places}', 'app', 'Raw data',
      ARRAY[${withheld}], '{}', dry_run => ${dryRun})`;
  const gap = (names: string) => [`withheld tables or columns that do not exist yet: ${names}`];
  assert.deepEqual(await said(one(`'token', 'event', 'app.session', '"Raw data"."Odd"'`)), [
    'withheld tables or columns that do not exist yet: "Raw data"."Odd", app.session, event',
  ]);
  assert.match(notices.find(({ severity }) => severity === 'NOTICE')?.hint ?? '', /rolecall\.watch_new_tables\(\)/);
  assert.deepEqual(await said(one(`'token'`)), []);
  assert.deepEqual(await said(pair(`'token', '"Odd"', '"Raw data"."Odd"'`)), [], 'one schema that has it will do');
  const otherCase = 'withheld tables or columns that exist only in a different case: Odd is "odd", not "Odd"';
  assert.deepEqual(await said(pair(`'Odd', 'token'`)), [...gap('Odd'), otherCase], 'names are as in SQL');
  assert.deepEqual(await said(pair(`'event'`, true)), gap('event'), 'a dry run says it too');
  assert.deepEqual(await said('rolecall.watch_new_tables()'), []);
  assert.deepEqual(
    await said(pair(`'event'`)),
    gap('event'),
    'which may be a mistake, also once new tables are watched',
  );
  assert.doesNotMatch(notices.find(({ severity }) => severity === 'NOTICE')?.hint ?? '', /watch_new_tables/);
  await admin.query('ALTER EVENT TRIGGER rolecall_watch_new_tables DISABLE');
  assert.deepEqual(await said(pair(`'event'`)), gap('event'));
  await end();
});

test('many callers at once, and as many who stop it', async () => {
  const database = await cluster.createDatabase();
  const clients = await Promise.all(Array.from({ length: 8 }, () => cluster.connect({ database })));
  for (const isolation of ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']) {
    for (const stop of [0, 4]) {
      for (let round = 0; round < 5; round++) {
        const failures: unknown[] = [];
        await Promise.all(
          clients.map(async (client, index) => {
            const call = `SELECT FROM rolecall.watch_new_tables(${index >= stop})`;
            try {
              await client.query(`BEGIN ISOLATION LEVEL ${isolation}; ${call}; COMMIT`);
            } catch (error) {
              await client.query('ROLLBACK');
              // What SERIALIZABLE refuses is the caller's to repeat.
              if (isolation !== 'SERIALIZABLE' || (error as { code: string }).code !== '40001') failures.push(error);
            }
          }),
        );
        assert.deepEqual(failures, [], isolation);
        await clients[0]?.query('SELECT FROM rolecall.watch_new_tables()');
        assert.deepEqual((await clients[1]?.query('SELECT * FROM rolecall.drift()'))?.rows, []);
        assert.equal((await clients[1]?.query('SELECT FROM pg_event_trigger'))?.rows.length, 1);
      }
    }
  }
  await Promise.all(clients.map((client) => client.end()));
});

test('databases are watched each for itself', async () => {
  const one = await place();
  const two = await place(false);
  for (const { maker } of [one, two]) await maker.query('CREATE TABLE app.plain (id integer)');
  const [first, second] = [await one.login(), await two.login()];
  assert.equal(await reads(first, 'app.plain'), 'reads');
  assert.equal(await reads(second, 'app.plain'), '42501');
  assert.deepEqual((await two.admin.query('SELECT FROM pg_event_trigger')).rows, []);
  await Promise.all([first.end(), second.end()]);
  await Promise.all([one.end(), two.end()]);
});

test('a copy of a database gives the roles of the original nothing more', async () => {
  const original = await place();
  const role = `reports_${places}`;
  await original.end();
  await superuser.query(`CREATE DATABASE copied TEMPLATE ${original.database}`);
  // It cannot make itself at home there.
  await superuser.query(`SET SESSION AUTHORIZATION ${role};
    ALTER ROLE ${role} IN DATABASE copied SET default_transaction_read_only = on;
    ALTER ROLE ${role} IN DATABASE ${original.database} RESET ALL; RESET SESSION AUTHORIZATION`);
  for (const [database, expected] of [
    ['copied', [false, false]],
    [original.database, [true, false]],
  ] as const) {
    const client = await cluster.connect({ database });
    await client.query(`CREATE TABLE app.fresh (id integer);
      ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO ${role}; CREATE TABLE app.token (id integer)`);
    const { rows } = await client.query<{ reads: boolean }>(
      `SELECT has_table_privilege('${role}', t.name, 'SELECT') AS reads FROM unnest('{app.fresh,app.token}'::text[]) AS t(name)`,
    );
    assert.deepEqual(
      rows.map(({ reads }) => reads),
      expected,
      database,
    );
    await client.end();
  }
});

test('what was withheld stays so when it is detached, whoever made it and when; what is moved is readable', async () => {
  const { database, maker, warnings, login, end } = await place();
  const reader = await login();
  await maker.query('CREATE TABLE app.token (id integer)');
  // Nothing has changed the child's row since it was created.
  await maker.query('CREATE TABLE app.child () INHERITS (app.token)');
  await maker.query('ALTER TABLE app.child NO INHERIT app.token');
  assert.equal(await reads(reader, 'app.child'), '42501');
  await maker.query('CREATE TABLE app.sub () INHERITS (app.token)');
  await maker.query('ALTER TABLE app.token RENAME TO other_name');
  await maker.query('ALTER TABLE app.sub ALTER COLUMN id SET NOT NULL');
  await maker.query(
    `DO $$ BEGIN EXECUTE 'ALTER TABLE app.sub NO INHERIT app.other_name'; EXCEPTION WHEN division_by_zero THEN END $$`,
  );
  for (const name of ['sub', 'other_name']) assert.equal(await reads(reader, `app.${name}`), '42501', name);

  // The transaction that detaches it is older than the one that created it.
  await maker.query('CREATE TABLE app.token (id integer)');
  await maker.query('BEGIN; CREATE TEMPORARY TABLE mine (id integer)');
  await superuser.query('SELECT pg_current_xact_id()');
  const second = await cluster.connect({ database, user: 'maker', password: 'maker' });
  await second.query('CREATE TABLE app.later () INHERITS (app.token)');
  await maker.query('ALTER TABLE app.later NO INHERIT app.token; COMMIT');
  assert.equal(await reads(reader, 'app.later'), '42501');
  await second.end();

  // Moved: alone, in a transaction that has more to do, in a subtransaction, and created in the same one.
  const block = (statement: string) =>
    `DO $$ BEGIN ${statement}; EXCEPTION WHEN division_by_zero THEN RAISE EXCEPTION 'no'; END $$`;
  await maker.query(`CREATE TABLE elsewhere.one (id integer); CREATE TABLE elsewhere.two (id integer);
    CREATE TABLE elsewhere.three (id integer); CREATE TABLE elsewhere.token (id integer)`);
  await maker.query('ALTER TABLE elsewhere.one SET SCHEMA app');
  await maker.query(
    'BEGIN; CREATE TABLE elsewhere.four (id integer); SAVEPOINT s; ALTER TABLE elsewhere.two SET SCHEMA app',
  );
  await maker.query('RELEASE s; SAVEPOINT t; ALTER TABLE elsewhere.four SET SCHEMA app; COMMIT');
  await maker.query(block('ALTER TABLE elsewhere.three SET SCHEMA app'));
  await maker.query('DROP TABLE app.token; ALTER TABLE elsewhere.token SET SCHEMA app');
  for (const name of ['one', 'two', 'three', 'four']) assert.equal(await reads(reader, `app.${name}`), 'reads', name);
  assert.equal(await reads(reader, 'app.token'), '42501');
  assert.deepEqual(warnings(), []);
  await reader.end();
  await end();
});

test('what a reporting role has granted on stays, when the trigger revokes what it should not have', async () => {
  const { admin, maker, warnings, login, end } = await place();
  await maker.query('CREATE TABLE app.plain (id integer, note text); CREATE TABLE app.quiet (id integer)');
  const reader = await login();
  const { user } = reader;
  await admin.query(`CREATE ROLE "o, PUBLIC; --" NOLOGIN`);
  await maker.query(`GRANT INSERT, DELETE, SELECT ON app.plain TO ${user} WITH GRANT OPTION;
    GRANT UPDATE (note) ON app.plain TO ${user} WITH GRANT OPTION`);
  await reader.query('SET default_transaction_read_only = off');
  await reader.query(`GRANT INSERT ON app.plain TO other WITH GRANT OPTION;
    GRANT DELETE ON app.plain TO "o, PUBLIC; --"; GRANT UPDATE (note) ON app.plain TO other, PUBLIC`);
  await maker.query('ALTER TABLE app.plain ADD COLUMN more text');
  assert.deepEqual(warnings(), []);
  const { rows } = await admin.query(`SELECT (x.grantee::regrole || ' ' || x.privilege_type || x.is_grantable) AS has
    FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS x
    WHERE c.oid = 'app.plain'::regclass AND x.grantee <> c.relowner ORDER BY 1`);
  assert.deepEqual(
    rows.map(({ has }) => has),
    ['"o, PUBLIC; --" DELETEfalse', 'other INSERTtrue', `${user} SELECTfalse`],
  );
  const columns = await admin.query(`SELECT x.grantee, x.privilege_type, x.grantor::regrole FROM pg_attribute AS a
    CROSS JOIN LATERAL aclexplode(a.attacl) AS x WHERE a.attrelid = 'app.plain'::regclass ORDER BY x.grantee = 0`);
  assert.deepEqual(
    columns.rows.map(({ grantee, grantor }) => [grantee === 0, grantor]),
    [
      [false, 'maker'],
      [true, 'maker'],
    ],
  );
  await reader.end();
  await end();
});

test('an ALTER SCHEMA of a schema that PUBLIC may use makes nothing readable', async () => {
  const { admin, maker, login, end } = await place();
  const reader = await login();
  const role = `reports_${places}`;
  await maker.query('CREATE TABLE app.token (id integer)');
  await maker.query('ALTER TABLE app.token RENAME TO detached');
  await admin.query(`GRANT USAGE ON SCHEMA app TO PUBLIC; REVOKE USAGE ON SCHEMA app FROM ${role};
    ALTER SCHEMA app OWNER TO postgres`);
  assert.equal(await reads(reader, 'app.detached'), '42501');
  await reader.end();
  await end();
});

test('it is refused where somebody else could put code in its way', async () => {
  await superuser.query(`CREATE ROLE keeper LOGIN CREATEROLE PASSWORD 'keeper'`);
  await superuser.query('CREATE DATABASE kept OWNER keeper');
  const keeper = await cluster.connect({ database: 'kept', user: 'keeper', password: 'keeper' });
  await keeper.query(`CREATE EXTENSION rolecall; CREATE SCHEMA app;
    SELECT FROM rolecall.provision_reporting_role('kept_reports', '{app}', '{token}')`);
  const admin = await cluster.connect({ database: 'kept' });
  const call = 'SELECT * FROM rolecall.watch_new_tables()';
  await assert.rejects(keeper.query(call), { code: '42501' });
  // Whoever creates the extension, a superuser owns it. Whoever runs the plain script owns what it creates.
  await admin.query(`SELECT * FROM rolecall.watch_new_tables(dry_run => true)`);
  const owned = ['FUNCTION rolecall_internal.apply_to_new_tables()', 'VIEW rolecall_watch.reporting_role'];
  owned.push('TABLE rolecall_internal.resource', 'TABLE rolecall_internal.secret', 'TABLE rolecall_internal.withheld');
  owned.push(...['rolecall', 'rolecall_internal', 'rolecall_watch'].map((schema) => `SCHEMA ${schema}`));
  for (const object of owned) await admin.query(`ALTER ${object} OWNER TO keeper`);
  for (const object of owned) {
    await assert.rejects(
      admin.query(call),
      (error: { code: string; detail: string }) =>
        error.code === '55000' && error.detail.includes(`${object} of keeper`),
      object,
    );
    await admin.query(`ALTER ${object} OWNER TO postgres`);
  }
  await admin.query(`${call}; SELECT FROM rolecall.add_operator('keeper')`);
  await keeper.query(`CREATE TABLE app.plain (id integer); CREATE TABLE app.token (id integer)`);
  for (const [table, expected] of [
    ['plain', true],
    ['token', false],
  ] as const) {
    const { rows } = await admin.query(`SELECT has_table_privilege('kept_reports', 'app.${table}', 'SELECT') AS reads`);
    assert.equal(rows[0].reads, expected, table);
  }
  assert.deepEqual((await keeper.query('SELECT * FROM rolecall.drift()')).rows, []);
  for (const statement of [
    'CREATE OR REPLACE VIEW rolecall_watch.reporting_role AS SELECT 1',
    'ALTER SCHEMA rolecall RENAME TO mine',
    'CREATE FUNCTION rolecall.mine() RETURNS integer LANGUAGE sql AS $$SELECT 1$$',
    'ALTER FUNCTION rolecall_internal.apply_to_new_tables() RENAME TO mine',
    'ALTER TABLE rolecall_internal.resource ENABLE ROW LEVEL SECURITY',
    'CREATE TRIGGER mine BEFORE INSERT ON rolecall_internal.resource EXECUTE FUNCTION suppress_redundant_updates_trigger()',
    'DROP EVENT TRIGGER rolecall_watch_new_tables',
  ]) {
    await assert.rejects(keeper.query(statement), { code: '42501' }, statement);
  }
  // An operator decides who reads what others make.
  await keeper.query(`SELECT FROM rolecall.provision_reporting_role('kept_reports', '{app,theirs}', '{token}', '{}')`);
  await admin.query('CREATE TABLE theirs.plain (id integer)');
  const { rows } = await admin.query(`SELECT has_table_privilege('kept_reports', 'theirs.plain', 'SELECT') AS reads`);
  assert.equal(rows[0].reads, true);
  await Promise.all([keeper.end(), admin.end()]);
});

test('what the trigger uses is open to everybody, and nothing else', async () => {
  const { admin, end, database } = await place();
  const other = await cluster.connect({ database, user: 'other', password: 'other' });
  const { rows } = await admin.query<{ call: string }>(`
    SELECT format('SELECT %s(%s)', p.oid::regproc, (
      SELECT string_agg(format('(SELECT NULL::%s)', format_type(a.type, NULL)), ', ' ORDER BY a.position)
      FROM unnest(p.proargtypes) WITH ORDINALITY AS a(type, position)
    )) AS call FROM pg_proc AS p WHERE p.pronamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[])
    UNION ALL
    SELECT format('TABLE %s', c.oid::regclass) FROM pg_class AS c
    WHERE c.relnamespace = ANY ('{rolecall,rolecall_internal,rolecall_watch}'::regnamespace[]) AND c.relkind IN ('r', 'v') AND c.relname <> 'reporting_role'`);
  assert.ok(rows.length > 100);
  for (const { call } of rows) await assert.rejects(other.query(call), { code: '42501' }, call);
  for (const statement of [
    'CREATE TABLE rolecall.mine (id integer)',
    'CREATE TABLE rolecall_watch.mine (id integer)',
    // Nothing else can be named, so nobody can stand in the way of DROP EXTENSION with it.
    'CREATE TABLE mine (step rolecall.step)',
    'CREATE TEMPORARY TABLE mine (step rolecall.step)',
    'CREATE TEMPORARY TABLE mine (LIKE rolecall_internal.resource)',
    'CREATE TEMPORARY TABLE mine (resource rolecall_internal.resource)',
    'CREATE VIEW mine AS TABLE rolecall_internal.secret',
    'DELETE FROM rolecall_watch.reporting_role',
    'CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION rolecall_internal.apply_to_new_tables()',
  ]) {
    await assert.rejects(
      other.query(statement),
      (error: { code: string }) => ['42501', '55000'].includes(error.code),
      statement,
    );
  }
  assert.equal((await other.query('TABLE rolecall_watch.reporting_role')).rows.length, 1);
  await other.query('CREATE TEMPORARY TABLE kept AS TABLE rolecall_watch.reporting_role');
  await other.query('CREATE TEMPORARY VIEW pinned AS TABLE rolecall_watch.reporting_role');
  await admin.query('SELECT FROM rolecall.watch_new_tables(false)');
  await assert.rejects(other.query('TABLE rolecall_watch.reporting_role'), { code: '42501' });
  // What somebody built on the one view that everybody may use is dropped by CASCADE.
  await assert.rejects(admin.query('DROP EXTENSION rolecall'), { code: '2BP01' });
  await admin.query('DROP EXTENSION rolecall CASCADE');
  await assert.rejects(other.query('TABLE pinned'), { code: '42P01' });
  // A copy of it has no column of a type of ours.
  const copy = await other.query('TABLE kept');
  assert.deepEqual(
    copy.fields.map(({ name }) => name),
    [
      'role',
      'schemas',
      'withheld',
      'known',
      'ours',
      'privilege',
      'kind',
      'means',
      'object',
      'column_name',
      'grantable',
      'revoked',
      'exact',
    ],
  );
  await other.end();
  await end();
});

test('neither a cancellation nor a timeout of the statement is swallowed', async () => {
  const { admin, maker, end } = await place();
  await superuser.query('BEGIN');
  await admin.query(`REVOKE ALL ON SCHEMA app FROM reports_${places}; DROP OWNED BY reports_${places}`);
  await superuser.query(`DROP ROLE reports_${places}`);
  await assert.rejects(maker.query(`SET statement_timeout = '300ms'; CREATE TABLE app.late (id integer)`), {
    code: '57014',
  });
  await superuser.query('ROLLBACK');
  await maker.query('SET statement_timeout = 0');
  assert.equal((await maker.query(`SELECT to_regclass('app.late') AS made`)).rows[0].made, null);
  await end();
});

if (major >= 17) {
  test('event_triggers = off is heeded', async () => {
    const { admin, end } = await place();
    await admin.query(`SET event_triggers = off; CREATE TABLE app.unseen (id integer)`);
    assert.deepEqual(
      (await admin.query('SELECT statement FROM rolecall.drift()')).rows.map(
        (row: { statement: string }) => row.statement,
      ),
      [`GRANT SELECT ON ALL TABLES IN SCHEMA app TO reports_${places}`],
    );
    await end();
  });
}

/**
 * A database where a policy says what `app_reader` has of the schema `app`, and where `maker` and `other` make
 * tables.
 */
async function policyPlace() {
  const here = await place();
  const reader = `reader_${places}`;
  await here.admin.query(`GRANT USAGE, CREATE ON SCHEMA app TO other; CREATE SCHEMA theirs AUTHORIZATION other;
    SELECT FROM rolecall.apply('{"roles": {"${reader}": {"login": true}}, "privileges": [
      {"to": "${reader}", "on": {"schema": "app"}, "grant": ["USAGE"]},
      {"to": "${reader}", "on": {"tables_in": "app", "except": ["app.card", "app.person.ssn"]}, "grant": ["SELECT", "INSERT"]}
    ]}', passwords => '{"${reader}": "reader"}')`);
  const other = await cluster.connect({ database: here.database, user: 'other', password: 'other' });
  const login = await cluster.connect({ database: here.database, user: reader, password: 'reader' });
  return { ...here, other, login, reader };
}

test('what a policy says of a schema holds for whoever makes a table', async () => {
  const { admin, maker, other, login, warnings, end } = await policyPlace();
  for (const client of [maker, other]) {
    await client.query('CREATE TABLE app.plain AS SELECT 1 AS id');
    assert.equal(await reads(login, 'app.plain'), 'reads');
    await login.query('INSERT INTO app.plain VALUES (2)');
    await client.query('CREATE TABLE app.card AS SELECT 1 AS id');
    assert.equal(await reads(login, 'app.card'), '42501');
    await client.query('CREATE TABLE app.person (id integer, ssn text)');
    await login.query('SELECT id FROM app.person');
    await assert.rejects(login.query('SELECT ssn FROM app.person'), { code: '42501' });
    assert.deepEqual((await admin.query('SELECT statement FROM rolecall.drift()')).rows, []);
    await client.query('DROP TABLE app.plain, app.card, app.person');
  }
  assert.deepEqual(warnings(), []);
  await Promise.all([other.end(), login.end()]);
  await end();
});

test('who makes tables gets nothing by what a policy says, and keeps nobody from making theirs', async () => {
  const { database, admin, maker, other, login, reader, end } = await policyPlace();
  // Nothing is given of what is not the maker's, nor of what was withheld under another name.
  await maker.query('CREATE TABLE app.card AS SELECT 1 AS id');
  await admin.query('SELECT FROM rolecall.converge()');
  await maker.query('ALTER TABLE app.card RENAME TO paper; ALTER TABLE app.paper ADD COLUMN n integer');
  assert.equal(await reads(login, 'app.paper'), '42501');
  await admin.query('CREATE TABLE app.of_admin (id integer)');
  await admin.query(`REVOKE ALL ON app.of_admin FROM ${reader}`);
  await other.query('CREATE VIEW app.v AS SELECT 1 AS id');
  await other.query('CREATE TABLE theirs.t (id integer); ALTER TABLE theirs.t SET SCHEMA app');
  assert.equal(await reads(login, 'app.of_admin'), '42501');
  assert.equal(await reads(login, 'app.t'), 'reads');

  // Names are names.
  for (const name of ['a"; DROP TABLE app.paper; --', "it's", '%s%I', '$do$']) {
    await other.query(`CREATE TABLE app."${name.replaceAll('"', '""')}" (id integer)`);
    assert.equal(await reads(login, `app."${name.replaceAll('"', '""')}"`), 'reads', name);
  }

  // What cannot be granted is a WARNING, and undoes nothing else.
  await admin.query(`CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'no grants here'; END $$;
    CREATE EVENT TRIGGER forbid ON ddl_command_start WHEN TAG IN ('GRANT') EXECUTE FUNCTION forbid()`);
  const seen: string[] = [];
  other.on('notice', ({ code, message }) => seen.push(`${code} ${message}`));
  await other.query('CREATE TABLE app.made (id integer)');
  assert.deepEqual(seen.sort(), [
    `P0001 "app.made" is not readable for reporting role "reports_${places}": no grants here`,
    `P0001 app.made lacks privileges of ${reader}: no grants here`,
  ]);
  await admin.query('DROP EVENT TRIGGER forbid');
  await admin.query('SELECT FROM rolecall.converge()');
  assert.equal(await reads(login, 'app.made'), 'reads');

  // A role that has the maker's rights to grant on keeps no excepted table from being closed.
  await admin.query(`ALTER DEFAULT PRIVILEGES FOR ROLE other IN SCHEMA app GRANT SELECT ON TABLES TO ${reader}`);
  await other.query('CREATE TABLE app.card (id integer)');
  assert.equal(await reads(login, 'app.card'), '42501');

  // What an operator records is not acted on, nor what is about another role of that name.
  await admin.query(`CREATE ROLE op_${places} LOGIN PASSWORD 'op'; SELECT FROM rolecall.add_operator('op_${places}')`);
  const operator = await cluster.connect({
    database,
    user: `op_${places}`,
    password: 'op',
  });
  await operator.query(`INSERT INTO rolecall_internal.resource (section, key, resource) VALUES ('privileges',
    '["op_${places}", "SELECT", {"kind": "table", "means": "all", "object": "app"}]',
    '{"role": "op_${places}", "privilege": "SELECT", "target": {"kind": "table", "means": "all", "object": "app"}}')`);
  await other.query('CREATE TABLE app.last (id integer)');
  assert.equal(await reads(operator, 'app.last'), '42501');
  await login.end();
  await admin.query(`DROP OWNED BY ${reader}; DROP ROLE ${reader}; CREATE ROLE ${reader}`);
  await other.query('CREATE TABLE app.newest (id integer)');
  const { rows } = await admin.query(`SELECT has_table_privilege('${reader}', 'app.newest', 'SELECT') AS reads`);
  assert.equal(rows[0].reads, false);
  await Promise.all([other.end(), operator.end()]);
  await end();
});
