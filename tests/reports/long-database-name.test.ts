/**
 * A name that is derived from the name of a long database is cut, or refused.
 * bartblast/hologram#1022
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('default names fit, and differ', async (place) => {
  const { rows } = place;
  const names: string[] = [];
  for (const database of ['a'.repeat(61), `${'a'.repeat(60)}b`]) {
    await place.cluster.createDatabase(database);
    const client = await place.cluster.connect({ database });
    await client.query('SELECT rolecall.provision_reporting_roles()');
    const made = await rows<{ key: string }>(
      `SELECT key ->> 0 AS key FROM rolecall_internal.resource WHERE section = 'read_access'`,
      client,
    );
    names.push(...made.map(({ key }) => key));
    await client.end();
  }
  assert.equal(new Set(names).size, 4);
  assert.ok(names.every((name) => Buffer.byteLength(name) <= 63));
});
