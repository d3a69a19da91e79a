/**
 * Passwords, by logging in over TCP: whoever sets one, however it is written, it lets in who has it and nobody else.
 */
import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import pg from 'pg';
import { placeOfFile } from '../support/place.ts';

const grants = `
  GRANT USAGE ON SCHEMA rolecall, rolecall_internal, rolecall_watch TO operator;
  GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rolecall, rolecall_internal TO operator;
  GRANT ALL ON ALL TABLES IN SCHEMA rolecall_internal, rolecall_watch TO operator`;

const { cluster, database, admin, login } = await placeOfFile();
await admin.query(`CREATE ROLE operator LOGIN CREATEROLE PASSWORD 'operator'; ${grants}`);
const operator = await login('operator');

async function lets(user: string, password: string): Promise<boolean> {
  try {
    const client = await cluster.connect({ database, user, password });
    const { rows } = await client.query('SELECT session_user::text AS name');
    await client.end();
    assert.deepEqual(rows, [{ name: user }]);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code !== '28P01') throw error;
    return false;
  }
}

/** As given, and as libpq and the server prepare it (SASLprep). */
const plain: Readonly<Record<string, [given: string, prepared: string]>> = {
  'of ASCII': ['correct horse', 'correct horse'],
  'with everything that SQL quotes': [`it's "a" \\ $$ $do$ %I %L {}`, `it's "a" \\ $$ $do$ %I %L {}`],
  'with control characters': ['tab\t bell\u0007 newline\n', 'tab\t bell\u0007 newline\n'],
  'longer than a block of SHA-256': ['long '.repeat(60), 'long '.repeat(60)],
  'with letters that are not ASCII': ['naïve Ελλάδα 日本', 'naïve Ελλάδα 日本'],
  'with combining marks': ['nai\u0308ve', 'naïve'],
  'with a soft hyphen': ['soft\u00adhyphen', 'softhyphen'],
  'with a wide space': ['wide\u3000space', 'wide space'],
  'with compatibility forms': ['ﬁx Ⅸ', 'fix IX'],
  'of Arabic letters': ['\u0627\u0628', '\u0627\u0628'],
  // Not in Unicode 3.2, or against the rule for right-to-left text: taken as they are.
  'with emoji': ['😀🔑', '😀🔑'],
  'that mixes directions': ['\u0627a', '\u0627a'],
  'that is nearly an MD5 hash': [`md5${'0123456789ABCDEF'.repeat(2)}`, `md5${'0123456789ABCDEF'.repeat(2)}`],
  'that is nearly a verifier': ['SCRAM-SHA-1$4096:salt$key', 'SCRAM-SHA-1$4096:salt$key'],
};

for (const [what, [given, prepared]] of Object.entries(plain)) {
  test(`a plain password ${what}`, async () => {
    for (const [who, caller] of Object.entries({ admin, operator })) {
      const user = `${who} ${what}`;
      await caller.query('SELECT * FROM rolecall.create_user_with_grants($1, $2, $3)', [user, given, []]);
      assert.ok(await lets(user, prepared), `${who}: it logs in after create_user_with_grants`);
      assert.equal(await lets(user, `${prepared}x`), false, `${who}: no other does`);
      await caller.query('SELECT * FROM rolecall.set_password($1, $2)', [user, 'another']);
      assert.equal(await lets(user, prepared), false, `${who}: not once it is changed`);
      await caller.query('SELECT * FROM rolecall.set_password($1, $2)', [user, given]);
      assert.ok(await lets(user, prepared), `${who}: it logs in after set_password`);
    }
  });
}

/** RFC 5802, by another implementation than the extension's. */
function verifier(password: string, iterations: number, salt = randomBytes(16)): string {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const key = (name: string) => createHmac('sha256', salted).update(name).digest();
  const stored = createHash('sha256').update(key('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${key('Server Key').toString('base64')}`;
}

test('a ready-made verifier is stored as it is, and its password logs in', async () => {
  for (const [who, caller] of Object.entries({ admin, operator })) {
    for (const iterations of [1, 4096, 20_000]) {
      const user = `${who} ${iterations}`;
      const ready = verifier('open sesame', iterations);
      await caller.query('SELECT * FROM rolecall.create_user($1, $2)', [user, ready]);
      const { rows } = await admin.query('SELECT rolpassword FROM pg_authid WHERE rolname = $1', [user]);
      assert.deepEqual(rows, [{ rolpassword: ready }]);
      assert.ok(await lets(user, 'open sesame'), user);
      assert.equal(await lets(user, ready), false, `${user}: the verifier is not the password`);
      const again = await admin.query('SELECT * FROM rolecall.set_password($1, $2)', [user, 'open sesame']);
      assert.equal(again.rowCount, 0, `${user}: it is recognized as that password's`);
    }
  }
});

test('a verifier of the empty password makes no role', async () => {
  for (const [who, caller] of Object.entries({ admin, operator })) {
    for (const isolation of ['READ COMMITTED', 'REPEATABLE READ']) {
      for (const iterations of [1, 4096]) {
        await caller.query(`BEGIN ISOLATION LEVEL ${isolation}`);
        const call = caller.query('SELECT * FROM rolecall.create_user($1, $2)', ['empty', verifier('', iterations)]);
        await assert.rejects(call, { code: '22023', message: 'password must not be empty' }, `${who}, ${isolation}`);
        await caller.query('ROLLBACK');
      }
    }
  }
  // In another spelling that the server accepts.
  const odd = verifier('', 4096).replace('$4096', '$ +04096');
  await assert.rejects(admin.query('SELECT * FROM rolecall.create_user($1, $2)', ['empty', odd]), { code: '22023' });
  await assert.rejects(operator.query('SELECT * FROM rolecall.create_user($1, $2)', ['empty', odd]), { code: '22023' });
  assert.deepEqual((await admin.query("SELECT FROM pg_roles WHERE rolname = 'empty'")).rows, []);
});

test('scram_sha_256 makes what ALTER ROLE takes', async () => {
  await admin.query('CREATE ROLE by_hand LOGIN');
  const { rows } = await admin.query("SELECT rolecall.scram_sha_256('by hand', 5000) AS verifier");
  await admin.query(`ALTER ROLE by_hand PASSWORD ${pg.escapeLiteral(rows[0].verifier)}`);
  assert.ok(await lets('by_hand', 'by hand'));
});

test('generate_password makes a password that logs in', async () => {
  const { rows } = await admin.query('SELECT rolecall.generate_password() AS password');
  await admin.query('SELECT * FROM rolecall.create_user($1, $2)', ['generated', rows[0].password]);
  assert.ok(await lets('generated', rows[0].password));
});

test('a password does not log in after its end', async () => {
  await admin.query("SELECT * FROM rolecall.create_user('ended', 'secret')");
  await admin.query("SELECT * FROM rolecall.set_password('ended', 'secret', '2000-01-01')");
  assert.equal(await lets('ended', 'secret'), false);
  await admin.query("SELECT * FROM rolecall.set_password('ended', 'secret', 'infinity')");
  assert.ok(await lets('ended', 'secret'));
});

test('a reporting role logs in with its derived password, until the secret is rotated', async () => {
  const derived = async () =>
    (await admin.query("SELECT rolecall.reporting_role_password('reports') AS password")).rows[0].password as string;
  await admin.query("SELECT * FROM rolecall.provision_reporting_role('reports', ARRAY['public'])");
  const first = await derived();
  assert.ok(await lets('reports', first));

  const session = await cluster.connect({ database, user: 'reports', password: first });
  await admin.query('SELECT * FROM rolecall.rotate_reporting_secret()');
  assert.equal(await lets('reports', first), false);
  assert.ok(await lets('reports', await derived()));
  await session.query('SELECT 1'); // Who is logged in stays.

  // What the role does to its own password is undone by the next run.
  await session.query('SET default_transaction_read_only = off');
  await session.query("ALTER ROLE reports PASSWORD 'mine'");
  await session.end();
  assert.equal(await lets('reports', await derived()), false);
  const { rows } = await admin.query(
    "SELECT operation FROM rolecall.provision_reporting_role('reports', ARRAY['public'])",
  );
  assert.deepEqual(rows, [{ operation: 'set_password' }]);
  assert.equal(await lets('reports', 'mine'), false);
  assert.ok(await lets('reports', await derived()));
});

test('a plain caller provisions and rotates too, and heals a password that it cannot read', async () => {
  const elsewhere = await cluster.createDatabase();
  const admin = await cluster.connect({ database: elsewhere });
  await admin.query(`GRANT CREATE ON DATABASE ${pg.escapeIdentifier(elsewhere)} TO operator; ${grants}`);
  const operator = await cluster.connect({ database: elsewhere, user: 'operator', password: 'operator' });
  const provision = async (options = '') => {
    const call = `SELECT operation, status FROM rolecall.provision_reporting_role('own', ARRAY['own'], table_owners => '{}'${options})`;
    return (await operator.query<{ operation: string; status: string }>(call)).rows;
  };
  const derived = async () =>
    (await operator.query("SELECT rolecall.reporting_role_password('own') AS password")).rows[0].password as string;
  const again = [{ operation: 'set_password', status: 'applied' }];
  await provision();
  assert.ok(await lets('own', await derived()));
  assert.deepEqual(await provision(), again, 'the password is set on every run');
  assert.deepEqual(await provision(', realign_password => false'), [], 'unless the record is trusted');
  await admin.query("ALTER ROLE own PASSWORD 'mine'");
  assert.deepEqual(await provision(), again);
  assert.ok(await lets('own', await derived()));

  const before = await derived();
  const { rows } = await operator.query('SELECT operation, target FROM rolecall.rotate_reporting_secret()');
  assert.deepEqual(rows, [
    { operation: 'rotate_secret', target: elsewhere },
    { operation: 'set_password', target: 'own' },
  ]);
  assert.equal(await lets('own', before), false);
  assert.ok(await lets('own', await derived()));

  // There is no record of a password that was never set, so that there is none to trust.
  await operator.query("CREATE ROLE there_before LOGIN PASSWORD 'mine'");
  await operator.query(
    "SELECT * FROM rolecall.provision_reporting_role('there_before', ARRAY['own'], table_owners => '{}', realign_password => false)",
  );
  const { rows: known } = await operator.query("SELECT rolecall.reporting_role_password('there_before') AS password");
  assert.ok(await lets('there_before', known[0].password));

  // One role that has become a superuser is left out, and said; the others change.
  await admin.query("SELECT * FROM rolecall.provision_reporting_role('of_another', ARRAY['own'])");
  await admin.query('ALTER ROLE of_another SUPERUSER');
  const last = await derived();
  const { rows: rotated } = await operator.query(
    `SELECT status, sqlstate FROM rolecall.rotate_reporting_secret() WHERE target = 'of_another'`,
  );
  assert.deepEqual(rotated, [{ status: 'skipped', sqlstate: '22023' }]);
  assert.equal(await lets('own', last), false);
  assert.ok(await lets('own', await derived()));
  await Promise.all([admin, operator].map((client) => client.end()));
});
