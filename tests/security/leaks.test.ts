/**
 * No password and no secret reaches the server's log, its statistics or the client's messages through anything that
 * the extension does, whatever the server is told to log, and whether the call succeeds or fails.
 *
 * Two databases differ in their settings. In `careful` the server does not log the values of parameters, as
 * docs/security.md asks for: there a call with bind parameters leaves no trace at all. In `careless` everything is
 * logged that can be: there the values show in what the server says about the caller's own statement, and nowhere
 * else. The same goes for literals in the text of a statement.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import pg, { type Client, type DatabaseError } from 'pg';
import { startCluster, until, type Cluster } from '../support/cluster.ts';

const careless = {
  'auto_explain.log_verbose': 'on',
  'auto_explain.log_analyze': 'on',
  log_parameter_max_length_on_error: '-1',
};
const careful = {
  'auto_explain.log_verbose': 'off',
  log_parameter_max_length: '0',
  ...(Number(process.env.PG ?? 18) < 16 ? {} : { 'auto_explain.log_parameter_max_length': '0' }),
};
const powerless = { user: 'powerless', password: 'powerless' };

let cluster: Cluster;
let observer: Client;

before(async () => {
  cluster = await startCluster({
    settings: {
      shared_preload_libraries: 'auto_explain, pg_stat_statements',
      log_statement: 'all',
      log_min_duration_statement: 0,
      log_min_error_statement: 'debug5',
      log_min_messages: 'debug1',
      log_error_verbosity: 'verbose',
      track_activity_query_size: 16384,
      'auto_explain.log_min_duration': 0,
      'auto_explain.log_nested_statements': true,
      'auto_explain.log_triggers': true,
      'pg_stat_statements.track': 'all',
      'pg_stat_statements.track_utility': true,
    },
  });
  observer = await quiet('postgres');
  await observer.query(`
    CREATE EXTENSION pg_stat_statements;
    CREATE ROLE powerless LOGIN PASSWORD 'powerless';
  `);
  for (const [database, settings] of Object.entries({ careless, careful })) {
    await cluster.createDatabase(database);
    for (const [name, value] of Object.entries(settings)) {
      await observer.query(`ALTER DATABASE ${database} SET ${name} = '${value}'`);
    }
    const client = await cluster.connect({ database });
    await client.query(`
      CREATE EXTENSION pgcrypto;
      GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO powerless;
      GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO powerless;
      GRANT SELECT ON rolecall_internal.resource TO powerless;
    `);
    await client.end();
  }
});
after(async () => {
  await observer.end();
  await cluster.stop();
});

/** A superuser's connection whose own statements are not logged. */
async function quiet(database: string): Promise<Client> {
  const client = await cluster.connect({ database });
  await client.query(`
    SET log_statement = none; SET log_min_duration_statement = -1; SET auto_explain.log_min_duration = -1;
    SET log_min_error_statement = panic; SET pg_stat_statements.track = none;
  `);
  return client;
}

/** A connection that keeps everything the server says to it. */
interface Caller {
  readonly client: Client;
  readonly heard: string[];
  /** The statements that it sent, as the log shows them. */
  readonly sent: string[];
  readonly outcomes: Map<string, number>;
}

async function connect(database: string, login = {}): Promise<Caller> {
  const client = await cluster.connect({ database, ...login });
  const heard: string[] = [];
  client.on('notice', (notice) => heard.push(JSON.stringify(notice) + notice.message));
  return { client, heard, sent: [], outcomes: new Map() };
}

type Value = string | string[] | null;

const literal = (value: Value): string =>
  value === null
    ? 'NULL'
    : typeof value === 'string'
      ? pg.escapeLiteral(value)
      : `ARRAY[${value.map(literal).join(', ')}]::text[]`;

/** Sends a statement whose values are bind parameters, or literals in its text. */
async function send(caller: Caller, bind: boolean, text: string, values: Value[]): Promise<void> {
  const written = bind ? text : text.replaceAll(/\$(\d)/g, (_, number) => literal(values[Number(number) - 1] ?? null));
  caller.sent.push(written);
  let outcome = 'success';
  try {
    await caller.client.query(written, bind ? values : undefined);
  } catch (error) {
    const { message, stack, code = '', ...fields } = error as DatabaseError;
    caller.heard.push(message, String(stack), JSON.stringify(fields));
    outcome = code;
  }
  caller.outcomes.set(outcome, (caller.outcomes.get(outcome) ?? 0) + 1);
}

let secrets = 0;
const newSecret = () => `needle-${++secrets}-${randomBytes(6).toString('hex')}`;

/** Every function that takes a password or a secret. */
const functions: Readonly<Record<string, (role: Value, secret: string) => [text: string, values: Value[]]>> = {
  create_user: (role, secret) => ['SELECT * FROM rolecall.create_user($1, $2)', [role, secret]],
  'create_user, dry run': (role, secret) => [
    'SELECT * FROM rolecall.create_user($1, $2, dry_run => true)',
    [role, secret],
  ],
  'create_user, as a value': (role, secret) => ['SELECT rolecall.create_user($1, $2)', [role, secret]],
  create_user_with_grants: (role, secret) => [
    'SELECT * FROM rolecall.create_user_with_grants($1, $2, $3, true)',
    [role, secret, ['anonymous', 'no such role']],
  ],
  create_test_users: (role, secret) => [
    'SELECT * FROM rolecall.create_test_users($1, $2, $3, $2)',
    [role, secret, role === null ? null : `${String(role)}_admin`],
  ],
  set_password: (role, secret) => ['SELECT * FROM rolecall.set_password($1, $2)', [role, secret]],
  'set_password, valid until': (role, secret) => [
    `SELECT * FROM rolecall.set_password($1, $2, '2100-01-01', dry_run => true)`,
    [role, secret],
  ],
  'set_password, half a verifier': (role, secret) => [
    'SELECT * FROM rolecall.set_password($1, $2)',
    [role, `SCRAM-SHA-256$${secret}`],
  ],
  scram_sha_256: (_, secret) => ['SELECT rolecall.scram_sha_256($1)', [secret]],
  'scram_sha_256, no such count': (_, secret) => ['SELECT rolecall.scram_sha_256($1, 0)', [secret]],
  'scram_sha_256, not ASCII': (_, secret) => ['SELECT rolecall.scram_sha_256($1)', [`${secret} 😀é`]],
  set_secret: (role, secret) => ['SELECT rolecall.set_secret($1, $2)', [role, secret]],
  set_secret_if_absent: (role, secret) => ['SELECT rolecall.set_secret_if_absent($1, $2)', [role, secret]],
};

/** Everything that a caller can do with one function: what succeeds, and what fails in each way. */
async function callAll(database: string, bind: boolean): Promise<{ callers: Caller[]; used: string[] }> {
  const superuser = await connect(database);
  const other = await connect(database, powerless);
  const used: string[] = [];
  const use = (secret = newSecret()) => {
    used.push(secret);
    return secret;
  };
  const start = `leak_${database}_${bind}`;
  for (const [index, [name, call]] of Object.entries(functions).entries()) {
    const role = `${start}_${index}`;
    const everywhere = async (of: Value, ...more: string[]) => {
      for (const caller of [superuser, other]) {
        for (const statement of more) await caller.client.query(statement);
        await send(caller, bind, ...call(of, use()));
        await caller.client.query('ROLLBACK');
      }
    };
    await everywhere(role, 'BEGIN READ ONLY');
    await everywhere(role, 'BEGIN');
    await everywhere(role, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
    for (const wrong of ['pg_reserved', '', 'x'.repeat(64), null, 'postgres']) await everywhere(wrong, 'BEGIN');
    const secret = use();
    await send(superuser, bind, ...call(role, secret));
    await send(superuser, bind, ...call(role, secret));
    await send(superuser, bind, ...call(role, use()));
    if (name === 'set_password') {
      await superuser.client.query(`CREATE ROLE ${role}`);
      await send(superuser, bind, ...call(role, use()));
      await everywhere(role, 'BEGIN');
    }
  }
  return { callers: [superuser, other], used };
}

/** Messages of the log: the server starts each, and each part of one, with the time and its process. */
function logged(since: number): string[] {
  return cluster
    .log()
    .slice(since)
    .split(/^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ UTC \[\d+\] )/m)
    .map((part) => part.replaceAll('\n\t', '\n'));
}

const hex = (text: string) => Buffer.from(text).toString('hex');
/** Whether a text shows one of the secrets: one pattern for all, as texts and secrets are many. */
function finder(used: readonly string[]): (text: string) => boolean {
  const written = used.flatMap((secret) => [secret.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&'), hex(secret)]);
  const pattern = new RegExp(written.join('|'));
  return (text) => used.length > 0 && pattern.test(text);
}

/** The lines of the log that show a secret, without what the server says about the caller's own statements. */
function leaks(log: readonly string[], used: readonly string[], sent: readonly string[], own: boolean): string[] {
  const texts = new Set(sent);
  const shows = finder(used);
  return log.flatMap((part) => {
    let rest = part;
    if (own) {
      const query = /Query Text: (.*)/.exec(part)?.[1] ?? '';
      // A plan of the caller's statement.
      if (texts.has(query)) return [];
      // Its parameters: after the statement, and in the last line of an error's context.
      if (/\] DETAIL: {2}[Pp]arameters: /.test(part)) return [];
      rest = rest.replace(/^(.*CONTEXT: {2})?(unnamed portal with parameters: ).*\n$/m, '$1$2\n');
      const text =
        /\] (?:LOG|STATEMENT): {2}(?:00000: )?(?:.*?(?:statement|execute .*?|parse .*?|bind .*?): )?(.*)/.exec(
          part,
        )?.[1] ?? '';
      if (texts.has(text.trim())) rest = rest.replace(text.trim(), '');
    }
    return shows(rest) ? [rest] : [];
  });
}

async function statistics(used: readonly string[]): Promise<string[]> {
  const { rows } = await observer.query<{ query: string }>('SELECT query FROM pg_stat_statements');
  assert.ok(rows.length > 100);
  return rows.map(({ query }) => query).filter(finder(used));
}

for (const [database, bind] of [
  ['careful', true],
  ['careless', true],
  ['careless', false],
] as const) {
  test(`passwords given as ${bind ? 'bind parameters' : 'literals'} where the server is ${database}`, async () => {
    const since = cluster.log().length;
    const { callers, used } = await callAll(database, bind);
    const outcomes = callers.flatMap(({ outcomes }) => [...outcomes.keys()]);
    for (const expected of ['success', '42501', '42939', '42602', '42704', '22004', '25006', '22023']) {
      assert.ok(outcomes.includes(expected), `none of the calls ended in ${expected}`);
    }
    const log = logged(since);
    // What has to be there if the server logs what it should.
    assert.ok(
      log.some((part) => part.includes('Query Text') && part.includes('check_document')),
      'no nested plan',
    );
    assert.ok(
      log.some((part) => part.includes('CONTEXT') && part.includes('run')),
      'no context',
    );
    assert.ok(callers.flatMap(({ heard }) => heard).length > 20);
    await areClean(database, callers, log, used);
    await Promise.all(callers.map(({ client }) => client.end()));
  });
}

/** Whether nothing of the secrets shows anywhere but in what the server says about the callers' own statements. */
async function areClean(
  database: string,
  callers: readonly Caller[],
  log: readonly string[],
  used: readonly string[],
): Promise<void> {
  const own = database === 'careless';
  const sent = callers.flatMap((caller) => caller.sent);
  assert.deepEqual(leaks(log, used, sent, own), []);
  // The test is able to find what is there.
  if (own) assert.notDeepEqual(leaks(log, used, sent, false), []);
  assert.deepEqual(await statistics(used), []);
  const told = callers.flatMap(({ heard }) => heard);
  // With log_parameter_max_length_on_error the server shows a caller its own parameters.
  const shows = finder(used);
  const parameters = own ? /unnamed portal with parameters: [^\n]*/g : /^$/;
  assert.deepEqual(
    told.filter((text) => shows(text.replace(parameters, ''))),
    [],
  );
}

for (const database of ['careful', 'careless']) {
  test(`secrets, their key and the passwords made from them where the server is ${database}`, async () => {
    const since = cluster.log().length;
    const caller = await connect(database);
    const other = await connect(database, powerless);
    const reader = await quiet(database);
    const used: string[] = [];
    const verifiers: string[] = [];
    const names = [`${database}_reporting`, `${database}_raw`];
    const key = newSecret();
    const look = async () => {
      const { rows } = await reader.query<{ secret: string }>(
        `SELECT rolecall.reporting_role_password(name) AS secret FROM unnest($1::text[]) AS name
         UNION ALL SELECT encode(rolecall_internal.read_secret('rolecall.reporting', true), 'hex')`,
        [names],
      );
      used.push(...rows.map(({ secret }) => secret));
      const stored = await reader.query<{ verifier: string }>(
        'SELECT rolpassword AS verifier FROM pg_authid WHERE rolname = ANY ($1)',
        [names],
      );
      verifiers.push(...stored.rows.map(({ verifier }) => verifier));
    };
    const run = (text: string, ...values: Value[]) => send(caller, true, text, values);
    const all = async () => {
      await run('SELECT * FROM rolecall.provision_reporting_roles()');
      await look();
      await run('SELECT * FROM rolecall.provision_reporting_roles()');
      await run('SELECT * FROM rolecall.rotate_reporting_secret()');
      await look();
      await run('SELECT rolecall.reporting_role_password($1)', names[0] ?? null);
      await run(`SELECT * FROM rolecall.provision_reporting_roles(rotate_after => '0')`);
      await look();
      await run(`SELECT rolecall.get_secret($1)`, 'kept');
      await run('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await run('SELECT * FROM rolecall.rotate_reporting_secret()');
      await run('SELECT rolecall.set_secret($1, NULL)', 'kept');
      await caller.client.query('ROLLBACK');
      await run('SELECT * FROM rolecall.rotate_reporting_secret(dry_run => true)');
      for (const text of [
        'SELECT * FROM rolecall.provision_reporting_roles()',
        `SELECT rolecall.reporting_role_password('${names[0]}')`,
        `SELECT rolecall.get_secret('kept')`,
      ]) {
        await send(other, true, text, []);
      }
    };
    used.push(newSecret(), key);
    await run('SELECT rolecall.set_secret($1, $2)', 'kept', used[0] ?? null);
    await all();
    await run(`SELECT set_config('rolecall.encryption_key', $1, false)`, key);
    await reader.query(`SELECT set_config('rolecall.encryption_key', $1, false)`, [key]);
    await all();
    await run(`SELECT set_config('rolecall.encryption_key', $1, false)`, newSecret());
    await run(`SELECT rolecall.get_secret($1)`, 'kept');
    await run('SELECT * FROM rolecall.provision_reporting_roles()');
    assert.equal(new Set(used).size, 2 + 9 + 6);
    for (const expected of ['success', '22004', '22023', '42501']) {
      assert.ok(
        [caller, other].some(({ outcomes }) => outcomes.has(expected)),
        `none of the calls ended in ${expected}`,
      );
    }
    const log = logged(since);
    await areClean(database, [caller, other], log, used);
    assert.equal(new Set(verifiers).size, 10);
    assert.deepEqual(log.filter(finder(verifiers)), []);
    await Promise.all([caller.client, other.client, reader].map((client) => client.end()));
  });
}

test('a password that the database chooses shows nowhere, not even in the statement', async () => {
  const since = cluster.log().length;
  const caller = await connect('careless');
  const { rows } = await caller.client.query<{ password: string; operation: string }>(
    `SELECT p.password, u.operation
     FROM rolecall.generate_password() AS p(password), rolecall.create_user('chosen', p.password) AS u`,
  );
  assert.equal(rows[0]?.operation, 'create_role');
  const used = rows.map(({ password }) => password);
  assert.deepEqual(leaks(logged(since), used, [], false), []);
  assert.deepEqual(await statistics(used), []);
  await (await cluster.connect({ user: 'chosen', password: used[0] ?? '' })).end();
  await caller.client.end();
});

test('a call that waits shows no password to those who look at the sessions', async () => {
  const [caller, holder] = [await connect('careful'), await cluster.connect({ database: 'careful' })];
  await holder.query('CREATE ROLE watched');
  await holder.query('BEGIN; ALTER ROLE watched CREATEDB; COMMENT ON ROLE watched IS NULL');
  const secret = newSecret();
  const sent = send(caller, true, 'SELECT * FROM rolecall.set_password($1, $2)', ['watched', secret]);
  const waiting = `SELECT * FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%set_password%'`;
  await until('the call to wait', async () => (await observer.query(waiting)).rows.length === 1);
  const { rows } = await observer.query(
    'SELECT a::text FROM pg_stat_activity AS a UNION ALL SELECT l::text FROM pg_locks AS l',
  );
  assert.equal(finder([secret])(JSON.stringify(rows)), false);
  await holder.query('COMMIT');
  await sent;
  assert.equal(caller.outcomes.get('success'), 1);
  await Promise.all([caller.client, holder].map((client) => client.end()));
});

test('a call that is cancelled while another database makes the role shows no verifier', async () => {
  const since = cluster.log().length;
  const [caller, holder] = [
    await cluster.connect({ database: 'careful' }),
    await cluster.connect({ database: 'careless' }),
  ];
  await holder.query('BEGIN; CREATE ROLE awaited');
  const verifier = `SCRAM-SHA-256$4096:${randomBytes(16).toString('base64')}$${randomBytes(32).toString('base64')}:${randomBytes(32).toString('base64')}`;
  const result = caller.query('SELECT * FROM rolecall.create_user($1, $2)', ['awaited', verifier]);
  const failed = assert.rejects(result, { code: '57014' });
  const waiting = `FROM pg_stat_activity WHERE wait_event = 'transactionid' AND query LIKE '%create_user%'`;
  await until('the call to wait', async () => (await observer.query(`SELECT ${waiting}`)).rows.length === 1);
  await observer.query(`SELECT pg_cancel_backend(pid) ${waiting}`);
  await failed;
  await holder.query('ROLLBACK');
  assert.match(cluster.log().slice(since), /CONTEXT: +PL\/pgSQL function rolecall\.create_user\([^\n]*\n[^\t]/);
  assert.equal(finder([verifier])(cluster.log().slice(since)), false);
  await Promise.all([caller, holder].map((client) => client.end()));
});
