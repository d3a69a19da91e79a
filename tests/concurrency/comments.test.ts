/** Comments belong to the users of the roles: whatever happens at the same moment, the last one written stays. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import { until } from '../support/cluster.ts';
import { placeOfFile } from '../support/place.ts';
import { verifier } from '../support/race.ts';

const otherVerifier = verifier.replace('W22ZaJ0S', 'W22ZaJ0T');
const isolations = ['READ COMMITTED', 'REPEATABLE READ'];

const { cluster, database, admin } = await placeOfFile();
const databases = [database, await cluster.createDatabase()];

async function comment(role: string): Promise<string | null> {
  const { rows } = await admin.query<{ comment: string | null }>(
    `SELECT shobj_description(to_regrole($1), 'pg_authid') AS comment`,
    [role],
  );
  return rows[0]?.comment ?? null;
}

for (const isolation of isolations) {
  test(`a comment that is being changed while a call waits survives, ${isolation}`, async () => {
    for (const [before, then] of [
      [`'old'`, `'new'`],
      ['NULL', `'new'`],
      [`'old'`, 'NULL'],
    ]) {
      await admin.query(`CREATE ROLE commented; COMMENT ON ROLE commented IS ${before}`);
      const caller = await cluster.connect({ database: databases[1] ?? '' });
      await caller.query(`BEGIN ISOLATION LEVEL ${isolation}; SELECT FROM pg_roles`);
      await admin.query(`BEGIN; COMMENT ON ROLE commented IS ${then}`);
      const waiting = caller.query(`SELECT * FROM rolecall.set_password('commented', '${verifier}')`);
      await until('the call to wait', async () => {
        const { rows } = await admin.query(
          `SELECT FROM pg_locks WHERE NOT granted AND waitstart < clock_timestamp() - interval '20 ms'`,
        );
        return rows.length > 0;
      });
      await admin.query('COMMIT');
      await waiting;
      await caller.query('COMMIT');
      assert.equal(await comment('commented'), then === 'NULL' ? null : 'new');
      await caller.end();
      await admin.query('DROP ROLE commented');
    }
  });

  test(`comments that are changed all the time survive, ${isolation}`, async () => {
    await admin.query('CREATE ROLE busy');
    let running = true;
    let calls = 0;
    const called = new EventEmitter();
    const callers = [verifier, otherVerifier].map(async (password, index) => {
      const client = await cluster.connect({ database: databases[index] ?? '' });
      for (; running; called.emit('call', ++calls)) {
        await client.query(`BEGIN ISOLATION LEVEL ${isolation}`);
        await client.query(`SELECT * FROM rolecall.set_password('busy', '${password}')`);
        await client.query('COMMIT');
      }
      await client.end();
    });
    const lost: string[] = [];
    for (let number = 1; number <= 80; number++) {
      const text = number % 3 === 0 ? null : `comment ${number}`;
      await admin.query(`COMMENT ON ROLE busy IS ${text === null ? 'NULL' : `'${text}'`}`);
      // Whoever had read the former comment has written what it will write.
      for (const seen = calls; calls < seen + 3;) await once(called, 'call');
      const found = await comment('busy');
      if (found !== text) lost.push(`${String(found)} instead of ${String(text)}`);
    }
    running = false;
    await Promise.all(callers);
    assert.deepEqual(lost, []);
    assert.ok(calls > 20);
    await admin.query('DROP ROLE busy');
  });
}
