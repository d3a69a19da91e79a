/**
 * A timeout without a unit is milliseconds to one and seconds to another.
 * risingwavelabs/risingwave#24633
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a timeout without a unit is refused', async (place) => {
  const { admin, error } = place;
  await admin.query('SELECT rolecall.create_base_roles()');
  for (const timeout of ['15', ' 15 ', '15\t', '\n15', '1.5', '.5e1', '+15']) {
    const failure = await error(`SELECT rolecall.create_client_role('c', '${timeout}')`);
    assert.equal(failure.code, '22023', timeout);
    assert.match(failure.hint ?? '', new RegExp(`'${timeout.trim().replace('+', '[+]')}ms'`));
  }
});

report('a timeout that the server rounds to 0, which is no limit, is refused', async (place) => {
  const { admin, rows, error } = place;
  await admin.query(`SELECT rolecall.create_base_roles(); SET statement_timeout = '77s'`);
  for (const timeout of ['5us', '0.4ms', '0.5ms', '0.0004s', '0.005min', '0.01d', '-0.1ms']) {
    const failure = await error(`SELECT rolecall.create_client_role('c', '${timeout}')`);
    assert.equal(failure.code, '22023', timeout);
    assert.equal(failure.message, `statement_timeout '${timeout}' is rounded to 0, which is no limit`);
  }
  for (const timeout of ['0.6ms', '600us', '0', '0ms', '0.05d']) {
    assert.equal((await rows(`SELECT FROM rolecall.create_client_role('c', '${timeout}')`)).length > 0, true, timeout);
  }
  await admin.query('BEGIN READ ONLY');
  assert.deepEqual(await rows(`SELECT * FROM rolecall.create_client_role('c', '0.05d')`), []);
  assert.deepEqual(await rows('SHOW statement_timeout'), [{ statement_timeout: '77s' }]);
  await admin.query('COMMIT');
  assert.deepEqual(await rows('SHOW statement_timeout'), [{ statement_timeout: '77s' }]);
});
