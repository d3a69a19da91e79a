/**
 * The first call of a session, when nothing is compiled, planned or cached yet: migrations and start-up scripts open a
 * connection, call once, and close it. By the processor time of the server, and by the clock of the client.
 */
import type { Client } from 'pg';
import { prepareFor, specs } from '../docs/examples.ts';
import { competitor } from './competitor.ts';
import { type Aim, type Bench, compare, inTurns } from './measure.ts';
import { bareUser, createUser, plain, smallCreateUser, smallFunction, verifier } from './statements.ts';
import { tidy } from './tidy.ts';

interface Way {
  name: string;
  statement(user: string): string;
  /** Whether it creates the user, in a transaction of its own; else it is rolled back. */
  creates: boolean;
}

type Connect = () => Promise<Client>;

/** Each way in sessions of its own. */
async function measure(
  { pick, report }: Bench,
  connect: Connect,
  what: string,
  ways: readonly Way[],
  aims: readonly Aim[] = [],
): Promise<void> {
  const admin = await connect();
  const clock = ways.map(({ name }) => ({ name, samples: [] as number[] }));
  const warmUps = pick(1, 0);
  const series = await inTurns(
    pick(25, 1),
    ways.map(({ name, statement, creates }, index) => {
      let session: Client;
      const user = (round: number) => `first_${index}_${round}`;
      return {
        name,
        client: () => session,
        before: async () => {
          session = await connect();
          await session.query(creates ? 'SELECT' : 'BEGIN');
        },
        run: async (round: number) => {
          const started = performance.now();
          await session.query(statement(user(round)));
          if (round >= warmUps) clock[index]?.samples.push(performance.now() - started);
        },
        after: async (round: number) => {
          if (!creates) await session.query('ROLLBACK');
          await session.end();
          if (creates) await admin.query(`DROP ROLE ${user(round)}`);
        },
      };
    }),
    warmUps,
  );
  await admin.end();
  report(...compare(what, 'ms', series, aims), ...compare(`${what}, by the clock`, 'ms', clock, aims));
}

const create = (name: string, statement: Way['statement']): Way => ({ name, statement, creates: true });
const call = (name: string, statement: string): Way => ({ name, statement: () => statement, creates: false });

/** Users and base roles, which there are other ways for, and what is looked at when an application starts. */
export async function firstCalls(bench: Bench): Promise<void> {
  const { cluster } = bench;
  const baseRoles = 'SELECT * FROM rolecall.create_base_roles()';
  const reporting = 'SELECT * FROM rolecall.provision_reporting_roles()';
  const prepared = async () => {
    const database = await cluster.createDatabase();
    const connect = () => cluster.connect({ database, host: cluster.socketDir });
    const admin = await connect();
    for (const statement of [
      baseRoles,
      createUser('present', verifier),
      'CREATE SCHEMA reporting',
      reporting,
      smallFunction,
    ])
      await admin.query(statement);
    await admin.query('VACUUM ANALYZE');
    await admin.end();
    return connect;
  };
  const connect = await prepared();

  for (const [how, password, aims] of [
    ['with a verifier', verifier, [{ most: 2 }]],
    ['with a password', plain, []],
  ] as const) {
    const ways = [
      create('rolecall', (user) => createUser(user, password)),
      create('bare statements', (user) => bareUser(user, password)),
      create(competitor.name, (user) => competitor.createUser(user, password)),
      create('a small function', (user) => smallCreateUser(user, password)),
    ];
    await measure(bench, connect, `a new user ${how}`, ways, aims);
  }
  for (const [what, statement, theirs] of [
    ['create_user', createUser('present', verifier), competitor.createUser('present', verifier)],
    ['create_base_roles', baseRoles, competitor.createBaseRoles()],
  ] as const) {
    const ways = [call('rolecall', statement), call(competitor.name, theirs)];
    await measure(bench, connect, `${what}, nothing to do`, ways, [{ most: 1 }]);
  }
  // There is no counterpart to these: the bare statements for a user tell how much it is. They have a database of their
  // own: the users above are recorded and dropped, and drift() would find each of them missing.
  const elsewhere = await prepared();
  for (const [what, statement] of [
    ['provision_reporting_roles, nothing to do', reporting],
    ['drift(), nothing to find', 'SELECT * FROM rolecall.drift()'],
    ['audit_role() of a user', `SELECT * FROM rolecall.audit_role('present')`],
  ] as const) {
    const ways = [call('rolecall', statement), create('a bare new user', (user) => bareUser(user, verifier))];
    await measure(bench, elsewhere, what, ways, [{ most: 4.3 }]);
  }
}

/** The example of each public function in docs/reference.md. */
export async function functions(bench: Bench): Promise<void> {
  const { cluster } = bench;
  const admin = await cluster.connect();
  // In a small run some will do: all examples are run by tests/docs.
  for (const { name, examples } of bench.pick(specs, specs.slice(0, 3))) {
    const database = await cluster.createDatabase();
    const connect = () => cluster.connect({ database, host: cluster.socketDir });
    const client = await connect();
    await prepareFor(client, name);
    await client.query('CREATE ROLE bare_anonymous; CREATE ROLE bare_authenticated');
    await client.query('VACUUM ANALYZE');
    await client.end();
    await measure(bench, connect, `${name}()`, [
      call('rolecall', examples[0] ?? ''),
      create('a bare new user', (user) => bareUser(user, verifier, 'bare_')),
    ]);
    await tidy(admin);
  }
  await admin.end();
}
