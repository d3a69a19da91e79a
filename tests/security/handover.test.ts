/**
 * Code that changes hands: a login leaves objects behind that act as their owner, and a superuser removes it. Nothing
 * of that may begin to act as the superuser.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { type Cluster, startCluster, until } from '../support/cluster.ts';

const major = Number(process.env.PG || 18);
let cluster: Cluster;
let admin: Client;
let database: string;

before(async () => {
  cluster = await startCluster();
  database = await cluster.createDatabase();
  admin = await cluster.connect({ database });
  await admin.query(
    'CREATE SCHEMA app; GRANT CREATE, USAGE ON SCHEMA app TO PUBLIC; CREATE TABLE app.parent (id integer PRIMARY KEY)',
  );
  await admin.query(
    'GRANT REFERENCES ON app.parent TO PUBLIC; CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere',
  );
  await admin.query('GRANT USAGE ON FOREIGN SERVER far TO PUBLIC; GRANT USAGE ON SCHEMA rolecall_internal TO PUBLIC');
});

after(async () => {
  await admin.end();
  await cluster.stop();
});

interface Trap {
  readonly name: string;
  /** What the attacker runs; `NAME` is the attacker. */
  readonly create: string;
  readonly object: RegExp;
  readonly advice: RegExp;
}

const traps: Trap[] = [
  {
    name: 'a SECURITY DEFINER function',
    create: `CREATE FUNCTION app.f(q text) RETURNS void SECURITY DEFINER LANGUAGE plpgsql AS 'BEGIN EXECUTE q; END'`,
    object: /^function app\.f\(/,
    advice: /DROP FUNCTION app\.f\(.*text\), or ALTER FUNCTION app\.f\(.*text\) SECURITY INVOKER/,
  },
  {
    name: 'a SECURITY DEFINER procedure',
    create: `CREATE PROCEDURE app.p(q text) SECURITY DEFINER LANGUAGE plpgsql AS 'BEGIN EXECUTE q; END'`,
    object: /^procedure app\.p\(/,
    advice: /ALTER PROCEDURE app\.p\(.*text\) SECURITY INVOKER/,
  },
  {
    name: 'a view over the secrets',
    create: 'CREATE VIEW app.v AS SELECT * FROM rolecall_internal.secret',
    object: /^view app\.v/,
    advice:
      major >= 15 ? /DROP VIEW app\.v, or ALTER VIEW app\.v SET \(security_invoker = true\)/ : /DROP VIEW app\.v$/m,
  },
  {
    name: 'a materialized view over the secrets',
    create: 'CREATE MATERIALIZED VIEW app.m AS SELECT * FROM rolecall_internal.secret WITH NO DATA',
    object: /^materialized view app\.m/,
    advice: /DROP MATERIALIZED VIEW app\.m/,
  },
  {
    name: 'a rule whose name is hostile',
    create: `CREATE TABLE app.r (value bytea);
      CREATE RULE "%1$s 50%" AS ON UPDATE TO app.r DO ALSO INSERT INTO app.r SELECT value FROM rolecall_internal.secret`,
    object: /^table app\.r/,
    advice: /DROP RULE "%1\$s 50%" ON app\.r/,
  },
  {
    name: 'an index that calls a function',
    create: `CREATE FUNCTION app.i(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
      CREATE TABLE app.x (id integer); CREATE INDEX ON app.x (app.i(id))`,
    object: /^table app\.x/,
    advice: /DROP INDEX/,
  },
  {
    name: 'a trigger behind a foreign key',
    create: `CREATE FUNCTION app.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
      CREATE TABLE app.k (id integer REFERENCES app.parent ON DELETE CASCADE);
      CREATE TRIGGER t BEFORE DELETE ON app.k FOR EACH ROW EXECUTE FUNCTION app.t()`,
    object: /^table app\.k/,
    advice: /DROP TRIGGER/,
  },
  ...[
    ['a constraint', 'id integer REFERENCES app.parent ON UPDATE CASCADE, CHECK (app.NAME(1) > 0)'],
    [
      'a query in a constraint',
      `id integer REFERENCES app.parent ON DELETE SET NULL, q text CHECK (query_to_xml(q, true, true, '') IS NOT NULL)`,
    ],
    [
      'a generated column',
      'id integer REFERENCES app.parent ON UPDATE CASCADE, g integer GENERATED ALWAYS AS (app.NAME(id)) STORED',
    ],
    ['a default', 'id integer DEFAULT app.NAME(1) REFERENCES app.parent ON DELETE SET DEFAULT'],
    ['a domain', 'id app.NAME_domains[], ref app.NAME_domain REFERENCES app.parent ON UPDATE CASCADE'],
    ['a cast', 'id app.NAME_type REFERENCES app.parent'],
  ].map(([what = '', columns = '']) => ({
    name: `${what} behind a foreign key`,
    create: `CREATE FUNCTION app.NAME(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
      CREATE DOMAIN app.NAME_domain AS integer CHECK (app.NAME(value) > 0);
      CREATE DOMAIN app.NAME_domains AS app.NAME_domain; CREATE TYPE app.NAME_type AS ENUM ('one');
      CREATE FUNCTION app.NAME_cast(app.NAME_type) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
      CREATE CAST (app.NAME_type AS integer) WITH FUNCTION app.NAME_cast AS IMPLICIT;
      CREATE TABLE app.NAME_key (${columns})`,
    object: /^table app\.mallory_\d+_key/,
    advice: /DROP CONSTRAINT for each foreign key from or to app\.mallory_\d+_key, or DROP TABLE/,
  })),
  {
    name: 'a foreign table',
    create: 'CREATE FOREIGN TABLE app.ft (id integer) SERVER far',
    object: /^foreign table app\.ft/,
    advice: /DROP FOREIGN TABLE app\.ft/,
  },
];

interface Failure {
  code: string;
  detail: string;
  message: string;
}

let count = 0;
/** A login that has created something. */
async function attacker(create: string): Promise<string> {
  const name = `mallory_${++count}`;
  await admin.query(`CREATE ROLE ${name} LOGIN PASSWORD 'secret'`);
  const client = await cluster.connect({ database, user: name, password: 'secret' });
  await client.query(create.replaceAll('NAME', name));
  await client.end();
  return name;
}

for (const { name, create, object, advice } of traps) {
  test(`${name} is not given to a role with more rights`, async () => {
    const user = await attacker(create);
    await admin.query(
      `CREATE ROLE owner_of_${user}; CREATE TABLE app.of_${user} (id integer); ALTER TABLE app.of_${user} OWNER TO owner_of_${user}`,
    );
    await admin.query(`CREATE ROLE reader_by_${user}; GRANT pg_read_all_data TO reader_by_${user}`);
    for (const heir of ['postgres', `owner_of_${user}`, `reader_by_${user}`]) {
      for (const rest of ['', ', drop_owned => true', ', dry_run => true']) {
        const call = `SELECT * FROM rolecall.remove_user('${user}', reassign_to => '${heir}'${rest})`;
        await assert.rejects(
          admin.query(call),
          ({ code, detail, message }: Failure) => {
            assert.equal(code, '2BP01', message);
            assert.match(
              message,
              /what acts as its owner cannot be given to role ".*", which has rights that role ".*" does not have/,
            );
            assert.match(detail, object);
            assert.match(detail, advice);
            return true;
          },
          call,
        );
      }
    }
    // A plain owner takes it, and so does nobody.
    await admin.query(`CREATE ROLE heir_of_${user}`);
    await admin.query('BEGIN');
    const { rows } = await admin.query(
      `SELECT status FROM rolecall.remove_user('${user}', reassign_to => 'heir_of_${user}')`,
    );
    assert.deepEqual(rows, [{ status: 'applied' }, { status: 'applied' }]);
    await admin.query('ROLLBACK');
    // What nobody owns is left.
    if (/CREATE CAST/.test(create)) await admin.query(`DROP CAST (app.${user}_type AS integer)`);
    await admin.query(`SELECT * FROM rolecall.remove_user('${user}', drop_owned => true)`);
  });
}

test('what does not act as its owner is given to anybody', async () => {
  const user = await attacker(`CREATE DOMAIN app.positive AS integer CHECK (value > 0);
    CREATE TABLE app.plain (id app.positive PRIMARY KEY, name text CHECK (length(name) < 9), made date DEFAULT now());
    CREATE TABLE app.other (id app.positive REFERENCES app.plain ON UPDATE CASCADE ON DELETE SET NULL, n serial,
      name text CHECK (lower(name) = name), at timestamptz DEFAULT now(), g integer GENERATED ALWAYS AS (id + 1) STORED);
    CREATE INDEX ON app.plain (lower(name)) WHERE id > 0; CREATE SEQUENCE app.numbers;
    CREATE FUNCTION app.invoker() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER t BEFORE INSERT ON app.plain FOR EACH ROW EXECUTE FUNCTION app.invoker();
    ${major >= 15 ? 'CREATE VIEW app.invoking WITH (security_invoker = true) AS SELECT * FROM app.plain' : ''}`);
  const { rows } = await admin.query(`SELECT status FROM rolecall.remove_user('${user}', reassign_to => 'postgres')`);
  assert.deepEqual(rows, [{ status: 'applied' }, { status: 'applied' }]);
});

test('what a superuser owned goes to anybody', async () => {
  await admin.query(
    'CREATE ROLE root SUPERUSER; SET ROLE root; CREATE VIEW app.of_root AS SELECT 1 AS one; RESET ROLE',
  );
  await admin.query(`SELECT * FROM rolecall.remove_user('root', reassign_to => 'postgres')`);
});

test('no remedy and no hint gives anything to whoever runs it', async () => {
  const user = await attacker(
    `CREATE FUNCTION app.left() RETURNS integer SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'; CREATE TABLE app.left (id integer)`,
  );
  await admin.query(`GRANT SELECT ON app.parent TO ${user}`);
  await admin.query(`CREATE DATABASE of_${user} OWNER ${user}`);
  const { rows: remedies } = await admin.query<{ remedy: string }>(
    `SELECT remedy FROM rolecall.user_dependencies('${user}')
     UNION ALL SELECT remedy FROM rolecall.audit_role('${user}') WHERE remedy IS NOT NULL
     UNION ALL SELECT statement FROM rolecall.provision_reporting_role('${user}', '{app}', dry_run => true)`,
  );
  assert.ok(remedies.some(({ remedy }) => remedy === `REASSIGN OWNED BY ${user} TO "a plain owner"`));
  assert.ok(remedies.some(({ remedy }) => /OWNER TO "a plain owner"/.test(remedy)));
  for (const { remedy } of remedies)
    assert.doesNotMatch(remedy, /(OWNER|OWNED).* TO (CURRENT_USER|SESSION_USER|postgres)/);
  await assert.rejects(admin.query(`REASSIGN OWNED BY ${user} TO "a plain owner"`), { code: '42704' });
});

test('what an open session of the role creates after the plan is not given away', async () => {
  const user = await attacker('CREATE TABLE app.granted (id integer)');
  await admin.query(`CREATE ROLE reader_of_it; GRANT SELECT ON app.granted TO ${user} WITH GRANT OPTION`);
  const session = await cluster.connect({ database, user, password: 'secret' });
  const [caller, holder] = [await cluster.connect({ database }), await cluster.connect({ database })];
  await admin.query(`CREATE TABLE app.others (id integer); GRANT SELECT ON app.others TO ${user} WITH GRANT OPTION`);
  await session.query('GRANT SELECT ON app.others TO reader_of_it');
  // The privilege that the role had granted is to be granted again before, which waits for this one.
  await holder.query('BEGIN; GRANT INSERT ON app.others TO reader_of_it');
  const call = caller.query(`SELECT * FROM rolecall.remove_user('${user}', reassign_to => 'postgres')`);
  call.catch(() => undefined);
  await until('the call to wait', async () => {
    const { rows } = await admin.query(
      `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%remove_user%'`,
    );
    return rows.length === 1;
  });
  await session.query(
    `CREATE FUNCTION app.late(q text) RETURNS void SECURITY DEFINER LANGUAGE plpgsql AS 'BEGIN EXECUTE q; END'`,
  );
  await holder.query('COMMIT');
  await assert.rejects(call, ({ code, detail }: Failure) => code === '2BP01' && /function app\.late\(/.test(detail));
  const { rows } = await admin.query(`SELECT proowner::regrole::text AS owner FROM pg_proc WHERE proname = 'late'`);
  assert.deepEqual(rows, [{ owner: user }]);
  await Promise.all([session, caller, holder].map((client) => client.end()));
});
