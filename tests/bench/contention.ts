/** Many connections, spread over several databases of one cluster, ask for the same roles at the same moment. */
import type { Client } from 'pg';
import { competitor } from './competitor.ts';
import { type Bench, compare } from './measure.ts';
import { createUser, plain, verifier } from './statements.ts';

const databases = 4;
/** Users that each connection asks for in one round, after the base roles. */
const users = 4;

export async function contention(bench: Bench): Promise<void> {
  const { cluster, pick } = bench;
  const names: string[] = [];
  for (let i = 0; i < databases; i++) names.push(await cluster.createDatabase());
  const clients = await Promise.all(
    Array.from({ length: pick(48, 8) }, (_, i) =>
      cluster.connect({ database: names[i % databases] ?? '', host: cluster.socketDir }),
    ),
  );
  for (const count of pick([8, 48], [8])) await compete(clients.slice(0, count), bench);
  await Promise.all(clients.map((client) => client.end()));
}

async function compete(clients: readonly Client[], { pick, report }: Bench): Promise<void> {
  const who = `${clients.length} connections in ${databases} databases`;
  for (const [what, password] of [
    ['with a verifier', verifier],
    ['with a password', plain],
  ] as const) {
    const ways = [
      {
        name: 'rolecall',
        calls: (prefix: string) => [
          `SELECT * FROM rolecall.create_base_roles('${prefix}anonymous', '${prefix}authenticated', '${prefix}administrator')`,
          ...Array.from({ length: users }, (_, i) => createUser(`${prefix}user_${i}`, password)),
        ],
      },
      {
        name: competitor.name,
        calls: (prefix: string) => [
          competitor.createBaseRoles(prefix),
          ...Array.from({ length: users }, (_, i) => competitor.createUser(`${prefix}user_${i}`, password, prefix)),
        ],
      },
    ];
    const failed: number[][] = ways.map(() => []);
    const rate: number[][] = ways.map(() => []);
    const codes = new Map<string, number>();
    const rounds = pick(12, 2);
    for (let round = 0; round < rounds; round++) {
      for (let turn = 0; turn < ways.length; turn++) {
        const index = (round + turn) % ways.length;
        const { name, calls } = ways[index] as (typeof ways)[number];
        const statements = calls(`${password === plain ? 'p' : 'v'}${clients.length}_${index}_${round}_`);
        const started = performance.now();
        const failures = (await Promise.all(clients.map((client) => callAll(client, statements)))).flat();
        const took = (performance.now() - started) / 1000;
        failed[index]?.push(failures.length);
        rate[index]?.push((clients.length * statements.length - failures.length) / took);
        for (const code of failures) codes.set(`${name} ${code}`, (codes.get(`${name} ${code}`) ?? 0) + 1);
      }
    }
    const series = (samples: number[][]) => ways.map(({ name }, index) => ({ name, samples: samples[index] ?? [] }));
    const calls = clients.length * (1 + users);
    const note = [...codes].map(([code, count]) => `${code} ${count} times`).join(', ');
    report(
      ...compare(`${who}, ${what}: of ${calls} calls`, 'failed', series(failed), [{ most: 0 }]).map((row) => ({
        ...row,
        note,
      })),
      ...compare(`${who}, ${what}: successful calls`, 'per s', series(rate), [{ least: 1 }]),
    );
  }
}

/** The SQLSTATEs of the calls that failed. */
async function callAll(client: Client, statements: readonly string[]): Promise<string[]> {
  const failures: string[] = [];
  for (const statement of statements) {
    try {
      await client.query(statement);
    } catch (error) {
      failures.push(String((error as { code?: string }).code));
      await client.query('ROLLBACK'); // Theirs begins a transaction of its own.
    }
  }
  return failures;
}
