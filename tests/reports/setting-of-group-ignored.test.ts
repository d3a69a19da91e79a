/**
 * A setting of a group role does not hold for its members.
 * PostgREST/postgrest#2561
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('the timeout of a client role holds for a user that is put into it', async (place) => {
  const { admin, error } = place;
  await admin.query(`SELECT rolecall.create_base_roles(); SELECT rolecall.create_client_role('c', '200ms');
    SELECT rolecall.create_user_with_grants('u', 'u', '{c}');
    CREATE ROLE v LOGIN PASSWORD 'v'; ALTER ROLE v IN DATABASE postgres SET statement_timeout = '9s'; SELECT rolecall.grant_role('c', 'v')`);
  for (const user of ['u', 'v']) {
    const failure = await error('SELECT pg_sleep(5)', await place.login(user));
    assert.equal(failure.code, '57014', user);
  }
});
