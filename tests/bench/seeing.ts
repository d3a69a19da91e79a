/**
 * Looking at what is there: drift() and audit_role() in a database with many tables and more and more reporting roles,
 * each of which reads one schema, against the catalog query that is pasted from the web for the same question.
 */
import type { Client } from 'pg';
import { type Bench, compare, growth, inTurns, spread } from './measure.ts';

const schemas = 20;

/** Who may do what with which table; of one role, or of all of ours. */
const catalogQuery = (grantees: string) => `
  SELECT grantee, table_schema, table_name, string_agg(privilege_type, ', ')
  FROM information_schema.role_table_grants WHERE grantee ${grantees} GROUP BY 1, 2, 3`;

export async function seeing({ cluster, pick, report }: Bench): Promise<void> {
  const tables = pick(10_000, 40);
  const client = await cluster.connect({ database: await cluster.createDatabase(), host: cluster.socketDir });
  for (let schema = 1; schema <= schemas; schema++) {
    await client.query(`CREATE SCHEMA reports_${schema}`);
    await client.query(`DO $$ BEGIN FOR i IN 1 .. ${tables / schemas} LOOP
      EXECUTE format('CREATE TABLE reports_${schema}.table_%s (id integer, one text, two text, three text)', i);
    END LOOP; END $$`);
  }
  const medians: { roles: number; drift: number; audit: number }[] = [];
  for (const roles of pick([10, 100, 1000], [2, 4])) {
    await provision(client, (medians.at(-1)?.roles ?? 0) + 1, roles);
    await client.query('VACUUM ANALYZE');
    const among = `${roles.toLocaleString('en')} roles, ${tables.toLocaleString('en')} tables`;
    const measure = async (what: string, ours: string, grantees: string) => {
      const series = await inTurns(pick(roles > 100 ? 5 : 11, 2), [
        { name: 'rolecall', client: () => client, run: () => client.query(ours) },
        { name: 'role_table_grants', client: () => client, run: () => client.query(catalogQuery(grantees)) },
      ]);
      report(...compare(`${what}, ${among}`, 'ms', series));
      return spread(series[0]?.samples ?? []).median;
    };
    medians.push({
      roles,
      drift: await measure('drift()', 'SELECT * FROM rolecall.drift()', `LIKE 'seeing\\_%'`),
      audit: await measure('audit_role()', `SELECT * FROM rolecall.audit_role('seeing_1')`, `= 'seeing_1'`),
    });
  }
  for (const [name, what] of [
    ['drift', 'drift()'],
    ['audit', 'audit_role()'],
  ] as const) {
    const points = medians.map((one) => ({ size: one.roles, figure: one[name] }));
    report(...growth(what, 'the roles', points));
  }
  await client.end();
}

/** Many roles in few statements: a GRANT takes as long for many roles as for one. */
async function provision(client: Client, from: number, to: number): Promise<void> {
  const numbers = Array.from({ length: to - from + 1 }, (_, index) => from + index);
  for (const number of numbers) await client.query(`CREATE ROLE seeing_${number}`);
  for (let schema = 1; schema <= schemas; schema++) {
    const readers = numbers.filter((number) => (number % schemas) + 1 === schema).map((number) => `seeing_${number}`);
    if (readers.length > 0)
      await client.query(`GRANT SELECT ON ALL TABLES IN SCHEMA reports_${schema} TO ${readers.join(', ')}`);
  }
  for (let at = 0; at < numbers.length; at += 90) {
    const definitions = numbers
      .slice(at, at + 90)
      .map(
        (number) =>
          `rolecall_internal.read_access('seeing_${number}', '{reports_${(number % schemas) + 1}}', '{}', NULL)`,
      );
    await client.query(
      `SELECT * FROM rolecall_internal.run_reporting(jsonb_build_array(${definitions.join(', ')}), '{}', NULL, true, false)`,
    );
  }
}
