/**
 * What else people manage roles with: Ansible's community.postgresql, and @supabase/postgres-meta. On request only, as
 * neither is installed with this repository: `npm ci` in tests/bench/others, and Debian's packages ansible and
 * python3-psycopg2. By the clock, with what each needs to start and to connect.
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { password, root } from '../support/cluster.ts';
import { type Bench, compare, type Series } from './measure.ts';
import { makeTables, policy, schemas } from './policies.ts';
import { createUser, plain, verifier, walBytes } from './statements.ts';

interface PostgresMeta {
  roles: { create(role: object): Promise<{ error: unknown }> };
  end(): Promise<void>;
}

const folder = join(root, 'tests/bench/others');

async function timed(action: () => unknown): Promise<number> {
  const started = performance.now();
  await action();
  return performance.now() - started;
}

export async function others(bench: Bench): Promise<void> {
  await withPostgresMeta(bench);
  await withAnsible(bench);
}

async function withPostgresMeta({ cluster, pick, report }: Bench): Promise<void> {
  const require = createRequire(join(folder, 'package.json'));
  const { PostgresMeta } = require('@supabase/postgres-meta') as {
    PostgresMeta: new (options: { connectionString: string; max: number }) => PostgresMeta;
  };
  const { version } = require('@supabase/postgres-meta/package.json') as { version: string };
  const database = await cluster.createDatabase();
  const client = await cluster.connect({ database });
  const connectionString = `postgres://postgres:${password}@${cluster.host}:${cluster.port}/${database}`;
  const meta = new PostgresMeta({ connectionString, max: 1 });
  await client.query('SELECT FROM rolecall.create_base_roles()');
  const count = pick(1000, 2);
  const users = async (create: (name: string) => Promise<unknown>, prefix: string) => {
    for (let number = 0; number < count; number++) await create(`${prefix}_${number}`);
  };
  const samples: [number[], number[]] = [[], []];
  for (let round = 0; round < pick(3, 1); round++) {
    samples[0].push(await timed(() => users((name) => client.query(createUser(name, plain)), `ours_${round}`)));
    samples[1].push(
      await timed(() =>
        users(async (name) => {
          const member_of = ['anonymous', 'authenticated'];
          const { error } = await meta.roles.create({ name, password: plain, can_login: true, member_of });
          if (error !== null) throw new Error(JSON.stringify(error));
        }, `theirs_${round}`),
      ),
    );
  }
  const [ours, theirs] = samples.map((list) => list.map((sample) => sample / count));
  const series = [
    { name: 'rolecall', samples: ours ?? [] },
    { name: `postgres-meta ${version}`, samples: theirs ?? [] },
  ];
  report(...compare(`${count.toLocaleString('en')} users with passwords, one by one`, 'ms/user', series));
  await meta.end();
  await client.end();
}

/** Runs one of the books in a database of the cluster. */
const playing =
  ({ host, port }: Bench['cluster'], database: string) =>
  (book: string, variables: Record<string, unknown>) => {
    const all = JSON.stringify({ host, port, password, database, verifier, ...variables });
    const options = ['-i', 'localhost,', '-e', all, join(folder, book)];
    const { status, stdout, stderr } = spawnSync('ansible-playbook', options, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stdout + stderr);
  };

async function withAnsible({ cluster, pick, report }: Bench): Promise<void> {
  const tables = pick(10_000, 20);
  const database = await cluster.createDatabase();
  const admin = await cluster.connect({ database });
  await admin.query(`DO $$ BEGIN FOR i IN 1 .. ${tables} LOOP
    EXECUTE format('CREATE TABLE t%s (id integer)', i); END LOOP; END $$`);
  await admin.query('VACUUM ANALYZE');
  const play = playing(cluster, database);
  const call = async (...statements: string[]) => {
    const client = await cluster.connect({ database });
    for (const statement of statements) await client.query(statement);
    await client.end();
  };
  const rounds = pick(5, 1);
  const measure = async (what: string, ours: (round: number) => Promise<void>, theirs: (round: number) => void) => {
    const series = [
      { name: 'rolecall', samples: [] as number[], run: ours },
      { name: 'Ansible', samples: [] as number[], run: theirs },
    ];
    for (let round = 0; round < rounds; round++)
      for (const { samples, run } of series) samples.push(await timed(() => run(round)));
    report(...compare(what, 'ms', series));
  };

  await measure(
    'base roles and a user',
    (round) =>
      call(
        `SELECT FROM rolecall.create_base_roles('a${round}', 'b${round}', 'c${round}')`,
        createUser(`ours_${round}`, verifier),
      ),
    (round) => play('users.yml', { prefix: `theirs_${round}_` }),
  );
  const read = `SELECT FROM rolecall.provision_reporting_role('reads_ours', '{public}')`;
  const theirs = () => play('tables.yml', { role: 'reads_theirs' });
  await call(read);
  theirs();
  await measure(`${tables.toLocaleString('en')} tables, nothing to do`, () => call(read), theirs);
  const bytes = [
    { name: 'rolecall', samples: [await walBytes(admin, () => call(read))] },
    { name: 'Ansible', samples: [await walBytes(admin, () => Promise.resolve(theirs()))] },
  ];
  report(...compare(`${tables.toLocaleString('en')} tables, nothing to do`, 'WAL bytes', bytes, [{ most: 0 }]));
  await admin.end();
}

/**
 * Roles by profiles, as in the benchmark of policies, but for few of the schemas, and once: each role takes Ansible
 * four tasks, and each task a process and a connection.
 */
export async function policyOfOthers({ cluster, pick, report }: Bench): Promise<void> {
  const tables = pick(10_000, 200);
  const among = schemas.slice(0, pick(5, 1));
  const database = await cluster.createDatabase();
  const admin = await cluster.connect({ database });
  await makeTables(admin, tables);
  const play = playing(cluster, database);
  const apply = () => admin.query('SELECT FROM rolecall.apply($1)', [JSON.stringify(policy('ours_', among))]);
  const profiles = among.flatMap((schema) => [
    { schema, role: `theirs_${schema}_reader`, privileges: 'SELECT' },
    { schema, role: `theirs_${schema}_writer`, privileges: 'SELECT,INSERT,UPDATE,DELETE' },
  ]);
  const theirs = () => play('policy.yml', { profiles });
  const what = `a policy of ${profiles.length} roles by profiles, ${tables.toLocaleString('en')} tables in ${schemas.length} schemas`;
  const ways = [
    { name: 'rolecall', run: apply as () => unknown },
    { name: 'Ansible', run: theirs },
  ];
  for (const times of ['first', 'nothing to do']) {
    const [taken, written] = [[] as Series[], [] as Series[]];
    for (const { name, run } of ways) {
      const samples: number[] = [];
      written.push({ name, samples: [await walBytes(admin, async () => samples.push(await timed(run)))] });
      taken.push({ name, samples });
    }
    report(...compare(`${what}, ${times}`, 'ms', taken));
    if (times !== 'first') report(...compare(`${what}, ${times}`, 'WAL bytes', written));
  }
  await admin.end();
}
