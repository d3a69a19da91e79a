/**
 * Withheld columns where it takes logins: the reporting role reads the other columns of a table and never the withheld
 * ones, while plain owners make, alter and rename what they like, and after a dump has been restored.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { type Cluster, startCluster } from '../support/cluster.ts';

let cluster: Cluster;

before(async () => {
  cluster = await startCluster();
  const superuser = await cluster.connect();
  await superuser.query(`CREATE ROLE maker LOGIN PASSWORD 'maker'`);
  await superuser.end();
});

after(() => cluster.stop());

interface Place {
  role: string;
  admin: Client;
  maker: Client;
  reader: Client;
  /** What the reporting role reads of a table: the whole of it, some columns, or nothing. */
  reads(table: string): Promise<string>;
  /** What drift() lists. */
  drift(): Promise<string[]>;
  warnings: string[];
  end(): Promise<void>;
}

let places = 0;
/** A database whose schema `app` a role reads, and where `maker` creates tables, with default privileges or without. */
async function place(withheld: string, { watched = true, owners = '{}' } = {}): Promise<Place> {
  const role = `reports_${++places}`;
  const database = await cluster.createDatabase();
  const admin = await cluster.connect({ database });
  await admin.query(`CREATE SCHEMA app AUTHORIZATION maker; CREATE SCHEMA elsewhere AUTHORIZATION maker;
    SELECT FROM rolecall.provision_reporting_role('${role}', '{app}', '${withheld}', '${owners}')`);
  if (watched) await admin.query('SELECT FROM rolecall.watch_new_tables()');
  const maker = await cluster.connect({ database, user: 'maker', password: 'maker' });
  const warnings: string[] = [];
  maker.on('notice', ({ severity, message }) => {
    if (severity === 'WARNING') warnings.push(String(message));
  });
  const { rows } = await admin.query<{ password: string }>('SELECT rolecall.reporting_role_password($1) AS password', [
    role,
  ]);
  const reader = await cluster.connect({ database, user: role, password: rows[0]?.password ?? '' });
  const may = async (query: string): Promise<boolean> =>
    reader.query(query).then(
      () => true,
      (error: { code?: string }) => {
        assert.equal(error.code, '42501', query);
        return false;
      },
    );
  return {
    role,
    admin,
    maker,
    reader,
    warnings,
    reads: async (table) => {
      if (await may(`SELECT * FROM ${table}`)) return 'all';
      const columns = await admin.query<{ name: string }>(
        `SELECT quote_ident(attname) AS name FROM pg_attribute
         WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
        [table],
      );
      const read: string[] = [];
      for (const { name } of columns.rows) if (await may(`SELECT ${name} FROM ${table}`)) read.push(name);
      assert.equal(await may(`SELECT count(*) FROM ${table}`), read.length > 0);
      return read.join(' ');
    },
    drift: async () =>
      (
        await admin.query<{ step: string }>(
          `SELECT CASE status WHEN 'skipped' THEN concat_ws(' ', status, sqlstate, target) ELSE statement END AS step
           FROM rolecall.drift()`,
        )
      ).rows.map(({ step }) => step),
    end: async () => {
      await Promise.all([admin.end(), maker.end(), reader.end()]);
    },
  };
}

for (const owners of ['{}', '{maker}']) {
  test(`watched, the other columns of a table are readable at once, ${owners === '{}' ? 'without' : 'with'} default privileges`, async () => {
    const { maker, reads, admin, drift, warnings, end, role } = await place(
      '{patients.ssn,token,visits.pin,"Odd.pin"}',
      { owners },
    );
    const after = async (command: string, table: string, expected: string) => {
      await maker.query(command);
      assert.equal(await reads(table), expected, command);
    };
    await after('CREATE TABLE app.patients (id integer, ssn text, name text)', 'app.patients', 'id name');
    await after('CREATE TABLE app.plain (id integer, ssn text)', 'app.plain', 'all');
    await after('ALTER TABLE app.patients ADD COLUMN city text', 'app.patients', 'id name city');
    await after('ALTER TABLE app.patients ADD COLUMN a integer, ADD b serial', 'app.patients', 'id name city a b');
    await after('ALTER TABLE app.patients DROP COLUMN a', 'app.patients', 'id name city b');
    await after('ALTER TABLE app.patients ALTER COLUMN ssn SET DEFAULT 1', 'app.patients', 'id name city b');
    assert.deepEqual(await drift(), []);

    // Tables in another transaction, and within one.
    await after(
      `BEGIN; CREATE TABLE app.made (id integer); ALTER TABLE app.made RENAME id TO pin; ALTER TABLE app.made ADD at date;
       ALTER TABLE app.made RENAME TO visits; SAVEPOINT s; ALTER TABLE app.visits ADD more text; RELEASE s; COMMIT`,
      'app.visits',
      'at more',
    );
    await after('DROP TABLE app.patients; CREATE TABLE app.patients (ssn text, "Odd" text)', 'app.patients', '"Odd"');
    await after('CREATE VIEW elsewhere.patients AS SELECT 1 AS ssn, 2 AS id', 'app.patients', '"Odd"');
    await after('DROP TABLE app.patients; ALTER VIEW elsewhere.patients SET SCHEMA app', 'app.patients', 'id');
    await after(
      'CREATE OR REPLACE VIEW app.patients AS SELECT 1 AS ssn, 2 AS id, 3 AS more',
      'app.patients',
      'id more',
    );
    await after(
      'DROP VIEW app.patients; CREATE MATERIALIZED VIEW app.patients AS SELECT 1 AS ssn, 2 AS id',
      'app.patients',
      'id',
    );
    assert.deepEqual(await drift(), []);

    // Columns that get the withheld name, or lose it.
    await maker.query(
      'DROP MATERIALIZED VIEW app.patients; CREATE TABLE app.patients (id integer, tax text, born date)',
    );
    assert.equal(await reads('app.patients'), 'all');
    await after('ALTER TABLE app.patients RENAME COLUMN tax TO ssn', 'app.patients', 'id born');
    await after('ALTER TABLE app.patients RENAME COLUMN ssn TO tax', 'app.patients', 'id born');
    await after('ALTER TABLE app.patients RENAME COLUMN tax TO ssn', 'app.patients', 'id born');
    await admin.query('SELECT FROM rolecall.converge()');
    assert.equal(await reads('app.patients'), 'id born');
    await after(
      'ALTER TABLE app.patients RENAME COLUMN ssn TO tax; ALTER TABLE app.patients ADD ssn text, ADD last text',
      'app.patients',
      'id born last',
    );
    assert.deepEqual(await drift(), ['skipped 55000 app.patients.tax']);
    await admin.query('SELECT FROM rolecall.converge()');
    assert.equal(await reads('app.patients'), 'id born last');
    await after('ALTER TABLE app.patients RENAME COLUMN born TO born_at', 'app.patients', 'id born_at last');

    // Tables that are moved, renamed, and put under another parent.
    await after('ALTER TABLE app.patients SET SCHEMA elsewhere', 'elsewhere.patients', '');
    await after('ALTER TABLE elsewhere.patients SET SCHEMA app', 'app.patients', 'id born_at last');
    await after('ALTER TABLE app.patients RENAME TO token', 'app.token', '');
    await after('ALTER TABLE app.token RENAME TO patients', 'app.patients', '');
    await admin.query('SELECT FROM rolecall.converge()');
    assert.equal(await reads('app.patients'), 'id born_at last');
    await maker.query(`DROP TABLE app.visits; CREATE TABLE app.visits (id integer, pin text) PARTITION BY LIST (id);
      CREATE TABLE app.part (pin text, id integer)`);
    assert.equal(await reads('app.part'), 'all');
    await after('ALTER TABLE app.visits ATTACH PARTITION app.part DEFAULT', 'app.part', 'id');
    await after('ALTER TABLE app.visits ADD COLUMN at date', 'app.part', 'id at');
    assert.equal(await reads('app.visits'), 'id at');
    await after('CREATE TABLE app.other PARTITION OF app.visits FOR VALUES IN (1)', 'app.other', 'id at');
    assert.deepEqual(await drift(), ['skipped 55000 app.patients.tax']);
    await admin.query('SELECT FROM rolecall.converge()');
    await after('ALTER TABLE app.visits DETACH PARTITION app.part', 'app.part', 'id at');
    await after('ALTER TABLE app.part ADD COLUMN more text', 'app.part', 'id at more');
    assert.deepEqual(await drift(), ['skipped 55000 app.part.pin', 'skipped 55000 app.patients.tax']);
    assert.deepEqual(warnings, []);

    // What somebody has granted beside it.
    await maker.query(`GRANT SELECT (pin), SELECT (id), INSERT (id) ON app.visits TO ${role}`);
    await after('ALTER TABLE app.visits ADD COLUMN yet text', 'app.visits', 'id at yet');
    await end();
  });
}

test('watched, a column that was withheld since the last run is not given away by what follows', async () => {
  const { maker, reads, end } = await place('{patients.ssn,patients.pin}');
  await maker.query(`CREATE TABLE app.patients (id integer, pin text, ssn text);
    CREATE TABLE app.persons (id integer, pin text)`);
  await maker.query('ALTER TABLE app.patients RENAME COLUMN ssn TO tax');
  assert.equal(await reads('app.patients'), 'id');
  await maker.query('ALTER TABLE app.patients ADD COLUMN born date');
  assert.equal(await reads('app.patients'), 'id born');
  await maker.query(
    'ALTER TABLE app.patients RENAME COLUMN pin TO number; ALTER TABLE app.patients ADD COLUMN pin text',
  );
  assert.equal(await reads('app.patients'), 'id born');
  await end();
});

test('watched, a grant on a withheld column does not make the column new', async () => {
  const { admin, maker, reads, end } = await place('{patients.ssn}');
  await maker.query('CREATE TABLE app.patients (id integer, ssn text)');
  // It is known by its name alone now, and has another; who may grant on it writes its row anew.
  await maker.query('ALTER TABLE app.patients RENAME COLUMN ssn TO tax');
  await admin.query('CREATE ROLE clerk; GRANT USAGE ON SCHEMA app TO clerk');
  await maker.query('GRANT SELECT (tax) ON app.patients TO clerk WITH GRANT OPTION');
  await admin.query('SET ROLE clerk; GRANT SELECT (tax) ON app.patients TO pg_monitor; RESET ROLE');
  await maker.query('ALTER TABLE app.patients SET (fillfactor = 90)');
  assert.equal(await reads('app.patients'), 'id');
  // Found by a run, it stays withheld whatever its owner does in one transaction.
  await maker.query('ALTER TABLE app.patients RENAME COLUMN tax TO ssn');
  await admin.query('SELECT FROM rolecall.converge()');
  await maker.query(`BEGIN; ALTER TABLE app.patients RENAME COLUMN ssn TO tax; GRANT UPDATE (tax) ON app.patients TO PUBLIC;
    ALTER TABLE app.patients SET (fillfactor = 80); COMMIT`);
  assert.equal(await reads('app.patients'), 'id');
  await admin.query('DROP OWNED BY clerk CASCADE; DROP ROLE clerk');
  await end();
});

test('without the trigger a new table is readable until the next run, and a new column is not', async () => {
  const { maker, admin, reads, drift, role, end } = await place('{patients.ssn}', {
    watched: false,
    owners: '{maker}',
  });
  await maker.query('CREATE TABLE app.patients (id integer, ssn text)');
  assert.equal(await reads('app.patients'), 'all');
  assert.deepEqual(await drift(), [
    `REVOKE SELECT ON app.patients FROM ${role} CASCADE`,
    `GRANT SELECT (id) ON app.patients TO ${role}`,
  ]);
  await admin.query('SELECT FROM rolecall.converge()');
  await maker.query('ALTER TABLE app.patients ADD COLUMN born date');
  assert.equal(await reads('app.patients'), 'id');
  await admin.query('SELECT FROM rolecall.converge()');
  assert.equal(await reads('app.patients'), 'id born');
  // Nothing is left to do, nor to write.
  await admin.query('BEGIN READ ONLY');
  await admin.query('SELECT FROM rolecall.converge()');
  await admin.query('COMMIT');
  await end();
});

test('row-level security holds for the columns that are readable', async () => {
  const { maker, admin, reader, role, end } = await place('{patients.ssn}');
  await maker.query(`CREATE TABLE app.patients (id integer, ssn text); INSERT INTO app.patients VALUES (1, 'a'), (2, 'b');
    ALTER TABLE app.patients ENABLE ROW LEVEL SECURITY`);
  const notices: string[] = [];
  admin.on('notice', ({ message }) => notices.push(String(message)));
  await admin.query(`SELECT FROM rolecall.provision_reporting_role('${role}', '{app}', '{patients.ssn}', '{}')`);
  assert.ok(notices.includes(`reporting role "${role}" reads no rows of 1 table`), notices.join('\n'));
  // A policy can look at what the role does not read.
  await maker.query(`CREATE POLICY shown ON app.patients FOR SELECT TO ${role} USING (ssn = 'b')`);
  assert.deepEqual((await reader.query('SELECT id FROM app.patients')).rows, [{ id: 2 }]);
  await end();
});

test('a name that matches nothing is said, and so is a column that is read through a parent', async () => {
  const { admin, maker, role, end } = await place('{}');
  await maker.query(`CREATE TABLE app.patients (id integer, "Ssn" text); CREATE TABLE app.parent (pin text, id integer);
    CREATE TABLE app.child () INHERITS (app.parent)`);
  const said: string[] = [];
  admin.on('notice', ({ message }) => {
    if (!message?.includes('can create objects')) said.push(String(message));
  });
  await admin.query(
    `SELECT FROM rolecall.provision_reporting_role('${role}', '{app}', '{patients.ssn,app.patients.tax,child.pin}', '{}')`,
  );
  assert.deepEqual(said, [
    'withheld tables or columns that do not exist yet: app.patients.tax, patients.ssn',
    'withheld tables or columns that exist only in a different case: patients.ssn is "ssn" of "patients", not "Ssn" of "patients"',
    `reporting role "${role}" reads withheld tables through their parent: app.child.pin through app.parent`,
  ]);
  said.length = 0;
  await admin.query(
    `SELECT FROM rolecall.provision_reporting_role('${role}', '{app}', '{parent.pin,child.pin}', '{}')`,
  );
  assert.deepEqual(said, []);
  await end();
});

/** What a dump carries of this is copied by hand, as not every server here has pg_dump. */
async function restored(from: Place, tables: string): Promise<Client> {
  const to = await cluster.connect({ database: await cluster.createDatabase() });
  await to.query(`CREATE SCHEMA app; ${tables}`);
  for (const table of ['resource', 'withheld']) {
    const { rows } = await from.admin.query<{ rows: string }>(
      `SELECT coalesce(jsonb_agg(r), '[]')::text AS rows FROM rolecall_internal.${table} AS r`,
    );
    await to.query(
      `INSERT INTO rolecall_internal.${table} SELECT * FROM jsonb_populate_recordset(NULL::rolecall_internal.${table}, $1)`,
      [rows[0]?.rows],
    );
  }
  return to;
}

test('in a restored dump, where columns have other numbers, the same columns are withheld', async () => {
  const from = await place('{patients.ssn}', { watched: false });
  await from.maker.query(`CREATE TABLE app.patients (gone text, id integer, ssn text, name text);
    ALTER TABLE app.patients DROP COLUMN gone`);
  await from.admin.query('SELECT FROM rolecall.converge()');
  await from.maker.query('ALTER TABLE app.patients RENAME ssn TO tax');
  const means = async (client: Client) =>
    (
      await client.query<{ columns: string }>(
        `SELECT string_agg(w.column_name, ' ' ORDER BY w.column_number) AS columns
         FROM rolecall_internal.withheld_tables((SELECT jsonb_agg(resource) FROM rolecall_internal.resource WHERE section = 'read_access')) AS w`,
      )
    ).rows[0]?.columns;
  assert.equal(await means(from.admin), 'tax');

  // A dump from before the next run has the old name: nobody can tell which column it was.
  const early = await restored(from, 'CREATE TABLE app.patients (id integer, tax text, name text)');
  assert.equal(await means(early), null);
  const { rows } = await early.query(
    `SELECT table_oid::regclass::text AS name FROM rolecall_internal.withheld_tables((SELECT jsonb_agg(resource) FROM rolecall_internal.resource WHERE section = 'read_access'))`,
  );
  assert.deepEqual(rows, [{ name: 'app.patients' }]);
  await early.end();

  await from.admin.query('SELECT FROM rolecall.converge()');
  const late = await restored(from, 'CREATE TABLE app.patients (id integer, tax text, name text)');
  assert.equal(await means(late), 'tax');
  await late.end();
  await from.end();
});
