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

/**
 * About the least that a plpgsql function can do for a user that it records: it looks whether the role is there, and
 * runs each statement with a handler of its own. Its first call says what of ours is plpgsql's own part.
 */
export const smallFunction = `
  CREATE TABLE public.created (name text, granted text);
  CREATE FUNCTION public.small_create_user(username text, password text) RETURNS SETOF rolecall.step
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    v_role text;
    v_step rolecall.step;
  BEGIN
    IF to_regrole(quote_ident(username)) IS NULL THEN
      EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L', username, password);
    END IF;
    FOREACH v_role IN ARRAY ARRAY['anonymous', 'authenticated'] LOOP
      IF NOT pg_has_role(username, v_role, 'MEMBER') THEN
        BEGIN
          EXECUTE format('GRANT %I TO %I', v_role, username);
          v_step.operation := 'grant_role';
          v_step.target := username;
          RETURN NEXT v_step;
        EXCEPTION WHEN unique_violation THEN
          NULL;
        END;
      END IF;
    END LOOP;
    INSERT INTO public.created SELECT username, r FROM unnest(ARRAY[NULL, 'anonymous', 'authenticated']) AS r;
  END
  $$`;
export const smallCreateUser = (user: string, password: string) =>
  `SELECT * FROM public.small_create_user('${user}', '${password}')`;

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
