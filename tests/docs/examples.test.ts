/**
 * What is derived from the specs of the public functions: their examples, which are those of docs/reference.md, run and
 * have something to show, and of an error the caller sees one line of CONTEXT.
 */
import assert from 'node:assert/strict';
import { before as beforeAll, test } from 'node:test';
import type { Client, DatabaseError } from 'pg';
import type { FunctionSpec } from '../../generator/model/inspect.ts';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';
import { all, prepareFor, specs } from './examples.ts';

const { cluster, database, admin: client } = await placeOfFile();
const other = await cluster.connect({ database });

for (const { name, examples } of specs) {
  test(`the example of ${name}`, async (t) => {
    await client.query('BEGIN');
    t.after(() => client.query('ROLLBACK'));
    await prepareFor(client, name);
    for (const example of examples) {
      const { rows } = await client.query<Record<string, unknown>>(example);
      assert.ok(rows.length > 0, 'no row');
      for (const row of rows) {
        assert.notEqual(row.status, 'skipped');
        assert.ok(
          Object.values(row).some((value) => value !== null),
          'a row of nulls',
        );
      }
    }
  });
}

/** What an error of a public function shows besides MESSAGE, DETAIL and HINT: where the function itself raised it. */
const oneLine = (name: string) => new RegExp(`^PL/pgSQL function rolecall\\.${name}\\([^()]*\\) line \\d+ at RAISE$`);

/** The SQLSTATE of what a call ends in, in a transaction that goes on; null where it succeeds. */
async function failure(name: string, statement: string, session: Client = client): Promise<string | null> {
  await session.query('SAVEPOINT called');
  try {
    await session.query(statement);
    return null;
  } catch (error) {
    const { code = '', where = '', message } = error as DatabaseError;
    assert.match(where, oneLine(name), `${statement}: ${code} ${message}`);
    return code;
  } finally {
    await session.query('ROLLBACK TO called');
  }
}

/** A value of each type, which most calls refuse. */
const anyOf: Readonly<Record<string, string>> = {
  text: "'x'",
  'text[]': "'{x}'",
  jsonb: `'{"roles": {"x": {}}}'`,
  boolean: 'true',
  integer: '1',
  interval: "'1 day'",
  timestamptz: "'infinity'",
};

/** A call with one value for each argument that has no default, unless it is among those given. */
function call({ name, arguments: list }: FunctionSpec, given: Readonly<Record<string, string>> = {}): string {
  const values = list.flatMap(({ name: argument, type, default: initial }) => {
    const value = given[argument] ?? (initial === undefined ? anyOf[type] : undefined);
    return value === undefined ? [] : [`${argument} => ${value}`];
  });
  return `SELECT * FROM rolecall.${name}(${values.join(', ')})`;
}

beforeAll(async () => {
  await client.query(`
    -- Has each of these functions end in the error that the session names.
    CREATE FUNCTION public.break(names text[]) RETURNS void LANGUAGE plpgsql AS $break$
    DECLARE v_name text;
    BEGIN
      FOREACH v_name IN ARRAY names LOOP
        EXECUTE regexp_replace(
          pg_get_functiondef(('rolecall_internal.' || v_name)::regproc), '\\nAS \\$.*',
          E'\\nAS $$BEGIN RAISE EXCEPTION USING ERRCODE = current_setting(''test.code''), MESSAGE = ''broken''; END$$'
        );
      END LOOP;
    END $break$;
    CREATE TABLE public.held ();
    CREATE ROLE powerless;
    CREATE ROLE operator;
    GRANT USAGE ON SCHEMA rolecall TO powerless;
    GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall TO powerless;
    SELECT FROM rolecall.add_operator('operator');
  `);
});

/** The functions of a room; triggers are not called. */
const inRoom = (name: string) =>
  all.filter(({ room, returns }) => room === name && returns !== 'trigger').map((spec) => spec.name);
/** What a caller has to deal with by itself, errors that the engine looks into, and others. */
const codes = ['08006', '40001', '40P01', '57014', '22023', '42501', 'XX000'];

for (const { name, examples, body } of specs) {
  const called = [...new Set(Array.from(body.matchAll(/rolecall_internal\.(\w+)\(/g), ([, callee]) => callee ?? ''))];
  if (called.length === 0) continue;
  test(`an error of what ${name} calls has one line of CONTEXT`, async (t) => {
    await client.query('BEGIN');
    t.after(() => client.query('ROLLBACK'));
    await prepareFor(client, name);
    const met = new Set<string | null>();
    for (const broken of [called, inRoom('plan'), inRoom('execute')]) {
      await client.query('SAVEPOINT whole');
      await client.query('SELECT public.break($1)', [broken]);
      for (const code of broken === called ? codes : codes.slice(0, 4)) {
        await client.query("SELECT set_config('test.code', $1, true)", [code]);
        met.add(await failure(name, examples[0] ?? ''));
      }
      await client.query('ROLLBACK TO whole');
    }
    assert.deepEqual(
      codes.filter((code) => !met.has(code)),
      [],
    );
  });
}

for (const spec of specs) {
  const { name, arguments: list } = spec;
  test(`an error of a call of ${name} has one line of CONTEXT`, async (t) => {
    await client.query('BEGIN');
    t.after(() => client.query('ROLLBACK'));
    const values = (type: string) => (type === 'text' ? ['NULL', "''", "'pg_monitor'", "'postgres'"] : ['NULL']);
    for (const { name: argument, type } of list) {
      for (const value of values(type)) await failure(name, call(spec, { [argument]: value }));
    }
    for (const role of ['powerless', 'operator']) {
      await client.query(`SET LOCAL ROLE ${role}`);
      await failure(name, call(spec));
    }
    await client.query('RESET ROLE');
    await client.query('SET TRANSACTION READ ONLY');
    await failure(name, call(spec));
  });
}

test('an error of a call that waits has one line of CONTEXT', async (t) => {
  const pid = (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid ?? 0;
  t.after(() => Promise.all([client, other].map((session) => session.query('ROLLBACK'))));
  await client.query(`BEGIN; LOCK public.held; SET LOCAL deadlock_timeout = '1ms'; SELECT rolecall.version()`);
  await other.query(`
    BEGIN; SET LOCAL deadlock_timeout = '1h';
    LOCK pg_authid, pg_auth_members, pg_db_role_setting, rolecall_internal.resource, rolecall_internal.secret;
  `);
  const isWaiting = async () =>
    (await other.query('SELECT FROM pg_locks WHERE pid = $1 AND NOT granted', [pid])).rowCount === 1;

  await client.query("SET LOCAL lock_timeout = '1ms'");
  const waiting: FunctionSpec[] = [];
  for (const spec of specs) if ((await failure(spec.name, call(spec))) === '55P03') waiting.push(spec);
  assert.ok(waiting.length > specs.length / 2, 'nothing waits');

  await client.query('SET LOCAL lock_timeout = 0');
  for (const spec of waiting) {
    const ending = failure(spec.name, call(spec));
    await until('the call to wait', isWaiting);
    process.kill(pid, 'SIGINT');
    assert.equal(await ending, '57014', spec.name);
  }

  const last = other.query('LOCK public.held');
  for (const spec of waiting) assert.equal(await failure(spec.name, call(spec)), '40P01', spec.name);
  await client.query('ROLLBACK');
  await last;
});
