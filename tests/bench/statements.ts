/** Statements and measurements that several benchmarks use. */
import type { Client } from 'pg';

export const plain = 'Correct1Horse';
export const verifier =
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=';

const option = (password?: string) => (password === undefined ? '' : ` PASSWORD '${password}'`);

export const createUser = (user: string, password?: string) =>
  `SELECT * FROM rolecall.create_user('${user}'${password === undefined ? '' : `, '${password}'`})`;

/** What a careful person types; in one message, so that nothing waits for the network. */
export const bareUser = (user: string, password?: string, prefix = '') =>
  `BEGIN; CREATE ROLE ${user} LOGIN${option(password)};
   GRANT ${prefix}anonymous TO ${user}; GRANT ${prefix}authenticated TO ${user}; COMMIT`;

/** Bytes of write-ahead log that an action makes; nothing else may be writing. */
export async function walBytes(client: Client, action: () => Promise<unknown>): Promise<number> {
  const position = async () =>
    (await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn')).rows[0]?.lsn;
  const before = await position();
  await action();
  const { rows } = await client.query<{ bytes: string }>('SELECT pg_current_wal_insert_lsn() - $1::pg_lsn AS bytes', [
    before,
  ]);
  return Number(rows[0]?.bytes);
}

/** Dead rows that an action leaves in a table; for a client with the extension pgstattuple. */
export async function deadRows(client: Client, table: string, action: () => Promise<unknown>): Promise<number> {
  await client.query(`VACUUM ${table}`);
  await action();
  const { rows } = await client.query<{ dead: string }>('SELECT dead_tuple_count AS dead FROM pgstattuple($1)', [
    table,
  ]);
  return Number(rows[0]?.dead);
}
