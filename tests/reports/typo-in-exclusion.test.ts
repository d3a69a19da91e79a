/**
 * A mistyped name in a list of exclusions is ignored without a word.
 * yugabyte/yb-voyager#976
 */
import assert from 'node:assert/strict';
import { report } from '../support/report.ts';

report('a withheld name that matches nothing is a NOTICE, watched or not', async (place) => {
  const { admin } = place;
  await admin.query('CREATE SCHEMA s; CREATE TABLE s.patients (id integer)');
  const notices: string[] = [];
  admin.on('notice', ({ message }) => notices.push(message ?? ''));
  for (const statement of ['SELECT 1', 'SELECT rolecall.watch_new_tables()']) {
    notices.length = 0;
    await admin.query(statement);
    await admin.query(`SELECT rolecall.provision_reporting_role('app_reports', '{s}', '{patient}')`);
    assert.ok(
      notices.some((message) => /withheld .*patient\b/.test(message)),
      statement,
    );
  }
});

report('in a policy too, and an exception, a default role and what else provisioning says', async (place) => {
  const { admin } = place;
  await admin.query(`CREATE SCHEMA s; CREATE TABLE s.t (id integer); ALTER TABLE s.t ENABLE ROW LEVEL SECURITY;
    REVOKE CREATE ON SCHEMA public FROM PUBLIC`);
  const heard: string[] = [];
  admin.on('notice', ({ message }) => heard.push(message ?? ''));
  const policy = {
    base_roles: { default: 'anonimous' },
    roles: { app: {} },
    privileges: [{ to: 'app', on: { tables_in: 's', except: ['s.t', 's.patient', 's.t.ssn'] }, grant: ['SELECT'] }],
    reporting: { app_reports: { schemas: ['s'], withheld: ['patient'] } },
  };
  for (const dry of [true, false]) {
    heard.length = 0;
    await admin.query('SELECT rolecall.apply($1, dry_run => $2)', [policy, dry]);
    assert.deepEqual(heard, [
      'exceptions of the policy that do not exist yet: s.patient, s.t.ssn',
      'default role "anonimous" does not exist',
      'withheld tables or columns that do not exist yet: patient',
      'reporting role "app_reports" reads no rows of 1 table',
    ]);
  }
  heard.length = 0;
  await admin.query(`SELECT rolecall.create_base_roles(default_role => 'authenticated')`);
  assert.deepEqual(heard, []);
  await admin.query(`SELECT rolecall.create_base_roles(default_role => 'autenticated')`);
  assert.deepEqual(heard, ['default role "autenticated" does not exist']);
});

report('what is withheld and PUBLIC reads is a WARNING with the REVOKE', async (place) => {
  const { admin, rows } = place;
  await admin.query(`CREATE SCHEMA s; CREATE TABLE s.cards (id int); CREATE TABLE s.people (id int, ssn text, pin text); CREATE VIEW s.v AS SELECT 1 AS a;
    GRANT SELECT ON s.cards, s.v TO PUBLIC; GRANT SELECT (ssn, id) ON s.people TO PUBLIC`);
  const heard: string[] = [];
  admin.on('notice', ({ severity, message, hint }) => heard.push(`${severity}: ${message}; ${hint}`));
  const provision = `SELECT rolecall.provision_reporting_role('r', '{s}', '{cards, people.ssn, people.pin}')`;
  await admin.query(provision);
  const [warning] = heard.filter((text) => /PUBLIC can:/.test(text));
  assert.equal(
    warning,
    'WARNING: reporting role "r" reads what is withheld, because PUBLIC can: s.cards, s.people.ssn; ' +
      'Ask the owner, or a superuser, to run: REVOKE SELECT ON s.cards FROM PUBLIC; REVOKE SELECT ON s.people FROM PUBLIC',
  );
  await admin.query(warning.replace(/.*to run: /, ''));
  heard.length = 0;
  await admin.query(provision);
  assert.deepEqual(
    heard.filter((text) => /PUBLIC can:/.test(text)),
    [],
  );
  assert.deepEqual(await rows(`SELECT has_table_privilege('r', 's.cards', 'SELECT') AS it`), [{ it: false }]);
});
