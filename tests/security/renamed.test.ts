/**
 * What is withheld stays so under another name, in another schema, and detached from what was withheld, for as long
 * as the entry that it was withheld by is in the list.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Client } from 'pg';
import { type Cluster, startCluster } from '../support/cluster.ts';

let cluster: Cluster;

before(async () => {
  cluster = await startCluster();
});

after(() => cluster.stop());

const lists = async (client: Client, call: string): Promise<string[]> =>
  (
    await client.query<{ step: string }>(
      `SELECT concat_ws(' ', operation, target, status, sqlstate) AS step FROM rolecall.${call}`,
    )
  ).rows.map(({ step }) => step);

for (const watched of [false, true]) {
  test(`a withheld table that is renamed, moved or detached is not given away, ${watched ? '' : 'un'}watched`, async () => {
    const client = await cluster.connect({ database: await cluster.createDatabase() });
    const role = watched ? 'watched_reports' : 'reports';
    const provision = (withheld: string) => `provision_reporting_role('${role}', '{app,other}', '${withheld}')`;
    const readable = async () =>
      (
        await client.query<{ name: string }>(
          `SELECT relname AS name FROM pg_class WHERE relnamespace = ANY ('{app,other}'::regnamespace[])
             AND has_table_privilege($1, oid, 'SELECT') ORDER BY 1`,
          [role],
        )
      ).rows.map(({ name }) => name);
    await client.query(`CREATE SCHEMA app; CREATE SCHEMA other; CREATE TABLE app.plain (id integer);
      CREATE TABLE app.patients (id serial); CREATE TABLE app.visits (id integer) PARTITION BY LIST (id);
      CREATE TABLE app.visits_1 PARTITION OF app.visits FOR VALUES IN (1)`);
    await lists(client, provision('{patients,app.visits}'));
    if (watched) await client.query('SELECT FROM rolecall.watch_new_tables()');
    assert.deepEqual(await lists(client, 'drift()'), []);
    await client.query('BEGIN READ ONLY');
    assert.deepEqual(await lists(client, provision('{patients,app.visits}')), []);
    await client.query('COMMIT');

    await client.query('ALTER TABLE app.patients RENAME TO persons');
    await client.query('ALTER TABLE app.visits DETACH PARTITION app.visits_1');
    const notices: string[] = [];
    client.on('notice', ({ severity, message }) => notices.push(`${severity} ${message}`));
    const said = ['grant_privilege app.persons skipped 55000', 'grant_privilege app.visits_1 skipped 55000'];
    for (const call of ['drift()', 'converge()', provision('{patients,app.visits}'), 'drift()']) {
      assert.deepEqual(await lists(client, call), said, call);
      assert.deepEqual(await readable(), ['plain'], call);
    }
    assert.ok(
      notices.includes(
        'WARNING skipped for "app.persons": withheld as patients, which it was, or belonged to: ' +
          'name it among the withheld tables, or remove patients from them',
      ),
      notices.join('\n'),
    );

    // It can be moved, and somebody can take its name.
    await client.query('ALTER TABLE app.persons SET SCHEMA other');
    await client.query('CREATE TABLE app.patients (id integer)');
    await client.query('CREATE TABLE other.child () INHERITS (other.persons)');
    assert.deepEqual(
      (await lists(client, 'converge()')).filter((step) => step.includes('skipped')),
      [
        'grant_privilege app.visits_1 skipped 55000',
        'grant_privilege other.child skipped 55000',
        'grant_privilege other.persons skipped 55000',
      ],
    );
    assert.deepEqual(await readable(), ['plain']);

    // The statement of a row, which names the table.
    const { rows } = await client.query<{ statement: string }>(
      `SELECT statement FROM rolecall.drift() WHERE target = 'other.persons'`,
    );
    const done = (await client.query<{ target: string }>(rows[0]?.statement ?? '')).rows.map(({ target }) => target);
    assert.ok(!done.includes('other.persons') && done.includes('app.visits_1'));
    assert.deepEqual(await lists(client, 'drift()'), ['grant_privilege app.visits_1 skipped 55000']);

    // Without the entry that it was withheld by it is readable; a dropped table is forgotten.
    await lists(client, provision('{patients,other.persons}'));
    assert.ok((await readable()).includes('visits_1'));
    assert.ok(!(await readable()).some((name) => ['patients', 'persons', 'child'].includes(name)));
    await client.query('DROP TABLE other.child, app.patients');
    await lists(client, 'converge()');
    assert.deepEqual(await lists(client, 'drift()'), []);
    const { rows: kept } = await client.query(
      'SELECT DISTINCT name, relation::text FROM rolecall_internal.withheld AS w JOIN pg_class AS c ON c.oid = w.relation ' +
        `WHERE c.relkind <> 'S' ORDER BY 1`,
    );
    assert.deepEqual(kept, [
      { name: 'other.persons', relation: 'other.persons' },
      { name: 'patients', relation: 'other.persons' },
    ]);
    await client.end();
  });
}
