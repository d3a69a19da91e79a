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

report('where a default name would begin with pg_, the hint is to pass the names', async (place) => {
  const database = await place.cluster.createDatabase('pg_app');
  const client = await place.cluster.connect({ database });
  for (const given of ['', `'reader'`, `raw_role => 'raw'`]) {
    const failure = await place.error(`SELECT rolecall.provision_reporting_roles(${given})`, client);
    assert.equal(failure.code, '42939', given);
    assert.equal(failure.message, 'the default names of the roles would start with "pg_", as database "pg_app" does');
    assert.match(failure.hint ?? '', /reporting_role and raw_role/);
  }
  await client.query(`SELECT rolecall.provision_reporting_roles('reader', 'raw')`);
  await client.end();
});
