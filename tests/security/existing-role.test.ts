/**
 * A role that is there before it is provisioned, with more than a reporting role has: it ends without that, or the call
 * says what it could not take away.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import type { NoticeMessage } from 'pg-protocol/dist/messages.js';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { difference, snapshot } from '../support/sandbox.ts';

const major = Number(process.env.PG || 18);
let cluster: Cluster;
let databases = 0;

before(async () => {
  cluster = await startCluster();
});

after(() => cluster.stop());

interface Step {
  operation: string;
  target: string;
  statement: string;
  status: string;
  sqlstate: string | null;
  note: string | null;
}

interface Place {
  readonly database: string;
  /** The role that is there, and one that does nothing but be granted to. */
  readonly role: string;
  readonly third: string;
  readonly keeper: string;
  readonly admin: Client;
  /** The owner of the database, who has CREATEROLE. */
  readonly owner: Client;
  readonly provisioner: Client;
  /** Its steps, without the passwords that the owner cannot compare, and the warnings. */
  provision(): Promise<{ steps: Step[]; warnings: string[] }>;
  /** Each as `object -> what`. */
  critical(): Promise<string[]>;
  login(): Promise<Client>;
  filled(text: string): string;
  end(): Promise<void>;
}

const kinds = ['superuser', 'owner'] as const;

async function makePlace(by: (typeof kinds)[number]): Promise<Place> {
  const database = `d${++databases}`;
  const [role, third, keeper] = [`${database}_reports`, `${database}_third`, `${database}_keeper`];
  const superuser = await cluster.connect();
  await superuser.query(`CREATE ROLE ${keeper} LOGIN CREATEROLE PASSWORD 'password'`);
  await superuser.query(`CREATE DATABASE ${database} OWNER ${keeper}`);
  await superuser.end();
  const admin = await cluster.connect({ database });
  const owner = await cluster.connect({ database, user: keeper, password: 'password' });
  await owner.query(`CREATE EXTENSION rolecall; CREATE ROLE ${role} LOGIN PASSWORD 'password'; CREATE ROLE ${third};
    REVOKE ALL ON DATABASE ${database} FROM PUBLIC;
    CREATE SCHEMA app; CREATE SCHEMA closed; GRANT USAGE ON SCHEMA app, closed TO PUBLIC`);
  await admin.query(`GRANT CONNECT ON DATABASE ${database} TO PUBLIC; REVOKE CREATE ON SCHEMA public FROM PUBLIC`);
  const provisioner = by === 'owner' ? owner : admin;
  const filled = (text: string) =>
    text.replaceAll('{role}', role).replaceAll('{third}', third).replaceAll('{database}', database);
  return {
    ...{ database, role, third, keeper, admin, owner, provisioner, filled },
    async provision() {
      const warnings: string[] = [];
      const listen = ({ severity, message = '' }: NoticeMessage) => {
        // From 16 the keeper has ADMIN OPTION on what it created, which is said at first: see names-taken.test.ts. That
        // the owner of the schema can create functions there is true of every place: see reading.test.ts.
        const isKnown =
          message.endsWith(`can read what it reads: "${keeper}"`) || message.startsWith('others can create objects');
        if (severity === 'WARNING' && !isKnown) warnings.push(message);
      };
      provisioner.on('notice', listen);
      const { rows } = await provisioner.query<Step>('SELECT * FROM rolecall.provision_reporting_role($1, $2, $3)', [
        role,
        ['app'],
        ['token', 'parts'],
      ]);
      provisioner.off('notice', listen);
      return { steps: rows.filter(({ operation }) => operation !== 'set_password'), warnings };
    },
    async critical() {
      const { rows } = await owner.query<{ finding: string }>(
        `SELECT concat(object, ' -> ', detail) AS finding FROM rolecall.audit_role($1) WHERE severity = 'critical'`,
        [role],
      );
      return rows.map(({ finding }) => finding);
    },
    async login() {
      const { rows } = await owner.query('SELECT rolecall.reporting_role_password($1) AS password', [role]);
      return cluster.connect({ database, user: role, password: rows[0].password });
    },
    end: async () => {
      await Promise.all([admin.end(), owner.end()]);
    },
  };
}

/** The code of the error, or of the warning, of a statement that is undone. */
async function outcome(login: Client, statement: string): Promise<string> {
  let warning = 'success';
  const listen = ({ code = '' }: NoticeMessage) => (warning = code);
  login.on('notice', listen);
  await login.query('BEGIN READ WRITE');
  try {
    await login.query(statement);
    return warning;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  } finally {
    await login.query('ROLLBACK');
    login.off('notice', listen);
  }
}

interface Power {
  /** What the role was given. */
  readonly given: string;
  /** What it can do with that, and no more when it has been provisioned. */
  readonly uses: readonly string[];
  /** What it can still do. */
  readonly keeps?: string;
}

/** What the owner of a database can give. */
const powers: Readonly<Record<string, Power>> = {
  'a table': {
    given: `CREATE TABLE app.patient (id integer, name text); INSERT INTO app.patient VALUES (1, 'one');
      GRANT ALL ON app.patient TO {role} WITH GRANT OPTION`,
    uses: [
      `INSERT INTO app.patient VALUES (2, 'two')`,
      'DELETE FROM app.patient',
      'TRUNCATE app.patient',
      'GRANT SELECT ON app.patient TO {third}',
      'GRANT INSERT ON app.patient TO {third}',
    ],
    keeps: 'SELECT * FROM app.patient',
  },
  'a view': {
    given: `CREATE TABLE closed.person (name text); CREATE VIEW app.names AS SELECT name FROM closed.person;
      GRANT ALL ON app.names TO {role}`,
    uses: ['DELETE FROM app.names'],
    keeps: 'SELECT * FROM app.names',
  },
  columns: {
    given: `CREATE TABLE app.columns (id integer, "Full name" text); INSERT INTO app.columns VALUES (1, 'one');
      GRANT INSERT (id), UPDATE (id, "Full name"), SELECT (id) ON app.columns TO {role} WITH GRANT OPTION`,
    uses: [
      'INSERT INTO app.columns (id) VALUES (2)',
      `UPDATE app.columns SET "Full name" = 'two'`,
      'GRANT SELECT (id) ON app.columns TO {third}',
    ],
    keeps: 'SELECT * FROM app.columns',
  },
  'what is to be withheld': {
    given: 'CREATE TABLE app.token (id integer, value text); GRANT SELECT ON app.token TO {role}',
    uses: ['SELECT * FROM app.token'],
  },
  'columns of what is to be withheld': {
    given: 'CREATE TABLE app.parts (id integer, value text); GRANT SELECT (value) ON app.parts TO {role}',
    uses: ['SELECT value FROM app.parts'],
  },
  'a sequence': {
    given: 'CREATE SEQUENCE app.numbers; GRANT ALL ON app.numbers TO {role}',
    uses: [`SELECT nextval('app.numbers')`, `SELECT setval('app.numbers', 7)`],
    keeps: 'SELECT last_value FROM app.numbers',
  },
  'a schema': {
    given: 'GRANT ALL ON SCHEMA app TO {role} WITH GRANT OPTION',
    uses: ['CREATE TABLE app.made ()', 'GRANT USAGE ON SCHEMA app TO {third}', 'GRANT CREATE ON SCHEMA app TO {third}'],
  },
  'another schema': {
    given: `CREATE TABLE closed.note (id integer, value text);
      GRANT ALL ON SCHEMA closed TO {role}; GRANT ALL ON closed.note TO {role}`,
    uses: ['CREATE TABLE closed.made ()', 'SELECT * FROM closed.note', 'DELETE FROM closed.note'],
  },
  'columns in another schema': {
    given: 'CREATE TABLE closed.columns (id integer, value text); GRANT SELECT (value) ON closed.columns TO {role}',
    uses: ['SELECT value FROM closed.columns'],
  },
  'the database': {
    given: 'GRANT ALL ON DATABASE {database} TO {role} WITH GRANT OPTION',
    uses: ['CREATE SCHEMA made', 'CREATE TEMPORARY TABLE made ()', 'GRANT CONNECT ON DATABASE {database} TO {third}'],
  },
  'default privileges': {
    given: `ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT ALL ON TABLES TO {role} WITH GRANT OPTION;
      CREATE TABLE app.later (id integer)`,
    uses: ['INSERT INTO app.later VALUES (1)', 'GRANT SELECT ON app.later TO {third}'],
    keeps: 'SELECT * FROM app.later',
  },
  'a large object': {
    given: `SELECT lo_from_bytea(4711, 'one'); GRANT ALL ON LARGE OBJECT 4711 TO {role} WITH GRANT OPTION`,
    uses: [`SELECT lo_put(4711, 0, 'two')`, 'GRANT SELECT ON LARGE OBJECT 4711 TO {third}'],
    keeps: 'SELECT lo_get(4711)',
  },
  'a function that runs as its owner': {
    given: `CREATE TABLE closed.done (id integer);
      CREATE FUNCTION app.writes(number integer) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO closed.done VALUES (number)';
      CREATE PROCEDURE app.writes() LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO closed.done VALUES (0)';
      REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA app FROM PUBLIC; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA app TO {role}`,
    uses: ['SELECT app.writes(1)', 'CALL app.writes()'],
  },
  'a function that runs as who calls it': {
    given: `CREATE FUNCTION closed.one() RETURNS integer LANGUAGE sql AS 'SELECT 1';
      REVOKE EXECUTE ON FUNCTION closed.one() FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION closed.one() TO {role} WITH GRANT OPTION`,
    uses: ['GRANT EXECUTE ON FUNCTION closed.one() TO {third}'],
    keeps: 'SELECT closed.one()',
  },
  'the functions and tables of rolecall': {
    given: `GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO {role}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO {role};
      GRANT ALL ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO {role}`,
    uses: [
      'SELECT rolecall.generate_password()',
      'SELECT * FROM rolecall_internal.secret',
      'DELETE FROM rolecall_internal.resource',
    ],
  },
  'a type': {
    given: `GRANT TEMPORARY ON DATABASE {database} TO {role}; CREATE DOMAIN app."Short text" AS text;
      REVOKE USAGE ON TYPE app."Short text" FROM PUBLIC; GRANT USAGE ON DOMAIN app."Short text" TO {role} WITH GRANT OPTION`,
    uses: ['CREATE TEMPORARY TABLE made (a app."Short text")', 'GRANT USAGE ON DOMAIN app."Short text" TO {third}'],
  },
  'a membership': {
    given: 'CREATE ROLE {role}_writer; GRANT {role}_writer TO {role} WITH ADMIN OPTION',
    uses: ['SET LOCAL ROLE {role}_writer', 'GRANT {role}_writer TO {third}'],
  },
};

/** What only superusers give; another caller says so, and who is to take it back. */
const granted: Readonly<Record<string, Power>> = {
  'a function that only superusers have': {
    given: 'GRANT EXECUTE ON FUNCTION pg_read_file(text), lo_export(oid, text) TO {role}',
    uses: [`SELECT pg_read_file('PG_VERSION')`, `SELECT lo_export(0, '/nowhere')`],
  },
  'a language': {
    given: 'REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC; GRANT USAGE ON LANGUAGE plpgsql TO {role}',
    uses: ['DO $$BEGIN END$$'],
  },
  'a foreign-data wrapper': {
    given: 'CREATE FOREIGN DATA WRAPPER "Other wrapper"; GRANT USAGE ON FOREIGN DATA WRAPPER "Other wrapper" TO {role}',
    uses: ['CREATE SERVER made FOREIGN DATA WRAPPER "Other wrapper"'],
  },
  'a foreign server': {
    given: `CREATE FOREIGN DATA WRAPPER other; CREATE SERVER elsewhere FOREIGN DATA WRAPPER other;
      GRANT USAGE ON FOREIGN SERVER elsewhere TO {role}`,
    uses: ['CREATE USER MAPPING FOR CURRENT_USER SERVER elsewhere'],
  },
  'a tablespace': {
    given: `GRANT TEMPORARY ON DATABASE {database} TO PUBLIC; GRANT CREATE ON TABLESPACE "{role} space" TO {role}`,
    uses: ['CREATE TEMPORARY TABLE made () TABLESPACE "{role} space"'],
  },
  'another database': {
    given: 'GRANT ALL ON DATABASE "{role} else" TO {role} WITH GRANT OPTION',
    uses: ['GRANT CREATE ON DATABASE "{role} else" TO {third}', 'GRANT CONNECT ON DATABASE "{role} else" TO {third}'],
  },
  ...(major >= 15 && {
    'a parameter': {
      given: 'GRANT SET, ALTER SYSTEM ON PARAMETER log_statement, my."select" TO {role}',
      uses: [`SET LOCAL log_statement = 'none'`],
    },
  }),
};

/** What comes with the server, or is outside of the database, so that no transaction can create it. */
async function makeOutside({ admin, role }: Place): Promise<void> {
  await admin.query(`CREATE DATABASE "${role} else"`);
  await admin.query('SET allow_in_place_tablespaces = on');
  await admin.query(`CREATE TABLESPACE "${role} space" LOCATION ''`);
}

/** Gives the role each of the powers, and has it use them; returns the session in which it did. */
async function empower(place: Place, giver: Client, list: Readonly<Record<string, Power>>): Promise<Client> {
  const { database, role, filled } = place;
  for (const [what, { given }] of Object.entries(list)) {
    // Those belong to neither: whoever provisions has granted them.
    await (what.endsWith('of rolecall') ? place.provisioner : giver).query(filled(given));
  }
  const session = await cluster.connect({ database, user: role, password: 'password' });
  for (const { uses } of Object.values(list)) {
    for (const use of uses) assert.notEqual(await outcome(session, filled(use)), '42501', use);
  }
  return session;
}

/** What of the powers is as it should not be. */
async function wrong(login: Client, place: Place, list: Readonly<Record<string, Power>>): Promise<string[]> {
  const found: string[] = [];
  for (const [what, { uses, keeps }] of Object.entries(list)) {
    for (const use of uses) {
      const code = await outcome(login, place.filled(use));
      // Who has some privilege but cannot pass it on gets no error, but is told that nothing was granted.
      if (code !== '42501' && !(use.startsWith('GRANT') && code === '01007')) found.push(`${what}: ${use}: ${code}`);
    }
    if (keeps !== undefined && (await outcome(login, place.filled(keeps))) !== 'success')
      found.push(`${what}: ${keeps}`);
  }
  return found;
}

for (const by of kinds) {
  test(`${by}: what the owner gave it is taken away, also from a session that is open`, async () => {
    const place = await makePlace(by);
    const session = await empower(place, place.owner, powers);
    const { steps, warnings } = await place.provision();
    assert.deepEqual(
      steps.filter(({ status }) => status !== 'applied'),
      [],
    );
    assert.deepEqual(warnings, []);
    assert.deepEqual(await wrong(session, place, powers), []);
    await session.end();
    const login = await place.login();
    assert.deepEqual(await wrong(login, place, powers), []);
    await login.end();
    assert.deepEqual(await place.critical(), []);
    assert.deepEqual((await place.provision()).steps, []);
    await place.end();
  });
}

test('superuser: what a superuser gave it is taken away', async () => {
  const place = await makePlace('superuser');
  await makeOutside(place);
  const session = await empower(place, place.admin, granted);
  const { steps, warnings } = await place.provision();
  assert.deepEqual(
    steps.filter(({ status }) => status !== 'applied'),
    [],
  );
  assert.deepEqual(warnings, []);
  assert.deepEqual(await wrong(session, place, granted), []);
  assert.deepEqual((await place.provision()).steps, []);
  await session.end();
  await place.end();
});

test('owner: what a superuser gave it is said, with the statement that takes it away', async () => {
  const place = await makePlace('owner');
  await makeOutside(place);
  const session = await empower(place, place.admin, granted);
  const { steps, warnings } = await place.provision();
  const skipped = steps.filter(({ status }) => status !== 'applied');
  assert.deepEqual([...new Set(skipped.map(({ sqlstate }) => sqlstate))], ['42501']);
  assert.equal(warnings.length, skipped.length);
  const elsewhere = `"${place.role} else" -> creates schemas in this database`;
  assert.ok((await place.critical()).includes(elsewhere));
  // As often as it is called, it ends.
  assert.deepEqual((await place.provision()).steps, skipped);
  for (const { statement } of skipped) await place.admin.query(statement);
  assert.deepEqual(await wrong(session, place, granted), []);
  assert.deepEqual((await place.provision()).steps, []);
  await session.end();
  await place.end();
});

for (const by of kinds) {
  test(`${by}: what somebody else granted on is said, with the statement that takes it away`, async () => {
    const place = await makePlace(by);
    const { admin, owner, role, third, filled } = place;
    await owner.query(
      filled(`CREATE TABLE app.patient (id integer); CREATE TABLE app.token (id integer);
        CREATE TABLE app.columns (id integer); SELECT lo_create(4712);
        GRANT ALL ON SCHEMA app TO {third} WITH GRANT OPTION; GRANT ALL ON app.patient, app.token TO {third} WITH GRANT OPTION;
        GRANT UPDATE (id) ON app.columns TO {third} WITH GRANT OPTION;
        GRANT ALL ON LARGE OBJECT 4712 TO {third} WITH GRANT OPTION;
        GRANT INSERT ON app.patient TO {role}`),
    );
    await admin.query(
      filled(`SET ROLE {third}; GRANT INSERT, SELECT ON app.patient TO {role} WITH GRANT OPTION; GRANT SELECT ON app.token TO {role};
        GRANT CREATE ON SCHEMA app TO {role}; GRANT UPDATE (id) ON app.columns TO {role};
        GRANT UPDATE ON LARGE OBJECT 4712 TO {role}; RESET ROLE`),
    );
    const uses = {
      all: {
        given: '',
        uses: [
          'INSERT INTO app.patient VALUES (1)',
          'GRANT SELECT ON app.patient TO {third}',
          'SELECT * FROM app.token',
          'CREATE TABLE app.made ()',
          'UPDATE app.columns SET id = 1',
          `SELECT lo_put(4712, 0, 'x')`,
        ],
        keeps: 'SELECT * FROM app.patient',
      },
    };
    const session = await cluster.connect({ database: place.database, user: role, password: 'password' });
    const { steps, warnings } = await place.provision();
    const skipped = steps.filter(({ status }) => status !== 'applied');
    assert.deepEqual(
      skipped.map(({ statement, sqlstate, note }) => [statement, sqlstate, note]),
      [
        'GRANT OPTION FOR SELECT ON app.patient',
        'INSERT ON app.patient',
        'SELECT ON app.token',
        'CREATE ON SCHEMA app',
        'UPDATE ON LARGE OBJECT 4712',
        'UPDATE (id) ON app.columns',
      ].map((what) => [
        `SET ROLE ${third}; REVOKE ${what} FROM ${role} CASCADE; RESET ROLE`,
        '42501',
        `granted by ${third}, whose it is to take back`,
      ]),
    );
    assert.equal(warnings.length, skipped.length);
    assert.deepEqual((await place.provision()).steps, skipped, 'neither does more, nor without an end');
    for (const { statement } of skipped) await admin.query(statement);
    assert.deepEqual(await wrong(session, place, uses), []);
    assert.deepEqual((await place.provision()).steps, []);
    // Who granted them keeps them.
    const { rows } = await admin.query(
      `SELECT has_table_privilege($1, 'app.token', 'SELECT WITH GRANT OPTION') AS keeps`,
      [third],
    );
    assert.deepEqual(rows, [{ keeps: true }]);
    await session.end();
    await place.end();
  });

  test(`${by}: what it owns is said, with the statement that takes it away`, async () => {
    const place = await makePlace(by);
    const { admin, role, keeper, filled } = place;
    await admin.query(`CREATE DATABASE "${role} own" OWNER ${role}; `);
    await admin.query(
      filled(`CREATE TABLE app.mine (id serial); CREATE SCHEMA mine; CREATE FUNCTION app.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1';
        CREATE TABLE app.token (id integer); SELECT lo_create(4713);
        ALTER TABLE app.mine OWNER TO {role}; ALTER TABLE app.token OWNER TO {role}; ALTER SCHEMA mine OWNER TO {role};
        ALTER FUNCTION app.mine() OWNER TO {role}; ALTER LARGE OBJECT 4713 OWNER TO {role}`),
    );
    const elsewhere = await cluster.connect({ database: `${role} own` });
    await elsewhere.query(`CREATE TABLE public.mine (id integer); ALTER TABLE public.mine OWNER TO ${role}`);
    const { steps, warnings } = await place.provision();
    const statement = `REASSIGN OWNED BY ${role} TO "a plain owner"`;
    const expected = [` in database "${role} own"`, ''].map((where) => ({
      operation: 'reassign_owned',
      target: role,
      statement,
      status: 'skipped',
      sqlstate: '42501',
      note: `owns objects${where}, which it can write and change: ${where === '' ? 7 : 1}`,
    }));
    const skipped = steps.filter(({ status }) => status !== 'applied');
    assert.deepEqual(
      skipped.sort((a, b) => String(b.note).length - String(a.note).length),
      expected,
    );
    assert.equal(warnings.length, 2);
    assert.deepEqual(
      (await place.provision()).steps.map(({ status }) => status),
      ['skipped', 'skipped'],
    );
    await elsewhere.query(statement.replace('"a plain owner"', 'CURRENT_USER'));
    await admin.query(statement.replace('"a plain owner"', keeper));
    const session = await place.login();
    // To a superuser the next owner is one more whose future tables are to be read.
    assert.deepEqual(
      (await place.provision()).steps.map(({ operation, status }) => `${operation} ${status}`),
      [
        ...['grant_privilege applied', 'grant_privilege applied'],
        ...(by === 'superuser' ? ['default_privilege applied', 'default_privilege applied'] : []),
      ],
    );
    assert.equal(await outcome(session, 'SELECT * FROM app.mine'), 'success');
    assert.equal(await outcome(session, 'SELECT * FROM app.token'), '42501');
    assert.equal(await outcome(session, 'INSERT INTO app.mine VALUES (1)'), '42501');
    assert.deepEqual((await place.provision()).steps, []);
    await session.end();
    await elsewhere.end();
    await place.end();
  });

  test(`${by}: memberships are taken away, whoever granted them; others may be members of it`, async () => {
    const place = await makePlace(by);
    const { admin, owner, role, third, keeper, filled } = place;
    await owner.query(filled(`CREATE ROLE {role}_writer; GRANT {role} TO {third}`));
    if (major >= 16) {
      await admin.query(`GRANT ${role}_writer TO ${keeper} WITH ADMIN OPTION; GRANT ${role}_writer TO ${role}`);
    }
    await owner.query(filled(`GRANT {role}_writer TO {role}`));
    const grants = async () =>
      (
        await admin.query<{ n: number }>(
          'SELECT count(*)::integer AS n FROM pg_auth_members WHERE member = $1::regrole',
          [role],
        )
      ).rows[0]?.n;
    assert.notEqual(await grants(), 0);
    if (major >= 16) assert.equal(await grants(), 2, 'one by each of two grantors');
    const said: string[] = [];
    if (major >= 16 && by === 'owner') {
      // It takes the rights of the grantor: where the caller lacks them it is skipped, and says what to run.
      const first = await place.provision();
      said.push(...first.warnings);
      const skipped = first.steps.filter(({ status }) => status === 'skipped');
      assert.deepEqual(
        skipped.map(({ sqlstate }) => sqlstate),
        ['42501'],
      );
      assert.equal(await grants(), 1);
      await admin.query(skipped[0]?.statement ?? '');
    }
    said.push(...(await place.provision()).warnings);
    assert.equal(await grants(), 0);
    const { rows } = await admin.query(`SELECT pg_has_role($1, $2, 'MEMBER') AS member`, [third, role]);
    assert.deepEqual(rows, [{ member: true }]);
    const named = said.filter((text) => text.includes('its members'));
    const readers = by === 'superuser' && major >= 16 ? `"${place.keeper}", "${third}"` : `"${third}"`;
    assert.deepEqual(named, [`role "${role}" is there already, and its members can read what it reads: ${readers}`]);
    const again = await place.provision();
    assert.deepEqual(again.steps, []);
    assert.ok(!again.warnings.some((text) => text.includes('its members')), 'once: from then on they are known');
    await place.end();
  });

  test(`${by}: what it could not be, it is: attributes, settings, and a password that has expired`, async () => {
    const place = await makePlace(by);
    const { admin, owner, role, keeper, filled } = place;
    // From 16 nobody takes away what they have not themselves.
    await admin.query(`ALTER ROLE ${keeper} CREATEDB`);
    await owner.query(
      filled(`ALTER ROLE {role} CREATEROLE CREATEDB NOLOGIN VALID UNTIL '2001-01-01';
        ALTER ROLE {role} SET default_transaction_read_only = off; ALTER ROLE {role} SET search_path = closed;
        ALTER ROLE {role} IN DATABASE {database} SET default_transaction_read_only = off;
        ALTER ROLE {role} IN DATABASE {database} SET search_path = closed;
        ALTER ROLE {role} IN DATABASE postgres SET default_transaction_read_only = off`),
    );
    await place.provision();
    const { rows } = await admin.query(
      `SELECT rolcreaterole, rolcreatedb, rolcanlogin, rolvaliduntil::text FROM pg_roles WHERE rolname = $1`,
      [role],
    );
    assert.deepEqual(rows, [
      { rolcreaterole: false, rolcreatedb: false, rolcanlogin: true, rolvaliduntil: 'infinity' },
    ]);
    const session = await place.login();
    const settings = await session.query(
      `SELECT current_setting('default_transaction_read_only') AS read_only, current_setting('search_path') AS path`,
    );
    assert.deepEqual(settings.rows, [{ read_only: 'on', path: 'app' }]);
    await session.end();
    assert.deepEqual((await place.provision()).steps, []);

    // An end that is to come is left alone.
    await owner.query(`ALTER ROLE ${role} VALID UNTIL '9999-01-01'`);
    assert.deepEqual((await place.provision()).steps, []);
    const later = await admin.query<{ year: number }>(
      'SELECT extract(year FROM rolvaliduntil)::integer AS year FROM pg_roles WHERE rolname = $1',
      [role],
    );
    assert.equal(later.rows[0]?.year, 9999);
    await place.end();
  });
}

test('owner: attributes and predefined roles that it cannot revoke are an error, and nothing is changed', async () => {
  const place = await makePlace('owner');
  const { admin, role } = place;
  for (const [give, take] of [
    [`ALTER ROLE ${role} BYPASSRLS`, `ALTER ROLE ${role} NOBYPASSRLS`],
    [`ALTER ROLE ${role} REPLICATION`, `ALTER ROLE ${role} NOREPLICATION`],
    ...(major >= 16 ? [[`GRANT pg_write_all_data TO ${role}`, `REVOKE pg_write_all_data FROM ${role}`]] : []),
    ...(major >= 16
      ? [[`CREATE ROLE writers ROLE ${role}; GRANT pg_write_all_data TO writers`, `DROP ROLE writers`]]
      : []),
  ]) {
    await admin.query(give ?? '');
    const earlier = await snapshot(admin);
    await assert.rejects(place.provision(), { code: '42501' });
    assert.deepEqual(difference(earlier, await snapshot(admin)), []);
    await admin.query(take ?? '');
  }
  await place.provision();
  await place.end();
});

for (const by of kinds) {
  test(`${by}: a schema in which everybody may create objects is named in a warning`, async () => {
    const place = await makePlace(by);
    assert.deepEqual((await place.provision()).warnings, []);
    await place.admin.query('GRANT CREATE ON SCHEMA public, closed TO PUBLIC');
    for (let run = 0; run < 2; run++) {
      const { steps, warnings } = await place.provision();
      assert.deepEqual(steps, []);
      assert.deepEqual(warnings, ['reporting roles can create objects in schema closed, public, because PUBLIC can']);
    }
    await place.end();
  });
}
