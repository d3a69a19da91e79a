/**
 * What an extension granted keeps a role from being dropped, and nothing says how to end it.
 * Autodesk/pgbelt#83
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('an operator is one dependency, with the call that ends it', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE ROLE op; SELECT rolecall.add_operator('op')`);
  const found = await rows<{ remedy: string }>(`SELECT remedy FROM rolecall.user_dependencies('op')`);
  assert.deepEqual(found, [{ remedy: `SELECT rolecall.remove_operator('op')` }]);
  await admin.query(found[0]?.remedy ?? '');
  await admin.query(`SELECT rolecall.remove_user('op')`);
});

report('whoever installed the extension has few lines too, which can be followed', async ({ cluster, admin, rows }) => {
  await admin.query('CREATE ROLE installer LOGIN; CREATE ROLE heir');
  const database = await cluster.createDatabase('installed', 'template1');
  await admin.query(`GRANT CREATE ON DATABASE ${database} TO installer`);
  const client = await cluster.connect({ database });
  await client.query('SET ROLE installer; CREATE EXTENSION rolecall; RESET ROLE');
  const found = await rows<{ remedy: string }>(`SELECT remedy FROM rolecall.user_dependencies('installer')`, client);
  assert.ok(found.length <= 4, `${found.length} lines`);
  for (const { remedy } of found) await client.query(remedy.replaceAll('"a plain owner"', 'heir'));
  assert.deepEqual(await rows(`SELECT * FROM rolecall.user_dependencies('installer')`, client), []);
  await client.query('DROP ROLE installer');
  await client.end();
});
