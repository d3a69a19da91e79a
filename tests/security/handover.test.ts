/**
 * Code that changes hands: a login leaves objects behind that act as their owner, and a superuser removes it. Nothing
 * of that may begin to act as the superuser.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';

const major = Number(process.env.PG || 18);

const { cluster, database, admin } = await placeOfFile();
await admin.query(
  'CREATE SCHEMA app; GRANT CREATE, USAGE ON SCHEMA app TO PUBLIC; CREATE TABLE app.parent (id integer PRIMARY KEY)',
);
await admin.query(
  'GRANT REFERENCES ON app.parent TO PUBLIC; CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere',
);
await admin.query(`GRANT CREATE ON DATABASE ${database} TO PUBLIC`);
await admin.query('GRANT USAGE ON FOREIGN SERVER far TO PUBLIC; GRANT USAGE ON SCHEMA rolecall_internal TO PUBLIC');

interface Trap {
  readonly name: string;
  /** What the attacker runs; `NAME` is the attacker. */
  readonly create: string;
  readonly object: RegExp;
  readonly advice: RegExp;
}

const traps: Trap[] = [
  {
    name: 'a table that others may reference',
    create: 'CREATE TABLE app.ref (id integer PRIMARY KEY); GRANT REFERENCES ON app.ref TO PUBLIC',
    object: /^table app\.ref/,
    advice: /REVOKE REFERENCES, TRIGGER ON app\.ref FROM PUBLIC CASCADE/,
  },
  {
    name: 'a column that others may reference',
    create: 'CREATE TABLE app.col (id integer UNIQUE); GRANT REFERENCES (id) ON app.col TO PUBLIC',
    object: /^table app\.col/,
    advice: /REVOKE REFERENCES, TRIGGER ON app\.col FROM PUBLIC CASCADE/,
  },
  {
    name: 'a table on which others may create triggers that a foreign key fires',
    create: `CREATE TABLE app.kid (id integer REFERENCES app.parent ON DELETE CASCADE); GRANT TRIGGER ON app.kid TO PUBLIC`,
    object: /^table app\.kid/,
    advice: /REVOKE REFERENCES, TRIGGER ON app\.kid FROM PUBLIC CASCADE/,
  },
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
    advice: /DROP INDEX.* of app\.x calls a function.*, or DROP TABLE app\.x/,
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
    advice: /DROP .* of app\.mallory_\d+_key.*, or DROP TABLE/,
  })),
  ...[
    ['a range type', '(r app.NAME_range)'],
    ['a domain over a range type', '(r app.NAME_over)'],
    ['an array of a composite type', '(r app.NAME_row[])'],
    ['statistics', '(id integer, n integer); CREATE STATISTICS app.NAME_s ON (app.NAME(id)), n FROM app.NAME_calls'],
    ['the predicate of an index', '(id integer); CREATE INDEX ON app.NAME_calls (id) WHERE app.NAME(id) > 0'],
    ['an operator', '(id integer CHECK (OPERATOR(NAME.@@) id > 0))'],
    ['a policy', '(id integer); CREATE POLICY p ON app.NAME_calls USING (app.NAME(id) > 0)'],
    ['a partition key', '(id integer) PARTITION BY LIST ((app.NAME(id)))'],
    [
      'a partition key behind a foreign key',
      '(id integer REFERENCES app.parent ON UPDATE CASCADE) PARTITION BY LIST ((app.NAME(id)))',
    ],
    [
      'a cast to a domain behind a foreign key',
      '(id integer REFERENCES app.parent ON UPDATE CASCADE CHECK ((id::app.NAME_domain) > 0))',
    ],
    [
      'a query in a domain behind a foreign key',
      '(id integer REFERENCES app.parent ON UPDATE CASCADE, q text CHECK (q::app.NAME_query IS NOT NULL))',
    ],
    [
      'a query in a partition behind a foreign key',
      `(id integer REFERENCES app.parent ON UPDATE CASCADE, q text) PARTITION BY LIST (id);
       CREATE TABLE app.NAME_rows PARTITION OF app.NAME_calls (CHECK (query_to_xml(q, true, true, '') IS NOT NULL)) DEFAULT`,
      '_rows',
    ],
  ].map(([what = '', rest = '', table = '_calls']) => ({
    name: `${what} that calls a function`,
    create: `CREATE FUNCTION app.NAME(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
      CREATE FUNCTION app.NAME_diff(integer, integer) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
      CREATE TYPE app.NAME_range AS RANGE (subtype = integer, subtype_diff = app.NAME_diff);
      CREATE DOMAIN app.NAME_over AS app.NAME_range; CREATE TYPE app.NAME_row AS (r app.NAME_range);
      CREATE DOMAIN app.NAME_domain AS integer CHECK (app.NAME(value) > 0);
      CREATE DOMAIN app.NAME_query AS text CHECK (query_to_xml(value, true, true, '') IS NOT NULL);
      CREATE SCHEMA NAME; CREATE OPERATOR NAME.@@ (rightarg = integer, function = app.NAME);
      CREATE TABLE app.NAME_calls ${rest}`,
    object: new RegExp(`^table app\\.mallory_\\d+${table}`, 'm'),
    advice: /DROP .* or DROP TABLE app\.mallory_/,
  })),
  {
    name: 'a cast of an extension',
    create: `CREATE SCHEMA NAME; CREATE EXTENSION citext SCHEMA NAME; CREATE TYPE NAME.key AS ENUM ('one');
      CREATE FUNCTION NAME.cast(NAME.key) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
      ALTER EXTENSION citext ADD FUNCTION NAME.cast(NAME.key);
      CREATE CAST (NAME.key AS integer) WITH FUNCTION NAME.cast(NAME.key) AS IMPLICIT;
      CREATE TABLE app.NAME_cast (id NAME.key REFERENCES app.parent)`,
    object: /^table app\.mallory_\d+_cast/m,
    advice: /DROP .* or DROP TABLE app\.mallory_/,
  },
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
    const cast = /CREATE CAST (\(.*?\))/.exec(create)?.[1];
    if (cast !== undefined) await admin.query(`DROP CAST ${cast.replaceAll('NAME', user)}`);
    await admin.query(`SELECT * FROM rolecall.remove_user('${user}', drop_owned => true)`);
  });
}

test('what somebody else can add code to is not given to a role with more rights', async () => {
  await admin.query('CREATE ROLE stranger; GRANT CREATE ON SCHEMA app TO stranger');
  for (const [create, change, advice] of [
    ['CREATE DOMAIN app.NAME AS integer; CREATE TABLE app.held (id app.NAME[])', 'DOMAIN app.NAME', /DROP INDEX/],
    [
      `CREATE TYPE app.NAME AS ENUM ('one'); CREATE CAST (app.NAME AS integer) WITH INOUT AS IMPLICIT;
       CREATE TABLE app.held (id app.NAME REFERENCES app.parent)`,
      'TYPE app.NAME',
      /DROP INDEX/,
    ],
    [
      'CREATE TABLE app.NAME (id integer) PARTITION BY LIST (id); CREATE TABLE app.held PARTITION OF app.NAME DEFAULT',
      'TABLE app.NAME',
      /ALTER TABLE app\.mallory_\d+ DETACH PARTITION app\.held/,
    ],
    [
      'CREATE TABLE app.held (id integer); CREATE TABLE app.NAME () INHERITS (app.held)',
      'TABLE app.NAME',
      /ALTER TABLE app\.mallory_\d+ NO INHERIT app\.held/,
    ],
  ] as const) {
    const user = await attacker(create);
    const give = (heir: string) =>
      admin.query(`SELECT * FROM rolecall.remove_user('${user}', reassign_to => '${heir}')`);
    await admin.query(`ALTER ${change.replace('NAME', user)} OWNER TO stranger`);
    await assert.rejects(
      give('postgres'),
      ({ code, detail }: Failure) => code === '2BP01' && detail.startsWith('table app.held. ') && advice.test(detail),
      create,
    );
    // Whose the code is may have the rest.
    await give('stranger');
    await admin.query('DROP OWNED BY stranger CASCADE; GRANT CREATE ON SCHEMA app TO stranger');
  }
});

test('a table that a key of somebody else references with its own cast is not given to a role with more rights', async () => {
  const user = await attacker('CREATE TABLE app.referenced (id integer PRIMARY KEY)');
  await admin.query(`CREATE ROLE referrer; GRANT CREATE ON SCHEMA app TO referrer; GRANT REFERENCES ON app.referenced TO referrer;
    SET ROLE referrer; CREATE TYPE app.bait AS ENUM ('1');
    CREATE FUNCTION app.evil(app.bait) RETURNS integer LANGUAGE plpgsql AS 'BEGIN RAISE ''as %'', current_user; END';
    CREATE CAST (app.bait AS integer) WITH FUNCTION app.evil(app.bait) AS IMPLICIT;
    CREATE TABLE app.referring (id app.bait REFERENCES app.referenced); RESET ROLE`);
  const give = () => admin.query(`SELECT * FROM rolecall.remove_user('${user}', reassign_to => 'postgres')`);
  const refused = ({ code, detail }: Failure) => code === '2BP01' && /^table app\.referenced/.test(detail);
  await assert.rejects(give(), refused);
  await admin.query('REVOKE REFERENCES, TRIGGER ON app.referenced FROM referrer CASCADE');
  await assert.rejects(give(), refused);
  await admin.query('DROP CAST (app.bait AS integer); DROP OWNED BY referrer; DROP ROLE referrer');
  await give();
});

test('a table that may run a query is not given away where a subscription applies changes', async () => {
  const user = await attacker(
    `CREATE TABLE app.applied (id integer, q text CHECK (query_to_xml(q, true, true, '') IS NOT NULL))`,
  );
  const give = () => admin.query(`SELECT * FROM rolecall.remove_user('${user}', reassign_to => 'postgres')`);
  await admin.query(
    `CREATE SUBSCRIPTION applying CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)`,
  );
  await admin.query(
    `SET allow_system_table_mods = on;
     INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)
     SELECT oid, 'app.applied'::regclass, 'r' FROM pg_subscription; RESET allow_system_table_mods`,
  );
  await assert.rejects(give(), ({ code, detail }: Failure) => code === '2BP01' && /^table app\.applied/.test(detail));
  await admin.query('DROP SUBSCRIPTION applying');
  await give();
});

test('what does not act as its owner is given to anybody', async () => {
  await admin.query('CREATE EXTENSION hstore SCHEMA app; CREATE EXTENSION btree_gist SCHEMA app');
  await admin.query(`CREATE TYPE app.mood AS ENUM ('calm'); ALTER TYPE app.mood OWNER TO pg_monitor`);
  const user = await attacker(`CREATE DOMAIN app.positive AS integer CHECK (value > 0);
    CREATE TYPE app.span AS RANGE (subtype = integer); CREATE TYPE app.pair AS (one integer, two app.positive);
    CREATE TABLE app.typed (h app.hstore CHECK (h OPERATOR(app.?) 'a'), s app.span, p app.pair[], m app.mood PRIMARY KEY,
      EXCLUDE USING gist (((s OPERATOR(pg_catalog.*) s)) WITH &&));
    CREATE INDEX ON app.typed USING gin (h); CREATE STATISTICS app.of_typed ON m, s FROM app.typed;
    CREATE TABLE app.parts (id integer) PARTITION BY RANGE ((id + 1)); CREATE TABLE app.part PARTITION OF app.parts DEFAULT;
    ALTER TABLE app.typed ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON app.typed USING (current_user = 'a');
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
