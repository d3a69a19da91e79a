/** Creating n users, in one transaction and one by one. */
import type { Client } from 'pg';
import { type Bench, compare, inTurns, type Way } from './measure.ts';
import { bareUser, createUser, verifier } from './statements.ts';

export async function manyUsers({ cluster, pick, report }: Bench): Promise<void> {
  const database = await cluster.createDatabase();
  const client: Client = await cluster.connect({ database, host: cluster.socketDir });
  await client.query('SELECT * FROM rolecall.create_base_roles()');

  /** The time of `run` for n users, per user. */
  const ways = (n: number, run: (name: string, prefix: string) => Promise<unknown>): Way[] =>
    ['rolecall', 'bare statements'].map((name) => {
      const prefix = (round: number) => `${name.split(' ')[0]}_${round}_`;
      return {
        name,
        client: () => client,
        run: (round) => run(name, prefix(round)),
        after: async (round) => {
          await client.query(`DO $$ BEGIN
            FOR i IN 1 .. ${n} LOOP EXECUTE format('DROP ROLE %I', '${prefix(round)}' || i); COMMIT; END LOOP; END $$`);
          await client.query('DELETE FROM rolecall_internal.resource WHERE section <> $1', ['base_roles']);
          for (const table of ['pg_authid', 'pg_auth_members', 'rolecall_internal.resource', 'pg_shdepend'])
            await client.query(`VACUUM ANALYZE ${table}`);
        },
      };
    });

  for (const n of pick([10, 100, 1000], [10, 20])) {
    const count = n.toLocaleString('en');
    const rounds = pick(n > 1000 ? 2 : n > 100 ? 5 : 15, 2);
    const measure = async (what: string, run: (name: string, prefix: string) => Promise<unknown>) => {
      const series = (await inTurns(rounds, ways(n, run), n > 1000 ? 0 : 1)).map(({ name, samples }) => ({
        name,
        samples: samples.map((milliseconds) => milliseconds / n),
      }));
      report(...compare(what, 'ms/user', series));
    };
    await measure(`${count} users in one transaction`, (name, prefix) =>
      client.query(
        name === 'rolecall'
          ? `SELECT count(s) FROM generate_series(1, ${n}) AS i, rolecall.create_user('${prefix}' || i, '${verifier}') AS s`
          : `DO $$ BEGIN
               FOR i IN 1 .. ${n} LOOP
                 EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L', '${prefix}' || i, '${verifier}');
                 EXECUTE format('GRANT anonymous TO %I', '${prefix}' || i);
                 EXECUTE format('GRANT authenticated TO %I', '${prefix}' || i);
               END LOOP;
             END $$`,
      ),
    );
    await measure(`${count} users one by one`, async (name, prefix) => {
      const statement = name === 'rolecall' ? createUser : bareUser;
      for (let i = 1; i <= n; i++) await client.query(statement(`${prefix}${i}`, verifier));
    });
  }
  await client.end();
}
