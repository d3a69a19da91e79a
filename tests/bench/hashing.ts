/** One SCRAM-SHA-256 verifier: ours in plpgsql, the server's in C, and the loop over pgcrypto's hmac() from the web. */
import type { Client } from 'pg';
import { type Bench, compare, inTurns } from './measure.ts';
import { plain, verifier } from './statements.ts';

/** The salted password alone, which is nearly all of the work. */
const pgcryptoLoop = `
CREATE FUNCTION pgcrypto_pbkdf2(password bytea, salt bytea, iterations integer) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
  v_digest bytea := hmac(salt || '\\x00000001', password, 'sha256');
  v_sum bit(256) := ('x' || encode(v_digest, 'hex'))::bit(256);
BEGIN
  FOR i IN 2 .. iterations LOOP
    v_digest := hmac(v_digest, password, 'sha256');
    v_sum := v_sum # ('x' || encode(v_digest, 'hex'))::bit(256);
  END LOOP;
  RETURN substring(varbit_send(v_sum) FROM 5);
END $$`;

export async function hashing({ cluster, pick, report }: Bench): Promise<void> {
  const client: Client = await cluster.connect({ database: await cluster.createDatabase(), host: cluster.socketDir });
  await client.query(`CREATE EXTENSION pgcrypto; ${pgcryptoLoop}; CREATE ROLE hashed`);
  const way = (name: string, text: string) => ({ name, client: () => client, run: () => client.query(text) });
  const rounds = pick(60, 3);

  const series = await inTurns(rounds, [
    way('rolecall', `SELECT rolecall.scram_sha_256('${plain}')`),
    way('ALTER ROLE PASSWORD', `ALTER ROLE hashed PASSWORD '${plain}'`),
    way("pgcrypto's hmac()", `SELECT pgcrypto_pbkdf2('${plain}', '\\x000102030405060708090a0b0c0d0e0f', 4096)`),
  ]);
  report(...compare('scram_sha_256', 'ms', series, [{}, { most: 1 }]));

  // A verifier is hashed against too: the server refuses the one of the empty password.
  const server = await inTurns(rounds, [
    way('ready verifier', `ALTER ROLE hashed PASSWORD '${verifier}'`),
    way('plain password', `ALTER ROLE hashed PASSWORD '${plain}'`),
    way('no password', "ALTER ROLE hashed VALID UNTIL 'infinity'"),
  ]);
  report(...compare('ALTER ROLE with a ready verifier', 'ms', server));
  await client.end();
}
