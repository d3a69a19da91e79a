/** One reporting role that reads many schemas, and what a hundred tables more in them cost. */
import { type Bench, compare, inTurns } from './measure.ts';

const schemas = Array.from({ length: 20 }, (_, index) => `reports_${index + 1}`);

const provision = (role: string) => `SELECT * FROM rolecall.provision_reporting_role('${role}', '{${schemas.join()}}')`;
/** What a script has for each schema, for a role that exists. */
const bareGrants = (role: string) => `BEGIN;
  ${schemas
    .map(
      (schema) => `GRANT USAGE ON SCHEMA ${schema} TO ${role};
        GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${role};
        ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT ON TABLES TO ${role};`,
    )
    .join('\n')}
  COMMIT`;

export async function manySchemas({ cluster, pick, report }: Bench): Promise<void> {
  const tables = pick(10_000, 40);
  const some = pick(100, 20);
  const among = `${tables.toLocaleString('en')} tables in ${schemas.length} schemas`;
  const way = async (name: string, statements: (role: string) => string) => {
    const database = await cluster.createDatabase();
    const client = await cluster.connect({ database, host: cluster.socketDir });
    for (const schema of schemas) {
      await client.query(`CREATE SCHEMA ${schema}`);
      await client.query(`DO $$ BEGIN FOR i IN 1 .. ${tables / schemas.length} LOOP
        EXECUTE format('CREATE TABLE ${schema}.t%s (id integer)', i); END LOOP; END $$`);
    }
    await client.query('VACUUM ANALYZE');
    const role = (round: number | string) => `${name.split(' ')[0]}_${round}`;
    return { name, client, role, run: (round: number | string) => client.query(statements(role(round))) };
  };
  const ours = await way('rolecall', provision);
  const bare = await way('bare grants', bareGrants);

  const first = await inTurns(
    pick(11, 2),
    [ours, bare].map(({ name, client, role, run }) => ({
      name,
      client: () => client,
      before: async (round: number) => {
        if (name !== ours.name) await client.query(`CREATE ROLE ${role(round)}`);
      },
      run,
      after: async (round: number) => {
        await client.query(`DROP OWNED BY ${role(round)}; DROP ROLE ${role(round)}`);
        await client.query('VACUUM FULL pg_class');
      },
    })),
    1,
  );
  report(...compare(`first provisioning, ${among}`, 'ms', first, [{ most: 1.3 }]));

  await bare.client.query(`CREATE ROLE ${bare.role('again')}`);
  for (const { client, run } of [ours, bare]) {
    await run('again');
    await client.query('VACUUM pg_class, pg_shdepend');
  }
  const again = (before: () => Promise<unknown>) =>
    inTurns(
      pick(30, 3),
      [ours, bare].map(({ name, client, run }) => ({
        name,
        client: () => client,
        // What the statements change makes every session forget its plans.
        before: () => (name === ours.name ? before() : client.query('VACUUM pg_class')),
        run: () => run('again'),
      })),
    );
  const nothing = await again(() => ours.run('again'));
  report(...compare(`nothing to do, ${among}`, 'ms', nothing, [{ most: 0.1 }]));

  // As if somebody else had created them, whose default privileges do not know the role.
  const few = Array.from(
    { length: some },
    (_, i) => `${schemas[i % schemas.length]}.t${Math.floor(i / schemas.length) + 1}`,
  );
  const afterwards = await again(async () => {
    await ours.run('again');
    await ours.client.query(`REVOKE SELECT ON ${few.join(', ')} FROM ${ours.role('again')}`);
  });
  report(...compare(`${some} tables new, ${among}`, 'ms', afterwards, [{ most: 1 }]));
  for (const { client } of [ours, bare]) await client.end();
}
