/** Calls with nothing to do in larger and larger databases and clusters: the time, and the memory of the session. */
import * as fs from 'node:fs';
import type { Client } from 'pg';
import { type Bench, growth, inTurns, spread } from './measure.ts';
import { createUser, verifier } from './statements.ts';

const many = (count: number, of: string) => `${count.toLocaleString('en')} ${of}`;

/** The most address space that a session has had so far, in MB; undefined where the system does not tell. */
function peak(client: Client): number | undefined {
  const { processID } = client as unknown as { processID: number };
  const file = `/proc/${processID}/status`;
  const found = fs.existsSync(file) ? /^VmPeak:\s*(\d+) kB/m.exec(fs.readFileSync(file, 'utf8')) : null;
  return found === null ? undefined : Number(found[1]) / 1024;
}

/**
 * Measures a call at each size, and how the time grows with it. `grow` brings the database from one size to the next.
 */
async function measure(
  { cluster, pick, report }: Bench,
  of: string,
  sizes: readonly number[],
  grow: (admin: Client, from: number, to: number) => Promise<unknown>,
  calls: Readonly<Record<string, (size: number) => string>>,
): Promise<void> {
  const database = await cluster.createDatabase();
  const connect = () => cluster.connect({ database, host: cluster.socketDir });
  const admin = await connect();
  const points = new Map<string, { size: number; figure: number }[]>();
  let from = 0;
  for (const size of sizes) {
    await grow(admin, from, size);
    await admin.query('VACUUM ANALYZE');
    from = size;
    for (const [what, statement] of Object.entries(calls)) {
      const session = await connect();
      await session.query('SELECT');
      const before = peak(session);
      const run = () => session.query(`BEGIN; ${statement(size)}; ROLLBACK`);
      const [series] = await inTurns(pick(7, 1), [{ name: 'rolecall', client: () => session, run }], 1);
      const after = peak(session);
      const ours = spread(series?.samples ?? []);
      report({ what: `${what}, ${many(size, of)}`, unit: 'ms', ours });
      if (before !== undefined && after !== undefined) {
        report({ what: `${what}, ${many(size, of)}: memory`, unit: 'MB', ours: spread([after - before]) });
      }
      points.set(what, [...(points.get(what) ?? []), { size, figure: ours.median }]);
      await session.end();
    }
  }
  for (const [what, figures] of points) report(...growth(what, `the ${of}`, figures));
  await admin.end();
}

const schemas = (size: number) => Math.max(1, size / 100);

export async function scale(bench: Bench): Promise<void> {
  const { cluster, pick } = bench;
  const drift = () => 'SELECT * FROM rolecall.drift()';

  const read = (size: number) =>
    `SELECT * FROM rolecall.provision_reporting_role('scale_reader',
       ARRAY(SELECT 'scale_' || s FROM generate_series(1, ${schemas(size)}) AS s))`;
  await measure(
    bench,
    'tables',
    pick([1000, 10_000, 100_000], [100]),
    async (admin, from, to) => {
      for (let schema = from === 0 ? 1 : schemas(from) + 1; schema <= schemas(to); schema++) {
        await admin.query(`CREATE SCHEMA scale_${schema}`);
        await admin.query(`DO $$ BEGIN FOR i IN 1 .. 100 LOOP
          EXECUTE format('CREATE TABLE scale_${schema}.t%s (id integer)', i); END LOOP; END $$`);
      }
      await admin.query(read(to));
    },
    { 'provisioning, nothing to do': read, 'drift()': drift },
  );

  const withheld = `SELECT * FROM rolecall.provision_reporting_role('scale_partitions', '{public}', '{measures}')`;
  await measure(
    bench,
    'partitions withheld',
    pick([500, 5000, 50_000], [100]),
    async (admin, from, to) => {
      if (from === 0) await admin.query('CREATE TABLE measures (a integer, b integer) PARTITION BY LIST (a)');
      // In two levels: the server rebuilds what it keeps about a level for each of its partitions.
      for (let a = from / 100; a < to / 100; a++) {
        await admin.query(`CREATE TABLE m_${a} PARTITION OF measures FOR VALUES IN (${a}) PARTITION BY LIST (b)`);
        await admin.query(`DO $$ BEGIN FOR b IN 1 .. 100 LOOP
          EXECUTE format('CREATE TABLE m_${a}_%s PARTITION OF m_${a} FOR VALUES IN (%s)', b, b); END LOOP; END $$`);
      }
      await admin.query(withheld);
    },
    { 'provisioning, nothing to do': () => withheld, 'drift()': drift },
  );

  await measure(
    bench,
    'roles',
    pick([100, 10_000, 100_000], [100]),
    async (admin, from, to) => {
      if (from === 0) await admin.query('SELECT FROM rolecall.create_base_roles()');
      // Each role is locked until the transaction ends.
      await admin.query(`DO $$ BEGIN FOR i IN ${from + 1} .. ${to} LOOP
        EXECUTE format('CREATE ROLE scale_role_%s IN ROLE anonymous', i); COMMIT; END LOOP; END $$`);
      await admin.query(createUser('scale_present', verifier));
    },
    {
      'a new user': () => createUser('scale_new', verifier),
      'create_user, nothing to do': () => createUser('scale_present', verifier),
      'audit_role()': () => `SELECT * FROM rolecall.audit_role('scale_present')`,
      'drift()': drift,
    },
  );

  const pair = 'SELECT * FROM rolecall.provision_reporting_roles()';
  await measure(
    bench,
    'databases',
    pick([10, 100, 1000], [3]),
    async (admin, from, to) => {
      if (from === 0) {
        await admin.query('SELECT FROM rolecall.create_base_roles()');
        await admin.query(createUser('scale_present', verifier));
        await admin.query(`CREATE SCHEMA reporting; ${pair}`);
      }
      for (let number = from; number < to; number++) {
        await cluster.createDatabase(`scale_${number}`, 'template1');
        await admin.query(`ALTER ROLE scale_present IN DATABASE scale_${number} SET work_mem = '8MB'`);
      }
    },
    {
      'provisioning, nothing to do': () => pair,
      'create_user, nothing to do': () => createUser('scale_present', verifier),
      'orphans()': () => 'SELECT * FROM rolecall.orphans()',
      'drift()': drift,
    },
  );
}
