/** One user, and the base roles: new, and with nothing to do, among more and more other roles. */
import type { Client } from 'pg';
import { competitor } from './competitor.ts';
import { type Bench, compare, inTurns, type Row, type Way } from './measure.ts';

const benchmark = 'users';
const verifier =
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=';

const bare = (user: string, password: string) =>
  `BEGIN; CREATE ROLE ${user} LOGIN PASSWORD '${password}'; GRANT anonymous TO ${user}; GRANT authenticated TO ${user}; COMMIT`;
const ours = (user: string, password: string) => `SELECT * FROM rolecall.create_user('${user}', '${password}')`;

export async function users({ cluster, pick, report }: Bench): Promise<void> {
  const database = await cluster.createDatabase();
  const client = await cluster.connect({ database, host: cluster.socketDir });
  await client.query('SELECT * FROM rolecall.create_base_roles()');
  await client.query(ours('present', verifier));

  let existing = 0;
  for (const count of pick([10, 1000, 10_000], [10, 20])) {
    await client.query(
      `DO $$ BEGIN FOR i IN ${existing + 1} .. ${count} LOOP EXECUTE format('CREATE ROLE existing_%s', i); END LOOP; END $$`,
    );
    for (const table of ['pg_authid', 'pg_auth_members']) await client.query(`VACUUM ANALYZE ${table}`);
    existing = count;
    const among = `among ${count.toLocaleString('en')} roles`;
    const single = async (what: string, ways: Way[], aims: (number | undefined)[], rounds: number): Promise<Row[]> =>
      compare(
        { benchmark, what: `${what}, ${among}`, unit: 'ms', aims },
        ways.map(({ name }) => name),
        await inTurns(pick(rounds, 3), ways),
      );

    const creating = (password: string) => [
      create(client, 'rolecall', 'ours', (user) => ours(user, password)),
      create(client, 'bare statements', 'bare', (user) => bare(user, password)),
      create(client, competitor.name, 'theirs', (user) => competitor.createUser(user, password)),
    ];
    report(await single('create_user with a verifier', creating(verifier), [1.5, undefined], 150));
    report(await single('create_user with a password', creating('Correct1Horse'), [], 60));

    const again = (name: string, text: string): Way => ({ name, run: () => client.query(text) });
    const userAgain = [
      again('rolecall', ours('present', verifier)),
      again(competitor.name, competitor.createUser('present', verifier)),
    ];
    report(await single('create_user, nothing to do', userAgain, [0.5], 300));
    const baseAgain = [
      again('rolecall', 'SELECT * FROM rolecall.create_base_roles()'),
      again(competitor.name, competitor.createBaseRoles()),
    ];
    report(await single('create_base_roles, nothing to do', baseAgain, [1], 300));
  }

  // A migration is often the first and only thing that its session does: nothing is planned or cached yet.
  const cold = (name: string, text: string): Way => {
    let session: Client;
    return {
      name,
      before: async () => {
        session = await cluster.connect({ database, host: cluster.socketDir });
        await session.query('SELECT 1');
      },
      run: () => session.query(text),
      after: () => session.end(),
    };
  };
  const first = [
    cold('rolecall', ours('present', verifier)),
    cold(competitor.name, competitor.createUser('present', verifier)),
  ];
  report(
    compare(
      { benchmark, what: 'create_user, nothing to do, first call of a session', unit: 'ms' },
      first.map(({ name }) => name),
      await inTurns(pick(40, 3), first),
    ),
  );
  await client.end();
}

/** Creating a user that is dropped again, so that there are as many roles in every round. */
function create(client: Client, name: string, prefix: string, statement: (user: string) => string): Way {
  return {
    name,
    run: (round) => client.query(statement(`${prefix}_${round}`)),
    after: (round) => client.query(`DROP ROLE ${prefix}_${round}`),
  };
}
