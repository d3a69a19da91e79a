/**
 * Tables are dropped while a provisioning run is granting on them: the run goes on with the others.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DatabaseError } from 'pg';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';

const { cluster, database, admin: watcher } = await placeOfFile();
const connect = () => cluster.connect({ database });
const [caller, holder, dropper] = [await connect(), await connect(), await connect()];

for (const [what, schema, before] of [
  ['all tables of a schema', 'whole', ''],
  ['tables by their names', 'named', "SELECT FROM rolecall.provision_reporting_role('named_reports', '{named}')"],
] as const) {
  test(`${what}: one that is dropped meanwhile`, async () => {
    const role = `${schema}_reports`;
    await watcher.query(`CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.a (); CREATE TABLE ${schema}.b ();
      CREATE TABLE ${schema}.c (); ${before}`);
    if (before !== '') await watcher.query(`REVOKE ALL ON ${schema}.a, ${schema}.b FROM ${role}`);

    // The run waits for this transaction at the first table, and by then knows the second one.
    await holder.query(`BEGIN; ALTER TABLE ${schema}.a SET (fillfactor = 50)`);
    const run = caller.query<{ status: string; statement: string }>(
      `SELECT * FROM rolecall.provision_reporting_role('${role}', '{${schema}}')`,
    );
    const waiting = async (count: number) =>
      (
        await watcher.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        )
      ).rowCount === count;
    await until('the run waits', () => waiting(1));
    // Before 18 a DROP fails where a GRANT has just changed the table's row.
    const dropping = async (): Promise<void> => {
      await dropper.query(`DROP TABLE ${schema}.b`).catch((error: unknown) => {
        if ((error as DatabaseError).code !== 'XX000') throw error;
        return dropping();
      });
    };
    const drop = dropping();
    // From 18 on GRANT locks what it names, so that it is the drop that waits.
    const gone = async () =>
      (await watcher.query(`SELECT FROM pg_class WHERE oid = to_regclass('${schema}.b')`)).rowCount === 0;
    await until('the drop is done, or waits', async () => (await gone()) || (await waiting(2)));
    await holder.query('ROLLBACK');
    const { rows } = await run;
    await drop;

    assert.ok(rows.length > 0);
    assert.deepEqual(
      rows.filter(({ status }) => status !== 'applied'),
      [],
    );
    const { rows: readable } = await watcher.query(
      `SELECT c.relname AS name FROM pg_class AS c
       WHERE c.relnamespace = '${schema}'::regnamespace AND has_table_privilege('${role}', c.oid, 'SELECT') ORDER BY 1`,
    );
    assert.deepEqual(readable, [{ name: 'a' }, { name: 'c' }]);
    const again = await caller.query(`SELECT * FROM rolecall.provision_reporting_role('${role}', '{${schema}}')`);
    assert.deepEqual(again.rows, []);
  });
}
