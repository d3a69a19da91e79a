/** One user, and the base roles: new, and with nothing to do, among more and more other roles. */
import type { Client } from 'pg';
import { competitor } from './competitor.ts';
import { type Aim, type Bench, compare, inTurns, type Way } from './measure.ts';
import { bareUser, createUser, deadRows, plain, verifier, walBytes } from './statements.ts';

export async function users({ cluster, pick, report }: Bench): Promise<void> {
  const database = await cluster.createDatabase();
  const client = await cluster.connect({ database, host: cluster.socketDir });
  const baseRoles = 'SELECT * FROM rolecall.create_base_roles()';
  await client.query(baseRoles);
  await client.query(createUser('present', verifier));

  const again = (name: string, text: string): Way => ({ name, client: () => client, run: () => client.query(text) });
  const userAgain = [
    again('rolecall', createUser('present', verifier)),
    again(competitor.name, competitor.createUser('present', verifier)),
  ];
  const baseRolesAgain = [again('rolecall', baseRoles), again(competitor.name, competitor.createBaseRoles())];

  let existing = 0;
  for (const count of pick([10, 1000, 10_000], [10, 20])) {
    await client.query(
      `DO $$ BEGIN FOR i IN ${existing + 1} .. ${count} LOOP EXECUTE format('CREATE ROLE existing_%s', i); END LOOP; END $$`,
    );
    for (const table of ['pg_authid', 'pg_auth_members']) await client.query(`VACUUM ANALYZE ${table}`);
    existing = count;
    const measure = async (what: string, ways: Way[], rounds: number, aims: Aim[] = []) => {
      const series = await inTurns(pick(rounds, 3), ways);
      report(...compare(`${what}, among ${count.toLocaleString('en')} roles`, 'ms', series, aims));
    };
    const creating = (password?: string) => [
      create(client, 'rolecall', 'ours', (user) => createUser(user, password)),
      create(client, 'bare statements', 'bare', (user) => bareUser(user, password)),
      ...(password === undefined
        ? []
        : [create(client, competitor.name, 'theirs', (user) => competitor.createUser(user, password))]),
    ];
    await measure('create_user with a verifier', creating(verifier), 150, [{ most: 1.5 }]);
    await measure('create_user with a password', creating(plain), 60);
    await measure('create_user without a password', creating(), 150);
    await measure('create_user, nothing to do', userAgain, 300, [{ most: 0.5 }]);
    await measure('create_base_roles, nothing to do', baseRolesAgain, 300, [{ most: 1 }]);
  }

  await client.query('CREATE EXTENSION pgstattuple');
  for (const [what, ways] of [
    ['create_user, nothing to do', userAgain],
    ['create_base_roles, nothing to do', baseRolesAgain],
  ] as const) {
    const wal = [];
    const dead = [];
    for (const { name, run } of ways) {
      const bytes = [];
      for (let i = 0; i < 5; i++) bytes.push(await walBytes(client, () => run(i)));
      wal.push({ name, samples: bytes });
      dead.push({ name, samples: [await deadRows(client, 'pg_authid', () => run(0))] });
    }
    report(...compare(what, 'WAL bytes', wal), ...compare(what, 'dead rows', dead));
  }

  // A migration is often the only thing that its session does: nothing is planned or cached yet.
  const inNewSession = (name: string, text: string, earlier: number): Way => {
    let session: Client;
    return {
      name,
      client: () => session,
      before: async () => {
        session = await cluster.connect({ database, host: cluster.socketDir });
        await session.query('SELECT');
        for (let call = 0; call < earlier; call++) await session.query(text);
      },
      run: () => session.query(text),
      after: () => session.end(),
    };
  };
  for (const [call, earlier] of [
    ['first', 0],
    ['second', 1],
  ] as const) {
    const series = await inTurns(pick(40, 3), [
      inNewSession('rolecall', createUser('present', verifier), earlier),
      inNewSession(competitor.name, competitor.createUser('present', verifier), earlier),
    ]);
    report(...compare(`create_user, nothing to do, ${call} call of a session`, 'ms', series));
  }
  await client.end();
}

/** Creating a user that is dropped again, so that there are as many roles in every round. */
function create(client: Client, name: string, prefix: string, statement: (user: string) => string): Way {
  return {
    name,
    client: () => client,
    run: (round) => client.query(statement(`${prefix}_${round}`)),
    after: (round) => client.query(`DROP ROLE ${prefix}_${round}`),
  };
}
