/**
 * Verifiers computed outside of the database equal those that the database computes, and users log in with them.
 */
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import fc from 'fast-check';
import { Rolecall, verifier } from '../../package/index.ts';
import { startCluster } from '../support/cluster.ts';

const cluster = await startCluster();
after(() => cluster.stop());

/** Strings with each class that SASLprep tells apart, and with what normalization changes. */
const words = [
  'correct horse',
  'I\u00adX', // mapped to nothing
  '\u00aa \u2168', // normalized
  'a\u00a0b\u3000c', // spaces
  '\u0007', // a control character, forbidden
  '\u0627\u0031', // ends left to right
  '\u0627\u0031\u0628',
  '\u0627a\u0628', // both directions
  '\u0221', // unassigned
  '\u00ad', // nothing is left
  'e\u0301\u0327 \ufb01 \u1112\u1161\u11ab',
  '\u{1f600}',
  '\u00df\u0130\u01c4',
  '\ud55c\uae00 \u30d1\u30b9',
];

test('the database knows each for the password that it was made of', async () => {
  const client = await cluster.connect({ database: await cluster.createDatabase() });
  const rolecall = new Rolecall(client);
  await client.query('CREATE ROLE ann');
  const check = async (password: string): Promise<void> => {
    const made = verifier(password, 1);
    assert.match(made, /^SCRAM-SHA-256\$1:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$/);
    await rolecall.set_password({ username: 'ann', password: made });
    // The stored verifier is kept where it is of this password already.
    assert.deepEqual(await rolecall.set_password({ username: 'ann', password }), [], JSON.stringify(password));
  };
  for (const word of words) await check(word);
  const unit = fc.oneof(...[0x7f, 0x250, 0x3000, 0xd7ff].map((max) => fc.integer({ min: 1, max })));
  const text = fc.array(unit, { minLength: 1, maxLength: 6 }).map((points) => String.fromCodePoint(...points));
  await fc.assert(fc.asyncProperty(text, check), { numRuns: 100, seed: 1 });
  await rolecall.set_password({ username: 'ann', password: verifier('one') });
  assert.equal((await rolecall.set_password({ username: 'ann', password: 'two' })).length, 1);
  await client.end();
});

test('one logs in, and the database stores it as it is', async () => {
  const database = await cluster.createDatabase();
  const admin = await cluster.connect({ database });
  const made = verifier('secret of ben');
  await admin.query('CREATE ROLE ben LOGIN');
  await new Rolecall(admin).set_password({ username: 'ben', password: made });
  const { rows } = await admin.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'ben'");
  assert.deepEqual(rows, [{ rolpassword: made }]);
  const ben = await cluster.connect({ database, user: 'ben', password: 'secret of ben' });
  await ben.end();
  await admin.end();
});

test('a hash that cannot be stored is refused as the database refuses it', async () => {
  const client = await cluster.connect({ database: await cluster.createDatabase() });
  const whole = verifier('x');
  const halves = [
    `md5${'0a'.repeat(16)}`,
    'SCRAM-SHA-256$',
    'SCRAM-SHA-256$4096:salt$key',
    `${whole}=`,
    whole.slice(0, -1),
  ];
  for (const hash of [...halves, whole.replace(':', ':A')]) {
    const refused: unknown = await new Rolecall(client)
      .scram_sha_256({ password: hash })
      .catch((error: unknown) => error);
    assert.ok(refused instanceof Error, hash);
    assert.throws(() => verifier(hash), { name: 'RangeError', message: refused.message });
  }
  for (const text of [whole, `MD5${'0a'.repeat(16)}`, 'scram-sha-256$']) {
    await new Rolecall(client).scram_sha_256({ password: text });
    verifier(text);
  }
  await client.end();
});

test('what is no password, and no number of rounds, is refused', () => {
  for (const password of ['', 'a\0b', '\ud800']) assert.throws(() => verifier(password), RangeError);
  for (const iterations of [0, -1, 1.5, NaN, 2 ** 31]) assert.throws(() => verifier('x', iterations), RangeError);
  assert.match(verifier('x'), /^SCRAM-SHA-256\$4096:/);
  assert.notEqual(verifier('x'), verifier('x'));
});
